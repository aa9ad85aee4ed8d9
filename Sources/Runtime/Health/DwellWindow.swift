/// The ways of the documents of the last minute, as samples that each stand for a number of documents. Every second has room for
/// as many samples as any other, so a minute stays a minute at any rate, and what came at once weighs as much as what trickled.
struct DwellWindow: Sendable {
    private struct Sample: Sendable {
        var at: Int64
        var weight: Double
        var dwell: EventDwell
    }

    private struct Slot: Sendable {
        var second: Int64
        var samples: [Sample] = []
    }

    /// Of the last seconds with any, the oldest first.
    private var slots: [Slot] = []

    /// How far it reaches back.
    static let nanoseconds: Int64 = 60_000_000_000
    private static let secondNanoseconds: Int64 = 1_000_000_000
    /// Samples of a second; where there are more, they are thinned out to half as many.
    private static let samplesMax = 128

    /// Takes in the ways of documents that became searchable at a moment of the monotonic clock.
    ///
    /// - Parameter each: documents that each of them stands for.
    mutating func add(_ dwells: [EventDwell], each: Int, at now: Int64) {
        guard !dwells.isEmpty else { return }
        let second = now / Self.secondNanoseconds
        if slots.last.map({ $0.second < second }) ?? true {
            slots.append(Slot(second: second))
            let oldest = second - Self.nanoseconds / Self.secondNanoseconds
            slots.removeAll { $0.second < oldest }
        }
        let last = slots.count - 1
        slots[last].samples += dwells.map { Sample(at: now, weight: Double(max(1, each)), dwell: $0) }
        if slots[last].samples.count > Self.samplesMax {
            slots[last].samples = Self.thinned(slots[last].samples, to: Self.samplesMax / 2)
        }
    }

    /// Ways since a moment of the monotonic clock, each with the documents that it stands for.
    func weighted(sinceNanoseconds since: Int64) -> [(dwell: EventDwell, weight: Double)] {
        slots.flatMap { slot in slot.samples.lazy.filter { $0.at >= since }.map { ($0.dwell, $0.weight) } }
    }

    /// Of samples in the order of their length, those at even distances of documents, which stand for all.
    private static func thinned(_ samples: [Sample], to count: Int) -> [Sample] {
        let sorted = samples.sorted { $0.dwell.whole < $1.dwell.whole }
        let share = sorted.reduce(0) { $0 + $1.weight } / Double(count)
        var kept: [Sample] = []
        var (sum, next) = (0.0, share / 2)
        for var sample in sorted {
            sum += sample.weight
            guard next < sum else { continue }
            // Only a sample that stands for many is met more than once.
            let times = ((sum - next) / share).rounded(.up)
            next += times * share
            sample.weight = times * share
            kept.append(sample)
        }
        return kept
    }
}
