import Bytes

/// Runs and comparisons as tables of text.
package enum EvaluationTable {
    /// One row for each arm.
    package static func text(_ run: EvaluationRun, seed: UInt64) -> String {
        let head = ["arm"] + Measure.allCases.map { title($0, run) }
        let rows = run.armNames.map { arm in
            [arm]
                + Measure.allCases.map { measure in
                    let estimate = run.estimate(measure, of: arm, seed: seed)
                    return "\(Figures.fixed(estimate.mean, 3)) "
                        + "[\(Figures.fixed(estimate.low, 3)), \(Figures.fixed(estimate.high, 3))]"
                }
        }
        return describe(run) + "\n" + aligned([head] + rows)
    }

    /// One row for each arm and measure.
    package static func text(_ comparison: EvaluationComparison) -> String {
        let head = ["arm", "measure", "first", "second", "difference", "p", "better", "worse"]
        let rows = comparison.rows.map { row in
            let difference = row.paired.difference
            return [
                row.arm, title(row.measure, comparison.first), Figures.fixed(row.first, 3),
                Figures.fixed(row.second, 3),
                "\(Figures.signed(difference.mean, 3)) "
                    + "[\(Figures.signed(difference.low, 3)), \(Figures.signed(difference.high, 3))]",
                row.paired.p < 0.001 ? "<0.001" : Figures.fixed(row.paired.p, 3), "\(row.paired.better)",
                "\(row.paired.worse)",
            ]
        }
        return "first:  \(describe(comparison.first))\nsecond: \(describe(comparison.second))\n"
            + aligned([head] + rows)
    }

    private static func describe(_ run: EvaluationRun) -> String {
        "\(run.origin.name), generation \(run.origin.generation), \(run.queries.count) "
            + (run.queries.count == 1 ? "query" : "queries")
    }

    private static func title(_ measure: Measure, _ run: EvaluationRun) -> String {
        measure == .recall ? "recall@\(run.origin.depth)" : measure.rawValue
    }

    /// Columns side by side, each as wide as its widest cell.
    static func aligned(_ rows: [[String]]) -> String {
        let widths = (rows.first ?? []).indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            let cells = row.enumerated().map { column, cell in
                column == row.count - 1 ? cell : cell + String(repeating: " ", count: widths[column] - cell.count)
            }
            return "  " + cells.joined(separator: "  ")
        }.joined(separator: "\n") + "\n"
    }
}

extension EvaluationComparison {
    /// Both runs and what differs, for programs.
    package func json(seed: UInt64) -> [UInt8] {
        var writer = JSONWriter(capacity: 4_096)
        writer.beginObject()
        for (name, run) in [("first", first), ("second", second)] {
            writer.key(dynamic: name)
            writer.raw(run.file(seed: seed))
        }
        writer.key("comparison")
        writer.beginArray()
        for row in rows {
            writer.beginObject()
            writer.string("arm", row.arm)
            writer.string("measure", row.measure.rawValue)
            writer.double("first", row.first)
            writer.double("second", row.second)
            writer.double("difference", row.paired.difference.mean)
            writer.double("low", row.paired.difference.low)
            writer.double("high", row.paired.difference.high)
            writer.double("p", row.paired.p)
            writer.integer("better", row.paired.better)
            writer.integer("worse", row.paired.worse)
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        return writer.bytes
    }
}
