import Embeddings
package import Records
package import Store

extension DocumentIndexer {
    /// The passages of a document, without vectors.
    package func passages(of document: GoldDocument) throws -> [IndexedPassage] {
        var passages = DocumentPassages()
        return try passages.of(document)
    }

    /// What tells texts apart that the usual model sees, in their order; empty without an embedder.
    package func inputHashes(of texts: [String]) throws -> [String] {
        try embedders.usual()?.inputHashes(of: texts) ?? []
    }

    /// Vectors of texts by the usual model, in their order; empty ones for texts that the embedder refuses.
    package func embed(_ texts: [String]) async throws -> [[Float]] {
        guard !texts.isEmpty, let embedder = try embedders.usual() else { return [] }
        return try await embedder.embed(texts, priority: .batch)
    }
}
