import Access
import Bytes
import HTTPServer
import PlatformTesting
import Synchronization
import Testing

@testable import API

/// Who waits where callers want more work done than there may be.
@Suite struct WorkSharesTests {
    private typealias Shares = WorkShares<String>

    private static let second: Int64 = 1_000_000_000

    /// A quarter of a processor.
    private func shares(atOnce: Int = 1, callersMax: Int = 100) -> Shares {
        Shares(secondsPerSecond: 0.25, heavyAtOnceMax: atOnce, callersMax: callersMax, now: 0)
    }

    /// A turn that takes so long; false where the caller was told to wait.
    private func work(_ shares: inout Shares, _ caller: String, _ nanoseconds: Int64, now: Int64) -> Bool {
        guard case .begin(let turn) = shares.ask(caller, now: now) else { return false }
        shares.end(turn, of: caller, nanoseconds: nanoseconds, now: now + nanoseconds)
        return true
    }

    @Test func whoUsesLittleNeverWaitsForWhoUsesMuch() {
        var shares = shares()
        var heavy = (done: 0, asked: 0)
        var light = (done: 0, asked: 0)
        // Twenty callers want 50 ms of work ten times a second each, which is 10 processors; one wants 5 ms once a second.
        for tick in Int64(0)..<300 {
            let now = tick * Self.second / 10
            for caller in 0..<20 {
                heavy.asked += 1
                if work(&shares, "heavy-\(caller)", 50_000_000, now: now) { heavy.done += 1 }
            }
            guard tick % 10 == 0 else { continue }
            light.asked += 1
            if work(&shares, "light", 5_000_000, now: now) { light.done += 1 }
        }
        #expect(light.done == light.asked, "\(light)")
        // A quarter of a processor for 30 s are 150 such turns; until it is known what they cost some more begin.
        #expect((100...260).contains(heavy.done), "\(heavy)")
    }

    @Test func aloneEverybodyGetsAllThatThereMayBe() {
        var shares = shares()
        var done = 0
        for tick in Int64(0)..<3_000 {
            if work(&shares, "only", 10_000_000, now: tick * Self.second / 100) { done += 1 }
        }
        // 30 s at a quarter of a processor, in pieces of 10 ms: 750, and what is free in the beginning.
        #expect((700...900).contains(done), "\(done)")
    }

    @Test func equalsShareAlike() {
        var shares = shares(atOnce: 4)
        var done = [Int](repeating: 0, count: 4)
        for tick in Int64(0)..<4_000 {
            for place in 0..<4 {
                // In turn who is asked first.
                let caller = (place + Int(tick)) % 4
                if work(&shares, "\(caller)", 10_000_000, now: tick * Self.second / 100) { done[caller] += 1 }
            }
        }
        let (least, most) = (done.min() ?? 0, done.max() ?? 0)
        #expect(least * 10 > most * 8 && least > 150, "\(done)")
    }

    /// Turns that a caller beyond the fair share gets at one moment, with a bucket that is not empty yet.
    private func turnsAtOnce(_ shares: inout Shares) -> [WorkTurn] {
        // A little more than there may be: after 20 s its usage is beyond the share, and the bucket still holds 50 ms.
        for tick in Int64(0)..<200 { _ = work(&shares, "b", 26_000_000, now: tick * Self.second / 10) }
        var turns: [WorkTurn] = []
        for _ in 0..<6 {
            if case .begin(let turn) = shares.ask("b", now: 20 * Self.second) { turns.append(turn) }
        }
        return turns
    }

    @Test func heavyCallersHoldOnlySoManyAtOnce() throws {
        var many = shares(atOnce: 6)
        let given = turnsAtOnce(&many)
        #expect(given.count == 2 && given.allSatisfy(\.isHeavy), "the bucket alone allows two")
        var one = shares(atOnce: 1)
        let turns = turnsAtOnce(&one)
        #expect(turns.count == 1 && turns.allSatisfy(\.isHeavy))
        let turn = try #require(turns.first)
        one.end(turn, of: "b", nanoseconds: 0, now: 20 * Self.second)
        guard case .begin = one.ask("b", now: 20 * Self.second) else {
            Issue.record("the place that came free was not given")
            return
        }
    }

    /// A clock that goes back, thousands of callers, turns that cost nothing.
    @Test func isBounded() {
        var shares = shares(callersMax: 50)
        for number in 0..<5_000 { _ = work(&shares, "\(number)", 1_000_000, now: Int64(5_000 - number) * 1_000_000) }
        #expect(shares.count <= 50)
        #expect(!work(&shares, "one more", 0, now: 0), "who cannot be remembered counts as one who has used much")
        // All is forgotten after a minute.
        #expect(work(&shares, "one more", 0, now: 60 * Self.second))
    }

    // MARK: Through the API

