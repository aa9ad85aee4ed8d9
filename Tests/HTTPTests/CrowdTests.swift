import Bytes
import Glibc
import HTTPServer
import Synchronization
import Testing

/// Many clients who each keep their own bounds: what they hold together is bounded, and others are served meanwhile.
/// `MEDALLION_LONG_TESTS=1` has more of them, and looks at the process's memory besides.
@Suite(.serialized) struct CrowdTests {
    private static let isLong = getenv("MEDALLION_LONG_TESTS") != nil
    private static let requestBytes = 6 << 20
    private static let replyBytes = 24 << 20

    private final class Counts: Sendable {
        private let counts = Mutex<[HTTPCutReason: Int]>([:])
        private let statuses = Mutex<[Int: Int]>([:])

        func note(_ exchange: HTTPExchange) { statuses.withLock { $0[exchange.status, default: 0] += 1 } }
        func count(_ status: Int) -> Int { statuses.withLock { $0[status] ?? 0 } }

        /// Lets the handlers of `/wait` answer.
        let isReleased = Atomic(false)

        func note(_ reason: HTTPCutReason) { counts.withLock { $0[reason, default: 0] += 1 } }
        func count(_ reason: HTTPCutReason) -> Int { counts.withLock { $0[reason] ?? 0 } }
    }

    private let cuts = Counts()

    private func router() -> HTTPRouter {
        var router = testRouter()
        let large = [UInt8](repeating: 120, count: 8 << 20)
        router.on(.get, "/large", sync: { _ in HTTPResponse(body: large) })
        router.on(.get, "/huge", sync: { _ in HTTPResponse(body: [UInt8](repeating: 120, count: (12 << 20) + 1)) })
        router.on(
            .get, "/drip",
            stream: { _, writer in
                writer.start(headers: ["Content-Type": "text/plain"])
                let piece = [UInt8](repeating: 120, count: 8_192)
                while writer.offer(piece) { try await Task.sleep(for: .milliseconds(1)) }
            })
        router.on(
            .get, "/hold",
            stream: { [cuts] _, writer in
                writer.start(headers: ["Content-Type": "text/plain"])
                while !cuts.isReleased.load(ordering: .relaxed) { try await Task.sleep(for: .milliseconds(20)) }
            })
        router.on(
            .get, "/wait",
            async: { [cuts] _ in
                while !cuts.isReleased.load(ordering: .relaxed) { try await Task.sleep(for: .milliseconds(20)) }
                return .text("waited")
            })
        return router
    }

    private func withCrowd(
        _ change: (inout HTTPServerConfiguration) -> Void = { _ in }, _ body: (HTTPServer, UInt16) throws -> Void
    ) throws {
        var configuration = HTTPServerConfiguration()
        configuration.requestBytesTotalMax = Self.requestBytes
        configuration.replyBytesTotalMax = Self.replyBytes
        configuration.replyBytesMax = 12 << 20
        change(&configuration)
        let cuts = cuts
        let server = HTTPServer(
            configuration: configuration, router: router(),
            observe: { cuts.note($0) }, onCut: { cuts.note($0) })
        let port = try server.start()
        defer { server.stop(drainSeconds: 0) }
        try body(server, port)
        let load = server.load
        #expect(load.requestBytes >= 0 && load.replyBytes >= 0)
    }

    /// An ordinary client is served, on a connection of its own.
    private func isServed(_ port: UInt16) -> Bool {
        guard let socket = try? RawSocket(port: port) else { return false }
        socket.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        return RawReply(socket)?.body == "abc"
    }

    private func eventually(_ isSo: () -> Bool) {
        for _ in 0..<2_000 where !isSo() { usleep(5_000) }
        #expect(isSo())
    }

