import Bytes
import Concurrency
import Embeddings
import Postgres
import Retrieval
import Store

extension SearchStore {
    /// - Parameter ef: candidates that the graph's search keeps; nil: by the number of passages.
    convenience init(_ server: IndexBenchServer, ef: Int?) {
        self.init(configuration: server.configuration, model: GrowthTables.model, ef: ef)
    }
}

/// Queries as texts with their vectors, and what searching with them in Postgres takes.
struct GrowthQueries: Sendable {
    /// A number of candidates that the graph's search keeps, and what is wanted of it.
    struct Candidates: Sendable {
        let name: String
        /// Nil: as many as are usual for the size.
        let ef: Int?
        /// Of both kinds of queries together, and searches a second.
        var recallMin: Double?
        var rateMin: Double?
    }

    private static let clients = 4
    private static let top = 10
    private static let limit = 600_000
    /// What a page of ten asks for.
    private static let documentLimit = 11

    private let queries: [(kind: RecallQueries.Kind, query: CandidateQuery)]

    init(_ input: GrowthInput, _ embedder: LocalEmbedder, each: Int) async throws {
        var queries: [(kind: RecallQueries.Kind, query: CandidateQuery)] = []
        for kind in RecallQueries.Kind.allCases {
            let texts = try RecallQueries(input.input, kind).texts(each)
            for (text, vector) in zip(texts, try await embedder.embed(texts, priority: .batch)) {
                queries.append((kind, CandidateQuery(text: text, vector: vector, documentLimit: Self.documentLimit)))
            }
        }
        self.queries = queries
    }

    /// How many of the nearest ten are found, and rates.
    ///
    /// - Parameter seconds: of each round of searches.
    func figures(_ server: IndexBenchServer, _ all: [Candidates], seconds: Int) async throws -> [BenchFigure] {
        let nearest = try await Lane(name: "bench").run { try self.nearest(server) }
        var figures: [BenchFigure] = []
        for candidates in all { figures += try await self.figures(server, candidates, nearest, seconds: seconds) }
        return figures
    }

    private func figures(
        _ server: IndexBenchServer, _ candidates: Candidates, _ nearest: [Set<String>], seconds: Int
    ) async throws -> [BenchFigure] {
        let name = candidates.name
        let recalls = try await Lane(name: "bench").run {
            let store = SearchStore(server, ef: candidates.ef)
            return try RecallQueries.Kind.allCases.map { ($0.rawValue, try recall(store, [$0], nearest)) }
                + [("both", try recall(store, RecallQueries.Kind.allCases, nearest))]
        }
        var figures = recalls.map { BenchFigure("\(name): recall@10, \($0.0)", $0.1, "") }
        figures[figures.count - 1].goal = candidates.recallMin.map { .atLeast($0) }
        var cost = IndexBenchCost()
        var sample = Sample()
        try await cost.add(server) {
            sample = try await rate(server, candidates.ef, Self.clients, seconds: seconds)
        }
        let count = sample.values.count
        let clients = "\(Self.clients) clients, \(name)"
        return figures + [
            BenchFigure(
                "\(clients): searches", cost.rate(count), "1/s", goal: candidates.rateMin.map { .atLeast($0) }),
            BenchFigure("\(clients): p50", sample.quantile(0.5), "ms"),
            BenchFigure("\(clients): p95", sample.quantile(0.95), "ms"),
            BenchFigure(
                "\(clients): Postgres' processor time of a search", cost.server / Double(max(1, count)) * 1e3, "ms"),
        ]
    }

    /// The documents of the nearest vectors of each query, all compared; none of those that came behind the tables.
    private func nearest(_ server: IndexBenchServer) throws -> [Set<String>] {
        let connection = try server.connect([("enable_indexscan", "off")])
        return try queries.map { _, query in
            let statement = FindBareVectors(table: "vectors_1", vector: query.vector ?? [])
            let ids = try connection.run(statement, timeoutMilliseconds: Self.limit)
            return Set(ids.prefix(Self.top).filter { $0 < GrowthTables.numbersMax }.map { "growth-\($0)" })
        }
    }

    /// Of the nearest ten, the share that the vector arm finds.
    private func recall(
        _ store: SearchStore, _ kinds: [RecallQueries.Kind], _ nearest: [Set<String>]
    ) throws -> Double {
        var (found, wanted) = (0, 0)
        for ((kind, query), nearest) in zip(queries, nearest) where kinds.contains(kind) {
            var query = query
            (query.lexicalLimit, query.vectorScan) = (0, .approximate)
            let documents = try store.candidates(for: query, timeoutMilliseconds: Self.limit).candidates.map(\.docID)
            found += nearest.intersection(documents.prefix(Self.top)).count
            wanted += nearest.count
        }
        return Double(found) / Double(max(1, wanted))
    }

    /// Searches with both arms for some time.
    ///
    /// - Returns: milliseconds of each search.
    private func rate(_ server: IndexBenchServer, _ ef: Int?, _ clients: Int, seconds: Int) async throws -> Sample {
        let until = SystemClock.monotonicNanoseconds() + Int64(seconds) * 1_000_000_000
        return try await withThrowingTaskGroup(of: Sample.self) { group in
            for client in 0..<clients {
                group.addTask {
                    try await Lane(name: "search-\(client)").run {
                        let store = SearchStore(server, ef: ef)
                        var sample = Sample()
                        var number = client * 7
                        while true {
                            let start = SystemClock.monotonicNanoseconds()
                            guard start < until || sample.values.isEmpty else { return sample }
                            let query = queries[number % queries.count].query
                            _ = try store.candidates(for: query, timeoutMilliseconds: Self.limit)
                            sample.add(Double(SystemClock.monotonicNanoseconds() - start) / 1e6)
                            number += 1
                        }
                    }
                }
            }
            var all = Sample()
            for try await sample in group { for value in sample.values { all.add(value) } }
            return all
        }
    }
}
