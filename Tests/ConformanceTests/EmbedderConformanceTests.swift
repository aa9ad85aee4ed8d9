import Embeddings
import IndexTesting
import Metering
import PlatformTesting
import Telemetry
import Testing

/// Holds every embedder to what ``TextEmbedder`` says: the model in this process, a server, the one that counts, and the double
/// of tests.
@Suite(.serialized) struct EmbedderConformanceTests {
    enum Kind: CaseIterable, Sendable {
        case local
        case measured
        case counting
        case remote
    }

    private static let texts = [
        "Rosa Parks", "", "Fixed a typo in the lead section", "東京都の人口統計を更新", "Rosa Parks",
        String(repeating: "A sentence that is long enough to fill the whole model. ", count: 12),
    ]

    private static let model = Result { try LocalEmbedder(modelDirectory: PackageRoot.path + "/.deps/model") }

    private func with(_ kind: Kind, _ body: (any TextEmbedder) async throws -> Void) async throws {
        switch kind {
        case .counting: try await body(CountingEmbedder())
        case .remote:
            let server = try EmbeddingServer { .json(EmbeddingServer.reply($0.texts, dimensions: 384)) }
            defer { server.stop() }
            let remote = RemoteEmbedder(RemoteEmbedderConfiguration(url: server.url, model: "m", dimensions: 384))
            defer { remote.stop() }
            try await body(remote)
        case .local, .measured:
            // Loading takes longest.
            let local = try Self.model.get()
            try await body(kind == .local ? local : MeasuredEmbedder(local, registry: MetricsRegistry()))
        }
    }

    private static func cosine(_ left: [Float], _ right: [Float]) -> Float {
        zip(left, right).reduce(0) { $0 + $1.0 * $1.1 }
    }

    @Test("one vector of length 1 for each text, in their order, whoever else is there", arguments: Kind.allCases)
    func vectors(kind: Kind) async throws {
        try await with(kind) { embedder in
            #expect(embedder.dimensions == 384 && !embedder.modelName.isEmpty)
            #expect(try await embedder.embed([], priority: .query).isEmpty)
            var alone: [[Float]] = []
            for text in Self.texts { alone += try await embedder.embed([text], priority: .query) }
            #expect(alone.count == Self.texts.count)
            for priority in EmbeddingPriority.allCases {
                let together = try await embedder.embed(Self.texts.reversed(), priority: priority)
                #expect(together.count == Self.texts.count)
                for (vector, other) in zip(together.reversed(), alone) {
                    #expect(vector.count == embedder.dimensions)
                    #expect(abs(Self.cosine(vector, vector) - 1) < 1e-4)
                    // The shape of a batch moves the last bits.
                    #expect(Self.cosine(vector, other) > 0.9995)
                }
            }
            // Of different texts they differ.
            #expect(Self.cosine(alone[0], alone[4]) > 0.9995 && Self.cosine(alone[0], alone[2]) < 0.95)
        }
    }

    /// A call that nobody waits for ends as such or with its vectors, and the next ones are served.
    @Test(arguments: Kind.allCases) func cancellation(kind: Kind) async throws {
        try await with(kind) { embedder in
            await Self.cancel(embedder)
            let vectors = try await embedder.embed(["a"], priority: .query)
            #expect(vectors.count == 1)
        }
    }

    private static func cancel(_ embedder: any TextEmbedder) async {
        let many = (0..<100).map { "document number \($0) about rivers" }
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<3 {
                group.addTask {
                    do {
                        let vectors = try await embedder.embed(many, priority: .batch)
                        #expect(vectors.count == many.count)
                    } catch {
                        #expect(error is CancellationError, "\(error)")
                    }
                }
            }
            group.cancelAll()
        }
    }
}
