import Bytes
import Concurrency
import Glibc
import HTTPEndpoints
import HTTPServer
import IndexTesting
import JSONScan
import Retrieval
import Synchronization
import Testing

@testable import API

/// A door that stays shut until a test opens it; lanes block on it as on a statement that takes long.
private final class Gate: Sendable {
    private let isOpen = Mutex(false)
    private let count = Mutex(0)

    /// Callers that have arrived.
    var arrived: Int { count.withLock { $0 } }

    func open() { isOpen.withLock { $0 = true } }

    /// Blocks for a minute at most.
    func pass() {
        count.withLock { $0 += 1 }
        for _ in 0..<60_000 where !isOpen.withLock({ $0 }) { sleepMilliseconds(1) }
    }
}

/// A number that several tasks count up.
private final class Counter: Sendable {
    private let number = Mutex(0)

    var value: Int { number.withLock { $0 } }

    func add() { number.withLock { $0 += 1 } }
    func clear() { number.withLock { $0 = 0 } }
}

@Suite struct LanePoolTests {
    private static let deadline = Deadline(milliseconds: 50_000)

    private static func inPlace(_ pool: LanePool<Int>, _ body: () throws -> Int?) async throws -> Int {
        try await pool.run(deadline: deadline, inPlace: body, else: { number, _ in number })
    }

    /// What needs no lane's thread takes a lane's place all the same.
    @Test func workInPlaceTakesItsTurn() async throws {
        let pool = LanePool<Int>(name: "small", count: 1, waitMillisecondsMax: 1) { 1 }
        #expect(try await Self.inPlace(pool) { 2 } == 2)
        #expect(try await Self.inPlace(pool) { nil } == 1)
        await #expect(throws: APIError.self) {
            try await Self.inPlace(pool) { throw APIError.unavailable("the index", "a test") }
        }
        let gate = Gate()
        let holder = Task { try await pool.run(deadline: Self.deadline) { _, _ in gate.pass() } }
        try await eventually { gate.arrived == 1 }
        await #expect(throws: WaitError.self) { try await Self.inPlace(pool) { 3 } }
        gate.open()
        try await holder.value
    }

    /// What cannot be done in place is done in the same place, before those who came later.
    @Test func workInPlaceStandsInLineOnce() async throws {
        let pool = LanePool<Int>(name: "small", count: 1) { 1 }
        let gate = Gate()
        let holder = Task { try await pool.run(deadline: Self.deadline) { _, _ in gate.pass() } }
        try await eventually { gate.arrived == 1 }
        let ran = Counter()
        let first = Task { try await pool.run(deadline: Self.deadline, inPlace: { nil }, else: { _, _ in ran.value }) }
        try await eventually { pool.waiting == 1 }
        let second = Task { try await pool.run(deadline: Self.deadline) { _, _ in ran.add() } }
        try await eventually { pool.waiting == 2 }
        gate.open()
        #expect(try await first.value == 0)
        try await second.value
        try await holder.value
    }

    @Test func aCancelledTaskLeavesTheLineAtOnce() async throws {
        let pool = LanePool<Int>(name: "small", count: 1) { 1 }
        let gate = Gate()
        let holder = Task { try await pool.run(deadline: Self.deadline) { _, _ in gate.pass() } }
        try await eventually { gate.arrived == 1 }
        let ran = Counter()
        let waiters = (0..<5).map { _ in
            Task { try await pool.run(deadline: Self.deadline) { _, _ in ran.add() } }
        }
        try await eventually { pool.waiting == 5 }
        for waiter in waiters { waiter.cancel() }
        // While the lane is still held.
        for waiter in waiters { await #expect(throws: CancellationError.self) { try await waiter.value } }
        #expect(pool.waiting == 0)
        gate.open()
        try await holder.value
        #expect(try await pool.run(deadline: Self.deadline) { value, _ in value } == 1)
        #expect(ran.value == 0)
    }

    @Test func aCancelledTaskDoesNotBegin() async throws {
        let pool = LanePool<Int>(name: "small", count: 1) { 1 }
        let ran = Counter()
        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            try await pool.run(deadline: Self.deadline) { _, _ in ran.add() }
        }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(ran.value == 0)
    }

    @Test func aCancellationStopsTheCallItIsMeantForAndNoOther() async throws {
        let requests = Counter()
        let stopped = Counter()
        let pool = LanePool<Int>(
            name: "small", count: 1, make: { 1 },
            interruption: { _ in
                Interruption(
                    request: {
                        requests.add()
                        stopped.add()
                    }, clear: { stopped.clear() })
            })
        let begun = Counter()
        let task = Task {
            try await pool.run(deadline: Self.deadline) { _, _ in
                begun.add()
                for _ in 0..<60_000 {
                    if stopped.value > 0 { throw FakeFailure() }
                    sleepMilliseconds(1)
                }
            }
        }
        try await eventually { begun.value == 1 }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(requests.value == 1)
        // One that ends first is not stopped afterwards, and the request before does not reach it.
        let late = Task {
            let value = try await pool.run(deadline: Self.deadline) { value, _ in
                stopped.value > 0 ? 0 : value
            }
            while !Task.isCancelled { await Task.yield() }
            return value
        }
        try await eventually { pool.waiting == 0 }
        late.cancel()
        let value = try? await late.value
        #expect(value == nil || value == 1)
        #expect(try await pool.run(deadline: Self.deadline) { value, _ in stopped.value > 0 ? 0 : value } == 1)
    }

    @Test func waitingEndsWithARefusalLongBeforeTheDeadline() async throws {
        let pool = LanePool<Int>(name: "small", count: 1, waitMillisecondsMax: 20) { 1 }
        let gate = Gate()
        let holder = Task { try await pool.run(deadline: Self.deadline) { _, _ in gate.pass() } }
        try await eventually { gate.arrived == 1 }
        let late = await #expect(throws: WaitError.self) {
            try await pool.run(deadline: Self.deadline) { value, _ in value }
        }
        let told = late.map { APIError($0) }
        #expect(told?.status == 503 && told?.headers["Retry-After"] == "1")
        let atOnce = await #expect(throws: WaitError.self) {
            try await pool.run(deadline: Self.deadline, waitMillisecondsMax: 0) { value, _ in value }
        }
        #expect(atOnce.map { APIError($0).status } == 503)
        let deadline = Deadline(milliseconds: 5)
        let passed = await #expect(throws: WaitError.self) {
            try await pool.run(deadline: deadline) { value, _ in value }
        }
        #expect(passed.map { APIError($0).status } == 504)
        gate.open()
        try await holder.value
    }
}

