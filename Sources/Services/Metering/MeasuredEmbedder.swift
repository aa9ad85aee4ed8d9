import Bytes
package import Embeddings
import Synchronization
package import Telemetry

/// An embedder whose work is counted, whoever asks for it: indexer, replay, searches.
///
/// The label `for` is the priority of the call: what is embedded for documents (`batch`, `replay`) stands apart from queries. A
/// call whose task was cancelled is neither timed nor a failure: nobody waits for it any more.
package final class MeasuredEmbedder: TextEmbedder {
    private let embedder: any TextEmbedder
    private let registry: MetricsRegistry
    private let truncated: Counter
    /// Of each priority that was used: to look them up by their labels took a twentieth of the time of a search's task.
    private let known = Mutex<[EmbeddingPriority: Metrics]>([:])
    /// How many of the embedder's truncated texts are counted.
    private let seenTruncated = Mutex(0)

    /// Upper bounds of how many texts a call has.
    static let textsBuckets: [Double] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 4_000]

    /// - Parameter registry: gets the metrics; those of documents and queries at once, so that their rates begin at 0.
    package init(_ embedder: any TextEmbedder, registry: MetricsRegistry) {
        self.embedder = embedder
        self.registry = registry
        truncated = registry.counter(
            "medallion_embedding_truncated_texts_total",
            help: "Texts with more tokens than the model reads; what goes beyond is not in the vector.",
            labels: [("model", embedder.modelName)])
        for use in [EmbeddingPriority.batch, .query] { _ = metrics(use) }
    }

    package var dimensions: Int { embedder.dimensions }
    package var modelName: String { embedder.modelName }
    package var truncatedTexts: Int { embedder.truncatedTexts }
    package var mayRefuseTexts: Bool { embedder.mayRefuseTexts }

    package func inputHashes(of texts: [String]) throws -> [String] { try embedder.inputHashes(of: texts) }

    package func embed(_ texts: [String], priority: EmbeddingPriority) async throws -> [[Float]] {
        guard !texts.isEmpty else { return [] }
        let metrics = metrics(priority)
        let start = SystemClock.monotonicNanoseconds()
        do {
            let vectors = try await embedder.embed(texts, priority: priority)
            countTruncated()
            guard isRight(vectors, count: texts.count) else {
                // Whoever asked refuses them and says why.
                metrics.failures.increment()
                return vectors
            }
            metrics.seconds.observe(Double(SystemClock.monotonicNanoseconds() - start) / 1e9)
            metrics.batch.observe(Double(texts.count))
            metrics.texts.increment(by: texts.count)
            return vectors
        } catch {
            if !(error is CancellationError) { metrics.failures.increment() }
            throw error
        }
    }

    private func countTruncated() {
        let now = embedder.truncatedTexts
        let fresh = seenTruncated.withLock { seen in
            defer { seen = max(seen, now) }
            return max(0, now - seen)
        }
        truncated.increment(by: fresh)
    }

    /// One vector per text, each of the model's length; none for a text that a server refuses.
    private func isRight(_ vectors: [[Float]], count: Int) -> Bool {
        vectors.count == count
            && vectors.allSatisfy {
                $0.isEmpty && mayRefuseTexts || $0.count == dimensions && $0.allSatisfy(\.isFinite)
            }
    }

    private struct Metrics {
        let seconds: Histogram
        let batch: Histogram
        let texts: Counter
        let failures: Counter
    }

    private func metrics(_ priority: EmbeddingPriority) -> Metrics {
        known.withLock { known in
            if let metrics = known[priority] { return metrics }
            let metrics = registered(priority)
            known[priority] = metrics
            return metrics
        }
    }

    /// A process has one model, and priorities are an enumeration: so the labels are bounded.
    private func registered(_ priority: EmbeddingPriority) -> Metrics {
        let labels = [("model", modelName), ("for", "\(priority)")]
        return Metrics(
            seconds: registry.histogram(
                "medallion_embedding_seconds",
                help:
                    "Time to embed the texts of one call, waiting for the model included; `for` is batch (documents), replay, sentence or query.",
                labels: [("model", modelName), ("for", "\(priority)")]),
            batch: registry.histogram(
                "medallion_embedding_batch_texts", help: "Texts of one call to the embedder.",
                buckets: Self.textsBuckets, labels: labels),
            texts: registry.counter(
                "medallion_embedding_texts_total", help: "Texts embedded.", labels: labels),
            failures: registry.counter(
                "medallion_embedding_failures_total",
                help: "Calls to the embedder that failed or gave vectors of another number or size.",
                labels: labels))
    }
}
