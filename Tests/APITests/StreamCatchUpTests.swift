import Bytes
import HTTPServer
import Records
import ServiceLifecycle
import Synchronization
import Telemetry
import Testing

@testable import API

/// Whose pages of the topic are read, and in which order.
@Suite struct StreamCatchUpTests {
    private let topic = WatchedTopic()
    private let catchUp: CatchUp

    init() {
        catchUp = CatchUp(
            topics: topic, metrics: MetricsRegistry(), logger: Logger("stream", level: .error), isEnded: { false })
        catchUp.show(CatchUp.Shown(generation: 1, era: 1, sources: [FakeTopic.source]))
        for partition in 0...1 as ClosedRange<Int32> {
            for offset in 0..<40 as Range<Int64> { topic.inner.add(partition, offset) }
        }
    }

    /// No place of one topic partition is served by the page of a later one.
    private func ask(_ partition: Int32, _ offset: Int64, _ caller: StreamSeats.Caller) -> PageTicket? {
        catchUp.ticket(from: OffsetVector([partition: offset]), to: OffsetVector([0: 40, 1: 40]), for: caller)
    }

    /// Keeps the lane busy with the page of somebody else.
    private func occupy() async throws -> PageTicket? {
        topic.state.withLock { $0.isHeld = true }
        let ticket = ask(0, 39, .key("first"))
        try await eventually { topic.starts.count == 1 }
        return ticket
    }

    private func settle(_ tickets: [PageTicket?]) async throws {
        topic.release()
        try await eventually { tickets.allSatisfy { $0?.outcome != nil } }
    }

    @Test func callersTakeTurnsHoweverManyPagesEachWants() async throws {
        defer { topic.release() }
        let first = try await occupy()
        let address = StreamSeats.Caller.address(try #require(IPAddress("192.0.2.1")))
        let tickets = [ask(0, 30, .key("many")), ask(0, 20, .key("many")), ask(1, 30, address)]
        try await settle([first] + tickets)
        let places: [OffsetVector] = [.init([0: 39]), .init([0: 30]), .init([1: 30]), .init([0: 20])]
        #expect(topic.starts == places)
    }

    @Test func aTicketThatNobodyHoldsIsPassedOver() async throws {
        defer { topic.release() }
        let first = try await occupy()
        var tickets = [ask(0, 30, .key("a")), ask(0, 20, .key("b")), ask(0, 10, .key("c"))]
        #expect(tickets.allSatisfy { $0 != nil })
        tickets.remove(at: 1)
        try await settle([first] + tickets)
        #expect(topic.starts == [39, 30, 10].map { OffsetVector([0: $0]) })
    }

    @Test func aCallerHasTwoTicketsAtMost() async throws {
        defer { topic.release() }
        let first = try await occupy()
        // The page that is being read is its caller's, too.
        let second = ask(0, 38, .key("first"))
        #expect(second != nil && ask(0, 37, .key("first")) == nil)
        var tickets = [ask(0, 30, .key("many")), ask(0, 20, .key("many"))]
        #expect(ask(0, 10, .key("many")) == nil)
        // Where the page is on its way anyway, it is shared, whoever asked for it.
        #expect(ask(0, 20, .key("other")) === tickets[1] && ask(0, 38, .key("many")) === second)
        // Those that were let go of make room.
        tickets.removeLast()
        tickets.append(ask(0, 10, .key("many")))
        #expect(tickets[1] != nil && ask(0, 5, .key("many")) == nil)
        try await settle([first, second] + tickets)
        let next = ask(0, 5, .key("many"))
        try await settle([next])
        #expect(topic.starts == [39, 38, 30, 10, 5].map { OffsetVector([0: $0]) })
    }

    /// While one page takes long, callers come and go without end.
    @Test func callersThatLeftTakeNoRoom() throws {
        var lines = TicketLines()
        let place = OffsetVector([0: 1])
        let stays = PageTicket(from: place, to: place, for: .key("stays"))
        let isIn = lines.add(stays, countMax: 2)
        #expect(isIn)
        for number in 0..<5_000 {
            let comes = lines.add(PageTicket(from: place, to: place, for: .key("\(number)")), countMax: 2)
            #expect(comes)
            #expect(lines.callerCount <= 128)
        }
        let (first, second) = (lines.next(), lines.next())
        #expect(first === stays && second == nil && lines.callerCount == 0)
    }

    private func request(_ number: Int, after place: Int64) -> HTTPRequest {
        HTTPRequest(
            target: "/stream", headers: ["Last-Event-ID": FakeTopic.id([0: place])],
            client: IPAddress("192.0.2.\(number)"))
    }

    /// The same with clients: each asks for another part of the topic, and is gone before its turn.
    @Test func clientsThatLeftCostNoReading() async throws {
        let watched = WatchedTopic()
        let scene = StreamScene(heartbeatMilliseconds: 10, watched: watched)
        for offset in 0..<200 as Range<Int64> { watched.inner.add(0, offset) }
        watched.inner.index([0: 200])
        _ = try await scene.follow([], frames: []) {
            defer { watched.release() }
            watched.state.withLock { $0.isHeld = true }
            let first = try StreamReader(request(1, after: 150), scene.fixture.api)
            try await eventually { watched.starts.count == 2 }
            for number in 2..<12 {
                let reader = try StreamReader(request(number, after: Int64(150 - number)), scene.fixture.api)
                // It has looked around twice, and asked in between.
                try await eventually { reader.heartbeatCount >= 3 }
                reader.leave()
                await reader.end()
            }
            watched.release()
            try await eventually { first.frameCount == 50 }
            let last = try StreamReader(request(20, after: 5), scene.fixture.api)
            try await eventually { last.frameCount == 195 }
            for reader in [first, last] {
                reader.leave()
                await reader.end()
            }
        }
        #expect(watched.starts == [200, 150, 5].map { OffsetVector([0: $0]) })
    }

    /// One address asks from more places than it may have tickets: all of its clients get everything nevertheless.
    @Test func clientsOfOneAddressGetTheirPagesOneAfterTheOther() async throws {
        let watched = WatchedTopic()
        let scene = StreamScene(watched: watched)
        for offset in 0..<200 as Range<Int64> { watched.inner.add(0, offset) }
        watched.inner.index([0: 200])
        _ = try await scene.follow([], frames: []) {
            let readers = try (0..<12).map {
                try StreamReader(request(1, after: 180 - 10 * Int64($0)), scene.fixture.api)
            }
            for (number, reader) in readers.enumerated() {
                try await eventually { reader.frameCount == 20 + 10 * number }
            }
            for reader in readers {
                reader.leave()
                await reader.end()
            }
        }
    }

    /// Consumers may take seconds to close; the clients' hearts beat on.
    @Test func closingReadersHoldsUpNobody() async throws {
        let watched = WatchedTopic()
        let scene = StreamScene(
            heartbeatMilliseconds: 20, logMilliseconds: 3_600_000, catchUpIdleMilliseconds: 0, watched: watched)
        for offset in 0..<3_000 as Range<Int64> { watched.inner.add(0, offset) }
        watched.inner.index([0: 3_000])
        _ = try await scene.follow([], frames: []) {
            defer { watched.release() }
            let listener = try StreamReader(StreamScene.request(), scene.fixture.api)
            watched.state.withLock { state in
                state.isHeld = true
                state.isClosingHeld = true
            }
            // It leaves in front of the second page, so that nobody goes on where the reader is.
            let leaver = try StreamReader(request(1, after: 0), scene.fixture.api)
            try await eventually { watched.starts.count == 2 }
            leaver.leave()
            await leaver.end()
            watched.state.withLock { $0.isHeld = false }
            try await eventually { watched.state.withLock { $0.closing == 1 } }
            let before = listener.heartbeatCount
            try await eventually { listener.heartbeatCount >= before + 5 }
            #expect(watched.state.withLock { $0.closing } == 1)
            listener.leave()
            await listener.end()
        }
    }
}

/// In front of a topic in memory: notes where readers begin, and holds them up.
final class WatchedTopic: EventTopics {
    struct State: Sendable {
        var starts: [OffsetVector] = []
        /// Opening a reader waits until it is false, and so does closing one.
        var isHeld = false
        var isClosingHeld = false
        /// Readers that are being closed now and wait.
        var closing = 0
    }

