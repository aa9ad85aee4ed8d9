/// Writes JSON straight into bytes, in the order of the calls.
///
/// For lake lines, API replies and logs, where Foundation's encoder is 5 to 20 times slower and its key order
/// changes from run to run. Commas are the writer's business; balance of `begin`/`end` is the caller's.
/// Grammar: RFC 8259. Non-ASCII text is written as UTF-8, `/` is not escaped.
package struct JSONWriter {
    /// What has been written so far.
    package var bytes: [UInt8]
    private var needsComma = false

    /// - Parameter capacity: bytes to reserve at first.
    package init(capacity: Int = 256) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    /// Forgets what was written and keeps the storage.
    package mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        needsComma = false
    }

    /// Opens an object.
    package mutating func beginObject() { open(UInt8(ascii: "{")) }
    /// Closes the innermost object.
    package mutating func endObject() { close(UInt8(ascii: "}")) }
    /// Opens an array.
    package mutating func beginArray() { open(UInt8(ascii: "[")) }
    /// Closes the innermost array.
    package mutating func endArray() { close(UInt8(ascii: "]")) }

    /// Writes a member's name, which must need no escaping (names are the program's own).
    package mutating func key(_ name: StaticString) {
        let count = name.utf8CodeUnitCount
        let comma = needsComma ? 1 : 0
        bytes.appendRaw(upTo: count + 4) { start in
            start[0] = UInt8(ascii: ",")
            start[comma] = UInt8(ascii: "\"")
            (start + comma + 1).update(from: name.utf8Start, count: count)
            start[comma + count + 1] = UInt8(ascii: "\"")
            start[comma + count + 2] = UInt8(ascii: ":")
            return comma + count + 3
        }
        needsComma = false
    }

    /// Writes a member's name that is only known at run time.
    package mutating func key(dynamic name: String) {
        string(name)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    /// Writes a string, escaped.
    package mutating func string(_ value: String) {
        separate()
        var value = value
        value.withUTF8 { utf8 in JSONText.appendQuoted(utf8, to: &bytes) }
        needsComma = true
    }

    /// Writes a string given as UTF-8, which must be valid.
    package mutating func string(utf8 value: UnsafeBufferPointer<UInt8>) {
        separate()
        JSONText.appendQuoted(value, to: &bytes)
        needsComma = true
    }

    /// Writes a whole number.
    package mutating func integer(_ value: some BinaryInteger) {
        separate()
        if let value = Int64(exactly: value) {
            Decimal.append(value, to: &bytes)
        } else {
            bytes.append(contentsOf: value.description.utf8)
        }
        needsComma = true
    }

    /// Writes the shortest decimal that reads back as the same value; NaN and infinities become `null`.
    package mutating func double(_ value: Double) {
        separate()
        if value.isFinite {
            bytes.append(contentsOf: value.description.utf8)
        } else {
            bytes.append(contentsOf: "null".utf8)
        }
        needsComma = true
    }

    /// Writes `true` or `false`.
    package mutating func bool(_ value: Bool) {
        separate()
        bytes.append(contentsOf: value ? "true".utf8 : "false".utf8)
        needsComma = true
    }

    /// Writes `null`.
    package mutating func null() {
        separate()
        bytes.append(contentsOf: "null".utf8)
        needsComma = true
    }

    /// Writes a member whose value is a string.
    package mutating func string(_ key: StaticString, _ value: String) {
        self.key(key)
        string(value)
    }

    /// Writes a member whose value is a whole number.
    package mutating func integer(_ key: StaticString, _ value: some BinaryInteger) {
        self.key(key)
        integer(value)
    }

    /// Writes a member whose value is a number.
    package mutating func double(_ key: StaticString, _ value: Double) {
        self.key(key)
        double(value)
    }

    /// Writes a member whose value is true or false.
    package mutating func bool(_ key: StaticString, _ value: Bool) {
        self.key(key)
        bool(value)
    }

    /// Writes one complete JSON value that is already text.
    package mutating func raw(_ json: some Sequence<UInt8>) {
        separate()
        bytes.append(contentsOf: json)
        needsComma = true
    }

    private mutating func open(_ bracket: UInt8) {
        separate()
        bytes.append(bracket)
        needsComma = false
    }

    private mutating func close(_ bracket: UInt8) {
        bytes.append(bracket)
        needsComma = true
    }

    private mutating func separate() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = false
    }
}