    private func search(_ fixture: APIFixture, from address: String, _ headers: HTTPHeaders = [:]) async -> HTTPResponse
    {
        var headers = headers
        headers.add("Content-Type", "application/json")
        return await fixture.reply(
            HTTPRequest(
                method: .post, target: "/search", headers: headers,
                body: Array(#"{"query": "golden gate", "mode": "lexical", "filters": {"wiki": "enwiki"}}"#.utf8),
                client: IPAddress(address)))
    }

    @Test func anAddressThatCausedMuchWorkWaitsAndOthersDoNot() async throws {
        let keys = TestKeys()
        let key = try keys.make(.read)
        var access = AccessConfiguration()
        access.anonymousWorkMilliseconds = 100
        let fixture = APIFixture(access: access, readKeys: keys.read)
        fixture.api.access.use(.init(keys.read()))
        fixture.fill()
        fixture.index.state.withLock { $0.filteredDelayMilliseconds = 120 }
        let statuses = Mutex<[Int]>([])
        // 15 ms of filtered searches a second, and each takes 120.
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<16 {
                group.addTask { @Sendable in
                    for _ in 0..<2 {
                        let reply = await search(fixture, from: "203.0.113.7")
                        statuses.withLock { $0.append(reply.status) }
                    }
                }
            }
        }
        let told = statuses.withLock { $0 }
        #expect(told.contains(200) && told.contains(429), "\(told)")
        #expect(Set(told).isSubset(of: [200, 429]))
        let refused = await search(fixture, from: "203.0.113.7")
        #expect(refused.status == 429)
        #expect(String(decoding: refused.body, as: UTF8.self).contains("too_much_work"))
        #expect(refused.headers["retry-after"] == "1")
        // Another address, and the same one with a key.
        #expect(await search(fixture, from: "203.0.113.8").status == 200)
        #expect(await search(fixture, from: "203.0.113.7", ["X-API-Key": key]).status == 200)
        // Other kinds of work are counted by themselves.
        let recent = await fixture.reply(
            HTTPRequest(
                method: .get, target: "/events/recent", headers: [:], body: [], client: IPAddress("203.0.113.7")))
        #expect(recent.status == 200)
    }
}

/// How fast callers may read the stream's past.
@Suite struct CatchUpPaceTests {
    private let one = StreamSeats.Caller.address(IPAddress("203.0.113.7").unsafelyKnown)
    private static let second: Int64 = 1_000_000_000

    /// Bytes that a caller gets in so many seconds, in pages of 100,000.
    private func bytes(_ pace: CatchUpPace, _ caller: StreamSeats.Caller, seconds: Int64, from start: Int64 = 0) -> Int
    {
        var now = start
        var sum = 0
        while now < start + seconds * Self.second {
            let wait = pace.waitMilliseconds(caller, now: now)
            if wait == 0 {
                pace.note(100_000, of: caller, now: now)
                sum += 100_000
            }
            now += Int64(max(1, wait)) * 1_000_000
        }
        return sum
    }

    @Test func aCallerGetsItsRateOverAllOfItsStreams() {
        let pace = CatchUpPace(bytesPerSecond: 1_000_000)
        let first = bytes(pace, one, seconds: 20)
        // Eight seconds' worth at once, then the rate.
        #expect((27_500_000...28_500_000).contains(first), "\(first)")
        #expect((4_900_000...5_200_000).contains(bytes(pace, one, seconds: 5, from: 20 * Self.second)))
        // After a pause there is as much at once again.
        #expect(bytes(pace, one, seconds: 1, from: 60 * Self.second) >= 8_000_000)
    }

    @Test func aKeyGetsMoreAndOthersAreNotCounted() {
        let pace = CatchUpPace(bytesPerSecond: 1_000_000)
        _ = bytes(pace, one, seconds: 10)
        #expect(pace.waitMilliseconds(one, now: 10 * Self.second) > 0)
        #expect(pace.waitMilliseconds(.address(IPAddress("203.0.113.8").unsafelyKnown), now: 10 * Self.second) == 0)
        #expect(bytes(pace, .key("k"), seconds: 20) >= 8 * 27_000_000)
        #expect(bytes(CatchUpPace(bytesPerSecond: 0), one, seconds: 1) == 100_000_000, "0 is any number")
    }

    private func readers(_ scene: StreamScene, count: Int) async throws -> [SeenFrame] {
        for offset in 0..<1_200 { scene.topic.add(0, Int64(offset)) }
        scene.topic.index([0: 1_200])
        let request = HTTPRequest(
            method: .get, target: "/stream", headers: ["Last-Event-ID": "0:0"], body: [],
            client: IPAddress("203.0.113.7"))
        return try await scene.follow([request], frames: [count]) {}[0]
    }

    /// A reader that comes back and wants everything from the start gets all of it in the end.
    @Test func aReaderOfThePastGetsAllOfIt() async throws {
        // About 140 kB, of which eight seconds' worth come at once.
        let frames = try await readers(StreamScene(catchUpBytesPerSecond: 14_000), count: 1_200)
        #expect(frames.map(\.document) == (0..<1_200).map { "0-\($0)" })
    }

    @Test func aReaderOfThePastGetsNoMoreThanItsShare() async throws {
        // Eight bytes at once: the first events take them and more, and the next would be there in an hour.
        let scene = StreamScene(catchUpBytesPerSecond: 1)
        let frames = try await readers(scene, count: 1)
        #expect(frames.count < 1_200, "\(frames.count)")
        #expect(scene.fixture.api.stream.catchUpPace.waitMilliseconds(one, now: SystemClock.monotonicNanoseconds()) > 0)
    }
}

extension IPAddress? {
    /// Of a literal of these tests.
    fileprivate var unsafelyKnown: IPAddress {
        guard let self else { preconditionFailure("the test's address is none") }
        return self
    }
}
