import Bytes
import JSONScan
import Retrieval
import Synchronization
import Testing

@testable import API

/// What of a question becomes filters, as a client sees it.
@Suite struct InterpretationReplyTests {
    private final class Clock: Sendable {
        /// Thursday, 26 November 2026, 14:37:45 UTC.
        let now = Mutex(CivilTime.epochMilliseconds("2026-11-26T14:37:45Z") ?? 0)
    }

    private let clock = Clock()
    private let fixture: APIFixture

    init() {
        let clock = self.clock
        fixture = APIFixture(adjust: { $0.clock = { clock.now.withLock { $0 } } })
        let now = clock.now.withLock { $0 }
        for number in 0..<12 {
            fixture.index.add(
                "new-\(number)", title: "Golden Gate Bridge \(number)", comment: "repainted towers",
                wiki: number % 2 == 0 ? "dewiki" : "enwiki", language: number % 2 == 0 ? "de" : "en",
                user: number == 3 ? "Ann Lee" : "Bob", eventTime: now - 60_000 * Int64(number) * 10)
        }
    }

    private func ids(_ reply: JSONValue) -> [String] {
        (reply["hits"]?.array ?? []).compactMap { $0["doc_id"]?.string }
    }

    @Test func wordsThatNameSomethingFilterAndTheReplySaysSo() async {
        let (status, body) = await fixture.post(
            .search, #"{"query": "golden gate bridge in the last hour on the German Wikipedia?"}"#)
        #expect(status == 200)
        #expect(Set(ids(body)) == ["new-0", "new-2", "new-4", "new-6"])
        let interpreted = body["interpreted"]
        #expect(interpreted?["query"]?.string == "golden gate bridge?")
        #expect(interpreted?["parts"]?.array?.compactMap { $0["kind"]?.string } == ["time", "wiki"])
        #expect(interpreted?["parts"]?[0]?["text"]?.string == "in the last hour")
        #expect(interpreted?["parts"]?[0]?["filter"]?["from"]?.string == "2026-11-26T13:37:00.000Z")
        #expect(interpreted?["parts"]?[1]?["filter"]?["must"]?[0]?["one_of"]?[0]?.string == "dewiki")
        #expect(fixture.embedded.texts.withLock { $0 } == ["golden gate bridge?"], "the rest is what both arms search")
        let metrics = String(decoding: (await fixture.reply(APIFixture.request(.metrics))).body, as: UTF8.self)
        #expect(metrics.contains(#"medallion_api_interpreted_total{kind="time"} 1"#))
        #expect(metrics.contains(#"medallion_api_interpreted_total{kind="wiki"} 1"#))
    }

    @Test func itCanBeSwitchedOff() async {
        let query = "golden gate bridge in the last hour on the German Wikipedia"
        let (status, body) = await fixture.post(
            .search, #"{"query": "\#(query)", "interpret": false, "top_k": 100}"#)
        #expect(status == 200 && ids(body).count == 12 && body["interpreted"] == nil)
        #expect(fixture.embedded.texts.withLock { $0 } == [query])
        let (_, plain) = await fixture.post(.search, #"{"query": "history of the last hour of the Titanic"}"#)
        #expect(plain["interpreted"] == nil)
        let (refused, _) = await fixture.post(.search, #"{"query": "golden", "interpret": "no"}"#)
        #expect(refused == 422)
    }

    @Test func filtersOfTheRequestComeFirst() async {
        let (_, body) = await fixture.post(
            .search,
            #"{"query": "golden gate bridge on the German Wikipedia in the last hour", "filters": {"wiki": "enwiki"}}"#)
        #expect(Set(ids(body)) == ["new-1", "new-3", "new-5"])
        #expect(body["interpreted"]?["parts"]?.array?.compactMap { $0["kind"]?.string } == ["time"])
        #expect(body["interpreted"]?["query"]?.string == "golden gate bridge on the German Wikipedia")
        let (_, user) = await fixture.post(.search, #"{"query": "bridge edits by \"Ann Lee\""}"#)
        #expect(ids(user) == ["new-3"])
    }

    /// The pages of "the last hour" are those of the first page's last hour, however late they are asked for.
    @Test func pagesGoOnAcrossAMinute() async {
        let query = #""query": "golden gate bridge in the last hour", "mode": "vector", "top_k": 2"#
        var found: [String] = []
        var cursor = ""
        for page in 0..<10 {
            let (status, body) = await fixture.post(.search, "{\(query)\(cursor)}")
            #expect(status == 200, "page \(page)")
            found += ids(body)
            #expect(
                body["interpreted"]?["parts"]?[0]?["filter"]?["from"]?.string == "2026-11-26T13:37:00.000Z",
                "page \(page)")
            guard let next = body["next_cursor"]?.string else { break }
            cursor = #", "cursor": "\#(next)""#
            clock.now.withLock { $0 += 601_000 }
        }
        #expect(found.sorted() == (0..<7).map { "new-\($0)" })
        let (mismatch, reply) = await fixture.post(.search, "{\(query), \"interpret\": false\(cursor)}")
        #expect(mismatch == 422 && reply["error"]?["detail"]?[0]?["type"]?.string == "cursor_mismatch")
        let (_, late) = await fixture.post(.search, "{\(query)}")
        #expect(late["interpreted"]?["parts"]?[0]?["filter"]?["from"]?.string != "2026-11-26T13:37:00.000Z")
    }

    @Test func answersAreMadeOfWhatWasMeant() async throws {
        let (status, body) = await fixture.post(
            .answer, #"{"query": "who repainted the golden gate bridge towers on the German Wikipedia?"}"#)
        #expect(status == 200 && body["refused"]?.bool == false)
        let cited = Set((body["citations"]?.array ?? []).compactMap { $0["wiki"]?.string })
        #expect(cited == ["dewiki"])
        #expect(body["interpreted"]?["query"]?.string == "who repainted the golden gate bridge towers?")
        let kept = try #require(fixture.index.state.withLock { $0.answers.first })
        #expect(kept.question == "who repainted the golden gate bridge towers on the German Wikipedia?")
        let request = try JSONValue.parse(kept.requestJSON)
        #expect(request["query"]?.string == kept.question && request["interpreted"]?["parts"]?.array?.count == 1)
        #expect(request["filters"]?["must"]?[0]?["one_of"]?[0]?.string == "dewiki")
    }
}
