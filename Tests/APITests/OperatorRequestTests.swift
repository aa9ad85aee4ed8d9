import Access
import HTTPServer
import JSONScan
import Records
import Retrieval
import Store
import Testing

@testable import API

@Suite struct OperatorRequestTests {
    private let keys = TestKeys()
    private let control = FakeControl()

    private func fixture(
        tenants: [TenantID] = [.standard], timeoutMilliseconds: Int = 30_000, golden: FakeGoldenShelf? = nil
    ) -> APIFixture {
        let control = control
        let fixture = APIFixture(
            timeoutMilliseconds: timeoutMilliseconds, readKeys: keys.read,
            adjust: { ($0.control, $0.golden) = (control, golden) },
            configure: { configuration in
                guard let name = CollectionName("notes") else { return }
                configuration.collections = CollectionCatalog(
                    Dictionary(
                        uniqueKeysWithValues: tenants.map { ($0, [CollectionDeclaration(name: name, attributes: [])]) })
                )
            })
        fixture.api.access.use(KeyRing(keys.read()))
        return fixture
    }

    private func ask(
        _ fixture: APIFixture, _ method: HTTPMethod, _ target: String, _ key: String, _ body: String? = nil
    ) async throws -> (status: Int, body: JSONValue) {
        var headers: HTTPHeaders = ["X-API-Key": key]
        if body != nil { headers.add("Content-Type", "application/json") }
        let reply = await fixture.reply(
            HTTPRequest(method: method, target: target, headers: headers, body: body.map { Array($0.utf8) } ?? []))
        return (reply.status, try JSONValue.parse(reply.body))
    }

