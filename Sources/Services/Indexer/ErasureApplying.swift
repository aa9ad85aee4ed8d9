import Bytes
import Concurrency
package import Postgres
package import Records
package import ServiceLifecycle
import Store
import Synchronization
package import Telemetry

/// Applies to the index what was erased from the lake, wherever that was interrupted, and whatever backup the database was restored from.
/// Drained means: a step is done; the rest follows with the next start.
package final class ErasureApplying: Service {
    /// What was erased, the records that were, and how far each topic partition was looked through.
    package typealias Erased = (
        erasure: Erasure, records: [(source: TopicPartition, range: OffsetRange)], lookedTo: [TopicPartition: Int64]
    )

    package let name = "erasures"
    private let database: PostgresConfiguration
    private let readLog: @Sendable () throws -> [Erased]
    private let stamp: @Sendable () -> String
    private let logger: Logger
    private let state = Mutex(State())

    private struct State {
        /// What stood for the log when all of it was applied.
        var applied: String?
        var told = ""
    }

    private static let statementMilliseconds = 120_000
    private static let pauseMilliseconds = 5_000
    /// How long the indexers' start waits for what was erased before.
    private static let prepareNanoseconds: Int64 = 10_000_000_000

    /// - Parameters:
    ///   - readLog: what the lake's log says is erased from all of it, in order; none where this process has no lake.
    ///   - stamp: another text whenever the log is another.
    package init(
        database: PostgresConfiguration, readLog: @escaping @Sendable () throws -> [Erased],
        stamp: @escaping @Sendable () -> String, logger: Logger
    ) {
        self.database = database
        self.readLog = readLog
        self.stamp = stamp
        self.logger = logger
    }

    /// What was erased before is applied before anything is indexed, as far as that goes at once.
    package func prepare(stop: StopSignal) async throws {
        let until = SystemClock.monotonicNanoseconds() + Self.prepareNanoseconds
        try await Lane(name: "erase-first").run { [self] in
            step { stop.isRequested || SystemClock.monotonicNanoseconds() > until }
        }
    }

    package func run(stop: StopSignal) async throws {
        let lane = Lane(name: "erase")
        while !(await stop.pause(milliseconds: Self.pauseMilliseconds)) {
            try await lane.run { [self] in step { stop.isRequested } }
        }
    }

    /// What fails is tried again with the next step.
    private func step(_ isStopped: () -> Bool) {
        do {
            try apply(isStopped)
            state.withLock { $0.told = "" }
        } catch {
            let isNews = state.withLock { state in
                defer { state.told = "\(error)" }
                return state.told != "\(error)"
            }
            if isNews { logger.warning("an erasure is not applied in whole yet; tried again", ["error": "\(error)"]) }
        }
    }

    private func apply(_ isStopped: () -> Bool) throws {
        let store = ErasureStore(configuration: database)
        let now = stamp()
        if now != state.withLock({ $0.applied }) {
            let erased = try readLog()
            let known = try erased.isEmpty ? [:] : store.known(timeoutMilliseconds: Self.statementMilliseconds)
            // All of them first, which is soon done: a restored database shows nothing new of any while it goes through one.
            for (erasure, records, lookedTo) in erased where known[erasure.id] == nil {
                try store.putInForce(
                    erasure, records, lookedTo: lookedTo, timeoutMilliseconds: Self.statementMilliseconds)
            }
            for (erasure, records, lookedTo) in erased where known[erasure.id] != true {
                let removed = try store.apply(
                    erasure, records, lookedTo: lookedTo, isStopped: isStopped,
                    timeoutMilliseconds: Self.statementMilliseconds)
                if isStopped() { return }
                logger.info("erased from the index", ["id": erasure.id, "documents": "\(removed)"])
            }
            state.withLock { $0.applied = now }
        }
        let late = try store.removeErased(timeoutMilliseconds: Self.statementMilliseconds)
        if late > 0 { logger.info("took out what came in of erased records", ["rows": "\(late)"]) }
    }
}
