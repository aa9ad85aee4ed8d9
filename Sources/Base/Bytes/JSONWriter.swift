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
    /// Appends `utf8` as a JSON string with its quotes. Only `"`, `\` and control characters are escaped.
    package static func appendQuoted(_ utf8: UnsafeBufferPointer<UInt8>, to bytes: inout [UInt8]) {
        appendQuoted("", utf8, to: &bytes)
    }

    /// Appends `prefix` as it is, and `utf8` as a JSON string.
    package static func appendQuoted(
        _ prefix: StaticString, _ utf8: UnsafeBufferPointer<UInt8>, to bytes: inout [UInt8]
    ) {
        var index = plainCount(utf8, from: 0)
        if index == utf8.count {
            // Most strings need no escape: then all of it goes out at once.
            let prefixCount = prefix.utf8CodeUnitCount
            bytes.appendRaw(upTo: prefixCount + index + 2) { start in
                start.update(from: prefix.utf8Start, count: prefixCount)
                start[prefixCount] = UInt8(ascii: "\"")
                if let source = utf8.baseAddress { (start + prefixCount + 1).update(from: source, count: index) }
                start[prefixCount + 1 + index] = UInt8(ascii: "\"")
                return prefixCount + index + 2
            }
            return
        }
        bytes.append(contentsOf: UnsafeBufferPointer(start: prefix.utf8Start, count: prefix.utf8CodeUnitCount))
        bytes.append(UInt8(ascii: "\""))
        var start = 0
        while index < utf8.count {
            bytes.append(contentsOf: UnsafeBufferPointer(rebasing: utf8[start..<index]))
            appendEscape(of: utf8[index], to: &bytes)
            start = index + 1
            index = plainCount(utf8, from: start)
        }
        bytes.append(contentsOf: UnsafeBufferPointer(rebasing: utf8[start..<index]))
        bytes.append(UInt8(ascii: "\""))
    }

    /// The place of the first byte from `start` on that needs an escape; the count where there is none.
    private static func plainCount(_ utf8: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
        var index = start
        if let base = UnsafeRawPointer(utf8.baseAddress) {
            // Eight bytes at a time; each test leaves the high bit of a byte that it is true for, and is exact as long as
            // only "any" is asked (https://graphics.stanford.edu/~seander/bithacks.html#HasLessInWord).
            let ones: UInt64 = 0x0101_0101_0101_0101
            while index + 8 <= utf8.count {
                let word = base.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                let quote = word ^ (ones &* 0x22)
                let backslash = word ^ (ones &* 0x5C)
                let special =
                    ((word &- ones &* 0x20) & ~word) | ((quote &- ones) & ~quote) | ((backslash &- ones) & ~backslash)
                if special & (ones &* 0x80) != 0 { break }
                index += 8
            }
        }
        while index < utf8.count {
            let byte = utf8[index]
            if byte < 0x20 || byte == 0x22 || byte == 0x5C { return index }
            index += 1
        }
        return index
    }

    /// Appends the escape of one byte below 0x20, a quote or a backslash.
    package static func appendEscape(of byte: UInt8, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\\"))
        switch byte {
        case 0x22, 0x5C: bytes.append(byte)
        case 0x08: bytes.append(UInt8(ascii: "b"))
        case 0x09: bytes.append(UInt8(ascii: "t"))
        case 0x0A: bytes.append(UInt8(ascii: "n"))
        case 0x0C: bytes.append(UInt8(ascii: "f"))
        case 0x0D: bytes.append(UInt8(ascii: "r"))
        default:
            bytes.append(contentsOf: "u00".utf8)
            bytes.append(Hex.digits[Int(byte >> 4)])
            bytes.append(Hex.digits[Int(byte & 15)])
        }
    }
}
