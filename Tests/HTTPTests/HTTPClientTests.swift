import EventLoop
import Glibc
import HTTPClient
import HTTPServer
import Synchronization
import Testing

@Suite struct HTTPClientTests {
    private func request(_ port: UInt16, _ path: String) -> HTTPClientRequest {
        HTTPClientRequest(url: "http://127.0.0.1:\(port)\(path)")
    }

    /// A server that is not one of ours: it says `bytes` to whoever asks, and then closes or stays silent.
    private func withRawServer<T>(
        _ reply: String, closes: Bool, _ body: (UInt16) throws -> T
    ) throws -> T {
        let loop = try EventLoop(name: "raw-server")
        try loop.start()
        defer { loop.stop() }
        let listener = try TCPListener(loop: loop, host: "127.0.0.1", port: 0) { connection in
            connection.onRead = { bytes in
                connection.write(Array(reply.utf8))
                if closes { connection.finish() }
                return bytes.count
            }
        }
        return try body(listener.port)
    }

    private func failure(_ body: () throws -> Void) -> HTTPClientError? {
        do {
            try body()
            return nil
        } catch {
            return error as? HTTPClientError
        }
    }

    @Test func requestsWithAndWithoutBodies() throws {
        var router = testRouter()
        router.on(
            .put, "/tell",
            sync: { request in
                let agent = request.headers["user-agent"] ?? ""
                return HTTPResponse(
                    status: 201, headers: ["X-Seen": "\(agent) \(request.headers["X-Mine"] ?? "-")"], body: request.body
                )
            })
        router.on(.delete, "/item/{name}", sync: { _ in HTTPResponse(status: 204) })
        let connections = Mutex(Set<String>())
        try withServer(router, observe: { exchange in connections.withLock { _ = $0.insert(exchange.peer) } }) { port in
            let client = HTTPClient(HTTPClientConfiguration(userAgent: "tester/1"))
            let hello = try client.request(request(port, "/hello"), timeoutMilliseconds: 5_000)
            #expect(hello.status == 200)
            #expect(hello.body == Array("hello".utf8))
            #expect(hello.headers["CONTENT-TYPE"] == "text/plain; charset=utf-8")
            var put = request(port, "/tell")
            put.method = "PUT"
            put.body = (0..<3_000_000 / 4).flatMap { _ in Array("abcd".utf8) }.prefix(1_000_000) + []
            put.headers = [("X-Mine", "äöü")]
            let told = try client.request(put, timeoutMilliseconds: 5_000)
            #expect(told.status == 201)
            #expect(told.body == put.body)
            #expect(told.headers["x-seen"] == "tester/1 äöü")
            var post = request(port, "/echo")
            post.method = "POST"
            post.body = []
            #expect(try client.request(post, timeoutMilliseconds: 5_000).body == [])
            var delete = request(port, "/item/7")
            delete.method = "DELETE"
            #expect(try client.request(delete, timeoutMilliseconds: 5_000).status == 204)
            var head = request(port, "/hello")
            head.method = "HEAD"
            #expect(try client.request(head, timeoutMilliseconds: 5_000).body == [])
            // All over one connection.
            #expect(connections.withLock { $0.count } == 1)
        }
    }

