import Bytes
import Concurrency
import Embeddings
import JSONScan
import Simulator

/// The embedder in every precision, in turn: bulk, single queries, and queries that wait together. The baseline embeds one text
/// after the other; float is what the other precisions are held against.
struct EmbedBench {
    let source: any PlayableSource
    let texts: Int
    let modelDirectory: String

    private static let batch = 512
    private static let queries = 300
    /// Each precision gets its turn so often; the best turn of each counts.
    private static let rounds = 2
    /// Queries that are asked at once.
    private static let crowds = [2, 4, 8, 16]
    private static let evenTokens = 48

    /// What one precision did.
    private struct Speed {
        var even = 0.0
        var real = 0.0
        var baseline = 0.0
        /// Milliseconds of processor time a document.
        var processor = Double.infinity
        var single = Sample()
        /// By the number asked at once, milliseconds until all had their answer, for each of them.
        var crowds: [Int: Double] = [:]
    }

    func run() async throws -> BenchReport {
        let directory = modelDirectory
        let precisions = EmbeddingPrecision.allCases
        var embedders: [LocalEmbedder] = []
        defer { for embedder in embedders { embedder.stop() } }
        for precision in precisions {
            var options = LocalEmbedderOptions()
            options.precision = precision
            let chosen = options
            embedders.append(
                try await Lane(name: "bench").run { try LocalEmbedder(modelDirectory: directory, options: chosen) })
        }
        let real = try documents()
        let even = evenTexts(embedders[0].tokenizer)
        let queries = real.prefix(Self.queries).map(Self.query)
        var speeds = [Speed](repeating: Speed(), count: precisions.count)
        for _ in 0..<Self.rounds {
            for place in precisions.indices {
                try await measure(&speeds[place], embedders[place], even: even, real: real, queries: queries)
            }
        }
        let count = embedders[0].tokenizer
        func tokens(_ texts: [String]) -> Double {
            Double(texts.reduce(0) { $0 + count.encode($1).count }) / Double(max(1, texts.count))
        }
        var figures = [
            BenchFigure("tokens of the source, mean", tokens(real), ""),
            BenchFigure("tokens of a query, mean", tokens(queries), ""),
        ]
        for (precision, speed) in zip(precisions, speeds) { figures += Self.figures(precision.rawValue, speed) }
        figures += try await agreements(embedders, real: real, queries: queries)
        return BenchReport(
            title: "embed: \(embedders[0].modelName) and other precisions, batches of \(Self.batch), "
                + "best of \(Self.rounds) turns", figures: figures)
    }

    private static func figures(_ name: String, _ speed: Speed) -> [BenchFigure] {
        [
            BenchFigure("\(name): documents of \(evenTokens) tokens", speed.even, "/s"),
            BenchFigure("\(name): documents of the source", speed.real, "/s"),
            BenchFigure("\(name): processor time", speed.processor, "ms/document"),
            BenchFigure("\(name): baseline, one after the other", speed.baseline, "/s"),
            BenchFigure("\(name): one query, p50", speed.single.quantile(0.5), "ms"),
            BenchFigure("\(name): one query, p95", speed.single.quantile(0.95), "ms"),
        ]
            + crowds.map { crowd in
                BenchFigure("\(name): \(crowd) queries at once, for each", speed.crowds[crowd] ?? 0, "ms")
            }
    }

    private func measure(
        _ speed: inout Speed, _ embedder: LocalEmbedder, even: [String], real: [String], queries: [String]
    ) async throws {
        // The first batches of a shape compile it.
        _ = try await embedder.embed(Array(even.prefix(64) + real.prefix(Self.batch)), priority: .batch)
        let before = ProcessorTime.seconds()
        speed.even = max(speed.even, try await rate(even, embedder))
        speed.real = max(speed.real, try await rate(real, embedder))
        let processor = (ProcessorTime.seconds() - before) / Double(even.count + real.count) * 1e3
        speed.processor = min(speed.processor, processor)
        for query in queries { _ = try await embedder.embed([query], priority: .query) }
        var single = Sample()
        for query in queries {
            let began = SystemClock.monotonicNanoseconds()
            _ = try await embedder.embed([query], priority: .query)
            single.add(Double(SystemClock.monotonicNanoseconds() - began) / 1e6)
        }
        if speed.single.values.isEmpty || single.quantile(0.5) < speed.single.quantile(0.5) { speed.single = single }
        for crowd in Self.crowds {
            let found = try await together(queries, crowd, embedder)
            speed.crowds[crowd] = min(speed.crowds[crowd] ?? .infinity, found)
        }
        let began = SystemClock.monotonicNanoseconds()
        let alone = real.prefix(Self.batch / 2)
        for text in alone { _ = try await embedder.embed([text], priority: .batch) }
        speed.baseline = max(speed.baseline, Double(alone.count) / Self.seconds(since: began))
    }

