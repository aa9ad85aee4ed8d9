import Bytes
import IndexTesting
import JSONScan
import Records
import Synchronization
import Testing

@testable import API

/// What a search may ask of its ranking, as replies show it.
@Suite struct SearchOptionReplyTests {
    private let clock = Clock()
    private let fixture: APIFixture

    private final class Clock: Sendable {
        let now = Mutex<Int64>(1_780_000_030_000)
    }

    /// Twelve documents of four titles in two collections, one an hour; the older, the more of the query's words.
    init() {
        let clock = clock
        fixture = APIFixture(adjust: { $0.clock = { clock.now.withLock { $0 } } })
        let words = ["golden", "gate", "bridge", "towers"]
        for number in 0..<12 {
            fixture.index.add(
                "d-\(number)", title: "Title \(number % 4)",
                comment: words.prefix(1 + (11 - number) / 3).joined(separator: " "),
                wiki: number.isMultiple(of: 2) ? "enwiki" : "dewiki",
                eventTime: 1_780_000_000_000 - Int64(11 - number) * 3_600_000,
                collection: number < 6 ? "wikimedia.recentchange" : "notes")
        }
    }

    private static let query = #""query": "golden gate bridge towers""#

    private func search(_ more: String, top: Int = 100) async -> (status: Int, body: JSONValue) {
        await fixture.post(.search, "{\(Self.query), \"top_k\": \(top)\(more.isEmpty ? "" : ", ")\(more)}")
    }

    private func ids(_ reply: JSONValue) -> [String] {
        (reply["hits"]?.array ?? []).compactMap { $0["doc_id"]?.string }
    }

    private func scores(_ reply: JSONValue) -> [Double] {
        (reply["hits"]?.array ?? []).compactMap { $0["scores"]?["fused"]?.double }
    }

