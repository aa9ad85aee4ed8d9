import Bytes
import HTTPServer
import JSONScan
import PlatformTesting
import Retrieval
import Synchronization
import Telemetry
import Testing

@testable import API

/// Hits in the order of a service, a scripted one over HTTP.
@Suite struct RerankTests {
    /// Answers `POST /rerank` as it is told.
    private final class Service: Sendable {
        enum Script: Sendable {
            /// Scores that turn the order round.
            case reversed
            /// Only the last document.
            case lastOnly
            case body(String)
            case status(Int)
            /// No reply until the client has left.
            case silent
        }

        let port: UInt16
        let script = Mutex(Script.reversed)
        let asked = Mutex<[JSONValue]>([])
        let keys = Mutex<[String]>([])
        private let server: HTTPServer

        init() throws {
            let shared = Shared()
            var router = HTTPRouter()
            router.on(.post, "/v1/rerank") { request, writer in
                guard let service = shared.service else { return }
                let body = try JSONValue.parse(request.body)
                service.asked.withLock { $0.append(body) }
                service.keys.withLock { $0.append(request.headers["Authorization"] ?? "") }
                let count = body["documents"]?.array?.count ?? 0
                let script = service.script.withLock { $0 }
                switch script {
                case .silent: while !writer.isClosed { try await Task.sleep(for: .milliseconds(5)) }
                case .status(let status): writer.respond(HTTPResponse(status: status, headers: [:], body: []))
                case .body(let text): writer.respond(HTTPResponse(status: 200, headers: [:], body: Array(text.utf8)))
                case .lastOnly:
                    let text = #"{"results":[{"index":\#(count - 1),"relevance_score":0.9}]}"#
                    writer.respond(HTTPResponse(status: 200, headers: [:], body: Array(text.utf8)))
                case .reversed:
                    let results = (0..<count).map { #"{"index":\#($0),"relevance_score":\#($0)}"# }
                    let text = #"{"id":"x","results":[\#(results.joined(separator: ","))]}"#
                    writer.respond(HTTPResponse(status: 200, headers: [:], body: Array(text.utf8)))
                }
            }
            server = HTTPServer(configuration: HTTPServerConfiguration(), router: router)
            port = try server.start()
            shared.set(self)
        }

        func stop() { server.stop(drainSeconds: 0) }
    }

    /// The handler is made before the service that it belongs to.
    private final class Shared: Sendable {
        private let box = Mutex<Service?>(nil)
        var service: Service? { box.withLock { $0 } }
        func set(_ service: Service?) { box.withLock { $0 = service } }
    }

    private let service: Service
    private let fixture: APIFixture

    init() throws {
        service = try Service()
        fixture = Self.fixture(service)
    }

    private static func fixture(_ service: Service, cacheBytes: Int = 0) -> APIFixture {
        let fixture = APIFixture(
            adjust: { dependencies in
                dependencies.reranker = Reranker(
                    RerankConfiguration(
                        url: SecretURL("http://127.0.0.1:\(service.port)/v1/rerank"), model: "m-1", key: "secret-key",
                        millisecondsMax: 20_000, hitsMax: 4),
                    metrics: dependencies.metrics, logger: Logger("api", level: .error))
            },
            configure: {
                $0.cacheBytes = cacheBytes
                $0.cacheLateMilliseconds = 600_000
            })
        for number in 0..<8 {
            fixture.index.add("p-\(number)", title: "Golden gate \(number)", comment: "golden text \(number)")
        }
        return fixture
    }

