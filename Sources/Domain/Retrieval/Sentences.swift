/// Cuts text into sentences, in any script.
package enum Sentences {
    /// Characters of a sentence; a longer one is cut at white space.
    package static let charactersMax = 600
    /// A piece shorter than this joins its neighbour of the same line: alone, "Fixed." or "per talk." says nothing.
    package static let charactersMin = 40

    /// The sentences of `text` in order, trimmed, none empty. Joined by single spaces they hold all of its words.
    ///
    /// Ends are `.`, `!`, `?`, `…` before white space (but not `.` after an initial or a common abbreviation, nor before
    /// a lower-case letter), `。！？｡।॥؟۔` anywhere, and line ends.
    ///
    /// - Parameter joinsShort: whether short pieces join their neighbours.
    package static func split(_ text: String, joinsShort: Bool = true) -> [String] {
        var sentences: [String] = []
        for line in text.split(whereSeparator: \.isNewline) {
            var pieces: [Substring] = []
            for piece in cutAtEnds(line) {
                if joinsShort, let last = pieces.last, last.count < charactersMin || piece.count < charactersMin,
                    last.count + piece.count < charactersMax
                {
                    pieces[pieces.count - 1] = line[last.startIndex..<piece.endIndex]
                } else {
                    pieces.append(piece)
                }
            }
            for piece in pieces { appendBounded(piece, to: &sentences) }
        }
        return sentences
    }

    private static func cutAtEnds(_ line: Substring) -> [Substring] {
        var pieces: [Substring] = []
        var start = line.startIndex
        var index = line.startIndex
        while index < line.endIndex {
            let character = line[index]
            var next = line.index(after: index)
            var isEnd = false
            if endsAnywhere.contains(character) {
                isEnd = true
            } else if endsBeforeSpace.contains(character) {
                while next < line.endIndex, closers.contains(line[next]) || endsBeforeSpace.contains(line[next]) {
                    next = line.index(after: next)
                }
                isEnd = isSpaceOrEnd(line, next) && !(character == "." && continues(line, point: index, next: next))
            }
            if isEnd {
                while next < line.endIndex, closers.contains(line[next]) || endsAnywhere.contains(line[next]) {
                    next = line.index(after: next)
                }
                append(line[start..<next], to: &pieces)
                start = next
            }
            index = next
        }
        append(line[start...], to: &pieces)
        return pieces
    }

    /// Whether the point at `point` ends an abbreviation and not a sentence.
    private static func continues(_ line: Substring, point: Substring.Index, next: Substring.Index) -> Bool {
        if let following = line[next...].first(where: { !$0.isWhitespace }), following.isLowercase { return true }
        let before = line[..<point]
        let word = before.suffix(while: { $0.isLetter || $0 == "." })
        if word.count == 1, let letter = word.first, letter.isUppercase { return true }
        return abbreviations.contains(word.lowercased())
    }

    private static func isSpaceOrEnd(_ line: Substring, _ index: Substring.Index) -> Bool {
        index == line.endIndex || line[index].isWhitespace
    }

    private static func append(_ piece: Substring, to pieces: inout [Substring]) {
        let trimmed = piece.trimmed
        if !trimmed.isEmpty { pieces.append(trimmed) }
    }

    private static func appendBounded(_ piece: Substring, to sentences: inout [String]) {
        var rest = piece
        while !rest.isEmpty {
            guard let hard = rest.index(rest.startIndex, offsetBy: charactersMax, limitedBy: rest.endIndex),
                hard < rest.endIndex
            else {
                sentences.append(String(rest))
                return
            }
            let cut = rest[..<hard].lastIndex(where: \.isWhitespace) ?? hard
            let head = rest[..<(cut == rest.startIndex ? hard : cut)]
            let trimmed = head.trimmed
            if !trimmed.isEmpty { sentences.append(String(trimmed)) }
            rest = rest[head.endIndex...].trimmed
        }
    }

    private static let endsAnywhere: Set<Character> = ["。", "！", "？", "｡", "।", "॥", "؟", "۔"]
    private static let endsBeforeSpace: Set<Character> = [".", "!", "?", "…"]
    private static let closers: Set<Character> = ["\"", "'", ")", "]", "}", "”", "’", "»", "」", "』", "）"]
    private static let abbreviations: Set<String> = [
        "al", "approx", "art", "bzw", "ca", "cf", "co", "corp", "dr", "e.g", "ed", "eds", "etc", "fig", "gen", "gov",
        "i.e",
        "inc", "jr", "ltd", "mr", "mrs", "ms", "no", "nr", "op", "p", "pp", "prof", "rep", "rev", "sen", "sr", "st",
        "u.k",
        "u.s", "usw", "v", "vol", "vs", "z.b",
    ]
}

extension Substring {
    /// Without white space at either end.
    var trimmed: Substring {
        var result = self
        while let first = result.first, first.isWhitespace { result.removeFirst() }
        while let last = result.last, last.isWhitespace { result.removeLast() }
        return result
    }

    /// The longest run at the end whose characters satisfy `condition`.
    func suffix(while condition: (Character) -> Bool) -> Substring {
        var start = endIndex
        while start > startIndex, condition(self[index(before: start)]) { start = index(before: start) }
        return self[start...]
    }
}
