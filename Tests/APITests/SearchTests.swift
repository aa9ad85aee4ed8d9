import API
import Bytes
import HTTPServer
import JSONScan
import Retrieval
import Testing

@Suite struct SearchTests {
    let fixture = APIFixture()

    init() {
        fixture.fill()
    }

    @Test func replyHasTheContractsFields() async {
        let (status, body) = await fixture.post(.search, #"{"query": "golden gate bridge", "top_k": 2}"#)
        #expect(status == 200)
        #expect(
            body.keys == [
                "hits", "generation", "index_version", "freshness", "freshness_reason", "indexed_at", "events_behind",
                "source", "latency_ms", "next_cursor",
            ])
        #expect(body["generation"]?.integer == 1)
        #expect(body["index_version"]?.integer == 5)
        #expect(body["source"]?.string == "index")
        let hit = body["hits"]?[0]
        let required = [
            "doc_id", "version", "passage", "title", "url", "snippet", "event_time", "scores", "lineage",
        ]
        #expect(Set(required).isSubset(of: Set(hit?.keys ?? [])))
        #expect(hit?["doc_id"]?.string == "d-bridge")
        #expect(hit?["scores"]?.keys == ["vector", "lexical", "fused"])
        #expect((hit?["scores"]?["vector"]?.double ?? 0) > 0.3)
        #expect(hit?["scores"]?["fused"]?.double == 2.0 / 61)
        #expect(hit?["lineage"]?["parents"]?[0]?["offset"]?.integer == 1_000)
        #expect(hit?["event_time"]?.string?.hasSuffix("Z") == true)
    }

