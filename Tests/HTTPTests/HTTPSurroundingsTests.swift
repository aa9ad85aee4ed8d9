import HTTPServer
import Synchronization
import Testing

/// What surrounds every reply: fixed headers, request ids, the CORS protocol.
@Suite struct HTTPSurroundingsTests {
    private func ask(_ head: String, configure: (inout HTTPServerConfiguration) -> Void) throws -> RawReply {
        try withServer(configure: configure) { port in
            let socket = try RawSocket(port: port)
            socket.send(head + "\r\n\r\n")
            return try #require(RawReply(socket))
        }
    }

    @Test(arguments: [
        "GET /hello HTTP/1.1\r\nHost: a", "GET /nothing HTTP/1.1\r\nHost: a", "PUT /hello HTTP/1.1\r\nHost: a",
        "OPTIONS /hello HTTP/1.1\r\nHost: a", "GET /count/3 HTTP/1.1\r\nHost: a", "GET /hello HTTP/1.1",
    ]) func everyReplyHasThem(head: String) throws {
        let reply = try ask(head) {
            $0.hasRequestIDs = true
            $0.fixedHeaders = ["X-Content-Type-Options": "nosniff"]
        }
        #expect(reply.headers["x-content-type-options"] == "nosniff")
        // A request whose head could not be read gets an id too, for the log.
        #expect(reply.headers["x-request-id"] != nil || reply.status == 400)
        #expect(reply.headers["access-control-allow-origin"] == nil)
    }

    @Test func aProperIDIsKeptAndAnotherIsReplaced() throws {
        let given = try ask("GET /hello HTTP/1.1\r\nHost: a\r\nX-Request-Id: web-1.A_b") { $0.hasRequestIDs = true }
        #expect(given.headers["x-request-id"] == "web-1.A_b")
        for wrong in ["", "a b", "a\"b", "<x>", String(repeating: "a", count: 65), "é"] {
            let made = try ask("GET /hello HTTP/1.1\r\nHost: a\r\nX-Request-Id: \(wrong)") { $0.hasRequestIDs = true }
            let id = try #require(made.headers["x-request-id"])
            #expect(
                id != wrong && !id.isEmpty && id.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") })
        }
    }

    @Test func idsDifferAndReachTheLog() throws {
        let seen = Mutex<[String]>([])
        try withServer(
            configure: { $0.hasRequestIDs = true },
            observe: { exchange in seen.withLock { $0.append(exchange.requestID) } }
        ) { port in
            let socket = try RawSocket(port: port)
            var ids: [String] = []
            for _ in 0..<20 {
                socket.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
                ids.append(try #require(RawReply(socket)?.headers["x-request-id"]))
            }
            #expect(Set(ids).count == 20)
            #expect(seen.withLock { $0 } == ids)
        }
    }

    @Test func onlyNamedOriginsMayRead() throws {
        func configure(_ configuration: inout HTTPServerConfiguration) {
            configuration.corsOrigins = ["https://a.example"]
        }
        let allowed = try ask("GET /hello HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example", configure: configure)
        #expect(allowed.headers["access-control-allow-origin"] == "https://a.example")
        #expect(allowed.headers["vary"] == "Origin")
        for other in ["https://b.example", "https://a.example.evil", "null", "http://a.example"] {
            let reply = try ask("GET /hello HTTP/1.1\r\nHost: a\r\nOrigin: \(other)", configure: configure)
            #expect(reply.status == 200 && reply.headers["access-control-allow-origin"] == nil)
        }
        let preflight = try ask(
            "OPTIONS /hello HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\nAccess-Control-Request-Method: GET",
            configure: configure)
        #expect(preflight.status == 204)
        #expect(preflight.headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS")
        #expect(preflight.headers["access-control-allow-headers"]?.contains("Last-Event-ID") == true)
        let asking =
            "OPTIONS /hello HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\nAccess-Control-Request-Method: GET\r\n"
            + "Access-Control-Request-Headers: "
        let own = try ask(asking + "x-stainless-lang, mcp-session-id", configure: configure)
        #expect(own.headers["access-control-allow-headers"] == "x-stainless-lang, mcp-session-id")
        for wrong in ["a: b", "a\"b", "é", String(repeating: "a", count: 1_025)] {
            let usual = try ask(asking + wrong, configure: configure)
            #expect(usual.headers["access-control-allow-headers"]?.contains("Last-Event-ID") == true, "\(wrong)")
        }
        let all = try ask("GET /nothing HTTP/1.1\r\nHost: a\r\nOrigin: https://b.example") { $0.corsOrigins = ["*"] }
        #expect(all.status == 404 && all.headers["access-control-allow-origin"] == "*")
    }

    /// Several loops share a port by SO_REUSEPORT; a second server must not come to share it too.
    @Test func aTakenPortIsAnErrorWithSeveralLoopsToo() throws {
        try withServer(configure: { $0.loops = 2 }) { port in
            var configuration = HTTPServerConfiguration(port: port)
            configuration.loops = 2
            let second = HTTPServer(configuration: configuration, router: testRouter())
            #expect(throws: (any Error).self) { try second.start() }
            let socket = try RawSocket(port: port)
            socket.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(RawReply(socket)?.status == 200)
        }
    }
}
