import Bytes
import JSONScan
package import Records

/// One full result of one logic, as the lake knows it.
package struct LakeGeneration: Sendable, Equatable {
    /// From 1; part of paths, headers and rows.
    package internal(set) var number: Int64
    /// Whose files and rows it refers to outside what it replayed; nil for the first.
    package internal(set) var parent: Int64?
    /// What makes its lines, topic by topic.
    package internal(set) var logic: GenerationLogic
    /// What has become of it.
    package var state: GenerationState
    /// What was replayed, below the handover.
    package var replayed: [TopicPartition: OffsetRange] = [:]
    /// From which offset the stream job writes it. A topic partition that is missing is written by it from its start.
    package var handovers: [TopicPartition: Int64] = [:]

    package init(number: Int64, parent: Int64?, logic: GenerationLogic, state: GenerationState) {
        self.number = number
        self.parent = parent
        self.logic = logic
        self.state = state
    }

    /// For people and for the database; see ``GenerationLogic/logicVersion``.
    package var logicVersion: String { logic.logicVersion }

    /// The stream job writes it.
    package var isFed: Bool { state.isFed }

    /// From where on every commit of a topic partition must have a part of it; nil where that is not known yet.
    package func fedFrom(_ source: TopicPartition) -> Int64? {
        if parent == nil { return 0 }
        return handovers[source] ?? (state.isComplete ? 0 : nil)
    }
}

extension LakeGeneration {
    /// The entry as one JSON object with fixed order (`schemas/generation.schema.json`).
    var json: [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.key("generation")
        json.integer(number)
        json.key("parent")
        if let parent { json.integer(parent) } else { json.null() }
        json.key("state")
        json.string(state.rawValue)
        logic.write(to: &json)
        json.key("replayed")
        json.beginArray()
        for (source, range) in replayed.sorted(by: { $0.key < $1.key }) {
            Self.write(source, [range.start, range.end], to: &json)
        }
        json.endArray()
        json.key("handovers")
        json.beginArray()
        for (source, offset) in handovers.sorted(by: { $0.key < $1.key }) {
            Self.write(source, [offset], to: &json)
        }
        json.endArray()
        json.endObject()
        return json.bytes
    }

    private static func write(_ source: TopicPartition, _ offsets: [Int64], to json: inout JSONWriter) {
        json.beginArray()
        json.string(source.topic)
        json.integer(source.partition)
        for offset in offsets { json.integer(offset) }
        json.endArray()
    }

    /// Reads an entry; nil where a field is missing or of another type.
    init?(_ value: JSONValue) {
        guard let number = value["generation"]?.integer, let logic = GenerationLogic(value),
            let state = value["state"]?.string.flatMap(GenerationState.init)
        else { return nil }
        self.init(number: number, parent: value["parent"]?.integer, logic: logic, state: state)
        for entry in value["replayed"]?.array ?? [] {
            guard let (source, offsets) = Self.sourceAndOffsets(entry), offsets.count == 2,
                let range = OffsetRange(start: offsets[0], end: offsets[1])
            else { return nil }
            replayed[source] = range
        }
        for entry in value["handovers"]?.array ?? [] {
            guard let (source, offsets) = Self.sourceAndOffsets(entry), offsets.count == 1 else { return nil }
            handovers[source] = offsets[0]
        }
    }

    private static func sourceAndOffsets(_ value: JSONValue) -> (TopicPartition, [Int64])? {
        guard let parts = value.array, parts.count >= 3, let topic = parts[0].string,
            let partition = parts[1].integer.flatMap({ Int32(exactly: $0) })
        else { return nil }
        let offsets = parts[2...].compactMap(\.integer)
        guard offsets.count == parts.count - 2 else { return nil }
        return (TopicPartition(topic: topic, partition: partition), offsets)
    }
}
