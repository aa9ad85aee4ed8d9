import Bytes
import Concurrency
package import Health
package import Kafka
import KafkaAccess
package import Postgres
package import Records
import ServiceLifecycle
import Store
import Synchronization

/// Looks how far the active generation's index is behind the source topic: checkpoints out of the database, ends of logs
/// from the broker. So whoever reaches both knows it, whether an indexer runs or not, and in whatever process.
///
/// Blocks, for some seconds at most; one look at a time.
package final class IndexLagProbe: Sendable {
    private let kafka: KafkaConfiguration
    private let topic: String
    private let isOnlySource: @Sendable () -> Bool
    private let state: Mutex<State>
    private let ends: EmptyEnds

    private struct State {
        let store: ProgressStore
        var admin: KafkaAdmin?
    }

    private static let requestMilliseconds = 2_000
    private static let answerMilliseconds = 1_000
    /// One look, all topic partitions together.
    private static let lookMilliseconds: Int64 = 5_000

    /// - Parameters:
    ///   - database: of a migrated database.
    ///   - topic: of raw events.
    ///   - isOnlySource: whether the index is made from this topic alone. Else what another one left in it is no surprise.
    ///   - stillMilliseconds: how long nothing moves before a log's end is examined.
    ///   - examine: finds out up to where a log holds nothing to read from an offset on; nil where it holds something, or
    ///     where that cannot be told. Called on a thread of its own.
    package init(
        kafka: KafkaConfiguration, database: PostgresConfiguration, topic: String,
        isOnlySource: @escaping @Sendable () -> Bool = { true },
        stillMilliseconds: Int64 = 2_000,
        examine: (@Sendable (TopicPartition, Int64) -> Int64?)? = nil
    ) {
        self.kafka = kafka
        self.topic = topic
        self.isOnlySource = isOnlySource
        state = Mutex(State(store: ProgressStore(configuration: database)))
        ends = EmptyEnds(
            topic: topic, stillMilliseconds: stillMilliseconds, examine: examine ?? EmptyEnds.examination(kafka))
    }

    /// One look.
    ///
    /// - Throws: ``IndexError``, ``KafkaError`` where database or broker do not answer.
    package func look() throws -> IndexLook {
        let begun = SystemClock.monotonicNanoseconds() / 1_000_000
        var look = try state.withLock { state in
            // Checkpoints first: what is indexed meanwhile then only makes the lag seem larger than it is.
            let progress = try state.store.progress(
                topic: topic, timeoutMilliseconds: Self.answerMilliseconds)
            let admin = try state.admin ?? KafkaAdmin(kafka, requestMilliseconds: Self.requestMilliseconds)
            state.admin = nil
            let found = try listed(admin)
            let places = try places(of: found ?? [], admin, progress, until: begun + Self.lookMilliseconds)
            // A client that failed is given up: the next look begins with a fresh one.
            state.admin = admin
            return IndexLook(
                generation: progress.generation, indexVersion: progress.indexVersion,
                indexedAtMilliseconds: progress.indexedAtMilliseconds, places: places, atMilliseconds: begun,
                doubt: doubt(found, progress))
        }
        for (partition, place) in look.places.sorted(by: { $0.key < $1.key }) {
            look.places[partition]?.emptyUpTo = ends.emptyUpTo(partition, place)
        }
        return look
    }

    private func places(
        of partitions: [Int32], _ admin: KafkaAdmin, _ progress: IndexProgress, until deadline: Int64
    ) throws(KafkaError) -> [Int32: IndexLook.Place] {
        var places: [Int32: IndexLook.Place] = [:]
        for partition in partitions {
            guard SystemClock.monotonicNanoseconds() / 1_000_000 < deadline else {
                throw KafkaError(
                    kind: .timedOut, operation: "list offsets", subject: topic,
                    reason: "not all topic partitions answered within \(Self.lookMilliseconds) ms", isRetriable: true)
            }
            let marks = try admin.watermarks(
                topic: topic, partition: partition, timeoutMilliseconds: Self.answerMilliseconds)
            places[partition] = IndexLook.Place(
                next: progress.nextOffsets[partition], low: marks.low, high: marks.high)
        }
        return places
    }

    /// Why what was found says nothing of the index: it was made from what is not there, or from something else.
    private func doubt(_ found: [Int32]?, _ progress: IndexProgress) -> String? {
        guard let found else { return "the source topic does not exist" }
        if let missing = progress.nextOffsets.keys.filter({ !found.contains($0) }).min() {
            return "the index was made from topic partition \(missing) too, which the source topic does not have"
        }
        if progress.nextOffsets.isEmpty, progress.isOfOtherTopic, isOnlySource() {
            return "the index was made from another topic than KAFKA_TOPIC says"
        }
        return nil
    }

    /// The topic's partitions; nil where there is no such topic.
    private func listed(_ admin: KafkaAdmin) throws(KafkaError) -> [Int32]? {
        do throws(KafkaError) {
            let metadata = try admin.metadata(topic: topic, timeoutMilliseconds: Self.answerMilliseconds)
            return metadata.topics.first { $0.name == topic }?.partitions
        } catch {
            guard error.kind == .unknownTopicOrPartition else { throw error }
            return nil
        }
    }
}

