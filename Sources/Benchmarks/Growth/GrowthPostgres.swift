import Bytes
import Concurrency
import Console
import Embeddings
import Files
import Indexer
import Postgres
import Records
import Retrieval
import Store
import Synchronization
import Telemetry

/// What a search and a new document cost in Postgres alone, as the index there grows.
struct GrowthPostgres: Sendable {
    /// As many as searches keep by themselves, and fewer.
    static let candidates = [
        GrowthQueries.Candidates(name: "usual candidates", ef: nil),
        GrowthQueries.Candidates(name: "400 candidates", ef: 400, recallMin: 0.95, rateMin: 250),
        GrowthQueries.Candidates(name: "100 candidates", ef: 100, recallMin: 0.86, rateMin: 450),
    ]
    private static let newDocuments = 2_000
    private static let limit = 3_600_000
    private static let plotted = [
        "4 clients, usual candidates: Postgres' processor time of a search",
        "4 clients, 100 candidates: Postgres' processor time of a search", "a new document: Postgres' processor time",
        "linking a vector: Postgres' processor time", "on disk",
    ]

    let options: GrowthBench.Options
    let texts: IndexBenchInput
    let input: GrowthInput
    let embedder: LocalEmbedder
    let logger: Logger

    /// Texts of documents that come behind those of the tables, for each size.
    static func further(_ sizes: [Int]) -> Int { newDocuments * sizes.count }

    func run() async throws -> BenchReport {
        let lane = Lane(name: "bench")
        let queries = try await GrowthQueries(input, embedder, each: options.queries)
        let server = try await lane.run { [logger] in try IndexBenchServer(logger: logger) }
        var table = GrowthTable(sizes: options.sizes)
        do {
            let tables = try await lane.run { [input] in try GrowthTables(server, input) }
            var known = 0
            for (place, size) in options.sizes.enumerated() {
                logger.info("filling", ["passages": "\(size)"])
                let load = try await lane.run { [known] in try tables.add(known..<size) }
                table.add("filled", size, load.filled, "s")
                table.add("indexes built", size, load.built, "s")
                known = size
                logger.info("searching", ["passages": "\(size)"])
                try await searches(server, queries, size, into: &table)
                try await writes(server, place, size, into: &table)
                try await loadArms(server, size, into: &table)
            }
            try await lane.run { server.stop() }
        } catch {
            try await lane.run { server.stop() }
            throw error
        }
        var report = BenchReport(
            title: "growth in Postgres: \(options.sizes.map(\.description).joined(separator: ", ")) passages, "
                + "\(input.baseCount) embedded texts and mixtures of two, \(options.queries) queries of each kind")
        report.figures = table.figures()
        if let plot = options.plot {
            try File.replace(
                plot, with: Array(GrowthPlot.svg(sizes: options.sizes, lines: table.lines(Self.plotted)).utf8))
        }
        report.figures.append(
            BenchFigure("load average", ProcessorTime.loadAverage(), "", target: "other work on this machine"))
        return report
    }

    private func searches(
        _ server: IndexBenchServer, _ queries: GrowthQueries, _ size: Int, into table: inout GrowthTable
    ) async throws {
        let bytes = try await Lane(name: "bench").run {
            try server.script("SELECT pg_database_size(current_database())").first?.first ?? nil
        }
        table.add("on disk", size, (bytes.flatMap { Double($0) } ?? 0) / Double(size), "B/passage")
        for figure in try await queries.figures(server, Self.candidates, seconds: options.seconds) {
            table.add(figure.name, size, figure.value, figure.unit)
        }
    }

    /// New documents by the indexer's own way, and linking them.
    private func writes(
        _ server: IndexBenchServer, _ place: Int, _ size: Int, into table: inout GrowthTable
    ) async throws {
        let first = texts.documents + place * Self.newDocuments
        let range = first..<min(first + Self.newDocuments, texts.lines.count)
        let indexer = DocumentIndexer(
            configuration: server.configuration, embedder: GrowthEmbedder(input, from: size), logger: logger)
        var (writing, linking) = (IndexBenchCost(), IndexBenchCost())
        try await writing.add(server) {
            for start in stride(from: range.lowerBound, to: range.upperBound, by: IndexBenchWrites.batch) {
                let batch = try texts.pending(start..<min(start + IndexBenchWrites.batch, range.upperBound))
                _ = try await indexer.write(
                    try await indexer.prepare(batch), moving: [], goldPositions: [], origin: .live)
            }
        }
        let count = range.count
        try await linking.add(server) {
            try await Lane(name: "bench-links").run {
                let linker = GraphLinker(configuration: server.configuration)
                _ = try linker.count(timeoutMilliseconds: Self.limit)
                while try linker.step(timeoutMilliseconds: Self.limit) > 0 {}
            }
        }
        table.add("new documents", size, writing.rate(count), "1/s")
        table.add("a new document: Postgres' processor time", size, writing.server / Double(count) * 1e6, "µs")
        table.add("vectors linked", size, linking.rate(count), "1/s")
        table.add("linking a vector: Postgres' processor time", size, linking.server / Double(count) * 1e6, "µs")
    }

    private func loadArms(_ server: IndexBenchServer, _ size: Int, into table: inout GrowthTable) async throws {
        let shared = SharedArms()
        let keeper = ArmsLane(server.configuration, shared)
        let began = SystemClock.monotonicNanoseconds()
        try await keeper.look()
        let seconds = Double(SystemClock.monotonicNanoseconds() - began) / 1e9
        guard shared.sizes[.standard] != nil else { throw Failure("the index was not loaded into memory") }
        table.add("loaded into memory", size, seconds, "s")
    }
}

/// Gives each text it is asked for the vector of a further mixture.
final class GrowthEmbedder: TextEmbedder {
    let dimensions: Int
    let modelName: String
    private let input: GrowthInput
    private let next: Atomic<Int>

    /// - Parameter first: the number of the first mixture; others have those before it.
    init(_ input: GrowthInput, from first: Int, modelName: String = GrowthTables.model) {
        (self.input, self.modelName) = (input, modelName)
        dimensions = input.dimensions
        next = Atomic(1 << 40 + first)
    }

    func embed(_ texts: [String], priority: EmbeddingPriority) async throws -> [[Float]] {
        let first = next.add(texts.count, ordering: .relaxed).oldValue
        return texts.indices.map { place in
            let vector = input.passage(first + place).halves.map(HalfFloat.value)
            let length = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
            return vector.map { $0 / length }
        }
    }
}