    @Test func statusesAreRepliesUntilSuccessIsRequired() throws {
        var router = testRouter()
        router.on(.get, "/busy", sync: { _ in HTTPResponse(status: 429, headers: ["Retry-After": "7"]) })
        router.on(
            .get, "/later",
            sync: { _ in
                HTTPResponse(status: 503, headers: ["Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT"])
            })
        router.on(.get, "/moved", sync: { _ in HTTPResponse(status: 302, headers: ["Location": "/hello"]) })
        router.on(.get, "/circle", sync: { _ in HTTPResponse(status: 302, headers: ["Location": "/circle"]) })
        try withServer(router) { port in
            let client = HTTPClient()
            let busy = try client.request(request(port, "/busy?key=secret"), timeoutMilliseconds: 5_000)
            #expect(busy.headers.retryAfterSeconds == 7)
            let error = failure { try busy.requireSuccess() }
            #expect(error?.kind == .http(status: 429))
            #expect(error?.retryAfterSeconds == 7)
            #expect(error?.isRetriable == true)
            #expect(error?.description == "GET http://127.0.0.1:\(port)/busy got status 429")
            let later = try client.request(request(port, "/later"), timeoutMilliseconds: 5_000)
            #expect(later.headers.retryAfterSeconds == 0)
            let missing = try client.request(request(port, "/nowhere"), timeoutMilliseconds: 5_000)
            #expect(failure { try missing.requireSuccess() }?.isRetriable == false)
            var moved = request(port, "/moved")
            #expect(try client.request(moved, timeoutMilliseconds: 5_000).status == 302)
            moved.redirectsMax = 3
            #expect(try client.request(moved, timeoutMilliseconds: 5_000).body == Array("hello".utf8))
            var circle = request(port, "/circle")
            circle.redirectsMax = 3
            #expect(failure { _ = try client.request(circle, timeoutMilliseconds: 5_000) }?.kind == .badReply)
        }
    }

    @Test func failuresSayTheirKind() throws {
        let client = HTTPClient()
        func kind(_ request: HTTPClientRequest, timeout: Int = 5_000) -> HTTPClientError.Kind? {
            failure { _ = try client.request(request, timeoutMilliseconds: timeout) }?.kind
        }
        let reserved = try ReservedPort()
        let unused = reserved.port
        #expect(kind(HTTPClientRequest(url: "ftp://127.0.0.1/x")) == .invalidRequest)
        #expect(kind(HTTPClientRequest(url: "file:///etc/passwd")) == .invalidRequest)
        #expect(kind(HTTPClientRequest(url: "http://[")) == .invalidRequest)
        #expect(kind(HTTPClientRequest(url: "http://does-not-exist.invalid/")) == .dns)
        var split = request(unused, "/")
        split.headers = [("X-A", "b\r\nX-Evil: 1")]
        #expect(kind(split) == .invalidRequest)
        try withServer { port in
            #expect(kind(request(port, "/slow/5000"), timeout: 100) == .timeout)
            #expect(kind(HTTPClientRequest(url: "https://127.0.0.1:\(port)/")) == .tls)
            var small = request(port, "/count/10000")
            small.bodyBytesMax = 1_000
            #expect(kind(small) == .bodyTooLarge)
            let stopped = failure {
                _ = try client.request(request(port, "/slow/5000"), timeoutMilliseconds: 9_000, shouldStop: { true })
            }
            #expect(stopped?.kind == .stopped)
        }
        #expect(kind(request(unused, "/")) == .connect)
        try withRawServer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", closes: true) { port in
            #expect(kind(request(port, "/")) == .cut)
        }
        try withRawServer("", closes: true) { port in #expect(kind(request(port, "/")) == .cut) }
        try withRawServer("220 this is a mail server\r\n", closes: true) { port in
            #expect(kind(request(port, "/")) != nil)
        }
        let secret = HTTPClientRequest(url: "http://user:pass@127.0.0.1:\(unused)/a@b?key=secret")
        let error = failure { _ = try client.request(secret, timeoutMilliseconds: 1_000) }
        #expect(error?.subject == "GET http://127.0.0.1:\(unused)/a@b")
        withExtendedLifetime(reserved) {}
    }

    private func stream(
        _ client: HTTPClient, _ request: HTTPClientRequest, stallMilliseconds: Int = 5_000,
        shouldStop: () -> Bool = { false }, onHead: (Int, HTTPClientHeaders) -> Bool = { _, _ in true },
        onBytes: (UnsafeRawBufferPointer) throws -> Void = { _ in }
    ) throws -> StreamEnd {
        try client.stream(
            request, connectTimeoutMilliseconds: 5_000, stallTimeoutMilliseconds: stallMilliseconds,
            shouldStop: shouldStop, onHead: onHead, onBytes: onBytes)
    }

