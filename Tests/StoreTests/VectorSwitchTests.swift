import API
import Bytes
import Concurrency
import Embeddings
import HTTPClient
import Health
import IndexTesting
import Indexer
import JSONScan
import Records
import Retrieval
import Store
import Synchronization
import Telemetry
import Testing

/// Generations of different vectors switch beside searches, which never mix them.
@Suite struct VectorSwitchTests {
    private static let limit = IndexFixture.limit
    private static let count = 300
    private static let models = [
        VectorModel(base: "m", dimensions: 384, maker: .local(.float)),
        VectorModel(base: "m", dimensions: 256, maker: .local(.int8)),
    ]

    private struct Missing: Error {}

    private struct Scene: Sendable {
        let fixture: IndexFixture
        let embedders = VectorSwitchTests.models.map { ModelEmbedder($0) }
        let api: SearchAPI
        let follower: ArmsFollower

        /// - Parameter isBlind: whether the server has the first model alone.
        init(isBlind: Bool = false) throws {
            fixture = try IndexFixture()
            let (metrics, logger) = (MetricsRegistry(), Logger("test", level: .error))
            let database = fixture.configuration
            let follower = ArmsFollower(
                configuration: database, bytesMax: 1 << 30, filesFolder: nil, tenants: { [.standard] },
                registry: metrics, logger: logger)
            self.follower = follower
            let others = ModelEmbedders(isBlind ? [embedders[0]] : embedders)
            var dependencies = SearchAPIDependencies(
                makeStore: {
                    ArmedStore(
                        SearchStore(configuration: database, model: VectorSwitchTests.models[0].name),
                        shared: follower.shared)
                }, makeTraceSource: { throw Missing() },
                embedder: QueryEmbedder(embedder: embedders[0], others: others, registry: metrics),
                health: HealthRegistry(), metrics: metrics, logger: logger)
            dependencies.arms = follower
            dependencies.armsReader = ArmsReader(shared: follower.shared, model: VectorSwitchTests.models[0].name)
            var configuration = SearchAPIConfiguration()
            configuration.cacheBytes = 1 << 20
            api = SearchAPI(configuration: configuration, dependencies: dependencies)
        }

        /// Documents in the first generation, and a second one with vectors of the second model.
        func fill() async throws {
            let documents = DocumentIndexer(
                configuration: fixture.configuration, embedders: ModelEmbedders(embedders))
            let pending = (0..<count).map { number in
                PendingDocument(
                    generation: 1, source: IndexFixture.source, sourceOffset: Int64(number),
                    document: IndexFixture.document(number, text: text(number), embedding: nil).document)
            }
            _ = try await documents.write(
                try await documents.prepare(pending),
                moving: [
                    CheckpointMove(generation: 1, source: IndexFixture.source, expected: nil, next: Int64(count))
                ], goldPositions: [], origin: .live)
            let (generations, handover) = (fixture.generations, [IndexFixture.source: Int64(count)])
            let child = try generations.create(
                parent: 1, logicVersion: "x", note: "",
                vectors: VectorKind(model: models[1].name, dimensions: models[1].dimensions),
                timeoutMilliseconds: limit)
            _ = try generations.copyParentRows(
                child: child, parent: 1, outside: [], handover: handover, isOfOtherModel: true,
                timeoutMilliseconds: limit)
            var key = Int64.min
            while let last = try await documents.changeVectors(of: child, after: key, most: 200).lastKey { key = last }
            try generations.finish(generation: child, handover: handover, timeoutMilliseconds: limit)
            try fixture.countWords()
        }
    }

    private static func text(_ number: Int) -> String { "granite harbour number \(number)" }

