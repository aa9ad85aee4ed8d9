import Simulator
import Synchronization
import Testing

@testable import Benchmarks

/// Events that are let go come at their time, and no others.
@Suite struct MeteredSourceTests {
    private static let never: Int64 = 1 << 40

    /// A clock that stands until it is told.
    private final class Clock: Sendable {
        let now = Mutex<Int64>(5_000)
        func advance(_ milliseconds: Int64) { now.withLock { $0 += milliseconds } }
    }

    private let clock = Clock()

    private func make() -> MeteredSource {
        let clock = clock
        return MeteredSource(
            GeneratedSource(generator: EventGenerator(seed: 3, startMilliseconds: 0, eventsPerSecond: 1_000))
        ) { clock.now.withLock { $0 } }
    }

    @Test func nothingComesBeforeItIsLetGo() {
        let source = make()
        #expect(source.due(0) >= Self.never)
        source.begin(at: 0)
        #expect(source.due(0) >= Self.never)
    }

    @Test func whatIsReleasedIsDueAtOnce() {
        let source = make()
        source.release(10)
        source.begin(at: 0)
        #expect(source.due(0) == 0 && source.due(9) == 0)
        #expect(source.due(10) >= Self.never)
        clock.advance(700)
        source.release(5)
        #expect(source.due(10) == 700 && source.due(14) == 700)
        #expect(source.due(15) >= Self.never)
    }

    @Test func aRunHasItsRateAndEnds() {
        let source = make()
        source.release(10)
        source.begin(at: 0)
        clock.advance(1_000)
        source.run(eventsPerSecond: 100)
        #expect(source.due(10) == 1_000 && source.due(11) == 1_010 && source.due(110) == 2_000)
        clock.advance(500)
        source.stop()
        // What was due in that half second came; the rest waits for the next stretch.
        #expect(source.due(59) == 1_490)
        #expect(source.due(60) >= Self.never)
        clock.advance(250)
        source.release(1)
        #expect(source.due(60) == 1_750 && source.due(61) >= Self.never)
    }

    @Test func aRunFollowsARun() {
        let source = make()
        source.begin(at: 0)
        source.run(eventsPerSecond: 10)
        clock.advance(1_000)
        source.run(eventsPerSecond: 1_000)
        #expect(source.due(9) == 900 && source.due(10) == 1_000 && source.due(11) == 1_001)
    }

    @Test func stoppingTwiceChangesNothing() {
        let source = make()
        source.begin(at: 0)
        source.run(eventsPerSecond: 10)
        clock.advance(1_000)
        source.stop()
        clock.advance(1_000)
        source.stop()
        #expect(source.due(9) == 900 && source.due(10) >= Self.never)
    }
}
