import Bytes
import Records
import Retrieval

/// Attributes as terms among the words of a passage, so that what passes a narrow filter is found as what has a rare word is: by
/// reading its postings, and nothing else.
///
/// A term stands for all documents that a test may mean, and perhaps for some more: values of different types may share one, and
/// long texts are cut. Who looks them up asks the documents, too.
enum AttributeTerm {
    /// No word has a colon, and no other kind of term begins so.
    private static let mark = "a:"
    /// Bytes of an ASCII value that stand as they are.
    private static let bytesMax = 64

    /// The term of a value.
    static func text(_ name: AttributeName, _ value: AttributeValue) -> String {
        let text =
            switch value {
            case .string(let text): IndexText.clean(text)
            case .integer(let number): String(number)
            case .number(let number): CanonicalNumber.text(number)
            case .bool(let flag): flag ? "true" : "false"
            case .time(let milliseconds): CivilTime.rfc3339(milliseconds)
            }
        // To Swift, two ways of writing `é` would be one term, and to a filter they are two texts.
        let isPlain = text.utf8.count <= bytesMax && text.utf8.allSatisfy { $0 < 0x80 }
        return mark + name.text + "=" + (isPlain ? text : short(text))
    }

    /// Texts that begin alike, or look alike, differ by their hash.
    private static func short(_ text: String) -> String {
        String(text.unicodeScalars.prefix(12)) + "~" + String(StableHash.of(Array(text.utf8)), radix: 16)
    }

    /// The terms of a document.
    static func all(collection: String, language: String, _ attributes: AttributeList) -> [String] {
        var terms = [text(.collection, .string(collection)), text(.lang, .string(language))]
        attributes.forEach { terms.append(text($0, $1)) }
        return terms
    }

    /// What a test looks for; nil where that cannot be looked up.
    static func alternatives(_ test: AttributeTest) -> [String]? {
        guard test.attribute != .eventTime, case .oneOf(let values) = test.condition else { return nil }
        // Nothing has the term of no value.
        return values.isEmpty ? [mark] : values.map { text(test.attribute, $0) }
    }

    /// All of a filter's tests that can be looked up: a document that passes has one of the terms of each.
    static func alternatives(_ filter: Filter) -> [[String]] {
        let scope = filter.scope.collections.map { [AttributeTest.texts(.collection, $0)] } ?? []
        return (scope + filter.must).compactMap { alternatives($0) }
    }
}
