import Glibc

/// How much work of one kind each caller has caused of late, and whose turn it is where they want more than there may be.
/// A pure value.
///
/// All work is paid from one bucket, which fills at the rate. As long as it holds out nobody waits. Once it is empty the
/// callers are told apart: those below the fair share begin all the same, the others wait for the bucket. The fair share is
/// that of max-min fairness (Bertsekas and Gallager, Data Networks, 6.5.2): the level at which all usages, cut off there,
/// add up to what there may be. So a caller with a request now and then never waits for one with hundreds.
struct WorkShares<Caller: Hashable & Sendable>: Sendable {
    /// What a caller who asks for a turn is told.
    enum Turn: Equatable {
        /// Begin; hand it back to ``end(_:of:nanoseconds:now:)``.
        case begin(WorkTurn)
        /// Ask again after that time.
        case wait(nanoseconds: Int64)
    }

    private struct Usage {
        var seconds: Double
        var at: Int64
    }

    /// Seconds of work a second.
    private let rate: Double
    private let heavyAtOnceMax: Int
    private let callersMax: Int
    private var usages: [Caller: Usage] = [:]
    private var tokens: Double
    private var filledAt: Int64
    private var heavyUnderWay = 0
    /// What a turn costs on average, seconds; paid in advance, or many would begin before the first is paid for.
    private var expected = 0.0
    private var level: (seconds: Double, at: Int64)?

    /// Over which usage fades, seconds.
    private static var horizon: Double { 5 }
    private static var levelNanoseconds: Int64 { 50_000_000 }
    private static var waitNanosecondsMin: Int64 { 5_000_000 }
    private static var waitNanosecondsMax: Int64 { 250_000_000 }
    /// Usage that is forgotten, seconds.
    private static var negligible: Double { 1e-4 }

    /// - Parameters:
    ///   - secondsPerSecond: above 0; 0.5 is half of a processor.
    ///   - heavyAtOnceMax: turns under way at once of callers beyond the fair share.
    ///   - callersMax: that are remembered. Where there are more, new ones count as beyond the fair share.
    init(secondsPerSecond: Double, heavyAtOnceMax: Int, callersMax: Int = 8_192, now: Int64) {
        rate = secondsPerSecond
        self.heavyAtOnceMax = max(1, heavyAtOnceMax)
        self.callersMax = callersMax
        tokens = secondsPerSecond
        filledAt = now
    }

    /// Callers that are remembered.
    var count: Int { usages.count }

    /// Whether a caller may begin.
    mutating func ask(_ caller: Caller, now: Int64) -> Turn {
        // A clock that stands still or goes back fills nothing.
        tokens = min(rate, tokens + Double(max(0, now - filledAt)) / 1e9 * rate)
        filledAt = max(filledAt, now)
        if isLight(caller, now: now) { return .begin(begin(isHeavy: false)) }
        if tokens > 0, heavyUnderWay < heavyAtOnceMax { return .begin(begin(isHeavy: true)) }
        let wait = tokens > 0 ? 0 : Int64((expected - tokens) / rate * 1e9)
        return .wait(nanoseconds: min(max(wait, Self.waitNanosecondsMin), Self.waitNanosecondsMax))
    }

    /// Pays for a turn that is over.
    mutating func end(_ turn: WorkTurn, of caller: Caller, nanoseconds: Int64, now: Int64) {
        if turn.isHeavy { heavyUnderWay -= 1 }
        let cost = Double(nanoseconds) / 1e9
        tokens += turn.paid - cost
        expected += (cost - expected) / 16
        let known = usages[caller]
        guard known != nil || usages.count < callersMax else { return }
        usages[caller] = Usage(seconds: known.map { faded($0, now) + cost } ?? cost, at: now)
    }

    private mutating func begin(isHeavy: Bool) -> WorkTurn {
        if isHeavy { heavyUnderWay += 1 }
        tokens -= expected
        return WorkTurn(paid: expected, isHeavy: isHeavy)
    }

    private mutating func isLight(_ caller: Caller, now: Int64) -> Bool {
        if let level, now - level.at < Self.levelNanoseconds {
            return isLight(caller, below: level.seconds, now)
        }
        usages = usages.filter { faded($0.value, now) >= Self.negligible }
        let found = fairShare(usages.values.map { faded($0, now) })
        level = (found, now)
        return isLight(caller, below: found, now)
    }

    private func isLight(_ caller: Caller, below share: Double, _ now: Int64) -> Bool {
        guard let usage = usages[caller] else { return usages.count < callersMax }
        return faded(usage, now) <= share
    }

    /// Infinite where all of them together use less than there may be.
    private func fairShare(_ seconds: [Double]) -> Double {
        var left = rate * Self.horizon
        for (place, usage) in seconds.sorted().enumerated() {
            let share = left / Double(seconds.count - place)
            guard usage <= share else { return share }
            left -= usage
        }
        return .infinity
    }

    private func faded(_ usage: Usage, _ now: Int64) -> Double {
        usage.seconds * exp(Double(usage.at - max(now, usage.at)) / 1e9 / Self.horizon)
    }
}

/// A turn that was given.
struct WorkTurn: Sendable, Equatable {
    /// In advance, seconds.
    fileprivate let paid: Double
    /// Whether the caller is beyond the fair share.
    let isHeavy: Bool
}