    @Test func filtersNarrow() async {
        func found(_ filters: String) async -> [String] {
            let (_, body) = await fixture.post(.search, #"{"query": "golden gate", "filters": \#(filters)}"#)
            return body["hits"]?.array?.compactMap { $0["doc_id"]?.string }.sorted() ?? []
        }
        #expect(await found(#"{"wiki": "dewiki"}"#) == ["d-bot"])
        #expect(await found(#"{"wiki": ["dewiki", "ruwiki"]}"#) == ["d-bot", "d-moskva"])
        #expect(await found(#"{"lang": "ru"}"#) == ["d-moskva"])
        #expect(await found(#"{"type": "new"}"#) == ["d-hostile"])
        #expect(await found(#"{"is_bot": true}"#) == ["d-bot"])
        #expect(await found(#"{"to": "2021-09-01T00:00:00Z"}"#) == ["d-bot"])
        #expect(await found(#"{"from": "2021-09-01T00:00:00Z", "wiki": "dewiki"}"#) == [])
        #expect(await found(#"{"collection": "other"}"#) == [])
        #expect(await found(#"{"wiki": null, "is_bot": true}"#) == ["d-bot"])
    }

    @Test func armsCanBeAskedAlone() async {
        let (_, lexical) = await fixture.post(.search, #"{"query": "Москва", "mode": "lexical"}"#)
        #expect(lexical["hits"]?.array?.count == 1)
        #expect(lexical["hits"]?[0]?["scores"]?["vector"]?.isNull == true)
        #expect(fixture.embedded.texts.withLock { $0.isEmpty })
        let (_, vector) = await fixture.post(.search, #"{"query": "Москва", "mode": "vector"}"#)
        #expect(vector["hits"]?[0]?["scores"]?["lexical"]?.isNull == true)
        #expect(vector["hits"]?[0]?["doc_id"]?.string == "d-moskva")
    }

    @Test func pagesContinueOneRanking() async {
        for number in 0..<30 { fixture.index.add("p-\(number)", title: "Page \(number)", comment: "golden text") }
        let (_, whole) = await fixture.post(.search, #"{"query": "golden text", "top_k": 100}"#)
        let all = whole["hits"]?.array?.compactMap { $0["doc_id"]?.string } ?? []
        #expect(whole["next_cursor"]?.isNull == true)
        var paged: [String] = []
        var cursor = "null"
        for _ in 0..<20 where cursor != "" {
            let (status, page) = await fixture.post(
                .search, #"{"query": "golden text", "top_k": 7, "cursor": \#(cursor)}"#)
            #expect(status == 200)
            paged += page["hits"]?.array?.compactMap { $0["doc_id"]?.string } ?? []
            // What comes meanwhile changes nothing for the pages that follow.
            fixture.index.add("late-\(paged.count)", title: "Golden text", comment: "golden text")
            cursor = page["next_cursor"]?.string.map { "\"\($0)\"" } ?? ""
        }
        #expect(paged == all)
        #expect(all.count == 35)
    }

    @Test func aCursorOfAnotherSearchIsRefused() async {
        let (_, page) = await fixture.post(.search, #"{"query": "golden", "top_k": 1}"#)
        let cursor = page["next_cursor"]?.string ?? ""
        for body in [
            #"{"query": "silver", "cursor": "\#(cursor)"}"#, #"{"query": "golden", "cursor": "abc"}"#,
            #"{"query": "golden", "cursor": 7}"#,
        ] {
            let (status, reply) = await fixture.post(.search, body)
            #expect(status == 422)
            #expect(reply["error"]?["detail"]?[0]?["loc"]?[1]?.string == "cursor")
        }
    }

    @Test func queryVectorsAreCached() async {
        for _ in 0..<3 { _ = await fixture.post(.search, #"{"query": "golden gate"}"#) }
        #expect(fixture.embedded.texts.withLock { $0 } == ["golden gate"])
    }

    @Test func withoutVectorsTheLexicalArmServesAndSaysSo() async {
        let fixture = APIFixture(hasEmbedder: false)
        fixture.fill()
        let (status, body) = await fixture.post(.search, #"{"query": "golden gate"}"#)
        #expect(status == 200)
        #expect(body["missing_arms"] == .array([.string("vector")]))
        #expect(body["hits"]?.array?.count == 2)
        let (refused, error) = await fixture.post(.search, #"{"query": "golden gate", "mode": "vector"}"#)
        #expect(refused == 503)
        #expect(error["error"]?["message"]?.string?.contains("EMBED_ENABLED") == true)
    }

    @Test func aFailingModelTakesOnlyItsArmAway() async {
        fixture.embedded.isFailing.withLock { $0 = true }
        let (status, body) = await fixture.post(.search, #"{"query": "lake"}"#)
        #expect(status == 200)
        #expect(body["missing_arms"]?[0]?.string == "vector")
    }
}

@Suite struct ValidationTests {
    let fixture = APIFixture()

    /// One reply names every wrong field, each with its kind.
    @Test func allFaultsAtOnce() async {
        let (status, body) = await fixture.post(
            .search,
            #"""
            {"query": "", "top_k": 0, "mode": "fuzzy", "colour": 1, "cursor": "x",
             "filters": {"wiki": [1, "a"], "is_bot": "yes", "from": "yesterday", "size": 3, "type": ""}}
            """#)
        #expect(status == 422)
        #expect(body.keys == ["error"])
        #expect(body["error"]?.keys == ["type", "message", "detail"])
        let detail = body["error"]?["detail"]?.array ?? []
        #expect(detail.allSatisfy { $0.keys == ["type", "loc", "msg", "input"] })
        let found = detail.map { fault in
            let steps = fault["loc"]?.array?.map { $0.string ?? String($0.integer ?? -1) } ?? []
            return "\(steps.joined(separator: ".")) \(fault["type"]?.string ?? "")"
        }
        #expect(
            found.sorted() == [
                "body.colour extra_forbidden", "body.cursor cursor_invalid", "body.filters.from datetime_parsing",
                "body.filters.is_bot bool_type", "body.filters.size extra_forbidden",
                "body.filters.type string_too_short", "body.filters.wiki.0 string_type", "body.mode enum",
                "body.query string_too_short", "body.top_k greater_than_equal",
            ])
    }

    @Test(arguments: [
        ("", 422, "missing"), ("{", 400, "json_invalid"), ("[]", 422, "object_type"), ("null", 422, "object_type"),
        ("{}", 422, "missing"), (#"{"query": 5}"#, 422, "string_type"),
        (#"{"query": "a", "top_k": 1.5}"#, 422, "int_type"), (#"{"query": "a", "top_k": true}"#, 422, "int_type"),
        (#"{"query": "a", "top_k": 101}"#, 422, "less_than_equal"),
        (#"{"query": "a", "top_k": 9999999999999999999}"#, 422, "less_than_equal"),
        (#"{"query": "a", "top_k": 99999999999999999999}"#, 400, "json_invalid"),
        (#"{"query": "a\u0000b"}"#, 422, "string_pattern_mismatch"),
        (#"{"query": "a", "query": "b"}"#, 422, "duplicate"), (#"{"query": "a", "filters": []}"#, 422, "object_type"),
        (#"{"query": "a", "collection": "x", "filters": {"collection": "y"}}"#, 422, "value_error"),
        (
            #"{"query": "a", "filters": {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}}"#, 422,
            "range_empty"
        ),
        (#"{"query": "a", "filters": {"from": "2026-02-30T00:00:00Z"}}"#, 422, "datetime_parsing"),
    ]) func eachFaultHasItsType(body: String, status: Int, type: String) async {
        for route in [Route.search, .answer] {
            let reply = await fixture.post(route, body)
            #expect(reply.status == status)
            #expect(reply.body["error"]?["detail"]?[0]?["type"]?.string == type)
        }
    }

    /// Whatever the bytes: a reply in the error shape or a result, never a crash.
    @Test(arguments: 1...30 as ClosedRange<UInt64>) func mangledBodiesAreAnswered(seed: UInt64) async {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<20 {
            var body = Array(
                #"{"query": "golden é", "top_k": 3, "filters": {"wiki": ["a"], "is_bot": true}, "cursor": null}"#.utf8)
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let place = Int.random(in: 0..<body.count, using: &generator)
                switch Int.random(in: 0...2, using: &generator) {
                case 0: body[place] = UInt8.random(in: 0...255, using: &generator)
                case 1: body.remove(at: place)
                default: body.insert(contentsOf: Array("[{\"".utf8), at: place)
                }
            }
            let reply = await fixture.reply(
                HTTPRequest(
                    method: .post, target: "/search", headers: ["Content-Type": "application/json"], body: body))
            #expect([200, 400, 422].contains(reply.status))
            #expect((try? JSONValue.parse(reply.body)) != nil)
        }
    }

    @Test func aLongInputIsEchoedShort() async {
        let (_, body) = await fixture.post(.search, #"{"query": "\#(String(repeating: "ä", count: 90_000))"}"#)
        #expect((body["error"]?["detail"]?[0]?["input"]?.string?.count ?? 0) == 101)
    }

    @Test func deepNestingIsRefused() async {
        let deep = String(repeating: "[", count: 5_000) + String(repeating: "]", count: 5_000)
        let (status, _) = await fixture.post(.search, #"{"query": "a", "filters": \#(deep)}"#)
        #expect(status == 400)
    }
}
