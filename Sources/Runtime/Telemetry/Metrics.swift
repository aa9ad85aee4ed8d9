import Synchronization

/// A count that only grows. One atomic add (about 5 ns), from any thread.
package final class Counter: Sendable {
    private let count = Atomic<Int>(0)
    let prefix: [UInt8]

    init(prefix: [UInt8]) {
        self.prefix = prefix
    }

    /// Adds `amount`, which must not be negative (a negative amount is ignored: a counter never goes back).
    package func increment(by amount: Int = 1) {
        guard amount > 0 else { return }
        count.wrappingAdd(amount, ordering: .relaxed)
    }

    /// The count since the process started.
    package var value: Int { count.load(ordering: .relaxed) }
}

/// A value that goes up and down. One atomic store, from any thread.
package final class Gauge: Sendable {
    private let bits = Atomic<UInt64>(0)
    let prefix: [UInt8]

    init(prefix: [UInt8]) {
        self.prefix = prefix
    }

    /// Replaces the value.
    package func set(_ value: Double) {
        bits.store(value.bitPattern, ordering: .relaxed)
    }

    /// Adds `amount`, which may be negative; for values that several threads move, such as open connections.
    package func add(_ amount: Double) {
        bits.addDouble(amount)
    }

    /// The latest value; 0 before the first `set`.
    package var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
}

/// A distribution over fixed buckets. One binary search and two atomic operations per observation, from any thread.
///
/// Semantics of buckets (`le`, cumulative, `+Inf` last): Prometheus text exposition format 0.0.4.
package final class Histogram: Sendable {
    /// Upper bounds that suit waits from half a millisecond to a minute, in seconds; finer around the freshness goals.
    package static let secondsBuckets: [Double] = [
        0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1, 1.5,
        2.5, 5, 10, 30, 60,
    ]

    /// Ascending upper bounds without `+Inf`.
    package let bounds: [Double]
    let linePrefixes: HistogramPrefixes
    private let cells: [AtomicCell]
    private let sumBits = Atomic<UInt64>(0)

    init(bounds: [Double], linePrefixes: HistogramPrefixes) {
        self.bounds = bounds
        self.linePrefixes = linePrefixes
        cells = (0...bounds.count).map { _ in AtomicCell() }
    }

    /// Counts one value, in seconds unless the metric's name says another unit. NaN is ignored.
    package func observe(_ value: Double) {
        guard !value.isNaN else { return }
        var low = 0
        var high = bounds.count
        while low < high {
            let middle = (low + high) / 2
            if bounds[middle] < value { low = middle + 1 } else { high = middle }
        }
        cells[low].count.wrappingAdd(1, ordering: .relaxed)
        sumBits.addDouble(value)
    }

    /// The counts now. Not a single instant: observations made meanwhile may be in some parts only.
    package func snapshot() -> HistogramSnapshot {
        HistogramSnapshot(
            bounds: bounds, counts: cells.map { $0.count.load(ordering: .relaxed) },
            sum: Double(bitPattern: sumBits.load(ordering: .relaxed)))
    }
}

/// What a ``Histogram`` had counted at one time.
package struct HistogramSnapshot: Sendable, Equatable {
    /// Ascending upper bounds without `+Inf`.
    package let bounds: [Double]
    /// Observations per bucket, not cumulative; the last is above every bound.
    package let counts: [Int]
    /// The sum of all observed values.
    package let sum: Double

    /// - Precondition: one count more than bounds.
    package init(bounds: [Double], counts: [Int], sum: Double) {
        precondition(counts.count == bounds.count + 1, "a histogram has one bucket above its bounds")
        self.bounds = bounds
        self.counts = counts
        self.sum = sum
    }

    /// The number of observations.
    package var count: Int { counts.reduce(0, +) }

    /// The mean, or nil before the first observation.
    package var mean: Double? { count > 0 ? sum / Double(count) : nil }

    /// An estimate of the `q`-quantile (0...1), interpolated linearly inside its bucket as Prometheus'
    /// `histogram_quantile` does; the highest bound where it lies above all; nil before the first observation.
    package func quantile(_ q: Double) -> Double? {
        let total = count
        guard total > 0, let highest = bounds.last else { return nil }
        let rank = min(max(q, 0), 1) * Double(total)
        var below = 0
        for (index, bound) in bounds.enumerated() {
            let inside = counts[index]
            if inside > 0 && Double(below + inside) >= rank {
                let lower = index > 0 ? bounds[index - 1] : min(0, bound)
                return lower + (bound - lower) * max(0, rank - Double(below)) / Double(inside)
            }
            below += inside
        }
        return highest
    }

    /// What was observed after `earlier`, a snapshot of the same histogram; for figures over the last seconds.
    package func since(_ earlier: HistogramSnapshot) -> HistogramSnapshot {
        guard earlier.bounds == bounds else { return self }
        return HistogramSnapshot(
            bounds: bounds, counts: zip(counts, earlier.counts).map { max(0, $0 - $1) }, sum: sum - earlier.sum)
    }

    /// What both have observed; this one alone where the other has other buckets.
    package func adding(_ other: HistogramSnapshot) -> HistogramSnapshot {
        guard other.bounds == bounds else { return self }
        return HistogramSnapshot(bounds: bounds, counts: zip(counts, other.counts).map(+), sum: sum + other.sum)
    }
}

/// The bytes before the numbers of a histogram's lines, rendered once.
struct HistogramPrefixes: Sendable {
    /// One per bound and one for `+Inf`.
    var buckets: [[UInt8]]
    var sum: [UInt8]
    var count: [UInt8]
}

/// An atomic that can be an array's element.
private final class AtomicCell: Sendable {
    let count = Atomic<Int>(0)
}

extension Atomic where Value == UInt64 {
    /// Adds to a `Double` kept as its bit pattern.
    fileprivate func addDouble(_ amount: Double) {
        var current = load(ordering: .relaxed)
        while true {
            let next = (Double(bitPattern: current) + amount).bitPattern
            let (exchanged, original) = weakCompareExchange(
                expected: current, desired: next, successOrdering: .relaxed, failureOrdering: .relaxed)
            if exchanged { return }
            current = original
        }
    }
}
