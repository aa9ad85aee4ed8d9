package import Embeddings

extension QueryEmbedder {
    /// Queries through an embedder that others feed batches: they overtake those.
    package convenience init(embedder: any TextEmbedder, cacheMax: Int = 1_024) {
        self.init(modelName: embedder.modelName, cacheMax: cacheMax) { texts in
            try await embedder.embed(texts, priority: .query)
        }
    }
}
