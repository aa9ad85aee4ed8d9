/// Where a passage stands in its document's text.
package struct PassageRange: Sendable, Equatable {
    /// In Unicode scalars of the text, as `text[start:end]` counts them in Python and `substring` in SQL.
    package let scalars: Range<Int>
    /// The same in bytes of UTF-8.
    package let bytes: Range<Int>

    package init(scalars: Range<Int>, bytes: Range<Int>) {
        self.scalars = scalars
        self.bytes = bytes
    }
}

/// A part of a document that is embedded and found on its own, as its Gold line lists it.
package struct GoldPassage: Sendable, Equatable {
    /// Where it stands in the document's text, in Unicode scalars.
    package var scalars: Range<Int>
    /// SHA-256 of its text; alone decides whether something is embedded again.
    package var hash: String

    package init(scalars: Range<Int>, hash: String) {
        self.scalars = scalars
        self.hash = hash
    }
}

extension GoldDocument {
    /// The texts of its passages, in their order: the whole text where it lists none.
    package var passageTexts: [String] {
        guard !passages.isEmpty else { return [text] }
        let scalars = Array(text.unicodeScalars)
        return passages.map { passage in
            String(String.UnicodeScalarView(scalars[passage.scalars.clamped(to: 0..<scalars.count)]))
        }
    }
}
