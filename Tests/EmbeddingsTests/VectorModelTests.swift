import Synchronization
import Testing

@testable import Embeddings

/// The names of vectors, the first numbers of a model's vectors, and the models of a process.
@Suite struct VectorModelTests {
    @Test(arguments: [
        ("all-MiniLM-L6-v2/384/float", "all-MiniLM-L6-v2", 384, VectorModel.Maker.local(.float)),
        ("all-MiniLM-L6-v2/256/int8", "all-MiniLM-L6-v2", 256, .local(.int8)),
        ("nomic/embed/v1/768/remote", "nomic/embed/v1", 768, .remote),
    ])
    func aNameTellsWhatItNames(name: String, base: String, dimensions: Int, maker: VectorModel.Maker) {
        let model = VectorModel(name: name)
        #expect(model == VectorModel(base: base, dimensions: dimensions, maker: maker))
        #expect(model?.name == name)
    }

    @Test(arguments: [
        "", "m", "m/384", "m/384/double", "m/0/float", "m/-3/float", "m/+3/float", "/384/float", "m/x/int8",
    ])
    func otherNamesAreNobodys(name: String) {
        #expect(VectorModel(name: name) == nil)
    }

    @Test func theFirstNumbersAreBroughtToLengthOne() async throws {
        let whole = try LocalEmbedder(modelDirectory: Model.directory)
        defer { whole.stop() }
        let model = VectorModel(base: "all-MiniLM-L6-v2", dimensions: 256, maker: .local(.float))
        let prefix = PrefixEmbedder(of: whole, as: model)
        #expect(prefix.dimensions == 256 && prefix.modelName == "all-MiniLM-L6-v2/256/float")
        let texts = ["a flooded river", "The castle on the hill", ""]
        let (all, first) = (
            try await whole.embed(texts, priority: .batch), try await prefix.embed(texts, priority: .query)
        )
        for (all, first) in zip(all, first) {
            #expect(first.count == 256)
            #expect(abs(first.reduce(0) { $0 + $1 * $1 } - 1) < 1e-5)
            let length = all.prefix(256).reduce(0) { $0 + $1 * $1 }.squareRoot()
            for (a, b) in zip(all, first) { #expect(abs(a / length - b) < 1e-6) }
        }
        #expect(try prefix.inputHashes(of: texts) == whole.inputHashes(of: texts))
        // A text that a server refuses has no numbers to be cut.
        #expect(PrefixEmbedder.prefix([], 256) == [])
        #expect(PrefixEmbedder.prefix([0, 0, 3], 2) == [0, 0])
    }

    private final class Fake: TextEmbedder {
        let dimensions: Int
        let modelName: String
        private let gone: @Sendable (String) -> Void

        init(_ model: VectorModel, gone: @escaping @Sendable (String) -> Void) {
            (dimensions, modelName, self.gone) = (model.dimensions, model.name, gone)
        }

        deinit { gone(modelName) }

        func embed(_ texts: [String], priority: EmbeddingPriority) async throws -> [[Float]] {
            texts.map { _ in [Float](repeating: 1, count: dimensions) }
        }
    }

    private final class Seen: Sendable {
        let loaded = Mutex<[String]>([])
        let gone = Mutex<[String]>([])
    }

    @Test func aModelIsLoadedOnceAndLetGo() async throws {
        let seen = Seen()
        let pool = EmbedderPool(
            usualName: "m/384/float",
            makers: EmbedderPool.Makers(
                whole: { model in
                    guard model.base == "m", model.dimensions <= 384 else { return nil }
                    return VectorModel(base: "m", dimensions: 384, maker: model.maker)
                },
                load: { model in
                    seen.loaded.withLock { $0.append(model.name) }
                    return Fake(model) { name in seen.gone.withLock { $0.append(name) } }
                }))
        #expect(try pool.embedder(named: "other/384/float") == nil)
        #expect(try pool.embedder(named: "m/385/float") == nil)
        #expect(pool.loaded.isEmpty)
        for name in ["m/384/float", "m/256/float", "m/384/int8", "m/256/float", "m/128/int8", "m/384/float"] {
            let embedder = try #require(try pool.embedder(named: name))
            #expect(embedder.modelName == name)
            #expect(try await embedder.embed(["a"], priority: .query)[0].count == embedder.dimensions)
        }
        #expect(seen.loaded.withLock { $0 } == ["m/384/float", "m/384/int8"], "each once, whatever its dimensions")
        #expect(try pool.usual()?.modelName == "m/384/float")

        pool.keep(only: ["m/256/float", "m/9/remote"])
        #expect(pool.loaded == ["m/384/float"])
        #expect(seen.gone.withLock { $0 } == ["m/384/int8"])
        // What is asked for again is loaded again.
        #expect(try pool.embedder(named: "m/128/int8") != nil)
        #expect(seen.loaded.withLock { $0 }.count == 3)
        pool.keep(only: [])
        #expect(Set(seen.gone.withLock { $0 }) == ["m/384/float", "m/384/int8"])
    }
}
