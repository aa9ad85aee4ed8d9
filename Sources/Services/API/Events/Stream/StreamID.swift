import Forms
import HTTPEndpoints
import JSONScan
package import Records

/// The id of a streamed event: which logs it is of, and for each topic partition of their sources the next offset.
///
/// `3f9a1c02b7d4;wikimedia.recentchange/0:1200,wikimedia.recentchange/1:455`. Where it names several topics, it has an epoch
/// for each of them, in the order of their names: `3f9a1c02b7d4-08ce51aa90f3;papers/0:7,wikimedia.recentchange/0:1200`. The
/// form of old, `0:1200,1:455`, names neither log nor topic; it is taken as one of the log at hand, if there is only one.
package struct StreamID: Sendable, Equatable {
    /// The epochs of the logs, joined; nil in the form of old.
    package var epoch: String?
    /// Next source offsets; under the empty topic in the form of old.
    package var vector: OffsetVector

    package init(epoch: String?, vector: OffsetVector) {
        self.epoch = epoch
        self.vector = vector
    }

    private static let epochBytesMax = 4_096
    fileprivate static let epochSeparator: Character = "-"

    /// What an id looks like, for the document.
    static let pattern: String = {
        let number = "[0-9]{1,9}:[0-9]{1,18}"
        let place = "[A-Za-z0-9._-]{1,249}/\(number)"
        return "^([A-Za-z0-9_-]{1,4096};(\(place)(,\(place)){0,1023})?|\(number)(,\(number)){0,1023})$"
    }()

    /// Reads ``text``; nil where it is none.
    package init?(text: String) {
        let parts = text[...].utf8.split(separator: UInt8(ascii: ";"), maxSplits: 2, omittingEmptySubsequences: false)
        guard let last = parts.last, parts.count <= 2 else { return nil }
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
            // Without topic partitions: nothing of those logs was seen yet.
            guard let vector = OffsetVector(text: last) else { return nil }
            self.init(epoch: String(Substring(parts[0])), vector: vector)
            return
        }
        var vector = OffsetVector()
        let pairs = last.split(
            separator: UInt8(ascii: ","), maxSplits: OffsetVector.entriesMax, omittingEmptySubsequences: false)
        guard pairs.count <= OffsetVector.entriesMax else { return nil }
        for pair in pairs {
            guard let (partition, offset) = OffsetVector.pair(pair),
                vector.insert(TopicPartition(topic: "", partition: partition), offset)
            else { return nil }
        }
        self.init(epoch: nil, vector: vector)
    }

    /// The id as it is sent.
    package var text: String {
        guard let epoch else {
            return vector.entries.map { "\($0.partition):\($1)" }.joined(separator: ",")
        }
        return "\(epoch);\(vector.text)"
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

/// A source that the stream shows.
package struct StreamSource: Sendable, Hashable {
    /// The source's name.
    package var name: String
    /// The topic of raw events.
    package var topic: String
    /// The topic of its documents.
    package var goldTopic: String
    /// Whose it is; documents of another tenant in its topic are not shown.
    package var tenant: TenantID

    package init(name: String, topic: String, goldTopic: String, tenant: TenantID = .standard) {
        self.name = name
        self.topic = topic
        self.goldTopic = goldTopic
        self.tenant = tenant
    }
}

/// Which log a source has, and how far it goes.
package struct StreamLog: Sendable, Equatable {
    /// Differs from that of any other log, and is the same for all processes that show this one. Letters and digits.
    package var epoch: String
    package var source: StreamSource
    /// The offsets that the next records of the source's topic partitions will get; nil where nobody tells.
    package var ends: [Int32: Int64]?

    package init(epoch: String, source: StreamSource, ends: [Int32: Int64]? = nil) {
        self.epoch = epoch
        self.source = source
        self.ends = ends
    }

    /// The source's topic.
    package var topic: String { source.topic }
}

/// The logs that a stream shows, one for each source.
package struct StreamLogs: Sendable, Equatable {
    /// By topic.
    package let logs: [StreamLog]

    package init(_ logs: [StreamLog]) {
        self.logs = logs.sorted { $0.topic < $1.topic }
    }

    /// The source's topics, sorted.
    var topics: [String] { logs.map(\.topic) }

    /// The log of a source's topic.
    package subscript(_ topic: String) -> StreamLog? { logs.first { $0.topic == topic } }

    /// The id of a vector of these logs.
    package func text(_ vector: OffsetVector) -> String { "\(epochs(vector));\(vector.text)" }

    /// The epochs of the logs that the vector names; all of them where it names none, so that an id is never without.
    private func epochs(_ vector: OffsetVector) -> String {
        if logs.count == 1 { return logs[0].epoch }
        let named = vector.topics.compactMap { self[$0]?.epoch }
        let epochs = named.isEmpty ? logs.map(\.epoch) : named
        return epochs.isEmpty ? "none" : epochs.joined(separator: String(StreamID.epochSeparator))
    }

    /// What of an id is of these logs, and the topics that it names of others; nil where nothing is of these.
    package func read(_ id: StreamID) -> (vector: OffsetVector, foreign: [String])? {
        guard let epoch = id.epoch else {
            guard logs.count == 1 else { return nil }
            var vector = OffsetVector()
            for (place, offset) in id.vector.entries {
                vector[TopicPartition(topic: logs[0].topic, partition: place.partition)] = offset
            }
            return (vector, [])
        }
        let epochs = epoch.split(separator: StreamID.epochSeparator, omittingEmptySubsequences: false)
        let topics = id.vector.topics
        guard !topics.isEmpty else {
            let areOurs = epochs.allSatisfy { epoch in logs.contains { $0.epoch == epoch } }
            return areOurs ? (OffsetVector(), []) : nil
        }
        guard epochs.count == topics.count else { return nil }
        let foreign = zip(topics, epochs).compactMap { topic, epoch in
            self[topic].map { $0.epoch == epoch } == true ? nil : topic
        }
        guard foreign.count < topics.count else { return nil }
        return (id.vector.filtered { !foreign.contains($0.topic) }, foreign)
    }
}
