import EventLoop
import Glibc
import Synchronization
import Testing

/// Keeps a file open as long as a region of it is queued.
final class OpenFile {
    let descriptor: Int32
    init(descriptor: Int32) { self.descriptor = descriptor }
    deinit { close(descriptor) }
}

/// A value that a test waits for; made on the loop, taken elsewhere.
final class Mailbox<Value: Sendable>: Sendable {
    private let values = Mutex<[Value]>([])

    func put(_ value: Value) { values.withLock { $0.append(value) } }

    var all: [Value] { values.withLock { $0 } }

    /// The first `count` values, or what there is after five seconds.
    func take(_ count: Int = 1) async -> [Value] {
        for _ in 0..<5_000 {
            if all.count >= count { break }
            try? await Task.sleep(for: .milliseconds(1))
        }
        return all
    }

    /// As `take`, for a test whose other waits block too.
    func takeBlocking(_ count: Int = 1) -> [Value] {
        for _ in 0..<5_000 where all.count < count { usleep(1_000) }
        return all
    }
}

@Suite struct EventLoopTests {
    private func withLoop(_ body: (EventLoop) async throws -> Void) async throws {
        let loop = try EventLoop(name: "test-loop")
        try loop.start()
        defer { loop.stop() }
        try await body(loop)
    }

    private func echo(on loop: EventLoop, _ prepare: @escaping @Sendable (TCPConnection) -> Void = { _ in }) throws
        -> TCPListener
    {
        try TCPListener(loop: loop, host: "127.0.0.1", port: 0) { connection in
            connection.onRead = { bytes in
                connection.write(copying: bytes)
                return bytes.count
            }
            prepare(connection)
        }
    }

    @Test func postedClosuresRunInOrderOnTheLoop() async throws {
        try await withLoop { loop in
            let seen = Mailbox<Int>()
            for number in 0..<1_000 {
                loop.execute { if loop.isInLoop { seen.put(number) } }
            }
            #expect(await seen.take(1_000) == Array(0..<1_000))
            #expect(!loop.isInLoop)
        }
    }

    @Test func immediateTasksStartAtOnceAndResumeOnTheLoop() async throws {
        try await withLoop { loop in
            let seen = Mailbox<String>()
            loop.execute {
                Task.immediate(executorPreference: loop) {
                    seen.put("started \(loop.isInLoop)")
                    await Task.yield()
                    try? await Task.sleep(for: .milliseconds(2))
                    seen.put("resumed \(loop.isInLoop)")
                }
                seen.put("after")
            }
            #expect(await seen.take(3) == ["started true", "after", "resumed true"])
        }
    }

    @Test func timersFireInOrderAndNotAfterCancel() async throws {
        try await withLoop { loop in
            let seen = Mailbox<Int>()
            loop.schedule(afterMilliseconds: 40) { seen.put(2) }
            loop.schedule(afterMilliseconds: 5) { seen.put(1) }
            let cancelled = loop.schedule(afterMilliseconds: 20) { seen.put(99) }
            cancelled.cancel()
            #expect(await seen.take(2) == [1, 2])
        }
    }

