import Bytes
import Files
import IndexTesting
import JSONScan
import Testing

@testable import Embeddings

/// What a real server of embeddings said, played to the client byte for byte.
@Suite struct RecordedEmbeddingTests {
    private static let dimensions = 64

    /// Vectors that the recorded server gives, and what it was asked.
    private func embed(
        _ texts: [String], _ names: [String], dimensions: Int = Self.dimensions, pieceBytes: Int? = nil
    ) async throws -> (vectors: [[Float]], asked: [JSONValue], refused: Int) {
        let recording = try Recording(of: .llamaCpp)
        let played = try RecordedServer(names.map(recording.exchange), pieceBytes: pieceBytes)
        let embedder = RemoteEmbedder(
            RemoteEmbedderConfiguration(url: played.url, model: "tiny", key: "", dimensions: dimensions))
        defer {
            embedder.stop()
            played.stop()
        }
        let vectors = try await embedder.embed(texts, priority: .batch)
        return (vectors, played.asked, Int(embedder.refusedTexts))
    }

    private func requests() throws -> JSONValue {
        try JSONValue.parse(File.contents(of: Recording.folder + "/requests.json"), maxDepth: 64)["embeddings"] ?? .null
    }

    @Test(arguments: [nil, 1, 1_000]) func vectorsAreRead(pieceBytes: Int?) async throws {
        let request = try requests()
        let texts = (request["input"]?.array ?? []).compactMap(\.string)
        let (vectors, asked, _) = try await embed(texts, ["embeddings"], pieceBytes: pieceBytes)
        let exchange = try Recording(of: .llamaCpp).exchange("embeddings")
        // What it was asked when it was recorded is what it is asked now.
        #expect(asked == [request] && exchange.body == request)
        let reply = Array(exchange.pieces.joined())
        let start = try #require(reply.firstRange(of: Array("\r\n\r\n".utf8))?.upperBound)
        let json = try JSONValue.parse(Array(reply[start...]))
        #expect(vectors.count == texts.count && texts.count == 3)
        for (place, vector) in vectors.enumerated() {
            let said = (json["data"]?.array?[place]["embedding"]?.array ?? []).compactMap(\.double)
            let length = said.reduce(0) { $0 + $1 * $1 }.squareRoot()
            #expect(said.count == Self.dimensions && json["data"]?.array?[place]["index"]?.integer == Int64(place))
            #expect(zip(vector, said).allSatisfy { abs(Double($0) - $1 / length) < 1e-5 })
        }
    }

    /// Asked for fewer numbers it gives as many as before, and that is named.
    @Test func dimensionsThatItDoesNotGiveAreNamed() async throws {
        let error = await #expect(throws: EmbeddingError.self) {
            try await embed(
                ["a", "b", "c"], ["embeddings", "embeddings of so many dimensions"], dimensions: 32)
        }
        #expect(error?.kind == .inference && error?.description.contains("64 numbers") == true, "\(error as Any)")
    }

    /// A text that is longer than it computes at once is left to words, once it is seen that it takes another.
    @Test func aTextThatIsTooLongIsLeftOut() async throws {
        let (vectors, asked, refused) = try await embed(
            ["golden gate"], ["embeddings of a text that is too long", "an embedding"])
        #expect(vectors == [[]] && refused == 1)
        #expect(asked.map { $0["input"]?.array?.first?.string } == ["golden gate", "passage"])
    }
}