/// The text of JSON strings.
package enum JSONText {
    /// Bytes that one byte of a string takes at most: a control character becomes `\u00xx`.
    package static let bytesPerByteMax = 6

    /// Appends `utf8` as a JSON string with its quotes. Only `"`, `\` and control characters are escaped.
    package static func appendQuoted(_ utf8: UnsafeBufferPointer<UInt8>, to bytes: inout [UInt8]) {
        bytes.appendRaw(upTo: bytesPerByteMax * utf8.count + 2) { writeQuoted(utf8, to: $0) }
    }

    /// Writes `utf8` as a JSON string with its quotes: at most ``bytesPerByteMax`` for each byte, and two.
    ///
    /// - Returns: bytes written.
    package static func writeQuoted(
        _ utf8: UnsafeBufferPointer<UInt8>, to start: UnsafeMutablePointer<UInt8>
    ) -> Int {
        start[0] = UInt8(ascii: "\"")
        var output = start + 1
        if let source = utf8.baseAddress {
            var index = 0
            // Eight bytes at a time are copied and looked at.
            while index + 8 <= utf8.count {
                let word = UnsafeRawPointer(source + index).loadUnaligned(as: UInt64.self)
                UnsafeMutableRawPointer(output).storeBytes(of: word, as: UInt64.self)
                let special = specialBytes(of: UInt64(littleEndian: word))
                if special == 0 {
                    index += 8
                    output += 8
                } else {
                    let plain = special.trailingZeroBitCount >> 3
                    index += plain
                    output += plain
                    output += writeEscape(of: source[index], to: output)
                    index += 1
                }
            }
            while index < utf8.count {
                let byte = source[index]
                if byte < 0x20 || byte == 0x22 || byte == 0x5C {
                    output += writeEscape(of: byte, to: output)
                } else {
                    output[0] = byte
                    output += 1
                }
                index += 1
            }
        }
        output[0] = UInt8(ascii: "\"")
        return output + 1 - start
    }

    /// The high bit of bytes that need an escape: exact up to the first of them, which is in the lowest byte that is set
    /// (https://graphics.stanford.edu/~seander/bithacks.html#HasLessInWord).
    static func specialBytes(of word: UInt64) -> UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let quote = word ^ (ones &* 0x22)
        let backslash = word ^ (ones &* 0x5C)
        let special =
            ((word &- ones &* 0x20) & ~word) | ((quote &- ones) & ~quote) | ((backslash &- ones) & ~backslash)
        return special & (ones &* 0x80)
    }

    /// Writes the escape of one byte below 0x20, a quote or a backslash.
    private static func writeEscape(of byte: UInt8, to output: UnsafeMutablePointer<UInt8>) -> Int {
        output[0] = UInt8(ascii: "\\")
        switch byte {
        case 0x22, 0x5C: output[1] = byte
        case 0x08: output[1] = UInt8(ascii: "b")
        case 0x09: output[1] = UInt8(ascii: "t")
        case 0x0A: output[1] = UInt8(ascii: "n")
        case 0x0C: output[1] = UInt8(ascii: "f")
        case 0x0D: output[1] = UInt8(ascii: "r")
        default:
            output[1] = UInt8(ascii: "u")
            output[2] = UInt8(ascii: "0")
            output[3] = UInt8(ascii: "0")
            output[4] = Hex.digits[Int(byte >> 4)]
            output[5] = Hex.digits[Int(byte & 15)]
            return 6
        }
        return 2
    }
}
