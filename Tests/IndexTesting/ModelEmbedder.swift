import Bytes
package import Embeddings
import Retrieval
import Synchronization

/// Vectors that depend on the text and on the model alone, and a count of the texts that it was given.
package final class ModelEmbedder: TextEmbedder {
    package let dimensions: Int
    package let modelName: String
    private let texts = Mutex<[String]>([])
    private let refused: Set<String>

    /// - Parameter refused: texts that it gives no vector for.
    package init(_ model: VectorModel, refused: Set<String> = []) {
        (dimensions, modelName, self.refused) = (model.dimensions, model.name, refused)
    }

    package var embedded: [String] { texts.withLock { $0 } }
    package var mayRefuseTexts: Bool { !refused.isEmpty }

    package func embed(_ texts: [String], priority: EmbeddingPriority) async throws -> [[Float]] {
        if priority == .batch { self.texts.withLock { $0 += texts.filter { !refused.contains($0) } } }
        return texts.map { refused.contains($0) ? [] : vector(of: $0) }
    }

    /// The vector that it gives for a text.
    package func vector(of text: String) -> [Float] {
        var generator = SeededGenerator(seed: StableHash.of(Array((modelName + " " + text).utf8)))
        let values = (0..<dimensions).map { _ in Float.random(in: -1...1, using: &generator) }
        let length = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return values.map { $0 / length }
    }
}

/// Embedders by the names of their vectors, the usual one first.
package struct ModelEmbedders: EmbedderSource {
    private let all: [any TextEmbedder]

    package init(_ all: [any TextEmbedder]) { self.all = all }

    package var usualName: String { all.first?.modelName ?? "" }
    package func embedder(named name: String) -> (any TextEmbedder)? { all.first { $0.modelName == name } }
}
