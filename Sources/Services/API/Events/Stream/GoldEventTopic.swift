import Bytes
import Hashing
package import Kafka
import KafkaAccess
import Synchronization

/// The Gold topic on a broker.
package final class GoldEventTopic: EventTopic {
    private let configuration: KafkaConfiguration
    private let topic: String
    private let sourceTopic: String
    private let stallMilliseconds: Int64
    private let onUnreadable: @Sendable (_ words: String, _ offsets: Int64) -> Void
    private let admin = Mutex<KafkaAdmin?>(nil)

    private static let requestMilliseconds = 5_000
    /// Digits of an epoch: enough for logs never to be mixed up by chance, few enough for every event's id.
    private static let epochDigits = 12

    /// - Parameters:
    ///   - stallMilliseconds: how long the log may be ahead while nothing comes; nil for ``StallWatch/limitMilliseconds``.
    ///   - onUnreadable: told of offsets that the topic holds but nobody can read; the stream goes on behind them.
    package init(
        configuration: KafkaConfiguration, topic: String, sourceTopic: String,
        stallMilliseconds: Int64? = nil,
        onUnreadable: @escaping @Sendable (_ words: String, _ offsets: Int64) -> Void = { _, _ in }
    ) {
        self.stallMilliseconds = stallMilliseconds ?? StallWatch.limitMilliseconds
        self.onUnreadable = onUnreadable
        self.configuration = configuration
        self.topic = topic
        self.sourceTopic = sourceTopic
    }

    package func open(
        from start: OffsetVector, isStopped: @escaping @Sendable () -> Bool
    ) throws -> any EventReader {
        try GoldEventReader(
            configuration, topic: topic, sourceTopic: sourceTopic, start: start,
            stallMilliseconds: stallMilliseconds, isStopped: isStopped, onUnreadable: onUnreadable)
    }

    package func openSource(isStopped: @escaping @Sendable () -> Bool) throws -> (any SourceReader)? {
        try SourceStageReader(configuration, topic: sourceTopic)
    }

    /// The epoch is made of what changes when the log does and of nothing else: the cluster, the source's topic and the Gold
    /// topic. An index that is made anew over the same topics keeps it, and so do all processes; a topic that is made anew
    /// needs a Gold topic of its own (docs/operations.md) and so gets another one.
    package func log() throws -> StreamLog {
        let admin = try admin.withLock { admin in
            let known = try admin ?? KafkaAdmin(configuration, requestMilliseconds: Self.requestMilliseconds)
            admin = known
            return known
        }
        let ends = try? ends(admin)
        guard let cluster = admin.clusterID(timeoutMilliseconds: Self.requestMilliseconds) else {
            throw KafkaError(
                kind: .timedOut, operation: "cluster id", subject: configuration.brokers,
                reason: "the broker did not tell it in \(Self.requestMilliseconds) ms", isRetriable: true)
        }
        var hasher = try SHA256Hasher()
        let name = Array([cluster, sourceTopic, topic].joined(separator: "\0").utf8)
        let digest = try name.withUnsafeBytes { bytes throws(HashingError) in try hasher.hash(bytes) }
        return StreamLog(epoch: String(digest.hex.prefix(Self.epochDigits)), topic: sourceTopic, ends: ends)
    }

    private func ends(_ admin: KafkaAdmin) throws -> [Int32: Int64] {
        let found = try admin.metadata(topic: sourceTopic, timeoutMilliseconds: Self.requestMilliseconds).topics
        var ends: [Int32: Int64] = [:]
        for partition in found.first(where: { $0.name == sourceTopic })?.partitions ?? [] {
            ends[partition] = try admin.watermarks(
                topic: sourceTopic, partition: partition, timeoutMilliseconds: Self.requestMilliseconds
            ).high
        }
        return ends
    }
}
