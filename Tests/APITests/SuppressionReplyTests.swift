import Access
import HTTPServer
import JSONScan
import Records
import Retrieval
import Store
import Synchronization
import Testing

@testable import API

/// `/stream` leaves out what is suppressed, whether it comes now or was missed; and the endpoints of suppressions.
@Suite struct SuppressionReplyTests {
    private static let place = TopicPartition(topic: "source", partition: 0)

    private static func suppress(_ offsets: [Int64], in topic: FakeTopic) {
        topic.state.withLock {
            $0.indexed.suppressed = [.standard: SuppressionSet(offsets.map { .event(place, offset: $0) })]
        }
    }

    @Test func theStreamLeavesOutWhatIsSuppressed() async throws {
        let scene = StreamScene()
        Self.suppress([1, 3], in: scene.topic)
        let seen = try await scene.follow([StreamScene.request()], frames: [3]) {
            for number in 0..<5 { scene.topic.add(0, Int64(number)) }
            scene.topic.index([0: 5])
            try await scene.given(5)
        }
        #expect(seen[0].map(\.document) == ["0-0", "0-2", "0-4"])
        #expect(seen[0].last?.id == FakeTopic.id([0: 5]))
    }

    /// A client that comes back gets from memory what is not suppressed meanwhile; a deletion is told all the same.
    @Test func whatWasMissedIsLeftOutToo() async throws {
        let scene = StreamScene()
        var late: StreamReader?
        let seen = try await scene.follow([StreamScene.request()], frames: [4]) {
            for number in 0..<3 { scene.topic.add(0, Int64(number)) }
            scene.topic.add(0, 3, line: #"{"doc_id":"0-3","operation":"delete"}"#, operation: .delete)
            scene.topic.index([0: 4])
            try await scene.given(4)
            Self.suppress([1, 3], in: scene.topic)
            let tenant = scene.hub.events(of: .standard)
            let event = TopicEvent(
                generation: 1, topicPartition: Self.place, offset: 1, line: [], attributes: AttributeList(), text: "")
            try await eventually { tenant.isSuppressed(event) }
            let reader = try StreamReader(
                StreamScene.request(after: FakeTopic.id([0: 1])), scene.fixture.api)
            try await eventually { reader.frameCount >= 2 }
            late = reader
        }
        await late?.end()
        #expect(SeenFrame.parse(late?.body ?? []).map(\.document) == ["0-2", "0-3"])
        #expect(seen[0].count == 4)
    }

    // MARK: The endpoints

    /// The topic and the index in one.
    private final class FakeDesk: Sendable {
        let records = Mutex<[SuppressionRecord]>([])
        let isApplying = Mutex(true)
        /// Whether all documents have been gone through.
        let isWhole = Mutex(true)
        let lifted = Mutex<[String]>([])
        /// Whether the index has read the topic to its end.
        let isCaughtUp = Mutex(false)

        var desk: SuppressionDesk {
            SuppressionDesk(
                publish: { [self] entry, _ in take(entry) },
                list: { [self] tenant, before, limit, _ in
                    records.withLock { records in
                        Array(
                            records.filter { $0.suppression.tenant == tenant && $0.number < before }
                                .sorted { $0.number > $1.number }.prefix(limit))
                    }
                },
                find: { [self] id, tenant, _ in
                    records.withLock { $0.first { $0.suppression.id == id && $0.suppression.tenant == tenant } }
                }, isCaughtUp: { [self] _ in isCaughtUp.withLock { $0 } })
        }

        private func take(_ entry: SuppressionEntry) {
            if case .lift(let id, _, _, _, _) = entry { lifted.withLock { $0.append(id) } }
            let isWhole = isWhole.withLock { $0 }
            guard isApplying.withLock({ $0 }) else { return }
            records.withLock { records in
                switch entry {
                case .suppress(let suppression):
                    let number = Int64(records.count + 1)
                    records.append(
                        SuppressionRecord(
                            number: number, suppression: suppression, indexVersion: 10 * number, isApplied: isWhole))
                case .lift(let id, let tenant, let reason, let by, let at):
                    // Another tenant's is passed over, as by the index.
                    let place = records.firstIndex { $0.suppression.id == id && $0.suppression.tenant == tenant }
                    guard let place else { return }
                    records[place].lift = SuppressionRecord.Lift(
                        reason: reason, by: by, atMilliseconds: at, indexVersion: 99)
                }
            }
        }
    }

    private let keys = TestKeys()
    private let desk = FakeDesk()

    private func fixture() -> APIFixture {
        let (keys, desk) = (keys, desk)
        return APIFixture(readKeys: keys.read, adjust: { $0.suppressions = desk.desk })
    }

    private func ask(
        _ fixture: APIFixture, _ method: HTTPMethod, _ target: String, _ key: String, _ body: String = ""
    ) async -> (status: Int, body: JSONValue) {
        fixture.api.access.use(KeyRing(keys.read()))
        let request = HTTPRequest(
            method: method, target: target,
            headers: ["Authorization": "Bearer \(key)", "Content-Type": "application/json"], body: Array(body.utf8))
        let reply = await fixture.reply(request)
        return (reply.status, (try? JSONValue.parse(reply.body)) ?? .null)
    }

    private static let page =
        #"{"target":"page","collection":"c","title":"T","wiki":"enwiki","reason":"vandalised"}"#

    @Test func suppressedListedAndLifted() async throws {
        let fixture = fixture()
        let writer = try keys.make(.write)
        let made = await ask(fixture, .post, "/suppressions", writer, Self.page)
        #expect(made.status == 200 && made.body["applied"]?.bool == true, "\(made)")
        #expect(made.body["index_version"]?.integer == 10 && made.body["lifted"]?.isNull == true)
        #expect(made.body["by"]?.string?.isEmpty == false && made.body["wiki"]?.string == "enwiki")
        let id = try #require(made.body["id"]?.string)
        let listed = await ask(fixture, .get, "/suppressions", writer)
        #expect(listed.body["suppressions"]?.array?.first?["reason"]?.string == "vandalised")
        #expect(listed.body["next_before"]?.isNull == true)
        let lifted = await ask(fixture, .delete, "/suppressions/\(id)?reason=checked", writer)
        #expect(lifted.status == 200 && lifted.body["lifted"]?["reason"]?.string == "checked")
        // Once more it is as it was.
        let again = await ask(fixture, .delete, "/suppressions/\(id)?reason=other", writer)
        #expect(again.body["lifted"]?["reason"]?.string == "checked")
        #expect(await ask(fixture, .delete, "/suppressions/s-none?reason=x", writer).status == 404)
    }

    @Test func whoMayNotAskIsRefused() async throws {
        let fixture = fixture()
        let (reader, theirs) = (try keys.make(.read), try keys.make(.write, tenant: TenantID("acme")))
        #expect(await ask(fixture, .post, "/suppressions", reader, Self.page).status == 403)
        #expect(await ask(fixture, .get, "/suppressions", reader).status == 403)
        let writer = try keys.make(.write)
        let id = try #require(await ask(fixture, .post, "/suppressions", writer, Self.page).body["id"]?.string)
        // Another tenant neither sees nor lifts it.
        #expect(await ask(fixture, .get, "/suppressions", theirs).body["suppressions"]?.array?.isEmpty == true)
        let foreign = await ask(fixture, .delete, "/suppressions/\(id)?reason=x", theirs)
        #expect(foreign.body["applied"]?.bool == false && foreign.body["target"]?.isNull == true)
        #expect(desk.records.withLock { $0.allSatisfy { $0.lift == nil } })
    }

    @Test(arguments: [
        "{}", #"{"target":"page","reason":"x"}"#, #"{"target":"page","collection":"c","title":"t"}"#,
        #"{"target":"page","collection":"c","title":"t","reason":""}"#, #"{"target":"user","user":"u","reason":"x"}"#,
        #"{"target":"event","topic":"t","partition":0,"reason":"x"}"#,
        #"{"target":"event","topic":"a b","partition":0,"offset":1,"reason":"x"}"#,
        #"{"target":"event","topic":"t","partition":-1,"offset":1,"reason":"x"}"#, #"{"target":"x","reason":"x"}"#,
    ]) func whatIsNotWholeIsRefused(body: String) async throws {
        let reply = await ask(fixture(), .post, "/suppressions", try keys.make(.write), body)
        #expect(reply.status == 422, "\(reply)")
    }

    /// The reply says that the index has not come to it.
    @Test func whatIsNotAppliedIsTold() async throws {
        desk.isApplying.withLock { $0 = false }
        let reply = await ask(fixture(), .post, "/suppressions", try keys.make(.write), Self.page)
        #expect(reply.status == 200 && reply.body["applied"]?.bool == false)
        #expect(reply.body["index_version"]?.isNull == true)
    }

    /// A lift of what the index has not come to goes its way, too; so does one whose documents are still being brought back.
    @Test func whatIsNotAppliedIsLifted() async throws {
        let fixture = fixture()
        let writer = try keys.make(.write)
        desk.isApplying.withLock { $0 = false }
        let made = await ask(fixture, .post, "/suppressions", writer, Self.page)
        let id = try #require(made.body["id"]?.string)
        let lifted = await ask(fixture, .delete, "/suppressions/\(id)?reason=x", writer)
        #expect(lifted.status == 200 && lifted.body["applied"]?.bool == false, "\(lifted)")
        #expect(lifted.body["id"]?.string == id && lifted.body["target"]?.isNull == true)
        #expect(desk.lifted.withLock { $0 } == [id])
    }

    /// Who may suppress finds what is; others are not told that there is something.
    @Test func impactShowsWhatIsSuppressedToWriters() async throws {
        let fixture = fixture()
        fixture.fill()
        fixture.index.state.withLock { $0.suppressed = ["d-bridge"] }
        func found(_ key: String) async -> (status: Int, suppressed: [Bool]) {
            let reply = await ask(fixture, .get, "/impact?event_id=d-bridge", key)
            return (reply.status, (reply.body["documents"]?.array ?? []).compactMap { $0["suppressed"]?.bool })
        }
        let (writer, reader) = (await found(try keys.make(.write)), await found(try keys.make(.read)))
        #expect(writer.status == 200 && writer.suppressed == [true])
        #expect(reader.status == 404 && reader.suppressed == [])
        let other = await ask(fixture, .get, "/impact?event_id=d-tahoe", try keys.make(.write))
        #expect(other.body["documents"]?.array?.first?["suppressed"]?.bool == false)
    }

    /// Where the index has come to all that there is, an id that it does not know names nothing, nor does another tenant's.
    @Test func anUnknownIDIsToldOnceTheIndexHasCaughtUp() async throws {
        let fixture = fixture()
        let (writer, theirs) = (try keys.make(.write), try keys.make(.write, tenant: TenantID("acme")))
        let id = try #require(await ask(fixture, .post, "/suppressions", writer, Self.page).body["id"]?.string)
        desk.isCaughtUp.withLock { $0 = true }
        let unknown = "s-" + String(repeating: "0", count: 16)
        #expect(await ask(fixture, .delete, "/suppressions/\(unknown)?reason=x", writer).status == 404)
        #expect(await ask(fixture, .delete, "/suppressions/\(id)?reason=x", theirs).status == 404)
        #expect(desk.lifted.withLock { $0 } == [])
        #expect(await ask(fixture, .delete, "/suppressions/\(id)?reason=x", writer).status == 200)
    }

    @Test func whatIsBeingAppliedIsTold() async throws {
        desk.isWhole.withLock { $0 = false }
        let fixture = fixture()
        let writer = try keys.make(.write)
        let made = await ask(fixture, .post, "/suppressions", writer, Self.page)
        #expect(made.body["applied"]?.bool == false)
        let listed = await ask(fixture, .get, "/suppressions", writer)
        #expect(listed.body["suppressions"]?.array?.first?["applied"]?.bool == false)
    }

    @Test func namesAreBoundedByTheirBytes() async throws {
        let title = String(repeating: "é", count: 512)
        func body(_ title: String) -> String {
            #"{"target":"page","collection":"c","title":"\#(title)","reason":"x"}"#
        }
        let writer = try keys.make(.write)
        #expect(await ask(fixture(), .post, "/suppressions", writer, body(title)).status == 200)
        let wide = String(repeating: "€", count: 400)
        #expect(await ask(fixture(), .post, "/suppressions", writer, body(wide)).status == 422)
    }

    // MARK: Stored answers

    @Test func storedAnswersWithholdWhatIsSuppressed() throws {
        let reply = #"""
            {"answer_id":"a","sentences":[{"text":"kept","citations":[2]},{"text":"secret","citations":[1]},
            {"text":"both","citations":[1,2]}],"citations":[{"n":1,"doc_id":"d-1","collection":"c","snippet":"secret"},
            {"n":2,"doc_id":"d-2","collection":"c","snippet":"kept"}],"refused":false}
            """#
        let answer = StoredAnswer(
            id: "a", tenant: .standard, question: "?", createdAtMilliseconds: 1, generation: 1, indexVersion: 1,
            isRefused: false, requestJSON: Array("{}".utf8), replyJSON: Array(reply.utf8),
            retrievedJSON: Array(#"[{"doc_id":"d-1","collection":"c"},{"doc_id":"d-1","collection":"o"}]"#.utf8))
        let whole = WithheldAnswer(GivenAnswer(answer: answer, feedback: []))
        #expect(whole.replyJSON == answer.replyJSON && whole.retrievedJSON == answer.retrievedJSON)
        let part = WithheldAnswer(
            GivenAnswer(
                answer: answer, feedback: [],
                suppressed: [GivenAnswer.SuppressedDocument(collection: "c", docID: "d-1")]))
        let shown = try JSONValue.parse(part.replyJSON)
        #expect(shown["sentences"]?.array?.compactMap { $0["text"]?.string } == ["kept"])
        #expect(shown["citations"]?.array?.compactMap { $0["doc_id"]?.string } == ["d-2"])
        #expect(!String(decoding: part.replyJSON, as: UTF8.self).contains("secret"))
        #expect(try JSONValue.parse(part.retrievedJSON).array?.compactMap { $0["collection"]?.string } == ["o"])
    }
}
