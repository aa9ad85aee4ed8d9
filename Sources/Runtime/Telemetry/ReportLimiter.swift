import Bytes

/// Lets one report a second through and counts the ones held back: a full disk or a broken topic fails every request.
package struct ReportLimiter: Sendable {
    private var unreported = 0
    private var lastNanoseconds: Int64?
    private static let spacingNanoseconds: Int64 = 1_000_000_000

    package init() {}

    /// Call for every fault.
    ///
    /// - Returns: faults since the last report, this one included, where it is time for one.
    package mutating func admit(nowNanoseconds: Int64 = SystemClock.monotonicNanoseconds()) -> Int? {
        unreported += 1
        if let last = lastNanoseconds, nowNanoseconds - last < Self.spacingNanoseconds { return nil }
        defer { unreported = 0 }
        lastNanoseconds = nowNanoseconds
        return unreported
    }
}
