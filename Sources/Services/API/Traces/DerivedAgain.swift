import Derivation
import Lake
import Records

/// The lines that a generation's stored logic makes of one event. Duplicates play no part: the event made a document before. Near
/// duplicates play none either: a document that was left out as one is made as if it had come through.
struct DerivedAgain {
    /// Without their line feeds; nil where the logic makes none.
    let silver: [UInt8]?
    let gold: [UInt8]?

    /// - Throws: where this binary does not have the logic.
    init(_ bronze: TraceBronze, by generation: LakeGeneration) throws {
        var processor = try RecordProcessor(
            source: TopicPartition(topic: bronze.topic, partition: bronze.partition), writesBronze: false)
        try processor.add(generation)
        var headers = RecordHeaderText()
        for header in bronze.headers {
            Array(header.name.utf8).withUnsafeBufferPointer { name in
                if let value = header.value {
                    value.withUnsafeBytes { headers.add(name, $0) }
                } else {
                    headers.add(name, nil)
                }
            }
        }
        func run(_ key: UnsafeRawBufferPointer?, _ value: UnsafeRawBufferPointer?) throws {
            try processor.process(
                SourceRecord(
                    topic: bronze.topic, partition: bronze.partition, offset: bronze.offset,
                    timestampMilliseconds: bronze.timestampMilliseconds, key: key, origin: headers.origin,
                    mayRepeat: headers.mayRepeat, eventID: headers.eventID, value: value))
        }
        func withBytes(_ bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer?) throws -> Void) throws {
            guard let bytes else { return try body(nil) }
            try bytes.withUnsafeBytes { try body($0) }
        }
        try withBytes(bronze.key) { key in try withBytes(bronze.value) { try run(key, $0) } }
        let lines = processor.generations.first?.lines
        silver = Self.line(lines?.silver ?? [])
        gold = Self.line(lines?.gold ?? [])
    }

    private static func line(_ text: [UInt8]) -> [UInt8]? {
        guard let end = text.firstIndex(of: 0x0A) else { return text.isEmpty ? nil : text }
        return Array(text[..<end])
    }
}
