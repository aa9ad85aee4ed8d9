import Bytes
import Derivation
import Hashing
import Lake
import Logic
import Records
import Simulator

/// What becomes of a source's events under the default logic, one document after the other.
struct GoldMaker: ~Copyable {
    /// A Gold line and the source offset of its event.
    struct Line: Sendable {
        let offset: Int64
        let bytes: [UInt8]
    }

    static let source = TopicPartition(topic: "wikimedia.recentchange", partition: 0)

    private let events: any PlayableSource
    private let eventsMax: Int
    private var processor: RecordProcessor
    private var index = 0
    private var payload: [UInt8] = []

    /// - Parameter eventsMax: of the source are looked at; most become a document.
    init(_ events: any PlayableSource, eventsMax: Int) throws {
        let settings = TransformSettings(template: try TextTemplate(TextTemplate.standard))
        var hasher = try LibraryHasher()
        let generation = LakeGeneration(
            number: 1, parent: nil,
            logic: .former(
                logicVersion: try settings.logicVersion(hasher: &hasher),
                settings: String(decoding: settings.canonicalJSON, as: UTF8.self)), state: .active)
        var processor = try RecordProcessor(source: Self.source, writesBronze: false)
        try processor.add(generation)
        self.events = events
        self.eventsMax = eventsMax
        self.processor = processor
    }

    /// The next document; nil where the events are at an end.
    mutating func next() throws -> Line? {
        while index < eventsMax {
            defer { index += 1 }
            payload.removeAll(keepingCapacity: true)
            events.appendPayload(index, to: &payload)
            processor.removeLines()
            try payload.withUnsafeBytes { bytes in
                _ = try processor.process(
                    SourceRecord(
                        topic: Self.source.topic, partition: Self.source.partition, offset: Int64(index),
                        timestampMilliseconds: SystemClock.epochMilliseconds(), key: nil, value: bytes))
            }
            guard processor.gold.count == 1, let entry = processor.gold.first else { continue }
            return Line(offset: Int64(index), bytes: Array(processor.generations[0].lines.gold[entry.line]))
        }
        return nil
    }
}
