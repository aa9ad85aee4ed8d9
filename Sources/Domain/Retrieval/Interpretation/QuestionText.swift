/// A question as words and quoted texts, with their places in it.
struct QuestionText: Sendable {
    struct Token: Sendable {
        /// Where it stands, without the punctuation around it, and with its quotation marks.
        let range: Range<String.Index>
        /// In small letters; of a quoted text, what stands between the marks, as it is.
        let word: String
        /// As it is written.
        let original: String
        let isQuoted: Bool
        /// Whether punctuation parts it from the token before.
        let isAfterBreak: Bool
        /// Whether it begins with a capital letter.
        var isCapital: Bool { original.first?.isUppercase == true }
    }

    let text: String
    let tokens: [Token]

    private static let quotes: [Character: Set<Character>] = [
        "\"": ["\""], "“": ["”", "“"], "„": ["“", "”"], "«": ["»"], "»": ["«"],
    ]

    init(_ text: String) {
        self.text = text
        var tokens: [Token] = []
        var place = text.startIndex
        var isAfterBreak = false
        // Marks without a closing one: what was sought to the end once is not sought again.
        var unclosed: Set<Character> = []
        while place < text.endIndex {
            let character = text[place]
            if let closing = Self.quotes[character], !unclosed.contains(character),
                let end = text[text.index(after: place)...].firstIndex(where: { closing.contains($0) })
            {
                let content = text[text.index(after: place)..<end].trimmingSpaces
                let range = place..<text.index(after: end)
                if !content.isEmpty {
                    tokens.append(
                        Token(
                            range: range, word: String(content), original: String(content), isQuoted: true,
                            isAfterBreak: isAfterBreak))
                    isAfterBreak = false
                }
                place = range.upperBound
            } else if Self.isWordPart(character) {
                var end = place
                while end < text.endIndex, Self.isWordPart(text[end]) || Self.joins(at: end, in: text) {
                    end = text.index(after: end)
                }
                let original = String(text[place..<end])
                tokens.append(
                    Token(
                        range: place..<end, word: original.lowercased(), original: original, isQuoted: false,
                        isAfterBreak: isAfterBreak))
                isAfterBreak = false
                place = end
            } else {
                if Self.quotes[character] != nil { unclosed.insert(character) }
                if !character.isWhitespace { isAfterBreak = true }
                place = text.index(after: place)
            }
        }
        self.tokens = tokens
    }

    private static func isWordPart(_ character: Character) -> Bool {
        character.isLetter || character.isNumber || character == "_"
    }

    /// Whether a mark stands within a word: `2021-10-03`, `de.wikipedia`, `14:30`, `what's`.
    private static func joins(at place: String.Index, in text: String) -> Bool {
        guard ["-", ".", ":", "'", "’", "/"].contains(text[place]) else { return false }
        let next = text.index(after: place)
        return next < text.endIndex && isWordPart(text[next])
    }

    /// The word at a place; nil where the question has none, or a quoted text.
    func word(_ index: Int) -> String? {
        tokens.indices.contains(index) && !tokens[index].isQuoted ? tokens[index].word : nil
    }

    /// What stands at the tokens' place.
    func text(of range: Range<Int>) -> String {
        guard let first = tokens[range].first, let last = tokens[range].last else { return "" }
        return String(text[first.range.lowerBound..<last.range.upperBound])
    }

    /// The question without some of its tokens; nil where no word is left.
    func without(_ ranges: [Range<Int>]) -> String? {
        let isLeft = tokens.indices.contains { index in !ranges.contains { $0.contains(index) } }
        guard isLeft else { return nil }
        var pieces: [Substring] = []
        var place = text.startIndex
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            guard let first = tokens[range].first, let last = tokens[range].last else { continue }
            pieces.append(text[place..<first.range.lowerBound])
            place = last.range.upperBound
        }
        pieces.append(text[place...])
        var result = ""
        for piece in pieces.map(\.trimmingSpaces) where !piece.isEmpty {
            let isMark = piece.first.map { [",", ".", "?", "!", ";", ":", ")"].contains($0) } ?? false
            if result.isEmpty {
                // A comma that has nothing before it any more.
                result += piece.drop { [",", ";", ":", " "].contains($0) }
            } else {
                result += isMark ? String(piece) : " " + piece
            }
        }
        while let last = result.last, [",", ";", ":", " "].contains(last) { result.removeLast() }
        return result.isEmpty ? nil : result
    }
}

extension StringProtocol {
    /// Without white space at both ends.
    fileprivate var trimmingSpaces: SubSequence {
        guard let first = firstIndex(where: { !$0.isWhitespace }),
            let last = lastIndex(where: { !$0.isWhitespace })
        else { return self[startIndex..<startIndex] }
        return self[first...last]
    }
}
