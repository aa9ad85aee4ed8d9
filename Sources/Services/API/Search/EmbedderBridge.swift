package import Embeddings

extension QueryEmbedder {
    /// Queries through an embedder that others feed batches: they overtake those, and the sentences of answers too.
    package convenience init(embedder: any TextEmbedder, cacheMax: Int = 1_024) {
        self.init(
            modelName: embedder.modelName, cacheMax: cacheMax,
            embedSentences: { try await embedder.embed($0, priority: .sentence) },
            embed: { try await embedder.embed($0, priority: .query) })
    }
}
