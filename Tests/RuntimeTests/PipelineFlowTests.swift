import Health
import Synchronization
import Testing

/// What a process that serves the index sees pass the stages, wherever they run.
@Suite struct PipelineFlowTests {
    /// A clock that is moved by hand.
    private final class Clock: Sendable {
        private let now = Mutex<Int64>(1)

        var nanoseconds: Int64 { now.withLock { $0 } }
        func pass(seconds: Int64) { now.withLock { $0 += seconds * 1_000_000_000 } }
    }

    private let clock = Clock()
    private let flow: PipelineFlow

    init() {
        flow = PipelineFlow(
            clock: { [clock] in clock.nanoseconds }, wallClock: { [clock] in clock.nanoseconds / 1_000_000 })
    }

    private func look(_ places: [Int32: (next: Int64, high: Int64)], of source: String = "a") {
        flow.note(
            IndexLook(
                generation: 1, indexVersion: 1, indexedAtMilliseconds: nil,
                places: places.mapValues { IndexLook.Place(next: $0.next, low: 0, high: $0.high) }, atMilliseconds: 0),
            of: source, topic: source)
    }

    private func stage(_ name: PipelineStage.Name) -> PipelineStage? { flow.reading.stages.first { $0.name == name } }

    private func lags() -> [Int64?] { [.committed, .indexed, .searchable].map { stage($0)?.lag } }

    // MARK: - Times

    @Test func stepsAddUpToTheWay() {
        let way = EventDwell(
            event: 1_000, received: 1_500, broker: 1_520, committed: 1_700, indexed: 1_730, searchable: 1_760)
        #expect(way.received == 500 && way.broker == 20 && way.committed == 180)
        #expect(way.indexed == 30 && way.searchable == 30 && way.fromBroker == 240 && way.whole == 760)
    }

    @Test func whatIsNotKnownIsLeftOut() {
        // The age of a recorded event is no time that it spent on the way.
        let recorded = EventDwell(
            event: 1_000, received: 9_000_000, broker: 9_000_001, committed: 9_000_005, indexed: 9_000_006,
            searchable: 9_000_010)
        #expect(recorded.received == nil && recorded.broker == 1 && recorded.whole == 10)
        // Another producer's records do not say when it had them.
        let others = EventDwell(event: 100, received: nil, broker: 140, committed: 150, indexed: 151, searchable: 160)
        #expect(others.received == 40 && others.broker == nil && others.whole == 60)
    }

    @Test func clocksThatDisagreeMakeNoNegativeTimes() {
        let ahead = EventDwell(event: 900, received: 800, broker: 700, committed: 650, indexed: 500, searchable: 600)
        #expect(ahead == EventDwell(event: 0, received: 0, broker: 0, committed: 0, indexed: 0, searchable: 0))
        // A later transaction than the one that made it visible was seen with it.
        let late = EventDwell(event: nil, received: nil, broker: 0, committed: 10, indexed: 90, searchable: 50)
        #expect(late.indexed == 40 && late.searchable == 0)
    }

    private func way(_ milliseconds: Int64) -> EventDwell {
        EventDwell(
            event: nil, received: nil, broker: 0, committed: milliseconds, indexed: milliseconds,
            searchable: milliseconds)
    }

    /// A topic that was copied from another one keeps its headers, and anybody can send them.
    @Test(arguments: [0, 1_790_000_000, 1_790_000_000_000 - 259_200_000, 1_790_003_600_001, .max, .min] as [Int64])
    func aTimeThatIsFarAwayIsNotKnown(received: Int64) {
        let broker: Int64 = 1_790_000_000_000
        let copied = EventDwell(
            event: broker - 50, received: received, broker: broker, committed: broker + 5, indexed: broker + 6,
            searchable: broker + 10)
        #expect(copied.broker == nil && copied.received == 50 && copied.whole == 60)
    }

    /// At a thousand a second as well, and the first seconds of it are not lost.
    @Test func aBusyMinuteIsAWholeOne() {
        for second in 0..<60 {
            for _ in 0..<20 { flow.note(searchable: 50, Array(repeating: way(second < 6 ? 2_000 : 100), count: 50)) }
            clock.pass(seconds: 1)
        }
        let times = stage(.committed)?.dwell
        #expect(times?.p50 == 100 && times?.p95 == 2_000)
        #expect(flow.fromBroker(sinceNanoseconds: clock.nanoseconds - 10_000_000_000)?.p99 == 100)
    }

