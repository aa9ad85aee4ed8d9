import Access
import Bytes
import Concurrency
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

/// The topic, and what a process has read of it.
final class FakeTopicOfRequests: Sendable {
    let requests = Mutex<[SourceRequest]>([])
    let wishes = Mutex<[String: SourceWishes]>([:])
    let isRead = Mutex(true)
    let isAway = Mutex(false)

    func desk(_ sources: [SourceDeclaration]) -> SourceDesk {
        SourceDesk(
            sources: { sources }, publish: { [self] request, _ in try publish(request) },
            wishes: { [self] source in
                wishes.withLock { $0[source] ?? SourceWishes() }
            })
    }

    func publish(_ request: SourceRequest) throws {
        if isAway.withLock({ $0 }) { throw FakeFailure() }
        requests.withLock { $0.append(request) }
        guard isRead.withLock({ $0 }) else { return }
        wishes.withLock { $0[request.source, default: SourceWishes()].take(request) }
    }
}

/// Sources that are paused, resumed and read again over HTTP.
@Suite struct SourceRequestReplyTests {
    private let keys = TestKeys()
    private let topic = FakeTopicOfRequests()

    private static func source(
        _ name: String, _ connector: ConnectorDeclaration, tenant: TenantID = .standard
    ) throws -> SourceDeclaration {
        let scene = try IntakeScene()
        try scene.declare(name, connector, tenant: tenant)
        return try #require(scene.sources.withLock { $0.first })
    }

    private func fixture() throws -> APIFixture {
        let table = PostgresDeclaration(
            dsn: SecretURL("postgresql://db/x"), table: "things", slot: "a_slot", publication: "p")
        let acme = try #require(TenantID("acme"))
        let sources = [
            try Self.source("rows", .postgres(table)), try Self.source("hooks", .webhook(WebhookDeclaration())),
            try Self.source("foreign", .none), try Self.source("theirs", .postgres(table), tenant: acme),
        ]
        let (keys, topic) = (keys, topic)
        return APIFixture(
            readKeys: keys.read,
            adjust: { dependencies in
                dependencies.sourceDesk = topic.desk(sources)
                dependencies.sources = { tenant in
                    sources.filter { tenant == nil || $0.tenant == tenant }.map { source in
                        var status = SourceStatus(
                            name: source.name.text, connector: source.connector.kind.rawValue, freshness: .notLookedAt)
                        status.pause = topic.wishes.withLock { $0[source.name.text] }?.pause.map {
                            SourcePause(by: $0.by, reason: $0.reason, atMilliseconds: $0.atMilliseconds)
                        }
                        status.lagBytes = 4_096
                        var progress = SnapshotProgress(id: "r-7", state: .running, from: "10", rows: 12)
                        (progress.rowsExpected, progress.requestsWaiting) = (100, 2)
                        status.snapshot = progress
                        return status
                    }
                }
            },
            // Of two tenants, so that who writes for one does not see the other's.
            configure: { $0.collections = CollectionCatalog([.standard: [], acme: []]) })
    }

    private func ask(
        _ fixture: APIFixture, _ method: HTTPMethod, _ target: String, _ key: String, _ body: String? = nil
    ) async throws -> (status: Int, body: JSONValue) {
        fixture.api.access.use(KeyRing(keys.read()))
        var headers: HTTPHeaders = ["Authorization": "Bearer \(key)"]
        if body != nil { headers.add("Content-Type", "application/json") }
        let reply = await fixture.reply(
            HTTPRequest(method: method, target: target, headers: headers, body: Array((body ?? "").utf8)))
        return (reply.status, try JSONValue.parse(reply.body))
    }

    @Test func aPauseIsKeptWithWhoAndWhyAndLifted() async throws {
        let fixture = try fixture()
        let (writer, reader) = (try keys.make(.write), try keys.make(.read))
        var reply = try await ask(fixture, .post, "/sources/rows/pause?reason=it%20is%20mended", writer)
        #expect(reply.status == 200 && reply.body["applied"]?.bool == true, "\(reply)")
        #expect(reply.body["paused"]?["reason"]?.string == "it is mended")
        #expect(reply.body["note"]?.string?.contains("a_slot") == true)
        let id = try #require(reply.body["request"]?.string)
        #expect(topic.requests.withLock { $0.map(\.id) } == [id])
        #expect(topic.requests.withLock { $0.first?.by.hasPrefix("test (") } == true)
        var sources = try await ask(fixture, .get, "/sources", writer)
        #expect(sources.body["sources"]?[0]?["paused"]?["at"]?.string != nil, "\(sources)")
        #expect(sources.body["sources"]?[0]?["lag_bytes"]?.integer == 4_096)
        let snapshot = sources.body["sources"]?[0]?["snapshot"]
        #expect(snapshot?["rows"]?.integer == 12 && snapshot?["rows_expected"]?.integer == 100)
        #expect(snapshot?["state"]?.string == "running" && snapshot?["requests_waiting"]?.integer == 2)
        #expect(try await ask(fixture, .post, "/sources/rows/resume", reader).status == 403)
        reply = try await ask(fixture, .post, "/sources/rows/resume", writer)
        #expect(reply.status == 200 && reply.body["paused"]?.isNull == true)
        sources = try await ask(fixture, .get, "/sources", reader)
        #expect(sources.body["sources"]?[0]?["paused"]?.isNull == true)
    }