    private func page(_ more: String = "", mode: String = "hybrid") async -> (status: Int, body: JSONValue) {
        await fixture.post(.search, #"{"query": "golden gate", "mode": "\#(mode)"\#(more)}"#)
    }

    private func ids(_ reply: JSONValue) -> [String] {
        (reply["hits"]?.array ?? []).compactMap { $0["doc_id"]?.string }
    }

    /// The order without the service.
    private func fused() async -> [String] {
        service.script.withLock { $0 = .status(500) }
        defer { service.script.withLock { $0 = .reversed } }
        return ids(await page().body)
    }

    @Test func theFirstHitsAreInTheServicesOrder() async {
        defer { service.stop() }
        let fused = await fused()
        let (status, body) = await page()
        #expect(status == 200 && body["reranked"]?.bool == true && body["rerank_reason"] == nil)
        #expect(ids(body) == Array(fused.prefix(4).reversed()) + fused.dropFirst(4))
        let asked = service.asked.withLock { $0.last }
        #expect(asked?["model"]?.string == "m-1" && asked?["query"]?.string == "golden gate")
        #expect(asked?["documents"]?.array?.count == 4 && asked?["top_n"]?.integer == 4)
        #expect(asked?["documents"]?[0]?.string?.contains("golden text") == true)
        #expect(service.keys.withLock { $0.last } == "Bearer secret-key")
        service.script.withLock { $0 = .lastOnly }
        let (_, other) = await fixture.post(.search, #"{"query": "golden gate text"}"#)
        #expect(other["reranked"]?.bool == true)
    }

    @Test func anArmAloneStaysAsItIs() async {
        defer { service.stop() }
        for mode in ["vector", "lexical"] {
            let (status, body) = await page(mode: mode)
            #expect(status == 200 && body["reranked"] == nil)
        }
        #expect(service.asked.withLock { $0.isEmpty })
        let plain = APIFixture()
        plain.fill()
        #expect(await plain.post(.search, #"{"query": "golden"}"#).body["reranked"] == nil)
    }

    /// All pages are of one order: that of the first, whatever becomes of the service.
    @Test func pagesGoOnInTheOrderOfTheFirst() async {
        defer { service.stop() }
        let whole = ids(await page().body)
        var (found, cursor) = ([String](), "")
        for number in 0..<8 {
            let (status, body) = await page(#", "top_k": 1\#(cursor)"#)
            #expect(status == 200 && body["reranked"]?.bool == true)
            found += ids(body)
            service.script.withLock { $0 = number.isMultiple(of: 2) ? .status(500) : .lastOnly }
            guard let next = body["next_cursor"]?.string else { break }
            cursor = #", "cursor": "\#(next)""#
        }
        #expect(found == whole)
        service.script.withLock { $0 = .status(500) }
        let (_, first) = await fixture.post(.search, #"{"query": "golden text", "top_k": 1}"#)
        #expect(first["reranked"]?.bool == false)
        service.script.withLock { $0 = .reversed }
        let (_, second) = await fixture.post(
            .search, #"{"query": "golden text", "top_k": 1, "cursor": "\#(first["next_cursor"]?.string ?? "")"}"#)
        #expect(second["reranked"] == nil && ids(second) != ids(first))
    }

    /// A first page that is kept is in the service's order, and so is what follows it; one that it gave no order to is not kept.
    @Test func keptPagesAreInTheServicesOrder() async {
        defer { service.stop() }
        let fixture = Self.fixture(service, cacheBytes: 1 << 20)
        func page(_ cursor: JSONValue? = nil) async -> JSONValue {
            let more = cursor?.string.map { #", "cursor": "\#($0)""# } ?? ""
            return await fixture.post(.search, #"{"query": "golden gate", "top_k": 2\#(more)}"#).body
        }
        service.script.withLock { $0 = .status(500) }
        #expect(await page()["reranked"]?.bool == false)
        service.script.withLock { $0 = .reversed }
        let first = await page()
        let second = await page(first["next_cursor"])
        #expect(first["source"]?.string == "index" && first["reranked"]?.bool == true)
        service.script.withLock { $0 = .status(500) }
        let asked = service.asked.withLock(\.count)
        let kept = await page()
        #expect(kept["source"]?.string == "cache" && kept["reranked"]?.bool == true)
        #expect(ids(first).count == 2 && ids(kept) == ids(first) && kept["next_cursor"] == first["next_cursor"])
        let after = await page(kept["next_cursor"])
        #expect(after["reranked"]?.bool == true && ids(second).count == 2 && ids(after) == ids(second))
        #expect(service.asked.withLock(\.count) == asked && asked == 2)
    }

    /// Another process goes on in the order that the cursor holds.
    @Test func anotherProcessGoesOnInTheOrder() async throws {
        defer { service.stop() }
        let whole = ids(await page().body)
        let (_, first) = await page(#", "top_k": 1"#)
        let cursor = try #require(first["next_cursor"]?.string)
        let other = APIFixture()
        for number in 0..<8 {
            other.index.add("p-\(number)", title: "Golden gate \(number)", comment: "golden text \(number)")
        }
        let (status, second) = await other.post(
            .search, #"{"query": "golden gate", "top_k": 1, "cursor": "\#(cursor)"}"#)
        #expect(status == 200 && second["reranked"]?.bool == true && ids(second) == [whole[1]])
        #expect(try #require(SearchCursor(text: cursor)).notes == .reranked)
    }

    @Test(arguments: [
        (Service.Script.status(500), "did not answer"), (.status(429), "did not answer"), (.body(""), "no order"),
        (.body(#"{"results":[]}"#), "no order"), (.body(#"{"results":[{"index":9,"relevance_score":1}]}"#), "no order"),
        (.body(#"{"results":[{"index":0}]}"#), "no order"),
        (
            .body(#"{"results":[{"index":0,"relevance_score":1},{"index":0,"relevance_score":2}]}"#), "no order"
        ), (.body("[]"), "no order"),
    ]) private func whatGivesNoOrderLeavesTheFusedOne(script: Service.Script, reason: String) async {
        defer { service.stop() }
        let fused = await fused()
        service.script.withLock { $0 = script }
        let (status, body) = await page()
        #expect(status == 200 && ids(body) == fused && body["reranked"]?.bool == false)
        #expect(body["rerank_reason"]?.string?.contains(reason) == true)
        let metrics = String(decoding: (await fixture.reply(APIFixture.request(.metrics))).body, as: UTF8.self)
        #expect(metrics.contains(#"medallion_api_reranked_total{outcome="failed"} 2"#))
    }

    @Test func nobodyWaitsForASilentService() async throws {
        defer { service.stop() }
        service.script.withLock { $0 = .silent }
        let port = service.port
        let fixture = APIFixture(adjust: { dependencies in
            dependencies.reranker = Reranker(
                RerankConfiguration(url: SecretURL("http://127.0.0.1:\(port)/v1/rerank"), millisecondsMax: 50),
                metrics: dependencies.metrics, logger: Logger("api", level: .error))
        })
        fixture.fill()
        let (status, body) = await fixture.post(.search, #"{"query": "golden gate"}"#)
        #expect(status == 200 && body["reranked"]?.bool == false)
        #expect(body["rerank_reason"]?.string?.contains("RERANK_TIMEOUT_MS") == true)
        #expect(body["hits"]?.array?.isEmpty == false)
        let (answered, answer) = await fixture.post(.answer, #"{"query": "golden gate bridge towers repainted"}"#)
        #expect(answered == 200 && answer["reranked"]?.bool == false && answer["refused"]?.bool == false)
    }
}
