import API
import Bytes
import Glibc
import HTTPServer
import Health
import JSONScan
import ServiceLifecycle
import Testing

/// The same questions, once through the router in memory and once over a socket.
@Suite struct SocketTests {
    struct Case: Sendable, CustomStringConvertible {
        var method: String
        var target: String
        var body = ""
        var status: Int
        /// A member that the reply must have, or the error's type.
        var expected: String
        var description: String { "\(method) \(target) \(status)" }
    }

    static let cases = [
        Case(method: "POST", target: "/search", body: #"{"query": "golden gate"}"#, status: 200, expected: "hits"),
        Case(
            method: "POST", target: "/answer", body: #"{"query": "golden gate bridge"}"#, status: 200,
            expected: "sentences"),
        Case(method: "GET", target: "/events/recent?limit=2", status: 200, expected: "events"),
        Case(method: "GET", target: "/trace/d-bridge", status: 200, expected: "bronze"),
        Case(method: "GET", target: "/trace/d%2Dbridge", status: 200, expected: "bronze"),
        Case(method: "GET", target: "/trace/none", status: 404, expected: "not_found"),
        Case(method: "GET", target: "/health", status: 200, expected: "status"),
        Case(method: "POST", target: "/search", body: "{", status: 400, expected: "json_invalid"),
        Case(method: "POST", target: "/search", body: "{}", status: 422, expected: "validation"),
        Case(method: "GET", target: "/events/recent?limit=0", status: 422, expected: "validation"),
        Case(method: "GET", target: "/search", status: 405, expected: "method_not_allowed"),
        Case(method: "GET", target: "/nothing", status: 404, expected: "not_found"),
        Case(method: "GET", target: "/page/nothing.js", status: 404, expected: "not_found"),
    ]

    private func check(_ one: Case, status: Int, body: [UInt8]) throws {
        #expect(status == one.status)
        let reply = try JSONValue.parse(body)
        if one.status < 400 {
            #expect(reply[one.expected] != nil)
        } else {
            #expect(reply["error"]?.keys.prefix(3) == ["type", "message", "detail"])
            #expect(reply["error"]?["type"]?.string == one.expected)
        }
    }

    @Test(arguments: cases) func throughTheRouter(one: Case) async throws {
        let fixture = APIFixture()
        fixture.fill()
        let request = HTTPRequest(
            method: HTTPMethod(one.method), target: one.target,
            headers: one.body.isEmpty ? [:] : ["Content-Type": "application/json"], body: Array(one.body.utf8))
        let response = await fixture.api.router().respond(to: request, shapeFault: SearchAPI.faultShaper)
        try check(one, status: response.status, body: response.body)
        #expect(response.headers["Content-Type"] == "application/json")
    }

    @Test func overASocket() async throws {
        let fixture = APIFixture()
        fixture.fill()
        let server = SearchServer(api: fixture.api, configuration: HTTPServerConfiguration(), drainSeconds: 1)
        let stop = StopSignal()
        try await server.prepare(stop: stop)
        let port = try #require(server.port)
        let running = Task { try await server.run(stop: stop) }
        for one in Self.cases {
            let (status, body) = try await exchange(port, one.method, one.target, Array(one.body.utf8))
            try check(one, status: status, body: body)
        }
        let (tooLarge, body) = try await exchange(
            port, "POST", "/search", [UInt8](repeating: 32, count: SearchAPI.bodyBytesMax + 1))
        #expect(tooLarge == 413)
        #expect(try JSONValue.parse(body)["error"]?["detail"] != nil)
        let (page, html) = try await exchange(port, "GET", "/", [])
        #expect(page == 200 && html.starts(with: Array("<!doctype html>".utf8)))
        stop.request()
        try await running.value
    }

    /// One request on a connection of its own.
    private func exchange(
        _ port: UInt16, _ method: String, _ target: String, _ body: [UInt8]
    ) async throws -> (status: Int, body: [UInt8]) {
        let reply = try await sendRaw(
            port,
            "\(method) \(target) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                + "Content-Type: application/json\r\nContent-Length: \(body.count)\r\n\r\n"
                + String(decoding: body, as: UTF8.self))
        let end = try #require(reply.firstRange(of: "\r\n\r\n"))
        let status = Int(reply.split(separator: " ").dropFirst().first ?? "") ?? 0
        return (status, Array(reply[end.upperBound...].utf8))
    }
}

/// Validators and codings of replies.
@Suite struct RepresentationTests {
    let fixture = APIFixture()

    private func get(_ target: String, _ headers: HTTPHeaders) async -> HTTPResponse {
        await fixture.reply(HTTPRequest(target: target, headers: headers))
    }

