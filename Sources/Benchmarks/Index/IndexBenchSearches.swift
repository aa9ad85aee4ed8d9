import Bytes
import Concurrency
import Console
import Postgres
import Records
import Retrieval
import Store
import Synchronization

/// Searches with words that are in many texts, a number that is in none, and the vector of something like a text.
struct IndexBenchSearches: Sendable {
    /// What is searched with.
    enum Kind: String, Sendable {
        case hybrid, lexical, vector
        /// Both arms in memory.
        case memory
        /// The nearest ten vectors, by the same session settings.
        case bare
    }

    private struct Round: Sendable {
        var milliseconds = Sample()
        var rate = 0.0
        /// Queries that were not measured.
        var others = 0
    }

    /// What a page of ten asks for: one more tells whether another follows.
    private static let documentLimit = 11
    private static let warmUp = 50
    private static let recallQueries = 100
    private static let limit = 60_000

    let server: IndexBenchServer
    let input: IndexBenchInput
    let vectors: BenchVectors
    let table: String
    let seconds: Int
    private let shared = SharedArms()

    init(
        server: IndexBenchServer, input: IndexBenchInput, vectors: BenchVectors, table: String, seconds: Int
    ) {
        (self.server, self.input, self.vectors, self.table, self.seconds) = (server, input, vectors, table, seconds)
    }

    func run() async throws -> [BenchFigure] {
        var figures = try await recall(.vector)
        let loading = try await load()
        figures += loading.figures
        // Searches in memory hold still while nobody looks.
        let following = Task { await loading.keeper.follow() }
        defer { following.cancel() }
        figures += try await recall(.memory)
        var rates: [String: (rate: Double, processor: Double)] = [:]
        for (kind, clients) in [
            (Kind.hybrid, 1), (.memory, 1), (.hybrid, 4), (.memory, 4), (.lexical, 1), (.vector, 1), (.bare, 1),
            (.bare, 4),
        ] {
            var cost = IndexBenchCost()
            var rounds: [Round] = []
            try await cost.add(server) { rounds = try await round(kind, clients: clients) }
            var all = Sample()
            for value in rounds.flatMap(\.milliseconds.values) { all.add(value) }
            let name = "search, \(kind.rawValue), \(clients) client\(clients == 1 ? "" : "s")"
            let rate = rounds.reduce(0) { $0 + $1.rate }
            let queries = all.values.count + rounds.reduce(0) { $0 + $1.others }
            let processor = cost.server / Double(max(1, queries)) * 1e3
            rates["\(kind.rawValue) \(clients)"] = (rate, processor)
            figures += [
                BenchFigure("\(name): queries", rate, "/s"), BenchFigure("\(name): p50", all.quantile(0.5), "ms"),
                BenchFigure("\(name): p95", all.quantile(0.95), "ms"),
                BenchFigure("\(name): p99", all.quantile(0.99), "ms"),
                BenchFigure("\(name): Postgres' processor time", processor, "ms"),
            ]
        }
        if let ours = rates["hybrid 1"], let memory = rates["memory 1"], let many = rates["hybrid 4"],
            let memoryMany = rates["memory 4"]
        {
            figures += [
                BenchFigure("search: rate in memory to Postgres, 1 client", memory.rate / ours.rate, ""),
                BenchFigure("search: rate in memory to Postgres, 4 clients", memoryMany.rate / many.rate, ""),
            ]
        }
        if let ours = rates["hybrid 1"], let bare = rates["bare 1"], let many = rates["hybrid 4"],
            let bareMany = rates["bare 4"]
        {
            figures += [
                BenchFigure("search: rate of hybrid to bare, 1 client", ours.rate / bare.rate, ""),
                BenchFigure("search: rate of hybrid to bare, 4 clients", many.rate / bareMany.rate, ""),
                BenchFigure("search: processor time of hybrid to bare", ours.processor / bare.processor, ""),
            ]
        }
        return figures
    }

    /// Searches in Postgres while vectors wait for their graph: as many of the newest, or half of all.
    func whileWaiting() async throws -> [BenchFigure] {
        var figures: [BenchFigure] = []
        for wanted in [2_000, 20_000] {
            let waiting = min(wanted, input.passages / 2)
            _ = try await Lane(name: "bench").run {
                try server.script(
                    """
                    WITH gone AS (
                        DELETE FROM vectors_1 WHERE is_linked AND id IN (SELECT id FROM vectors_1 ORDER BY id DESC LIMIT \(waiting))
                        RETURNING tenant, id, input_hash, embedding
                    )
                    INSERT INTO vectors_1 SELECT tenant, id, input_hash, embedding, false FROM gone ORDER BY id
                    """)
            }
            var all = Sample()
            for round in try await round(.hybrid, clients: 1) {
                for value in round.milliseconds.values { all.add(value) }
            }
            figures += [
                BenchFigure("search, hybrid, 1 client, \(waiting) vectors waiting: p50", all.quantile(0.5), "ms"),
                BenchFigure("search, hybrid, 1 client, \(waiting) vectors waiting: p95", all.quantile(0.95), "ms"),
            ]
        }
        return figures
    }