    /// One tenant's writer changes nothing for another.
    @Test func whatIsAboutAllTenantsIsThePlatforms() async throws {
        let acme = try #require(TenantID("acme"))
        let (writer, admin, platform) = (
            try keys.make(.write, tenant: acme), try keys.make(.admin, tenant: acme), try keys.make(.admin)
        )
        let shared = fixture(tenants: [.standard, acme])
        for (method, target, body) in [
            (.get, "/generations", nil), (.post, "/generations/2/promote", nil), (.post, "/generations/2/prune", nil),
            (.get, "/replays", nil), (.post, "/replays", "{}"), (.get, "/replays/2", nil),
            (.get, "/replays/2/progress", nil), (.patch, "/replays/2", "{}"), (.delete, "/replays/2", nil),
            (.get, "/logics", nil), (.get, "/quarantine/record?topic=t&partition=0&offset=3", nil),
            (.get, "/quarantine", nil), (.post, "/quarantine/redrive", #"{"all":true}"#),
            (.post, "/quarantine/discard", #"{"all":true}"#),
        ] as [(HTTPMethod, String, String?)] {
            for key in [writer, admin] {
                #expect(try await ask(shared, method, target, key, body).status == 403, "\(target)")
            }
        }
        #expect(control.calls.withLock { $0 } == [] && control.started.withLock { $0 } == nil)
        #expect(try await ask(shared, .get, "/replays", platform).body["replays"]?[0]?["id"]?.string == "2")
        // Where there is no other tenant, its writer may.
        let own = try keys.make(.write)
        #expect(try await ask(fixture(), .get, "/generations", own).status == 200)
    }

    @Test func whatIsAskedArrives() async throws {
        let key = try keys.make(.write)
        let fixture = fixture()
        let body = #"{"source":"a","partition":1,"from":5,"to":9,"logic":{"type":"x"},"dry_run":true,"rate":7}"#
        #expect(try await ask(fixture, .post, "/replays", key, body).status == 202)
        var wanted = ReplayStart()
        wanted.source = "a"
        (wanted.bounds.partition, wanted.bounds.offsets) = (1, OffsetRange(start: 5, end: 9))
        (wanted.isDryRun, wanted.wish, wanted.logic) = (true, ReplayWish(rate: 7), Array(#"{"type":"x"}"#.utf8))
        var started = try #require(control.started.withLock { $0 })
        #expect(APIKeyText(key)?.id == started.keyID)
        started.keyID = ""
        #expect(started == wanted)
        for wrong in [
            #"{"from":5,"to":9}"#, #"{"partition":0,"from":9,"to":9}"#, #"{"until":"2026-01-01T00:00:00Z"}"#,
            #"{"since":"2026-01-02T00:00:00Z","until":"2026-01-01T00:00:00Z"}"#, #"{"rate":-1}"#, #"{"logic":3}"#,
            #"{"since":"2026-01-02T00:00:00Z","partition":0,"from":1,"to":2}"#,
        ] {
            #expect(try await ask(fixture, .post, "/replays", key, wrong).status == 422, "\(wrong)")
        }
        #expect(try await ask(fixture, .patch, "/replays/2", key, #"{"paused":true,"rate":9}"#).status == 200)
        #expect(try await ask(fixture, .delete, "/replays/2", key).status == 200)
        #expect(
            try await ask(fixture, .post, "/generations/3/promote?wait_seconds=2", key).body["state"]?.string
                == "active")
        #expect(try await ask(fixture, .post, "/generations/3/prune", key).body["state"]?.string == "pruned")
        let page = try await ask(fixture, .get, "/quarantine?rule=r&limit=3", key).body
        #expect(page["has_more"]?.bool == true && page["next_cursor"]?.string == "1~t~0.3", "\(page)")
        #expect(try await ask(fixture, .get, "/quarantine?rule=r&limit=3&cursor=1~t~0.3", key).status == 200)
        for wrong in ["1", "x~t~0.3", "1~t", "1~~0.3", "1~t~x", "1~t~0.3~", "1~t%7E"] {
            #expect(try await ask(fixture, .get, "/quarantine?cursor=\(wrong)", key).status == 422, "\(wrong)")
        }
        let record = "/quarantine/record?topic=t&partition=0&offset="
        #expect(try await ask(fixture, .get, record + "3", key).body["value_base64"]?.string == "eA==")
        #expect(try await ask(fixture, .get, record + "4", key).status == 404)
        for wrong in ["/quarantine/record", "/quarantine/record?topic=t&partition=0", record + "-1", record + "x"] {
            #expect(try await ask(fixture, .get, wrong, key).status == 422, "\(wrong)")
        }
        #expect(
            try await ask(fixture, .get, "/logics", key).body["logics"]?[0]?["declared"]?["type"]?.string
                == "recent_change")
        let discard = #"{"topic":"t","partition":0,"offset":4,"reason":"why","dry_run":true}"#
        #expect(try await ask(fixture, .post, "/quarantine/discard", key, discard).status == 200)
        for wrong in ["{}", #"{"offset":4}"#, #"{"rule":"r","value":"v"}"#] {
            #expect(try await ask(fixture, .post, "/quarantine/redrive", key, wrong).status == 422, "\(wrong)")
        }
        #expect(
            control.calls.withLock { $0 } == [
                "change 2 true 9", "end 2", "promote 3 2000", "prune 3", "quarantine r 3",
                "quarantine r 3 from 1~t~0.3",
                #"discard(reason: "why") [4, 5) false true"#,
            ])
        #expect(try await ask(fixture, .get, "/replays/3", key).status == 404)
    }

    @Test func progressComesUntilTheEnd() async throws {
        let key = try keys.make(.write)
        let reply = await fixture().reply(
            HTTPRequest(target: "/replays/2/progress", headers: ["X-API-Key": key]))
        let frames = SeenFrame.parse(reply.body)
        #expect(frames.map(\.name) == ["progress", "progress", "end"])
        #expect(frames.map { $0.data["state"]?.string } == ["running", "running", "done"])
    }

    private func shelf() async throws -> FakeGoldenShelf {
        let shelf = FakeGoldenShelf()
        for (name, options) in [("a", #"{"no":1}"#), ("b", #"{"top_k":3}"#), ("c", #"{"as_of":1}"#), ("d", "{}")] {
            let query = GoldenQuery(name: name, kind: .search, query: "golden gate", optionsJSON: Array(options.utf8))
            #expect(try await shelf.put(query, of: .standard))
        }
        return shelf
    }

    /// One that cannot be asked, as after a change of what is declared, keeps no other from being compared.
    @Test func goldenQueriesFailAlone() async throws {
        let key = try keys.make(.write)
        let fixture = fixture(golden: try await shelf())
        fixture.index.state.withLock { $0.previousGenerations = [2] }
        let compared = try await ask(fixture, .post, "/generations/2/golden", key)
        let queries = compared.body["queries"]?.array ?? []
        #expect(compared.status == 200 && compared.body["left_out"]?.integer == 0, "\(compared)")
        #expect(queries.map { $0["name"]?.string } == ["a", "b", "c", "d"])
        #expect(queries.map { $0["error"]?.string != nil } == [true, false, true, false], "\(compared)")
        // None fares better where the generation is none.
        #expect(try await ask(fixture, .post, "/generations/9/golden", key).status == 409)
        for options in [#"{"as_of":1}"#, #"{"min_index_version":1}"#, #"{"cursor":"x"}"#] {
            for kind in ["search", "answer"] {
                let body = #"{"name":"x","kind":"\#(kind)","query":"y","options":\#(options)}"#
                #expect(try await ask(fixture, .post, "/golden", key, body).status == 422, "\(body)")
            }
        }
    }

    /// Those for which there is no time are counted, and the others shown.
    @Test func goldenQueriesThatTakeTooLongAreLeftOut() async throws {
        let key = try keys.make(.write)
        let fixture = fixture(timeoutMilliseconds: 400, golden: try await shelf())
        fixture.index.state.withLock { ($0.previousGenerations, $0.delayMilliseconds) = ([2], 300) }
        let compared = try await ask(fixture, .post, "/generations/2/golden", key)
        let queries = compared.body["queries"]?.array ?? []
        #expect(compared.status == 200, "\(compared)")
        #expect(queries.first?["name"]?.string == "a" && queries.count < 4, "\(compared)")
        #expect(compared.body["left_out"]?.integer == Int64(4 - queries.count), "\(compared)")
    }

    /// What differs is what somebody who asks would see.
    @Test func goldenDifferences() {
        func hit(_ id: String, _ text: String = "t") -> GoldenDifference.Hit {
            .init(collection: "c", docID: id, title: id, text: text)
        }
        let same = GoldenDifference([hit("a"), hit("b")], [hit("a"), hit("b")])
        #expect(!same.isChanged && same.unchanged == 2)
        let other = GoldenDifference([hit("a"), hit("b"), hit("c")], [hit("b", "new"), hit("d"), hit("c")])
        #expect(other.isChanged && other.unchanged == 1)
        #expect(other.entered.map(\.hit.docID) == ["d"] && other.entered.map(\.place) == [2])
        #expect(other.left.map(\.hit.docID) == ["a"] && other.left.map(\.place) == [1])
        #expect(other.moved.map(\.hit.docID) == ["b"] && other.moved.first?.from == 2 && other.moved.first?.to == 1)
        #expect(other.rewritten.map(\.after.text) == ["new"])
        var said = same
        said.before = .init(isRefused: false, sentences: ["x"])
        #expect(said.isChanged)
    }
}
