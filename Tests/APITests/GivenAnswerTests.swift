import API
import HTTPServer
import JSONScan
import Testing

@Suite struct GivenAnswerTests {
    let fixture = APIFixture()

    init() {
        fixture.fill()
    }

    private func ask(_ question: String) async throws -> String {
        let (status, body) = await fixture.post(.answer, #"{"query": "\#(question)"}"#)
        #expect(status == 200)
        return try #require(body["answer_id"]?.string)
    }

    private func say(_ id: String, _ body: String) async -> (status: Int, body: JSONValue?) {
        let reply = await fixture.reply(APIFixture.posting("/answers/\(id)/feedback", body))
        return (reply.status, try? JSONValue.parse(reply.body))
    }

    @Test func anAnswerIsShownAsItWasGivenWithWhatWasSaid() async throws {
        let (_, given) = await fixture.post(.answer, #"{"query": "who repainted the golden gate bridge towers?"}"#)
        let id = try #require(given["answer_id"]?.string)
        let said = await say(id, #"{"verdict": "down", "note": "the <b>other</b> bridge"}"#)
        #expect(said.status == 200 && said.body?["verdict"]?.string == "down")
        let (status, body) = await fixture.get(.answerGiven, path: ["answer_id": id])
        #expect(status == 200 && body["reply"] == given)
        #expect(body["question"]?.string == "who repainted the golden gate bridge towers?")
        #expect(body["request"]?["mode"]?.string == "hybrid")
        #expect(body["retrieved"]?[0]?["doc_id"]?.string == "d-bridge")
        #expect(body["feedback"]?[0]?["note"]?.string == "the <b>other</b> bridge")
        #expect(body["feedback"]?[0]?["key"]?.isNull == true)
        let (_, list) = await fixture.get(.answersGiven)
        #expect(list["answers"]?[0]?["down"]?.integer == 1 && list["answers"]?[0]?["up"]?.integer == 0)
    }

    @Test func listsHavePagesAndFilters() async throws {
        var ids: [String] = []
        for _ in 0..<5 { ids.append(try await ask("who repainted the golden gate bridge towers?")) }
        let refused = try await ask("boiling point of mercury in kelvin")
        var seen: [String] = []
        var cursor: String?
        repeat {
            let (status, body) = await fixture.get(
                .answersGiven, [("limit", "4")] + (cursor.map { [("cursor", $0)] } ?? []))
            #expect(status == 200)
            seen += body["answers"]?.array?.compactMap { $0["answer_id"]?.string } ?? []
            cursor = body["next_cursor"]?.string
        } while cursor != nil && seen.count < 20
        #expect(seen.count == 6 && Set(seen) == Set(ids + [refused]))
        func found(_ query: [(name: String, value: String)]) async -> Set<String> {
            let (_, body) = await fixture.get(.answersGiven, query)
            return Set(body["answers"]?.array?.compactMap { $0["answer_id"]?.string } ?? [])
        }
        #expect(await found([("refused", "true")]) == [refused])
        #expect(await found([("cites", "d-bridge")]) == Set(ids))
        #expect(await found([("cites", "d-moskva")]) == [])
        #expect(await found([("since", "2100-01-01T00:00:00Z")]) == [])
        #expect(await found([("until", "2100-01-01T00:00:00Z")]).count == 6)
    }

    @Test(arguments: [
        (#"{}"#, 422), (#"{"verdict": "maybe"}"#, 422), (#"{"verdict": "up", "note": 7}"#, 422), (#"{"verdict""#, 400),
        (#"{"verdict": "up", "colour": "red"}"#, 422), (#"{"verdict": "up"}"#, 404),
    ]) func whatIsWrongIsRefused(body: String, status: Int) async {
        #expect(await say("ans_none", body).status == status)
    }

    @Test func aNoteHasABound() async throws {
        let id = try await ask("who repainted the golden gate bridge towers?")
        let note = String(repeating: "ü", count: 2_000)
        #expect(await say(id, #"{"verdict": "up", "note": "\#(note)"}"#).status == 200)
        #expect(await say(id, #"{"verdict": "up", "note": "\#(note)x"}"#).status == 422)
    }

    @Test(arguments: ["1", "x.y", "-1.a", "01.a", "1.", ".a", "99999999999999999999.a", "1764522000123"])
    func aForeignCursorIsRefused(cursor: String) async {
        let (status, body) = await fixture.get(.answersGiven, [("cursor", cursor)])
        #expect(status == 422 && body["error"]?["detail"]?[0]?["type"]?.string == "cursor_invalid")
    }

    @Test func anUnknownAnswerIsNamed() async {
        let (status, body) = await fixture.get(.answerGiven, path: ["answer_id": "ans_none"])
        #expect(status == 404 && body["error"]?["detail"]?[0]?["input"]?.string == "ans_none")
    }
}
