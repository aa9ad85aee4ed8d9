import Access
import Bytes
import HTTPServer
import Health
import IndexTesting
import JSONScan
import Records
import Retrieval
import Sources
import Synchronization
import Testing

@testable import API

/// What was asked of a source, by whom, and what became of it.
@Suite struct SourceAuditReplyTests {
    private let keys = TestKeys()
    private let topic = FakeTopicOfRequests()

    private static func source(_ name: String, tenant: TenantID = .standard) throws -> SourceDeclaration {
        let scene = try IntakeScene()
        let table = PostgresDeclaration(
            dsn: SecretURL("postgresql://db/x"), table: "things", slot: "a_slot", publication: "p")
        try scene.declare(name, .postgres(table), tenant: tenant)
        return try #require(scene.sources.withLock { $0.first })
    }

    private func fixture(_ desk: SourceDesk? = nil) throws -> APIFixture {
        let acme = try #require(TenantID("acme"))
        let sources = [try Self.source("rows"), try Self.source("theirs", tenant: acme)]
        let (keys, topic) = (keys, topic)
        return APIFixture(
            readKeys: keys.read, adjust: { $0.sourceDesk = desk ?? topic.desk(sources) },
            configure: { $0.collections = CollectionCatalog([.standard: [], acme: []]) })
    }

    private func ask(
        _ fixture: APIFixture, _ method: HTTPMethod, _ target: String, _ key: String, _ more: HTTPHeaders = [:]
    ) async throws -> (status: Int, body: JSONValue) {
        fixture.api.access.use(KeyRing(keys.read()))
        var headers = more
        headers.add("Authorization", "Bearer \(key)")
        let isSnapshot = target.hasSuffix("/snapshot")
        if isSnapshot { headers.add("Content-Type", "application/json") }
        let reply = await fixture.reply(
            HTTPRequest(
                method: method, target: target, headers: headers,
                body: isSnapshot ? Array(#"{"from":1,"reason":"lost rows"}"#.utf8) : []))
        return (reply.status, try JSONValue.parse(reply.body))
    }

    @Test func eachRequestIsReadAfterwardsWithWhatBecameOfIt() async throws {
        let fixture = try fixture()
        let admin = try keys.make(.admin)
        let pause = try await ask(fixture, .post, "/sources/rows/pause?reason=it%20is%20mended", admin)
        let id = try #require(pause.body["request"]?.string)
        // As the process tells that runs its connector.
        topic.wishes.withLock { wishes in
            wishes["rows"]?.take(SourceOutcome(request: id, source: "rows", state: .taken, atMilliseconds: 1_000))
        }
        _ = try await ask(fixture, .post, "/sources/rows/snapshot", admin)
        _ = try await ask(fixture, .post, "/sources/rows/resume", admin)
        // As the command asks.
        topic.wishes.withLock { wishes in
            wishes["rows"]?.take(
                SourceRequest(
                    id: "r-cli", source: "rows", action: .giveUp(nil), reason: "", by: "ann", atMilliseconds: 2_000))
        }
        let reply = try await ask(fixture, .get, "/sources/rows/requests", admin)
        #expect(reply.status == 200, "\(reply)")
        let requests = reply.body["requests"]?.array ?? []
        #expect(requests.compactMap { $0["action"]?.string } == ["give_up", "resume", "snapshot", "pause"])
        // What was resumed was asked for, and nobody has told more of it.
        #expect(requests.compactMap { $0["outcome"]?.string } == ["taken", "asked", "given_up", "taken"])
        #expect(requests.first?["by"]?.string == "ann")
        let last = try #require(requests.last)
        #expect(last["by"]?.string?.hasPrefix("test (") == true && last["reason"]?.string == "it is mended")
        #expect(last["at"]?.string != nil && last["outcome_at"]?.string == "1970-01-01T00:00:01.000Z")
        #expect(requests[2]["from"]?.string == "1" && requests[2]["to"]?.isNull == true)
        let two = try await ask(fixture, .get, "/sources/rows/requests?limit=2", admin)
        #expect(two.body["requests"]?.array?.count == 2)
        for wrong in ["0", "51", "many"] {
            #expect(try await ask(fixture, .get, "/sources/rows/requests?limit=\(wrong)", admin).status == 422)
        }
    }

    @Test func whoSeesNoDetailsSeesNoNames() async throws {
        let fixture = try fixture()
        let (admin, reader) = (try keys.make(.admin), try keys.make(.read, tenant: .standard))
        _ = try await ask(fixture, .post, "/sources/rows/pause?reason=secret", admin)
        let reply = try await ask(fixture, .get, "/sources/rows/requests", reader)
        let one = try #require(reply.body["requests"]?.array?.first)
        #expect(one["action"]?.string == "pause" && one["by"]?.isNull == true && one["reason"]?.isNull == true)
        #expect(try await ask(fixture, .get, "/sources/theirs/requests", reader).status == 404)
        #expect(try await ask(fixture, .post, "/sources/rows/give-up", reader).status == 403)
        let unread = SourceDesk(
            sources: topic.desk([try Self.source("rows")]).sources, publish: { _, _ in }, wishes: { _ in nil },
            wishesFault: { "the topic cannot be read: no right" })
        let away = try await ask(self.fixture(unread), .get, "/sources/rows/requests", admin)
        #expect(away.status == 503 && away.body["error"]?["message"]?.string?.contains("no right") == true, "\(away)")
    }

    @Test func aKeyOfTheCallersHasARequestCountOnce() async throws {
        let fixture = try fixture()
        let (ann, bob) = (try keys.make(.write), try keys.make(.write))
        var ids: Set<String> = []
        for _ in 0..<3 {
            let reply = try await ask(fixture, .post, "/sources/rows/snapshot", ann, ["Idempotency-Key": "k-1"])
            #expect(reply.status == 202 && reply.body["applied"]?.bool == true, "\(reply)")
            ids.insert(try #require(reply.body["request"]?.string))
        }
        #expect(ids.count == 1 && topic.requests.withLock { $0.count } == 1)
        // Another caller's, another key and another action are others.
        for (key, name, path) in [(bob, "k-1", "snapshot"), (ann, "k-2", "snapshot"), (ann, "k-1", "pause")] {
            let reply = try await ask(fixture, .post, "/sources/rows/\(path)", key, ["Idempotency-Key": name])
            ids.insert(try #require(reply.body["request"]?.string))
        }
        #expect(ids.count == 4 && ids.allSatisfy { $0.hasPrefix("r-") && $0.utf8.count == 18 })
        for wrong in ["a b", String(repeating: "k", count: 256)] {
            let reply = try await ask(fixture, .post, "/sources/rows/pause", ann, ["Idempotency-Key": wrong])
            #expect(reply.status == 422, "\(wrong)")
        }
    }

    @Test func snapshotsAreGivenUpOverHTTP() async throws {
        let fixture = try fixture()
        let writer = try keys.make(.write)
        var ids: [String] = []
        for _ in 0..<3 {
            let reply = try await ask(fixture, .post, "/sources/rows/snapshot", writer)
            ids.append(try #require(reply.body["request"]?.string))
        }
        let one = try await ask(fixture, .post, "/sources/rows/give-up?snapshot=\(ids[1])", writer)
        #expect(one.status == 200 && one.body["action"]?.string == "give_up", "\(one)")
        #expect(topic.wishes.withLock { $0["rows"]?.snapshots.map(\.id) } == [ids[0], ids[2]])
        #expect(try await ask(fixture, .post, "/sources/rows/give-up", writer).status == 200)
        #expect(topic.wishes.withLock { $0["rows"]?.snapshots.isEmpty } == true)
    }
}