    /// Half bodies of clients without end: the budget holds, the first to go are told to come again.
    @Test func halfBodiesAreBoundedTogether() throws {
        let count = Self.isLong ? 600 : 60
        let half = [UInt8](repeating: 120, count: 400_000)
        let before = ProcessMemory.peakBytes
        try withCrowd { server, port in
            var peak = 0
            var senders: [RawSocket] = []
            for number in 0..<count {
                let socket = try RawSocket(port: port)
                socket.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 800000\r\n\r\n")
                // Others first: each sends all it can before the next comes.
                socket.sendWithoutWaiting(half)
                senders.append(socket)
                peak = max(peak, server.load.requestBytes)
                if number.isMultiple(of: 10) { #expect(isServed(port), "after \(number)") }
            }
            eventually { cuts.count(.requestMemory) > 0 }
            #expect(peak <= Self.requestBytes + (2 << 20), "\(peak) bytes")
            let told = senders.first { $0.isReadable(withinMilliseconds: 0) }.flatMap { RawReply($0) }
            #expect(told?.status == 503 && told?.headers["retry-after"] == "1")
            #expect(isServed(port))
            senders = []
            eventually { server.load.requestBytes == 0 && server.load.connections == 0 }
        }
        if Self.isLong { #expect(ProcessMemory.peakBytes - before < 64 << 20) }
        #expect(cuts.count(503) > 0, "they are counted")
    }

    /// Heads that never end, pipelined requests behind one that is waiting: the same budget.
    @Test func headsAndPipelinedInputAreBoundedTogether() throws {
        let count = Self.isLong ? 1_000 : 200
        try withCrowd { server, port in
            var peak = 0
            let open = "GET /hello HTTP/1.1\r\nHost: a\r\nX: " + String(repeating: "x", count: 15_000)
            var senders: [RawSocket] = []
            for number in 0..<count {
                let socket = try RawSocket(port: port)
                if number.isMultiple(of: 2) {
                    socket.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
                    socket.sendWithoutWaiting(
                        Array(String(repeating: "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", count: 4_000).utf8))
                } else {
                    socket.send(open)
                    socket.send("y")
                }
                senders.append(socket)
                peak = max(peak, server.load.requestBytes)
                if number.isMultiple(of: 20) { #expect(isServed(port), "after \(number)") }
            }
            eventually { cuts.count(.requestMemory) > 0 }
            #expect(peak <= Self.requestBytes + (2 << 20), "\(peak) bytes")
            // Nothing is read behind what waits already: that its client left is only seen when it is answered.
            cuts.isReleased.store(true, ordering: .relaxed)
            senders = []
            eventually { server.load.requestBytes == 0 && server.load.connections == 0 }
        }
    }

    /// Readers of large replies who take nothing: the largest are cut, and a client who reads gets the whole reply.
    @Test func unreadRepliesAreBoundedTogether() throws {
        let count = Self.isLong ? 100 : 20
        try withCrowd { server, port in
            var readers: [RawSocket] = []
            var peak = 0
            for _ in 0..<count {
                let socket = try RawSocket(port: port, receiveBuffer: 4_096)
                socket.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
                readers.append(socket)
                usleep(5_000)
                peak = max(peak, server.load.replyBytes)
            }
            eventually { cuts.count(.replyMemory) > 0 }
            #expect(peak <= Self.replyBytes + (8 << 20), "\(peak) bytes")
            #expect(isServed(port))
            let reader = try RawSocket(port: port)
            reader.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(RawReply(reader)?.body.utf8.count == 8 << 20)
            readers = []
            eventually { server.load.replyBytes == 0 }
        }
    }

    /// What is queued while a reader takes nothing counts as it is queued: streams of many small pieces, and replies of
    /// handlers that come one after another.
    @Test func streamsThatNobodyReadsAreBoundedTogether() throws {
        let bytesMax = 6 << 20
        try withCrowd({
            $0.replyBytesTotalMax = bytesMax
            $0.streamCutBytes = 2 << 20
            $0.streamSendBufferBytes = 32_768
        }) { server, port in
            var readers: [RawSocket] = []
            var peak = 0
            for _ in 0..<20 {
                let socket = try RawSocket(port: port, receiveBuffer: 4_096)
                socket.send("GET /drip HTTP/1.1\r\nHost: a\r\n\r\n")
                readers.append(socket)
            }
            eventually {
                peak = max(peak, server.load.replyBytes)
                return cuts.count(.replyMemory) > 0
            }
            #expect(peak <= bytesMax + (1 << 20), "\(peak) bytes")
            #expect(isServed(port))
            readers = []
            eventually { server.load.replyBytes == 0 && server.load.streams == 0 }
        }
    }

    /// Who still takes a reply is not idle, and its place is not for another.
    @Test func aReaderOfALargeReplyIsNotIdle() throws {
        try withCrowd({
            $0.idleMillisecondsMax = 300
            $0.connectionsMax = 2
        }) { _, port in
            let reader = try RawSocket(port: port, receiveBuffer: 4_096)
            reader.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(reader.receive(until: "\r\n\r\n") != nil)
            let waiting = try RawSocket(port: port)
            waiting.send("GET /hello HTTP/1.1\r\nHost: a\r\nX: ")
            // The idle time passes, and both have been there for long enough to give way.
            usleep(700_000)
            #expect(isServed(port), "in the place of who waits")
            #expect(reader.receive(exactly: 8 << 20)?.count == 8 << 20)
            // And after it, as ever.
            reader.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(RawReply(reader)?.body == "hello")
            #expect(reader.receiveToEnd() == [], "now it is idle")
        }
    }

    /// Long-lived streams do not pay for bodies that others leave half sent.
    @Test func streamsOutliveTheirNeighboursHalfBodies() throws {
        let half = [UInt8](repeating: 120, count: 400_000)
        try withCrowd { server, port in
            let streams = try (0..<10).map { _ in try RawSocket(port: port) }
            for stream in streams {
                stream.send("GET /hold HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "x", count: 1_000))\r\n\r\n")
                #expect(stream.receive(until: "\r\n\r\n") != nil)
            }
            var senders: [RawSocket] = []
            for _ in 0..<40 {
                let socket = try RawSocket(port: port)
                socket.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 800000\r\n\r\n")
                socket.sendWithoutWaiting(half)
                senders.append(socket)
            }
            eventually { cuts.count(.requestMemory) > 0 }
            #expect(server.load.streams == 10)
            cuts.isReleased.store(true, ordering: .relaxed)
            for stream in streams { #expect(stream.receive(until: "0\r\n\r\n") != nil) }
            senders = []
        }
    }

    @Test func aReplyBeyondItsBoundIsAFault() throws {
        try withCrowd { _, port in
            let socket = try RawSocket(port: port)
            socket.send("GET /huge HTTP/1.1\r\nHost: a\r\n\r\n")
            let reply = RawReply(socket)
            #expect(reply?.status == 500 && reply?.body.contains("reply_too_large") == true)
        }
        #expect(cuts.count(.replySize) == 1)
    }

    /// Connections that hold every place with a head that never ends give way, the oldest first; one that is being
    /// answered does not.
    @Test func newcomersGetThePlaceOfWhoWaitsLongest() throws {
        try withCrowd({ $0.connectionsMax = 40 }) { server, port in
            let busy = try RawSocket(port: port)
            busy.send("GET /slow/1500 HTTP/1.1\r\nHost: a\r\n\r\n")
            usleep(50_000)
            let senders = try (0..<60).map { _ in try RawSocket(port: port) }
            for sender in senders { sender.send("GET /hello HTTP/1.1\r\nHost: a\r\nX: ") }
            for _ in 0..<5 {
                for sender in senders { sender.send("y") }
                #expect(isServed(port))
            }
            #expect(cuts.count(.places) > 0)
            #expect(RawReply(busy)?.body == "slept 1500", "it came first, and is being answered")
            #expect(server.load.connections <= 40)
        }
    }

    @Test func anAddressHasSoManyConnections() throws {
        try withCrowd({ $0.connectionsPerAddressMax = 5 }) { _, port in
            var sockets = try (0..<5).map { _ in try RawSocket(port: port) }
            for socket in sockets {
                socket.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(RawReply(socket)?.body == "hello")
            }
            let sixth = try RawSocket(port: port)
            let reply = RawReply(sixth)
            #expect(reply?.status == 429 && reply?.headers["retry-after"] == "1")
            #expect(reply?.body.contains("5 connections") == true)
            sockets.removeLast()
            var isIn = false
            for _ in 0..<500 where !isIn {
                let again = try RawSocket(port: port)
                again.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
                isIn = RawReply(again)?.status == 200
                if !isIn { usleep(10_000) }
            }
            #expect(isIn)
        }
        #expect(cuts.count(429) > 0 && cuts.count(.address) > 0)
    }

    @Test func aTrustedProxyStandsForMany() throws {
        try withCrowd({
            $0.connectionsPerAddressMax = 2
            $0.proxyTrust = ProxyTrust(proxies: [IPAddressRange("127.0.0.0/8")].compactMap(\.self))
        }) { _, port in
            let sockets = try (0..<10).map { _ in try RawSocket(port: port) }
            for socket in sockets {
                socket.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(RawReply(socket)?.status == 200)
            }
        }
    }

    /// A reader who takes a little now and then, but less than the least rate, or for longer than any reply may take.
    @Test(arguments: [true, false]) func slowReadersAreCut(byRate: Bool) throws {
        try withCrowd({
            $0.outputWindowMilliseconds = byRate ? 400 : 60_000
            $0.outputRateMin = 2 << 20
            $0.outputWaitMillisecondsMax = byRate ? 60_000 : 600
        }) { server, port in
            let slow = try RawSocket(port: port, receiveBuffer: 4_096)
            slow.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            let fast = try RawSocket(port: port)
            for _ in 0..<2_000 where cuts.count(.slow) == 0 {
                usleep(10_000)
                _ = slow.isReadable(withinMilliseconds: 0) ? slow.receive(atMost: 2_000) : nil
                fast.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(RawReply(fast)?.body == "hello", "who reads is left alone")
            }
            #expect(cuts.count(.slow) == 1 && cuts.count(.stalled) == 0)
        }
    }
}

/// This process's memory, from /proc.
private enum ProcessMemory {
    static var peakBytes: Int {
        guard let file = fopen("/proc/self/status", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        while fgets(&line, 256, file) != nil {
            let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            guard text.hasPrefix("VmHWM:") else { continue }
            return (Int(text.filter(\.isNumber)) ?? 0) * 1_024
        }
        return 0
    }
}
