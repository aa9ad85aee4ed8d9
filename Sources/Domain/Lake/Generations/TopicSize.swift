import Bytes
import JSONScan
import Records

/// How many topic partitions a source topic had, and how far the lake was when that was noticed; an entry of the log of
/// generations.
///
/// Keys move to other topic partitions when their number grows, so copies of an event on both sides of that moment do
/// not meet in a duplicate window: Silver and Gold hold both, and the index keeps one, since they are one document.
package struct TopicSize: Sendable, Equatable {
    /// The source topic.
    package var topic: String
    /// Its number of topic partitions.
    package var partitions: Int
    /// The lake's next offset of each topic partition that it held then.
    package var offsets: [Int32: Int64]

    package init(topic: String, partitions: Int, offsets: [Int32: Int64]) {
        self.topic = topic
        self.partitions = partitions
        self.offsets = offsets
    }

    /// Whether an entry is of this kind.
    static func isOne(_ value: JSONValue) -> Bool { value["topic_partitions"] != nil }

    /// Reads an entry; nil where a field is missing or of another type.
    init?(_ value: JSONValue) {
        guard let topic = value["topic"]?.string,
            let partitions = value["topic_partitions"]?.integer.flatMap({ Int(exactly: $0) })
        else { return nil }
        self.init(topic: topic, partitions: partitions, offsets: [:])
        for entry in value["offsets"]?.array ?? [] {
            guard let pair = entry.array, pair.count == 2, let offset = pair[1].integer,
                let partition = pair[0].integer.flatMap({ Int32(exactly: $0) })
            else { return nil }
            offsets[partition] = offset
        }
    }

    var json: [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.key("topic")
        json.string(topic)
        json.key("topic_partitions")
        json.integer(partitions)
        json.key("offsets")
        json.beginArray()
        for (partition, offset) in offsets.sorted(by: { $0.key < $1.key }) {
            json.beginArray()
            json.integer(partition)
            json.integer(offset)
            json.endArray()
        }
        json.endArray()
        json.endObject()
        return json.bytes
    }
}

extension GenerationLog {
    /// The sizes that a topic had, in the order in which they were noticed.
    package func sizes(of topic: String) throws(LakeError) -> [TopicSize] {
        Self.sizes(of: topic, in: try records())
    }

    /// Records a topic's size unless it is the one that was recorded last.
    ///
    /// - Returns: the size before, where another one was recorded; nil for the first and for no change.
    package func note(_ size: TopicSize) throws(LakeError) -> TopicSize? {
        // Most starts find what is there already, and need no lock.
        if try sizes(of: size.topic).last?.partitions == size.partitions { return nil }
        return try edit { records throws(LakeError) in
            let last = Self.sizes(of: size.topic, in: records).last
            return last?.partitions == size.partitions ? (nil, []) : (last, [size.json])
        }
    }

    private static func sizes(of topic: String, in records: [JSONValue]) -> [TopicSize] {
        records.compactMap { TopicSize.isOne($0) ? TopicSize($0) : nil }.filter { $0.topic == topic }
    }
}
