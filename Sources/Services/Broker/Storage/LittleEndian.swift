import Hashing

/// Builds one of the broker's own small binary files: little-endian integers, length-prefixed text, a sum at the end.
struct LittleEndianBytes {
    private(set) var bytes: [UInt8] = []

    mutating func append<Value: FixedWidthInteger>(_ value: Value) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func append(contentsOf more: [UInt8]) {
        bytes.append(contentsOf: more)
    }

    /// Length as UInt16, then UTF-8; text beyond 65,535 bytes is the caller's fault and is cut.
    mutating func append(_ text: String) {
        let utf8 = text.utf8.prefix(Int(UInt16.max))
        append(UInt16(utf8.count))
        bytes.append(contentsOf: utf8)
    }

    /// Appends the CRC-32C of all bytes from `start` on.
    mutating func appendSum(from start: Int = 0) {
        append(bytes.withUnsafeBytes { crc32c(UnsafeRawBufferPointer(rebasing: $0[start...])) })
    }
}

/// Reads what ``LittleEndianBytes`` wrote; every step answers nil at the end of the bytes.
struct LittleEndianReader {
    private let bytes: [UInt8]
    private(set) var position: Int
    private let end: Int

    init(_ bytes: [UInt8], from position: Int = 0, to end: Int? = nil) {
        self.bytes = bytes
        self.position = position
        self.end = min(end ?? bytes.count, bytes.count)
    }

    var remaining: Int { end - position }

    mutating func next<Value: FixedWidthInteger>() -> Value? {
        let size = MemoryLayout<Value>.size
        guard remaining >= size else { return nil }
        defer { position += size }
        return bytes.withUnsafeBytes {
            Value(littleEndian: $0.loadUnaligned(fromByteOffset: position, as: Value.self))
        }
    }

    mutating func nextText() -> String? {
        guard let count: UInt16 = next(), remaining >= Int(count) else { return nil }
        defer { position += Int(count) }
        return String(validating: bytes[position..<position + Int(count)], as: UTF8.self)
    }

    /// Whether the last four bytes of `bytes` are the sum of those before.
    static func hasSoundSum(_ bytes: [UInt8]) -> Bool {
        guard bytes.count >= 4 else { return false }
        return bytes.withUnsafeBytes { buffer in
            let content = UnsafeRawBufferPointer(rebasing: buffer[..<(buffer.count - 4)])
            let stored = UInt32(littleEndian: buffer.loadUnaligned(fromByteOffset: buffer.count - 4, as: UInt32.self))
            return crc32c(content) == stored
        }
    }
}
