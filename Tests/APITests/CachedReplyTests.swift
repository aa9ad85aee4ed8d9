import Access
import Bytes
import HTTPServer
import IndexTesting
import JSONScan
import Records
import Retrieval
import Synchronization
import Testing

@testable import API

/// Replies that are kept. Nothing follows the index here, so each is kept for as long as replies may be late: what is served is
/// looked at here, and in StoreTests that nothing else is served.
@Suite struct CachedReplyTests {
    private let fixture = APIFixture(configure: {
        $0.cacheBytes = 1 << 20
        $0.cacheLateMilliseconds = 600_000
    })

    init() { fixture.fill() }

    private func search(_ body: String, _ headers: HTTPHeaders = [:]) async -> JSONValue? {
        let reply = await fixture.reply(APIFixture.posting("/search", body, headers))
        return reply.status == 200 ? try? JSONValue.parse(reply.body) : nil
    }

    private var searches: Int { fixture.index.state.withLock { $0.scans.count } }

    /// A reply that is kept is the one that was found, but for when it was and how long it took.
    @Test func whatWasFoundIsGivenAgain() async throws {
        let body = #"{"query": "golden gate bridge", "top_k": 1}"#
        let first = try #require(await search(body))
        let again = try #require(await search(#"{"top_k": 1, "query": "  golden gate bridge\n"}"#))
        #expect(first["source"]?.string == "index" && again["source"]?.string == "cache")
        for name in ["hits", "generation", "index_version", "next_cursor", "freshness", "indexed_at"] {
            #expect(again[name] == first[name], "\(name)")
        }
        #expect(first["cached"] == nil && again["cached"]?["index_version"] == first["index_version"])
        #expect(again["cached"]?["age_seconds"]?.double ?? -1 >= 0)
    }