    @Test func samplesOfOneSecondStandForAllOfIt() throws {
        for number in 0..<500 as Range<Int64> { flow.note(searchable: 10, (0..<10).map { way(number * 10 + $0) }) }
        let times = try #require(stage(.committed)?.dwell)
        #expect(abs(times.p50 - 2_500) < 250 && abs(times.p95 - 4_750) < 250)
    }

    /// Of a hundred a second; those of half a minute wait and come at once, as 250 samples.
    @Test func whatComesAtOnceWeighsAsMuchAsItIs() {
        for _ in 0..<20 {
            flow.note(searchable: 100, Array(repeating: way(100), count: 100))
            clock.pass(seconds: 1)
        }
        clock.pass(seconds: 30)
        flow.note(searchable: 3_000, Array(repeating: way(9_000), count: 250), each: 12)
        #expect(stage(.committed)?.dwell?.p50 == 9_000)
    }

    @Test func timesAreOfTheLastMinute() {
        flow.note(searchable: 1, [way(900)])
        clock.pass(seconds: 50)
        flow.note(searchable: 99, (1...99).map { way(Int64($0)) })
        let times = stage(.committed)?.dwell
        #expect(times?.p50 == 51 && times?.p95 == 96 && times?.p99 == 900)
        #expect(flow.fromBroker(sinceNanoseconds: clock.nanoseconds)?.p99 == 99)
        clock.pass(seconds: 11)
        #expect(stage(.committed)?.dwell?.p99 == 99)
        clock.pass(seconds: 60)
        #expect(stage(.committed)?.dwell == nil && flow.reading.way == nil)
    }

    // MARK: - Lags and rates

    @Test func whatWaitsIsOfOneMoment() {
        look([0: (next: 10, high: 30), 1: (next: 5, high: 5)])
        // Of a source that has nothing yet, nobody will tell.
        look([:], of: "none")
        #expect(lags() == [nil, nil, 20], "nobody has told how far the lake is")
        clock.pass(seconds: 1)
        flow.note(committed: [0: 18, 1: 0], isHeld: false, topic: "a")
        look([0: (next: 10, high: 30), 1: (next: 5, high: 5)])
        #expect(lags() == [12, 8, 20], "of the second partition nothing was read, and the index has all of it")
        clock.pass(seconds: 1)
        // What was told may be newer than the look.
        flow.note(committed: [0: 40], isHeld: false, topic: "a")
        look([0: (next: 10, high: 30)])
        #expect(lags() == [0, 20, 20], "and nothing is behind of the source without a topic")
    }

    @Test func aReaderThatIsFullBlamesTheIndex() {
        flow.note(committed: [0: 20], isHeld: true, topic: "a")
        look([0: (next: 10, high: 500)])
        #expect(lags() == [0, 490, 490])
    }

    @Test func sourcesAreAddedUpAndCountNoMoreWhereNobodyLooks() {
        flow.note(committed: [0: 9], isHeld: false, topic: "a")
        flow.note(committed: [0: 2], isHeld: false, topic: "b")
        look([0: (next: 8, high: 10)])
        look([0: (next: 1, high: 4)], of: "b")
        #expect(lags() == [3, 2, 5])
        clock.pass(seconds: 11)
        flow.note(committed: [0: 9], isHeld: false, topic: "a")
        look([0: (next: 8, high: 10)])
        #expect(lags() == [nil, nil, nil], "the other one's figures are too old")
        clock.pass(seconds: 1)
        flow.forget("b")
        #expect(lags() == [1, 1, 2])
    }

