import Bytes
import Concurrency
import Postgres
import ServiceLifecycle
import Store
import Synchronization
import Telemetry

/// When vectors are linked into their graphs: at once, but not while there is more urgent work.
///
/// A pure value. Documents that wait to be embedded and written come first, and this process knows of its own. What other processes write,
/// such as a replay, is seen by its pace: where linking all of it would take a large share of the time, it is put off.
struct LinkPace {
    /// Of the time.
    static let shareMax = 0.25

    private var waiting: Int64?
    private var at: Int64 = 0
    private var linked: Int64 = 0

    /// - Parameters:
    ///   - now: in nanoseconds, as `at` the last time.
    ///   - each: nanoseconds that linking takes; nil where that is not known.
    mutating func allows(waiting now: Int64, at nanoseconds: Int64, each: Int64?, isBehind: Bool) -> Bool {
        let (before, since, linked) = (waiting, at, linked)
        (waiting, at, self.linked) = (now, nanoseconds, 0)
        guard now > 0, !isBehind else { return false }
        guard let before, let each, nanoseconds > since else { return true }
        let come = max(0, now - before + linked)
        return Double(come) * Double(each) / Double(nanoseconds - since) <= Self.shareMax
    }

    /// So many were linked since.
    mutating func note(linked count: Int64) { linked += count }
}

/// Links new vectors into their graphs beside the indexers: at half of one process' time on the server where nothing else is to be
/// done, and not at all while documents wait. Those who write see to it that no more wait than may.
final class VectorLinking: Sendable {
    private let load: IndexingLoad
    private let lane = Lane(name: "index-links")
    private let linker: Mutex<GraphLinker>
    private let waiting: Gauge
    private let age: Gauge
    private let linked: Counter
    private let failures: Counter
    private let logger: Logger

    private static let timeoutMilliseconds = 60_000
    /// Between two looks, and so many times what a look takes: with many tenants it takes some milliseconds.
    private static let restMilliseconds = 250
    private static let restTimes: Int64 = 20
    private static let restMillisecondsMax = 10_000
    private static let retryMilliseconds = 5_000
    /// How long steps follow each other until they that wait are counted again.
    private static let turnNanoseconds: Int64 = 1_000_000_000

    init(
        _ database: PostgresConfiguration, load: IndexingLoad, failures: Counter, metrics: MetricsRegistry,
        logger: Logger
    ) {
        self.load = load
        self.failures = failures
        self.logger = logger
        linker = Mutex(GraphLinker(configuration: database))
        waiting = metrics.gauge(
            "medallion_index_waiting_vectors",
            help: "Vectors that are found by comparing all of them, because they are not linked into their graph yet.")
        age = metrics.gauge(
            "medallion_index_waiting_vectors_age_seconds",
            help: "How long the oldest vector that is not linked into its graph has been shown; 0 where there is none.")
        linked = IndexerMetrics.linked(metrics)
    }

    func run(stop: StopSignal) async {
        var pace = LinkPace()
        var pause = Self.restMilliseconds
        while !(await stop.pause(milliseconds: pause)) {
            do {
                pause = try await turn(&pace, stop)
            } catch {
                if stop.isRequested || Task.isCancelled { return }
                failures.increment()
                logger.warning("vectors could not be linked; tried again", ["error": "\(error)"])
                pause = Self.retryMilliseconds
            }
        }
    }

    /// Links for about a second.
    ///
    /// - Returns: how long to rest, in milliseconds.
    private func turn(_ pace: inout LinkPace, _ stop: StopSignal) async throws -> Int {
        let looked = SystemClock.monotonicNanoseconds()
        let (found, each) = try await lane.run { [self] in
            try linker.withLock { linker in
                (try linker.count(timeoutMilliseconds: Self.timeoutMilliseconds), linker.nanosecondsEach)
            }
        }
        waiting.set(Double(found.count))
        let shownAt = found.oldestShownAtMilliseconds
        age.set(shownAt.map { Double(max(0, SystemClock.epochMilliseconds() - $0)) / 1_000 } ?? 0)
        let begun = SystemClock.monotonicNanoseconds()
        let wanted = Int((begun - looked) * Self.restTimes / 1_000_000)
        let rest = min(max(Self.restMilliseconds, wanted), Self.restMillisecondsMax)
        guard pace.allows(waiting: found.count, at: begun, each: each, isBehind: load.isBehind) else {
            try await vacuum()
            return rest
        }
        var now = begun
        repeat {
            let more = try await lane.run { [self] in
                try linker.withLock { try $0.step(timeoutMilliseconds: Self.timeoutMilliseconds) }
            }
            guard more > 0 else { break }
            linked.increment(by: Int(more))
            pace.note(linked: more)
            let taken = SystemClock.monotonicNanoseconds() - now
            if await stop.pause(milliseconds: max(1, Int(taken / 1_000_000))) { return 0 }
            now = SystemClock.monotonicNanoseconds()
        } while now - begun < Self.turnNanoseconds && !load.isBehind
        try await vacuum()
        return now - begun < Self.turnNanoseconds ? rest : 0
    }

    /// Also where nothing may be linked here: those who write link then.
    private func vacuum() async throws {
        _ = try await lane.run { [self] in
            try linker.withLock { try $0.vacuum(timeoutMilliseconds: Self.timeoutMilliseconds) }
        }
    }
}
