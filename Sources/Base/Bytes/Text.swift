/// Lower-case hexadecimal.
package enum Hex {
    package static let digits: [UInt8] = Array("0123456789abcdef".utf8)

    /// Appends two digits per byte.
    package static func append(_ source: some Sequence<UInt8>, to bytes: inout [UInt8]) {
        for byte in source {
            bytes.append(digits[Int(byte >> 4)])
            bytes.append(digits[Int(byte & 15)])
        }
    }

    /// Two digits per byte.
    package static func string(_ source: some Sequence<UInt8>) -> String {
        var bytes: [UInt8] = []
        append(source, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The bytes that `text` names, or nil where it is not an even number of hexadecimal digits.
    package static func bytes(_ text: some Collection<UInt8>) -> [UInt8]? {
        guard text.count.isMultiple(of: 2) else { return nil }
        var result: [UInt8] = []
        result.reserveCapacity(text.count / 2)
        var high: UInt8?
        for character in text {
            let value: UInt8
            switch character {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = character - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = character - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): value = character - UInt8(ascii: "A") + 10
            default: return nil
            }
            if let first = high {
                result.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        return result
    }
}

/// Integers as decimal digits.
package enum Decimal {
    /// Bytes of the longest number, a minus sign and 19 digits.
    package static let digitsMax = 20

    private static let pairs: StaticString = """
        00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657\
        585960616263646566676869707172737475767778798081828384858687888990919293949596979899
        """

    /// Appends the digits, with a minus sign where it is due.
    package static func append(_ value: Int64, to bytes: inout [UInt8]) {
        bytes.appendRaw(upTo: digitsMax) { write(value, to: $0) }
    }

    /// Writes the digits, with a minus sign where it is due: ``digitsMax`` bytes at most.
    ///
    /// - Returns: bytes written.
    package static func write(_ value: Int64, to bytes: UnsafeMutablePointer<UInt8>) -> Int {
        let sign = value < 0 ? 1 : 0
        if value < 0 { bytes[0] = UInt8(ascii: "-") }
        var width = 1
        var bound: UInt64 = 10
        while width < 19 && value.magnitude >= bound {
            width += 1
            bound &*= 10
        }
        writeDigits(value.magnitude, width: width, to: bytes + sign)
        return sign + width
    }

    /// Appends `value` with leading zeroes up to `width` digits, at most 20; for file names and dates.
    package static func append(_ value: Int64, width: Int, to bytes: inout [UInt8]) {
        bytes.appendRaw(upTo: width) { start in
            writeDigits(value.magnitude, width: width, to: start)
            return width
        }
    }

    /// Writes the last `width` digits of `value`.
    package static func writeDigits(_ value: UInt64, width: Int, to bytes: UnsafeMutablePointer<UInt8>) {
        var rest = value
        var index = width
        while index >= 2 {
            index -= 2
            let pair = pairs.utf8Start + 2 * Int(truncatingIfNeeded: rest % 100)
            bytes[index] = pair[0]
            bytes[index + 1] = pair[1]
            rest /= 100
        }
        if index == 1 { bytes[0] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10) }
    }
}

/// Base64 with padding, RFC 4648 section 4.
package enum Base64 {
    private static let alphabet: StaticString = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

    /// Bytes of the encoded text of so many bytes.
    package static func count(_ sourceCount: Int) -> Int { (sourceCount + 2) / 3 * 4 }

    /// Appends the encoded text.
    package static func append(_ source: UnsafeRawBufferPointer, to bytes: inout [UInt8]) {
        bytes.appendRaw(upTo: count(source.count)) { write(source, to: $0) }
    }

    /// Writes the encoded text.
    ///
    /// - Returns: bytes written.
    package static func write(_ source: UnsafeRawBufferPointer, to start: UnsafeMutablePointer<UInt8>) -> Int {
        guard let input = source.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return 0 }
        let digits = alphabet.utf8Start
        var output = start
        var index = 0
        while index + 3 <= source.count {
            let group = UInt32(input[index]) << 16 | UInt32(input[index + 1]) << 8 | UInt32(input[index + 2])
            output[0] = digits[Int(group >> 18)]
            output[1] = digits[Int(group >> 12 & 63)]
            output[2] = digits[Int(group >> 6 & 63)]
            output[3] = digits[Int(group & 63)]
            output += 4
            index += 3
        }
        let left = source.count - index
        if left > 0 {
            let group = UInt32(input[index]) << 16 | (left > 1 ? UInt32(input[index + 1]) << 8 : 0)
            output[0] = digits[Int(group >> 18)]
            output[1] = digits[Int(group >> 12 & 63)]
            output[2] = left > 1 ? digits[Int(group >> 6 & 63)] : UInt8(ascii: "=")
            output[3] = UInt8(ascii: "=")
            output += 4
        }
        return output - start
    }

    /// The encoded text.
    package static func string(_ source: [UInt8]) -> String {
        var bytes: [UInt8] = []
        source.withUnsafeBytes { buffer in append(buffer, to: &bytes) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The decoded bytes, or nil where `text` is not padded base64.
    package static func bytes(_ text: some Collection<UInt8>) -> [UInt8]? {
        guard text.count.isMultiple(of: 4) else { return nil }
        var result: [UInt8] = []
        result.reserveCapacity(text.count / 4 * 3)
        var group: UInt32 = 0
        var digits = 0
        var padding = 0
        for character in text {
            let value: UInt32
            switch character {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = UInt32(character - UInt8(ascii: "A"))
            case UInt8(ascii: "a")...UInt8(ascii: "z"): value = UInt32(character - UInt8(ascii: "a")) + 26
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = UInt32(character - UInt8(ascii: "0")) + 52
            case UInt8(ascii: "+"): value = 62
            case UInt8(ascii: "/"): value = 63
            case UInt8(ascii: "="):
                padding += 1
                value = 0
            default: return nil
            }
            if padding > 0 && character != UInt8(ascii: "=") { return nil }
            group = group << 6 | value
            digits += 1
            if digits == 4 {
                result.append(UInt8(group >> 16 & 255))
                result.append(UInt8(group >> 8 & 255))
                result.append(UInt8(group & 255))
                group = 0
                digits = 0
            }
        }
        guard padding <= 2 else { return nil }
        result.removeLast(padding)
        return result
    }
}
