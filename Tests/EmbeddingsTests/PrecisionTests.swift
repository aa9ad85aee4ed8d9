import Bytes
import Files
import Inference
import PlatformTesting
import Testing

@testable import Embeddings

/// The model in int8 beside the one in float.
@Suite struct PrecisionTests {
    private static func embedder(_ precision: EmbeddingPrecision, in directory: String) throws -> LocalEmbedder {
        var options = LocalEmbedderOptions()
        options.precision = precision
        return try LocalEmbedder(modelDirectory: directory, options: options)
    }

    private static func cosine(_ a: [Float], _ b: [Float]) -> Float { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }

    private static let words = [
        "river", "flood", "election", "museum", "bridge", "village", "singer", "album", "railway", "station", "war",
        "treaty", "species", "beetle", "volcano", "island", "football", "season", "bishop", "castle", "novel", "film",
    ]

    private static func texts(_ count: Int, words wordsMax: Int, seed: UInt64) -> [String] {
        var random = SeededGenerator(seed: seed)
        return (0..<count).map { _ in
            (0..<Int.random(in: 2...wordsMax, using: &random)).map { _ in words.randomElement(using: &random) ?? "" }
                .joined(separator: " ")
        }
    }

    /// The places of the vectors nearest to a query, ten of them.
    private static func nearest(_ query: [Float], in vectors: [[Float]]) -> Set<Int> {
        let scores = vectors.map { cosine(query, $0) }
        return Set(vectors.indices.sorted { (scores[$0], $1) > (scores[$1], $0) }.prefix(10))
    }

    @Test func int8FindsWhatFloatFinds() async throws {
        let (float, int8) = (
            try Self.embedder(.float, in: Model.directory), try Self.embedder(.int8, in: Model.directory)
        )
        defer {
            float.stop()
            int8.stop()
        }
        #expect(float.modelName == "all-MiniLM-L6-v2/384/float")
        #expect(int8.modelName == "all-MiniLM-L6-v2/384/int8")
        #expect(int8.dimensions == 384)
        let (documents, queries) = (Self.texts(200, words: 9, seed: 8), Self.texts(40, words: 4, seed: 9))
        let exact = try await float.embed(documents, priority: .batch)
        let close = try await int8.embed(documents, priority: .batch)
        for (a, b) in zip(exact, close) { #expect(Self.cosine(a, b) > 0.99) }
        // Other numbers they are: else it would be the same model under two names.
        #expect(zip(exact, close).contains { Self.cosine($0, $1) < 0.9999 })
        let asked = try await float.embed(queries, priority: .query)
        let closeAsked = try await int8.embed(queries, priority: .query)
        let shared = zip(asked, closeAsked).map { a, b in
            Self.nearest(a, in: exact).intersection(Self.nearest(b, in: close)).count
        }
        let agreement = Double(shared.reduce(0, +)) / Double(10 * queries.count)
        #expect(agreement >= 0.9, "\(agreement)")
    }

    @Test func aFolderWithoutInt8SaysWhatToDo() throws {
        let folder = try TemporaryFolder()
        for name in ["model.json", "vocab.txt"] {
            try File.replace(
                folder.file(name), with: try File.contents(of: Model.directory + "/" + name, bytesMax: 1 << 22))
        }
        let error = #expect(throws: EmbeddingError.self) { try Self.embedder(.int8, in: folder.path) }
        #expect(error?.kind == .model)
        #expect(error?.description.contains("model-int8.xml") == true)
        #expect(error?.description.contains("EMBED_PRECISION=float") == true)
    }

    @Test func aFolderTellsItsModel() throws {
        let model = try LocalEmbedder.model(in: Model.directory, .int8)
        #expect(model.name == "all-MiniLM-L6-v2/384/int8")
        let folder = try TemporaryFolder()
        #expect(throws: EmbeddingError.self) { try LocalEmbedder.model(in: folder.path, .float) }
    }
}