    @Test func whatWaitedForTooLongIsNotHandedOver() throws {
        let asked = SourceRequest(id: "r-1", source: "rows", action: .pause, reason: "", by: "", atMilliseconds: 1)
        let desk = topic.desk([])
        #expect(throws: APIError.self) { try SourceRequests.publish(asked, to: desk, Deadline(milliseconds: 0)) }
        #expect(topic.requests.withLock { $0.isEmpty })
        try SourceRequests.publish(asked, to: desk, Deadline(milliseconds: 60_000))
        #expect(topic.requests.withLock { $0 } == [asked])
    }

    @Test func aRangeIsAskedForOfATableAlone() async throws {
        let fixture = try fixture()
        let writer = try keys.make(.write)
        var reply = try await ask(
            fixture, .post, "/sources/rows/snapshot", writer, #"{"from":10,"to":"19","reason":"lost"}"#)
        #expect(reply.status == 202 && reply.body["action"]?.string == "snapshot", "\(reply)")
        let range = SourceKeyRange(from: "10", to: "19")
        #expect(topic.requests.withLock { $0.first?.action } == .snapshot(range))
        reply = try await ask(fixture, .post, "/sources/rows/snapshot", writer, "{}")
        #expect(reply.status == 202 && topic.requests.withLock { $0.last?.action } == .snapshot(SourceKeyRange()))
        reply = try await ask(fixture, .post, "/sources/hooks/snapshot", writer, "{}")
        #expect(reply.status == 409 && reply.body["error"]?["type"]?.string == "source_without_snapshots")
        for wrong in [#"{"till":"9"}"#, #"{"from":true}"#, #"{"from":"a\u0000"}"#] {
            #expect(try await ask(fixture, .post, "/sources/rows/snapshot", writer, wrong).status == 422)
        }
        #expect(topic.requests.withLock { $0.count } == 2)
    }

    @Test func whatCannotBeAskedIsSaidByName() async throws {
        let fixture = try fixture()
        let (writer, admin) = (try keys.make(.write, tenant: .standard), try keys.make(.admin))
        var reply = try await ask(fixture, .post, "/sources/foreign/pause", writer)
        #expect(reply.status == 409 && reply.body["error"]?["type"]?.string == "source_not_ours")
        for name in ["theirs", "none"] {
            reply = try await ask(fixture, .post, "/sources/\(name)/pause", writer)
            #expect(reply.status == 404)
            let words = reply.body["error"]?["message"]?.string ?? ""
            #expect(words.contains("hooks") && !words.contains("theirs"), "\(words)")
        }
        #expect(try await ask(fixture, .post, "/sources/theirs/pause", admin).status == 200)
        topic.isAway.withLock { $0 = true }
        reply = try await ask(fixture, .post, "/sources/rows/pause", writer)
        #expect(reply.status == 503)
        topic.isAway.withLock { $0 = false }
        topic.isRead.withLock { $0 = false }
        reply = try await ask(fixture, .post, "/sources/rows/pause", writer)
        #expect(reply.status == 200 && reply.body["applied"]?.bool == false)
    }

    @Test func aPausedSourceTakesNoDocuments() async throws {
        let scene = try IntakeScene()
        try scene.declare("hooks", .webhook(WebhookDeclaration()))
        try scene.declare("notes", .documents(DocumentsDeclaration()))
        var wishes = SourceWishes()
        wishes.take(
            SourceRequest(id: "r", source: "hooks", action: .pause, reason: "", by: "", atMilliseconds: 1))
        let box = Box(wishes)
        scene.wishes.withLock { $0 = { _ in box.paused.withLock { $0 } } }
        let writer = try scene.keys.make(.write)
        try await withAPI(scene.fixture()) { port in
            for path in ["/ingest/hooks", "/documents"] {
                let reply = try await IntakeScene.send(port, path, #"{"id":"1","text":"a"}"#, key: writer)
                #expect(reply.status == 503 && reply.type == "source_paused", "\(reply)")
            }
            box.paused.withLock { $0 = nil }
            let unknown = try await IntakeScene.send(port, "/ingest/hooks", #"{"id":"1"}"#, key: writer)
            #expect(unknown.status == 503 && unknown.type == "unavailable", "\(unknown)")
            box.paused.withLock { $0 = SourceWishes() }
            #expect(try await IntakeScene.send(port, "/ingest/hooks", #"{"id":"1"}"#, key: writer).status == 202)
        }
        #expect(try scene.records("hooks").count == 1 && scene.records("notes").isEmpty)
    }

    private final class Box: Sendable {
        let paused: Mutex<SourceWishes?>

        init(_ wishes: SourceWishes?) { paused = Mutex(wishes) }
    }
}
