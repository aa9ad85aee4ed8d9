import Bytes
import Hashing
package import Kafka
import KafkaAccess
package import Records
import Synchronization

/// The Gold topics on a broker.
package final class GoldEventTopics: EventTopics {
    private let configuration: KafkaConfiguration
    private let stallMilliseconds: Int64
    private let onUnreadable: @Sendable (_ words: String, _ offsets: Int64) -> Void
    private let admin = Mutex<KafkaAdmin?>(nil)

    private static let requestMilliseconds = 5_000
    /// Digits of an epoch: enough for logs never to be mixed up by chance, few enough for every event's id.
    private static let epochDigits = 12

    /// - Parameters:
    ///   - stallMilliseconds: how long a log may be ahead while nothing comes; nil for ``StallWatch/limitMilliseconds``.
    ///   - onUnreadable: told of offsets that a topic holds but nobody can read. The stream skips them.
    package init(
        configuration: KafkaConfiguration, stallMilliseconds: Int64? = nil,
        onUnreadable: @escaping @Sendable (_ words: String, _ offsets: Int64) -> Void = { _, _ in }
    ) {
        self.stallMilliseconds = stallMilliseconds ?? StallWatch.limitMilliseconds
        self.onUnreadable = onUnreadable
        self.configuration = configuration
    }

    package func open(
        _ source: StreamSource, from start: OffsetVector, isStopped: @escaping @Sendable () -> Bool
    ) throws -> any EventReader {
        try GoldEventReader(
            configuration, source, start: start, stallMilliseconds: stallMilliseconds, isStopped: isStopped,
            onUnreadable: onUnreadable)
    }

    package func openSources(
        _ sources: [StreamSource], isStopped: @escaping @Sendable () -> Bool
    ) throws -> (any SourceReader)? {
        try SourceStageReader(configuration, topics: sources.map(\.topic))
    }

    /// An epoch is made of what changes when the log does and of nothing else: the cluster, the source's topic and the Gold
    /// topic. A rebuilt index over the same topics has the same epoch, and so has every process, whatever other sources it
    /// shows. A topic that was deleted and created again needs another Gold topic (docs/operations.md), and so has another epoch.
    package func logs(of sources: [StreamSource]) throws -> StreamLogs {
        let admin = try admin.withLock { admin in
            let known = try admin ?? KafkaAdmin(configuration, requestMilliseconds: Self.requestMilliseconds)
            admin = known
            return known
        }
        let ends = sources.map { try? self.ends(of: $0.topic, admin) }
        guard let cluster = admin.clusterID(timeoutMilliseconds: Self.requestMilliseconds) else {
            throw KafkaError(
                kind: .timedOut, operation: "cluster id", subject: configuration.brokers,
                reason: "the broker did not tell it in \(Self.requestMilliseconds) ms", isRetriable: true)
        }
        var hasher = try SHA256Hasher()
        var logs: [StreamLog] = []
        for (source, ends) in zip(sources, ends) {
            let name = Array([cluster, source.topic, source.goldTopic].joined(separator: "\0").utf8)
            let digest = try name.withUnsafeBytes { bytes throws(HashingError) in try hasher.hash(bytes) }
            logs.append(StreamLog(epoch: String(digest.hex.prefix(Self.epochDigits)), source: source, ends: ends))
        }
        return StreamLogs(logs)
    }

    private func ends(of topic: String, _ admin: KafkaAdmin) throws -> [Int32: Int64] {
        let found = try admin.metadata(topic: topic, timeoutMilliseconds: Self.requestMilliseconds).topics
        var ends: [Int32: Int64] = [:]
        for partition in found.first(where: { $0.name == topic })?.partitions ?? [] {
            ends[partition] = try admin.watermarks(
                topic: topic, partition: partition, timeoutMilliseconds: Self.requestMilliseconds
            ).high
        }
        return ends
    }
}
