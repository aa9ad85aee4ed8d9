import Access
import HTTPServer
import Health
import JSONScan
import Testing

@testable import API

/// Every reply that holds documents says how fresh the index is, by one value, and asks nobody for it.
@Suite struct FreshnessReplyTests {
    private func check(_ reply: JSONValue?, _ state: String, behind: Int64?, _ what: String) {
        #expect(reply?["freshness"]?.string == state, "\(what)")
        #expect(reply?["events_behind"]?.integer == behind, "\(what)")
        #expect(reply?["indexed_at"] != nil, "\(what)")
        #expect(reply?["freshness_reason"]?.string?.isEmpty == (state == "fresh"), "\(what)")
    }

    private func replies(_ fixture: APIFixture) async -> [(String, JSONValue)] {
        let question = #"{"query": "golden gate bridge", "debug": true}"#
        return [
            ("search", await fixture.post(.search, #"{"query": "golden gate"}"#).body),
            ("answer", await fixture.post(.answer, question).body),
            ("recent", await fixture.get(.recent).body), ("health", await fixture.get(.health).body),
            ("status", await fixture.get(.status).body),
        ]
    }

    @Test func everyReplySaysIt() async {
        let fixture = APIFixture()
        fixture.fill()
        for (name, reply) in await replies(fixture) { check(reply, "fresh", behind: 3, name) }
        fixture.freshness.set(.stale, "too many wait", eventsBehind: 12_345)
        for (name, reply) in await replies(fixture) {
            check(reply, "stale", behind: 12_345, name)
            // The feed's own member is the same figure.
            if let pipeline = reply["pipeline"] { #expect(pipeline["events_behind"]?.integer == 12_345) }
        }
        fixture.freshness.set(.unknown, "nobody answers")
        for (name, reply) in await replies(fixture) {
            check(reply, "unknown", behind: nil, name)
            #expect(reply["events_behind"]?.isNull == true, "unknown is null, not 0")
        }
    }

    @Test func theStageThatHoldsEventsUpIsNamed() async {
        let fixture = APIFixture()
        #expect(await fixture.get(.status).body["delay"]?.isNull == true, "nothing waits, and nothing was timed")
        fixture.freshness.set(.late, "some wait", eventsBehind: 3)
        let waiting = await fixture.get(.status).body["delay"]
        #expect(waiting?["stage"]?.string == "searchable" && waiting?["kind"]?.string == "waiting")
        #expect(waiting?["events"]?.integer == 3 && waiting?["p95_ms"]?.isNull == true)
        fixture.freshness.set(.late, "the source is away", eventsBehind: 0)
        let source = await fixture.get(.status).body["delay"]
        #expect(source?["stage"]?.string == "event" && source?["kind"]?.string == "source")
    }

    /// What a source said when it failed is for those who see details of `/health`.
    @Test func aSourcesErrorIsADetail() async throws {
        var failed = SourceStatus(name: "s", connector: "sse", phase: "waiting", freshness: .notLookedAt)
        (failed.position, failed.lastError, failed.lastErrorMilliseconds) = (7, "refused by stream.example", 1_000)
        let keys = TestKeys()
        let key = try keys.make(.read)
        let fixture = APIFixture(
            readKeys: keys.read, adjust: { [failed] dependencies in dependencies.sources = { _ in [failed] } })
        fixture.api.access.use(KeyRing(keys.read()))
        // In memory nobody comes from this machine, so without a key it is a stranger.
        let far = await fixture.get(.status).body["sources"]?[0]
        #expect(far?["position"]?.integer == 7 && far?["last_error"]?.isNull == true)
        #expect(far?["last_error_at"]?.string == "1970-01-01T00:00:01.000Z")
        let reply = await fixture.reply(HTTPRequest(target: "/pipeline/status", headers: ["X-API-Key": key]))
        let near = try JSONValue.parse(reply.body)
        #expect(near["sources"]?[0]?["last_error"]?.string == "refused by stream.example")
    }

    @Test func aStreamedAnswerSaysIt() async throws {
        let fixture = APIFixture()
        fixture.fill()
        fixture.freshness.set(.late, "some wait", eventsBehind: 9)
        let request = HTTPRequest(
            method: .post, target: "/answer",
            headers: ["Accept": "text/event-stream", "Content-Type": "application/json"],
            body: Array(#"{"query": "golden gate bridge"}"#.utf8))
        let text = String(decoding: await fixture.reply(request).body, as: UTF8.self)
        let done = try #require(text.components("event: done\ndata: ").last)
        check(try JSONValue.parse(Array(done.prefix { $0 != "\n" }.utf8)), "late", behind: 9, "done")
    }

    /// What was known when the answer was given is kept with it.
    @Test func aKeptAnswerSaysIt() async throws {
        let fixture = APIFixture()
        fixture.fill()
        fixture.freshness.set(.stale, "too many wait", eventsBehind: 12)
        _ = await fixture.post(.answer, #"{"query": "golden gate bridge"}"#)
        let kept = try #require(fixture.index.state.withLock { $0.answers.last })
        check(try JSONValue.parse(kept.replyJSON), "stale", behind: 12, "kept")
    }

    @Test(arguments: [Freshness.State.stale, .unknown]) func answersMayBeRefused(state: Freshness.State) async {
        let willing = APIFixture()
        willing.fill()
        willing.freshness.set(state, "so it is")
        #expect(await willing.post(.answer, #"{"query": "golden gate bridge"}"#).status == 200)
        let strict = APIFixture(refusesStaleAnswers: true)
        strict.fill()
        #expect(await strict.post(.answer, #"{"query": "golden gate bridge"}"#).status == 200)
        strict.freshness.set(.late, "a moment")
        #expect(await strict.post(.answer, #"{"query": "golden gate bridge"}"#).status == 200)
        strict.freshness.set(state, "so it is")
        let (status, refusal) = await strict.post(.answer, #"{"query": "golden gate bridge"}"#)
        #expect(status == 503 && refusal["error"]?["type"]?.string == "index_\(state.rawValue)")
        #expect(refusal["error"]?["message"]?.string?.contains("so it is") == true)
        #expect(await strict.post(.search, #"{"query": "golden"}"#).status == 200, "searches say it and are served")
    }
}

extension String {
    fileprivate func components(_ separator: String) -> [Substring] {
        split(separator: separator, omittingEmptySubsequences: false)
    }
}
