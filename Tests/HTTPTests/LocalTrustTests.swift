import Bytes
import HTTPClient
import Testing

@testable import HTTPServer

@Suite struct LocalTrustTests {
    private func request(_ headers: HTTPHeaders, target: String = "/x") -> HTTPRequest {
        HTTPRequest(target: target, headers: headers)
    }

    @Test(arguments: [
        "localhost", "localhost:8080", "LOCALHOST", "localhost.", "a.b.localhost:1", "127.0.0.1", "127.0.0.1:8080",
        "127.9.8.7", "[::1]", "[::1]:8080", "[::ffff:127.0.0.1]:1", "search.example.org", "Search.Example.org:443",
        "search.example.org.", "[2001:db8::7]:1", "192.0.2.7:80",
    ])
    func namesOfThisMachine(host: String) {
        let trust = LocalTrust(hosts: ["search.example.org", "2001:db8::7", "192.0.2.7"])
        #expect(trust.mismatch(request(["Host": host])) == nil)
        #expect(trust.mismatch(request(["host": host, "origin": "http://\(host)"])) == nil)
    }

    @Test(arguments: [
        "evil.example", "evil.example:8080", "localhost.evil.example", "evillocalhost", "127.0.0.1.evil.example",
        "localhost:evil", "127.0.0.1:80:80", "0.0.0.0:8080", "192.168.1.7", "[::]:8080", "[::2]", "[::1", "::1", "",
        "localhost@evil.example", "128.0.0.1", "127.1", "2130706433", "0x7f.1", "search.example.org.evil.example",
    ])
    func foreignNames(host: String) {
        let trust = LocalTrust(hosts: ["search.example.org"])
        #expect(trust.mismatch(request(["Host": host])) == .host(host))
        #expect(trust.mismatch(request(["Host": "localhost"], target: "http://\(host)/x")) == .host(host))
        #expect(
            trust.mismatch(request(["Host": "localhost", "Origin": "http://\(host)"])) == .origin("http://\(host)"))
    }

    @Test func requestsWithoutAHostAreForeign() {
        #expect(LocalTrust().mismatch(request([:])) == .host(""))
    }

    @Test func pagesAreKnownByTheirOrigin() {
        let trust = LocalTrust(hosts: ["search.example"], origins: ["https://app.example"])
        for origin in ["https://app.example", "HTTPS://app.example", "http://localhost:3000", "https://search.example"]
        {
            #expect(trust.mismatch(request(["Host": "localhost", "Origin": origin])) == nil, "\(origin)")
        }
        for origin in [
            "null", "", "https://evil.example", "https://app.example.evil.example", "https://app.example:444",
        ] {
            #expect(trust.mismatch(request(["Host": "localhost", "Origin": origin])) == .origin(origin), "\(origin)")
        }
        #expect(LocalTrust(origins: ["*"]).mismatch(request(["Host": "localhost", "Origin": "null"])) == nil)
        // An image of another site's page, and a link that somebody follows.
        let image: HTTPHeaders = ["Host": "localhost", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"]
        #expect(trust.mismatch(request(image)) == .origin(""))
        let link: HTTPHeaders = ["Host": "localhost", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"]
        #expect(trust.mismatch(request(link)) == nil)
        let own: HTTPHeaders = ["Host": "localhost", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"]
        #expect(trust.mismatch(request(own)) == nil)
    }

    @Test(arguments: [
        "X-Forwarded-For", "x-forwarded-host", "X-Forwarded-Proto", "X-FORWARDED-ANYTHING", "Forwarded", "Via",
        "X-Real-IP",
        "True-Client-IP", "CF-Connecting-IP", "X-Client-IP", "Fastly-Client-IP", "X-Envoy-External-Address",
        "X-Original-Host", "X-Cluster-Client-IP", "Client-IP",
    ])
    func proxiesAreKnownByTheirHeaders(name: String) {
        #expect(LocalTrust.proxyHeader(["Host": "localhost", name: ""]) == name.lowercased())
    }

    @Test func clientsOfThisMachineSendNoneOfThem() {
        let headers: HTTPHeaders = [
            "Host": "localhost", "User-Agent": "curl/8", "Accept": "*/*", "Content-Type": "application/json",
            "Content-Length": "2", "Connection": "keep-alive", "X-Api-Key": "k", "X-Request-Id": "1", "Cookie": "c",
            "Cache-Control": "no-cache", "TE": "trailers", "Transfer-Encoding": "chunked", "X-Forwarded-": "x",
            "From": "x",
        ]
        #expect(LocalTrust.proxyHeader(headers) == nil)
    }

    @Test func aServerWithoutKeysAnswersThisMachineAlone() async throws {
        var open = HTTPRouter()
        open.on(.get, "/sync", sync: { _ in .text("secret") })
        open.on(.get, "/async/{x}", async: { request in .text("secret \(request.pathParameters["x"] ?? "")") })
        open.on(
            .get, "/stream",
            stream: { _, writer in
                writer.start(headers: [:])
                try await writer.write(Array("secret".utf8))
            })
        let router = open.forThisMachine(remedy: "move it")
        for path in ["/sync", "/async/y", "/stream"] {
            for (headers, status) in [
                (["Host": "127.0.0.1:1"], 200), (["Host": "evil.example"], 421), ([:], 421),
                (["Host": "localhost", "Origin": "https://evil.example"], 403),
                (["Host": "localhost", "Via": "1.1 p"], 403),
            ] as [(HTTPHeaders, Int)] {
                let reply = await router.respond(to: request(headers, target: path))
                #expect(reply.status == status, "\(path) \(headers)")
                let text = String(decoding: reply.body, as: UTF8.self)
                #expect(text.contains("secret") == (status == 200))
                #expect(text.contains("move it") == (status != 200))
            }
        }
    }

    /// What a route asks of requests by itself still counts, and a foreign one hears nothing of which paths there are.
    @Test func aServerForThisMachineKeepsItsOwnRules() async {
        var open = HTTPRouter()
        open.on(
            .post, "/door", .sync { .text("\($0.body.count)") }, readsBody: false,
            admission: { $0.headers["x-pass"] == nil ? .refused(.text("who", status: 401)) : .admitted })
        open.unmatched = { _ in .text("too many", status: 429) }
        let router = open.forThisMachine(remedy: "move it")
        func status(_ headers: HTTPHeaders, _ target: String = "/door") async -> Int {
            await router.respond(to: HTTPRequest(method: .post, target: target, headers: headers)).status
        }
        #expect(await status(["Host": "localhost"]) == 401)
        #expect(await status(["Host": "localhost", "X-Pass": "1"]) == 200)
        #expect(await status(["Host": "evil.example", "X-Pass": "1"]) == 421)
        #expect(await status(["Host": "localhost"], "/nothing") == 429)
        #expect(await status(["Host": "evil.example"], "/nothing") == 421)
        #expect(router.routes.allSatisfy { !$0.readsBody })
    }
}
