import API
import Bytes
import HTTPClient
import HTTPServer
import Health
import IndexTesting
import JSONScan
import PlatformTesting
import Postgres
import Records
import Redis
import Retrieval
import ServiceLifecycle
import Store
import Telemetry
import Testing

/// A reply that is kept is given again while documents come that it would not show, and no longer once one comes that it would,
/// or one that it shows changes or goes.
@Suite struct CachedSearchTests {
    private struct Missing: Error {}

    private final class Scene: Sendable {
        let fixture: IndexFixture
        let follower: ArmsFollower
        let api: SearchAPI

        /// - Parameter redis: the socket of a server that several scenes share.
        init(_ fixture: IndexFixture, files: String? = nil, redis: String? = nil) throws {
            self.fixture = fixture
            let (metrics, logger) = (MetricsRegistry(), Logger("test", level: .error))
            let database = fixture.configuration
            let follower = ArmsFollower(
                configuration: database, bytesMax: 1 << 30, filesFolder: files, tenants: { [.standard] },
                registry: metrics, logger: logger)
            self.follower = follower
            var dependencies = SearchAPIDependencies(
                makeStore: { ArmedStore(SearchStore(configuration: database), shared: follower.shared) },
                makeTraceSource: { throw Missing() }, embedder: nil, health: HealthRegistry(), metrics: metrics,
                logger: logger)
            dependencies.arms = follower
            dependencies.armsReader = ArmsReader(shared: follower.shared)
            dependencies.secondCache = redis.flatMap { RedisAddress("unix://\($0)") }.map {
                SecondCache($0, milliseconds: 10_000, registry: metrics, logger: logger)
            }
            var configuration = SearchAPIConfiguration()
            configuration.cacheBytes = 1 << 20
            configuration.cacheMilliseconds = 3_600_000
            api = SearchAPI(configuration: configuration, dependencies: dependencies)
        }

        /// Writes documents, and waits until searches in memory see them.
        func write(_ documents: [IndexedDocument]) async throws {
            _ = try fixture.writer.write(documents, timeoutMilliseconds: IndexFixture.limit)
            let version = try SearchStore(configuration: fixture.configuration).status(
                timeoutMilliseconds: IndexFixture.limit
            ).indexVersion
            try await eventually { self.follower.shared.version(of: .standard) ?? -1 >= version }
        }

        func serving(_ body: (UInt16) async throws -> Void) async throws { try await api.serving(body) }
    }

