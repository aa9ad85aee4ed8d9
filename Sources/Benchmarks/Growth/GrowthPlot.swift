import Bytes

/// What grows with the index and what does not, as lines in one SVG file that needs nothing else.
enum GrowthPlot {
    private static let (width, height, left, top, right, bottom) = (640, 360, 60, 60, 230, 50)
    /// Dark enough to be read on white; the lines are named at their ends, too.
    private static let colours = ["#1b4f8f", "#8a5200", "#2f6b2f", "#7a1f5c", "#444444"]

    /// - Parameter lines: names and their figures at the sizes, each over its figure at the first size.
    static func svg(sizes: [Int], lines: [(name: String, ratios: [Double])]) -> String {
        let most = max(2, (lines.flatMap(\.ratios).max() ?? 1).rounded(.up))
        let (across, down) = (Double(width - left - right), Double(height - top - bottom))
        let last = Double(sizes.last ?? 1)
        func x(_ size: Int) -> Int { left + Int(across * Double(size) / last) }
        func y(_ ratio: Double) -> Int { top + Int(down * (1 - ratio / most)) }
        var parts = [
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(width)\" height=\"\(height)\" "
                + "viewBox=\"0 0 \(width) \(height)\" font-family=\"system-ui, sans-serif\" font-size=\"13\">",
            "<rect width=\"\(width)\" height=\"\(height)\" fill=\"#ffffff\"/>",
            "<text x=\"\(left)\" y=\"26\" font-size=\"16\" font-weight=\"600\" fill=\"#1a1a1a\">Cost beside that at "
                + "\(BenchReport.text(Double(sizes.first ?? 0))) passages</text>",
        ]
        for step in 0...Int(most) {
            parts.append(
                "<line x1=\"\(left)\" y1=\"\(y(Double(step)))\" x2=\"\(width - right)\" y2=\"\(y(Double(step)))\" "
                    + "stroke=\"#dddddd\"/>")
            parts.append(
                "<text x=\"\(left - 8)\" y=\"\(y(Double(step)) + 4)\" text-anchor=\"end\" "
                    + "fill=\"#555555\">\(step)</text>"
            )
        }
        for size in sizes {
            parts.append(
                "<text x=\"\(x(size))\" y=\"\(height - bottom + 20)\" text-anchor=\"middle\" fill=\"#555555\">"
                    + "\(BenchReport.text(Double(size)))</text>")
        }
        var labelled = Int.max
        for (place, line) in lines.enumerated().sorted(by: {
            ($0.element.ratios.last ?? 0) < ($1.element.ratios.last ?? 0)
        }) {
            let colour = colours[place % colours.count]
            let points = zip(sizes, line.ratios).map { "\(x($0)),\(y($1))" }.joined(separator: " ")
            parts.append("<polyline points=\"\(points)\" fill=\"none\" stroke=\"\(colour)\" stroke-width=\"2\"/>")
            // Names do not lie upon one another.
            let level = min(y(line.ratios.last ?? 0) + 4, labelled - 16)
            labelled = level
            parts.append(
                "<text x=\"\(width - right + 8)\" y=\"\(level)\" fill=\"\(colour)\">\(line.name)</text>")
        }
        parts.append("</svg>")
        return parts.joined(separator: "\n") + "\n"
    }
}
