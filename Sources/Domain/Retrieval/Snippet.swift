/// A short piece of a passage for a list of hits: plain text, whole characters, no markup.
package enum Snippet {
    /// Characters (grapheme clusters) of a snippet, ellipses included.
    package static let charactersMax = 240
    /// UTF-8 bytes of a snippet: one character can be made of any number of combining marks.
    package static let bytesMax = 2_000

    /// The part of `text` that holds most of the query's words, with white space and control characters made single
    /// spaces, and `…` where something was left out.
    package static func make(from text: String, query: String, charactersMax limit: Int = charactersMax) -> String {
        let characters = flatten(text)
        guard limit > 2, characters.count > limit else { return bounded(characters.prefix(max(limit, 0))) }
        let start = bestStart(characters, wanted: Words.content(query), width: limit - 2)
        let end = min(start + limit - 2, characters.count)
        var piece = characters[start..<end]
        if end < characters.count, let space = piece.lastIndex(of: " "), space > start + limit / 2 {
            piece = characters[start..<space]
        }
        var text = bounded(piece)
        if start > 0 { text = "…" + text }
        if piece.endIndex < characters.count { text += "…" }
        return text
    }

    /// `text` cut to `limit` characters, with `…` when it was cut; for titles and echoes of input.
    package static func head(of text: String, charactersMax limit: Int) -> String {
        let head = bounded(text.prefix(limit))
        return head.utf8.count == text.utf8.count ? head : head + "…"
    }

    /// One space for every run of white space and controls; none at the ends.
    private static func flatten(_ text: String) -> [Character] {
        var result: [Character] = []
        for character in text {
            if isBlank(character) {
                if let last = result.last, last != " " { result.append(" ") }
            } else {
                result.append(character)
            }
        }
        if result.last == " " { result.removeLast() }
        return result
    }

    private static func isBlank(_ character: Character) -> Bool {
        character.isWhitespace || character.unicodeScalars.allSatisfy { $0.properties.generalCategory == .control }
    }

    /// The start, at a word, of the window of `width` characters with most different wanted words; the first of equals.
    private static func bestStart(_ characters: [Character], wanted: Set<String>, width: Int) -> Int {
        guard !wanted.isEmpty else { return 0 }
        var words: [(start: Int, stem: String)] = []
        var index = 0
        while index < characters.count {
            let start = index
            while index < characters.count, characters[index] != " " { index += 1 }
            for word in Words.sequence(String(characters[start..<index])) {
                let stem = Words.stem(word)
                if wanted.contains(stem) { words.append((start, stem)) }
            }
            index += 1
        }
        var best = (start: 0, count: 0)
        for (place, word) in words.enumerated() {
            let covered = words[place...].prefix { $0.start < word.start + width - 20 }
            let count = Set(covered.map(\.stem)).count
            // The first words of a passage hold its title: a window that starts there wins ties.
            if count > best.count { best = (word.start, count) }
        }
        if best.start < width / 3 { return 0 }
        let start = min(best.start, max(0, characters.count - width))
        guard start < best.start, let space = characters[start..<best.start].firstIndex(of: " ") else { return start }
        return space + 1
    }

    private static func bounded(_ characters: some Sequence<Character>) -> String {
        var text = ""
        for character in characters {
            guard text.utf8.count + character.utf8.count <= bytesMax else { break }
            text.append(character)
        }
        return text
    }
}
