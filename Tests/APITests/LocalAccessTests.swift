import Bytes
import Concurrency
import HTTPClient
import HTTPServer
import Health
import IndexTesting
import JSONScan
import PlatformTesting
import Retrieval
import Synchronization
import Telemetry
import Testing

@testable import API
@testable import Access

/// Who is taken for this machine, over a socket: what `auto` opens, and what a proxy or a foreign page makes of it.
@Suite struct LocalAccessTests {
    private let keys = TestKeys()

    private func fixture(_ access: AccessConfiguration) -> APIFixture {
        let fixture = APIFixture(access: access, readKeys: keys.read)
        fixture.api.access.use(KeyRing(keys.read()))
        fixture.fill()
        return fixture
    }

    /// The status and the error's type.
    @Sendable private static func ask(
        _ port: UInt16, _ path: String, _ headers: [(String, String)], post: String? = nil
    ) async throws -> (status: Int, type: String?, body: String) {
        let reply = try await Lane(name: "client").run {
            try HTTPClient().request(
                HTTPClientRequest(
                    method: post == nil ? "GET" : "POST", url: "http://127.0.0.1:\(port)\(path)",
                    headers: headers.map { (name: $0.0, value: $0.1) }, body: post.map { Array($0.utf8) }),
                timeoutMilliseconds: 10_000)
        }
        let error = (try? JSONValue.parse(reply.body))?["error"]
        return (reply.status, error?["type"]?.string, String(decoding: reply.body, as: UTF8.self))
    }

    private static let reading = ["/events/recent", "/trace/d-bridge", "/metrics", "/pipeline/status"]
    private static let open = ["/", "/docs", "/openapi.json", "/page/page.js"]
    private static let foreign: [(headers: [(String, String)], status: Int, type: String)] = [
        ([("Host", "evil.example:8080")], 421, "host_not_served"),
        ([("Origin", "https://evil.example")], 403, "origin_not_allowed"),
        ([("Origin", "null")], 403, "origin_not_allowed"),
        ([("X-Forwarded-For", "203.0.113.9")], 401, "key_missing"), ([("Via", "1.1 proxy")], 401, "key_missing"),
        ([("Forwarded", "for=203.0.113.9")], 401, "key_missing"), ([("X-Real-IP", "127.0.0.1")], 401, "key_missing"),
        ([("X-Forwarded-Host", "localhost")], 401, "key_missing"),
        ([("Host", "search.example"), ("X-Forwarded-For", "203.0.113.9")], 401, "key_missing"),
    ]

    @Test func onlyThisMachineReadsWithoutAKey() async throws {
        let key = try keys.make(.read)
        var access = AccessConfiguration.ofThisMachine()
        access.addressRate = 0
        let (reading, foreign, open) = (Self.reading, Self.foreign, Self.open)
        try await withAPI(fixture(access)) { port in
            for path in reading + open {
                #expect(try await Self.ask(port, path, []).status == 200, "\(path)")
                #expect(try await Self.ask(port, path, [("Host", "localhost:\(port)")]).status == 200, "\(path)")
            }
            for path in reading {
                for one in foreign {
                    let reply = try await Self.ask(port, path, one.headers)
                    #expect(reply.status == one.status && reply.type == one.type, "\(path) \(one.headers)")
                    #expect(reply.body.contains("API_"), "it says what to set")
                    // A key is as good from anywhere.
                    let known = try await Self.ask(port, path, one.headers + [("X-API-Key", key)])
                    #expect(known.status == 200, "\(path) \(one.headers)")
                }
            }
            for path in open {
                // The page has to be seen through a proxy, for its question for a key; a foreign name alone is no proxy.
                #expect(try await Self.ask(port, path, [("Host", "evil.example")]).status == 421)
                let proxied = [("Host", "search.example"), ("X-Forwarded-For", "203.0.113.9")]
                #expect(try await Self.ask(port, path, proxied).status == 200)
            }
            for path in ["/search", "/answer"] {
                let page = [("Origin", "https://evil.example"), ("Content-Type", "application/json")]
                #expect(try await Self.ask(port, path, page, post: #"{"query": "x"}"#).status == 403)
            }
            #expect(try await Self.ask(port, "/keys", []).status == 401)
            #expect(try await Self.ask(port, "/keys", [("Host", "evil.example")]).status == 401)
        }
    }

