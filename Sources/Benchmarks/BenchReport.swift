import Bytes
import Console

/// What a figure should be.
enum BenchGoal: Sendable, Equatable {
    case atLeast(Double)
    case atMost(Double)

    func isReached(by value: Double) -> Bool {
        switch self {
        case .atLeast(let bound): value >= bound
        case .atMost(let bound): value <= bound
        }
    }

    /// Bounds are round numbers.
    private static func text(_ bound: Double) -> String {
        let text = BenchReport.text(bound)
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }

    /// `at least 10`
    var text: String {
        switch self {
        case .atLeast(let bound): "at least \(Self.text(bound))"
        case .atMost(let bound): "at most \(Self.text(bound))"
        }
    }
}

/// One measured figure.
struct BenchFigure: Sendable {
    let name: String
    let value: Double
    let unit: String
    /// What it is measured against; nil where there is only the figure.
    var target: String?
    /// What is wanted of it; nil where nothing is.
    var goal: BenchGoal?

    init(_ name: String, _ value: Double, _ unit: String, target: String? = nil, goal: BenchGoal? = nil) {
        self.name = name
        self.value = value
        self.unit = unit
        self.target = target
        self.goal = goal
    }

    /// What stands behind the value: `wanted: at least 10, missed`.
    var remark: String? {
        let judged = goal.map { "wanted: \($0.text), \($0.isReached(by: value) ? "reached" : "missed")" }
        let parts = [judged, target].compactMap(\.self)
        return parts.isEmpty ? nil : parts.joined(separator: "; ")
    }
}

/// What a benchmark found, for people or as JSON.
struct BenchReport: Sendable {
    let title: String
    var figures: [BenchFigure] = []
    /// What must not be; the command then ends with code 1.
    var findings: [String] = []

    func print(asJSON: Bool) {
        if asJSON {
            var json = JSONWriter()
            json.beginObject()
            json.string("benchmark", title)
            json.key("figures")
            json.beginArray()
            for figure in figures {
                json.beginObject()
                json.string("name", figure.name)
                json.double("value", figure.value)
                json.string("unit", figure.unit)
                if let goal = figure.goal {
                    json.string("wanted", goal.text)
                    json.bool("reached", goal.isReached(by: figure.value))
                }
                json.endObject()
            }
            json.endArray()
            json.key("findings")
            json.beginArray()
            for finding in findings { json.string(finding) }
            json.endArray()
            json.endObject()
            Output.write(json.bytes + [0x0A])
            return
        }
        Output.line(title)
        let width = (figures.map(\.name.count).max() ?? 0) + 2
        for figure in figures {
            let padding = String(repeating: " ", count: width - figure.name.count)
            let target = figure.remark.map { "   (\($0))" } ?? ""
            Output.line("  \(figure.name)\(padding)\(Self.text(figure.value)) \(figure.unit)\(target)")
        }
        for finding in findings { Output.line("  WRONG: \(finding)") }
    }

    /// Three significant digits where it matters, whole numbers where it is large.
    static func text(_ value: Double) -> String {
        if value.magnitude >= 100 { return grouped(Int(value.rounded())) }
        let scaled = (value * 1_000).rounded() / 1_000
        return "\(scaled)"
    }

    /// Three significant digits, for pages: thousandths say nothing there.
    static func short(_ value: Double) -> String {
        let digits =
            switch value.magnitude {
            case 100...: 1.0
            case 10..<100: 10.0
            case 1..<10: 100.0
            default: 1_000.0
            }
        return digits == 1 ? text(value) : "\((value * digits).rounded() / digits)"
    }

    private static func grouped(_ value: Int) -> String {
        var digits = String(value.magnitude)
        var groups: [String] = []
        while digits.count > 3 {
            groups.insert(String(digits.suffix(3)), at: 0)
            digits = String(digits.dropLast(3))
        }
        return (value < 0 ? "-" : "") + ([digits] + groups).joined(separator: ",")
    }
}

/// Values of which quantiles are asked.
struct Sample: Sendable {
    private(set) var values: [Double] = []

    mutating func add(_ value: Double) { values.append(value) }

    /// The value below which the share `q` lies; 0 for an empty sample.
    func quantile(_ q: Double) -> Double {
        guard !values.isEmpty else { return 0 }
        let sorted = values.sorted()
        return sorted[min(sorted.count - 1, Int(Double(sorted.count) * q))]
    }
}
