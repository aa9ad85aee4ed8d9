import Bytes
import Health
import ServiceLifecycle
import Synchronization
import Telemetry
import Testing

/// The states of an index's freshness and what leads to them.
@Suite struct FreshnessTests {
    /// One row of the state machine.
    struct Row: Sendable, CustomStringConvertible {
        var facts: FreshnessFacts
        var limits = FreshnessTests.limits
        var state: Freshness.State
        /// A part of the reason.
        var reason: String
        var description: String { "\(state): \(facts)" }
    }

    static let limits = FreshnessLimits(
        eventsBehindMax: 100, lateMilliseconds: 5_000, staleMilliseconds: 60_000, unknownMilliseconds: 10_000,
        silentMilliseconds: 30_000)
    static let anyNumber = FreshnessLimits(eventsBehindMax: 0)

    static let rows = [
        // Nobody knows.
        Row(facts: FreshnessFacts(lookAgeMilliseconds: nil), state: .unknown, reason: "not answered yet"),
        Row(facts: FreshnessFacts(lookAgeMilliseconds: 10_001), state: .unknown, reason: "not answered for 10 s"),
        Row(
            facts: FreshnessFacts(lookAgeMilliseconds: 0, contradiction: "made anew"), state: .unknown,
            reason: "made anew"),
        // What is known of a moment ago counts, and no longer.
        Row(facts: FreshnessFacts(lookAgeMilliseconds: 10_000), state: .fresh, reason: ""),
        // Unknown wins over everything that was known before.
        Row(
            facts: FreshnessFacts(lookAgeMilliseconds: 10_001, eventsBehind: 500, waitMilliseconds: 90_000),
            state: .unknown, reason: "not answered"),
        // Idle: nothing waits and nothing arrives.
        Row(facts: FreshnessFacts(lookAgeMilliseconds: 0), state: .fresh, reason: ""),
        // At work: some wait for a moment.
        Row(
            facts: FreshnessFacts(lookAgeMilliseconds: 0, eventsBehind: 100, waitMilliseconds: 5_000), state: .fresh,
            reason: ""),
        // Too many.
        Row(
            facts: FreshnessFacts(lookAgeMilliseconds: 0, eventsBehind: 101), state: .stale,
            reason: "101 events behind, more than 100 (READY_MAX_LAG)"),
        Row(
            facts: FreshnessFacts(lookAgeMilliseconds: 0, eventsBehind: 1_000_000), limits: anyNumber, state: .fresh,
            reason: ""),
        // Too long.
        Row(
            facts: FreshnessFacts(lookAgeMilliseconds: 0, eventsBehind: 1, waitMilliseconds: 5_001), state: .late,
            reason: "1 events behind; the oldest has waited for 5 s"),
        Row(
            facts: FreshnessFacts(lookAgeMilliseconds: 0, eventsBehind: 1, waitMilliseconds: 60_000), state: .late,
            reason: "waited for 60 s"),
        Row(
            facts: FreshnessFacts(lookAgeMilliseconds: 0, eventsBehind: 1, waitMilliseconds: 60_001), state: .stale,
            reason: "waited for 60 s"),
        Row(
            facts: FreshnessFacts(lookAgeMilliseconds: 0, eventsBehind: 1, waitMilliseconds: 60_001), limits: anyNumber,
            state: .stale, reason: "waited for 60 s"),
        // A source that is away makes nothing stale that is there, but nothing new can come.
        Row(
            facts: FreshnessFacts(
                lookAgeMilliseconds: 0, source: SourceFacts(disconnectedMilliseconds: 5_001, silentMilliseconds: 0)),
            state: .late, reason: "not been connected for 5 s"),
        Row(
            facts: FreshnessFacts(lookAgeMilliseconds: 0, source: SourceFacts(disconnectedMilliseconds: 5_000)),
            state: .fresh, reason: ""),
        Row(
            facts: FreshnessFacts(lookAgeMilliseconds: 0, source: SourceFacts(silentMilliseconds: 30_001)),
            state: .late,
            reason: "nothing has come from the source for 30 s"),
        Row(
            facts: FreshnessFacts(lookAgeMilliseconds: 0, source: SourceFacts(silentMilliseconds: 900_000_000)),
            limits: anyNumber, state: .fresh, reason: ""),
        // The worse of two.
        Row(
            facts: FreshnessFacts(
                lookAgeMilliseconds: 0, eventsBehind: 101, source: SourceFacts(disconnectedMilliseconds: 99_000)),
            state: .stale, reason: "READY_MAX_LAG"),
    ]

