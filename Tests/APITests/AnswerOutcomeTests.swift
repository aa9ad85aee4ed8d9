import Foundation
import HTTPServer
import JSONScan
import Synchronization
import Telemetry
import Testing

@testable import API

/// What the metrics say of how answers ended, given whole or streamed.
@Suite struct AnswerOutcomeTests {
    private static let known = #"{"query": "who repainted the golden gate bridge towers?"}"#
    private static let unknown = #"{"query": "boiling point of mercury in kelvin"}"#

    private func count(_ fixture: APIFixture, _ outcome: AnswerOutcome) -> Double? {
        fixture.api.dependencies.metrics.sum(
            of: "medallion_api_answers_total", labels: [("outcome", outcome.rawValue)])
    }

    private func timed(_ fixture: APIFixture) -> Int? {
        fixture.api.dependencies.metrics.distribution(of: "medallion_api_answer_seconds").map { Int($0.count) }
    }

    private func stream(_ fixture: APIFixture, _ body: String) async -> HTTPResponse {
        await fixture.reply(APIFixture.posting("/answer", body, ["Accept": "text/event-stream"]))
    }

    /// The data of a stream's last event of a name.
    private func data(_ name: String, of reply: HTTPResponse) -> JSONValue? {
        let frames = String(decoding: reply.body, as: UTF8.self).components(separatedBy: "\n\n")
        guard let frame = frames.last(where: { $0.hasPrefix("event: \(name)\n") }),
            let data = frame.split(separator: "\n").last?.dropFirst("data: ".count)
        else { return nil }
        return try? JSONValue.parse(Array(data.utf8))
    }

    @Test func wholeAndStreamedAreCountedAlike() async throws {
        let fixture = APIFixture()
        fixture.fill()
        for outcome in AnswerOutcome.allCases {
            #expect(count(fixture, outcome) == 0, "\(outcome) is shown from the start")
        }
        _ = await fixture.post(.answer, Self.known)
        _ = await stream(fixture, Self.known)
        #expect(count(fixture, .answered) == 2 && timed(fixture) == 2)
        _ = await fixture.post(.answer, Self.unknown)
        _ = await stream(fixture, Self.unknown)
        #expect(count(fixture, .refused) == 2 && timed(fixture) == 4)
        // What was no question is no answer.
        let (status, _) = await fixture.post(.answer, #"{"query": 7}"#)
        #expect(status == 422)
        #expect(timed(fixture) == 4 && count(fixture, .failed) == 0)
    }

    @Test func aFaultBehindTheHeadIsCountedThoughItsStatusIs200() async throws {
        let server = try ModelServer()
        defer { server.stop() }
        let fixture = ModelAnswerTests.fixture([server])
        let index = fixture.index
        // The database goes away once everything is found: the answer is said, and cannot be kept.
        server.scripts.withLock { scripts in
            scripts = [
                .answers { _ in
                    index.state.withLock { $0.failures = 9 }
                    return ModelServer.json([("The towers section was repainted by Ann.", [1])])
                }
            ]
        }
        let reply = await stream(fixture, Self.known)
        #expect(reply.status == 200 && data("error", of: reply)?["type"] != nil && data("done", of: reply) == nil)
        #expect(count(fixture, .broken) == 1 && count(fixture, .failed) == 0 && timed(fixture) == 0)
    }

    @Test func aStatusOf5xxIsAFailure() async throws {
        let fixture = APIFixture(isAnswerEnabled: false)
        let (status, _) = await fixture.post(.answer, Self.known)
        let streamed = await stream(fixture, Self.known)
        #expect(status == 503 && streamed.status == 503)
        #expect(count(fixture, .failed) == 2 && timed(fixture) == 0)
    }

    @Test func aToolsFaultIsBrokenSinceItsStatusIs200() async throws {
        let fixture = APIFixture(isAnswerEnabled: false)
        let call =
            #"{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "answer", "arguments": \#(Self.known)}}"#
        let reply = await fixture.reply(APIFixture.posting("/mcp", call, ["MCP-Protocol-Version": "2025-06-18"]))
        #expect(reply.status == 200)
        #expect(try JSONValue.parse(reply.body, maxDepth: 64)["result"]?["isError"]?.bool == true)
        #expect(count(fixture, .broken) == 1 && count(fixture, .failed) == 0 && timed(fixture) == 0)
    }

    /// Who is refused an answer need not ask a second time for the reason.
    @Test func theEndOfARefusalSaysWhatWasMissing() async throws {
        let fixture = APIFixture()
        fixture.fill()
        let (_, asked) = await fixture.post(.answer, #"{"query": "boiling point of mercury in kelvin", "debug": true}"#)
        let refused = await stream(fixture, Self.unknown)
        let done = try #require(data("done", of: refused))
        #expect(done["refused"]?.bool == true)
        #expect(done["debug"]?["support"] == asked["debug"]?["support"])
        #expect(done["debug"]?["thresholds"] == asked["debug"]?["thresholds"])
        #expect(done["debug"]?["arms"] != nil)
        let answered = await stream(fixture, Self.known)
        #expect(data("done", of: answered)?["debug"]?.isNull == true)
        // Whole replies have it where they are asked for it.
        let (_, whole) = await fixture.post(.answer, Self.unknown)
        #expect(whole["debug"]?.isNull == true)
    }
}
