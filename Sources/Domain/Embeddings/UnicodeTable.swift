/// What BERT's normalizer and pre-tokenizer do to a Unicode scalar, in the reference tokenizer's Unicode version.
///
/// The standard library's Unicode properties would be of another version and so give other tokens for some texts.
/// `unicodeTableText` holds entries separated by spaces: scalars (`first`, `first-last` or `first-last/2` for every
/// second one, hexadecimal), an operator, and its operand:
///
/// | operator | meaning |
/// | --- | --- |
/// | `=x.y` | becomes x y, the same for the whole range (accents are gone, letters are lower-case) |
/// | `+x` | becomes x, which moves along with the range |
/// | `~` | disappears, and canonical ordering goes on over it (control characters, most accents) |
/// | `!` | disappears, but canonical ordering stops at it |
/// | `_` | becomes a space |
/// | `^` | is a word of its own (ideographs); `^x` as x; `^x+` as x, which moves along with the range |
/// | `@x` | stays and has canonical combining class x |
/// | `p` | stays and is punctuation: a word of its own |
///
/// What has no entry stays. Hangul syllables are decomposed by arithmetic (Unicode Standard, section 3.12).
struct UnicodeTable: Sendable {
    /// What to do with a scalar.
    enum Action: UInt32 {
        case keep, replace, drop, dropStarter, space, isolate, replaceBySequence, punctuation
    }

    /// One scalar's entry, packed: target (21 bits), action (3 bits), canonical combining class (8 bits).
    struct Entry {
        fileprivate(set) var bits: UInt32

        fileprivate init(_ action: Action, target: UInt32 = 0, combiningClass: UInt32 = 0) {
            bits = target | action.rawValue << 21 | combiningClass << 24
        }

        fileprivate init(bits: UInt32) { self.bits = bits }

        var action: Action { Action(rawValue: bits >> 21 & 7) ?? .keep }
        /// The replacing scalar, or an index into `sequences`.
        var target: UInt32 { bits & 0x1F_FFFF }
        /// 0 for a starter.
        var combiningClass: UInt8 { UInt8(truncatingIfNeeded: bits >> 24) }
    }

    /// Replacements of more than one scalar.
    private(set) var sequences: [[UInt32]] = []
    // Two stages: a page number per 256 scalars, and the pages. Page 0 keeps everything.
    private var pageNumbers = [UInt16](repeating: 0, count: 0x110000 >> 8)
    private var entries = [UInt32](repeating: 0, count: 256)

    /// The only table; made in about a millisecond.
    static let reference = UnicodeTable(
        text: unicodeTableText.withUTF8Buffer { $0.split(separator: UInt8(ascii: " ")).map(Array.init) })

    subscript(_ scalar: UInt32) -> Entry {
        Entry(bits: entries[Int(pageNumbers[Int(scalar >> 8)]) << 8 | Int(scalar & 0xFF)])
    }

    private init(text: [[UInt8]]) {
        for entry in text {
            var fields = Fields(bytes: entry)
            let first = fields.number()
            let last = fields.skip("-") ? fields.number() : first
            let step: UInt32 = fields.skip("/") ? fields.number() : 1
            let operation = fields.next()
            var operands: [UInt32] = []
            while let operand = fields.optionalNumber() {
                operands.append(operand)
                _ = fields.skip(".")
            }
            let moves = fields.skip("+") || operation == UInt8(ascii: "+")
            for scalar in stride(from: first, through: last, by: Int(step)) {
                let offset = moves ? scalar - first : 0
                set(scalar, entry: make(operation, scalar: scalar, operands: operands, offset: offset))
            }
        }
    }

    private mutating func make(_ operation: UInt8, scalar: UInt32, operands: [UInt32], offset: UInt32) -> Entry {
        switch operation {
        case UInt8(ascii: "~"): return Entry(.drop)
        case UInt8(ascii: "!"): return Entry(.dropStarter)
        case UInt8(ascii: "_"): return Entry(.space)
        case UInt8(ascii: "p"): return Entry(.punctuation)
        case UInt8(ascii: "@"): return Entry(.keep, combiningClass: operands.first ?? 0)
        case UInt8(ascii: "^"): return Entry(.isolate, target: operands.first.map { $0 + offset } ?? scalar)
        case _ where operands.count > 1:
            sequences.append(operands)
            return Entry(.replaceBySequence, target: UInt32(sequences.count - 1))
        default: return Entry(.replace, target: (operands.first ?? scalar) + offset)
        }
    }

    private mutating func set(_ scalar: UInt32, entry: Entry) {
        let page = Int(scalar >> 8)
        if pageNumbers[page] == 0 {
            pageNumbers[page] = UInt16(entries.count >> 8)
            entries.append(contentsOf: repeatElement(0, count: 256))
        }
        let index = Int(pageNumbers[page]) << 8 | Int(scalar & 0xFF)
        // A scalar that is replaced never reaches the pre-tokenizer, so that it is punctuation too does not matter.
        if entries[index] == 0 { entries[index] = entry.bits }
    }
}

/// Reads the fields of one entry of the table's text.
private struct Fields {
    let bytes: [UInt8]
    var position = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    mutating func next() -> UInt8 {
        guard position < bytes.count else { return 0 }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func skip(_ character: Unicode.Scalar) -> Bool {
        guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    mutating func optionalNumber() -> UInt32? {
        var value: UInt32?
        while position < bytes.count {
            switch bytes[position] {
            case let digit where digit >= 0x30 && digit <= 0x39: value = (value ?? 0) << 4 | UInt32(digit - 0x30)
            case let digit where digit >= 0x61 && digit <= 0x66: value = (value ?? 0) << 4 | UInt32(digit - 0x57)
            default: return value
            }
            position += 1
        }
        return value
    }

    mutating func number() -> UInt32 { optionalNumber() ?? 0 }
}
