import Bytes
import Concurrency
import Retrieval
import ServiceLifecycle
import Synchronization
import Telemetry

/// Repeats a sample of the searches that were served through the vector index exactly, beside the traffic, and counts how much
/// of the exact first ten the index finds.
///
/// It has neither a thread nor a connection of its own: it borrows a lane of filtered searches while that is idle, and gives it
/// back as soon as a request wants it. After each comparison it rests, so that all of them together take no more than a
/// share of one core, whatever the index's size.
final class RecallWatch: Sendable {
    /// Hits that are compared.
    static let depth = 10
    /// An exact search may take so long.
    static let exactMillisecondsMax = 5_000
    /// Equal vectors may be in any order, and half floats make neighbours equal.
    private static let sameScore = 1e-6
    private static let lookMilliseconds = 500
    /// Between two comparisons, however quick they are.
    private static let restMillisecondsMin: Int64 = 1_000

    private enum Slot {
        /// The watch rests.
        case closed
        /// The next search is taken.
        case open
        case taken(CandidateQuery)
    }

    private let stores: StoreLanes
    private let share: Double
    private let metrics: RecallMetrics
    private let logger: Logger
    private let slot: Mutex<Slot>

    /// - Parameters:
    ///   - stores: the lanes of filtered searches.
    ///   - share: of one core (`RECALL_SAMPLE_SHARE`); 0 for no comparisons.
    init(stores: StoreLanes, share: Double, registry: MetricsRegistry, logger: Logger) {
        self.stores = stores
        self.share = share
        self.logger = logger
        metrics = RecallMetrics(registry)
        slot = Mutex(.closed)
    }

    /// Offers a search that was served through the vector index alone. Costs nothing while the watch rests.
    func offer(_ query: CandidateQuery) {
        guard share > 0, query.vector != nil, query.page == nil else { return }
        slot.withLock { slot in
            if case .open = slot { slot = .taken(query) }
        }
    }

    /// Whether the next search that is offered is taken.
    var isOpen: Bool {
        slot.withLock { slot in
            if case .open = slot { true } else { false }
        }
    }

    /// Compares until stopped.
    func run(stop: StopSignal) async {
        guard share > 0 else { return }
        var restMilliseconds = Self.restMillisecondsMin
        while !(await stop.pause(milliseconds: Int(restMilliseconds))) {
            slot.withLock { $0 = .open }
            guard let query = await taken(stop) else { return }
            restMilliseconds = await compare(query)
        }
    }

    /// The next search that is offered; nil where it is stopped before.
    private func taken(_ stop: StopSignal) async -> CandidateQuery? {
        while true {
            let query: CandidateQuery? = slot.withLock { slot in
                guard case .taken(let query) = slot else { return nil }
                slot = .closed
                return query
            }
            if let query { return query }
            if await stop.pause(milliseconds: Self.lookMilliseconds) { return nil }
        }
    }

    /// Does one search both ways.
    ///
    /// - Returns: milliseconds to rest.
    func compare(_ query: CandidateQuery) async -> Int64 {
        var query = query
        query.lexicalLimit = 0
        query.vectorLimit = Self.depth
        query.documentLimit = nil
        query.counted = nil
        let asked = query
        let start = SystemClock.monotonicNanoseconds()
        do {
            let recall = try await stores.runWhileIdle(timeoutMilliseconds: Self.exactMillisecondsMax) {
                store, timeout in try Self.recall(of: asked, in: store, timeoutMilliseconds: timeout)
            }
            switch recall {
            case .some(.some(let recall)):
                metrics.recall.observe(recall)
                metrics.count(.compared)
            case .some(.none): metrics.count(.empty)
            case .none: metrics.count(.gaveWay)
            }
        } catch is SearchBoundReached {
            metrics.count(.late)
        } catch {
            metrics.count(.failed)
            logger.debug("a search was not repeated exactly", ["error": "\(error)"])
        }
        let spent = Double(SystemClock.monotonicNanoseconds() - start) / 1e6
        return max(Self.restMillisecondsMin, Int64(min(spent * (1 / share - 1), 86_400_000)))
    }

    /// The share of the exact first ten that the index finds; nil where there is nothing to be found.
    private static func recall(
        of query: CandidateQuery, in store: any RetrievalStore, timeoutMilliseconds: Int
    ) throws -> Double? {
        var query = query
        query.vectorScan = .approximate
        let found = try store.candidates(for: query, timeoutMilliseconds: timeoutMilliseconds)
        guard found.isGenerationServed else { return nil }
        // Both see the same documents.
        (query.generation, query.indexVersion) = (found.generation, found.indexVersion)
        query.vectorScan = .exact
        let exact = try store.candidates(for: query, timeoutMilliseconds: timeoutMilliseconds)
        return share(of: scores(exact), among: scores(found))
    }

    /// Best first.
    private static func scores(_ set: CandidateSet) -> [Double] {
        Array(set.candidates.compactMap { $0.vector?.score }.sorted(by: >).prefix(depth))
    }

    /// How many of the exact hits are found, by their scores: one that is as near as the last exact one is as good.
    static func share(of exact: [Double], among found: [Double]) -> Double? {
        guard let last = exact.last else { return nil }
        let good = found.count { $0 >= last - sameScore }
        return Double(min(good, exact.count)) / Double(exact.count)
    }
}

/// What the watch counts.
private struct RecallMetrics: Sendable {
    enum Outcome: String, CaseIterable {
        case compared
        /// Nothing passes the filters.
        case empty
        /// A request wanted the lane, or none was idle.
        case gaveWay = "gave_way"
        /// The exact search took too long.
        case late
        case failed
    }

    let recall: Histogram
    private let outcomes: [Outcome: Counter]

    init(_ registry: MetricsRegistry) {
        recall = registry.histogram(
            "medallion_search_recall_at_10",
            help: "Share of the exact ten nearest that the vector index finds, of sampled searches.",
            buckets: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1])
        outcomes = Dictionary(
            uniqueKeysWithValues: Outcome.allCases.map { outcome in
                (
                    outcome,
                    registry.counter(
                        "medallion_search_recall_checks_total",
                        help: "Sampled searches that were to be repeated exactly, by outcome.",
                        labels: [("outcome", outcome.rawValue)])
                )
            })
    }

    func count(_ outcome: Outcome) { outcomes[outcome]?.increment() }
}
