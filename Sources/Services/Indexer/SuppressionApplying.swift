import Bytes
import Concurrency
package import KafkaAccess
package import Postgres
package import Records
package import ServiceLifecycle
import Store
import Synchronization
package import Telemetry

/// Applies suppressions and lifts to the index as they come by their topic. An index that knows none yet takes those of the lake's
/// log first. Drained means: nothing is read any more; what was not applied is read again at the next start.
package struct SuppressionApplying: Service {
    package let name = "suppressions"
    private let follower: SuppressionFollower
    private let database: PostgresConfiguration
    private let readLog: @Sendable () throws -> [SuppressionEntry]
    private let faults: SuppressionFaults
    private let refused: Counter
    private let logger: Logger
    private let log = LogState()

    /// Whether the lake's log is still to be applied.
    private final class LogState: Sendable {
        let isWanted = Atomic(false)
    }

    /// A user's documents may be many.
    private static let statementMilliseconds = 120_000
    /// How long the indexers' start waits for what was suppressed before.
    private static let prepareNanoseconds: Int64 = 10_000_000_000
    /// Between looks for what was begun and not finished, and for a log that could not be read.
    private static let finishMilliseconds = 5_000

    /// - Parameters:
    ///   - readLog: all entries of the lake's log, in order; none where this process has no lake.
    ///   - faults: told of a log that cannot be read.
    package init(
        _ follower: SuppressionFollower, database: PostgresConfiguration,
        readLog: @escaping @Sendable () throws -> [SuppressionEntry], faults: SuppressionFaults,
        metrics: MetricsRegistry, logger: Logger
    ) {
        self.faults = faults
        refused = IndexerMetrics.refusedSuppressions(metrics)
        self.follower = follower
        self.database = database
        self.readLog = readLog
        self.logger = logger
    }

    /// What was suppressed before is applied before anything is indexed, as far as log and topic can be read at once.
    package func prepare(stop: StopSignal) async throws {
        let until = SystemClock.monotonicNanoseconds() + Self.prepareNanoseconds
        let isStopped: @Sendable () -> Bool = {
            stop.isRequested || SystemClock.monotonicNanoseconds() > until
        }
        do {
            try await Lane(name: "suppress-first").run { [self] in
                let store = SuppressionStore(configuration: database)
                try follower.catchUp(
                    isStopped: isStopped, position: { try position(store, isStopped) },
                    take: { try apply($0, to: store, isStopped) })
                try store.finish(isStopped: isStopped, timeoutMilliseconds: Self.statementMilliseconds)
            }
        } catch {
            logger.warning(
                "what is suppressed could not be read before the start; it is applied as soon as it can be",
                ["error": "\(error)"])
        }
    }

    package func run(stop: StopSignal) async throws {
        let store = Mutex(SuppressionStore(configuration: database))
        let isStopped: @Sendable () -> Bool = { stop.isRequested }
        async let finishing: Void = finish(stop) {
            // While entries are applied these finish their own.
            _ = try store.withLockIfAvailable { [self] store in
                try takeLog(store, isStopped)
                try store.finish(isStopped: isStopped, timeoutMilliseconds: Self.statementMilliseconds)
            }
        }
        await follower.run(stop: stop) {
            try store.withLock { store in try position(store, isStopped) }
        } take: { records in
            try store.withLock { store in try apply(records, to: store, isStopped) }
        }
        await finishing
    }

    /// Now and then goes on with what was interrupted, by a time limit or with another process.
    private func finish(_ stop: StopSignal, _ step: @escaping @Sendable () throws -> Void) async {
        let lane = Lane(name: "suppress-finish")
        while !(await stop.pause(milliseconds: Self.finishMilliseconds)) {
            do {
                try await lane.run(step)
            } catch {
                logger.warning("a suppression is not applied in whole yet; tried again", ["error": "\(error)"])
            }
        }
    }

    /// The topic's next offset. An index without one applies the lake's log.
    func position(_ store: SuppressionStore, _ isStopped: () -> Bool) throws -> Int64? {
        if let known = try store.position(of: follower.topic, timeoutMilliseconds: Self.statementMilliseconds) {
            return known
        }
        log.isWanted.store(true, ordering: .relaxed)
        try takeLog(store, isStopped)
        return nil
    }

    /// Applies the lake's log, where that is still to be done. One that cannot be read does not keep the topic from being
    /// followed.
    func takeLog(_ store: SuppressionStore, _ isStopped: () -> Bool) throws {
        guard log.isWanted.load(ordering: .relaxed) else { return }
        let entries: [SuppressionEntry]
        do {
            entries = try readLog()
        } catch {
            let reason = "the lake's log of suppressions cannot be read: \(error)"
            if faults.note(reason, by: name) {
                logger.error("\(reason); the topic is followed from its beginning, and the log tried again")
            }
            return
        }
        for entry in entries { _ = try apply(entry, to: store, reached: nil, isStopped) }
        if isStopped() { return }
        log.isWanted.store(false, ordering: .relaxed)
        faults.clear(by: name)
        if !entries.isEmpty {
            logger.info("applied the lake's log of suppressions", ["entries": "\(entries.count)"])
        }
    }

    func apply(
        _ records: [SuppressionFollower.Record], to store: SuppressionStore, _ isStopped: () -> Bool
    ) throws {
        for (next, entry) in records {
            // Without the log there is no position: the next start asks for the log again.
            let reached = log.isWanted.load(ordering: .relaxed) ? nil : next
            guard let entry else {
                try pass(reached, store)
                continue
            }
            guard let changed = try apply(entry, to: store, reached: reached, isStopped) else { continue }
            switch entry {
            case .suppress(let suppression):
                logger.info(
                    "suppressed",
                    [
                        "id": suppression.id, "tenant": suppression.tenant.text,
                        "target": suppression.target.kind.rawValue,
                        "by": suppression.by, "documents": "\(changed)",
                    ])
            case .lift(let id, let tenant, _, let by, _):
                logger.info(
                    "a suppression was lifted",
                    ["id": id, "tenant": tenant.text, "by": by, "documents": "\(changed)"])
            }
        }
    }

    /// What Postgres refuses for what it says would be refused for ever: it is told and passed over, so that others apply.
    private func apply(
        _ entry: SuppressionEntry, to store: SuppressionStore, reached next: Int64?, _ isStopped: () -> Bool
    ) throws -> Int64? {
        do throws(IndexError) {
            return try store.apply(
                entry, reached: next.map { (follower.topic, $0) }, isStopped: isStopped,
                timeoutMilliseconds: Self.statementMilliseconds)
        } catch {
            guard error.underlying?.isDataRefusal == true else { throw error }
            refused.increment()
            logger.error(
                "the index refuses a suppression or a lift; it is passed over",
                ["id": entry.id, "tenant": entry.tenant.text, "error": "\(error)"])
            try pass(next, store)
            return nil
        }
    }

    private func pass(_ next: Int64?, _ store: SuppressionStore) throws {
        guard let next else { return }
        try store.keep(position: next, of: follower.topic, timeoutMilliseconds: Self.statementMilliseconds)
    }
}
