/// Where a template's own text and a field's meet, a punctuation mark must not stand twice: "CT and MD." and ". edit by"
/// are "CT and MD. edit by".
enum TextJoints {
    /// Appends `literal` behind a field's text.
    static func append(_ literal: UnsafeBufferPointer<UInt8>, behindField output: inout [UInt8]) {
        var literal = literal[...]
        if let mark = literal.first, isMark(mark), let last = output.last {
            if mark == UInt8(ascii: "."), isSeparator(last) {
                output.removeLast()
            } else if last == mark || mark == UInt8(ascii: ".") && endsSentence(output) {
                dropSecondStop(of: &output)
                literal = literal.dropFirst()
            }
        }
        output.append(contentsOf: literal)
    }

    /// Takes the mark off the front of a field's text, which begins at `start`, that the template's text before it ends
    /// with.
    static func tidy(fieldFrom start: Int, in output: inout [UInt8]) {
        guard start < output.count, isMark(output[start]),
            let last = output[..<start].last(where: { $0 != 0x20 }), last == output[start]
        else { return }
        var end = start + 1
        // "..." and ":)" are no marks of that kind.
        guard end == output.count || output[end] == 0x20 else { return }
        while end < output.count && output[end] == 0x20 { end += 1 }
        output.removeSubrange(start..<end)
    }

    private static func isMark(_ byte: UInt8) -> Bool { byte == UInt8(ascii: ".") || isSeparator(byte) }

    private static func isSeparator(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: ":") || byte == UInt8(ascii: ",") || byte == UInt8(ascii: ";")
    }

    /// Two stops at the end are one too many; three are meant.
    private static func dropSecondStop(of output: inout [UInt8]) {
        let stop = UInt8(ascii: ".")
        let end = output.suffix(3)
        guard end.count > 1, end.suffix(2).allSatisfy({ $0 == stop }) else { return }
        if end.count < 3 || end.first != stop { output.removeLast() }
    }

    /// Whether the last character ends a sentence, in whatever script.
    private static func endsSentence(_ output: [UInt8]) -> Bool {
        guard let last = output.last else { return false }
        if last < 0x80 { return last == UInt8(ascii: ".") || last == UInt8(ascii: "!") || last == UInt8(ascii: "?") }
        var scalar: UInt32 = 0
        var shift: UInt32 = 0
        for byte in output.suffix(4).reversed() {
            if byte & 0xC0 == 0x80 {
                scalar |= UInt32(byte & 0x3F) << shift
                shift += 6
            } else {
                scalar |= UInt32(byte & (shift == 6 ? 0x1F : 0x0F)) << shift
                break
            }
        }
        switch scalar {
        // … 。 ｡ ！ ？ ． and the full stops and question marks of Armenian, Arabic, Urdu, Devanagari and Ethiopic.
        case 0x2026, 0x3002, 0xFF61, 0xFF01, 0xFF1F, 0xFF0E, 0x0589, 0x061F, 0x06D4, 0x0964, 0x1362: return true
        default: return false
        }
    }
}
