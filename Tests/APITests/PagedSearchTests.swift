import JSONScan
import Retrieval
import Testing

@testable import API

/// Pages of one search are pages of one ranking, whatever happens between them.
@Suite struct PagedSearchTests {
    private let fixture = APIFixture(configure: { $0.exactMillisecondsMax = 200 })

    init() {
        fixture.fill()
        fixture.index.state.withLock {
            $0.isVectorArmShort = true
            $0.isIndexOrderReversed = true
        }
    }

    private func page(after cursor: String?, _ more: String = "") async -> (status: Int, body: JSONValue) {
        let place = cursor.map { #", "cursor": "\#($0)""# } ?? ""
        return await fixture.post(.search, #"{"query": "golden gate bridge", "top_k": 1\#(more)\#(place)}"#)
    }

    /// The documents of all pages, each asked for once `prepare` has been called with its number.
    private func pages(_ more: String = "", prepare: (Int) -> Void = { _ in }) async -> [String] {
        var found: [String] = []
        var cursor: String?
        for number in 0..<10 {
            prepare(number)
            let (status, body) = await page(after: cursor, more)
            #expect(status == 200)
            found += body["hits"]?.array?.compactMap { $0["doc_id"]?.string } ?? []
            cursor = body["next_cursor"]?.string
            if cursor == nil { break }
        }
        return found
    }

    private func setExactDelay(_ milliseconds: Int) {
        fixture.index.state.withLock { $0.exactDelayMilliseconds = milliseconds }
    }

    private static let searches = ["", #", "mode": "vector""#, #", "filters": {"type": ["edit", "new"]}"#]

    /// What is indexed between two pages, and what no time is left for, changes nothing of a ranking that has begun.
    @Test(arguments: searches) func whatHasBegunGoesOnAsItBegan(more: String) async {
        let whole = await pages(more)
        #expect(Set(whole).count == 5 && whole.count == 5)
        let read = await pages(more) { number in
            guard number > 0 else { return }
            fixture.index.add("late-\(number)", title: "Golden Gate Bridge", comment: "golden gate bridge")
            setExactDelay(60_000)
        }
        #expect(read == whole)
    }

    /// The other way round: it stays what it was, and every page says so.
    @Test(arguments: searches) func whatBeganThroughTheIndexGoesOnThroughIt(more: String) async {
        setExactDelay(60_000)
        let whole = await pages(more)
        let mixed = await pages(more) { setExactDelay($0 == 0 ? 60_000 : 0) }
        #expect(mixed == whole && Set(mixed).count == 5)
        setExactDelay(60_000)
        let (_, first) = await page(after: nil, more)
        setExactDelay(0)
        let (_, second) = await page(after: first["next_cursor"]?.string, more)
        #expect(second["incomplete_arms"]?.array?.compactMap(\.string) == ["vector"])
    }

    /// Vectors that come back, or go, between two pages change nothing either.
    @Test func aMissingArmStaysMissingAndTheOtherWayRound() async {
        let fixture = APIFixture()
        for number in 0..<4 { fixture.index.add("d-\(number)", title: "Golden", comment: "text \(number)") }
        func page(_ query: String, after cursor: String?) async -> (status: Int, body: JSONValue) {
            let place = cursor.map { #", "cursor": "\#($0)""# } ?? ""
            return await fixture.post(.search, #"{"query": "\#(query)", "top_k": 1\#(place)}"#)
        }
        fixture.embedded.isFailing.withLock { $0 = true }
        let (_, lexical) = await page("golden text", after: nil)
        #expect(lexical["missing_arms"]?.array?.count == 1)
        fixture.embedded.isFailing.withLock { $0 = false }
        let (_, second) = await page("golden text", after: lexical["next_cursor"]?.string)
        #expect(second["missing_arms"]?.array?.compactMap(\.string) == ["vector"])
        #expect(second["hits"]?[0]?["scores"]?["vector"]?.isNull == true)

        let (_, both) = await page("golden", after: nil)
        #expect(both["missing_arms"] == nil)
        // Another process, which has no vectors, goes on with what was found by them.
        let other = APIFixture(hasEmbedder: false)
        for number in 0..<4 { other.index.add("d-\(number)", title: "Golden", comment: "text \(number)") }
        let (status, reply) = await other.post(
            .search, #"{"query": "golden", "top_k": 1, "cursor": "\#(both["next_cursor"]?.string ?? "")"}"#)
        #expect(status == 200 && reply["hits"]?.array?.count == 1 && reply["missing_arms"] == nil)
        #expect(reply["hits"]?[0]?["scores"]?["vector"]?.isNull == false)
    }

    /// A cursor outlives a promotion, and not what it was begun in.
    @Test func cursorsOfGenerationsThatAreNotServedAreRefused() async {
        let (_, searched) = await fixture.post(.search, #"{"query": "golden", "top_k": 1}"#)
        let cursor = searched["next_cursor"]?.string ?? ""
        let (_, listed) = await fixture.get(.recent, [(name: "limit", value: "1")])
        let place = listed["next_cursor"]?.string ?? ""
        func ask() async -> [(status: Int, body: JSONValue)] {
            [
                await fixture.post(.search, #"{"query": "golden", "top_k": 1, "cursor": "\#(cursor)"}"#),
                await fixture.get(.recent, [(name: "limit", value: "1"), (name: "cursor", value: place)]),
            ]
        }
        fixture.index.state.withLock {
            $0.generation = 2
            $0.previousGenerations = [1]
        }
        for reply in await ask() {
            #expect(reply.status == 200 && reply.body["generation"]?.integer == 1)
        }
        fixture.index.state.withLock { $0.previousGenerations = [] }
        for reply in await ask() {
            #expect(reply.status == 410)
            #expect(reply.body["error"]?["type"]?.string == "generation_gone")
            #expect(reply.body["error"]?["message"]?.string?.contains("begin again without it") == true)
        }
        #expect(await fixture.get(.recent).status == 200)
        let candidate = await fixture.get(.recent, [(name: "cursor", value: "3.9.9")])
        #expect(candidate.status == 410)
    }
}