    @Test func echoesWhateverTheSizeOfThePieces() async throws {
        try await withLoop { loop in
            let listener = try echo(on: loop)
            let socket = try RawSocket(port: listener.port)
            for size in [1, 2, 1_000, 65_536, 200_000] {
                let sent = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ size) }
                #expect(socket.send(sent))
                #expect(socket.receive(exactly: size) == sent)
            }
        }
    }

    /// A frame of four bytes of length and the rest, which arrives byte by byte and then all at once.
    @Test func unconsumedInputStaysUntilAFrameIsWhole() async throws {
        try await withLoop { loop in
            let frames = Mailbox<Int>()
            let calls = Mailbox<Int>()
            let listener = try TCPListener(loop: loop, host: "127.0.0.1", port: 0) { connection in
                connection.inputBytesMin = 4
                connection.onRead = { bytes in
                    calls.put(bytes.count)
                    let length = Int(UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self)))
                    guard bytes.count >= 4 + length else {
                        connection.inputBytesMin = 4 + length
                        return 0
                    }
                    connection.inputBytesMin = 4
                    frames.put(length)
                    return 4 + length
                }
            }
            let socket = try RawSocket(port: listener.port)
            var bytes: [UInt8] = []
            for length in [0, 5, 300] {
                bytes +=
                    withUnsafeBytes(of: UInt32(length).bigEndian) { Array($0) } + [UInt8](repeating: 7, count: length)
            }
            for byte in bytes { socket.send([byte]) }
            #expect(await frames.take(3) == [0, 5, 300])
            // Twice per frame with a body: its length, then all of it.
            #expect(calls.all.count <= 5)
            let large = 700_000
            var more: [UInt8] = []
            for _ in 0..<3 {
                more += withUnsafeBytes(of: UInt32(large).bigEndian) { Array($0) } + [UInt8](repeating: 7, count: large)
            }
            socket.send(more)
            #expect(await frames.take(6) == [0, 5, 300, large, large, large])
        }
    }

    @Test func sendsFileRegionsBetweenBytes() async throws {
        try await withLoop { loop in
            let content = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            var template = Array("/tmp/medallion-region-XXXXXX".utf8CString)
            let descriptor = mkstemp(&template)
            unlink(template)
            #expect(write(descriptor, content, content.count) == content.count)
            let listener = try TCPListener(loop: loop, host: "127.0.0.1", port: 0) { connection in
                let file = OpenFile(descriptor: descriptor)
                connection.write(Array("head".utf8))
                connection.write(FileRegion(owner: file, descriptor: file.descriptor, offset: 10, length: 2_900_000))
                connection.write(Array("tail".utf8))
                connection.finish()
            }
            let socket = try RawSocket(port: listener.port)
            let received = socket.receiveToEnd()
            #expect(received == Array("head".utf8) + content[10..<2_900_010] + Array("tail".utf8))
        }
    }

    @Test func aFileThatShrankCutsTheConnection() async throws {
        try await withLoop { loop in
            let ends = Mailbox<TCPCloseReason>()
            let listener = try TCPListener(loop: loop, host: "127.0.0.1", port: 0) { connection in
                connection.onClose = { ends.put($0) }
                let file = OpenFile(descriptor: open("/dev/null", O_RDONLY))
                connection.write(FileRegion(owner: file, descriptor: file.descriptor, offset: 0, length: 10))
            }
            _ = try RawSocket(port: listener.port).receiveToEnd()
            let reasons = await ends.take()
            #expect(reasons == [.failed(EIO)] || reasons == [.failed(EINVAL)])
        }
    }

    @Test func aSlowReaderIsBoundedAndAPatientOneDrains() async throws {
        try await withLoop { loop in
            let seen = Mailbox<String>()
            let listener = try TCPListener(loop: loop, host: "127.0.0.1", port: 0) { connection in
                connection.setSendBuffer(bytes: 32_768)
                connection.outputBytesMax = 1_000_000
                connection.lowWatermarkBytes = 10_000
                connection.onClose = { seen.put("\($0)") }
                connection.onDrained = { seen.put("drained at \(connection.queuedOutputBytes <= 10_000)") }
                connection.onRead = { bytes in
                    connection.write([UInt8](repeating: 1, count: 900_000))
                    return bytes.count
                }
            }
            let patient = try RawSocket(port: listener.port, receiveBuffer: 8_192)
            patient.send("x")
            #expect(patient.receive(exactly: 900_000) != nil)
            #expect(await seen.take() == ["drained at true"])
            let slow = try RawSocket(port: listener.port, receiveBuffer: 8_192)
            slow.send("x")
            try await Task.sleep(for: .milliseconds(50))
            slow.send("x")
            // Other news of the two connections may come before it.
            var news = await seen.take(2)
            if !news.contains("outputBound") { news = await seen.take(4) }
            #expect(news.contains("outputBound"))
        }
    }

    @Test func pausedReadingHoldsTheInputAndResumesIt() async throws {
        try await withLoop { loop in
            let seen = Mailbox<String>()
            let held = Mailbox<TCPConnection>()
            let listener = try TCPListener(loop: loop, host: "127.0.0.1", port: 0) { connection in
                connection.onRead = { bytes in
                    seen.put(String(decoding: bytes.prefix(1), as: UTF8.self))
                    connection.pauseReading()
                    return 1
                }
                held.put(connection)
            }
            let socket = try RawSocket(port: listener.port)
            socket.send("abc")
            #expect(await seen.take() == ["a"])
            let connection = try #require(await held.take().first)
            for expected in [["a", "b"], ["a", "b", "c"]] {
                loop.execute { connection.resumeReading() }
                #expect(await seen.take(expected.count) == expected)
            }
        }
    }

    @Test func endsAreToldOnceWithTheirReason() async throws {
        try await withLoop { loop in
            let seen = Mailbox<String>()
            let listener = try echo(on: loop) { connection in
                connection.onClose = { seen.put("\($0)") }
                connection.setDeadline(afterMilliseconds: 150)
            }
            let leaver = try RawSocket(port: listener.port)
            leaver.finishSending()
            #expect(await seen.take(1) == ["peerFinished"])
            #expect(leaver.receiveToEnd() == [])
            let sleeper = try RawSocket(port: listener.port)
            #expect(sleeper.receiveToEnd() == [])
            #expect(await seen.take(2) == ["peerFinished", "deadline"])
        }
    }

    @Test func stoppingClosesEverything() async throws {
        let loop = try EventLoop(name: "stopping")
        try loop.start()
        let seen = Mailbox<String>()
        let listener = try echo(on: loop) { connection in connection.onClose = { seen.put("\($0)") } }
        let socket = try RawSocket(port: listener.port)
        socket.send("a")
        #expect(socket.receive(exactly: 1) == Array("a".utf8))
        loop.schedule(afterMilliseconds: 60_000) { seen.put("never") }
        loop.stop()
        #expect(seen.all == ["loopStopped"])
        #expect(socket.receiveToEnd() == [])
        #expect(!loop.execute {})
        #expect((try? RawSocket(port: listener.port)) == nil)
        // A task whose executor is gone still ends.
        let value = await Task(executorPreference: loop) { 7 }.value
        #expect(value == 7)
    }

    @Test func aLoopThatNeverRanLetsGoOfItsListeners() async throws {
        let loop = try EventLoop(name: "unstarted")
        let port = try TCPListener(loop: loop, host: "127.0.0.1", port: 0) { $0.close() }.port
        let task = Task(executorPreference: loop) { 7 }
        loop.stop()
        #expect(await task.value == 7)
        try loop.start()
        #expect(!loop.execute {})
        let successor = try EventLoop(name: "successor")
        #expect(try TCPListener(loop: successor, host: "127.0.0.1", port: port) { $0.close() }.port == port)
        successor.stop()
    }

    @Test func onePortMayBeSharedButNotTakenTwice() async throws {
        try await withLoop { loop in
            let first = try TCPListener(loop: loop, host: "127.0.0.1", port: 0, reusePort: true) { $0.close() }
            let second = try TCPListener(loop: loop, host: "127.0.0.1", port: first.port, reusePort: true) {
                $0.close()
            }
            #expect(second.port == first.port)
            let error = try #require(throws: EventLoopError.self) {
                _ = try TCPListener(loop: loop, host: "127.0.0.1", port: first.port) { $0.close() }
            }
            #expect(error.isRetriable)
            #expect(error.description.contains("127.0.0.1:\(first.port)"))
        }
    }

    @Test func connectionsBeyondTheCapWaitForAPlace() async throws {
        try await withLoop { loop in
            let listener = try TCPListener(loop: loop, host: "127.0.0.1", port: 0, connectionsMax: 1) { connection in
                connection.write(Array("hi".utf8))
            }
            let first = try RawSocket(port: listener.port)
            #expect(first.receive(exactly: 2) != nil)
            let second = try RawSocket(port: listener.port)
            first.finishSending()
            #expect(second.receive(exactly: 2) != nil)
        }
    }
}
