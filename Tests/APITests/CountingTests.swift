import Access
import Bytes
import Concurrency
import Glibc
import HTTPServer
import PlatformTesting
import Telemetry
import Testing

@testable import API

/// Sends `text` to a port and returns what comes, up to the end of the connection or to where nothing more comes.
///
/// - Parameter waits: false leaves at once.
func sendRaw(_ port: UInt16, _ text: String, waits: Bool = true) async throws -> String {
    try await Lane(name: "client").run {
        let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(client) }
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(client, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(connected == 0)
        let output = Array(text.utf8)
        _ = send(client, output, output.count, Int32(MSG_NOSIGNAL))
        guard waits else {
            usleep(50_000)
            return ""
        }
        var input: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(client, &buffer, buffer.count, 0)
            guard count > 0 else { break }
            input += buffer[..<count]
        }
        return String(decoding: input, as: UTF8.self)
    }
}

/// A request with a body of JSON, on a connection of its own.
func posting(_ target: String, _ body: String, _ fields: String = "Content-Type: application/json\r\n") -> String {
    "POST \(target) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\(fields)"
        + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
}

/// Every reply is counted once, whoever gives it.
@Suite struct CountingTests {
    private func metrics(_ fixture: APIFixture) -> String {
        String(decoding: fixture.api.dependencies.metrics.render(), as: UTF8.self)
    }

    private func count(_ fixture: APIFixture, _ route: String, _ status: Int) -> Int {
        let series = "medallion_api_requests_total{route=\"\(route)\",status=\"\(status)\"} "
        let line = metrics(fixture).split(separator: "\n").first { $0.hasPrefix(series) }
        return line.flatMap { Int($0.dropFirst(series.count)) } ?? 0
    }

