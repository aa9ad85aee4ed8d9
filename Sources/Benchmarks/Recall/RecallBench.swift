import Bytes
import Concurrency
import Console
import Embeddings
import Records
import Retrieval
import Simulator
import Store
import Synchronization
import Telemetry

/// How much of what is nearest the vector arm finds, under filters of all kinds, in an index that has been lived in: three
/// generations, of which the last has another text for half of the documents, and half of its documents replaced by newer versions
/// since. The vectors are the model's, as recall depends on how they lie.
///
/// The reference is the comparison of all vectors that pass the filter, in memory.
struct RecallBench: Sendable {
    private struct Tally: Sendable {
        var found = 0
        var wanted = 0
        /// Queries that got fewer than ten, though more pass the filter.
        var short = 0
        var bounded = 0
        var milliseconds = Sample()
    }

    /// What is shown of each search.
    private static let top = 10
    private static let limit = 60_000

    let passages: Int
    /// Of each kind, under each filter.
    let queries: Int
    let source: any PlayableSource
    let modelDirectory: String
    let logger: Logger

    func run() async throws -> BenchReport {
        let lane = Lane(name: "bench")
        let (source, wanted, logger) = (source, passages, logger)
        let input = try await lane.run { try IndexBenchInput(source, passages: wanted, more: 0) }
        guard input.passages >= wanted else {
            throw Failure("the source has \(input.passages) passages of different texts; \(wanted) are wanted")
        }
        let embedder = try LocalEmbedder(modelDirectory: modelDirectory)
        defer { embedder.stop() }
        let server = try await lane.run { try IndexBenchServer(logger: logger) }
        do {
            let report = try await measure(server, input, embedder, lane)
            try await lane.run { server.stop() }
            return report
        } catch {
            try await lane.run { server.stop() }
            throw error
        }
    }

    private func measure(
        _ server: IndexBenchServer, _ input: IndexBenchInput, _ embedder: LocalEmbedder, _ lane: Lane
    ) async throws -> BenchReport {
        let history = RecallHistory(server, input, embedder, logger: logger)
        try await history.write()
        let stored = try await lane.run {
            try server.script("VACUUM ANALYZE")
            return try server.script("SELECT count(*) FROM passages").first?.first ?? nil
        }
        logger.info("searching")
        let shared = SharedArms()
        let keeper = ArmsLane(server.configuration, shared)
        try await keeper.look()
        // Searches in memory are given up while nobody looks.
        let following = Task { await keeper.follow() }
        defer { following.cancel() }
        let (configuration, model) = (server.configuration, embedder.modelName)
        var report = BenchReport(
            title:
                "recall: \(input.documents) documents, \(stored ?? "?") passages with those shown no more, \(queries) queries "
                + "of each kind"
        )
        for filter in try RecallFilters(input).all {
            for kind in RecallQueries.Kind.allCases {
                let texts = try RecallQueries(input, kind).texts(queries)
                let vectors = try await embedder.embed(texts, priority: .batch)
                report.figures += try await lane.run {
                    let postgres = SearchStore(configuration: configuration, model: model)
                    let other = SearchStore(configuration: configuration, model: model)
                    return try Self.figures(filter, kind, vectors, postgres, ArmedStore(other, shared: shared))
                }
            }
        }
        report.figures.append(
            BenchFigure("load average", ProcessorTime.loadAverage(), "", target: "other work on this machine"))
        return report
    }

    private static func figures(
        _ filter: RecallFilters.Named, _ kind: RecallQueries.Kind, _ vectors: [[Float]], _ ofPostgres: SearchStore,
        _ ofMemory: ArmedStore
    ) throws -> [BenchFigure] {
        var (postgres, memory) = (Tally(), Tally())
        for vector in vectors {
            let query = CandidateQuery(
                text: "", vector: vector, filter: filter.filter, lexicalLimit: 0, documentLimit: top + 1)
            var exact = query
            exact.vectorScan = .exact
            let nearest = try found(by: exact, in: ofMemory).nearest
            try add(query, nearest, ofPostgres, to: &postgres)
            try add(query, nearest, ofMemory, to: &memory)
        }
        let name = "\(filter.name), \(kind.rawValue)"
        return [("Postgres", postgres), ("memory", memory)].flatMap { place, tally in
            [
                BenchFigure(
                    "\(name), \(place): recall@10", Double(tally.found) / Double(max(1, tally.wanted)), "",
                    target: "wanted: at least \(place == "memory" ? "0.97" : "0.95"); "
                        + "\(tally.short) of \(vectors.count) got fewer than there are, \(tally.bounded) said so"),
                BenchFigure("\(name), \(place): p50", tally.milliseconds.quantile(0.5), "ms"),
                BenchFigure("\(name), \(place): p95", tally.milliseconds.quantile(0.95), "ms"),
            ]
        }
    }

    private static func add(
        _ query: CandidateQuery, _ nearest: Set<String>, _ store: any RetrievalStore, to tally: inout Tally
    ) throws {
        let began = SystemClock.monotonicNanoseconds()
        let found = try found(by: query, in: store)
        tally.milliseconds.add(Double(SystemClock.monotonicNanoseconds() - began) / 1e6)
        tally.found += found.nearest.intersection(nearest).count
        tally.wanted += nearest.count
        if found.nearest.count < nearest.count { tally.short += 1 }
        if found.nearest.count < nearest.count, found.isBounded { tally.bounded += 1 }
    }

    private static func found(
        by query: CandidateQuery, in store: any RetrievalStore
    ) throws -> (nearest: Set<String>, isBounded: Bool) {
        let set = try store.candidates(for: query, timeoutMilliseconds: limit)
        return (Set(set.candidates.prefix(top).map(\.docID)), set.isVectorBounded)
    }
}
