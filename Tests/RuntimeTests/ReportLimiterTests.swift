import Telemetry
import Testing

@Test func oneReportASecondTellsHowManyWereHeldBack() {
    var limiter = ReportLimiter()
    let second: Int64 = 1_000_000_000
    #expect(limiter.admit(nowNanoseconds: 5 * second) == 1)
    #expect(limiter.admit(nowNanoseconds: 5 * second + 1) == nil)
    #expect(limiter.admit(nowNanoseconds: 6 * second - 1) == nil)
    #expect(limiter.admit(nowNanoseconds: 6 * second) == 3)
    #expect(limiter.admit(nowNanoseconds: 7 * second) == 1)
}
