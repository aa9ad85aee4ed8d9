/// Encodes the primitive types of the Kafka protocol for one response.
struct WireWriter {
    private(set) var bytes: [UInt8] = []
    var isFlexible: Bool

    init(isFlexible: Bool) {
        self.isFlexible = isFlexible
    }

    private mutating func integer<Value: FixedWidthInteger>(_ value: Value) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func int8(_ value: Int8) { integer(value) }
    mutating func int16(_ value: Int16) { integer(value) }
    mutating func int32(_ value: Int32) { integer(value) }
    mutating func int64(_ value: Int64) { integer(value) }
    mutating func bool(_ value: Bool) { bytes.append(value ? 1 : 0) }
    mutating func error(_ code: ErrorCode) { integer(code.rawValue) }

    mutating func topicID(_ id: TopicID) {
        integer(id.high)
        integer(id.low)
    }

    mutating func unsignedVarint(_ value: UInt32) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    private mutating func length(_ count: Int?, wide: Bool) {
        if isFlexible {
            unsignedVarint(count.map { UInt32($0) + 1 } ?? 0)
        } else if wide {
            int32(Int32(count ?? -1))
        } else {
            int16(Int16(count ?? -1))
        }
    }

    /// Text longer than 32,767 bytes is cut, which only an error message could be.
    mutating func nullableString(_ text: String?) {
        guard let text else { return length(nil, wide: false) }
        let utf8 = text.utf8.prefix(Int(Int16.max))
        length(utf8.count, wide: false)
        bytes.append(contentsOf: utf8)
    }

    mutating func string(_ text: String) { nullableString(text) }

    /// The length of a bytes field whose content follows by other means.
    mutating func bytesLength(_ count: Int?) { length(count, wide: true) }

    /// A bytes field with its content.
    mutating func bytesField(_ content: [UInt8]) {
        length(content.count, wide: true)
        bytes.append(contentsOf: content)
    }

    mutating func array<Elements: Collection>(
        _ elements: Elements, _ write: (inout WireWriter, Elements.Element) -> Void
    ) {
        length(elements.count, wide: true)
        for element in elements { write(&self, element) }
    }

    mutating func nullArray() { length(nil, wide: true) }

    mutating func int32Array(_ values: [Int32]) { array(values) { $0.int32($1) } }

    /// No tagged fields.
    mutating func tags() {
        if isFlexible { bytes.append(0) }
    }

    /// Takes the bytes written so far out, to put something else between them and what follows.
    mutating func take() -> [UInt8] {
        defer { bytes = [] }
        return bytes
    }
}
