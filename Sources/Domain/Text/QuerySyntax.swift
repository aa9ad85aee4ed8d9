/// What people type into a search field: words, and a few operators around them. There is no wrong syntax; whatever is no
/// operator is text. A text of more words than are looked up has no operators either: somebody who searches by a paragraph
/// means what it says, and does not demand the words that it quotes more than any others.
///
/// | typed | meaning |
/// | --- | --- |
/// | `"two words"`, also `„…“`, `“…”`, `«…»` | a phrase |
/// | `-word`, `-"two words"` | is not to be there |
/// | `word*` | words that begin so |
/// | `title:word`, `title:"two words"` | in this field, of those that the caller names |
package struct QuerySyntax: Sendable, Hashable {
    package enum Kind: Sendable { case words, phrase, prefix }

    /// A part of the query with one meaning.
    package struct Clause: Sendable, Hashable {
        package var kind: Kind
        /// Without operators.
        package var text: String
        /// Where the text begins in the query, in UTF-8 bytes.
        package var start: Int
        /// Where it stands with its operators, in UTF-8 bytes.
        package var range: Range<Int>
        /// In lower case.
        package var field: String?
        package var isExcluded = false
    }

    /// In the query's order.
    package let clauses: [Clause]
    /// What a model is to embed: the query without operators and without what is excluded. The query itself where that
    /// would be empty.
    package let plainText: String

    /// - Parameter fields: names that `field:` may have, in lower case.
    package init(_ text: String, fields: Set<String>) {
        guard !Self.isProse(text) else {
            clauses = [Self.whole(text)]
            plainText = text
            return
        }
        var parser = QueryParser(text: text, fields: fields)
        parser.parse()
        // Nothing is found by exclusion alone; then the minus is text, as in `-40`.
        if parser.clauses.allSatisfy(\.isExcluded) {
            clauses = text.contains { !$0.isWhitespace } ? [Self.whole(text)] : []
        } else {
            clauses = parser.clauses
        }
        let plain = clauses.filter { !$0.isExcluded }.map(\.text).joined(separator: " ")
        plainText = plain.contains { !$0.isWhitespace } ? plain : text
    }

    /// All of a text as text.
    private static func whole(_ text: String) -> Clause {
        Clause(kind: .words, text: text, start: 0, range: 0..<text.utf8.count)
    }

    /// Whether a text has more words between spaces than are looked up.
    private static func isProse(_ text: String) -> Bool {
        // So many words take as many bytes, and those between them.
        guard text.utf8.count > 2 * TextQuery.wordsMax else { return false }
        return text.split(maxSplits: TextQuery.wordsMax, whereSeparator: \.isWhitespace).count > TextQuery.wordsMax
    }
}

/// Reads a query once from its beginning to its end.
private struct QueryParser {
    let scalars: [Unicode.Scalar]
    /// UTF-8 offset of each scalar, and of the end.
    let offsets: [Int]
    let fields: Set<String>
    let fieldLengthMax: Int
    private(set) var clauses: [QuerySyntax.Clause] = []
    private var place = 0
    /// Where text began that is no operator; nil where there is none yet.
    private var plainStart: Int?
    /// Quotation marks that are known not to be closed any more.
    private var unclosed: Set<Unicode.Scalar> = []

    init(text: String, fields: Set<String>) {
        scalars = Array(text.unicodeScalars)
        var offset = 0
        offsets =
            scalars.map { scalar in
                defer { offset += UTF8.width(scalar) }
                return offset
            } + [text.utf8.count]
        self.fields = fields
        fieldLengthMax = fields.map(\.unicodeScalars.count).max() ?? 0
    }

    mutating func parse() {
        while place < scalars.count {
            if isTokenStart, parseOperator() { continue }
            if plainStart == nil { plainStart = place }
            place += 1
        }
        endPlain(at: scalars.count)
    }

    /// Behind white space or an opening bracket.
    private var isTokenStart: Bool {
        guard place > 0 else { return true }
        let before = scalars[place - 1]
        return before.isBlank || before == "(" || before == "[" || before == "{"
    }

