package import Embeddings

/// The inputs of an embedder that sees the text itself; it embeds nothing.
package struct TextInputs: TextEmbedder {
    package let dimensions = 384
    package let modelName = "test"

    package init() {}

    package func embed(_ texts: [String], priority: EmbeddingPriority) async throws -> [[Float]] { [] }
}
