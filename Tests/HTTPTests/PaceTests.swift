import Testing

@testable import EventLoop

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
