/// Judges whether a peer takes its bytes fast enough. A pure value, looked at now and then while bytes wait.
struct OutputPace {
    /// Bytes taken since the beginning.
    private(set) var taken: Int64 = 0
    private var window: (since: Int64, taken: Int64)?
    /// The last byte that waited at some moment, and that moment.
    private var mark: (since: Int64, position: Int64)?

    struct Limits {
        /// Bytes a second on average over each window; 0 for any.
        var rateMin = 0
        /// Also the time before the first judgement.
        var windowMilliseconds = 30_000
        /// How long one byte may wait; 0 for any time.
        var waitMillisecondsMax = 0
    }

    mutating func note(taken count: Int) {
        taken += Int64(count)
    }

    /// Nothing waits: the next bytes are judged on their own.
    mutating func rest() {
        window = nil
        mark = nil
    }

    /// - Parameter queued: bytes that wait, above 0.
    mutating func isTooSlow(queued: Int, now: Int64, _ limits: Limits) -> Bool {
        if let mark, mark.position > taken {
            if limits.waitMillisecondsMax > 0, now - mark.since > Int64(limits.waitMillisecondsMax) { return true }
        } else {
            mark = (now, taken + Int64(queued))
        }
        guard let begun = window else {
            window = (now, taken)
            return false
        }
        let milliseconds = now - begun.since
        guard milliseconds >= Int64(limits.windowMilliseconds) else { return false }
        window = (now, taken)
        return (taken - begun.taken) * 1_000 < Int64(limits.rateMin) * milliseconds
    }
}
