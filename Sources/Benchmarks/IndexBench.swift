import Bytes
import Concurrency
import Console
import Embeddings
import Simulator
import Telemetry

/// The index alone: writing, replaying and searching it, in a Postgres of its own, by the product's own code.
///
/// Texts are those of the source's events, so that words are as frequent as there; vectors are random around some hundreds of
/// centres, so that no model is needed and none takes processor time. Baselines run in the same Postgres.
struct IndexBench {
    let passages: Int
    /// Of each round of searches.
    let seconds: Int
    let source: any PlayableSource
    /// Of the model that embeds the queries of what is searched with real vectors; nil: that is left out.
    let modelDirectory: String?
    let logger: Logger

    private static let embeddedMax = 4_000
    private static let queries = 50

    func run() async throws -> BenchReport {
        let lane = Lane(name: "bench")
        let (source, wanted, logger) = (source, passages, logger)
        let input = try await lane.run {
            try IndexBenchInput(source, passages: wanted, more: IndexBenchWrites.roundsDocuments)
        }
        guard input.passages >= wanted else {
            throw Failure("the source has \(input.passages) passages of different texts; \(wanted) are wanted")
        }
        let server = try await lane.run { try IndexBenchServer(logger: logger) }
        do {
            var report = try await measure(server, input, lane)
            try await lane.run { server.stop() }
            report.figures += try await embeddedSearches()
            return report
        } catch {
            try await lane.run { server.stop() }
            throw error
        }
    }

    private func measure(_ server: IndexBenchServer, _ input: IndexBenchInput, _ lane: Lane) async throws -> BenchReport
    {
        let vectors = BenchVectors()
        let writes = IndexBenchWrites(server, input, vectors, logger: logger)
        var report = BenchReport(
            title:
                "index: \(input.documents) documents, \(input.passages) passages, \(BenchVectors.dimensions) dimensions, "
                + "batches of \(IndexBenchWrites.batch), searches in rounds of \(seconds) s")
        report.figures += try await writes.load()
        let baseline = try await lane.run {
            // As the database's own cleaner would have done within the hour.
            try server.script("VACUUM ANALYZE")
            return try IndexBenchBaseline(server)
        }
        let sizes = try await lane.run { try Self.sizes(server, passages: input.passages) }
        logger.info("loaded; making a baseline of bare vectors")
        try await lane.run { try baseline.copyVectors() }
        add(try await writes.compareNew(baseline), to: &report)

        logger.info("baselines of contents")
        let (contents, visibility) = try await baselines(server, baseline, input, lane)
        add(try await writes.replay(baseline: visibility), to: &report)
        logger.info("searching")
        try await lane.run {
            try server.script("DROP TABLE bare_vectors")
            try server.script("VACUUM ANALYZE")
            try server.script("CHECKPOINT")
        }
        try await writes.countWords()
        let searches = IndexBenchSearches(
            server: server, input: input, vectors: vectors, table: baseline.vectors, seconds: seconds)
        report.figures += try await searches.run()
        add(try await writes.copies(baseline: contents), to: &report)
        report.figures += try await searches.whileWaiting()
        report.figures += sizes
        report.figures.append(
            BenchFigure("load average", ProcessorTime.loadAverage(), "", target: "other work on this machine"))
        return report
    }

    /// Searches by vectors that the model gives: around random centres a graph finds more or less than among those of texts.
    private func embeddedSearches() async throws -> [BenchFigure] {
        guard let modelDirectory else {
            logger.warning("searches by a model's vectors are left out: there is none")
            return []
        }
        let embedder = try LocalEmbedder(modelDirectory: modelDirectory)
        defer { embedder.stop() }
        let texts = try IndexBenchInput(source, passages: min(passages, Self.embeddedMax), more: 0)
        let input = try await GrowthInput(texts, embedder)
        let queries = try await GrowthQueries(input, embedder, each: Self.queries)
        let lane = Lane(name: "bench")
        let (passages, logger) = (passages, logger)
        let server = try await lane.run { try IndexBenchServer(logger: logger) }
        do {
            _ = try await lane.run { try GrowthTables(server, input).add(0..<passages) }
            let figures = try await queries.figures(server, GrowthPostgres.candidates, seconds: seconds).map {
                BenchFigure("Postgres alone, \($0.name)", $0.value, $0.unit, goal: $0.goal)
            }
            try await lane.run { server.stop() }
            return figures
        } catch {
            try await lane.run { server.stop() }
            throw error
        }
    }

    private func add(_ part: (figures: [BenchFigure], findings: [String]), to report: inout BenchReport) {
        report.figures += part.figures
        report.findings += part.findings
    }

    /// Rows a second by plain SQL into tables with the same indexes: all that a document needs, and what another generation
    /// needs of it.
    private func baselines(
        _ server: IndexBenchServer, _ baseline: IndexBenchBaseline, _ input: IndexBenchInput, _ lane: Lane
    ) async throws -> (contents: Double, visibility: Double) {
        try await lane.run { try baseline.makeTables() }
        var (contents, visibility) = (IndexBenchCost(), IndexBenchCost())
        try await contents.add(server) { try await lane.run { try baseline.copyContents() } }
        try await visibility.add(server) { try await lane.run { try baseline.copyVisibility() } }
        try await lane.run { try baseline.dropTables() }
        return (contents.rate(input.lines.count), visibility.rate(input.lines.count))
    }

    /// Bytes of each table without its indexes, and of each index, for each passage; what is next to nothing is left out.
    private static func sizes(_ server: IndexBenchServer, passages: Int) throws -> [BenchFigure] {
        let rows = try server.script(
            """
            SELECT coalesce(t.relname || ': ', '') || c.relname,
                CASE WHEN t.oid IS NULL THEN pg_table_size(c.oid) ELSE pg_relation_size(c.oid) END
            FROM pg_class c
            LEFT JOIN pg_index i ON i.indexrelid = c.oid LEFT JOIN pg_class t ON t.oid = i.indrelid
            WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'i')
            ORDER BY coalesce(t.relname, c.relname), t.oid IS NOT NULL, c.relname
            """)
        let sizes = rows.compactMap { row in
            row[1].flatMap { Double($0) }.map { (name: row[0] ?? "", each: $0 / Double(max(1, passages))) }
        }
        let sum = sizes.reduce(0) { $0 + $1.each }
        return sizes.filter { $0.each * 500 >= sum }.map { BenchFigure("on disk, \($0.name)", $0.each, "B/passage") }
            + [BenchFigure("on disk, all", sum, "B/passage")]
    }
}
