import Embeddings
import Synchronization
import Telemetry
import Testing

@testable import Metering

/// Embedding is counted apart from what is done with the vectors, and documents apart from queries.
@Suite struct MeasuredEmbedderTests {
    /// Gives what it is told to.
    private final class Scripted: TextEmbedder {
        let dimensions = 2
        let modelName = "a \"model\""
        let script: Mutex<[Result<[[Float]], any Error>]>

        init(_ script: [Result<[[Float]], any Error>]) { self.script = Mutex(script) }

        func embed(_ texts: [String], priority: EmbeddingPriority) async throws -> [[Float]] {
            try script.withLock { $0.isEmpty ? .success(texts.map { _ in [0.6, 0.8] }) : $0.removeFirst() }.get()
        }

    }

    private struct Overload: Error {}

    private func count(_ registry: MetricsRegistry, _ name: String, _ use: String) -> String? {
        let text = String(decoding: registry.render(), as: UTF8.self)
        let series = #"\#(name){model="a \"model\"",for="\#(use)"} "#
        return text.split(separator: "\n").first { $0.hasPrefix(series) }.map { String($0.dropFirst(series.count)) }
    }

    @Test func documentsStandApartFromQueries() async throws {
        let registry = MetricsRegistry()
        let embedder = MeasuredEmbedder(Scripted([]), registry: registry)
        #expect(embedder.dimensions == 2 && embedder.modelName == "a \"model\"")
        // Their rates begin at 0, and not when the first comes.
        #expect(count(registry, "medallion_embedding_texts_total", "batch") == "0")
        #expect(count(registry, "medallion_embedding_failures_total", "query") == "0")
        #expect(try await embedder.embed(["a", "b", "c"], priority: .batch).count == 3)
        #expect(try await embedder.embed(["d"], priority: .batch).count == 1)
        #expect(try await embedder.embed(["q"], priority: .query).count == 1)
        #expect(try await embedder.embed([], priority: .query).isEmpty)
        #expect(count(registry, "medallion_embedding_texts_total", "batch") == "4")
        #expect(count(registry, "medallion_embedding_texts_total", "query") == "1")
        #expect(count(registry, "medallion_embedding_seconds_count", "batch") == "2")
        #expect(count(registry, "medallion_embedding_seconds_count", "query") == "1")
        #expect(count(registry, "medallion_embedding_batch_texts_sum", "batch") == "4")
        #expect(count(registry, "medallion_embedding_failures_total", "batch") == "0")
    }

    @Test func everyKindOfFailureCountsAndNoneIsTimed() async throws {
        let registry = MetricsRegistry()
        let embedder = MeasuredEmbedder(
            Scripted([
                .failure(Overload()), .success([]), .success([[1]]), .success([[.nan, 0]]),
                .failure(CancellationError()),
            ]), registry: registry)
        await #expect(throws: Overload.self) { try await embedder.embed(["x"], priority: .batch) }
        // What is wrong goes on to whoever asked, who says why.
        #expect(try await embedder.embed(["x"], priority: .batch) == [])
        #expect(try await embedder.embed(["x"], priority: .batch) == [[1]])
        _ = try await embedder.embed(["x"], priority: .batch)
        await #expect(throws: CancellationError.self) { try await embedder.embed(["x"], priority: .batch) }
        #expect(count(registry, "medallion_embedding_failures_total", "batch") == "4")
        #expect(count(registry, "medallion_embedding_failures_total", "query") == "0")
        #expect(count(registry, "medallion_embedding_seconds_count", "batch") == "0")
        #expect(count(registry, "medallion_embedding_texts_total", "batch") == "0")
    }
}