    @Test(arguments: rows) func everyRuleHolds(row: Row) {
        let (state, reason) = row.facts.judge(by: row.limits)
        #expect(state == row.state)
        #expect(row.reason.isEmpty ? reason.isEmpty : reason.contains(row.reason))
        #expect(reason.isEmpty == (state == .fresh))
    }

    @Test func unknownAndStaleAreNotReady() {
        let limits = Self.limits
        #expect(Freshness(.fresh).objection(limits) == nil)
        #expect(Freshness(.late, reason: "x").objection(limits) == nil)
        #expect(Freshness(.stale, reason: "so old").objection(limits) == "so old")
        #expect(Freshness(.unknown, reason: "nobody").objection(limits)?.contains("nobody") == true)
        for state in Freshness.State.allCases { #expect(Freshness(state).objection(Self.anyNumber) == nil) }
    }

    // MARK: The board

    private final class Clock: Sendable {
        let now = Mutex<Int64>(1_000)
        func pass(_ milliseconds: Int64) { now.withLock { $0 += milliseconds } }
    }

    private static let indexedAt: Int64 = 1_700_000_000_000

    /// - Parameter indexedAgo: how long before the wall clock's time the index was written last.
    private func board(_ clock: Clock, indexedAgo: Int64 = 0) -> FreshnessBoard {
        FreshnessBoard(
            limits: Self.limits, clock: { clock.now.withLock { $0 } }, wallClock: { Self.indexedAt + indexedAgo })
    }

    private func look(
        _ clock: Clock, next: Int64?, high: Int64, indexedAt: Int64? = Self.indexedAt, ago: Int64 = 0
    ) -> IndexLook {
        IndexLook(
            generation: 3, indexVersion: 7, indexedAtMilliseconds: indexedAt,
            places: [
                0: IndexLook.Place(next: next, low: 0, high: high), 1: IndexLook.Place(next: 5, low: 0, high: 5),
            ], atMilliseconds: clock.now.withLock { $0 } - ago)
    }

    @Test func theStateFollowsTheIndexAndTheLog() {
        let clock = Clock()
        let board = board(clock)
        #expect(board.current.state == .unknown && board.current.eventsBehind == nil)
        board.note(look(clock, next: 10, high: 10))
        #expect(board.current.state == .fresh && board.current.eventsBehind == 0)
        #expect(board.current.generation == 3 && board.current.indexVersion == 7)
        // Idle for ever is fresh.
        for _ in 0..<100 {
            clock.pass(9_000)
            board.note(look(clock, next: 10, high: 10))
        }
        #expect(board.current.state == .fresh)
        // The indexer stands still while events come: their wait begins when the first came, not when the last did.
        board.note(look(clock, next: 10, high: 20))
        for second in 1...70 {
            clock.pass(1_000)
            board.note(look(clock, next: 10, high: 20 + Int64(second)))
            let expected: Freshness.State = second > 60 ? .stale : second > 5 ? .late : .fresh
            #expect(board.current.state == expected, "second \(second)")
        }
        #expect(board.current.eventsBehind == 80 && board.current.waitMilliseconds == 70_000)
        // It catches up in part: the oldest that waits now came later.
        board.note(look(clock, next: 88, high: 90))
        #expect(board.current.state == .fresh && board.current.waitMilliseconds == 1_000)
        board.note(look(clock, next: 90, high: 90))
        #expect(board.current.state == .fresh && board.current.waitMilliseconds == 0)
        // Nobody answers any more.
        clock.pass(10_001)
        #expect(board.current.state == .unknown && board.current.eventsBehind == nil)
        #expect(board.current.indexedAtMilliseconds == 1_700_000_000_000)
        // What came in that time may have come at its beginning.
        board.note(look(clock, next: 90, high: 91))
        #expect(board.current.state == .late && board.current.eventsBehind == 1)
        #expect(board.current.waitMilliseconds == 10_001)
        board.note(look(clock, next: 91, high: 92))
        #expect(board.current.state == .fresh)
    }

    /// A process that has just started has seen nothing wait; the index's own time says since when something may.
    @Test func aStartBesideAnOldBacklogIsNotFresh() {
        let clock = Clock()
        let starts: [(ago: Int64, state: Freshness.State)] = [(100, .fresh), (6_000, .late), (90_000, .stale)]
        for (ago, state) in starts {
            let board = board(clock, indexedAgo: ago)
            board.note(look(clock, next: 10, high: 12))
            #expect(board.current.state == state && board.current.waitMilliseconds == ago)
            // It is fresh as soon as that is indexed.
            board.note(look(clock, next: 12, high: 14))
            #expect(board.current.state == .fresh && board.current.waitMilliseconds == 0)
        }
        let never = board(clock)
        never.note(look(clock, next: nil, high: 1, indexedAt: nil))
        #expect(never.current.state == .late, "nothing was ever indexed, and something waits")
        let idle = board(clock, indexedAgo: 900_000_000)
        idle.note(look(clock, next: 12, high: 12))
        #expect(idle.current.state == .fresh)
    }

    /// What a look found is as old as its beginning, however long it took.
    @Test func aSlowLookIsAnOldOne() {
        let clock = Clock()
        clock.pass(100_000)
        let board = board(clock)
        board.note(look(clock, next: 12, high: 12, ago: 10_000))
        #expect(board.current.state == .fresh)
        board.note(look(clock, next: 12, high: 12, ago: 10_001))
        #expect(board.current.state == .unknown)
    }

    /// A log of many lengths is remembered within a bound, and the oldest wait stays what it was.
    @Test func longWaitsAreRemembered() {
        let clock = Clock()
        let board = board(clock)
        for second in 0..<1_000 {
            board.note(look(clock, next: 0, high: Int64(second + 1)))
            clock.pass(1_000)
        }
        #expect(board.current.waitMilliseconds == 999_000)
        // What came at second 900 is the oldest now; at most it is taken for younger than it is.
        board.note(look(clock, next: 900, high: 1_000))
        let wait = board.current.waitMilliseconds ?? 0
        #expect(wait > 0 && wait <= 100_000)
    }

    @Test func placesCountFromWhereSomethingWaits() {
        typealias Place = IndexLook.Place
        #expect(Place(next: nil, low: 40, high: 50).behind == 10, "without a checkpoint from the log's start")
        #expect(Place(next: 10, low: 40, high: 50).behind == 10, "what expired waits no more")
        #expect(Place(next: 48, low: 40, high: 50).behind == 2)
        #expect(Place(next: 48, low: 40, high: 50, emptyUpTo: 50).behind == 0, "marks of transactions are nothing")
        #expect(Place(next: 48, low: 40, high: 50, emptyUpTo: 60).start == 50)
        #expect(Place(next: 60, low: 40, high: 50).behind == 0)
    }

    /// An index that is ahead of its topic was made from another one: nothing of its lag is known.
    @Test func aTopicMadeAnewIsUnknown() {
        let clock = Clock()
        let board = board(clock)
        board.note(look(clock, next: 500, high: 20))
        #expect(board.current.state == .unknown && board.current.eventsBehind == nil)
        #expect(board.current.reason.contains("has reached offset 500"))
        #expect(board.current.objection(Self.limits) != nil)
    }

    @Test func theSourceIsAskedAtEachLook() {
        let clock = Clock()
        let board = board(clock)
        board.follow { SourceFacts(disconnectedMilliseconds: 6_000) }
        board.note(look(clock, next: 10, high: 10))
        #expect(board.current.state == .late && board.current.eventsBehind == 0)
    }

    @Test func theStateIsAMetric() {
        let clock = Clock()
        let (registry, board) = (MetricsRegistry(), board(clock))
        FreshnessMetrics.register(registry, SourcesFreshness(limits: Self.limits, boards: [("edits", board)]))
        func text() -> String { String(decoding: registry.render(), as: UTF8.self) }
        #expect(text().contains("medallion_index_freshness_state{state=\"unknown\"} 1\n"))
        #expect(text().contains("medallion_index_events_behind NaN\n"))
        board.note(look(clock, next: 0, high: 101))
        #expect(text().contains("medallion_index_freshness_state{state=\"stale\"} 1\n"))
        #expect(text().contains("medallion_index_freshness_state{state=\"unknown\"} 0\n"))
        #expect(text().contains("medallion_index_events_behind 101\n"))
        #expect(text().contains("medallion_source_events_behind{source=\"edits\"} 101\n"))
        #expect(text().contains("medallion_source_freshness_state{source=\"edits\",state=\"stale\"} 1\n"))
        #expect(text().contains("medallion_index_indexed_at_seconds 1700000000\n"))
    }

    /// A look that hangs is one that fails: who reads does not wait for it.
    @Test func theWatchGoesOnAfterFailures() async throws {
        struct Gone: Error {}
        let board = FreshnessBoard(limits: Self.limits)
        let looks = Mutex(0)
        @Sendable func answer() -> IndexLook {
            IndexLook(
                generation: 1, indexVersion: 1, indexedAtMilliseconds: nil, places: [:],
                atMilliseconds: SystemClock.monotonicNanoseconds() / 1_000_000)
        }
        let watch = FreshnessWatch(board: board, logger: Logger("freshness", level: .error)) {
            let number = looks.withLock { looks in
                looks += 1
                return looks
            }
            if number == 1 { throw Gone() }
            return answer()
        }
        let stop = StopSignal()
        let running = Task { try await watch.run(stop: stop) }
        while board.current.state != .fresh { _ = await stop.pause(milliseconds: 10) }
        stop.request()
        try await running.value
        #expect(looks.withLock { $0 } >= 2)
    }
}

/// What a process says of itself.
@Suite struct HealthPagesTests {
    private func text(_ page: HealthPages.Page) -> String { String(decoding: page.body, as: UTF8.self) }