    /// Whatever changes the reply is another request; and some are never kept.
    @Test(arguments: [
        #"{"query": "golden gate bridges"}"#, #"{"query": "golden gate  bridge"}"#,
        #"{"query": "golden gate bridge", "top_k": 2}"#, #"{"query": "golden gate bridge", "mode": "lexical"}"#,
        #"{"query": "golden gate bridge", "filters": {"lang": ["de"]}}"#,
        #"{"query": "golden gate bridge", "explain": true}"#, #"{"query": "golden gate bridge", "min_score": 0.001}"#,
        #"{"query": "golden gate bridge", "weights": {"vector": 2}}"#,
        #"{"query": "golden gate bridge", "group_by": "title"}"#,
        #"{"query": "golden gate bridge", "facets": ["lang"]}"#,
        #"{"query": "golden gate bridge", "recency": {"half_life": "6h"}}"#,
        #"{"query": "golden gate bridge of the last hour"}"#,
    ]) func anotherRequestIsSearched(body: String) async throws {
        _ = await search(#"{"query": "golden gate bridge"}"#)
        #expect(try #require(await search(body))["source"]?.string == "index")
    }

    @Test func whoWantsNoneGetsNone() async throws {
        let body = #"{"query": "golden gate bridge"}"#
        for wish in ["no-cache", "No-Store", "max-age=5, no-cache"] {
            _ = await search(body)
            #expect(try #require(await search(body, ["Cache-Control": wish]))["source"]?.string == "index")
        }
    }

    /// A version that is to be visible is waited for, whatever is kept.
    @Test func aVersionThatIsAskedForIsSeen() async throws {
        let body = #"{"query": "golden gate bridge"}"#
        let version = try #require(await search(body)?["index_version"]?.integer)
        fixture.index.add("d-new", title: "Golden Gate Bridge", comment: "closed", user: "Eve")
        let asked = #"{"query": "golden gate bridge", "min_index_version": \#(version + 1)}"#
        let found = try #require(await search(asked))
        #expect(found["hits"]?.array?.contains { $0["doc_id"]?.string == "d-new" } == true)
    }

    @Test func equalRequestsAreSearchedOnce() async throws {
        fixture.index.state.withLock { $0.delayMilliseconds = 200 }
        let before = searches
        let sources = await withTaskGroup(of: String?.self) { group in
            for _ in 0..<30 {
                group.addTask { await search(#"{"query": "golden gate", "mode": "lexical"}"#)?["source"]?.string }
            }
            return await group.reduce(into: [:]) { counts, source in counts[source, default: 0] += 1 }
        }
        #expect(sources[nil] == nil && sources["index"] == searches - before)
        #expect(sources["cache"] ?? 0 > 0)
    }

    /// What failed is not kept, and fails nobody else.
    @Test func aFailureIsTheFirstOnesAlone() async throws {
        fixture.index.state.withLock { $0.failures = 1 }
        let body = #"{"query": "golden gate", "mode": "lexical"}"#
        let replies = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<10 { group.addTask { await search(body) != nil } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(replies.count { !$0 } == 1)
    }

    @Test func anAnswerIsGivenAgainAndCounted() async throws {
        let body = #"{"query": "who repainted the golden gate bridge towers?"}"#
        let (_, first) = await fixture.post(.answer, body)
        let id = try #require(first["answer_id"]?.string)
        let (_, again) = await fixture.post(.answer, body)
        for name in ["answer_id", "sentences", "citations", "refused", "answerer", "index_version", "generation"] {
            #expect(again[name] == first[name], "\(name)")
        }
        #expect(first["cached"] == nil && again["cached"]?["index_version"] == first["index_version"])
        // As server-sent events it is the same answer, word by word.
        let events = await stream(body)
        #expect(events.contains(id) && events.contains("event: token") && events.contains("event: citations"))
        await fixture.api.answers.hits.write()
        let (_, given) = await fixture.get(.answerGiven, path: ["answer_id": id])
        #expect(given["hits"]?.integer == 2)
        let (_, list) = await fixture.get(.answersGiven)
        #expect(list["answers"]?.array?.count == 1 && list["answers"]?[0]?["hits"]?.integer == 2)
    }

    /// Whether another question asks the same cannot be told then, and the words are enough for an answer.
    @Test func withoutTheEmbedderThereAreAnswersAllTheSame() async throws {
        let (first, _) = await fixture.post(.answer, #"{"query": "who repainted the golden gate bridge towers?"}"#)
        fixture.embedded.isFailing.withLock { $0 = true }
        let (second, _) = await fixture.post(
            .answer, #"{"query": "by whom were the golden gate bridge towers repainted?"}"#)
        #expect(first == 200 && second == 200)
    }

    /// Servers that share replies and order hits in other ways have other keys, and keys hold no address.
    @Test func whatDecidesAReplyIsAPartOfItsKey() throws {
        func settings(_ address: String, _ model: String) throws -> String {
            let url = SecretURL(address)
            let fixture = APIFixture(
                adjust: {
                    $0.reranker = Reranker(
                        RerankConfiguration(url: url, model: model), metrics: $0.metrics, logger: $0.logger)
                }, configure: { $0.cacheBytes = 1 << 20 })
            return try #require(fixture.api.answers.caches).settings
        }
        let all = try [("http://a", "m"), ("http://b", "m"), ("http://a", "n"), ("http://a", "m")].map(settings)
        #expect(Set(all).count == 3 && all[0] == all[3])
        #expect(all.allSatisfy { !$0.contains("http") })
    }

    /// One that is no longer kept in the database is not given again.
    @Test func anAnswerThatIsGoneIsMadeAnew() async throws {
        let body = #"{"query": "who repainted the golden gate bridge towers?"}"#
        let (_, first) = await fixture.post(.answer, body)
        fixture.index.state.withLock { $0.answers = [] }
        #expect(await fixture.post(.answer, body).body["answer_id"] == first["answer_id"])
        await fixture.api.answers.hits.write()
        let (_, anew) = await fixture.post(.answer, body)
        #expect(anew["answer_id"]?.string != nil && anew["answer_id"] != first["answer_id"])
    }

    /// Tenants and roles have replies of their own.
    @Test func whoAsksIsAPartOfTheKey() throws {
        func key(_ tenant: String, _ role: String) throws -> String? {
            let tenant = try #require(TenantID(tenant))
            return ReplyKey(
                SearchRequest(query: "golden gate", filter: .all(of: tenant)), settings: "s", role: role,
                HTTPRequest(target: "/search"))?.text
        }
        let keys = try [key("default", ""), key("default", "read"), key("a", ""), key("b", "")]
        #expect(Set(keys.compactMap(\.self)).count == 4)
    }

    private func stream(_ body: String) async -> String {
        let request = APIFixture.posting("/answer", body, ["Accept": "text/event-stream"])
        return String(decoding: await fixture.reply(request).body, as: UTF8.self)
    }
}