    @Test func repliesOfEveryKindAreCounted() async throws {
        let fixture = APIFixture()
        fixture.fill()
        let question = #"{"query": "who repainted the golden gate bridge towers?"}"#
        let get = { (target: String) in "GET \(target) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" }
        let requests: [(text: String, route: String, status: Int)] = [
            (posting("/search", question), "/search", 200), (posting("/search", "{}"), "/search", 422),
            (posting("/search", "{"), "/search", 400), (posting("/search", question, ""), "/search", 415),
            (posting("/answer", question), "/answer", 200),
            (
                posting("/answer", question, "Content-Type: application/json\r\nAccept: text/event-stream\r\n"),
                "/answer", 200
            ),
            (get("/page/none.js"), "/page/{file}", 404), (get("/nothing"), "none", 404),
            (get("/nothing/else"), "none", 404), (get("/search"), "none", 405),
            ("OPTIONS /search HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "none", 204),
            ("nonsense\r\n\r\n", "none", 400), (get("/" + String(repeating: "a", count: 9_000)), "none", 414),
            (get("/live").replacing("Host", with: "X: \(String(repeating: "a", count: 20_000))\r\nHost"), "none", 431),
            (
                "POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    + "Content-Length: 9000000\r\n\r\n", "/search", 413
            ),
            (
                "POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    + "Content-Length: 9\r\n\r\n", "/search", 408
            ),
            ("GET /live HTTP/1.1\r\nHost", "none", 408),
        ]
        try await withAPI(fixture, configure: { $0.requestMillisecondsMax = 300 }) { port in
            for (text, route, status) in requests {
                let before = count(fixture, route, status)
                let reply = try await sendRaw(port, text)
                #expect(reply.hasPrefix("HTTP/1.1 \(status) "), "\(text.prefix(60)): \(reply.prefix(60))")
                try await eventually { count(fixture, route, status) == before + 1 }
            }
            _ = try await sendRaw(
                port, "POST /search HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n",
                waits: false)
            try await eventually { count(fixture, "/search", 499) == 1 }
        }
        let counted = metrics(fixture).split(separator: "\n").filter { $0.hasPrefix("medallion_api_requests_total{") }
            .compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }.reduce(0, +)
        #expect(counted == requests.count + 1, "none twice")
        let timed = metrics(fixture).split(separator: "\n").filter {
            $0.hasPrefix("medallion_api_request_seconds_count{")
        }
        .compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }.reduce(0, +)
        #expect(timed == counted)
        #expect(metrics(fixture).contains("medallion_api_open_streams 0\n"))
        #expect(metrics(fixture).contains("medallion_api_request_memory_bytes 0\n"))
    }

    @Test func refusalsAndTimeLimitsAreCounted() async throws {
        var access = AccessConfiguration()
        access.isAnonymousReadAllowed = false
        access.addressRate = 1
        let fixture = APIFixture(access: access, readKeys: { [] })
        let half =
            "POST /search HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n"
            + "Content-Length: 99\r\n\r\n"
        let tallies = try await withAPI(fixture) { port in
            // Twice the rate at once: no body is waited for, and each request counts once, also where nothing is.
            var seen: [String: Int] = [:]
            func ask(_ name: String, _ text: String) async throws -> String {
                let status = String(try await sendRaw(port, text).dropFirst(9).prefix(3))
                seen["\(name) \(status)", default: 0] += 1
                return status
            }
            #expect(try await ask("/search", half) == "401")
            #expect(try await ask("none", posting("/nothing", "x")) == "404")
            // A slow machine may see some more let in.
            for (name, text) in [("none", posting("/nothing", "x")), ("/search", half)] {
                for _ in 0..<100 where try await ask(name, text) == "429" { break }
            }
            #expect(seen["none 429"] == 1 && seen["/search 429"] == 1)
            let probe = "GET /live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            #expect(try await ask("/live", probe) == "200")
            return seen
        }
        for (name, number) in tallies {
            let parts = name.split(separator: " ")
            #expect(count(fixture, String(parts[0]), Int(parts[1]) ?? 0) == number, "\(name)")
        }
    }

    /// A client made from the document accepts the type of its errors, and gets what is there.
    @Test(arguments: ["application/json", "image/png", "application/json, text/event-stream;q=0.1"])
    func whoAcceptsOnlyErrorsIsServed(accept: String) async throws {
        let fixture = APIFixture()
        for (target, type) in [
            ("/metrics", "text/plain"), ("/", "text/html"), ("/docs", "text/html"), ("/page/page.css", "text/css"),
            ("/health", "application/json"), ("/openapi.json", "application/json"),
        ] {
            let reply = await fixture.reply(HTTPRequest(target: target, headers: ["Accept": accept]))
            #expect(reply.status != 406, "\(target)")
            #expect(reply.headers["Content-Type"]?.hasPrefix(type) == true, "\(target)")
        }
        let refused = await fixture.reply(HTTPRequest(target: "/metrics", headers: ["Accept": "text/*;q=0, */*"]))
        #expect(refused.status == 406)
    }

    /// A page of another origin cannot ask without the browser's asking first.
    @Test(arguments: ["", "Content-Type: text/plain\r\n", "Content-Type: application/x-www-form-urlencoded\r\n"])
    func aSimpleRequestOfAForeignPageIsRefused(fields: String) async throws {
        let fixture = APIFixture()
        fixture.fill()
        try await withAPI(fixture) { port in
            let fields = fields + "Origin: https://evil.example\r\n"
            let reply = try await sendRaw(port, posting("/answer", #"{"query": "golden gate bridge"}"#, fields))
            #expect(reply.hasPrefix("HTTP/1.1 415 ") && reply.contains("Content-Type: application/json"))
        }
        #expect(fixture.index.state.withLock { $0.answers.isEmpty }, "nothing was computed or kept")
    }

    @Test func keysAndClientsOfProxiesHaveSoManyAtOnce() throws {
        let keys = TestKeys()
        let key = try keys.make(.read)
        var configuration = AccessConfiguration()
        configuration.requestsAtOncePerKey = 2
        configuration.requestsAtOncePerAddress = 1
        let access = AccessGuard(configuration, hasKeys: true, metrics: MetricsRegistry())
        access.use(KeyRing(keys.read()))
        func request(_ key: String?, from address: String, isForwarded: Bool) -> HTTPRequest {
            var request = HTTPRequest(
                target: "/search", headers: key.map { ["X-API-Key": $0] } ?? [:], client: IPAddress(address))
            request.isForwarded = isForwarded
            return request
        }
        let keyed = request(key, from: "192.0.2.1", isForwarded: true)
        var holds = [try access.share(keyed, .open, .unasked), try access.share(keyed, .open, .unasked)]
        let refusal = #expect(throws: APIError.self) { try access.share(keyed, .open, .unasked) }
        #expect(refusal?.status == 429 && refusal?.type == "too_many_at_once")
        #expect(refusal?.headers["Retry-After"] == "1")
        #expect(try access.share(keyed, .probe, .unasked) == nil, "probes are never counted")
        let anonymous = request(nil, from: "2001:db8::1", isForwarded: true)
        holds.append(try access.share(anonymous, .open, .unasked))
        let neighbour = request("mdl_wrong", from: "2001:db8::2", isForwarded: true)
        #expect(throws: APIError.self, "one network") { try access.share(neighbour, .open, .unasked) }
        let direct = request(nil, from: "2001:db8::1", isForwarded: false)
        #expect(try access.share(direct, .open, .unasked) == nil, "its connections are counted")
        let proxied = AccessGuard.Standing.proxied(header: "via")
        #expect(try access.share(direct, .open, proxied) == nil, "as are those of a proxy, where this machine's are")
        holds = []
        #expect(try access.share(keyed, .open, .unasked) != nil && access.share(neighbour, .open, .unasked) != nil)
    }

    /// Where the connections of the loopback interface are not counted, what a proxy on this machine brings is.
    @Test func aProxyOnThisMachineHasSoManyAtOnce() throws {
        let keys = TestKeys()
        let key = try keys.make(.read)
        var configuration = AccessConfiguration()
        configuration.requestsAtOncePerAddress = 1
        configuration.local = LocalAccess(
            trust: LocalTrust(), readsAnonymously: true, isUnlimited: true, isAlone: true)
        configuration.local?.hasAnyNumberAtOnce = true
        let access = AccessGuard(configuration, hasKeys: true, metrics: MetricsRegistry())
        access.use(KeyRing(keys.read()))
        func share(_ headers: HTTPHeaders) throws -> HTTPHold? {
            var headers = headers
            headers.add("Host", "localhost")
            let request = HTTPRequest(target: "/docs", headers: headers, client: IPAddress("127.0.0.1"))
            return try access.share(request, .open, access.standing(of: request, access.caller(headers)))
        }
        let hold = try share(["Via": "1.1 p"])
        #expect(hold != nil)
        #expect(throws: APIError.self) { try share(["X-Forwarded-For": "203.0.113.9"]) }
        #expect(throws: APIError.self) { try share(["Origin": "https://evil.example"]) }
        // This machine's are not counted, and those with a key against their key alone.
        for headers in [[:], ["X-API-Key": key]] as [HTTPHeaders] { #expect(try share(headers) == nil) }
    }
}
