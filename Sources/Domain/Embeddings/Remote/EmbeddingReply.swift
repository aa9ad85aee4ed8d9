import Bytes
import Glibc
import JSONScan

/// A reply of `/embeddings`: `{"data": [{"index": 0, "embedding": [...]}, ...]}`, as OpenAI, vLLM, Ollama and llama.cpp give it.
enum EmbeddingReply {
    /// What makes a reply unusable; its words name it.
    enum Fault: Error, Equatable, CustomStringConvertible {
        case notEmbeddings
        case wrongCount(Int, wanted: Int)
        case wrongIndex(Int)
        case wrongDimensions(Int, wanted: Int)
        case notNumber(text: Int)
        case zero(text: Int)

        var description: String {
            switch self {
            case .notEmbeddings: "the reply has no \"data\" with an \"embedding\" of numbers each"
            case .wrongCount(let count, let wanted): "\(count) vectors came for \(wanted) texts"
            case .wrongIndex(let index): "the index \(index) came twice, or is none of a text"
            case .wrongDimensions(let count, let wanted):
                "a vector of \(count) numbers came, and EMBED_DIMS is \(wanted)"
            case .notNumber(let text): "the vector of text \(text) has a number that is none, or too large"
            case .zero(let text): "the vector of text \(text) is zero"
            }
        }
    }

    /// Bytes that a reply of so many vectors may have: a number takes some 12 to 24.
    static func bytesMax(texts: Int, dimensions: Int) -> Int { 65_536 + texts * (1_024 + 32 * dimensions) }

    /// The vectors, each of length 1, in the order of the texts; a fault for each text whose vector is unusable.
    ///
    /// - Throws: ``Fault`` where the whole reply is unusable.
    static func vectors(
        _ body: [UInt8], texts: Int, dimensions: Int
    ) throws(Fault) -> [Result<[Float], Fault>] {
        let json: JSONValue
        do { json = try JSONValue.parse(body) } catch { throw .notEmbeddings }
        guard let data = json["data"]?.array else { throw .notEmbeddings }
        guard data.count == texts else { throw .wrongCount(data.count, wanted: texts) }
        var vectors = [Result<[Float], Fault>?](repeating: nil, count: texts)
        for (place, entry) in data.enumerated() {
            let index = entry["index"]?.integer ?? Int64(place)
            guard index >= 0, index < texts, vectors[Int(index)] == nil else { throw .wrongIndex(Int(index)) }
            guard let numbers = entry["embedding"]?.array else { throw .notEmbeddings }
            guard numbers.count == dimensions else { throw .wrongDimensions(numbers.count, wanted: dimensions) }
            vectors[Int(index)] = vector(numbers, text: Int(index))
        }
        return vectors.map { $0 ?? .failure(.notEmbeddings) }
    }

    private static func vector(_ numbers: [JSONValue], text: Int) -> Result<[Float], Fault> {
        var vector: [Float] = []
        vector.reserveCapacity(numbers.count)
        var squares = 0.0
        for number in numbers {
            // Servers write what is no number as null.
            guard let value = number.double, value.isFinite, abs(value) < 1e15 else {
                return .failure(.notNumber(text: text))
            }
            squares += value * value
            vector.append(Float(value))
        }
        guard squares > 0, squares.isFinite else { return .failure(.zero(text: text)) }
        let scale = Float(1 / squares.squareRoot())
        guard scale.isFinite else { return .failure(.zero(text: text)) }
        for place in vector.indices { vector[place] *= scale }
        return .success(vector)
    }

    /// The body of a request.
    ///
    /// - Parameter dimensions: asked for; nil leaves the model its own.
    static func request(_ texts: [String], model: String, dimensions: Int?) -> [UInt8] {
        var json = JSONWriter(capacity: 256 + texts.reduce(0) { $0 + $1.utf8.count + 8 })
        json.beginObject()
        if !model.isEmpty {
            json.key("model")
            json.string(model)
        }
        json.key("input")
        json.beginArray()
        // Servers refuse an empty text, which is as good as a space.
        for text in texts { json.string(text.isEmpty ? " " : text) }
        json.endArray()
        if let dimensions {
            json.key("dimensions")
            json.integer(Int64(dimensions))
        }
        json.endObject()
        return json.bytes
    }
}