    private func round(_ kind: Kind, clients: Int) async throws -> [Round] {
        try await withThrowingTaskGroup(of: Round.self) { group in
            for client in 0..<clients {
                group.addTask {
                    try await Lane(name: "search-\(client)").run { try search(kind, client: client) }
                }
            }
            var rounds: [Round] = []
            for try await round in group { rounds.append(round) }
            return rounds
        }
    }

    private func search(_ kind: Kind, client: Int) throws -> Round {
        var random = SeededGenerator(seed: UInt64(100 + client))
        let ask = try asker(kind)
        for _ in 0..<Self.warmUp { try ask(&random) }
        var round = Round(others: Self.warmUp)
        let began = SystemClock.monotonicNanoseconds()
        let end = began + Int64(seconds) * 1_000_000_000
        var now = began
        while now < end {
            let start = now
            try ask(&random)
            now = SystemClock.monotonicNanoseconds()
            round.milliseconds.add(Double(now - start) / 1e6)
        }
        round.rate = Double(round.milliseconds.values.count) / (Double(now - began) / 1e9)
        return round
    }

    /// What asks one query after the other in a session of its own.
    private func asker(_ kind: Kind) throws -> (inout SeededGenerator) throws -> Void {
        guard kind == .bare else {
            let store = store(kind)
            return { random in
                let query = try query(kind, &random)
                _ = try store.candidates(for: query, timeoutMilliseconds: Self.limit)
            }
        }
        let connection = try server.connect(SearchStore.sessionSettings())
        return { random in
            _ = try connection.run(
                FindBareVectors(table: table, vector: try vector(&random)), timeoutMilliseconds: Self.limit)
        }
    }

    private func store(_ kind: Kind) -> any RetrievalStore {
        let store = SearchStore(configuration: server.configuration, model: "bench")
        return kind == .memory ? ArmedStore(store, shared: shared) : store
    }

    private func query(_ kind: Kind, _ random: inout SeededGenerator) throws -> CandidateQuery {
        let words = (0..<3).map { _ in SearchQueries.words[Int(random.next() % UInt64(SearchQueries.words.count))] }
        let text = (words + ["\(random.next() % 100_000)"]).joined(separator: " ")
        return CandidateQuery(
            text: text, vector: kind == .lexical ? nil : try vector(&random),
            lexicalLimit: kind == .vector ? 0 : SearchLimits.candidatesPerArm, documentLimit: Self.documentLimit)
    }

    /// Near that of a text.
    private func vector(_ random: inout SeededGenerator) throws -> [Float] {
        let text = try input.text(Int(random.next() % UInt64(input.documents)))
        return BenchVectors.neighbour(of: vectors.vector(of: text), &random)
    }

    // MARK: In memory

    /// Loads the index, on the lane that then follows it.
    private func load() async throws -> (figures: [BenchFigure], keeper: ArmsLane) {
        let keeper = ArmsLane(server.configuration, shared)
        let began = SystemClock.monotonicNanoseconds()
        try await keeper.look()
        let seconds = Double(SystemClock.monotonicNanoseconds() - began) / 1e9
        guard let size = shared.sizes[.standard] else { throw Failure("the index was not loaded into memory") }
        let figures = [
            BenchFigure("memory: loading", Double(size.passages) / seconds, "passages/s"),
            BenchFigure("memory: vectors", Double(size.vectorBytes) / Double(size.passages), "B/passage"),
            BenchFigure("memory: words", Double(size.wordBytes) / Double(size.passages), "B/passage"),
            BenchFigure("memory: all", Double(size.bytes) / Double(size.passages), "B/passage"),
        ]
        return (figures, keeper)
    }

    /// How many of the nearest ten are found.
    private func recall(_ kind: Kind) async throws -> [BenchFigure] {
        try await Lane(name: "recall").run { [self] in
            var random = SeededGenerator(seed: 10)
            let store = store(kind)
            let place = kind == .memory ? "memory" : "Postgres"
            var (found, wanted) = (0, 0)
            var exact = Sample()
            for _ in 0..<Self.recallQueries {
                var query = CandidateQuery(text: "", vector: try vector(&random), vectorLimit: 10, lexicalLimit: 0)
                query.vectorScan = .approximate
                let nearest = try nearest(query, store)
                query.vectorScan = .exact
                let began = SystemClock.monotonicNanoseconds()
                let all = try self.nearest(query, store)
                exact.add(Double(SystemClock.monotonicNanoseconds() - began) / 1e6)
                found += nearest.intersection(all).count
                wanted += all.count
            }
            return [
                BenchFigure(
                    "search in \(place): recall@10 of the vector arm", Double(found) / Double(max(1, wanted)), ""),
                BenchFigure("search in \(place): exact scan, p50", exact.quantile(0.5), "ms"),
            ]
        }
    }

    private func nearest(_ query: CandidateQuery, _ store: any RetrievalStore) throws -> Set<String> {
        Set(try store.candidates(for: query, timeoutMilliseconds: Self.limit).candidates.map(\.docID))
    }
}
