import Bytes

/// A word of a text, as the word index takes it.
package struct TextWord: Sendable, Hashable {
    /// Place among the text's words, from 0. The parts of a compound (`a/b`) have places of their own; the parts of camel
    /// case follow their word and share its place, so that a phrase does not depend on them.
    package var position: Int
    /// UTF-8 offsets in the original text, whatever its normal form.
    package var range: Range<Int>
    /// Normal form KC with full case folding, without characters that are not shown; digits without their grouping commas.
    /// At most ``TextTerm/bytesMax`` bytes, see ``TextTerm``.
    package var exact: String
    /// More terms under which the word is found, each with the mark of its kind (``TextTerm/Mark``) in front; none equals
    /// `exact` behind its mark, except for bigrams.
    package var forms: [String]

    package init(position: Int, range: Range<Int>, exact: String, forms: [String]) {
        self.position = position
        self.range = range
        self.exact = exact
        self.forms = forms
    }
}

/// How terms are written. An exact form is the word itself; any other begins with a mark, and no word holds a colon.
///
/// A form longer than ``bytesMax`` bytes is cut between characters and gets `~` and 16 hexadecimal digits of the whole
/// form's hash, so that long words still differ; no word holds a `~` either.
package enum TextTerm {
    /// UTF-8 bytes of a form, its mark not counted.
    package static let bytesMax = 64

    /// The kinds of terms beside exact forms.
    package enum Mark: String, Sendable, CaseIterable {
        /// The stem of a language.
        case stem = "s:"
        /// Letters without accents, digits as ASCII.
        case folded = "f:"
        /// Two neighbouring characters of a script without spaces; also single ideographs.
        case bigram = "b:"
        /// A compound, as it stands there or written as one word.
        case whole = "w:"

        /// What the mark begins with; a colon follows.
        var letter: UInt8 {
            switch self {
            case .stem: UInt8(ascii: "s")
            case .folded: UInt8(ascii: "f")
            case .bigram: UInt8(ascii: "b")
            case .whole: UInt8(ascii: "w")
            }
        }
    }

    /// `form` with the mark of its kind.
    package static func marked(_ mark: Mark, _ form: some StringProtocol) -> String { mark.rawValue + form }

    /// The mark of a term; nil for an exact form.
    package static func mark(of term: String) -> Mark? {
        let bytes = term.utf8
        guard bytes.count > 2, bytes[bytes.index(after: bytes.startIndex)] == UInt8(ascii: ":") else { return nil }
        return Mark(rawValue: String(term.prefix(2)))
    }

    private static let hashDigits = 16

    /// Cuts a form to the bound.
    ///
    /// - Parameter start: where the form begins in `bytes`, behind its mark.
    /// - Returns: whether that was needed.
    static func bound(_ bytes: inout [UInt8], from start: Int = 0) -> Bool {
        guard bytes.count - start > bytesMax else { return false }
        // FNV-1a, as Retrieval's StableHash, which is above this module.
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in bytes[start...] { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        var end = start + bytesMax - hashDigits - 1
        while end > start, bytes[end] & 0xC0 == 0x80 { end -= 1 }
        bytes.removeSubrange(end...)
        bytes.append(UInt8(ascii: "~"))
        for place in 1...hashDigits { bytes.append(Hex.digits[Int(hash >> UInt64(4 * (hashDigits - place)) & 15)]) }
        return true
    }
}
