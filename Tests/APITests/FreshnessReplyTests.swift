import API
import HTTPServer
import Health
import JSONScan
import Testing

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
