import Bytes
import Concurrency
import Indexer
import Postgres
import Store
import Synchronization
import Telemetry

/// Documents on their way into the index: new ones, copies, and all of them again for another generation.
struct IndexBenchWrites: Sendable {
    static let batch = 200
    /// Batches by turns with the baseline, so that a drift of the machine meets both.
    static let roundsCount = 10
    static let roundBatches = 2
    /// Documents that come behind those of the load.
    static let roundsDocuments = roundsCount * roundBatches * batch
    private static let copiesMax = 20_000
    /// As many as a replay gives at a time.
    private static let replayLines = 10_000
    private static let limit = 60_000

    let server: IndexBenchServer
    let input: IndexBenchInput
    let vectors: BenchVectors
    let logger: Logger
    private let embedder: BenchEmbedder
    private let indexer: DocumentIndexer

    init(_ server: IndexBenchServer, _ input: IndexBenchInput, _ vectors: BenchVectors, logger: Logger) {
        self.server = server
        self.input = input
        self.vectors = vectors
        self.logger = logger
        embedder = BenchEmbedder(vectors)
        indexer = DocumentIndexer(configuration: server.configuration, embedder: embedder, logger: logger)
    }

    /// Fills the index.
    func load() async throws -> [BenchFigure] {
        var cost = IndexBenchCost()
        var told = 0
        try await cost.add(server) {
            for start in stride(from: 0, to: input.documents, by: Self.batch) {
                _ = try await write(start..<min(start + Self.batch, input.documents))
                guard start * 10 / input.documents > told else { continue }
                told = start * 10 / input.documents
                logger.info("loading", ["documents": "\(start)", "of": "\(input.documents)"])
            }
        }
        let linking = try await linkAll()
        return [
            BenchFigure("loading \(input.passages) passages", cost.rate(input.passages), "/s"),
            BenchFigure("loading: vectors that waited for the graph", Double(linking.vectors), ""),
            BenchFigure(
                "loading, and linking all", Double(input.passages) / (cost.seconds + linking.cost.seconds), "/s"),
            BenchFigure("loading, Postgres' processor time", cost.server / Double(input.passages) * 1e6, "µs"),
            BenchFigure("loading, the client's processor time", cost.client / Double(input.passages) * 1e6, "µs"),
        ]
    }

    /// Links all that waits, as the index's upkeep does where nothing else is to be done, but without its pauses.
    private func linkAll() async throws -> (vectors: Int64, cost: IndexBenchCost) {
        var cost = IndexBenchCost()
        let lane = Lane(name: "bench-links")
        let linker = Mutex(GraphLinker(configuration: server.configuration))
        var vectors: Int64 = 0
        try await cost.add(server) {
            vectors = try await lane.run {
                try linker.withLock { linker in
                    var linked: Int64 = 0
                    _ = try linker.count(timeoutMilliseconds: Self.limit)
                    while case let more = try linker.step(timeoutMilliseconds: Self.limit), more > 0 {
                        linked += more
                        try linker.vacuum(timeoutMilliseconds: Self.limit)
                    }
                    return linked
                }
            }
        }
        return (vectors, cost)
    }

    /// Writes lines as the indexer does, with their checkpoint. Returns the number of passages.
    private func write(_ range: Range<Int>) async throws -> Int {
        let move = CheckpointMove(
            generation: 1, source: GoldMaker.source,
            expected: range.lowerBound == 0 ? nil : input.lines[range.lowerBound - 1].offset + 1,
            next: input.lines[range.upperBound - 1].offset + 1)
        let prepared = try await indexer.prepare(try input.pending(range))
        return try await indexer.write(prepared, moving: [move], goldPositions: [], origin: .live).passagesAdded
    }

    /// New documents with new vectors, which are linked then, by turns with rows of nothing but vectors.
    func compareNew(_ baseline: IndexBenchBaseline) async throws -> (figures: [BenchFigure], findings: [String]) {
        var (ours, bare, links) = (IndexBenchCost(), IndexBenchCost(), IndexBenchCost())
        var (passages, rows, linked) = (0, 0, Int64(0))
        var next = input.documents
        let before = embedder.embedded
        let connection = try BareWriter(server)
        for _ in 0..<Self.roundsCount {
            try await ours.add(server) {
                for _ in 0..<Self.roundBatches {
                    let end = min(next + Self.batch, input.lines.count)
                    passages += try await write(next..<end)
                    next = end
                }
            }
            let linking = try await linkAll()
            linked += linking.vectors
            links += linking.cost
            let first = UInt64(rows)
            try await bare.add(server) {
                for batch in 0..<Self.roundBatches {
                    let start = first + UInt64(batch * Self.batch)
                    try await connection.write((0..<UInt64(Self.batch)).map { vectors.vector(1 << 40 + start + $0) })
                }
            }
            rows += Self.roundBatches * Self.batch
        }
        var findings: [String] = []
        if embedder.embedded - before != passages {
            findings.append("\(passages) new passages, \(embedder.embedded - before) texts embedded")
        }
        if Int(linked) != passages { findings.append("\(passages) new passages, \(linked) vectors linked") }
        let all = Double(passages) / (ours.seconds + links.seconds)
        return (
            [
                BenchFigure(
                    "new documents: passages", ours.rate(passages), "/s", target: "wanted: at least 800 into 200,000"),
                BenchFigure("new documents: linking alone", links.rate(Int(linked)), "/s"),
                BenchFigure("new documents: passages, and linking them", all, "/s"),
                BenchFigure("new documents: baseline, bare vectors", bare.rate(rows), "/s"),
                BenchFigure("new documents: ratio to the baseline", ours.rate(passages) / bare.rate(rows), ""),
                BenchFigure("new documents: ratio to the baseline, with linking", all / bare.rate(rows), ""),
            ] + ours.processorFigures("new documents", passages)
                + links.processorFigures("linking", Int(linked))
                + [
                    BenchFigure(
                        "new documents: baseline, Postgres' processor time", bare.server / Double(rows) * 1e6, "µs")
                ], findings
        )
    }

