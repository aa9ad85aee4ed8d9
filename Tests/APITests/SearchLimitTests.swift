import Access
import Bytes
import Concurrency
import Forms
import HTTPServer
import IndexTesting
import JSONScan
import Synchronization
import Testing

@testable import API

/// Time limits, index versions, and many searches in one request.
@Suite struct SearchLimitTests {
    private let fixture = APIFixture(configure: { $0.versionWaitMillisecondsMax = 60_000 })

    init() { fixture.fill() }

    @Test func stagesAreTold() async throws {
        let reply = await fixture.reply(APIFixture.posting("/search", #"{"query": "golden gate"}"#))
        let header = try #require(reply.headers["Server-Timing"])
        let stages = header.split(separator: ", ").map { $0.split(separator: ";") }
        #expect(stages.map { $0[0] } == ["interpret", "turn", "embed", "search", "render"])
        for stage in stages {
            let duration = try #require(stage.last?.split(separator: "=").last.flatMap { Double(String($0)) })
            #expect(stage.count == 2 && stage[1].hasPrefix("dur=") && duration >= 0)
        }
        let lexical = await fixture.reply(APIFixture.posting("/search", #"{"query": "golden", "mode": "lexical"}"#))
        #expect(lexical.headers["Server-Timing"]?.contains("embed") == false)
    }

    @Test func aSearchEndsWithItsOwnTime() async {
        fixture.index.state.withLock { $0.delayMilliseconds = 400 }
        let (status, body) = await fixture.post(.search, #"{"query": "golden", "timeout_ms": 60}"#)
        #expect(status == 504 && body["error"]?["type"]?.string == "timeout")
        #expect(body["error"]?["message"]?.string?.contains("timeout_ms") == true)
        // No longer than the server allows.
        fixture.index.state.withLock { $0.delayMilliseconds = 0 }
        #expect(await fixture.post(.search, #"{"query": "golden", "timeout_ms": 600000}"#).status == 200)
    }

    /// A model that is late takes its arm away, and not the search.
    @Test func whatIsThereInTimeIsGiven() async {
        let slow = QueryEmbedder(modelName: "slow") { texts in
            try await Task.sleep(for: .seconds(60))
            return texts.map(FakeIndex.embed)
        }
        let fixture = APIFixture(embedder: slow)
        fixture.fill()
        let (status, body) = await fixture.post(.search, #"{"query": "golden gate", "timeout_ms": 1000}"#)
        #expect(status == 200 && body["missing_arms"]?[0]?.string == "vector")
        #expect(body["hits"]?.array?.isEmpty == false)
        let (late, error) = await fixture.post(.search, #"{"query": "golden", "mode": "vector", "timeout_ms": 60}"#)
        #expect(late == 504 && error["error"]?["type"]?.string == "timeout")
    }

    @Test func aWriteIsReadOnceItsVersionIsThere() async throws {
        let version = fixture.index.state.withLock { $0.indexVersion }
        let (here, _) = await fixture.post(.search, #"{"query": "golden", "min_index_version": \#(version)}"#)
        #expect(here == 200)
        let index = fixture.index
        let opened = index.state.withLock { $0.opened }
        let fixture = fixture
        let waiting = (0..<8).map { _ in
            Task { await fixture.post(.search, #"{"query": "walrus", "min_index_version": \#(version + 1)}"#) }
        }
        // Others go on meanwhile: who waits holds no lane.
        for _ in 0..<20 { #expect(await fixture.post(.search, #"{"query": "golden"}"#).status == 200) }
        index.add("new", title: "Walrus", comment: "walrus")
        for task in waiting {
            let (status, body) = await task.value
            #expect(status == 200 && body["hits"]?[0]?["doc_id"]?.string == "new")
            #expect((body["index_version"]?.integer ?? 0) >= version + 1)
        }
        #expect(index.state.withLock { $0.opened } <= opened + 3)
    }

    @Test func aVersionThatDoesNotComeIsNamed() async throws {
        let fixture = APIFixture(configure: { $0.versionWaitMillisecondsMax = 120 })
        fixture.fill()
        let (status, body) = await fixture.post(.search, #"{"query": "golden", "min_index_version": 99}"#)
        #expect(status == 409 && body["error"]?["type"]?.string == "index_version_not_reached")
        let message = body["error"]?["message"]?.string ?? ""
        #expect(message.contains("version 5") && message.contains("99") && message.contains("/pipeline/status"))
        let (short, _) = await self.fixture.post(
            .search, #"{"query": "golden", "min_index_version": 99, "timeout_ms": 60}"#)
        #expect(short == 409)
        let (_, first) = await fixture.post(.search, #"{"query": "golden", "top_k": 1}"#)
        let cursor = try #require(first["next_cursor"]?.string)
        fixture.index.add("late", title: "Golden", comment: "late")
        let (older, error) = await fixture.post(
            .search, #"{"query": "golden", "top_k": 1, "min_index_version": 6, "cursor": "\#(cursor)"}"#)
        #expect(older == 422 && error["error"]?["detail"]?[0]?["type"]?.string == "cursor_older")
    }

    /// A look at the index has no more time than the request that looks.
    @Test func aSlowLookDoesNotOutlastTheRequest() async throws {
        fixture.index.state.withLock { ($0.delayMilliseconds, $0.statusTimeouts) = (1_500, []) }
        let (status, body) = await fixture.post(
            .search, #"{"query": "golden", "min_index_version": 99, "timeout_ms": 100}"#)
        #expect(status == 409 && body["error"]?["type"]?.string == "index_version_not_reached")
        let limits = fixture.index.state.withLock { $0.statusTimeouts }
        #expect(!limits.isEmpty && limits.allSatisfy { $0 <= 100 }, "\(limits)")
    }

    @Test func aBatchKeepsItsOrderAndEachItsError() async throws {
        let body = #"""
            {"searches": [{"query": "lake"}, {"query": "golden", "top_k": 0}, {"query": "golden gate", "sort": "time"},
             {"mode": "like", "like": {"doc_id": "nowhere"}}, {"query": "Москва", "mode": "lexical"}, {}]}
            """#
        let reply = await fixture.reply(APIFixture.posting("/search/batch", body))
        #expect(reply.status == 200 && reply.headers["Server-Timing"]?.contains("search;dur=") == true)
        let replies = try #require(try JSONValue.parse(reply.body)["replies"]?.array)
        #expect(replies.compactMap { $0["status"]?.integer } == [200, 422, 200, 404, 200, 422])
        #expect(replies[0]["body"]?["hits"]?[0]?["doc_id"]?.string == "d-tahoe")
        #expect(replies[4]["body"]?["hits"]?[0]?["doc_id"]?.string == "d-moskva")
        #expect(replies[1]["body"]?["error"]?["detail"]?[0]?["loc"]?[1]?.string == "top_k")
        #expect(replies[5]["body"]?["error"]?["detail"]?[0]?["type"]?.string == "missing")
        let alone = await fixture.post(.search, #"{"query": "golden gate", "sort": "time"}"#).body
        #expect(replies[2]["body"]?["hits"] == alone["hits"])
        // One that fails takes no other with it.
        fixture.index.state.withLock { $0.failures = 1 }
        let (_, mixed) = await fixture.batch([#"{"query": "lake", "mode": "lexical"}"#, #"{"query": "lake"}"#])
        #expect(mixed["replies"]?.array?.count { $0["status"]?.integer == 200 } == 1)
    }

    @Test(arguments: [
        ("{}", "missing"), (#"{"searches": []}"#, "too_short"), (#"{"searches": {}}"#, "list_type"),
        (#"{"searches": [5]}"#, "object_type"), (#"{"searches": [{"query": "a"}], "x": 1}"#, "extra_forbidden"),
        (
            #"{"searches": [\#([String](repeating: #"{"query": "a"}"#, count: 51).joined(separator: ", "))]}"#,
            "too_long"
        ),
        (
            #"{"searches": [\#([String](repeating: #"{"query": "a", "top_k": 100}"#, count: 11).joined(separator: ", "))]}"#,
            "hits_too_many"
        ),
    ]) func aBatchThatIsNoneIsRefused(body: String, type: String) async throws {
        let reply = await fixture.reply(APIFixture.posting("/search/batch", body))
        #expect(reply.status == 422)
        #expect(try JSONValue.parse(reply.body)["error"]?["detail"]?[0]?["type"]?.string == type)
    }

    /// Each search of a batch counts against the caller's rate.
    @Test func aBatchIsPaidForBySearches() async throws {
        var access = AccessConfiguration()
        access.addressRate = 2
        let fixture = APIFixture(access: access)
        fixture.fill()
        let searches = [String](repeating: #"{"query": "golden"}"#, count: 8).joined(separator: ", ")
        var request = APIFixture.posting("/search/batch", #"{"searches": [\#(searches)]}"#)
        request.client = IPAddress("203.0.113.7")
        let reply = await fixture.reply(request)
        let replies = try #require(try JSONValue.parse(reply.body)["replies"]?.array)
        // Twice the rate at once: four in all, the request itself among them.
        let served = replies.count { $0["status"]?.integer == 200 }
        #expect(served >= 4 && served < 8, "\(served)")
        #expect(replies.contains { $0["body"]?["error"]?["type"]?.string == "rate_limited" })
    }
}

extension APIFixture {
    /// Several searches in one request.
    func batch(_ searches: [String]) async -> (status: Int, body: JSONValue) {
        let reply = await reply(
            Self.posting("/search/batch", #"{"searches": [\#(searches.joined(separator: ", "))]}"#))
        return (reply.status, (try? JSONValue.parse(reply.body)) ?? .null)
    }
}

/// Input of the new members that is wrong, over HTTP: named, quick, and no harm to what comes next on the connection.
@Suite struct BadSearchOptionTests {
    static let cases: [(options: String, place: String, type: String)] = [
        (#""weights": 1"#, "weights", "object_type"), (#""weights": {"vector": -1}"#, "vector", "greater_than_equal"),
        (#""weights": {"vector": 100.5}"#, "vector", "less_than_equal"),
        (#""weights": {"vector": "1"}"#, "vector", "float_type"),
        (#""weights": {"lexical": 1e-300}"#, "lexical", "greater_than_equal"),
        (#""source_weights": {"notes": 5e-324}"#, "notes", "greater_than_equal"),
        (#""weights": {"vector": true}"#, "vector", "float_type"),
        (#""weights": {"fused": 1}"#, "fused", "extra_forbidden"),
        (#""weights": {"vector": 0, "lexical": 0}"#, "weights", "weights_empty"),
        (#""mode": "vector", "weights": {"vector": 0}"#, "weights", "weights_empty"),
        (#""recency": {}"#, "half_life", "missing"), (#""recency": {"half_life": 6}"#, "half_life", "string_type"),
        (#""recency": {"half_life": "6"}"#, "half_life", "string_too_short"),
        (#""recency": {"half_life": "0h"}"#, "half_life", "string_pattern_mismatch"),
        (#""recency": {"half_life": "-6h"}"#, "half_life", "string_pattern_mismatch"),
        (#""recency": {"half_life": "6 h"}"#, "half_life", "string_pattern_mismatch"),
        (#""recency": {"half_life": "6y"}"#, "half_life", "string_pattern_mismatch"),
        (#""recency": {"half_life": "٦h"}"#, "half_life", "string_pattern_mismatch"),
        (#""recency": {"half_life": "9999999999h"}"#, "half_life", "string_too_long"),
        (#""recency": {"half_life": "999999999d"}"#, "half_life", "less_than_equal"),
        (#""recency": {"half_life": "6h", "weight": 1e308}"#, "weight", "less_than_equal"),
        (#""source_weights": []"#, "source_weights", "object_type"),
        (#""source_weights": {"": 1}"#, "", "string_too_short"),
        (#""source_weights": {"a": null}"#, "a", "float_type"),
        (#""source_weights": {"a": 1, "a": 2}"#, "a", "duplicate"),
        (
            #""source_weights": {\#((0..<33).map { "\"c\($0)\": 1" }.joined(separator: ", "))}"#, "source_weights",
            "too_long"
        ),
        (#""min_score": "high""#, "min_score", "float_type"),
        (#""min_score": -0.1"#, "min_score", "greater_than_equal"),
        (#""min_score": 1e7"#, "min_score", "less_than_equal"), (#""sort": "newest""#, "sort", "enum"),
        (#""sort": null"#, "sort", "enum"), (#""group_by": """#, "group_by", "string_too_short"),
        (#""group_by": "Wiki""#, "group_by", "attribute_name"), (#""group_by": 3"#, "group_by", "string_type"),
        (#""group_by": "shoe_size""#, "group_by", "attribute_unknown"),
        (#""group_by": "\#(String(repeating: "a", count: 64))""#, "group_by", "string_too_long"),
        (#""group_by": "x\u0000""#, "group_by", "string_pattern_mismatch"),
        (#""explain": "yes""#, "explain", "bool_type"),
        (#""timeout_ms": 0"#, "timeout_ms", "greater_than_equal"),
        (#""timeout_ms": -5"#, "timeout_ms", "greater_than_equal"),
        (#""timeout_ms": 600001"#, "timeout_ms", "less_than_equal"), (#""timeout_ms": 99.5"#, "timeout_ms", "int_type"),
        (#""min_index_version": -1"#, "min_index_version", "greater_than_equal"),
        (#""min_index_version": "7""#, "min_index_version", "int_type"),
        (#""like": {"doc_id": "d-1"}"#, "like", "like_unused"), (#""mode": "like""#, "like", "missing"),
        (#""mode": "like", "like": {}"#, "doc_id", "missing"), (#""mode": "like", "like": "d-1"#, "", "json_invalid"),
        (#""mode": "like", "like": {"doc_id": "d-1"}"#, "query", "query_unused"),
        (#""mode": "like", "like": {"doc_id": ""}"#, "doc_id", "string_too_short"),
        (#""mode": "like", "like": {"doc_id": "d-1", "passage": -1}"#, "passage", "greater_than_equal"),
        (#""mode": "like", "like": {"doc_id": "d-1", "passage": 2147483648}"#, "passage", "less_than_equal"),
        (#""mode": "like", "like": {"doc_id": "d-1", "tenant": "acme"}"#, "tenant", "extra_forbidden"),
    ]

    @Test func eachIsNamed() async throws {
        let fixture = APIFixture()
        fixture.fill()
        try await withAPI(fixture) { port in
            for one in Self.cases {
                let reply = try await sendRaw(port, posting("/search", #"{"query": "golden", \#(one.options)}"#))
                let end = try #require(reply.firstRange(of: "\r\n\r\n")?.upperBound)
                let body = try JSONValue.parse(Array(reply[end...].utf8))
                let isBroken = one.type == "json_invalid"
                #expect(
                    reply.hasPrefix(isBroken ? "HTTP/1.1 400" : "HTTP/1.1 422"), "\(one.options): \(reply.prefix(40))")
                let faults = body["error"]?["detail"]?.array ?? []
                let named = faults.contains { fault in
                    fault["type"]?.string == one.type && (isBroken || fault["loc"]?.array?.last?.string == one.place)
                }
                #expect(named, "\(one.options): \(faults)")
            }
            let fine = try await sendRaw(port, posting("/search", #"{"query": "golden", "explain": true}"#))
            #expect(fine.hasPrefix("HTTP/1.1 200") && fine.contains("Server-Timing: "))
        }
        // Questions take none of it.
        for member in [#""sort": "time""#, #""mode": "like""#, #""explain": true"#] {
            #expect(await fixture.post(.answer, #"{"query": "golden", \#(member)}"#).status == 422)
        }
    }
}