    /// A reader that is away says no more how far the lake is, nor whether it is full.
    @Test(arguments: [true, false]) func howFarTheLakeIsHoldsForSomeSeconds(isHeld: Bool) {
        flow.note(committed: [0: 20], isHeld: isHeld, topic: "a")
        for second in 0..<15 as Range<Int64> {
            look([0: (next: 10, high: 30 + second)])
            if second < 10 { #expect(lags()[0] == (isHeld ? 0 : 10 + second)) }
            clock.pass(seconds: 1)
        }
        #expect(lags() == [nil, nil, 34] && stage(.committed)?.ratePerSecond == nil)
        clock.pass(seconds: 1)
        flow.note(committed: [0: 40], isHeld: false, topic: "a")
        look([0: (next: 10, high: 44)])
        #expect(lags() == [4, 30, 34] && flow.counts?.committed == 20)
        clock.pass(seconds: 1)
        flow.forget("a")
        look([0: (next: 10, high: 44)])
        #expect(lags() == [nil, nil, 34], "what was told was of the one that is gone")
    }

    @Test func aLakeThatWasJustToldOfDoesNotStandStill() {
        for number in 0..<5 {
            flow.note(committed: [0: 20], isHeld: false, topic: "a")
            look([0: (next: 10, high: 500)])
            #expect(stage(.committed)?.ratePerSecond == (number < 4 ? nil : 0))
            clock.pass(seconds: 1)
        }
    }

    /// Nothing is read, and the log loses its beginning.
    @Test func whatExpiresPassesNoStage() {
        for number in 0..<5 as Range<Int64> {
            flow.note(committed: [0: 10], isHeld: false, topic: "a")
            flow.note(
                IndexLook(
                    generation: 1, indexVersion: 1, indexedAtMilliseconds: nil,
                    places: [0: IndexLook.Place(next: 10, low: 10 + number * 20, high: 200)], atMilliseconds: 0),
                of: "a", topic: "a")
            clock.pass(seconds: 1)
        }
        #expect(flow.counts?.indexed == 0 && flow.counts?.committed == 0)
        #expect(stage(.indexed)?.ratePerSecond == 0 && lags() == [110, 0, 110])
    }

    @Test func whatWaitsIsOfTheSourcesThatAreMeant() throws {
        for (source, committed) in [("a", 9), ("b", 2)] as [(String, Int64)] {
            flow.note(committed: [0: committed], isHeld: false, topic: source)
        }
        look([0: (next: 8, high: 10)])
        look([0: (next: 1, high: 90_000)], of: "b")
        func lags(_ names: Set<String>) -> [Int64?] { flow.reading.stages(ofSources: names).suffix(3).map(\.lag) }
        #expect(lags(["a"]) == [1, 1, 2] && lags(["a", "b"]) == [89_999, 2, 90_001])
        #expect(lags(["a", "none"]) == [nil, nil, nil] && flow.reading.stages(ofSources: []).first?.lag == nil)
        let late = Freshness(.late, reason: "events wait", eventsBehind: 2)
        let delay = try #require(PipelineDelay(stages: flow.reading.stages(ofSources: ["a"]), freshness: late))
        #expect(delay.events == 1)
    }

    @Test func aStageThatIsDeadIsSeenToStandStill() throws {
        var (high, committed, next): (Int64, Int64, Int64) = (100, 100, 100)
        func step(_ lakeMoves: Bool) {
            clock.pass(seconds: 1)
            high += 20
            if lakeMoves { (committed, next) = (high - 5, high - 10) } else { next = committed }
            flow.note(committed: [0: committed], isHeld: false, topic: "a")
            look([0: (next: next, high: high)])
        }
        for _ in 0..<12 { step(true) }
        #expect(stage(.received)?.ratePerSecond == 20 && stage(.committed)?.ratePerSecond == 20)
        #expect(stage(.indexed)?.ratePerSecond == 20 && lags() == [5, 5, 10])
        for _ in 0..<12 { step(false) }
        #expect(stage(.received)?.ratePerSecond == 20 && stage(.committed)?.ratePerSecond == 0)
        let late = Freshness(.late, reason: "events wait", eventsBehind: 245)
        let delay = try #require(PipelineDelay(stages: flow.reading.stages, freshness: late))
        #expect(delay.stage == .committed && delay.kind == .standing && delay.events == 245)
    }

    @Test func aTopicThatBeginsAgainTakesNothingBack() {
        look([0: (next: 90, high: 100)])
        clock.pass(seconds: 1)
        look([0: (next: 0, high: 0)])
        clock.pass(seconds: 1)
        look([0: (next: 3, high: 4)])
        #expect(flow.counts?.received == 4 && flow.counts?.indexed == 3)
        #expect(flow.movedAtMilliseconds("a") == 2_000 && flow.movedAtMilliseconds("b") == nil)
    }
}