    @Test func aPartThatIsExpectedIsNotReady() async {
        let health = HealthRegistry()
        let pages = HealthPages(health, version: "1")
        #expect(pages.ready().status == 200)
        health.expect("indexer", isRequired: true)
        #expect(pages.ready().status == 503)
        #expect(text(pages.ready()).contains("indexer is unknown: not looked at yet"))
        #expect(pages.live().status == 200)
        health.register("indexer", isRequired: true) { HealthReport(.ok) }
        health.expect("indexer", isRequired: true)
        await health.checkAll()
        #expect(pages.ready().status == 200 && text(pages.ready()) == #"{"ready":true,"reasons":[]}"#)
        health.register("indexer", isRequired: true) { HealthReport(.failed, "at db.internal:5432") }
        await health.checkAll()
        #expect(pages.health().status == 503)
        #expect(text(pages.ready()).contains("db.internal") && text(pages.health()).contains("db.internal"))
        // Strangers are told that, but not what.
        #expect(!text(pages.ready(isDetailed: false)).contains("db.internal"))
        #expect(text(pages.health(isDetailed: false)) == #"{"status":"failed"}"#)
    }

    @Test func theFreshnessOfTheIndexCounts() {
        let value = Mutex(Freshness(.unknown, reason: "nobody looks"))
        let pages = HealthPages(
            HealthRegistry(), freshness: { (value.withLock { $0 }, FreshnessLimits()) }, version: "1")
        #expect(pages.ready().status == 503 && text(pages.ready()).contains("nobody looks"))
        #expect(text(pages.health()).contains(#""freshness":"unknown","freshness_reason":"nobody looks""#))
        value.withLock { $0 = Freshness(.late, reason: "a moment") }
        #expect(pages.ready().status == 200)
    }
}
