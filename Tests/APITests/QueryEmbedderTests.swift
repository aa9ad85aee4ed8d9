import Concurrency
import HTTPEndpoints
import Synchronization
import Telemetry
import Testing

@testable import API

@Suite struct QueryEmbedderTests {
    private final class Model: Sendable {
        let asked = Mutex<[String]>([])

        func embedder(bytesMax: Int, _ registry: MetricsRegistry) -> QueryEmbedder {
            QueryEmbedder(modelName: "lengths", cacheBytesMax: bytesMax, registry: registry) { [self] texts in
                asked.withLock { $0 += texts }
                return texts.map { [Float($0.utf8.count), 0, 0, 0] }
            }
        }
    }

    @Test func aRepeatedQueryIsEmbeddedOnce() async throws {
        let (model, registry) = (Model(), MetricsRegistry())
        let embedder = model.embedder(bytesMax: 1 << 20, registry)
        for text in ["river", "flood", "river", "river"] {
            let vector = try await embedder.vector(of: text, deadline: Deadline(milliseconds: 10_000))
            #expect(vector == [5, 0, 0, 0])
        }
        #expect(model.asked.withLock { $0 } == ["river", "flood"])
        let page = String(decoding: registry.render(), as: UTF8.self)
        #expect(page.contains("medallion_api_embed_cache_hits_total 2"), "\(page)")
        #expect(page.contains("medallion_api_embed_cache_misses_total 2"))
    }

    @Test(arguments: [0, 200])
    func whatDoesNotFitIsEmbeddedAgain(bytesMax: Int) async throws {
        let (model, registry) = (Model(), MetricsRegistry())
        let embedder = model.embedder(bytesMax: bytesMax, registry)
        for text in ["river", "flood", "river"] {
            _ = try await embedder.vector(of: text, deadline: Deadline(milliseconds: 10_000))
        }
        #expect(model.asked.withLock { $0 } == ["river", "flood", "river"])
    }

    /// A server may refuse a text, and answers with no numbers for it.
    @Test func aQueryWithoutAVectorIsNotKept() async {
        let embedder = QueryEmbedder(modelName: "none") { $0.map { _ in [] } }
        for _ in 0..<2 {
            await #expect(throws: APIError.self) {
                try await embedder.vector(of: "river", deadline: Deadline(milliseconds: 10_000))
            }
        }
    }
}
