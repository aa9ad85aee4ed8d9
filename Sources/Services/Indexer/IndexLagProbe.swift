import Bytes
import Events
package import Health
package import Kafka
import KafkaAccess
package import Postgres
import Synchronization
import VectorIndex

/// Looks how far the active generation's index is behind the source topic: checkpoints out of the database, ends of logs
/// from the broker. So whoever reaches both knows it, whether an indexer runs or not, and in whatever process.
///
/// Blocks, for some seconds at most; one look at a time.
package final class IndexLagProbe: Sendable {
    private let kafka: KafkaConfiguration
    private let topic: String
    private let state: Mutex<State>

    private struct State {
        let store: ProgressStore
        var admin: KafkaAdmin?
        /// What did not move lately, by topic partition.
        var still: [Int32: Still] = [:]
    }

    /// A topic partition where something waits though neither index nor log moves.
    private struct Still: Equatable {
        var start: Int64
        var high: Int64
        /// When that was first seen, and when the place was last looked at; monotonic milliseconds.
        var since: Int64
        var examinedAt: Int64?
        var emptyUpTo: Int64 = 0
    }

    private static let requestMilliseconds = 2_000
    private static let answerMilliseconds = 1_000
    /// One look, all topic partitions together.
    private static let lookMilliseconds: Int64 = 5_000
    /// How long nothing moves before the place is looked at, and how long what was found counts.
    private static let stillMilliseconds: Int64 = 2_000
    private static let examinedMilliseconds: Int64 = 15_000
    /// Places that one look examines, each for a second or so.
    private static let examinationsMax = 2

    /// - Parameters:
    ///   - database: of a migrated database.
    ///   - topic: of raw events.
    package init(kafka: KafkaConfiguration, database: PostgresConfiguration, topic: String) {
        self.kafka = kafka
        self.topic = topic
        state = Mutex(State(store: ProgressStore(configuration: database)))
    }

    /// One look.
    ///
    /// - Throws: ``IndexError``, ``KafkaError`` where database or broker do not answer.
    package func look() throws -> IndexLook {
        try state.withLock { state in
            // Checkpoints first: what is indexed meanwhile then only makes the lag seem larger than it is.
            let progress = try state.store.progress(topic: topic, timeoutMilliseconds: Self.answerMilliseconds)
            let deadline = Self.now() + Self.lookMilliseconds
            let admin = try state.admin ?? KafkaAdmin(kafka, requestMilliseconds: Self.requestMilliseconds)
            state.admin = nil
            var places: [Int32: IndexLook.Place] = [:]
            for partition in try partitions(admin, known: progress.nextOffsets) {
                guard Self.now() < deadline else {
                    throw KafkaError(
                        kind: .timedOut, operation: "list offsets", subject: topic,
                        reason: "not all topic partitions answered within \(Self.lookMilliseconds) ms",
                        isRetriable: true)
                }
                let marks = try admin.watermarks(
                    topic: topic, partition: partition, timeoutMilliseconds: Self.answerMilliseconds)
                places[partition] = IndexLook.Place(
                    next: progress.nextOffsets[partition], low: marks.low, high: marks.high)
            }
            // A client that failed is given up: the next look begins with a fresh one.
            state.admin = admin
            var looksLeft = Self.examinationsMax
            for (partition, place) in places.sorted(by: { $0.key < $1.key }) {
                places[partition]?.emptyUpTo = emptyUpTo(partition, place, &state, &looksLeft)
            }
            return IndexLook(
                generation: progress.generation, indexVersion: progress.indexVersion,
                indexedAtMilliseconds: progress.indexedAtMilliseconds, places: places)
        }
    }

    /// The topic's partitions. One that does not exist yet has none: nothing waits in it.
    ///
    /// - Throws: ``KafkaError`` where the broker lacks what the index was made from.
    private func partitions(_ admin: KafkaAdmin, known: [Int32: Int64]) throws -> [Int32] {
        let found = try listed(admin)
        if let missing = known.keys.filter({ !found.contains($0) }).min() {
            throw KafkaError(
                kind: .unknownTopicOrPartition, operation: "list offsets", subject: "\(topic)[\(missing)]",
                reason: "the broker does not have it, but the index was made from it", isRetriable: true)
        }
        return found
    }

    private func listed(_ admin: KafkaAdmin) throws(KafkaError) -> [Int32] {
        do throws(KafkaError) {
            let metadata = try admin.metadata(topic: topic, timeoutMilliseconds: Self.answerMilliseconds)
            return metadata.topics.first { $0.name == topic }?.partitions ?? []
        } catch {
            guard error.kind == .unknownTopicOrPartition else { throw error }
            return []
        }
    }

    /// Up to where a log that is ahead holds nothing to read: transactions leave marks at its end that nobody reads, and
    /// an index that has all before them lacks nothing.
    private func emptyUpTo(
        _ partition: Int32, _ place: IndexLook.Place, _ state: inout State, _ looksLeft: inout Int
    ) -> Int64 {
        guard place.behind > 0 else {
            state.still[partition] = nil
            return 0
        }
        let now = Self.now()
        var still = Still(start: place.start, high: place.high, since: now)
        if let known = state.still[partition], known.start == still.start, known.high == still.high { still = known }
        let isDue = still.examinedAt.map { now - $0 >= Self.examinedMilliseconds } ?? true
        if isDue, looksLeft > 0, now - still.since >= Self.stillMilliseconds {
            looksLeft -= 1
            still.examinedAt = now
            let probe = LogProbe(
                kafka, TopicPartition(topic: topic, partition: partition), lookMilliseconds: 1_000, looksMax: 4,
                isStopped: { false })
            // Where nobody can tell, what waits goes on to count.
            if case .end(let next, _)? = try? probe.examine(from: still.start) { still.emptyUpTo = next }
        }
        state.still[partition] = still
        return still.emptyUpTo
    }

    private static func now() -> Int64 { SystemClock.monotonicNanoseconds() / 1_000_000 }
}
