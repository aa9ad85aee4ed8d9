import Bytes
import Files
import Synchronization
import Telemetry

/// The appends of one round of the storage thread: which logs were touched, which of them the disk failed.
struct AppendRound {
    /// What is known of a batch before the round's end.
    struct Ticket {
        let log: PartitionLog
        let outcome: AppendOutcome
    }

    private let metrics: BrokerMetrics
    private let logger: Logger
    private let helpers: SyncHelpers
    private var touched: [ObjectIdentifier: PartitionLog] = [:]
    private var failed: Set<ObjectIdentifier> = []
    /// With an interval between syncs: published, but not synced yet.
    private var unsynced: [ObjectIdentifier: PartitionLog] = [:]
    private var reports = ReportLimiter()

    init(metrics: BrokerMetrics, logger: Logger, helpers: SyncHelpers) {
        self.helpers = helpers
        self.metrics = metrics
        self.logger = logger
    }

    /// Stages a request's batches, in order.
    ///
    /// - Parameter isUnsure: a start might not find the topics as they are here, so nothing may be acknowledged.
    mutating func stage(_ job: AppendJob, isUnsure: Bool) -> [Ticket] {
        let now = SystemClock.epochMilliseconds()
        return job.frame.withUnsafeBytes { frame in
            job.batches.map { batch in
                if isUnsure { return Ticket(log: batch.log, outcome: .refused(.storageError)) }
                let bytes = UnsafeRawBufferPointer(rebasing: frame[batch.range])
                return Ticket(log: batch.log, outcome: stage(batch, bytes, now))
            }
        }
    }

    private mutating func stage(_ batch: AppendBatch, _ bytes: UnsafeRawBufferPointer, _ now: Int64) -> AppendOutcome {
        let id = ObjectIdentifier(batch.log)
        // After a failure the round's earlier batches of this log are gone: one more would come out of order.
        guard !failed.contains(id) else { return .refused(.storageError) }
        touched[id] = batch.log
        do {
            let before = batch.log.nextOffset
            let outcome = try batch.log.append(bytes, header: batch.header, settings: batch.settings, now: now)
            count(outcome, batch, isNew: batch.log.nextOffset > before)
            return outcome
        } catch {
            fail(batch.log, error)
            return .refused(.storageError)
        }
    }

    private func count(_ outcome: AppendOutcome, _ batch: AppendBatch, isNew: Bool) {
        switch outcome {
        case .refused: metrics.refusedBatches.increment()
        case .accepted where isNew:
            metrics.batchesIn.increment()
            metrics.recordsIn.increment(by: Int(batch.header.recordCount))
            metrics.bytesIn.increment(by: batch.range.count)
        case .accepted: metrics.duplicateBatches.increment()
        }
    }

    mutating func flush() {
        for log in touched.values where !failed.contains(ObjectIdentifier(log)) {
            do { try log.flush() } catch { fail(log, error) }
        }
    }

    /// - Parameter isPublished: readers have seen the batches, so they stay; after a failure the next round with a sync
    ///   has them written anew first.
    mutating func sync(isPublished: Bool) {
        let logs = isPublished ? unsynced : touched
        guard !logs.isEmpty else { return }
        let started = SystemClock.monotonicNanoseconds()
        let failures = Mutex<[(log: PartitionLog, error: FileError)]>([])
        // A log that failed in this round was cut back to what is published, which is due all the same.
        let due = isPublished ? logs : logs.filter { !failed.contains($0.key) }
        let jobs = due.values.map { log -> @Sendable () -> Void in
            {
                do throws(FileError) {
                    try log.sync()
                } catch {
                    failures.withLock { $0.append((log, error)) }
                }
            }
        }
        helpers.run(jobs)
        unsynced = [:]
        for (log, error) in failures.withLock({ $0 }) {
            if isPublished {
                unsynced[ObjectIdentifier(log)] = log
                report(
                    error, log,
                    "records that were acknowledged are not on the disk yet; they are written and synced again")
            } else {
                fail(log, error)
            }
        }
        metrics.syncSeconds.observe(Double(SystemClock.monotonicNanoseconds() - started) / 1e9)
    }

    /// Shows the round's batches to readers; returns the logs that have more to show.
    mutating func publish() -> [PartitionLog] {
        var grown: [PartitionLog] = []
        for (id, log) in touched where !failed.contains(id) {
            let before = log.published.withLock { $0.endOffset }
            if log.publish() > before { grown.append(log) }
            unsynced[id] = log
        }
        return grown
    }

    /// What a batch's sender is told: accepted only what is published by now.
    func outcome(_ ticket: Ticket) -> AppendOutcome {
        guard case .accepted(_, let lastOffset, _) = ticket.outcome else { return ticket.outcome }
        let end = ticket.log.published.withLock { $0.endOffset }
        return lastOffset < end ? ticket.outcome : .refused(.storageError)
    }

    mutating func finish() {
        touched.removeAll(keepingCapacity: true)
        failed.removeAll(keepingCapacity: true)
    }

    private mutating func fail(_ log: PartitionLog, _ error: FileError) {
        failed.insert(ObjectIdentifier(log))
        report(error, log, "records were not written; their producers are told to try again")
        do {
            try log.rollBack()
        } catch {
            logger.error("cannot cut a log back after a failed write; will try again", ["error": "\(error)"])
        }
    }

    private mutating func report(_ error: FileError, _ log: PartitionLog, _ what: String) {
        metrics.diskFailures.increment()
        guard let failures = reports.admit() else { return }
        logger.error(
            what,
            ["log": log.topicPartition.description, "error": "\(error)", "failures": "\(failures)"])
    }
}
