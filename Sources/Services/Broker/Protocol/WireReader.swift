/// Why the bytes of a request do not make a request; the connection is closed then.
struct WireError: Error, CustomStringConvertible, Equatable {
    /// Such as `array of 2000000000 elements in 12 bytes`.
    let reason: String
    /// Byte in the request frame (after its length field).
    let position: Int

    var description: String { "malformed request at byte \(position): \(reason)" }
}

/// Decodes the primitive types of the Kafka protocol (protocol guide, "Protocol Primitive Types") from one request
/// frame. Every length is checked against what is left before anything is allocated. What follows a request in its
/// frame is ignored, as Kafka does: librdkafka's newest Metadata requests have three such bytes.
struct WireReader {
    let bytes: [UInt8]
    private(set) var position: Int
    /// Whether this version of this API uses compact lengths and tagged fields (KIP-482).
    var isFlexible: Bool
    /// Elements of all arrays together that a request may still have: small on the wire, they are larger in memory.
    private var elementsLeft = Self.elementsMax
    private static let elementsMax = 65_536

    init(_ bytes: [UInt8], isFlexible: Bool = false) {
        self.bytes = bytes
        position = 0
        self.isFlexible = isFlexible
    }

    var remaining: Int { bytes.count - position }

    /// Memory that the request takes, its frame and what was decoded of it, rather too high than too low.
    var memoryBytes: Int { 512 + bytes.count + (Self.elementsMax - elementsLeft) * 128 }

    private func failure(_ reason: String) -> WireError {
        WireError(reason: reason, position: position)
    }

    private mutating func integer<Value: FixedWidthInteger>(_: Value.Type) throws(WireError) -> Value {
        let size = MemoryLayout<Value>.size
        guard remaining >= size else { throw failure("\(size)-byte integer in \(remaining) bytes") }
        defer { position += size }
        return bytes.withUnsafeBytes { $0.bigEndian(at: position) }
    }

    mutating func int8() throws(WireError) -> Int8 { try integer(Int8.self) }
    mutating func int16() throws(WireError) -> Int16 { try integer(Int16.self) }
    mutating func int32() throws(WireError) -> Int32 { try integer(Int32.self) }
    mutating func int64() throws(WireError) -> Int64 { try integer(Int64.self) }
    mutating func bool() throws(WireError) -> Bool { try integer(UInt8.self) != 0 }

    mutating func topicID() throws(WireError) -> TopicID {
        TopicID(high: try integer(UInt64.self), low: try integer(UInt64.self))
    }

    /// An unsigned varint of up to 32 bits.
    mutating func unsignedVarint() throws(WireError) -> UInt32 {
        var value: UInt32 = 0
        var shift: UInt32 = 0
        while shift < 35 {
            let byte = try integer(UInt8.self)
            guard shift < 28 || byte <= 0x0f else { break }
            value |= UInt32(byte & 0x7f) << shift
            if byte & 0x80 == 0 { return value }
            shift += 7
        }
        throw failure("varint longer than 32 bits")
    }

    /// A length that must be covered by what is left; -1 for null.
    private mutating func length(_ what: StaticString, wide: Bool) throws(WireError) -> Int {
        let length: Int
        if isFlexible {
            length = Int(try unsignedVarint()) - 1
        } else {
            length = wide ? Int(try int32()) : Int(try int16())
        }
        guard length >= -1, length <= remaining else { throw failure("\(what) of \(length) bytes in \(remaining)") }
        return length
    }

    mutating func nullableString() throws(WireError) -> String? {
        let count = try length("string", wide: false)
        guard count >= 0 else { return nil }
        guard let text = String(validating: bytes[position..<position + count], as: UTF8.self) else {
            throw failure("string that is not UTF-8")
        }
        position += count
        return text
    }

    mutating func string() throws(WireError) -> String {
        guard let text = try nullableString() else { throw failure("null where a string is required") }
        return text
    }

    /// Where the bytes of a bytes field lie in the frame; nil for null.
    mutating func nullableBytes() throws(WireError) -> Range<Int>? {
        let count = try length("bytes", wide: true)
        guard count >= 0 else { return nil }
        defer { position += count }
        return position..<position + count
    }

    /// A copy of a bytes field; empty for null.
    mutating func bytesField() throws(WireError) -> [UInt8] {
        guard let range = try nullableBytes() else { return [] }
        return Array(bytes[range])
    }

    mutating func nullableArray<Element>(
        _ element: (inout WireReader) throws(WireError) -> Element
    ) throws(WireError) -> [Element]? {
        // Each element takes at least one byte, so that `length` bounds the count as well.
        let count = try length("array", wide: true)
        guard count >= 0 else { return nil }
        guard count <= elementsLeft else { throw failure("more array elements than any sensible request has") }
        elementsLeft -= count
        var elements: [Element] = []
        // An element in memory may be larger than on the wire: grow with what is really there.
        elements.reserveCapacity(min(count, 1_024))
        for _ in 0..<count { elements.append(try element(&self)) }
        return elements
    }

    mutating func array<Element>(
        _ element: (inout WireReader) throws(WireError) -> Element
    ) throws(WireError) -> [Element] {
        guard let elements = try nullableArray(element) else { throw failure("null where an array is required") }
        return elements
    }

    /// Skips the tagged fields at the end of a structure; none of those in the versions spoken here is needed.
    mutating func tags() throws(WireError) {
        guard isFlexible else { return }
        let count = try unsignedVarint()
        for _ in 0..<count {
            _ = try unsignedVarint()
            let size = Int(try unsignedVarint())
            guard size <= remaining else { throw failure("tagged field of \(size) bytes in \(remaining)") }
            position += size
        }
    }
}

/// A topic's identity that survives nothing but the topic: a topic made again has another one (KIP-516).
struct TopicID: Hashable, Sendable {
    var high: UInt64
    var low: UInt64

    static let zero = TopicID(high: 0, low: 0)

    /// A random one of version 4 (RFC 9562), never zero.
    static func random() -> TopicID {
        var generator = SystemRandomNumberGenerator()
        let high = generator.next() & ~0xf000 | 0x4000
        let low = generator.next() & ~(3 << 62) | (2 << 62)
        return TopicID(high: high, low: low)
    }
}
