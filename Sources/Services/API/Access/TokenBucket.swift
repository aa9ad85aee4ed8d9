/// Lets `rate` requests a second through on average, and `burst` at once after a pause. A pure value.
struct TokenBucket: Sendable {
    private var tokens: Double
    private var filledAtNanoseconds: Int64

    init(burst: Double, nowNanoseconds: Int64) {
        tokens = burst
        filledAtNanoseconds = nowNanoseconds
    }

    /// Takes one token.
    ///
    /// - Returns: nil when there was one; else the nanoseconds until there will be.
    mutating func take(rate: Double, burst: Double, nowNanoseconds now: Int64) -> Int64? {
        // A clock that stands still or goes back fills nothing.
        tokens = min(burst, tokens + Double(max(0, now - filledAtNanoseconds)) / 1e9 * rate)
        filledAtNanoseconds = max(filledAtNanoseconds, now)
        guard tokens >= 1 else { return Int64(((1 - tokens) / rate * 1e9).rounded(.up)) }
        tokens -= 1
        return nil
    }

    /// Takes `count` tokens where there is one at least. What is missing is owed: it comes back first.
    ///
    /// - Returns: as ``take(rate:burst:nowNanoseconds:)``.
    mutating func take(_ count: Int, rate: Double, burst: Double, nowNanoseconds now: Int64) -> Int64? {
        if let wait = take(rate: rate, burst: burst, nowNanoseconds: now) { return wait }
        tokens -= Double(max(0, count - 1))
        return nil
    }
}

extension TokenBucket {
    /// Gives tokens back that were taken for nothing.
    mutating func giveBack(_ count: Int, burst: Double) { tokens = min(burst, tokens + Double(count)) }
}

/// A bucket per caller, for the callers of late. Bounded: two maps, of which the older is forgotten when the newer is
/// full, so a flood of addresses costs memory only up to the bound, and at most gives those forgotten a fresh burst.
struct BucketTable<Caller: Hashable & Sendable>: Sendable {
    private let rate: Double
    private let burst: Double
    private let callersMax: Int
    private var recent: [Caller: TokenBucket] = [:]
    private var older: [Caller: TokenBucket] = [:]

    /// - Parameters:
    ///   - ratePerSecond: above 0.
    ///   - callersMax: of each of the two maps.
    init(ratePerSecond: Double, burst: Double, callersMax: Int = 32_768) {
        rate = ratePerSecond
        self.burst = burst
        self.callersMax = callersMax
    }

    /// Callers that are remembered.
    var count: Int { recent.count + older.count }

    /// As ``TokenBucket/take(rate:burst:nowNanoseconds:)`` of the caller's bucket.
    mutating func take(_ caller: Caller, nowNanoseconds now: Int64) -> Int64? {
        if recent[caller] == nil {
            if recent.count >= callersMax {
                older = recent
                recent = [:]
            }
            recent[caller] = older.removeValue(forKey: caller) ?? TokenBucket(burst: burst, nowNanoseconds: now)
        }
        return recent[caller]?.take(rate: rate, burst: burst, nowNanoseconds: now)
    }

    /// Gives back what a caller took for nothing; what is forgotten has come back anyway.
    mutating func giveBack(_ caller: Caller) { recent[caller]?.giveBack(1, burst: burst) }
}
