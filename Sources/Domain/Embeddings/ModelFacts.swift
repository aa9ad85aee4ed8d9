import Files
import JSONScan

/// What model.json says.
struct ModelFacts {
    let name: String, dimensions: Int, maxTokens: Int

    init(directory: String) throws(EmbeddingError) {
        let path = directory + "/model.json"
        func unusable(_ reason: String) -> EmbeddingError {
            EmbeddingError(.model, "read \(path)", reason: reason, hint: EmbeddingError.modelHint)
        }
        let json: JSONValue
        do {
            json = try JSONValue.parse(File.contents(of: path, bytesMax: 1 << 20))
        } catch {
            throw unusable("\(error)")
        }
        guard let name = json["name"]?.string, !name.isEmpty else { throw unusable("it has no \"name\"") }
        guard let dimensions = json["dimensions"]?.integer, dimensions > 0, dimensions <= 1 << 16 else {
            throw unusable("it has no \"dimensions\" from 1 to 65536")
        }
        let maxTokens = json["max_tokens"]?.integer ?? 256
        guard maxTokens >= 3, maxTokens <= 8192 else { throw unusable("\"max_tokens\" is not from 3 to 8192") }
        self.name = name
        self.dimensions = Int(dimensions)
        self.maxTokens = Int(maxTokens)
    }

    /// What vectors of the model in a precision are stored under.
    func model(_ precision: EmbeddingPrecision) -> VectorModel {
        VectorModel(base: name, dimensions: dimensions, maker: .local(precision))
    }
}
