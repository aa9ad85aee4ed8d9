/// The first numbers of another embedder's vectors, brought to length 1: to storage and search, a model of fewer dimensions.
package struct PrefixEmbedder: TextEmbedder {
    package let dimensions: Int
    package let modelName: String
    private let whole: any TextEmbedder

    /// - Parameters:
    ///   - whole: gives at least as many numbers.
    ///   - model: what the vectors are stored under, with how many numbers they have.
    package init(of whole: any TextEmbedder, as model: VectorModel) {
        self.whole = whole
        (dimensions, modelName) = (model.dimensions, model.name)
    }

    /// Texts that the whole model cut short, for any of its shortened forms.
    package var truncatedTexts: Int { whole.truncatedTexts }
    package var mayRefuseTexts: Bool { whole.mayRefuseTexts }

    package func inputHashes(of texts: [String]) throws -> [String] { try whole.inputHashes(of: texts) }

    package func embed(_ texts: [String], priority: EmbeddingPriority) async throws -> [[Float]] {
        try await whole.embed(texts, priority: priority).map { Self.prefix($0, dimensions) }
    }

    static func prefix(_ vector: [Float], _ count: Int) -> [Float] {
        let first = vector.prefix(count)
        let length = first.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return length > 0 ? first.map { $0 / length } : Array(first)
    }
}
