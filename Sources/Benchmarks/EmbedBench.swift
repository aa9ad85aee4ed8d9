import Bytes
import Concurrency
import Embeddings
import JSONScan
import Simulator

/// The embedder: bulk and single texts. The baseline embeds one text after the other.
struct EmbedBench {
    let source: any PlayableSource
    let texts: Int
    let modelDirectory: String

    private static let batch = 512
    private static let queries = 300

    func run() async throws -> BenchReport {
        let directory = modelDirectory
        let embedder = try await Lane(name: "bench").run { try LocalEmbedder(modelDirectory: directory) }
        defer { embedder.stop() }
        let real = try documents()
        let even = evenTexts(embedder.tokenizer)
        // The first batches of a shape compile it.
        _ = try await embedder.embed(Array(even.prefix(64) + real.prefix(Self.batch)), priority: .batch)
        let before = ProcessorTime.seconds()
        let evenRate = try await rate(even, embedder)
        let realRate = try await rate(real, embedder)
        let processor = (ProcessorTime.seconds() - before) / Double(even.count + real.count) * 1e3
        let tokens = real.reduce(0) { $0 + embedder.tokenizer.encode($1).count }
        var single = Sample()
        let queries = real.prefix(Self.queries).map(Self.query)
        let queryTokens = queries.reduce(0) { $0 + embedder.tokenizer.encode($1).count }
        // The first of every length compiles its shape.
        for query in queries { _ = try await embedder.embed([query], priority: .query) }
        for query in queries {
            let began = SystemClock.monotonicNanoseconds()
            _ = try await embedder.embed([query], priority: .query)
            single.add(Double(SystemClock.monotonicNanoseconds() - began) / 1e6)
        }
        let began = SystemClock.monotonicNanoseconds()
        let alone = real.prefix(Self.batch)
        for text in alone { _ = try await embedder.embed([text], priority: .batch) }
        let baseline = Double(alone.count) / (Double(SystemClock.monotonicNanoseconds() - began) / 1e9)
        return BenchReport(
            title: "embed: \(embedder.modelName), \(embedder.dimensions) dimensions, batches of \(Self.batch)",
            figures: [
                BenchFigure("documents of 30 tokens", evenRate, "/s", target: "wanted: at least 800"),
                BenchFigure("documents of the source", realRate, "/s", target: "wanted: at least 450 of 52 tokens"),
                BenchFigure("tokens of the source, mean", Double(tokens) / Double(max(1, real.count)), ""),
                BenchFigure("processor time", processor, "ms/document"),
                BenchFigure("baseline, one after the other", baseline, "/s"),
                BenchFigure("ratio to the baseline", realRate / baseline, ""),
                BenchFigure("tokens of a query, mean", Double(queryTokens) / Double(max(1, queries.count)), ""),
                BenchFigure("one query, p50", single.quantile(0.5), "ms", target: "wanted: at most 1.5"),
                BenchFigure("one query, p95", single.quantile(0.95), "ms"),
            ])
    }

    private func rate(_ texts: [String], _ embedder: LocalEmbedder) async throws -> Double {
        let began = SystemClock.monotonicNanoseconds()
        var start = 0
        while start < texts.count {
            let end = min(texts.count, start + Self.batch)
            _ = try await embedder.embed(Array(texts[start..<end]), priority: .batch)
            start = end
        }
        return Double(texts.count) / (Double(SystemClock.monotonicNanoseconds() - began) / 1e9)
    }

    /// What people search for: the title, with which the standard template begins.
    private static func query(_ text: String) -> String {
        let title = text.prefix { $0 != ":" && $0 != "." }
        return String((title.isEmpty ? text[...] : title).prefix(60))
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

    /// Texts of exactly 30 tokens, `[CLS]` and `[SEP]` included.
    private func evenTexts(_ tokenizer: WordPieceTokenizer) -> [String] {
        var random = SeededGenerator(seed: 30)
        return (0..<texts).map { _ in
            var words = BenchEdit.words(28, &random).split(separator: " ").map(String.init)
            while tokenizer.encode(words.joined(separator: " ")).count > 30 { words.removeLast() }
            while tokenizer.encode(words.joined(separator: " ")).count < 30 { words.append("sea") }
            return words.joined(separator: " ")
        }
    }
}
