import Bytes
import Synchronization

/// What the indexers of a process tell others of their work.
package final class IndexingLoad: Sendable {
    private let filledAt = Atomic<Int64>(.min)
    /// A batch of this many is embedded within this time on a slow machine, and the next one then follows.
    private static let keptNanoseconds: Int64 = 3_000_000_000

    package init() {}

    /// A batch was full, so that more documents wait.
    func noteFullBatch() { filledAt.store(SystemClock.monotonicNanoseconds(), ordering: .relaxed) }

    /// Whether documents wait to be embedded and written.
    package var isBehind: Bool {
        let at = filledAt.load(ordering: .relaxed)
        return at != .min && SystemClock.monotonicNanoseconds() - at < Self.keptNanoseconds
    }
}
