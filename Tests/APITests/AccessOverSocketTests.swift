import Bytes
import Concurrency
import Files
import HTTPClient
import HTTPServer
import Hashing
import IndexTesting
import JSONScan
import PlatformTesting
import Records
import Synchronization
import Telemetry
import Testing

@testable import API
@testable import Access

/// What goes around every request of the server, seen over a socket.
@Suite struct AccessOverSocketTests {
    private let keys = TestKeys()

    private func get(_ port: UInt16, _ path: String, _ headers: [(String, String)]) async throws -> HTTPClientResponse {
        try await Lane(name: "client").run {
            try HTTPClient().request(
                HTTPClientRequest(
                    url: "http://127.0.0.1:\(port)\(path)", headers: headers.map { (name: $0.0, value: $0.1) }),
                timeoutMilliseconds: 10_000)
        }
    }

    @Test func aRevokedKeyIsRefusedSoonAndItsStreamEnds() async throws {
        let key = try keys.make(.read)
        let topic = FakeTopic()
        let metrics = MetricsRegistry()
        let hub = EventHub(
            topics: topic, sources: [FakeTopic.source], indexed: { topic.state.withLock { $0.indexed } },
            metrics: metrics,
            logger: Logger("stream", level: .error))
        var access = AccessConfiguration()
        access.isAnonymousReadAllowed = false
        let keys = self.keys
        let fixture = APIFixture(events: hub, access: access, readKeys: keys.read)
        try await withAPI(fixture) { port in
            #expect(try await get(port, "/events/recent", [("X-API-Key", key)]).status == 200)
            #expect(try await get(port, "/events/recent", []).status == 401)
            try await eventually { topic.state.withLock { $0.opened } > 0 }
            async let stream = get(port, "/stream", [("X-API-Key", key)])
            try await eventually {
                String(decoding: metrics.render(), as: UTF8.self).contains("medallion_api_stream_clients 1\n")
            }
            keys.revoke(key)
            try await eventually { try await get(port, "/events/recent", [("X-API-Key", key)]).status == 401 }
            // It ends by the server's doing: the client would wait for ten seconds and fail.
            #expect(try await stream.status == 200)
        }
    }

    /// While the table of keys cannot be read, the ones known last go on; what changes meanwhile counts once it can.
    @Test func knownKeysOutliveTheirDatabase() async throws {
        let (first, second) = (try keys.make(.read), try keys.make(.read))
        let isGone = Mutex(false)
        let reads = Mutex(0)
        var access = AccessConfiguration()
        access.isAnonymousReadAllowed = false
        let keys = self.keys
        let fixture = APIFixture(
            access: access,
            readKeys: {
                reads.withLock { $0 += 1 }
                if isGone.withLock({ $0 }) { throw FakeFailure() }
                return keys.read()
            })
        try await withAPI(fixture) { port in
            isGone.withLock { $0 = true }
            keys.revoke(second)
            let before = reads.withLock { $0 }
            try await eventually { reads.withLock { $0 } >= before + 2 }
            for key in [first, second] {
                #expect(try await get(port, "/events/recent", [("X-API-Key", key)]).status == 200)
            }
            isGone.withLock { $0 = false }
            try await eventually { try await get(port, "/events/recent", [("X-API-Key", second)]).status == 401 }
            #expect(try await get(port, "/events/recent", [("X-API-Key", first)]).status == 200)
        }
    }

    @Test func everyRequestIsLoggedWithoutSecrets() async throws {
        let key = try keys.make(.read)
        let folder = try TemporaryFolder()
        let path = folder.file("access.jsonl")
        let keys = self.keys
        let fixture = APIFixture(accessLog: path, readKeys: keys.read)
        try await withAPI(fixture) { port in
            let agent = "agent/1 \u{9B}31m \u{202E}" + String(repeating: "x", count: 1_000)
            _ = try await get(
                port, "/events/recent?limit=3&collection=secret-words",
                [("Authorization", "Bearer \(key)"), ("User-Agent", agent), ("X-Request-Id", "mine-1")])
            _ = try await get(port, "/" + String(repeating: "y", count: 2_000), [("Cookie", "secret-cookie")])
            let refused = try await get(port, "/trace/none", [("X-Request-Id", "mine-3")])
            #expect(try JSONValue.parse(refused.body)["error"]?["request_id"]?.string == "mine-3")
            #expect(refused.headers["X-Request-Id"] == "mine-3")
        }
        let text = String(decoding: try File.contents(of: path), as: UTF8.self)
        let lines = try text.split(separator: "\n").map { try JSONValue.parse(Array($0.utf8)) }
        #expect(lines.map { $0["status"]?.integer } == [200, 404, 404])
        #expect(lines.map { $0["request_id"]?.string?.hasPrefix("mine") } == [true, false, true])
        #expect(lines[0]["key"]?.string == APIKeyText(key)?.id && lines[1]["key"]?.isNull == true)
        #expect(lines[0]["client"]?.string == "127.0.0.1" && lines[0]["route"]?.string == "/events/recent")
        #expect(lines[0]["path"]?.string == "/events/recent")
        #expect((lines[0]["reply_bytes"]?.integer ?? 0) > 10)
        for secret in [key, "secret-words", "secret-cookie", "\u{9B}", "\u{202E}", keys.read()[0].sha256] {
            #expect(!text.contains(secret))
        }
        #expect(text.split(separator: "\n").allSatisfy { $0.utf8.count < 1_500 })
    }

    /// A collector that renames the file loses nothing; a file that cannot be written stops no request.
    @Test func theLogFollowsARotationAndSurvivesAFault() async throws {
        let folder = try TemporaryFolder()
        let path = folder.file("logs/access.jsonl")
        let fixture = APIFixture(accessLog: path)
        try await withAPI(fixture) { port in
            for _ in 0..<5 { #expect(try await get(port, "/live", []).status == 200) }
            try await Task.sleep(for: .milliseconds(300))
            #expect(!Folder.exists(path))
            try Folder.create(folder.file("logs"))
            try await eventually { Folder.exists(path) }
            try Folder.rename(path, to: path + ".1")
            for _ in 0..<5 { #expect(try await get(port, "/live", []).status == 200) }
        }
        let lines = try [path + ".1", path].flatMap { try File.contents(of: $0).split(separator: 0x0A) }
        #expect(lines.count == 10)
    }

    @Test func safeHeadersAreOnEveryReply() async throws {
        try await withAPI(APIFixture()) { port in
            for path in ["/", "/live", "/nothing", "/search", "/openapi.json"] {
                let reply = try await get(port, path, [])
                #expect(reply.headers["X-Content-Type-Options"] == "nosniff")
                #expect(reply.headers["X-Frame-Options"] == "DENY")
                #expect(reply.headers["Referrer-Policy"] == "no-referrer")
                #expect(reply.headers["Strict-Transport-Security"] == nil, "not without TLS")
            }
            let page = try await get(port, "/", [])
            #expect(page.headers["Content-Security-Policy"]?.contains("frame-ancestors 'none'") == true)
        }
    }
}
