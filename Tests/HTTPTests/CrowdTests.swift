import Bytes
import Glibc
import HTTPServer
import Synchronization
import Testing

@testable import EventLoop

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

/// The rule of slow readers, without a socket.
@Suite struct OutputPaceTests {
    private static let limits = OutputPace.Limits(
        rateMin: 1_000, windowMilliseconds: 30_000, waitMillisecondsMax: 600_000)

    /// Looks each 100 ms while `rate` bytes a second are taken of a queue that never ends.
    ///
    /// - Returns: when it was cut, milliseconds.
    private func cut(rate: Int, limits: OutputPace.Limits = Self.limits, queued: Int = 100_000_000) -> Int64? {
        var pace = OutputPace()
        var left = queued
        for now in stride(from: Int64(0), through: 700_000, by: 100) {
            pace.note(taken: min(left, rate / 10))
            left -= min(left, rate / 10)
            if left == 0 { return nil }
            if pace.isTooSlow(queued: left, now: now, limits) { return now }
        }
        return nil
    }

    @Test func theRateIsJudgedOverWindows() {
        #expect(cut(rate: 990) == 30_000, "not before the first window is over")
        #expect(cut(rate: 0) == 30_000)
        #expect(cut(rate: 1_010) == 600_100, "the last byte waits too long")
        #expect(cut(rate: 1_010, queued: 500_000) == nil, "it was all taken in time")
        #expect(cut(rate: 990, limits: OutputPace.Limits()) == nil, "no limit")
    }

    /// A client that always has something waiting, but never for long, is not slow.
    @Test func steadyTrafficIsNotOneLongReply() {
        var pace = OutputPace()
        for now in stride(from: Int64(0), through: 2_000_000, by: 100) {
            pace.note(taken: 5_000)
            let isSlow = pace.isTooSlow(queued: 50_000, now: now, Self.limits)
            #expect(!isSlow, "\(now)")
        }
    }

    @Test func aRestBeginsAnew() {
        var pace = OutputPace()
        for now in stride(from: Int64(0), through: 29_900, by: 100) {
            let isSlow = pace.isTooSlow(queued: 10, now: now, Self.limits)
            #expect(!isSlow, "\(now)")
        }
        pace.rest()
        let looks = [30_100, 60_100].map { pace.isTooSlow(queued: 10, now: $0, Self.limits) }
        #expect(looks == [false, true])
    }

    /// All loops together stay within the bound, and a loop within its share is left alone, whatever the others hold.
    @Test func aBudgetLeavesEachLoopItsShare() {
        let budget = MemoryBudget(bytesMax: 3_000, loops: 2)
        let (greedy, modest) = (budget.ledger(), budget.ledger())
        var asked = 0
        greedy.onOver = { asked += 1 }
        greedy.adjust(by: 2_000)
        #expect(!greedy.isOver && asked == 0)
        modest.adjust(by: 500)
        #expect(!modest.isOver && greedy.isOver)
        greedy.adjust(by: 1)
        #expect(asked == 1 && !greedy.isRelieved)
        greedy.adjust(by: -800)
        #expect(greedy.isRelieved && budget.heldBytes == 1_701)
        modest.adjust(by: 1)
        #expect(!modest.isOver, "all together are below")
        greedy.adjust(by: 400)
        #expect(modest.isOver, "above its share, and all together above")
        greedy.adjust(by: -1_601)
        modest.adjust(by: -501)
        #expect(budget.heldBytes == 0)
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