    /// Reads an operator with its text; otherwise leaves everything as it was.
    private mutating func parseOperator() -> Bool {
        var start = place
        var isExcluded = false
        if scalars[start] == "-", start + 1 < scalars.count {
            isExcluded = true
            start += 1
        }
        var field: String?
        if let (name, end) = fieldName(at: start) {
            field = name
            start = end
        }
        if let end = closing(of: start) {
            endPlain(at: place)
            add(.phrase, start + 1, end, field, isExcluded, place..<end + 1)
            place = end + 1
            return true
        }
        var end = start
        while end < scalars.count, !scalars[end].isBlank { end += 1 }
        let token = scalars[start..<end]
        let isWordFirst = token.first.map { isWord($0) || (field != nil && $0 != ":") } ?? false
        let body = token.last == "*" ? token.dropLast() : token
        let isPrefix = token.last == "*" && isPrefix(body)
        guard isWordFirst, isExcluded || field != nil || isPrefix else { return false }
        endPlain(at: place)
        add(isPrefix ? .prefix : .words, start, isPrefix ? end - 1 : end, field, isExcluded, place..<end)
        place = end
        return true
    }

    /// Words of two characters at least: too many begin with one letter, unless it is an ideograph.
    private func isPrefix(_ body: ArraySlice<Unicode.Scalar>) -> Bool {
        guard !body.contains("*"), let last = body.last, isWord(last) else { return false }
        return CharacterTable.shared.kind(last.value) == .ideograph || body.suffix(2).filter(isWord).count == 2
    }

    private func isWord(_ scalar: Unicode.Scalar) -> Bool {
        switch CharacterTable.shared.kind(scalar.value) {
        case .letter, .upper, .digit, .mark, .hangul, .ideograph, .unspaced, .symbol, .regional: true
        default: false
        }
    }

    /// The field that is named at `start`, and where its text begins; nil where there is none or no text.
    private func fieldName(at start: Int) -> (String, Int)? {
        guard let colon = scalars[start...].prefix(fieldLengthMax + 1).firstIndex(of: ":"), colon + 1 < scalars.count,
            !scalars[colon + 1].isBlank
        else { return nil }
        let name = String(String.UnicodeScalarView(scalars[start..<colon])).lowercased()
        return fields.contains(name) ? (name, colon + 1) : nil
    }

    /// Where the quotation that opens at `start` closes.
    private mutating func closing(of start: Int) -> Int? {
        guard start < scalars.count, let closers = Self.quotes[scalars[start]] else { return nil }
        let opener = scalars[start]
        guard !unclosed.contains(opener) else { return nil }
        guard let end = scalars[(start + 1)...].firstIndex(where: { closers.contains($0) }) else {
            unclosed.insert(opener)
            return nil
        }
        return end
    }

    private static let quotes: [Unicode.Scalar: Set<Unicode.Scalar>] = [
        "\"": ["\""], "\u{201E}": ["\u{201C}", "\u{201D}", "\""], "\u{201C}": ["\u{201D}", "\u{201C}", "\""],
        "\u{201D}": ["\u{201D}", "\""], "\u{AB}": ["\u{BB}"], "\u{BB}": ["\u{AB}"], "\u{FF02}": ["\u{FF02}"],
    ]

    private mutating func endPlain(at end: Int) {
        guard let start = plainStart else { return }
        plainStart = nil
        var range = start..<end
        while let first = range.first, scalars[first].isBlank { range = first + 1..<end }
        while let last = range.last, scalars[last].isBlank { range = range.lowerBound..<last }
        if !range.isEmpty { add(.words, range.lowerBound, range.upperBound, nil, false, range) }
    }

    /// - Parameter whole: where it stands with its operators.
    private mutating func add(
        _ kind: QuerySyntax.Kind, _ start: Int, _ end: Int, _ field: String?, _ isExcluded: Bool, _ whole: Range<Int>
    ) {
        let text = String(String.UnicodeScalarView(scalars[start..<end]))
        guard text.contains(where: { !$0.isWhitespace }) else { return }
        clauses.append(
            QuerySyntax.Clause(
                kind: kind, text: text, start: offsets[start],
                range: offsets[whole.lowerBound]..<offsets[whole.upperBound], field: field, isExcluded: isExcluded))
    }
}

extension Unicode.Scalar {
    /// Whether it is white space. What is asked most is ASCII, and told without Unicode's tables.
    fileprivate var isBlank: Bool {
        value < 0x80 ? value == 0x20 || (0x09...0x0D).contains(value) : properties.isWhitespace
    }
}