/// Kinds of requests have lanes of their own: what takes long holds up nothing else.
@Suite struct LaneTests {
    private static let forever = 60_000
    private static let filtered = #"{"query": "golden", "filters": {"collection": "nope"}}"#

    private func counted(_ fixture: APIFixture) -> Int { fixture.index.state.withLock { $0.scans.count } }

    @Test func ordinaryRequestsNeverWaitForFilteredOnes() async throws {
        let fixture = APIFixture(configure: { $0.laneWaitMillisecondsMax = 200 })
        fixture.fill()
        fixture.index.state.withLock { $0.filteredDelayMilliseconds = Self.forever }
        let hostile = (0..<60).map { _ in Task { await fixture.post(.search, Self.filtered).status } }
        try await eventually { counted(fixture) == 2 }
        for _ in 0..<5 {
            #expect(await fixture.post(.search, #"{"query": "golden gate"}"#).status == 200)
            #expect(await fixture.post(.answer, #"{"query": "who repainted the golden gate bridge?"}"#).status == 200)
            #expect(await fixture.get(.recent).status == 200)
            #expect(await fixture.get(.trace, path: ["doc_id": "d-bridge"]).status == 200)
        }
        let refused = await fixture.reply(APIFixture.posting("/search", Self.filtered))
        #expect(refused.status == 503 && refused.headers["Retry-After"] != nil)
        for task in hostile { task.cancel() }
        for task in hostile { #expect(await task.value == 503) }
        #expect(fixture.index.state.withLock { $0.interrupted } == 2, "both that ran were stopped")
    }

    /// The search of a client that left is stopped, and its lane serves the next on the same connection.
    @Test func aCancelledRequestLeavesItsLaneAndItsQuery() async throws {
        let fixture = APIFixture(configure: { $0.filteredLanes = 1 })
        fixture.fill()
        fixture.index.state.withLock { $0.filteredDelayMilliseconds = Self.forever }
        let left = Task { await fixture.post(.search, Self.filtered) }
        try await eventually { counted(fixture) == 1 }
        left.cancel()
        let (status, body) = await left.value
        #expect(status == 503 && body["error"]?["type"]?.string == "cancelled")
        #expect(fixture.index.state.withLock { $0.interrupted } == 1)
        fixture.index.state.withLock { $0.filteredDelayMilliseconds = 0 }
        #expect(await fixture.post(.search, Self.filtered).status == 200)
        #expect(fixture.index.state.withLock { $0.opened } == 1)
    }

    /// As above, by a client that closes its socket: what the server sees first is only that it sends nothing more.
    @Test func aClientThatLeavesStopsItsSearch() async throws {
        let fixture = APIFixture(configure: { $0.filteredLanes = 1 })
        fixture.fill()
        fixture.index.state.withLock { $0.filteredDelayMilliseconds = Self.forever }
        try await withAPI(fixture) { port in
            let client = try Self.connection(port)
            let body = Self.filtered
            let request =
                "POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
            #expect(send(client, request, request.utf8.count, Int32(MSG_NOSIGNAL)) == request.utf8.count)
            try await eventually { counted(fixture) == 1 }
            close(client)
            try await eventually { fixture.index.state.withLock { $0.interrupted } == 1 }
        }
    }

    private static func connection(_ port: UInt16) throws -> Int32 {
        let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(client, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(code == 0)
        return client
    }

    @Test func anExactSearchThatMeetsItsBoundIsSaidInTheReply() async throws {
        let fixture = APIFixture(configure: { $0.exactMillisecondsMax = 30 })
        fixture.fill()
        fixture.index.state.withLock {
            $0.isVectorArmShort = true
            $0.exactDelayMilliseconds = Self.forever
        }
        for body in [#"{"query": "golden"}"#, #"{"query": "golden", "filters": {"lang": "en"}}"#] {
            let (status, reply) = await fixture.post(.search, body)
            #expect(status == 200)
            #expect(reply["incomplete_arms"]?.array?.compactMap(\.string) == ["vector"])
            #expect(reply["missing_arms"] == nil)
            #expect(reply["hits"]?.array?.isEmpty == false)
        }
        let (status, answer) = await fixture.post(.answer, #"{"query": "golden"}"#)
        #expect(status == 200 && answer["incomplete_arms"] != nil)
        #expect(fixture.index.state.withLock { $0.opened } == 2, "the connections were kept: one of each kind")
        fixture.index.state.withLock { $0.exactDelayMilliseconds = 0 }
        let (_, whole) = await fixture.post(.search, #"{"query": "golden", "filters": {"lang": "en"}}"#)
        #expect(whole["incomplete_arms"] == nil && whole["hits"]?.array?.isEmpty == false)
    }

    /// However many are asked for: two are made, and the others wait while searches go on.
    @Test func searchesNeverWaitForAnswers() async throws {
        let fixture = APIFixture(configure: {
            $0.storeLanes = 4
            $0.laneWaitMillisecondsMax = 200
        })
        fixture.fill()
        fixture.index.state.withLock {
            $0.slowText = "slow question"
            $0.filteredDelayMilliseconds = Self.forever
        }
        let replied = Counter()
        let crowd = (0..<20).map { _ in
            Task {
                defer { replied.add() }
                return await fixture.post(.answer, #"{"query": "slow question"}"#).status
            }
        }
        try await eventually { counted(fixture) == 2 }
        for _ in 0..<5 { #expect(await fixture.post(.search, #"{"query": "golden gate"}"#).status == 200) }
        // The others are refused while the two go on; a place that became free would be theirs.
        try await eventually { replied.value == 18 }
        for task in crowd { task.cancel() }
        for task in crowd { #expect(await task.value == 503) }
        #expect(fixture.index.state.withLock { $0.interrupted } == 2)
    }

    /// It takes what the index gave it rather than stand in the line of exact searches.
    @Test func anOrdinarySearchDoesNotWaitToBeDoneExactly() async throws {
        let fixture = APIFixture(configure: { $0.exactWaitMillisecondsMax = 10 })
        fixture.fill()
        fixture.index.state.withLock { $0.filteredDelayMilliseconds = Self.forever }
        let hostile = (0..<2).map { _ in Task { await fixture.post(.search, Self.filtered).status } }
        try await eventually { counted(fixture) == 2 }
        fixture.index.state.withLock { $0.isVectorArmShort = true }
        let (status, reply) = await fixture.post(.search, #"{"query": "golden"}"#)
        #expect(status == 200 && reply["incomplete_arms"]?.array?.count == 1)
        #expect(reply["hits"]?.array?.isEmpty == false)
        for task in hostile { task.cancel() }
        for task in hostile { _ = await task.value }
    }

    /// As one does that waits for the object storage.
    @Test func oneTraceThatHangsHoldsUpNoOther() async throws {
        let fixture = APIFixture(timeoutMilliseconds: 2_000)
        fixture.fill()
        fixture.index.state.withLock { $0.hangingTrace = "d-tahoe" }
        let slow = Task { await fixture.get(.trace, path: ["doc_id": "d-tahoe"]).status }
        try await eventually { fixture.index.state.withLock { $0.hangingTraces } == 1 }
        for _ in 0..<3 { #expect(await fixture.get(.trace, path: ["doc_id": "d-bridge"]).status == 200) }
        slow.cancel()
        #expect(await slow.value == 503)
    }

    /// Sentences that wait for the model keep no search from it.
    @Test func sentencesOfAnswersHoldUpNoSearch() async throws {
        let held = Counter()
        let embedder = QueryEmbedder(
            modelName: "two lines",
            embedSentences: { texts in
                held.add()
                try await Task.sleep(for: .seconds(60))
                return texts.map(FakeIndex.embed)
            }, embed: { $0.map(FakeIndex.embed) })
        let fixture = APIFixture(
            embedder: embedder,
            configure: {
                $0.storeLanes = 9
                $0.answersAtOnceMax = 8
            })
        fixture.index.add(
            "two", title: "Bridge", comment: "The bridge was repainted. It is red now. Nobody complained.")
        let question = #"{"query": "who repainted the bridge?"}"#
        let answers = (0..<8).map { _ in Task { await fixture.post(.answer, question).status } }
        try await eventually { held.value == 8 }
        let (status, reply) = await fixture.post(.search, #"{"query": "bridge"}"#)
        #expect(status == 200 && reply["missing_arms"] == nil)
        for task in answers { task.cancel() }
        for task in answers { #expect(await task.value == 503) }
    }
}

@Suite struct RecentPageTests {
    /// A page that was cut short says so and goes on; following it loses nothing.
    @Test func aPageWithoutAnEventMayGoOn() async throws {
        let fixture = APIFixture()
        fixture.index.add("rare", title: "Rare", comment: "one", wiki: "rarewiki")
        for number in 0..<7 { fixture.index.add("d-\(number)", title: "Title \(number)", comment: "common") }
        fixture.index.state.withLock { $0.recentRowsMax = 3 }
        var cursor: String?
        var found: [String] = []
        var states: [Bool] = []
        repeat {
            var query = [(name: "wiki", value: "rarewiki"), (name: "limit", value: "5")]
            if let cursor { query.append((name: "cursor", value: cursor)) }
            let (status, body) = await fixture.get(.recent, query)
            #expect(status == 200)
            found += body["events"]?.array?.compactMap { $0["doc_id"]?.string } ?? []
            states.append(body["complete"]?.bool ?? false)
            cursor = body["next_cursor"]?.string
        } while cursor != nil && states.count < 10
        #expect(found == ["rare"])
        #expect(states == [false, false, true])
    }

    @Test func pagesGoOnUntilTheOldest() async throws {
        let fixture = APIFixture()
        for number in 0..<7 { fixture.index.add("d-\(number)", title: "Title \(number)", comment: "common") }
        var cursor: String?
        var found: [String] = []
        repeat {
            var query = [(name: "limit", value: "3"), (name: "after", value: "1")]
            if let cursor { query.append((name: "cursor", value: cursor)) }
            let (_, body) = await fixture.get(.recent, query)
            #expect(body["complete"]?.bool == true)
            found += body["events"]?.array?.compactMap { $0["doc_id"]?.string } ?? []
            cursor = body["next_cursor"]?.string
        } while cursor != nil && found.count < 20
        #expect(found == (1..<7).reversed().map { "d-\($0)" })
        for wrong in ["1.2", "1.2.3.4", "a.b.c", "-1.2.3", "1.2.", "1..3", "+1.2.3", "1.2.99999999999999999999"] {
            let (status, body) = await fixture.get(.recent, [(name: "cursor", value: wrong)])
            #expect(status == 422, "\(wrong)")
            #expect(body["error"]?["detail"]?[0]?["type"]?.string == "cursor_invalid")
        }
    }
}
