import Bytes
import Records

/// What a client is told beside events: that its id does not fit, that something is missing, or what becomes of an event.
/// None of it has an id, so that going on from the last one is never disturbed.
enum StreamNotice: Sendable {
    /// The client's id is of another log, or ahead of this one. The stream continues at that log's end.
    case reset(StreamReset)
    /// Documents that the client asked for are gone. The stream continues after them.
    case gap(TopicGap)
    /// - Parameter source: the source's name; nil where it is not known any more.
    case step(StageStep, source: String?)

    var frame: [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        switch self {
        case .reset(let reset):
            reset.write(to: &writer)
            writer.endObject()
            return EventFrame.bytes(event: "reset", data: writer.bytes)
        case .gap(let gap):
            writer.key("reason")
            writer.string(gap.reason.rawValue)
            writer.key("topic")
            writer.string(gap.topicPartition.topic)
            writer.key("partition")
            writer.integer(gap.topicPartition.partition)
            writer.key("wanted")
            writer.integer(gap.start)
            writer.key("available")
            writer.integer(gap.end)
            writer.key("missing")
            writer.integer(gap.end - gap.start)
            writer.endObject()
            return EventFrame.bytes(event: "gap", data: writer.bytes)
        case .step(let step, let source):
            writer.key("doc_id")
            writer.optional(step.docID)
            writer.key("source")
            writer.optional(source)
            writer.key("topic")
            writer.string(step.topicPartition.topic)
            writer.key("partition")
            writer.integer(step.topicPartition.partition)
            writer.key("offset")
            writer.integer(step.offset)
            writer.key("at")
            writer.time(step.atMilliseconds)
            writer.endObject()
            return EventFrame.bytes(event: step.stage.rawValue, data: writer.bytes)
        }
    }
}

/// Why an id was put aside, and where the stream goes on.
struct StreamReset: Sendable, Equatable {
    enum Reason: String, Sendable, CaseIterable {
        /// The id is of another log: another topic, cluster or Gold topic, or one made anew.
        case otherLog = "other_log"
        /// The id, or a topic partition of it, lies beyond the log's end.
        case ahead
    }

    struct Place: Sendable, Equatable {
        let topicPartition: TopicPartition
        let wanted: Int64
        /// The offset that the log's next record gets; nil where the topic partition is not there.
        let end: Int64?
    }

    var reason: Reason
    /// The sources' topics that are concerned: one at least, unless there are none at all.
    var topics: [String]
    /// What the client sent, in our words.
    var wanted: String
    /// Those that are ahead; none where the log is another.
    var partitions: [Place] = []
    /// The id that the stream goes on from.
    var continues: String
    /// The id that gives everything that there is of the topics concerned; the others go on where they were.
    var oldest: String

    fileprivate func write(to writer: inout JSONWriter) {
        writer.key("reason")
        writer.string(reason.rawValue)
        writer.key("topic")
        writer.string(topics.first ?? "")
        writer.key("topics")
        writer.beginArray()
        for topic in topics { writer.string(topic) }
        writer.endArray()
        writer.key("wanted_id")
        writer.string(wanted)
        writer.key("continues_id")
        writer.string(continues)
        writer.key("oldest_id")
        writer.string(oldest)
        writer.key("partitions")
        writer.beginArray()
        for place in partitions {
            writer.beginObject()
            writer.key("topic")
            writer.string(place.topicPartition.topic)
            writer.key("partition")
            writer.integer(place.topicPartition.partition)
            writer.key("wanted")
            writer.integer(place.wanted)
            writer.key("available")
            writer.optional(place.end)
            writer.endObject()
        }
        writer.endArray()
    }
}
