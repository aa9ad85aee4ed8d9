import Bytes

/// Waits between attempts: exponential, with full jitter, so that many clients of a recovering server spread out.
///
/// Formula: uniform in `[floor, max(floor, min(cap, base · 2^attempt))]` (Brooker, "Exponential Backoff And Jitter",
/// 2015).
package struct Backoff: Sendable {
    /// How often ``next()`` was asked since the last ``reset()``.
    package private(set) var attempts = 0
    private let base: Int
    private let cap: Int
    private let floor: Int
    private var generator: SeededGenerator

    /// All times in milliseconds.
    ///
    /// - Parameters:
    ///   - floor: the shortest wait, for servers that punish quick reconnects.
    ///   - seed: fixes the jitter in tests; random unless given.
    package init(
        baseMilliseconds: Int = 100, capMilliseconds: Int = 30_000, floorMilliseconds: Int = 0, seed: UInt64? = nil
    ) {
        base = max(1, baseMilliseconds)
        cap = max(base, capMilliseconds)
        floor = max(0, floorMilliseconds)
        generator = SeededGenerator(seed: seed ?? UInt64.random(in: .min ... .max))
    }

    /// Milliseconds to wait before the next attempt.
    package mutating func next() -> Int {
        let doublings = min(attempts, 30)
        let (product, overflow) = base.multipliedReportingOverflow(by: 1 << doublings)
        let ceiling = max(floor, overflow ? cap : min(cap, product))
        attempts += 1
        return Int.random(in: floor...ceiling, using: &generator)
    }

    /// To be called after a success.
    package mutating func reset() {
        attempts = 0
    }
}
