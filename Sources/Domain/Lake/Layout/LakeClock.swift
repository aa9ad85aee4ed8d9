import Bytes

/// How far a broker time may run ahead of the machine's clock before it no longer moves the lake's hour.
package struct LakeClock: Sendable {
    /// An hour: no clock that is kept at all is further off.
    package static let aheadMaxMilliseconds: Int64 = 3_600_000

    private let aheadMaxMilliseconds: Int64
    private let now: @Sendable () -> Int64
    /// What the clock said when it was last asked.
    private var seen: Int64 = 0

    /// - Parameters:
    ///   - aheadMaxMilliseconds: the bound.
    ///   - now: the machine's clock, in milliseconds since 1970.
    package init(
        aheadMaxMilliseconds: Int64 = aheadMaxMilliseconds,
        now: @escaping @Sendable () -> Int64 = { SystemClock.epochMilliseconds() }
    ) {
        self.aheadMaxMilliseconds = aheadMaxMilliseconds
        self.now = now
    }

    /// The machine's clock, in milliseconds since 1970.
    func milliseconds() -> Int64 { now() }

    /// What a record's broker time does to the largest time so far.
    enum Verdict: Equatable {
        /// It counts as any other.
        case ordinary
        /// It lies beyond the bound and moves nothing. `now`: the clock.
        case ahead(now: Int64)
        /// The largest time so far lies beyond the bound and this one does not: time begins anew. `limit`: the latest time
        /// that is allowed.
        case reset(limit: Int64)
    }

    /// The latest time that counts, by the machine's clock as it is now.
    func limit() -> Int64 { now() + aheadMaxMilliseconds }

    /// - Parameters:
    ///   - time: a record's broker time in milliseconds.
    ///   - maximum: the largest one before it that counted.
    mutating func verdict(on time: Int64, after maximum: Int64) -> Verdict {
        // The clock is asked only where what it said last does not decide; that is about once in the time of the bound.
        if max(time, maximum) <= seen + aheadMaxMilliseconds { return .ordinary }
        seen = now()
        let limit = seen + aheadMaxMilliseconds
        if maximum <= limit { return time <= limit ? .ordinary : .ahead(now: seen) }
        if time <= limit { return .reset(limit: limit) }
        // Both are beyond: this machine's clock may be the one that is wrong, so the lake's own time is the measure.
        return time <= maximum + aheadMaxMilliseconds ? .ordinary : .ahead(now: seen)
    }
}

/// Where a record belongs by its broker time.
package struct HourPlace: Equatable, Sendable {
    /// The largest broker time so far that counts, this record's included, in milliseconds.
    package let time: Int64
    /// Whether the record's own time lies too far ahead to count.
    package let isAhead: Bool
    /// Whether the time so far lay too far ahead: the record begins an hour of its own, which may be an earlier one.
    package let isReset: Bool

    /// The lake hour.
    package var hour: LakeHour { LakeHour(containing: time) }
}
