import Bytes
import Concurrency
package import Postgres
package import Retrieval
package import ServiceLifecycle
package import Store
import Synchronization
package import Telemetry

/// What upkeep is started with.
package struct IndexUpkeepConfiguration: Sendable {
    /// Of a migrated database.
    package var database: PostgresConfiguration
    /// Asked before each round: declarations may change.
    package var retention: @Sendable () -> IndexRetention
    package var graph = VectorGraph()
    /// What is kept of given answers.
    package var answers = AnswerBounds()
    package var intervalMilliseconds = 60_000
    /// Of the indexers of this process, which go before.
    package var load = IndexingLoad()

    package init(
        database: PostgresConfiguration, retention: @escaping @Sendable () -> IndexRetention = { IndexRetention() }
    ) {
        self.database = database
        self.retention = retention
    }
}

/// Keeps the index small and quick beside its work: removes what is retired, expired or beyond its bounds, gives room back, links new
/// vectors into their graphs, and builds those that settings ask for. Every minute, on a thread and a connection of its own, in steps that writes wait
/// for a moment at most.
///
/// Several may run on one database; what one does is done for all. Drained means: what was under way is cancelled on the server, since
/// a graph is built for hours. A step is a transaction, which is taken back; a graph that is half built is begun again by the next start.
package final class IndexUpkeepService: Service {
    package let name = "index upkeep"
    private let configuration: IndexUpkeepConfiguration
    private let lane = Lane(name: "index-upkeep")
    private let graphLane = Lane(name: "index-graphs")
    private let upkeep: Mutex<IndexUpkeep>
    private let graphs: Mutex<IndexUpkeep>
    private let growthLane = Lane(name: "index-growth")
    private let growth: Mutex<IndexUpkeep>
    private let writer: Mutex<IndexWriter>
    private let linking: VectorLinking
    /// Of all connections. Once requested it stays so: what would still begin after a stop ends at once, too.
    private let interrupt = PostgresInterrupt()
    private let removed: Counter
    private let expired: Counter
    private let failures: Counter
    private let metrics: MetricsRegistry
    private let logger: Logger

    private static let timeoutMilliseconds = 60_000
    /// How long one round removes, so that what comes every minute has its turn.
    private static let roundNanoseconds: Int64 = 30_000_000_000
    /// Between two steps: others write.
    private static let pauseMilliseconds = 20
    private static let growthMilliseconds = 2_000
    private static let countMilliseconds = 1_000
    /// Between two steps of cutting passages into words, which hold up writes for some tens of milliseconds each.
    private static let cutMilliseconds = 20
    private static let wordsRetryMilliseconds = 5_000
    /// A graph over some hundred million vectors takes so long.
    private static let graphMilliseconds = 86_400_000

    package init(configuration: IndexUpkeepConfiguration, metrics: MetricsRegistry, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        self.metrics = metrics
        var database = configuration.database
        database.interrupt = interrupt
        upkeep = Mutex(IndexUpkeep(configuration: database))
        graphs = Mutex(IndexUpkeep(configuration: database))
        growth = Mutex(IndexUpkeep(configuration: database))
        writer = Mutex(IndexWriter(configuration: database))
        removed = metrics.counter(
            "medallion_index_removed_rows_total",
            help:
                "Rows removed because nobody could ask for them any more: of pruned generations, and of what was replaced "
                + "or deleted before the history began.")
        expired = metrics.counter(
            "medallion_index_expired_documents_total", help: "Documents removed from the index because of their age.")
        failures = metrics.counter(
            "medallion_index_upkeep_failures_total", help: "Rounds of the index's upkeep that failed; tried again.")
        linking = VectorLinking(
            database, load: configuration.load, failures: failures, metrics: metrics, logger: logger)
    }

    package func run(stop: StopSignal) async throws {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [self] in await keepGraphs(stop) }
            group.addTask { [self] in await watchGrowth(stop) }
            group.addTask { [self] in await keepWords(stop) }
            group.addTask { [linking] in await linking.run(stop: stop) }
            group.addTask { [interrupt] in
                await stop.wait()
                interrupt.request()
            }
            while true {
                await round(stop)
                if await stop.pause(milliseconds: configuration.intervalMilliseconds) { break }
            }
        }
    }

    /// One round; what fails is told and done in the next one, and keeps nothing else from being done.
    private func round(_ stop: StopSignal) async {
        let answers = configuration.answers
        await attempt("to forget deletions", stop) { [self] in
            try await lane.run { [self] in
                try writer.withLock { writer in
                    try writer.removeDeletionMarkers(timeoutMilliseconds: Self.timeoutMilliseconds)
                }
            }
        }
        await attempt("to remove kept answers", stop) { [self] in
            let end = SystemClock.monotonicNanoseconds() + Self.roundNanoseconds
            var removed: Int64
            repeat {
                removed = try await lane.run { [self] in
                    try writer.withLock {
                        try $0.tidyAnswers(
                            answers, nowMilliseconds: SystemClock.epochMilliseconds(),
                            timeoutMilliseconds: Self.timeoutMilliseconds)
                    }
                }
            } while removed > 0 && SystemClock.monotonicNanoseconds() < end
        }
        await attempt("to remove what is retired", stop) { [self] in try await remove(stop) }
        await attempt("to give the room of pruned vectors back", stop) { [self] in
            let models = try await lane.run { [self] in
                try upkeep.withLock { try $0.emptyVectors(timeoutMilliseconds: Self.timeoutMilliseconds) }
            }
            if !models.isEmpty {
                logger.info("no generation has vectors of a model any more", ["models": models.joined(separator: " ")])
            }
        }
    }

    /// A command's metric reaches Prometheus through the process that keeps the index: what the last audit came to is in the
    /// database. Looked up every two seconds, so that an alert follows the command.
    private func showAudit() async throws {
        let last = try await growthLane.run { [self] in
            try growth.withLock { upkeep -> (drift: Int64, finishedAtMilliseconds: Int64)? in
                try upkeep.lastAudit(timeoutMilliseconds: Self.timeoutMilliseconds)
            }
        }
        guard let last else { return }
        metrics.gauge(
            "medallion_audit_drift_documents",
            help:
                "Documents and rows of the index that the last `medallion audit` of the active generation found not to be as "
                + "the lake has them."
        ).set(Double(last.drift))
        metrics.gauge(
            "medallion_audit_finished_timestamp_seconds", help: "When that audit ended, seconds since 1970."
        ).set(Double(last.finishedAtMilliseconds) / 1_000)
    }

    /// What fails after a stop was cancelled by it.
    private func attempt(_ what: String, _ stop: StopSignal, _ body: () async throws -> Void) async {
        do {
            try await body()
        } catch {
            if stop.isRequested || Task.isCancelled { return }
            failures.increment()
            logger.warning(
                "the index's upkeep failed \(what); tried again in a minute", ["error": "\(error)"])
        }
    }

    private func remove(_ stop: StopSignal) async throws {
        let retention = configuration.retention()
        let end = SystemClock.monotonicNanoseconds() + Self.roundNanoseconds
        var total: Int64 = 0
        while SystemClock.monotonicNanoseconds() < end {
            let (rows, contents) = try await lane.run { [self] in
                try upkeep.withLock { upkeep in
                    (
                        try upkeep.removeRetired(retention, timeoutMilliseconds: Self.timeoutMilliseconds),
                        try upkeep.removeExpired(
                            retention, nowMilliseconds: SystemClock.epochMilliseconds(),
                            timeoutMilliseconds: Self.timeoutMilliseconds)
                    )
                }
            }
            removed.increment(by: Int(rows))
            expired.increment(by: Int(contents))
            total += rows + contents
            if rows + contents == 0 { break }
            if await stop.pause(milliseconds: Self.pauseMilliseconds) { return }
        }
        // The server's own vacuum would come a minute later, and by then as much may be dead again.
        guard total > 0 else { return }
        let tables = try await lane.run { [self] in
            try upkeep.withLock { try $0.vacuum(timeoutMilliseconds: Self.graphMilliseconds) }
        }
        logger.debug(
            "the index's upkeep removed rows", ["rows": "\(total)", "vacuumed": tables.joined(separator: " ")])
    }

    /// Sees to it that the plans of searches follow a young index, and that the last audit is told of. What fails is tried again, and is
    /// nothing to be told of: the server looks by itself, only later.
    private func watchGrowth(_ stop: StopSignal) async {
        while !(await stop.pause(milliseconds: Self.growthMilliseconds)) {
            do {
                try await growthLane.run { [self] in
                    _ = try growth.withLock { try $0.analyzeGrown(timeoutMilliseconds: Self.timeoutMilliseconds) }
                }
            } catch {
                logger.debug("the planner was not told of grown tables", ["error": "\(error)"])
            }
            do {
                try await showAudit()
            } catch {
                logger.debug("the last audit could not be read", ["error": "\(error)"])
            }
        }
    }

    /// Gives passages their words that lack them, such as after an update of the program, then counts what was shown and hidden, and
    /// joins what small batches wrote.
    private func keepWords(_ stop: StopSignal) async {
        var cursor: WordCursor?
        var joined: Int64 = 0
        var isCutting = true
        while !(await stop.pause(milliseconds: isCutting ? Self.cutMilliseconds : Self.countMilliseconds)) {
            do {
                if isCutting {
                    let from = cursor
                    cursor = try await growthLane.run { [self] in
                        try growth.withLock { try $0.cutWords(from, timeoutMilliseconds: Self.timeoutMilliseconds) }
                    }
                    isCutting = cursor != nil
                }
                var counted: Int64
                repeat {
                    counted = try await growthLane.run { [self] in
                        try growth.withLock { try $0.countWords(timeoutMilliseconds: Self.timeoutMilliseconds) }
                    }
                } while counted > 0 && !stop.isRequested
                guard !isCutting else { continue }
                let from = joined
                joined = try await growthLane.run { [self] in
                    try growth.withLock {
                        try $0.joinPostings(after: from, timeoutMilliseconds: Self.timeoutMilliseconds)
                    }
                }
            } catch {
                if stop.isRequested || Task.isCancelled { return }
                failures.increment()
                logger.warning("the index's words could not be counted; tried again", ["error": "\(error)"])
                if await stop.pause(milliseconds: Self.wordsRetryMilliseconds) { return }
            }
        }
    }

    /// New tables of vectors have the wanted graph from the beginning; others get it once the setting has changed.
    private func keepGraphs(_ stop: StopSignal) async {
        let graph = configuration.graph
        repeat {
            do {
                let built = try await graphLane.run { [self] in
                    try graphs.withLock { try $0.buildGraphs(graph, timeoutMilliseconds: Self.graphMilliseconds) }
                }
                if !built.isEmpty {
                    logger.info("graphs over vectors were built", ["indexes": built.joined(separator: " ")])
                }
                return
            } catch {
                if stop.isRequested || Task.isCancelled { return }
                failures.increment()
                logger.warning(
                    "a graph over vectors could not be built; tried again in a minute", ["error": "\(error)"])
            }
        } while !(await stop.pause(milliseconds: configuration.intervalMilliseconds))
    }
}
