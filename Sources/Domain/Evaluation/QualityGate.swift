/// What retrieval must reach on a judged collection to pass: a bound for each arm by itself, and none for how much worse
/// than a single arm both of them together may be.
package struct QualityGate: Sendable {
    /// The least mean nDCG@10 of each arm, by its name.
    package var floors: [String: Double]
    /// How far the fused ranking may lie below the better one of its arms.
    package var shortfallMax: Double

    package init(floors: [String: Double], shortfallMax: Double) {
        self.floors = floors
        self.shortfallMax = shortfallMax
    }

    /// The name of the fused ranking.
    package static let fused = "hybrid"

    /// What is missed, in words; nothing where all is reached.
    ///
    /// - Parameter scores: mean nDCG@10 of each arm.
    package func misses(_ scores: [String: Double]) -> [String] {
        var misses: [String] = []
        for (arm, floor) in floors.sorted(by: { $0.key < $1.key }) {
            guard let score = scores[arm] else {
                misses.append("\(arm) was not measured")
                continue
            }
            if score < floor {
                misses.append("\(arm) has \(Figures.fixed(score, 4)), below \(Figures.fixed(floor, 4))")
            }
        }
        guard let fused = scores[Self.fused] else { return misses }
        for (arm, score) in scores.sorted(by: { $0.key < $1.key }) where fused < score - shortfallMax {
            misses.append(
                "\(Self.fused) has \(Figures.fixed(fused, 4)), more than \(Figures.fixed(shortfallMax, 4)) below "
                    + "\(arm) with \(Figures.fixed(score, 4))")
        }
        return misses
    }
}

/// Numbers for people.
package enum Figures {
    /// With so many places behind the point, such as `0.430`.
    package static func fixed(_ value: Double, _ places: Int) -> String {
        guard value.isFinite, abs(value) < 1e12 else { return "\(value)" }
        var scale = 1
        for _ in 0..<places { scale *= 10 }
        let scaled = Int64((value * Double(scale)).rounded())
        let sign = scaled < 0 ? "-" : ""
        let (whole, rest) = (Int(scaled.magnitude) / scale, Int(scaled.magnitude) % scale)
        guard places > 0 else { return "\(sign)\(whole)" }
        let digits = String(rest)
        return "\(sign)\(whole)." + String(repeating: "0", count: places - digits.count) + digits
    }

    /// With its sign, such as `+0.012`.
    package static func signed(_ value: Double, _ places: Int) -> String {
        let text = fixed(value, places)
        return text.hasPrefix("-") ? text : "+" + text
    }
}
