import Bytes
import Glibc
import HTTPServer
import Synchronization
import Testing

/// What clients do that servers get wrong: evhttp does each of these, see the names. The framing that it takes too easily
/// is in ``HTTPFramingTests``.
@Suite struct HTTPHostileTests {
    private static let head = "Host: a\r\n\r\n"

    /// A client that goes on sending while its request is being answered is slowed down; nothing piles up here.
    @Test func inputBehindAPendingRequestIsBounded() async throws {
        let release = Mailbox<Int>()
        var router = HTTPRouter()
        router.on(
            .get, "/wait",
            async: { _ in
                _ = await release.take()
                return .text("waited")
            })
        router.on(.get, "/next", sync: { _ in .text("next") })
        try withServer(router) { port in
            let socket = try RawSocket(port: port)
            socket.send("GET /wait HTTP/1.1\r\n\(Self.head)")
            let flags = fcntl(socket.descriptor, F_GETFL)
            _ = fcntl(socket.descriptor, F_SETFL, flags | O_NONBLOCK)
            let request = Array("GET /next HTTP/1.1\r\nX: \(String(repeating: "x", count: 8_000))\r\n\(Self.head)".utf8)
            var sent = 0
            var refusals = 0
            // Until nothing is taken for a while; a server without a bound takes a gigabyte here.
            while refusals < 50, sent < 1 << 30 {
                let got = Glibc.send(socket.descriptor, request, request.count, Int32(MSG_NOSIGNAL))
                if got == request.count {
                    sent += got
                    refusals = 0
                } else {
                    if got > 0 { sent += got }
                    refusals += 1
                    usleep(10_000)
                    if got > 0 { break }
                }
            }
            // Two kernel buffers of 4 to 6 MB at most, and ours.
            #expect(sent < 32 << 20, "\(sent) bytes were taken")
            _ = fcntl(socket.descriptor, F_SETFL, flags)
            release.put(1)
            #expect(RawReply(socket)?.body == "waited")
            #expect(RawReply(socket)?.body == "next")
        }
    }

    /// Results that come after their request is over, from any thread, and several at once, are nobody's.
    @Test func lateAndDoubleRepliesAreDropped() async throws {
        let writers = Mailbox<HTTPStreamWriter>()
        let finished = Mailbox<Int>()
        var router = HTTPRouter()
        router.on(.get, "/stream", stream: { _, writer in writers.put(writer) })
        router.on(
            .get, "/twice",
            stream: { _, writer in
                writer.respond(.text("first"))
                writer.respond(.text("second"))
                writer.start(status: 500)
                try? await writer.write(Array("third".utf8))
                writer.finish()
                writer.abort()
            })
        router.on(
            .get, "/late",
            async: { _ in
                // Cancelled at its limit, and goes on regardless.
                let end = SystemClock.monotonicNanoseconds() + 400_000_000
                while SystemClock.monotonicNanoseconds() < end { try? await Task.sleep(for: .milliseconds(10)) }
                finished.put(1)
                return .text("late")
            })
        router.on(.get, "/hello", sync: { _ in .text("hello") })
        try withServer(router, configure: { $0.handlerMillisecondsMax = 150 }) { port in
            let twice = try RawSocket(port: port)
            twice.send("GET /twice HTTP/1.1\r\n\(Self.head)GET /hello HTTP/1.1\r\n\(Self.head)")
            #expect(RawReply(twice)?.body == "first")
            #expect(RawReply(twice)?.body == "hello")
            let late = try RawSocket(port: port)
            late.send("GET /late HTTP/1.1\r\n\(Self.head)")
            #expect(RawReply(late)?.status == 503)
            #expect(late.receiveToEnd() == [])
            for _ in 0..<50 {
                let leaver = try RawSocket(port: port)
                leaver.send("GET /stream HTTP/1.1\r\n\(Self.head)")
                leaver.reset()
            }
            // Used by several threads at once, long after their connections are gone.
            for writer in writers.takeBlocking(50) {
                for _ in 0..<4 {
                    Thread.run {
                        writer.offer(Array("x".utf8))
                        writer.respond(.text("y"))
                        writer.finish()
                        writer.abort()
                        finished.put(1)
                    }
                }
            }
            #expect(finished.takeBlocking(201).count == 201)
            let socket = try RawSocket(port: port)
            socket.send("GET /hello HTTP/1.1\r\n\(Self.head)")
            #expect(RawReply(socket)?.body == "hello")
        }
    }

