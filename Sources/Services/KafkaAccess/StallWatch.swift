/// Notices a log whose end is ahead of a reader without anything coming.
///
/// Counts the time in which the reader looked and got nothing, in steps of a second at most: a process that was stopped
/// for a while, or a reader that was busy elsewhere, is not a log that stalls.
package struct StallWatch: Sendable {
    /// How long a log may be ahead without progress, in milliseconds. With the pause between two looks at its end and the
    /// time to examine the place it stays below 30 s.
    package static let limitMilliseconds: Int64 = 15_000
    /// Pause between two questions for the log's end while nothing comes; each fetch tells it, too, unless fetches fail.
    package static let askMilliseconds: Int64 = 5_000
    private static let stepMilliseconds: Int64 = 1_000

    private let limitMilliseconds: Int64
    private var position: Int64 = -1
    private var waitedMilliseconds: Int64 = 0
    private var lookedAt: Int64?

    /// - Parameter limitMilliseconds: shorter in tests.
    package init(limitMilliseconds: Int64 = Self.limitMilliseconds) {
        self.limitMilliseconds = limitMilliseconds
    }

    /// To be called after each read that brought nothing.
    ///
    /// - Parameters:
    ///   - position: the offset that is to be read next.
    ///   - end: the log's end as far as it is known.
    ///   - now: milliseconds of a monotonic clock.
    /// - Returns: true once each time that the limit is reached.
    package mutating func look(position: Int64, end: Int64?, now: Int64) -> Bool {
        defer { lookedAt = now }
        guard let end, end > position, position == self.position else {
            self.position = position
            waitedMilliseconds = 0
            return false
        }
        if let lookedAt { waitedMilliseconds += min(max(now - lookedAt, 0), Self.stepMilliseconds) }
        guard waitedMilliseconds >= limitMilliseconds else { return false }
        waitedMilliseconds = 0
        return true
    }
}