    private static let everything = #"""
        "weights": {"vector": 0.7, "lexical": 1.9}, "recency": {"weight": 0.4, "half_life": "3h"},
        "source_weights": {"notes": 1.3}, "explain": true
        """#

    @Test(arguments: [#""explain": true"#, everything, everything + #", "mode": "lexical""#])
    func explanationsAddUpToTheScore(options: String) async throws {
        let (status, body) = await search(options)
        #expect(status == 200 && ids(body).count == 12)
        for hit in body["hits"]?.array ?? [] {
            let parts = try #require(hit["explain"]?["parts"]?.array)
            let names = parts.compactMap { $0["name"]?.string }
            #expect(names.prefix(2) == ["vector", "lexical"] && names.count == (options.contains("recency") ? 4 : 2))
            let sum = parts.reduce(0.0) { $0 + ($1["value"]?.double ?? .nan) }
            #expect(sum == hit["scores"]?["fused"]?.double)
            let rank = parts[1]["rank"]?.double, weight = parts[1]["weight"]?.double
            if let rank, let weight { #expect(parts[1]["value"]?.double == weight / (60 + rank)) }
        }
        #expect(scores(body) == scores(body).sorted(by: >))
        let (_, plain) = await search("")
        #expect(plain["hits"]?[0]?["explain"] == nil)
    }

    @Test func eachOptionDoesWhatItSays() async {
        let (_, plain) = await search("")
        #expect(ids(plain).first == "d-0" || ids(plain).first == "d-1" || ids(plain).first == "d-2")
        let (_, newest) = await search(#""sort": "time""#)
        #expect(ids(newest) == (0..<12).reversed().map { "d-\($0)" })
        let (_, recent) = await search(#""recency": {"weight": 100, "half_life": "12h"}"#)
        #expect(ids(recent) == ids(newest))
        let (_, notes) = await search(#""source_weights": {"notes": 40}"#)
        #expect(Set(ids(notes).prefix(6)) == Set((6..<12).map { "d-\($0)" }))
        let least = scores(plain)[4]
        let (_, some) = await search(#""min_score": \#(least)"#)
        #expect(ids(some) == Array(ids(plain).prefix(scores(plain).count { $0 >= least })) && ids(some).count >= 5)
        let (_, none) = await search(#""min_score": 5"#)
        #expect(ids(none).isEmpty && none["next_cursor"]?.isNull == true)
        let (_, titles) = await search(#""group_by": "title""#)
        #expect(ids(titles).count == 4)
        #expect((titles["hits"]?.array ?? []).allSatisfy { $0["group"]?["others"]?.integer == 2 })
        #expect(titles["hits"]?[0]?["group"]?["value"]?.string == titles["hits"]?[0]?["title"]?.string)
        let (_, wikis) = await search(#""group_by": "wiki", "sort": "time""#)
        #expect(ids(wikis) == ["d-11", "d-10"] && wikis["hits"]?[0]?["group"]?["value"]?.string == "dewiki")
        // An arm that counts nothing is not asked.
        let before = fixture.embedded.texts.withLock { $0.count }
        let (_, words) = await fixture.post(.search, #"{"query": "towers in the mist", "weights": {"vector": 0}}"#)
        #expect(fixture.embedded.texts.withLock { $0.count } == before && words["missing_arms"] == nil)
        #expect((words["hits"]?.array ?? []).allSatisfy { $0["scores"]?["vector"]?.isNull == true })
        let (_, vectors) = await search(#""weights": {"lexical": 0}"#)
        #expect((vectors["hits"]?.array ?? []).allSatisfy { $0["scores"]?["lexical"]?.isNull == true })
    }

    /// Pages of a ranking are pages of one, however late they are asked for and whatever comes meanwhile.
    @Test(arguments: [
        #""sort": "time""#, #""group_by": "title", "explain": true"#, everything, #""min_score": 0.03"#,
        #""recency": {"half_life": "1m"}, "group_by": "is_bot""#,
    ]) func cursorsGoOnWithTheRanking(options: String) async throws {
        let (_, whole) = await search(options)
        var (found, cursor) = ([JSONValue](), "")
        for page in 0..<13 {
            let (status, body) = await search(options + cursor, top: 1)
            #expect(status == 200, "page \(page)")
            found += body["hits"]?.array ?? []
            fixture.index.add("late-\(page)", title: "Title 1", comment: "golden gate bridge towers")
            clock.now.withLock { $0 += 3_600_000 }
            guard let next = body["next_cursor"]?.string else { break }
            cursor = #", "cursor": "\#(next)""#
        }
        #expect(found.compactMap { $0["doc_id"]?.string } == ids(whole))
        #expect(found.compactMap { $0["scores"]?["fused"]?.double } == scores(whole))
        #expect(found.map { $0["group"] } == (whole["hits"]?.array ?? []).map { $0["group"] })
    }

    @Test func aCursorIsOfItsOptions() async throws {
        let options = [
            "", #""sort": "time""#, #""group_by": "wiki""#, #""group_by": "title""#, #""min_score": 0.001"#,
            #""source_weights": {"notes": 2}"#, #""recency": {"half_life": "1h"}"#, #""recency": {"half_life": "2h"}"#,
            #""weights": {"vector": 2}"#,
        ]
        for own in options {
            let cursor = try #require(await search(own, top: 1).body["next_cursor"]?.string)
            for other in options {
                let asked = [other, #""cursor": "\#(cursor)""#].filter { !$0.isEmpty }.joined(separator: ", ")
                let (status, body) = await search(asked, top: 1)
                #expect(status == (own == other ? 200 : 422), "\(own) \(other)")
                if own != other { #expect(body["error"]?["detail"]?[0]?["type"]?.string == "cursor_mismatch") }
            }
        }
        // What changes no ranking may be asked anew.
        let cursor = try #require(await search("", top: 1).body["next_cursor"]?.string)
        let (status, _) = await search(#""explain": true, "timeout_ms": 9000, "cursor": "\#(cursor)""#)
        #expect(status == 200)
    }

    /// What a question names and what is asked beside it go together, on every page.
    @Test func questionsAreReadAllTheSame() async throws {
        let body =
            #""query": "golden gate bridge on the German Wikipedia in the last 24 hours", "sort": "time", "top_k": 2"#
        let more = #", "recency": {"half_life": "1h"}, "group_by": "title""#
        let (status, first) = await fixture.post(.search, "{\(body)\(more)}")
        #expect(status == 200 && first["interpreted"]?["parts"]?.array?.count == 2)
        #expect((first["hits"]?.array ?? []).allSatisfy { $0["wiki"]?.string == "dewiki" })
        let cursor = first["next_cursor"]?.string ?? ""
        #expect(!ids(first).isEmpty && cursor.isEmpty)
        let (_, one) = await fixture.post(.search, "{\(body.replacing("\"top_k\": 2", with: "\"top_k\": 1"))\(more)}")
        let next = try #require(one["next_cursor"]?.string)
        clock.now.withLock { $0 += 3_600_000 }
        let (again, two) = await fixture.post(
            .search, "{\(body.replacing("\"top_k\": 2", with: "\"top_k\": 1"))\(more), \"cursor\": \"\(next)\"}")
        #expect(again == 200 && ids(one) + ids(two) == ids(first))
        #expect(two["interpreted"]?["parts"] == one["interpreted"]?["parts"])
    }

    /// Snippets show what a stem of the configured languages is of.
    @Test func snippetsKnowTheConfiguredLanguages() async {
        for (languages, isShown) in [(["en"], false), (["de", "en"], true)] {
            let fixture = APIFixture(configure: { $0.queryLanguages = languages })
            let filler = String(repeating: "lorem ipsum dolor sit amet ", count: 20)
            fixture.index.add("d", title: "T", comment: "\(filler) viele Katzen \(filler)", language: "de")
            let (_, body) = await fixture.post(.search, #"{"query": "Katze", "mode": "vector"}"#)
            #expect(body["hits"]?[0]?["snippet"]?.string?.contains("Katzen") == isShown, "\(languages)")
        }
    }
}

/// `mode: like`
@Suite struct LikeTests {
    private let fixture = APIFixture()

    init() {
        fixture.fill()
        for number in 0..<4 {
            fixture.index.add("b-\(number)", title: "Golden Gate Bridge", comment: "towers painted \(number)")
        }
    }

    private func like(_ like: String, _ more: String = "") async -> (status: Int, body: JSONValue) {
        await fixture.post(.search, #"{"mode": "like", "like": \#(like), "top_k": 3\#(more)}"#)
    }

    private func ids(_ reply: JSONValue) -> [String] {
        (reply["hits"]?.array ?? []).compactMap { $0["doc_id"]?.string }
    }

    @Test func theLikesOfADocumentAreFoundWithoutIt() async throws {
        let (status, body) = await like(#"{"doc_id": "b-1"}"#)
        #expect(status == 200 && Set(ids(body)) == ["b-0", "b-2", "b-3"])
        #expect(body["hits"]?[0]?["scores"]?["vector"]?.isNull == false)
        #expect(body["hits"]?[0]?["scores"]?["lexical"]?.isNull == false)
        #expect(body["missing_arms"] == nil && body["interpreted"] == nil)
        // Nothing is embedded: the vector is there.
        #expect(fixture.embedded.texts.withLock { $0.isEmpty })
        let (_, passage) = await like(#"{"doc_id": "b-1", "passage": 0, "collection": "wikimedia.recentchange"}"#)
        #expect(ids(passage) == ids(body))
        let cursor = try #require(body["next_cursor"]?.string)
        let (again, rest) = await like(#"{"doc_id": "b-1"}"#, #", "cursor": "\#(cursor)""#)
        #expect(again == 200 && !ids(rest).contains("b-1") && Set(ids(rest)).isDisjoint(with: ids(body)))
        let (mismatch, _) = await like(#"{"doc_id": "b-2"}"#, #", "cursor": "\#(cursor)""#)
        #expect(mismatch == 422)
        let (_, words) = await like(
            #"{"doc_id": "b-1"}"#, #", "weights": {"vector": 0}, "filters": {"wiki": "enwiki"}"#)
        #expect(words["hits"]?[0]?["scores"]?["vector"]?.isNull == true && words["missing_arms"] == nil)
        // The page that goes on is given though the document has gone.
        fixture.index.state.withLock { $0.documents.removeAll { $0.row.docID == "b-1" } }
        #expect(await like(#"{"doc_id": "b-1"}"#, #", "cursor": "\#(cursor)""#).status == 200)
        #expect(await like(#"{"doc_id": "b-1"}"#).status == 404)
    }

    /// The document itself is no hit, so that it is not counted, on whichever page.
    @Test func likesAreCountedWithoutTheDocument() async throws {
        let more = #", "total": true, "facets": "wiki""#
        let (_, first) = await like(#"{"doc_id": "b-1"}"#, more)
        #expect(first["total"]?["value"]?.integer ?? 0 > 0)
        let cursor = try #require(first["next_cursor"]?.string)
        let (status, second) = await like(#"{"doc_id": "b-1"}"#, more + #", "cursor": "\#(cursor)""#)
        #expect(status == 200 && second["total"] == first["total"] && second["facets"] == first["facets"])
    }

    @Test func whatIsNotThereIsNotFound() async {
        fixture.index.add(
            "secret", title: "Golden Gate Bridge", comment: "towers", tenant: TenantID("acme") ?? .standard)
        fixture.index.add("b-1", title: "Golden", comment: "twin", collection: "notes")
        for (body, status, type) in [
            (#"{"doc_id": "nowhere"}"#, 404, "not_found"), (#"{"doc_id": "secret"}"#, 404, "not_found"),
            (#"{"doc_id": "b-2", "passage": 1}"#, 404, "not_found"),
            (#"{"doc_id": "b-2", "collection": "notes"}"#, 404, "not_found"),
            (#"{"doc_id": "b-1"}"#, 422, "ambiguous"), (#"{"doc_id": "b-1", "collection": "notes"}"#, 200, ""),
        ] {
            let reply = await like(body)
            #expect(reply.status == status, "\(body)")
            #expect(reply.body["error"]?["detail"]?[0]?["type"]?.string ?? "" == type)
            #expect(ids(reply.body).contains("secret") == false)
        }
    }
}
