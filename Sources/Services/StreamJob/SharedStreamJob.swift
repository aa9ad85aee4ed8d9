import Concurrency
import Kafka
import Lake
import Records
import ServiceLifecycle
import Synchronization
import Telemetry

/// The stream job as a member of a consumer group: several processes share the topic partitions of one lake.
///
/// The group says who shall write a topic partition; the lake's file lock says who may. Who takes one over waits until
/// the other has let go of the lock, however long that takes: a process that the group believes dead may still be in the
/// middle of a commit. A killed process holds no lock any more.
extension StreamJob {
    /// One topic partition of this process, on a thread of its own.
    private struct Worker {
        let stop = StopSignal()
        let outcome = Outcome()

        /// How it ended, once it has.
        final class Outcome: Sendable {
            private let state = Mutex<Result<Void, any Error>?>(nil)
            private let ended = StopSignal()

            func set(_ result: Result<Void, any Error>) {
                state.withLock { $0 = result }
                ended.request()
            }

            var result: Result<Void, any Error>? { state.withLock { $0 } }

            func wait() async { await ended.wait() }
        }
    }

    /// Works on what the group gives this process, until stopped or until something fails; then leaves the group.
    func runShared(stop: StopSignal) async throws {
        let lane = Lane(name: "stream-group")
        let member = try await lane.run { [self] in
            _ = try prepareTopics()
            return try GroupMember(
                options.kafka, groupID: options.groupID, topic: options.topic,
                sessionMilliseconds: options.sessionMilliseconds)
        }
        var workers: [Int32: Worker] = [:]
        var failure: (any Error)?
        do {
            while !stop.isRequested {
                let news = try await lane.run { try member.next(timeoutMilliseconds: 200) }
                for fault in member.takeFaults() { logger.warning("trouble with the group", ["error": "\(fault)"]) }
                switch news {
                case .assigned(let partitions):
                    let all = try await lane.run { [self] in try countTopicPartitions() }
                    logger.info("the group gives topic partitions", ["numbers": "\(partitions)", "of": "\(all)"])
                    for partition in partitions where workers[partition] == nil {
                        workers[partition] = start(partition, of: all, member)
                    }
                    expect(workers.count)
                case .revoked(let partitions, let isLost):
                    logger.info("the group takes topic partitions", ["numbers": "\(partitions)", "lost": "\(isLost)"])
                    metrics.rebalances.increment()
                    let leaving = partitions.compactMap { workers.removeValue(forKey: $0) }
                    try await Self.end(leaving)
                    forget(partitions)
                    expect(workers.count)
                    try await lane.run { member.letGo() }
                case nil: break
                }
                for worker in workers.values { try worker.outcome.result?.get() }
            }
        } catch {
            failure = error
        }
        do { try await Self.end(Array(workers.values)) } catch { failure = failure ?? error }
        try await lane.run { member.leave() }
        if let failure { throw failure }
    }

    private func countTopicPartitions() throws -> Int {
        let admin = try KafkaAdmin(options.kafka)
        let count = try size(of: options.topic, admin).count
        try checkGoldTopic(holds: count, admin)
        try noteSize(count)
        return max(count, 1)
    }

    /// Ends workers and waits until they have committed and let go of their locks.
    private static func end(_ workers: [Worker]) async throws {
        for worker in workers { worker.stop.request() }
        for worker in workers { await worker.outcome.wait() }
        for worker in workers { try worker.outcome.result?.get() }
    }

    private func start(_ partition: Int32, of count: Int, _ member: GroupMember) -> Worker {
        let worker = Worker()
        let source = TopicPartition(topic: options.topic, partition: partition)
        Task { [self] in
            do {
                try await Lane(name: "stream-\(partition) \(options.source)").run { [self] in
                    try own(source, of: count, member, stop: worker.stop)
                }
                worker.outcome.set(.success(()))
            } catch is CancellationError {
                // Stopped before it began, or while it waited for something.
                worker.outcome.set(.success(()))
            } catch  where worker.stop.isRequested && Self.isRetriable(error) {
                // Whoever takes the topic partition over begins at the last commit.
                logger.warning("ended with a fault", ["topic_partition": "\(source)", "error": "\(error)"])
                worker.outcome.set(.success(()))
            } catch {
                worker.outcome.set(.failure(error))
            }
        }
        return worker
    }

    /// Takes the lock, works, and lets go of it when everything is on the Gold topic.
    private func own(_ source: TopicPartition, of count: Int, _ member: GroupMember, stop: StopSignal) throws {
        // Of its own, so that its records can be waited for while other topic partitions go on.
        let publisher = try makePublisher(stop: stop)
        guard let worker = try takeOver(source, publisher, stop: stop) else { return }
        try refuseOtherLake(source, worker, member)
        try work(worker, source, of: count, offsets: member.offsets, stop: stop)
        try withExtendedLifetime(worker) { try publisher.flush(timeoutMilliseconds: 10_000) }
    }

    /// Waits for the lock as long as somebody else holds it; nil where it is no longer wanted.
    private func takeOver(
        _ source: TopicPartition, _ publisher: GoldPublisher, stop: StopSignal
    ) throws -> PartitionWorker? {
        var isTroubled = false
        defer { if isTroubled { note(trouble: nil) } }
        for attempt in 0... {
            do {
                return try PartitionWorker(
                    source: source, options: options, registry: registry, metrics: metrics, logger: logger, stop: stop,
                    publisher: publisher, meter: meter, reporter: reporter,
                    tell: { [self] in note(trouble: $0, of: source) })
            } catch LakeError.locked(let source, let path, let holder) {
                // The one who lost it mostly needs a moment for its last commit.
                if attempt > 0, attempt.isMultiple(of: 50) {
                    let trouble = "\(source) belongs to this process now, but \(holder) still holds \(path)"
                    note(trouble: trouble)
                    isTroubled = true
                    logger.warning("\(trouble); if that process hangs, end it")
                }
            }
            if stop.sleep(milliseconds: 100) { return nil }
        }
        return nil
    }

    /// Whoever committed to the group had committed to the lake before. A lake that is behind is another one.
    private func refuseOtherLake(_ source: TopicPartition, _ worker: PartitionWorker, _ member: GroupMember) throws {
        let asked = [(topic: source.topic, partition: source.partition)]
        guard let committed = try member.offsets.committed(asked, timeoutMilliseconds: 10_000).first?.nextOffset,
            committed > worker.nextOffset ?? 0
        else { return }
        throw StreamJobError(
            "\(source): the group \(options.groupID) has committed offset \(committed), but the lake in "
                + "\(options.lakeDirectory) ends at \(worker.nextOffset ?? 0): another process writes another lake. All "
                + "processes of a group need the same LAKE_DIR, on one POSIX file system; for a new lake take another "
                + "KAFKA_GROUP")
    }
}