    @Test(arguments: ["/", "/docs", "/openapi.json", "/page/page.js", "/page/docs.css"])
    func filesHaveTags(target: String) async throws {
        let first = await get(target, [:])
        let tag = try #require(first.headers["ETag"])
        #expect(first.status == 200 && first.headers["Content-Encoding"] == nil)
        for known in [tag, "\"x\", \(tag)", "W/\(tag)", "*"] {
            let again = await get(target, ["If-None-Match": known])
            #expect(again.status == 304 && again.body.isEmpty && again.headers["ETag"] == tag)
        }
        let other = await get(target, ["If-None-Match": "\"x\""])
        #expect(other.status == 200)
    }

    @Test func repliesAreCodedForWhoAsks() async throws {
        let plain = await get("/openapi.json", [:])
        let coded = await get("/openapi.json", ["Accept-Encoding": "br;q=1, gzip;q=0.8"])
        #expect(coded.headers["Content-Encoding"] == "gzip" && coded.headers["Vary"] == "Accept-Encoding")
        #expect(coded.body.starts(with: [0x1F, 0x8B]) && coded.body.count < plain.body.count / 3)
        #expect(coded.headers["ETag"] != plain.headers["ETag"], "each coding has its own tag")
        for refusal in [
            "gzip;q=0", "identity", "gzip; q=0.0", "br", "gzip;q=0, *", "*, gzip;q=0", "*;q=0", "GZIP ; Q=0, *;q=1",
            "identity, gzip;q=0.5", "gzip;q=none", "",
        ] {
            let reply = await get("/openapi.json", ["Accept-Encoding": refusal])
            #expect(reply.headers["Content-Encoding"] == nil && reply.body == plain.body, "\(refusal)")
        }
        for wish in ["*", "*;q=0.1", "GZip", "x-gzip", "gzip, identity;q=0.5", "identity;q=0.5, *", "*;q=0, gzip"] {
            let reply = await get("/openapi.json", ["Accept-Encoding": wish])
            #expect(reply.headers["Content-Encoding"] == "gzip", "\(wish)")
        }
        // A field that is given twice is one list.
        let twice: HTTPHeaders = ["Accept-Encoding": "*", "accept-encoding": "gzip;q=0"]
        #expect(await get("/openapi.json", twice).headers["Content-Encoding"] == nil)
        fixture.fill()
        let search = await fixture.reply(
            APIFixture.posting("/search", #"{"query": "golden"}"#, ["Accept-Encoding": "gzip"]))
        #expect(search.headers["Content-Encoding"] == "gzip")
        let small = await get("/live", ["Accept-Encoding": "gzip"])
        #expect(small.headers["Content-Encoding"] == nil, "not worth it")
    }

    @Test func readinessFollowsDependenciesAndFreshness() async {
        let fixture = APIFixture(readyLagMax: 2)
        fixture.freshness.set(.stale, "the index is 3 events behind", eventsBehind: 3)
        fixture.health.register("index", isRequired: true) { HealthReport(.ok) }
        let (early, unknown) = await fixture.get(.ready)
        #expect(early == 503 && unknown["ready"]?.bool == false && unknown["reasons"]?.array?.count == 2)
        await fixture.health.checkAll()
        let (behind, lagging) = await fixture.get(.ready)
        #expect(behind == 503)
        #expect(lagging["reasons"]?[0]?.string?.contains("3 events behind") == true)
        let (live, _) = await fixture.get(.live)
        #expect(live == 200)
        // Nobody knows: that is no yes.
        fixture.freshness.set(.unknown, "nobody answers")
        let (dark, reasons) = await fixture.get(.ready)
        #expect(dark == 503 && reasons["reasons"]?[0]?.string?.contains("nobody answers") == true)
        fixture.freshness.set(.late, "a moment", eventsBehind: 1)
        let (late, _) = await fixture.get(.ready)
        #expect(late == 200)
        self.fixture.health.register("index", isRequired: true) { HealthReport(.ok) }
        self.fixture.freshness.set(.unknown, "nobody answers")
        await self.fixture.health.checkAll()
        let (ready, _) = await self.fixture.get(.ready)
        #expect(ready == 200, "no limit on the lag")
        let (_, status) = await self.fixture.get(.status)
        #expect(
            status["stages"]?.array?.map { $0["name"]?.string } == PipelineStage.Name.allCases.map(\.rawValue))
        #expect(status["stages"]?[5]?["lag"]?.integer == 3)
    }

    @Test func olderEventsFollowTheCursor() async {
        for number in 0..<25 { fixture.index.add("e-\(number)", title: "T", comment: "c") }
        var seen: [String] = []
        var cursor: String?
        repeat {
            let (status, page) = await fixture.get(
                .recent, [("limit", "7")] + (cursor.map { [("cursor", $0)] } ?? []))
            #expect(status == 200)
            seen += page["events"]?.array?.compactMap { $0["doc_id"]?.string } ?? []
            // What comes meanwhile is newer and changes nothing behind the cursor.
            fixture.index.add("later-\(seen.count)", title: "T", comment: "c")
            cursor = page["next_cursor"]?.string
        } while cursor != nil
        #expect(seen == (0..<25).reversed().map { "e-\($0)" })
    }
}
