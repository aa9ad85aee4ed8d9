/// Measures as bars with their intervals, in one SVG file that needs nothing else.
package enum EvaluationPlot {
    private static let (panelWidth, panelHeight, gap) = (250, 220, 40)
    private static let (left, top, bottom) = (50, 92, 64)
    /// Of runs, told apart by lightness too, for those who see no colours.
    private static let colours = ["#1b4f8f", "#e0912f"]
    /// The same for figures, dark enough to be read on white.
    private static let inks = ["#1b4f8f", "#8a5200"]
    private static let titles: [Measure: String] = [.ndcg10: "nDCG@10", .recall: "recall", .reciprocalRank: "MRR"]

    /// A panel for each measure, in it a bar for each arm and run.
    ///
    /// - Parameter runs: one, or two that are compared.
    package static func svg(_ runs: [EvaluationRun], seed: UInt64) -> String {
        let measures = Measure.allCases
        let width = left + measures.count * (panelWidth + gap)
        let height = top + panelHeight + bottom
        var lines = [
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(width)\" height=\"\(height)\" "
                + "viewBox=\"0 0 \(width) \(height)\" font-family=\"system-ui, sans-serif\" font-size=\"13\">",
            "<rect width=\"\(width)\" height=\"\(height)\" fill=\"#ffffff\"/>",
        ]
        let queries = runs.first?.queries.count ?? 0
        lines.append(
            "<text x=\"\(left)\" y=\"24\" font-size=\"16\" font-weight=\"600\" fill=\"#1a1a1a\">Retrieval over "
                + "\(queries) judged \(queries == 1 ? "query" : "queries")</text>")
        lines += legend(runs)
        for (index, measure) in measures.enumerated() {
            lines += panel(measure, runs, x: left + index * (panelWidth + gap), seed: seed)
        }
        lines.append("</svg>")
        return lines.joined(separator: "\n") + "\n"
    }

    private static func legend(_ runs: [EvaluationRun]) -> [String] {
        var lines: [String] = []
        var x = left
        for (place, run) in runs.enumerated() {
            // Names may be long, and the picture has a width.
            let name = run.origin.name.count > 44 ? run.origin.name.prefix(43) + "…" : run.origin.name[...]
            let text = "\(name), generation \(run.origin.generation)"
            lines.append("<rect x=\"\(x)\" y=\"38\" width=\"12\" height=\"12\" fill=\"\(colour(place))\"/>")
            lines.append("<text x=\"\(x + 18)\" y=\"49\" fill=\"#333333\">\(escaped(text))</text>")
            x += 18 + text.count * 7 + 24
        }
        return lines
    }

    private static func colour(_ place: Int) -> String { colours[place % colours.count] }

    private static func panel(_ measure: Measure, _ runs: [EvaluationRun], x: Int, seed: UInt64) -> [String] {
        let floor = top + panelHeight
        var title = titles[measure] ?? measure.rawValue
        if measure == .recall { title += "@\(runs.first?.origin.depth ?? 0)" }
        var lines = [
            "<text x=\"\(x)\" y=\"\(top - 10)\" font-weight=\"600\" fill=\"#1a1a1a\">\(escaped(title))</text>"
        ]
        for step in 0...5 {
            let y = floor - panelHeight * step / 5
            lines.append(
                "<line x1=\"\(x)\" y1=\"\(y)\" x2=\"\(x + panelWidth)\" y2=\"\(y)\" stroke=\"#dddddd\"/>")
            lines.append(
                "<text x=\"\(x - 6)\" y=\"\(y + 4)\" font-size=\"11\" text-anchor=\"end\" fill=\"#666666\">"
                    + "\(Figures.fixed(Double(step) / 5, 1))</text>")
        }
        let arms = EvaluationRun.armOrder.filter { arm in runs.contains { $0.arms[arm] != nil } }
        guard !arms.isEmpty else { return lines }
        let slot = panelWidth / arms.count
        let bar = min(44, (slot - 16) / max(runs.count, 1))
        for (index, arm) in arms.enumerated() {
            let middle = x + slot * index + slot / 2
            lines.append(
                "<text x=\"\(middle)\" y=\"\(floor + 20)\" text-anchor=\"middle\" fill=\"#333333\">\(arm)</text>")
            for (place, run) in runs.enumerated() where run.arms[arm] != nil {
                let start = middle - bar * runs.count / 2 + bar * place
                lines += self.bar(
                    run.estimate(measure, of: arm, seed: seed), x: start, width: bar, floor: floor, colour(place))
                lines.append(
                    "<text x=\"\(start + bar / 2)\" y=\"\(floor + 40 + 15 * place)\" font-size=\"11\" "
                        + "text-anchor=\"middle\" fill=\"\(inks[place % inks.count])\">"
                        + "\(Figures.fixed(run.estimate(measure, of: arm, seed: seed).mean, 3))</text>")
            }
        }
        lines.append(
            "<line x1=\"\(x)\" y1=\"\(floor)\" x2=\"\(x + panelWidth)\" y2=\"\(floor)\" stroke=\"#333333\"/>")
        return lines
    }

    /// A bar, and over it the interval as a line with ends.
    private static func bar(_ estimate: Estimate, x: Int, width: Int, floor: Int, _ colour: String) -> [String] {
        func y(_ value: Double) -> String {
            Figures.fixed(Double(floor) - min(max(value, 0), 1) * Double(panelHeight), 1)
        }
        let height = Figures.fixed(min(max(estimate.mean, 0), 1) * Double(panelHeight), 1)
        let middle = x + width / 2
        let whisker = [
            "M\(middle) \(y(estimate.low))V\(y(estimate.high))",
            "M\(middle - 5) \(y(estimate.low))h10", "M\(middle - 5) \(y(estimate.high))h10",
        ]
        return [
            "<rect x=\"\(x + 2)\" y=\"\(y(estimate.mean))\" width=\"\(width - 4)\" height=\"\(height)\" "
                + "fill=\"\(colour)\" fill-opacity=\"0.85\"/>",
            "<path d=\"\(whisker.joined())\" stroke=\"#111111\" stroke-width=\"1.5\" fill=\"none\"/>",
        ]
    }

    /// As text of an XML document, which has no control characters.
    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case _ where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value): result += "\u{FFFD}"
            case _ where scalar.value & 0xFFFE == 0xFFFE: result += "\u{FFFD}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