    /// `API_ANONYMOUS_READ=true` opens reading to all, and to no page that makes its own name point here.
    @Test func whatIsOpenToAllKeepsItsName() async throws {
        var access = AccessConfiguration.ofThisMachine(hosts: ["search.example"], origins: ["https://app.example"])
        access.isAnonymousReadAllowed = true
        access.local?.readsAnonymously = false
        access.addressRate = 0
        let proxied = [("Host", "search.example"), ("X-Forwarded-For", "203.0.113.9")]
        let named: [[(String, String)]] = [[], [("Host", "search.example")], [("Origin", "https://app.example")]]
        // Whom a declared proxy brings is meant, and whoever comes where no names were given.
        try await withAPI(fixture(access)) { port in
            for headers in named + [[proxied[1]], proxied] {
                let reply = try await Self.ask(port, "/events/recent", headers)
                #expect(reply.status == 200, "\(headers)")
            }
        }
        // Without it the names say who is meant, and a proxy passes anybody on under them.
        access.local?.refusesProxied = true
        try await withAPI(fixture(access)) { port in
            for headers in named {
                #expect(try await Self.ask(port, "/events/recent", headers).status == 200, "\(headers)")
            }
            for headers in [[proxied[1]], proxied, [("Via", "1.1 p")]] {
                let reply = try await Self.ask(port, "/events/recent", headers)
                #expect(reply.status == 401 && reply.body.contains("API_TRUSTED_PROXIES"), "\(headers)")
                #expect(try await Self.ask(port, "/docs", headers).status == 200, "the page asks for a key")
            }
            for headers in [[("Host", "evil.example")], [("Host", "evil.example"), ("X-Forwarded-For", "1.2.3.4")]] {
                let reply = try await Self.ask(port, "/events/recent", headers)
                #expect(reply.status == 421 && reply.type == "host_not_served")
            }
            #expect(try await Self.ask(port, "/events/recent", [("Origin", "https://evil.example")]).status == 403)
        }
    }

    /// Requests of this machine are not counted; one sign of a proxy or of another site, and they are.
    @Test func onlyThisMachineIsUnlimited() {
        let access = AccessGuard(
            AccessConfiguration.ofThisMachine(), hasKeys: false, metrics: MetricsRegistry(), clock: { 1 })
        func admitted(_ headers: HTTPHeaders, from address: String = "127.0.0.1") -> Int {
            (0..<40).count { _ in
                let request = HTTPRequest(target: "/docs", headers: headers, client: IPAddress(address))
                do {
                    try access.admit(request, .open)
                    return true
                } catch {
                    return (error as? APIError)?.status != 429
                }
            }
        }
        #expect(admitted(["Host": "localhost"]) == 40)
        #expect(admitted(["Host": "localhost", "X-Forwarded-For": "203.0.113.9"]) == 10, "twice the rate at once")
        // The header of a proxy that nobody declared names nobody: another one shares the same limit.
        #expect(admitted(["Host": "localhost", "X-Forwarded-For": "203.0.113.10"]) == 0)
        #expect(admitted(["Host": "evil.example"]) == 0)
        #expect(admitted(["Host": "evil.example"], from: "127.0.0.2") == 10)
        #expect(admitted(["Host": "localhost", "Origin": "https://evil.example"]) == 0)
        #expect(admitted(["Host": "localhost"]) == 40, "those of this machine still are not counted")
    }

    /// HTTP/1.0 may leave the name out, and so may a proxy; no browser does.
    @Test func aRequestWithoutANameIsNotOfThisMachine() async throws {
        let reply = await fixture(AccessConfiguration.ofThisMachine()).reply(HTTPRequest(target: "/events/recent"))
        #expect(reply.status == 421)
    }

    // MARK: Strangers

    @Test func strangersSeeTheStateAlone() async throws {
        let (reader, admin) = (try keys.make(.read), try keys.make(.admin))
        var closed = AccessConfiguration()
        closed.isAnonymousReadAllowed = false
        let fixture = fixture(closed)
        fixture.health.report(
            "source", isRequired: true,
            HealthReport(.failed, "GET http://inside.example failed", detail: [("path", "/srv/x")]))
        let automatic = self.fixture(AccessConfiguration.ofThisMachine())
        try await withAPI(fixture) { port in
            let health = try await Self.ask(port, "/health", [])
            #expect(health.status == 503 && health.body == #"{"status":"failed"}"#)
            let ready = try await Self.ask(port, "/ready", [])
            #expect(ready.status == 503 && ready.body == #"{"ready":false,"reasons":[]}"#)
            let wrong = try await Self.ask(port, "/health", [("X-API-Key", "mdl_wrong")])
            #expect(wrong.body == health.body)
            for key in [reader, admin] {
                let known = try await Self.ask(port, "/health", [("X-API-Key", key)])
                #expect(known.status == 503 && known.body.contains("inside.example") && known.body.contains("/srv/x"))
                #expect(try await Self.ask(port, "/ready", [("X-API-Key", key)]).body.contains("inside.example"))
            }
        }
        try await withAPI(automatic) { port in
            #expect(try await Self.ask(port, "/health", []).body.contains("dependencies"))
            for headers in [
                [("Host", "evil.example")], [("Via", "1.1 p")], [("Origin", "https://evil.example")],
            ] {
                let reply = try await Self.ask(port, "/health", headers)
                #expect(!reply.body.contains("dependencies") && reply.body.hasPrefix(#"{"status":"#), "\(headers)")
            }
        }
    }