    /// The status of a search, and what is wrong with its reply: a score that is not that of its generation's model.
    private static func search(
        _ port: UInt16, _ number: Int, like: Bool, _ embedders: [ModelEmbedder]
    ) throws -> (generation: Int64, fault: String?) {
        var request = HTTPClientRequest(url: "http://127.0.0.1:\(port)/search")
        request.method = "POST"
        request.headers = [("Content-Type", "application/json")]
        // Some of those that are kept, and others.
        if number.isMultiple(of: 2) { request.headers.append(("Cache-Control", "no-cache")) }
        let body =
            like
            ? #"{"like": {"doc_id": "doc-\#(number)"}, "mode": "like"}"#
            : #"{"query": "\#(text(number))", "mode": "vector"}"#
        request.body = Array(body.utf8)
        let reply = try HTTPClient().request(request, timeoutMilliseconds: limit)
        let json = try JSONValue.parse(reply.body)
        guard reply.status == 200, let generation = json["generation"]?.integer, let hits = json["hits"]?.array else {
            return (0, "\(reply.status) \(json)")
        }
        let embedder = embedders[Int(generation) - 1]
        let asked = embedder.vector(of: text(number))
        var scores = 0
        for hit in hits {
            guard let found = hit["doc_id"]?.string.flatMap({ Int($0.dropFirst(4)) }) else { continue }
            guard let score = hit["scores"]?["vector"]?.double else { continue }
            scores += 1
            let wanted = zip(asked, embedder.vector(of: text(found))).reduce(0) { $0 + $1.0 * $1.1 }
            if abs(score - Double(wanted)) > 0.004 {
                return (generation, "doc-\(found) scores \(score) for doc-\(number) in \(generation), not \(wanted)")
            }
        }
        return (generation, scores == 0 || json["missing_arms"] != nil ? "no vectors: \(json)" : nil)
    }

    private final class Seen: Sendable {
        struct State {
            var counts: [Int64: Int] = [:]
            var faults: [String] = []
            var isOver = false
        }
        let state = Mutex(State())
        var count: Int { state.withLock { $0.counts.values.reduce(0, +) } }
    }

    @Test func tenSwitchesMixNothing() async throws {
        let scene = try Scene()
        try await scene.fill()
        try await scene.api.serving { port in
            let seen = Seen()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for searcher in 0..<3 {
                    group.addTask {
                        // Which wait for replies, and the server's tasks need the threads that tasks share.
                        let lane = Lane(name: "searcher-\(searcher)")
                        var number = searcher
                        while !seen.state.withLock({ $0.isOver }) {
                            number = (number + 7) % Self.count
                            let found: (generation: Int64, fault: String?)
                            do {
                                let asked = number
                                found = try await lane.run {
                                    try Self.search(port, asked, like: searcher == 0, scene.embedders)
                                }
                            } catch {
                                found = (0, "\(error)")
                            }
                            seen.state.withLock { state in
                                state.counts[found.generation, default: 0] += 1
                                if let fault = found.fault { state.faults.append(fault) }
                            }
                            await Task.yield()
                        }
                    }
                }
                for number in 0..<10 {
                    let before = seen.count
                    for _ in 0..<6_000 where seen.count < before + 12 { try await Task.sleep(for: .milliseconds(10)) }
                    try scene.fixture.generations.promote(
                        number.isMultiple(of: 2) ? 2 : 1, timeoutMilliseconds: Self.limit)
                }
                // Of the last one, in memory as well.
                for _ in 0..<6_000 {
                    if scene.follower.shared.version(of: .standard) != nil { break }
                    try await Task.sleep(for: .milliseconds(10))
                }
                let before = seen.count
                for _ in 0..<6_000 where seen.count < before + 12 { try await Task.sleep(for: .milliseconds(10)) }
                seen.state.withLock { $0.isOver = true }
                try await group.waitForAll()
            }
            let (counts, faults) = seen.state.withLock { ($0.counts, $0.faults) }
            #expect(faults.isEmpty, "\(faults.prefix(5))")
            #expect(Set(counts.keys) == [1, 2] && counts.values.allSatisfy { $0 > 20 }, "\(counts)")
        }
    }

    /// A server that has not the model of what is served says which one it lacks, and finds by words.
    @Test func aServerWithoutTheModelSaysSo() async throws {
        let scene = try Scene(isBlind: true)
        try await scene.fill()
        try await scene.api.serving { port in
            #expect(try Self.search(port, 3, like: false, scene.embedders).fault == nil)
            try scene.fixture.generations.promote(2, timeoutMilliseconds: Self.limit)
            // What is in memory follows a moment later.
            var found: (generation: Int64, fault: String?) = (1, nil)
            for _ in 0..<6_000 where found.generation == 1 {
                found = try Self.search(port, 3, like: false, scene.embedders)
                try await Task.sleep(for: .milliseconds(10))
            }
            #expect(found.fault?.hasPrefix("503") == true && found.fault?.contains("model_mismatch") == true)
            #expect(found.fault?.contains(Self.models[1].name) == true, "\(found)")
            try scene.fixture.generations.promote(1, timeoutMilliseconds: Self.limit)
            #expect(try Self.search(port, 3, like: false, scene.embedders).fault == nil)
        }
    }
}
