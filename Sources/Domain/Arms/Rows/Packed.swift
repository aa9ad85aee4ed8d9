/// Packed bytes that are not what they should be.
struct PackedError: Error {}

/// Packs numbers and texts behind one another. Numbers take seven bits a byte, the lowest first; the highest bit says that more
/// follow.
struct PackedWriter {
    private(set) var bytes: [UInt8] = []

    mutating func number(_ value: UInt64) {
        var rest = value
        while rest >= 128 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 128)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    mutating func count(_ value: Int) { number(UInt64(value)) }

    /// Small numbers are short whatever their sign.
    mutating func signed(_ value: Int64) { number(UInt64(bitPattern: value << 1 ^ value >> 63)) }

    mutating func byte(_ value: UInt8) { bytes.append(value) }

    /// The length, then the bytes.
    mutating func blob(_ value: [UInt8]) {
        count(value.count)
        bytes.append(contentsOf: value)
    }

    mutating func text(_ value: String) {
        count(value.utf8.count)
        bytes.append(contentsOf: value.utf8)
    }
}

/// Reads what a ``PackedWriter`` wrote, and trusts none of it.
struct PackedReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }

    mutating func byte() throws(PackedError) -> UInt8 {
        guard position < bytes.count else { throw PackedError() }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func number() throws(PackedError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), through: 63, by: 7) {
            let byte = try byte()
            value |= UInt64(byte & 127) << shift
            if byte < 128 { return value }
        }
        throw PackedError()
    }

    mutating func signed() throws(PackedError) -> Int64 {
        let value = try number()
        return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }

    /// A number of things of which each takes a byte at least.
    mutating func count() throws(PackedError) -> Int {
        let value = try number()
        guard value <= UInt64(bytes.count - position) else { throw PackedError() }
        return Int(value)
    }

    mutating func blob() throws(PackedError) -> ArraySlice<UInt8> {
        let count = try count()
        defer { position += count }
        return bytes[position..<(position + count)]
    }

    mutating func text() throws(PackedError) -> String { String(decoding: try blob(), as: UTF8.self) }

    mutating func skipText() throws(PackedError) { _ = try blob() }
}