    private static func eventually(_ isSo: () throws -> Bool) async throws {
        for _ in 0..<6_000 {
            if try isSo() { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw Missing()
    }

    private static func document(_ number: Int, _ text: String, version: Int64 = 1) -> IndexedDocument {
        IndexFixture.document(number, text: text, version: version, embedding: nil, model: "")
    }

    /// Servers of one index share replies, each checks them by what it follows itself, and without Redis each goes on alone.
    @Test(.enabled(if: RedisServer.isInstalled)) func serversShareReplies() async throws {
        let fixture = try IndexFixture()
        let folder = try TemporaryFolder()
        let redis = try RedisServer(in: folder.path)
        _ = try fixture.writer.write(
            (1...5).map { Self.document($0, "granite harbour \($0)") }, timeoutMilliseconds: IndexFixture.limit)
        try fixture.countWords()
        let scenes = try ["a", "b"].map {
            try Scene(fixture, files: folder.file($0), redis: redis.socket)
        }
        try await scenes[0].serving { first in
            try await scenes[1].serving { second in
                for scene in scenes {
                    try await Self.eventually { scene.follower.shared.sizes[.standard]?.rows == 5 }
                }
                let found = try Self.search(first)
                // What the other one finds there it has not searched itself.
                try await Self.eventually { try redis.keys("medallion:reply:*") > 0 }
                let shared = try Self.search(second)
                #expect(!found.isKept && shared.isKept && shared.ids == found.ids)

                try await scenes[1].write([Self.document(6, "granite harbour")])
                try await scenes[0].write([])
                for port in [second, first] {
                    let now = try Self.search(port)
                    #expect(now.ids.first == "doc-6")
                }

                // What is suppressed neither server gives again, be it its own reply or the other's.
                for port in [first, second] { try await Self.eventually { try Self.search(port).isKept } }
                let suppression = Suppression(
                    id: "s-1", tenant: .standard, target: .eventID("doc-6"), reason: "a test", by: "ann",
                    atMilliseconds: 1_700_000_000_000)
                try SuppressionStore(configuration: fixture.configuration).apply(
                    .suppress(suppression), timeoutMilliseconds: IndexFixture.limit)
                for scene in scenes { try await scene.write([]) }
                for port in [first, second] {
                    let now = try Self.search(port)
                    #expect(now.ids.count == 3 && !now.ids.contains("doc-6"))
                }

                redis.kill()
                try await scenes[0].write([Self.document(7, "granite harbour granite harbour")])
                #expect(try Self.search(first).ids.contains("doc-7"))
                try await Self.eventually { try Self.search(first).isKept }
            }
        }
    }

    /// An answer that the database no longer keeps leaves what servers share, too: none of them gives it again.
    @Test(.enabled(if: RedisServer.isInstalled)) func aForgottenAnswerLeavesRedis() async throws {
        let fixture = try IndexFixture()
        let folder = try TemporaryFolder()
        let redis = try RedisServer(in: folder.path)
        _ = try fixture.writer.write(
            [Self.document(1, "Granite Harbour: repaired the pier. edit by Ann")],
            timeoutMilliseconds: IndexFixture.limit)
        try fixture.countWords()
        let scenes = try ["a", "b"].map { try Scene(fixture, files: folder.file($0), redis: redis.socket) }
        try await scenes[0].serving { first in
            try await scenes[1].serving { second in
                for scene in scenes {
                    try await Self.eventually { scene.follower.shared.sizes[.standard]?.rows == 1 }
                }
                let database = try fixture.connect()
                let made = try Self.answerID(first)
                try await Self.eventually { try redis.keys("medallion:reply:*") > 0 }
                #expect(try Self.answerID(second) == made)
                // The hits that are written first would otherwise find it.
                try await Self.eventually {
                    try database.script(
                        "SELECT hits FROM answers WHERE hits > 0", timeoutMilliseconds: IndexFixture.limit
                    ).count == 1
                }
                try database.script("DELETE FROM answers", timeoutMilliseconds: IndexFixture.limit)
                #expect(try Self.answerID(first) == made)
                try await Self.eventually { try redis.keys("medallion:reply:*") == 0 }
                let anew = try Self.answerID(first)
                #expect(anew != made)
            }
        }
    }

    private static func answerID(_ port: UInt16) throws -> String {
        var request = HTTPClientRequest(url: "http://127.0.0.1:\(port)/answer")
        request.method = "POST"
        request.headers = [("Content-Type", "application/json")]
        request.body = Array(#"{"query": "who repaired the pier of Granite Harbour?", "mode": "lexical"}"#.utf8)
        let body = try JSONValue.parse(try HTTPClient().request(request, timeoutMilliseconds: 30_000).body)
        return body["answer_id"]?.string ?? ""
    }

    private static func search(_ port: UInt16) throws -> (isKept: Bool, ids: [String], checked: Int64?) {
        var request = HTTPClientRequest(url: "http://127.0.0.1:\(port)/search")
        request.method = "POST"
        request.headers = [("Content-Type", "application/json")]
        request.body = Array(#"{"query": "granite harbour", "mode": "lexical", "top_k": 3}"#.utf8)
        let body = try JSONValue.parse(try HTTPClient().request(request, timeoutMilliseconds: 30_000).body)
        return (
            body["source"]?.string == "cache", body["hits"]?.array?.compactMap { $0["doc_id"]?.string } ?? [],
            body["cached"]?["index_version"]?.integer
        )
    }

    @Test func aReplyIsKeptWhileItHolds() async throws {
        let fixture = try IndexFixture()
        let scene = try Scene(fixture)
        let others = (1...40).map { Self.document($0, "river flood number \($0) and nothing else") }
        _ = try fixture.writer.write(
            others
                + (50...54).map { Self.document($0, "granite harbour in a text of \($0) or so words that goes on") },
            timeoutMilliseconds: IndexFixture.limit)
        try fixture.countWords()
        try await scene.serving { port in
            try await Self.eventually { scene.follower.shared.sizes[.standard]?.rows == 45 }
            let first = try Self.search(port).ids
            #expect(first.count == 3)
            try await Self.eventually { try Self.search(port).isKept }

            // One that has a word, too, and is worse than what is shown.
            try await scene.write([
                Self.document(60, "the harbour of a town with very many other words that nobody looks for here at all")
            ])
            let version = try #require(scene.follower.shared.version(of: .standard))
            try await Self.eventually {
                let again = try Self.search(port)
                #expect(again.ids == first)
                return again.isKept && again.checked ?? -1 >= version
            }
            // One that is better.
            try await scene.write([Self.document(61, "granite harbour")])
            let better = try Self.search(port)
            #expect(better.ids.first == "doc-61" && !better.isKept)
            try await Self.eventually { try Self.search(port).isKept }

            // It changes, and is better still no more.
            try await scene.write([Self.document(61, "a ferry", version: 2)])
            let changed = try Self.search(port)
            #expect(changed.ids == first && !changed.isKept)
            try await Self.eventually { try Self.search(port).isKept }

            // One that is shown goes without an index version, as what has expired does.
            try fixture.connect().script(
                """
                DELETE FROM visibility WHERE document_id IN (SELECT id FROM documents WHERE doc_id = '\(first[0])');
                """, timeoutMilliseconds: IndexFixture.limit)
            try await Self.eventually { try !Self.search(port).ids.contains(first[0]) }
        }
    }

    /// Another generation's replies are not this one's.
    @Test func aPromotionEndsWhatIsKept() async throws {
        let fixture = try IndexFixture()
        let scene = try Scene(fixture)
        let source = IndexFixture.source
        _ = try fixture.writer.write(
            (1...5).map { Self.document($0, "granite harbour \($0)") },
            moving: [CheckpointMove(generation: 1, source: source, expected: nil, next: 6)],
            timeoutMilliseconds: IndexFixture.limit)
        try fixture.countWords()
        let range = try #require(OffsetRange(start: 1, end: 6))
        try await scene.serving { port in
            try await Self.eventually { try Self.search(port).isKept }
            // One that shows nothing.
            let generations = fixture.generations
            let child = try generations.create(
                parent: 1, logicVersion: "new", note: "test", timeoutMilliseconds: IndexFixture.limit)
            _ = try generations.copyParentRows(
                child: child, parent: 1, outside: [(source, range)], handover: [source: 6],
                timeoutMilliseconds: IndexFixture.limit)
            try generations.finish(
                generation: child, handover: [source: 6], timeoutMilliseconds: IndexFixture.limit)
            try generations.promote(child, timeoutMilliseconds: IndexFixture.limit)
            try await Self.eventually { try Self.search(port).ids.isEmpty }
        }
    }
}
