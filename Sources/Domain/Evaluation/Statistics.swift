import Bytes

/// A mean over queries, and between which bounds it may as well lie.
package struct Estimate: Sendable, Equatable {
    package let mean: Double
    /// The 95 % interval.
    package let low: Double
    package let high: Double

    package init(mean: Double, low: Double, high: Double) {
        self.mean = mean
        self.low = low
        self.high = high
    }
}

/// Two systems on the same queries.
package struct PairedDifference: Sendable, Equatable {
    /// Of the second less the first, with its 95 % interval.
    package let difference: Estimate
    /// How often chance alone would make a difference as large, in either direction.
    package let p: Double
    /// Queries where the second is better, and where it is worse.
    package let better: Int
    package let worse: Int
}

/// What a sample of queries says of all queries. Everything follows from the values and the seed.
package enum Statistics {
    /// Samples of a bootstrap, and assignments of a randomisation test.
    package static let roundsDefault = 10_000

    /// The mean; 0 of nothing.
    package static func mean(_ values: [Double]) -> Double {
        values.isEmpty ? 0 : values.reduce(0, +) / Double(values.count)
    }

    /// The mean with the percentile interval of a bootstrap over the queries (Efron: "Bootstrap methods: another look at the
    /// jackknife", 1979).
    package static func estimate(_ values: [Double], seed: UInt64, rounds: Int = roundsDefault) -> Estimate {
        let mean = mean(values)
        guard values.count > 1 else { return Estimate(mean: mean, low: mean, high: mean) }
        var generator = SeededGenerator(seed: seed)
        var means: [Double] = []
        means.reserveCapacity(rounds)
        for _ in 0..<rounds {
            var sum = 0.0
            for _ in values.indices { sum += values[Int.random(in: 0..<values.count, using: &generator)] }
            means.append(sum / Double(values.count))
        }
        means.sort()
        return Estimate(mean: mean, low: quantile(means, 0.025), high: quantile(means, 0.975))
    }

    /// Between the two nearest of sorted values.
    private static func quantile(_ sorted: [Double], _ share: Double) -> Double {
        let place = share * Double(sorted.count - 1)
        let low = Int(place)
        let high = min(low + 1, sorted.count - 1)
        return sorted[low] + (sorted[high] - sorted[low]) * (place - Double(low))
    }

    /// A paired randomisation test (Smucker, Allan, Carterette: "A comparison of statistical significance tests for information
    /// retrieval evaluation", CIKM 2007): where two systems are alike, each query's two values might as well be exchanged.
    ///
    /// The assignment that was observed counts as one of the rounds, so that p is never 0.
    ///
    /// - Parameters:
    ///   - first: a value for each query.
    ///   - second: the other system's for the same queries, in the same order.
    package static func compare(
        _ first: [Double], _ second: [Double], seed: UInt64, rounds: Int = roundsDefault
    ) -> PairedDifference {
        let differences = zip(first, second).map { $1 - $0 }
        // Sums in another order differ in their last bits, which must not decide whether a difference is as large.
        let observed = abs(differences.reduce(0, +)) - 1e-9
        let changed = differences.filter { $0 != 0 }
        var generator = SeededGenerator(seed: seed)
        var asLarge = 1
        for _ in 0..<rounds {
            var sum = 0.0
            var (bits, left) = (UInt64(0), 0)
            for difference in changed {
                if left == 0 { (bits, left) = (generator.next(), 64) }
                sum += bits & 1 == 0 ? difference : -difference
                bits >>= 1
                left -= 1
            }
            if abs(sum) >= observed { asLarge += 1 }
        }
        return PairedDifference(
            difference: estimate(differences, seed: seed, rounds: rounds), p: Double(asLarge) / Double(rounds + 1),
            better: differences.count { $0 > 0 }, worse: differences.count { $0 < 0 })
    }
}
