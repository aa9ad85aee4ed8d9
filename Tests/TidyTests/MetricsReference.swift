import Foundation

/// The metrics that the sources register, read from the calls themselves.
struct MetricsReference {
    /// One name; calls that register it in several places are one metric.
    struct Metric {
        let name: String
        let kind: String
        var help: Set<String> = []
        var labels: Set<String> = []
        var modules: Set<String> = []
    }

    private(set) var metrics: [String: Metric] = [:]
    /// Calls whose name or help is no literal, and names of two kinds.
    private(set) var problems: [String] = []

    /// - Parameter files: sources, without the registry itself.
    init(_ files: [(path: String, text: String)]) {
        // Quotes are \x22 here: the other rules read this file, too, and do not know regular expressions.
        let call = /\.(counter|gauge|histogram)\(\s*(?:\x22([^\x22]*)\x22\s*,)?/
        for file in files {
            for match in file.text.matches(of: call) {
                guard let name = match.output.2 else { continue }
                let arguments = Self.arguments(file.text[match.range.lowerBound...])
                note(String(name), kind: String(match.output.1), arguments, file)
            }
        }
    }

    /// Names with what Prometheus makes of a histogram, as dashboards and alerts write them.
    func isKnown(_ name: String) -> Bool {
        if metrics[name] != nil { return true }
        for suffix in ["_bucket", "_sum", "_count"] where name.hasSuffix(suffix) {
            if metrics[String(name.dropLast(suffix.count))]?.kind == "histogram" { return true }
        }
        return false
    }

    /// The page docs/metrics.md.
    var markdown: String {
        var lines = [
            "# Metrics", "",
            "`GET /metrics` of `medallion up` and `medallion serve`, and of the other roles at `METRICS_LISTEN`, in Prometheus' text",
            "format. A histogram has the series `_bucket`, `_sum` and `_count`, in seconds. Alerts and a dashboard are in `monitoring/`; what to do about an alert",
            "is in [operations.md](operations.md). Written from the sources: `UPDATE_GOLDEN=1 swift test --filter Metrics`.",
        ]
        let sections = Dictionary(grouping: metrics.values) { $0.modules.sorted().first ?? "" }
        for (module, members) in sections.sorted(by: { $0.key < $1.key }) {
            lines += ["", "## \(module)", "", "| metric | kind | labels | meaning |", "| --- | --- | --- | --- |"]
            for metric in members.sorted(by: { $0.name < $1.name }) {
                let labels = metric.labels.sorted().map { "`\($0)`" }.joined(separator: ", ")
                let help = metric.help.sorted().joined(separator: " ")
                lines.append("| `\(metric.name)` | \(metric.kind) | \(labels) | \(help) |")
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private mutating func note(
        _ name: String, kind: String, _ arguments: Substring, _ file: (path: String, text: String)
    ) {
        let parts = file.path.split(separator: "/")
        var metric = metrics[name] ?? Metric(name: name, kind: kind)
        if metric.kind != kind { problems.append("\(file.path): \(name) is a \(kind) and a \(metric.kind)") }
        if let help = arguments.firstMatch(of: /help:\s*\x22((?:[^\x22\\]|\\.)*)\x22/) {
            metric.help.insert(String(help.output.1))
        } else if arguments.contains("help: help"), let help = file.text.firstMatch(of: /let help = \x22([^\x22]*)\x22/)
        {
            metric.help.insert(String(help.output.1))
        } else {
            problems.append("\(file.path): the help of \(name) is no literal")
        }
        if let labels = arguments.range(of: "labels:") {
            for label in arguments[labels.upperBound...].matches(of: /\(\x22([a-z_]+)\x22,/) {
                metric.labels.insert(String(label.output.1))
            }
        }
        // The module that declares it, not one that reads it again.
        if file.path.hasPrefix("Sources/Services") { metric.modules.insert(String(parts[2])) }
        if metric.modules.isEmpty { metric.modules.insert("medallion") }
        if metric.modules.count > 1 { metric.modules.remove("medallion") }
        metrics[name] = metric
    }

    /// From a call's name to its closing parenthesis.
    private static func arguments(_ text: Substring) -> Substring {
        var depth = 0
        var isInString = false
        var previous: Character = " "
        for index in text.indices {
            let character = text[index]
            if character == "\"" && previous != "\\" { isInString.toggle() }
            if !isInString {
                if character == "(" { depth += 1 }
                if character == ")" {
                    depth -= 1
                    if depth == 0 { return text[..<index] }
                }
            }
            previous = character
        }
        return text
    }
}
