import Glibc
import Testing

@testable import Concurrency

/// What a request's work is taken to be.
@Suite struct WorkMeterTests {
    @Test func readsWhatTheKernelCounts() throws {
        let times = try #require(ThreadTimes(schedstat: Array("6403921 1200345 17\n".utf8)))
        #expect(times.ran == 6_403_921 && times.waited == 1_200_345)
        for wrong in ["", "12", "x"] { #expect(ThreadTimes(schedstat: Array(wrong.utf8)) == nil, "\(wrong)") }
    }

    @Test func runningCountsAndSoDoesWaitingForOthers() throws {
        let meter = WorkMeter()
        let before = ThreadTimes.now()
        var sum = 0.0
        meter.measure { for number in 1..<3_000_000 { sum += 1 / Double(number) } }
        #expect(sum > 10 && meter.nanoseconds > 0)
        if let before, let after = ThreadTimes.now() { #expect(after.ran > before.ran) }
        let done = meter.nanoseconds
        // A database that computes for it is waited for, and is work.
        meter.measure { _ = usleep(20_000) }
        #expect(meter.nanoseconds > done + 1_000_000)
    }
}