    /// Refusals that come before any handler have the API's shape, and are seen by whoever logs and counts.
    @Test func everyRefusalIsShapedAndObserved() throws {
        let seen = Mutex<[Int]>([])
        let requests: [(bytes: String, status: Int)] = [
            ("GET /hello HTTP/1.1\r\n\r\n", 400), ("GET /none HTTP/1.1\r\nHost: a\r\n\r\n", 404),
            ("PUT /hello HTTP/1.1\r\nHost: a\r\n\r\n", 405),
            ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n", 413),
            ("GET /\(String(repeating: "a", count: 9_000)) HTTP/1.1\r\nHost: a\r\n\r\n", 414),
            ("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: x\r\nContent-Length: 1\r\n\r\na", 417),
            ("GET /hello HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "a", count: 20_000))\r\n\r\n", 431),
            ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
            ("GET /hello HTTP/2.0\r\nHost: a\r\n\r\n", 505), ("GET /hello HTTP/1.1\r\nHost", 408),
        ]
        try withServer(
            configure: { $0.requestMillisecondsMax = 300 },
            observe: { exchange in seen.withLock { $0.append(exchange.status) } }
        ) { port in
            for (bytes, status) in requests {
                let socket = try RawSocket(port: port)
                socket.send(bytes)
                let reply = RawReply(socket)
                #expect(reply?.status == status)
                #expect(reply?.headers["content-type"] == "application/json")
                #expect(reply?.body.hasPrefix(#"{"error":{"type":""#) == true)
            }
        }
        #expect(seen.withLock { $0 } == requests.map(\.status))
    }

    /// A body in as many pieces as it has bytes, and in chunks of one byte, is put together in one pass.
    @Test func aBodyInManyPiecesIsOneBody() throws {
        let body = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        try withServer { port in
            let pieces = try RawSocket(port: port)
            pieces.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: \(body.count)\r\n\r\n")
            for byte in body.prefix(20_000) { pieces.send([byte]) }
            pieces.send(Array(body.dropFirst(20_000)))
            #expect(pieces.receive(until: "\r\n\r\n") != nil)
            #expect(pieces.receive(exactly: body.count) == body)
            let chunks = try RawSocket(port: port)
            chunks.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            chunks.send(body.flatMap { Array("1\r\n".utf8) + [$0] + Array("\r\n".utf8) } + Array("0\r\n\r\n".utf8))
            #expect(chunks.receive(until: "\r\n\r\n") != nil)
            #expect(chunks.receive(exactly: body.count) == body)
        }
    }

    /// Connections that say nothing, or a byte now and then, end by themselves, and others are served meanwhile.
    @Test func slowSendersHoldUpNobody() throws {
        try withServer(configure: { $0.requestMillisecondsMax = 800 }) { port in
            let senders = try (0..<200).map { _ in try RawSocket(port: port) }
            for sender in senders { sender.send("GET /hello HTTP/1.1\r\nHost: a\r\nX: ") }
            for round in 0..<20 {
                for sender in senders { sender.send("y") }
                let socket = try RawSocket(port: port)
                socket.send("GET /item/\(round) HTTP/1.1\r\n\(Self.head)")
                #expect(RawReply(socket)?.body == "\(round)")
            }
            for sender in senders { #expect(RawReply(sender)?.status == 408) }
        }
    }
}