/// Finds logs that are ahead of the index and yet hold nothing to read: transactions leave marks at their ends that nobody
/// reads, and an index that has all before them lacks nothing.
///
/// A place where nothing moves is examined on a thread of its own, which may take seconds; what was found counts from the
/// next look on, as long as the place stays as it is.
private final class EmptyEnds: Sendable {
    /// A topic partition where something waits though neither index nor log moves.
    private struct Still {
        var start: Int64
        var high: Int64
        /// When that was first seen, and when the place was last examined; monotonic milliseconds.
        var since: Int64
        var examinedAt: Int64?
        var emptyUpTo: Int64 = 0
    }

    private struct State {
        var still: [Int32: Still] = [:]
        var isBusy = false
    }

    private let topic: String
    private let stillMilliseconds: Int64
    private let examine: @Sendable (TopicPartition, Int64) -> Int64?
    private let state = Mutex(State())
    private let lane = Lane(name: "log-ends")
    /// How long what was found counts.
    private static let examinedMilliseconds: Int64 = 15_000
    private static let examinationMilliseconds: Int64 = 10_000

    init(topic: String, stillMilliseconds: Int64, examine: @escaping @Sendable (TopicPartition, Int64) -> Int64?) {
        self.topic = topic
        self.stillMilliseconds = stillMilliseconds
        self.examine = examine
    }

    /// Asks the broker, with clients of its own.
    static func examination(_ kafka: KafkaConfiguration) -> @Sendable (TopicPartition, Int64) -> Int64? {
        { source, offset in
            let end = now() + examinationMilliseconds
            let probe = LogProbe(kafka, source, lookMilliseconds: 1_000, looksMax: 4, isStopped: { now() > end })
            // Where nobody can tell, what waits goes on to count.
            guard case .end(let next, _)? = try? probe.examine(from: offset) else { return nil }
            return next
        }
    }

    /// Up to where a topic partition holds nothing to read, as far as that is known.
    func emptyUpTo(_ partition: Int32, _ place: IndexLook.Place) -> Int64 {
        let now = Self.now()
        let (known, isDue) = state.withLock { state -> (Int64, Bool) in
            guard place.behind > 0 else {
                state.still[partition] = nil
                return (0, false)
            }
            var still = Still(start: place.start, high: place.high, since: now)
            if let known = state.still[partition], known.start == still.start, known.high == still.high {
                still = known
            }
            let isDue =
                !state.isBusy && now - still.since >= stillMilliseconds
                && (still.examinedAt.map { now - $0 >= Self.examinedMilliseconds } ?? true)
            if isDue {
                still.examinedAt = now
                state.isBusy = true
            }
            state.still[partition] = still
            return (still.emptyUpTo, isDue)
        }
        guard isDue else { return known }
        do {
            try lane.post { [self] in
                let found = examine(TopicPartition(topic: topic, partition: partition), place.start)
                state.withLock { state in
                    state.isBusy = false
                    guard let still = state.still[partition], still.start == place.start, still.high == place.high
                    else { return }
                    state.still[partition]?.emptyUpTo = found ?? 0
                }
            }
        } catch {
            state.withLock { $0.isBusy = false }
        }
        return known
    }

    private static func now() -> Int64 { SystemClock.monotonicNanoseconds() / 1_000_000 }
}
