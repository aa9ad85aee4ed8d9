package import Embeddings
package import Telemetry

extension QueryEmbedder {
    /// Queries through an embedder that others feed batches: they overtake those, and the sentences of answers too.
    package convenience init(
        embedder: any TextEmbedder, cacheBytesMax: Int = 1 << 24, registry: MetricsRegistry? = nil
    ) {
        self.init(
            modelName: embedder.modelName, cacheBytesMax: cacheBytesMax, registry: registry,
            embedSentences: { try await embedder.embed($0, priority: .sentence) },
            embed: { try await embedder.embed($0, priority: .query) })
    }
}
