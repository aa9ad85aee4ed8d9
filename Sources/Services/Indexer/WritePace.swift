/// How a replay's index transactions leave room for those of others: one runs at a time, and each takes processor time of the
/// database.
///
/// A pure value. Others are seen by the versions between two of its own, so nobody has to tell it of them, whatever process they are
/// in. Where nobody else writes, a replay never rests.
struct WritePace {
    /// So many times what a transaction took, waiting for its turn included: a third of the time is the replay's.
    static let restTimes: Int64 = 2
    static let restNanosecondsMax: Int64 = 1_000_000_000
    /// How long others count that were seen.
    static let memoryNanoseconds: Int64 = 1_000_000_000

    private var last: Int64?
    private var othersAt: Int64?

    /// How long to rest behind one transaction, or some in a row, in nanoseconds.
    ///
    /// - Parameters:
    ///   - version: of the index, the last that the transactions made; 0 where they made none.
    ///   - first: the first of them; nil where there was one at most.
    ///   - nanoseconds: that they took.
    ///   - now: in nanoseconds of a monotonic clock.
    mutating func rest(behind version: Int64, first: Int64? = nil, taking nanoseconds: Int64, at now: Int64) -> Int64 {
        guard version > 0 else { return 0 }
        if let last, (first ?? version) > last + 1 { othersAt = now }
        last = version
        guard let othersAt, now - othersAt <= Self.memoryNanoseconds else { return 0 }
        return min(max(0, nanoseconds) * Self.restTimes, Self.restNanosecondsMax)
    }
}