    /// Brings the word arm's counts up to date, as the index's upkeep does.
    func countWords() async throws {
        let configuration = server.configuration
        try await Lane(name: "bench").run {
            let upkeep = IndexUpkeep(configuration: configuration)
            while try upkeep.countWords(timeoutMilliseconds: Self.limit) > 0 {}
        }
    }

    /// All documents for a child of the generation, whose contents the index has.
    func replay(baseline rate: Double) async throws -> (figures: [BenchFigure], findings: [String]) {
        let configuration = server.configuration
        let child = try await Lane(name: "bench").run {
            try GenerationStore(configuration: configuration).create(
                parent: 1, logicVersion: "bench", note: "", timeoutMilliseconds: Self.limit)
        }
        let before = embedder.embedded
        var cost = IndexBenchCost()
        try await cost.add(server) {
            for start in stride(from: 0, to: input.lines.count, by: Self.replayLines) {
                let lines = input.lines[start..<min(start + Self.replayLines, input.lines.count)]
                _ = try await indexer.index(
                    lines: lines.map { ($0.offset, $0.bytes) }, generation: child, source: GoldMaker.source)
            }
        }
        let embedded = embedder.embedded - before
        let ours = cost.rate(input.lines.count)
        return (
            [
                BenchFigure("unchanged replay: documents", ours, "/s"),
                BenchFigure("unchanged replay: of 181,000", 181_000 / ours, "s", target: "wanted: below 10"),
                BenchFigure("unchanged replay: texts embedded", Double(embedded), "", target: "wanted: 0"),
                BenchFigure("unchanged replay: baseline, INSERT … SELECT", rate, "/s"),
                BenchFigure("unchanged replay: ratio to the baseline", ours / rate, ""),
            ] + cost.processorFigures("unchanged replay", input.lines.count),
            embedded == 0 ? [] : ["an unchanged replay embedded \(embedded) texts"]
        )
    }

    /// Documents that say what others say: each batch prepared when the one before is written, and once more as the indexer does it,
    /// which prepares a batch while the one before is written.
    func copies(baseline rate: Double) async throws -> (figures: [BenchFigure], findings: [String]) {
        let before = embedder.embedded
        let (alone, cost) = try await writeCopies(1) { batches in
            var passages = 0
            for batch in batches { passages += try await write(try await indexer.prepare(batch)) }
            return passages
        }
        let (beside, besideCost) = try await writeCopies(2) { batches in
            var passages = 0
            var next = try await indexer.prepare(batches.first ?? [])
            for place in batches.indices {
                let (ready, following) = (next, batches.dropFirst(place + 1).first ?? [])
                async let prepared = indexer.prepare(following)
                passages += try await write(ready)
                next = try await prepared
            }
            return passages
        }
        let embedded = embedder.embedded - before
        let (ours, overlapped) = (cost.rate(alone), besideCost.rate(beside))
        return (
            [
                BenchFigure("copies: passages", ours, "/s", target: "wanted: at least 5,000"),
                BenchFigure("copies: baseline, INSERT … SELECT", rate, "/s", target: "into empty tables"),
                BenchFigure("copies: ratio to the baseline", ours / rate, ""),
            ] + cost.processorFigures("copies", alone) + [
                BenchFigure(
                    "copies, prepared beside the write: passages", overlapped, "/s", target: "wanted: at least 5,000"),
                BenchFigure("copies, prepared beside the write: ratio to the baseline", overlapped / rate, ""),
            ] + besideCost.processorFigures("copies, prepared beside the write", beside),
            embedded == 0 ? [] : ["copies of texts embedded \(embedded) of them"]
        )
    }

    private func write(_ prepared: DocumentIndexer.Prepared) async throws -> Int {
        try await indexer.write(prepared, moving: [], goldPositions: [], origin: .live).passagesAdded
    }

    /// - Parameters:
    ///   - copy: the number of these copies.
    ///   - body: writes batches and returns the number of passages.
    private func writeCopies(
        _ copy: Int, _ body: ([[PendingDocument]]) async throws -> Int
    ) async throws -> (passages: Int, cost: IndexBenchCost) {
        let documents = try input.pending(0..<min(input.documents, Self.copiesMax), copy: copy)
        let batches = stride(from: 0, to: documents.count, by: Self.batch).map {
            Array(documents[$0..<min($0 + Self.batch, documents.count)])
        }
        var passages = 0
        var cost = IndexBenchCost()
        try await cost.add(server) { passages = try await body(batches) }
        return (passages, cost)
    }
}

/// Writes rows of nothing but vectors, through the same client as the product.
private final class BareWriter: Sendable {
    private let lane = Lane(name: "bare-write")
    private let connection: Mutex<PostgresConnection>

    init(_ server: IndexBenchServer) throws {
        connection = Mutex(try PostgresConnection(server.configuration, timeoutMilliseconds: 10_000))
    }

    func write(_ vectors: [[Float]]) async throws {
        try await lane.run { [self] in
            try connection.withLock { connection in
                var batch = PostgresBatch()
                for vector in vectors { batch.add(InsertBareVector(id: 0, vector: vector)) }
                _ = try connection.run(batch, timeoutMilliseconds: 60_000)
            }
        }
    }
}