    @Test func streamsArriveWholeOrSayHowTheyEnded() throws {
        try withServer { port in
            let client = HTTPClient()
            let expected = (0..<50_000).map { "\($0)\n" }.joined()
            var received: [UInt8] = []
            var statuses: [Int] = []
            let end = try stream(
                client, request(port, "/count/50000"),
                onHead: { status, headers in
                    statuses.append(status)
                    return headers["content-type"] == "text/plain"
                }, onBytes: { received.append(contentsOf: $0) })
            #expect(end == .finished)
            #expect(statuses == [200])
            #expect(received == Array(expected.utf8))
            #expect(try stream(client, request(port, "/nowhere"), onHead: { status, _ in status == 200 }) == .declined)
            var count = 0
            let stopped = try stream(
                client, request(port, "/count/50000"), shouldStop: { count > 10_000 },
                onBytes: {
                    count += $0.count
                })
            #expect(stopped == .stopped)
            struct Mine: Error {}
            #expect(throws: Mine.self) {
                _ = try stream(client, request(port, "/count/50000"), onBytes: { _ in throw Mine() })
            }
            // The client is as good as new.
            #expect(try client.request(request(port, "/hello"), timeoutMilliseconds: 5_000).status == 200)
        }
    }

    @Test func aSilentStreamStallsAndACutOneIsNotFinished() throws {
        let client = HTTPClient()
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
        try withRawServer(head, closes: false) { port in
            var received: [UInt8] = []
            let error = failure {
                _ = try stream(client, request(port, "/"), stallMilliseconds: 100, onBytes: { received += Array($0) })
            }
            #expect(error?.kind == .stall)
            #expect(received == Array("abc".utf8), "what came before is delivered")
        }
        try withRawServer(head, closes: true) { port in
            var received: [UInt8] = []
            let error = failure { _ = try stream(client, request(port, "/"), onBytes: { received += Array($0) }) }
            #expect(error?.kind == .cut)
            #expect(received == Array("abc".utf8))
        }
        try withRawServer("HTTP/1.0 200 OK\r\n\r\nabc", closes: true) { port in
            let end = try stream(client, request(port, "/"))
            #expect(end == .finished)
        }
    }

    /// The reader decides the pace: while it blocks, the server's handler is suspended.
    @Test func aBlockedReaderSlowsTheSender() throws {
        let written = Mutex(0)
        var router = HTTPRouter()
        router.on(
            .get, "/endless",
            stream: { _, writer in
                while true {
                    try await writer.write([UInt8](repeating: 120, count: 10_000))
                    written.withLock { $0 += 10_000 }
                }
            })
        try withServer(router) { port in
            var isFirst = true
            var held = 0
            let end = try stream(
                HTTPClient(), request(port, "/endless"), shouldStop: { held > 0 },
                onBytes: { _ in
                    guard isFirst else { return }
                    isFirst = false
                    usleep(200_000)
                    held = written.withLock { $0 }
                })
            #expect(end == .stopped)
            // Unhindered it would be gigabytes; the kernel's buffers on both sides hold some megabytes.
            #expect(held < 16_000_000)
        }
    }

    @Test func wakingHasStopAskedAtOnce() async throws {
        let asked = Mutex(0)
        let mustStop = Mutex(false)
        let ended = Mailbox<String>()
        var configuration = HTTPServerConfiguration()
        configuration.handlerMillisecondsMax = 60_000
        let server = HTTPServer(configuration: configuration, router: testRouter())
        let port = try server.start()
        let client = HTTPClient()
        let url = request(port, "/slow/30000")
        Thread.run {
            do {
                _ = try client.request(url, timeoutMilliseconds: 60_000) {
                    asked.withLock { $0 += 1 }
                    return mustStop.withLock { $0 }
                }
            } catch {
                ended.put("\((error as? HTTPClientError)?.kind ?? .library)")
            }
        }
        while asked.withLock({ $0 }) < 2 { try await Task.sleep(for: .milliseconds(1)) }
        mustStop.withLock { $0 = true }
        client.wake()
        #expect(await ended.take() == ["stopped"])
        server.stop(drainSeconds: 0)
    }
}