    let inner = FakeTopic()
    let state = Mutex(State())

    /// Where readers began, in the order of opening.
    var starts: [OffsetVector] { state.withLock { $0.starts } }

    func release() {
        state.withLock { state in
            state.isHeld = false
            state.isClosingHeld = false
        }
    }

    func open(
        _ source: StreamSource, from start: OffsetVector, isStopped: @escaping @Sendable () -> Bool
    ) throws -> any EventReader {
        state.withLock { $0.starts.append(start) }
        while state.withLock({ $0.isHeld }), !isStopped() { sleepMilliseconds(2) }
        return Reader(try inner.open(source, from: start, isStopped: isStopped), self)
    }

    func logs(of sources: [StreamSource]) throws -> StreamLogs { try inner.logs(of: sources) }

    private final class Reader: EventReader {
        private let inner: any EventReader
        private let topic: WatchedTopic

        init(_ inner: any EventReader, _ topic: WatchedTopic) {
            self.inner = inner
            self.topic = topic
        }

        deinit {
            guard topic.state.withLock({ $0.isClosingHeld }) else { return }
            topic.state.withLock { $0.closing += 1 }
            while topic.state.withLock({ $0.isClosingHeld }) { sleepMilliseconds(2) }
            topic.state.withLock { $0.closing -= 1 }
        }

        var hasReachedEnd: Bool { inner.hasReachedEnd }
        var openGaps: [Int32: TopicGap.Reason] { inner.openGaps }

        func next(countMax: Int, timeoutMilliseconds: Int) throws -> [TopicItem] {
            try inner.next(countMax: countMax, timeoutMilliseconds: timeoutMilliseconds)
        }
    }
}
