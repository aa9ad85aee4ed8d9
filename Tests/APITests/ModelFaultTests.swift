import Answering
import Bytes
import HTTPClient
import JSONScan
import Synchronization
import Telemetry
import Testing

@testable import API

/// What failing servers may do to others, and what is told of them.
@Suite struct ModelFaultTests {
    private static let question = #"{"query": "who repainted the golden gate bridge towers?"}"#
    private static let honest = ModelServer.json([("The towers section was repainted by Ann.", [1])])

    @Test(arguments: [429, 503]) func noRetryAfterIsTooLong(status: Int) async throws {
        let server = try ModelServer(.status(status, "", retryAfter: .max))
        defer { server.stop() }
        let (code, body) = await ModelAnswerTests.fixture([server]).post(.answer, Self.question)
        #expect(code == 200 && body["answerer"]?["name"]?.string == "extractive")
        let reply = try HTTPClient().request(
            HTTPClientRequest(method: "POST", url: server.url.revealed + "/chat/completions", body: Array("{}".utf8)),
            timeoutMilliseconds: 10_000)
        #expect(reply.headers.retryAfterSeconds == 86_400)
    }

    /// A server may repeat the key, the URL or what somebody asked.
    @Test func whatAServerSaysIsToldToNobody() async throws {
        let (key, filler) = ("sk-secret-key-12345", String(repeating: "x", count: 190))
        let text = #"{"error":{"message":"wrong key \#(key), asked: golden gate \#(filler)\#(key)"}}"#
        for script in [ModelServer.Script.status(401, text), .raw("data: \(text)\n\n")] {
            let server = try ModelServer(script)
            defer { server.stop() }
            let fixture = ModelAnswerTests.fixture([server], key: key)
            fixture.api.answers.registerChecks(in: fixture.health)
            _ = await fixture.post(.answer, Self.question)
            await fixture.health.checkAll()
            let entry = try #require(fixture.health.snapshot().first { $0.name == "model" })
            let shown = "\(entry)"
            #expect(entry.state == .degraded && !shown.contains("golden") && !shown.contains("secret"), "\(shown)")
        }
        let url = SecretURL("https://user:hidden-word@h/v1")
        var fault = ModelFault(status: 401, body: "\(filler) \(key) no", retryAfterSeconds: nil)
        #expect(fault.description == "unauthorized (status 401)")
        #expect(fault.logged(key: key, url: url) == filler + " *** no")
        fault.detail = "no \(url.revealed)/x\n\(key)" + filler
        let logged = fault.logged(key: key, url: url)
        #expect(logged.count == 200 && !logged.contains("hidden-word") && !logged.contains(key))
    }

    @Test func aQueryStaysBehindThePath() {
        for (url, endpoint) in [
            ("http://h/v1", "http://h/v1/chat/completions"), ("http://h/v1/", "http://h/v1/chat/completions"),
            ("http://h/v1?version=2", "http://h/v1/chat/completions?version=2"),
            ("http://h/a/chat/completions?v=1#x", "http://h/a/chat/completions?v=1"),
        ] {
            #expect(ChatConfiguration(name: "model", url: SecretURL(url), model: "").endpoint == endpoint)
        }
    }

    @Test func aBreakerTriesAgainAfterItsRest() throws {
        var breaker = CircuitBreaker()
        func begin(_ now: Int64) -> CircuitBreaker.Pass? { breaker.begin(now) }
        var passes: [CircuitBreaker.Pass] = []
        for _ in 0..<CircuitBreaker.failuresMax + 5 { passes.append(try #require(begin(0))) }
        for pass in passes.prefix(CircuitBreaker.failuresMax) { breaker.failed(pass, 0) }
        let rest = CircuitBreaker.restMillisecondsFirst * 1_000_000
        // Those that were under way say nothing of how it is now.
        for pass in passes.suffix(4) { breaker.failed(pass, rest - 1) }
        breaker.succeeded(passes[CircuitBreaker.failuresMax])
        let early = begin(rest - 1)
        #expect(early == nil && breaker.state(rest - 1) == .open && breaker.state(rest) == .halfOpen)
        let trial = try #require(begin(rest))
        let second = begin(rest)
        #expect(second == nil, "one may try")
        breaker.abandoned(passes[0])
        breaker.succeeded(passes[1])
        breaker.failed(passes[2], rest)
        let third = begin(rest)
        #expect(third == nil && breaker.state(rest) == .halfOpen, "only the trial ends it")
        breaker.failed(trial, rest)
        let later = begin(2 * rest)
        #expect(later == nil, "the second rest is twice as long")
        let another = try #require(begin(3 * rest))
        breaker.failed(trial, 3 * rest)
        breaker.abandoned(another)
        let last = try #require(begin(3 * rest))
        breaker.succeeded(last)
        let closed = [begin(3 * rest), begin(3 * rest)]
        #expect(breaker.state(3 * rest) == .closed && !closed.contains(nil))
    }

    /// What is wrong with one question keeps nobody else's from being asked.
    @Test(arguments: [400, 422]) func faultsOfRequestsOpenNoCircuit(status: Int) async throws {
        let server = try ModelServer(.status(status, #"{"error":{"message":"context length exceeded"}}"#))
        defer { server.stop() }
        let fixture = ModelAnswerTests.fixture([server])
        for _ in 0..<8 {
            let (_, body) = await fixture.post(.answer, Self.question)
            #expect(body["answerer"]?["reason"]?.string == "refused")
        }
        server.scripts.withLock { $0 = [.says(Self.honest)] }
        let (_, body) = await fixture.post(.answer, Self.question)
        #expect(body["answerer"]?["name"]?.string == "model")
    }

    /// One dense passage takes no passages from those who ask later, for good.
    @Test func aContextThatWasTooSmallIsTriedAgain() async throws {
        let server = try ModelServer(
            .status(400, #"{"error":{"code":"context_length_exceeded","message":"too long"}}"#), .says(Self.honest))
        defer { server.stop() }
        let fixture = ModelAnswerTests.fixture([server])
        let filler = String(repeating: "golden gate bridge towers ", count: 110)
        for number in 0..<8 { fixture.index.add("d-more-\(number)", title: "Golden Gate \(number)", comment: filler) }
        // Not from a cache.
        for number in 0...ChatDialect.answersPerDoubling + 1 {
            let question = #"{"query": "who repainted the golden gate bridge towers? \#(number + 10)"}"#
            _ = await fixture.post(.answer, question)
        }
        let lengths = server.asked.withLock { $0 }.map { body in
            (body["messages"]?[1]?["content"]?.string ?? "").split(separator: "\n").count {
                $0.contains(" end of passage ")
            }
        }
        let (whole, halved) = (try #require(lengths.first), try #require(lengths.dropFirst().first))
        #expect(halved < whole, "\(lengths)")
        #expect(lengths.dropFirst().prefix(ChatDialect.answersPerDoubling).allSatisfy { $0 == halved }, "\(lengths)")
        #expect(lengths.last == whole, "\(lengths)")
    }

    @Test func anAnswerThatWasCutIsIncomplete() async throws {
        let events =
            ModelServer.events(Self.honest)
            + "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}\n\n"
        let server = try ModelServer(.raw(events))
        defer { server.stop() }
        let (_, body) = await ModelAnswerTests.fixture([server]).post(.answer, Self.question)
        #expect(body["answerer"]?["name"]?.string == "model" && body["answerer"]?["incomplete"]?.bool == true)
    }
}