    /// An error as dependencies make them, with all that strangers must not see.
    private struct Inside: Error, CustomStringConvertible {
        let description = "Postgres search at db.internal:5432/medallion: column x; hint: /srv/lake (SQLSTATE 42703)"
    }

    @Test func errorsOfDependenciesAreTheLogs() async throws {
        let (reader, admin) = (try keys.make(.read), try keys.make(.admin))
        let fixture = fixture(AccessConfiguration.ofThisMachine())
        fixture.index.state.withLock { $0.failure = Inside() }
        try await withAPI(fixture) { port in
            for path in ["/events/recent", "/trace/d-bridge"] {
                for headers in [[("X-Request-Id", "mine-7")], [("X-Request-Id", "mine-7"), ("X-API-Key", reader)]] {
                    let reply = try await Self.ask(port, path, headers)
                    #expect(reply.status == 503 && reply.type == "unavailable", "\(reply.body)")
                    for word in ["db.internal", "42703", "/srv", "column", "hint"] {
                        #expect(!reply.body.contains(word))
                    }
                    #expect(reply.body.contains("mine-7"), "by which the log's line is found")
                }
                let full = try await Self.ask(port, path, [("X-API-Key", admin)])
                #expect(full.status == 503 && full.body.contains("db.internal") && full.body.contains("42703"))
            }
        }
    }

    @Test func pathsBehindATracesProblemsAreTheLogs() async throws {
        let (reader, admin) = (try keys.make(.read), try keys.make(.admin))
        let fixture = fixture(AccessConfiguration.ofThisMachine())
        fixture.index.state.withLock { $0.traceCauses = ["/srv/lake/x.zst: damaged"] }
        try await withAPI(fixture) { port in
            for headers in [[], [("X-API-Key", reader)]] {
                let reply = try await Self.ask(port, "/trace/d-bridge", headers)
                #expect(reply.status == 200 && reply.body.contains("a line cannot be read"))
                #expect(!reply.body.contains("/srv"))
            }
            #expect(try await Self.ask(port, "/trace/d-bridge", [("X-API-Key", admin)]).body.contains("/srv/lake"))
        }
    }

    // MARK: Kept answers

    @Test func answersStayWithinTheirBoundWhoeverAsks() async throws {
        let key = try keys.make(.read)
        var configuration = SearchAPIConfiguration()
        configuration.answers = AnswerBounds(rowsMax: 32)
        configuration.access = AccessConfiguration.ofThisMachine()
        let (index, keys) = (FakeIndex(), keys)
        var dependencies = SearchAPIDependencies(
            makeStore: { index.makeStore() }, makeTraceSource: { FakeTraceSource(index: index) }, embedder: nil,
            health: HealthRegistry(), metrics: MetricsRegistry(), logger: Logger("api", level: .error))
        dependencies.readKeys = keys.read
        let api = SearchAPI(configuration: configuration, dependencies: dependencies)
        api.access.use(KeyRing(keys.read()))
        let router = api.router()
        for number in 0..<400 {
            var headers: HTTPHeaders = ["Host": "localhost", "Content-Type": "application/json"]
            if number.isMultiple(of: 2) { headers.add("X-API-Key", key) }
            let reply = await router.respond(
                to: HTTPRequest(
                    method: .post, target: "/answer", headers: headers, body: Array("{\"query\": \"q \(number)\"}".utf8)
                ),
                shapeFault: SearchAPI.faultShaper)
            #expect(reply.status == 200)
            #expect(index.state.withLock { $0.answers.count } <= 32)
        }
        let kept = index.state.withLock { $0.answers }
        #expect(kept.count >= 28 && kept.last?.question == "q 399")
        #expect(kept.suffix(2).map(\.isAnonymous) == [false, true])
    }
}