    private static func seconds(since began: Int64) -> Double {
        Double(SystemClock.monotonicNanoseconds() - began) / 1e9
    }

    private func rate(_ texts: [String], _ embedder: LocalEmbedder) async throws -> Double {
        let began = SystemClock.monotonicNanoseconds()
        var start = 0
        while start < texts.count {
            let end = min(texts.count, start + Self.batch)
            _ = try await embedder.embed(Array(texts[start..<end]), priority: .batch)
            start = end
        }
        return Double(texts.count) / Self.seconds(since: began)
    }

    /// Asks queries in crowds, each by a caller of its own.
    ///
    /// - Returns: milliseconds that a crowd took, divided by its members.
    private func together(_ queries: [String], _ crowd: Int, _ embedder: LocalEmbedder) async throws -> Double {
        var seconds = 0.0
        var asked = 0
        // The first time compiles the shapes.
        for _ in 0..<2 {
            (seconds, asked) = (0, 0)
            for start in stride(from: 0, through: queries.count - crowd, by: crowd) {
                let began = SystemClock.monotonicNanoseconds()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for query in queries[start..<start + crowd] {
                        group.addTask { _ = try await embedder.embed([query], priority: .query) }
                    }
                    try await group.waitForAll()
                }
                seconds += Self.seconds(since: began)
                asked += crowd
            }
        }
        return seconds * 1e3 / Double(max(1, asked))
    }

    /// How many of the ten nearest documents each precision finds of those that float finds, documents and queries both in it.
    private func agreements(
        _ embedders: [LocalEmbedder], real: [String], queries: [String]
    ) async throws -> [BenchFigure] {
        let distinct = Array(Set(real)).sorted()
        let windows = distinct.enumerated().filter { $0.offset % 5 == 0 }.prefix(Self.queries).map {
            Self.window(of: $0.element, $0.offset)
        }
        let asked = Array(Set(queries + windows)).sorted()
        var exact: [Set<Int>] = []
        var figures: [BenchFigure] = []
        for (precision, embedder) in zip(EmbeddingPrecision.allCases, embedders) {
            let documents = try await all(distinct, embedder)
            let found = try await all(asked, embedder).map { Self.nearest($0, in: documents) }
            if precision == .float {
                exact = found
                continue
            }
            let shared = zip(exact, found).reduce(0) { $0 + $1.0.intersection($1.1).count }
            figures.append(
                BenchFigure(
                    "\(precision.rawValue): agreement of the top 10 with float",
                    Double(shared) / Double(max(1, exact.reduce(0) { $0 + $1.count })), "",
                    target: "for a default: at least 0.95; \(distinct.count) documents, \(asked.count) queries"))
        }
        return figures
    }

    private func all(_ texts: [String], _ embedder: LocalEmbedder) async throws -> [[Float]] {
        var vectors: [[Float]] = []
        for start in stride(from: 0, to: texts.count, by: Self.batch) {
            vectors += try await embedder.embed(
                Array(texts[start..<min(texts.count, start + Self.batch)]), priority: .batch)
        }
        return vectors
    }

    private static func nearest(_ query: [Float], in vectors: [[Float]]) -> Set<Int> {
        let scores = vectors.map { vector in
            var sum: Float = 0
            for place in query.indices { sum += query[place] * vector[place] }
            return sum
        }
        return Set(vectors.indices.sorted { (scores[$0], $1) > (scores[$1], $0) }.prefix(10))
    }

    /// What people search for: the title, with which the standard template begins.
    private static func query(_ text: String) -> String {
        let title = text.prefix { $0 != ":" && $0 != "." }
        return String((title.isEmpty ? text[...] : title).prefix(60))
    }

    /// Three to six words from the middle of a text.
    private static func window(of text: String, _ number: Int) -> String {
        let words = text.split(separator: " ")
        let length = 3 + number % 4
        return words.dropFirst(max(0, (words.count - length) / 2)).prefix(length).joined(separator: " ")
    }

    /// What becomes of the source's events under the default logic.
    private func documents() throws -> [String] {
        var maker = try GoldMaker(source, eventsMax: texts * 20)
        var found: [String] = []
        while found.count < texts, let line = try maker.next() {
            found.append(try JSONValue.parse(line.bytes)["text"]?.string ?? "")
        }
        return found
    }

    /// Texts of exactly ``evenTokens`` tokens, `[CLS]` and `[SEP]` included.
    private func evenTexts(_ tokenizer: WordPieceTokenizer) -> [String] {
        var random = SeededGenerator(seed: 30)
        let wanted = Self.evenTokens
        return (0..<texts).map { _ in
            var words = BenchEdit.words(wanted - 2, &random).split(separator: " ").map(String.init)
            while tokenizer.encode(words.joined(separator: " ")).count > wanted { words.removeLast() }
            while tokenizer.encode(words.joined(separator: " ")).count < wanted { words.append("sea") }
            return words.joined(separator: " ")
        }
    }
}
