/// A text that is being written into room for all of it: on one line, with white space made single and none at its ends.
struct CleanLine {
    private let start: UnsafeMutablePointer<UInt8>
    private(set) var count = 0
    /// A space is due before what comes next.
    private var isSpaceDue = false
    /// A colon is due before what comes next, because a section or an automatic summary ended.
    private var isJointDue = false

    /// - Parameter start: room for everything that is going to be appended.
    init(start: UnsafeMutablePointer<UInt8>) { self.start = start }

    /// The last byte, or 0 where there is none.
    var last: UInt8 { count > 0 ? start[count - 1] : 0 }

    /// Appends one byte that is no white space.
    mutating func append(_ byte: UInt8) {
        settle(before: byte)
        start[count] = byte
        count += 1
    }

    /// Appends bytes in which no space follows another and no other white space occurs.
    mutating func append(_ bytes: UnsafePointer<UInt8>, _ byteCount: Int) {
        let first = bytes[0] == 0x20 ? 1 : 0
        let end = byteCount > first && bytes[byteCount - 1] == 0x20 ? byteCount - 1 : byteCount
        if first > 0 { isSpaceDue = true }
        guard end > first else { return }
        settle(before: bytes[first])
        (start + count).update(from: bytes + first, count: end - first)
        count += end - first
        if end < byteCount { isSpaceDue = true }
    }

    /// Appends bytes as they come, with runs of white space folded to one space.
    mutating func appendFolded(_ bytes: UnsafePointer<UInt8>, _ byteCount: Int) {
        for index in 0..<byteCount {
            if bytes[index] > 0x20 && bytes[index] != 0x7F { append(bytes[index]) } else { space() }
        }
    }

    /// Appends one scalar: white space as a space, a soft hyphen as nothing.
    mutating func append(scalar: UInt32) {
        switch scalar {
        case 0...0x20, 0x7F, 0xA0, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x3000: space()
        case 0xAD: return
        case 0..<0x80: append(UInt8(truncatingIfNeeded: scalar))
        case 0x80..<0x800:
            append(0xC0 | UInt8(truncatingIfNeeded: scalar >> 6))
            append(0x80 | UInt8(truncatingIfNeeded: scalar & 0x3F))
        case 0x800..<0x1_0000:
            append(0xE0 | UInt8(truncatingIfNeeded: scalar >> 12))
            append(0x80 | UInt8(truncatingIfNeeded: scalar >> 6 & 0x3F))
            append(0x80 | UInt8(truncatingIfNeeded: scalar & 0x3F))
        default:
            append(0xF0 | UInt8(truncatingIfNeeded: scalar >> 18))
            append(0x80 | UInt8(truncatingIfNeeded: scalar >> 12 & 0x3F))
            append(0x80 | UInt8(truncatingIfNeeded: scalar >> 6 & 0x3F))
            append(0x80 | UInt8(truncatingIfNeeded: scalar & 0x3F))
        }
    }

    /// Puts a space before what comes next, if anything comes.
    mutating func space() { isSpaceDue = true }

    /// Puts a space before what comes next where the text so far ends in a letter or digit.
    mutating func spaceAfterWord() {
        var lead = count - 1
        while lead > 0 && start[lead] & 0xC0 == 0x80 { lead -= 1 }
        if lead >= 0 && Self.beginsWord(start[lead]) { isSpaceDue = true }
    }

    /// Puts a colon and a space before what comes next, if anything comes.
    mutating func joint() { isJointDue = count > 0 }

    /// Writes the space or colon that is due, so that ``count`` is where the next text begins.
    mutating func settle() { settle(before: UInt8(ascii: "a")) }

    mutating func removeLast() { count = max(0, count - 1) }

    /// Takes back what was written from `place` on.
    mutating func cut(to place: Int) {
        count = min(count, place)
        isSpaceDue = false
    }

    /// Takes `byteCount` bytes out at `place`.
    mutating func remove(_ byteCount: Int, at place: Int) {
        (start + place).update(from: start + place + byteCount, count: count - place - byteCount)
        count -= byteCount
    }

    /// Makes single spaces of the `_` from `place` on.
    mutating func replaceUnderscores(from place: Int) {
        guard written(from: place).contains(UInt8(ascii: "_")) else { return }
        let end = count
        count = place
        for index in place..<end {
            let byte = start[index] == UInt8(ascii: "_") ? 0x20 : start[index]
            if byte == 0x20 && (count == 0 || last == 0x20) { continue }
            start[count] = byte
            count += 1
        }
    }

    /// What was written from `place` on, for the time of one call.
    func written(from place: Int) -> UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(start: start + place, count: max(0, count - place))
    }

    /// Takes the white space off the end, and everything where there are only punctuation marks.
    mutating func finish() {
        while last == 0x20 { count -= 1 }
        if written(from: 0).allSatisfy({ $0 == 0x20 || Self.separates($0) || $0 == UInt8(ascii: ".") }) { count = 0 }
    }

    private mutating func settle(before byte: UInt8) {
        guard isJointDue || isSpaceDue else { return }
        if isJointDue {
            isJointDue = false
            isSpaceDue = !Self.separates(byte)
            while last == 0x20 { count -= 1 }
            if isSpaceDue && !Self.endsPart(last) {
                start[count] = UInt8(ascii: ":")
                count += 1
            }
        }
        if isSpaceDue && count > 0 && last != 0x20 {
            start[count] = 0x20
            count += 1
        }
        isSpaceDue = false
    }

    private static func separates(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: ":") || byte == UInt8(ascii: ",") || byte == UInt8(ascii: ";")
    }

    private static func endsPart(_ byte: UInt8) -> Bool {
        separates(byte) || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "!") || byte == UInt8(ascii: "?")
    }

    /// Whether a scalar with this first byte is likely a letter or digit. Quotation marks of most scripts begin with C2, E2
    /// or E3.
    static func beginsWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        case 0xC3...0xE1, 0xE4...0xEE, 0xF0...: true
        default: false
        }
    }
}
