package import Embeddings
package import Telemetry

extension QueryEmbedder {
    /// Queries through an embedder that others feed batches: they overtake those, and the sentences of answers too.
    ///
    /// - Parameter others: embedders of other models, by the names of their vectors.
    package convenience init(
        embedder: any TextEmbedder, others: (any EmbedderSource)? = nil, cacheBytesMax: Int = 1 << 24,
        registry: MetricsRegistry? = nil
    ) {
        self.init(Model(embedder), cacheBytesMax: cacheBytesMax, registry: registry) { name in
            try others?.embedder(named: name).map { Model($0) }
        }
    }
}

extension QueryEmbedder.Model {
    fileprivate init(_ embedder: any TextEmbedder) {
        self.init(
            name: embedder.modelName, embedSentences: { try await embedder.embed($0, priority: .sentence) },
            embed: { try await embedder.embed($0, priority: .query) })
    }
}
