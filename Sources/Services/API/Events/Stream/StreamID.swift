import Forms
import HTTPEndpoints
import JSONScan
import Records

/// The id of a streamed event: which log it is of, and for each topic partition of the source the next offset.
///
/// `3f9a1c02b7d4;wikimedia.recentchange/0:1200,wikimedia.recentchange/1:455`. The form of old, `0:1200,1:455`, says
/// neither log nor topic; it is taken as one of the log at hand.
package struct StreamID: Sendable, Equatable {
    /// The log's epoch; nil in the form of old.
    package var epoch: String?
    /// Next source offsets by topic; under the empty name in the form of old.
    package var topics: [String: OffsetVector]

    package init(epoch: String?, topics: [String: OffsetVector]) {
        self.epoch = epoch
        self.topics = topics
    }

    /// An id of this log.
    package init(_ vector: OffsetVector, of log: StreamLog) {
        self.init(epoch: log.epoch, topics: [log.topic: vector])
    }

    /// Topic partitions that a text may name.
    private static let partitionsMax = 1_024
    private static let epochBytesMax = 64

    /// What an id looks like, for the document.
    static let pattern: String = {
        let number = "[0-9]{1,9}:[0-9]{1,18}"
        let place = "[A-Za-z0-9._-]{1,249}/\(number)"
        return "^([A-Za-z0-9_-]{1,64};(\(place)(,\(place)){0,1023})?|\(number)(,\(number)){0,1023})$"
    }()

    /// Reads ``text``; nil where it is none.
    package init?(text: String) {
        let parts = text.utf8.split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false)
        guard let last = parts.last, parts.count <= 2 else { return nil }
        self.init(epoch: nil, topics: [:])
        if parts.count == 2 {
            let isEpoch = parts[0].allSatisfy {
                switch $0 {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                    UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
            guard isEpoch, (1...Self.epochBytesMax).contains(parts[0].count) else { return nil }
            epoch = String(Substring(parts[0]))
            // Nothing of that log was seen yet.
            if last.isEmpty { return }
        }
        var count = 0
        for entry in last.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
            count += 1
            guard count <= Self.partitionsMax, take(entry) else { return nil }
        }
    }

    private mutating func take(_ entry: Substring.UTF8View) -> Bool {
        var topic = ""
        var place = entry
        if epoch != nil {
            guard let slash = entry.lastIndex(of: UInt8(ascii: "/")) else { return false }
            topic = String(Substring(entry[..<slash]))
            guard TopicPartition.isTopicName(topic) else { return false }
            place = entry[entry.index(after: slash)...]
        }
        let pair = place.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard pair.count == 2, let partition = Int32(Substring(pair[0])), partition >= 0,
            let offset = Int64(Substring(pair[1])), offset >= 0
        else { return false }
        return topics[topic, default: OffsetVector()].insert(partition, offset)
    }

    /// The id as it is sent.
    package var text: String {
        let places = topics.sorted { $0.key < $1.key }.map { topic, vector in
            epoch == nil ? vector.text : Self.places(vector, topic)
        }
        return (epoch.map { $0 + ";" } ?? "") + places.joined(separator: ",")
    }

    /// The id of a vector of `log`.
    static func text(_ vector: OffsetVector, of log: StreamLog) -> String {
        "\(log.epoch);\(places(vector, log.topic))"
    }

    private static func places(_ vector: OffsetVector, _ topic: String) -> String {
        vector.sorted.map { "\(topic)/\($0.key):\($0.value)" }.joined(separator: ",")
    }

    /// How a request says it.
    static let form = Form<StreamID>(
        schema: .string(pattern: pattern), json: { .string($0.text) },
        read: { value, reading in
            reading.fault("cursor_invalid", "is not an id of this stream", input: value)
            return nil
        },
        readTexts: { texts, reading in
            if let text = texts.first, let id = StreamID(text: text) { return id }
            reading.fault("cursor_invalid", "is not an id of this stream", input: texts.first.map(JSONValue.string))
            return nil
        })
}

/// Which log a stream shows, and how far it goes.
package struct StreamLog: Sendable, Equatable {
    /// Differs from that of any other log, and is the same for all processes that show this one.
    package var epoch: String
    /// The source's topic.
    package var topic: String
    /// The offsets that the next records of the source's topic partitions will get; nil where nobody tells.
    package var ends: [Int32: Int64]?

    package init(epoch: String, topic: String, ends: [Int32: Int64]? = nil) {
        self.epoch = epoch
        self.topic = topic
        self.ends = ends
    }
}
