import Foundation

/// The metrics that the sources register, read from the calls themselves.
///
/// A call that cannot be read (a name, a meaning or labels put together at run time) is a problem, not a gap: a metric that is
/// not in the reference is in nobody's dashboard either. `MetricsOfRolesTests` holds the page against what roles serve.
struct MetricsReference {
    /// One name; calls that register it in several places are one metric.
    struct Metric {
        let name: String
        let kind: String
        var help: Set<String> = []
        var labels: Set<String> = []
        var modules: Set<String> = []

        /// By the name's end, as Prometheus has it; a plain number has none.
        var unit: String {
            let name = kind == "counter" && name.hasSuffix("_total") ? String(name.dropLast("_total".count)) : name
            // Of ten: a share by its nature.
            if name.hasSuffix("_recall_at_10") { return "share" }
            return ["seconds", "bytes", "texts"].first { name.hasSuffix("_\($0)") } ?? ""
        }
    }

    private(set) var metrics: [String: Metric] = [:]
    /// Calls that cannot be read, and names of two kinds.
    private(set) var problems: [String] = []

    /// - Parameter files: sources, without the registry itself.
    init(_ files: [(path: String, text: String)]) {
        // Quotes are \x22 here: the other rules read this file, too, and do not know regular expressions.
        let call = /\.(counter|gauge|gauges|histogram)\(/
        for file in files {
            for match in file.text.matches(of: call) {
                let arguments = Self.arguments(file.text[match.range.lowerBound...])
                // Something else of that name has no help.
                guard arguments.contains("help:") else { continue }
                let kind = match.output.1 == "gauges" ? "gauge" : String(match.output.1)
                guard let name = arguments.prefixMatch(of: /\.[a-z]+\(\s*\x22([a-z][a-z0-9_]*)\x22\s*,/)?.output.1
                else {
                    let line = file.text[..<match.range.lowerBound].filter { $0 == "\n" }.count + 1
                    problems.append("\(file.path):\(line): the name of a \(kind) is no literal")
                    continue
                }
                note(String(name), kind: kind, arguments, file)
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
            "format. All names begin with `medallion_`, but for what the system says of a process: `process_…`, as in Prometheus' own",
            "clients. A histogram has the series `_bucket`, `_sum` and `_count`. Objectives, alerts and dashboards are in `monitoring/`;",
            "what to do about an alert is in [runbook.md](runbook.md). Written from the sources:",
            "`UPDATE_GOLDEN=1 swift test --filter Metrics`.",
        ]
        let sections = Dictionary(grouping: metrics.values) { $0.modules.sorted().first ?? "" }
        for (module, members) in sections.sorted(by: { $0.key < $1.key }) {
            lines += [
                "", "## \(module)", "", "| metric | kind | unit | labels | meaning |",
                "| --- | --- | --- | --- | --- |",
            ]
            for metric in members.sorted(by: { $0.name < $1.name }) {
                let labels = metric.labels.sorted().map { "`\($0)`" }.joined(separator: ", ")
                let help = metric.help.sorted().joined(separator: " ")
                lines.append("| `\(metric.name)` | \(metric.kind) | \(metric.unit) | \(labels) | \(help) |")
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
        if let help = Self.help(arguments, file.text) {
            metric.help.insert(help)
        } else {
            problems.append("\(file.path): the help of \(name) is no literal")
        }
        if let labels = Self.labels(arguments, file.text) {
            metric.labels.formUnion(labels)
        } else {
            problems.append("\(file.path): the labels of \(name) are no literal")
        }
        // The module that declares it, not one that reads it again.
        if parts.count > 3, ["Services", "Runtime"].contains(parts[1]) { metric.modules.insert(String(parts[2])) }
        if metric.modules.isEmpty { metric.modules.insert("medallion") }
        if metric.modules.count > 1 { metric.modules.remove("medallion") }
        metrics[name] = metric
    }

    /// A literal, several joined by `+`, or a constant of the same file that is one.
    private static func help(_ arguments: Substring, _ text: String) -> String? {
        guard let start = arguments.range(of: "help:")?.upperBound else { return nil }
        if let name = arguments[start...].prefixMatch(of: /\s*([a-z][A-Za-z]*)/)?.output.1 {
            guard let declared = text.range(of: "let \(name) = ") else { return nil }
            return literal(text[declared.upperBound...])
        }
        return literal(arguments[start...])
    }

    private static func literal(_ text: Substring) -> String? {
        let piece = /\s*(?:\+\s*)?\x22((?:[^\x22\\]|\\.)*)\x22/
        var rest = text
        var result: String?
        while let match = rest.prefixMatch(of: piece) {
            // What is put in at run time is no literal.
            guard !match.output.1.contains("\\(") else { return nil }
            result = (result ?? "") + match.output.1
            rest = rest[match.range.upperBound...]
            guard rest.prefixMatch(of: /\s*\+/) != nil else { break }
        }
        return result
    }

    /// The labels' names; none where the call has no labels, nil where they cannot be read.
    private static func labels(_ arguments: Substring, _ text: String) -> Set<String>? {
        guard let start = arguments.range(of: "labels:")?.upperBound else { return [] }
        var list = arguments[start...]
        if let name = list.prefixMatch(of: /\s*([a-z][A-Za-z]*)/)?.output.1 {
            guard let declared = text.range(of: "let \(name) = [") else { return nil }
            list = text[text.index(before: declared.upperBound)...]
        }
        guard list.prefixMatch(of: /\s*\[/) != nil, let end = closingBracket(list) else { return nil }
        let names = list[..<end].matches(of: /(?:\(|\[\s*|,\s*)\x22([a-z_]+)\x22/).map { String($0.output.1) }
        // Pairs of name and value: only what stands first. Of a list of names alone, all.
        let pairs = list[..<end].matches(of: /\(\x22([a-z_]+)\x22,/).map { String($0.output.1) }
        return Set(pairs.isEmpty ? names : pairs)
    }

    private static func closingBracket(_ text: Substring) -> Substring.Index? {
        var depth = 0
        for index in text.indices {
            if text[index] == "[" { depth += 1 }
            if text[index] == "]" {
                depth -= 1
                if depth == 0 { return index }
            }
        }
        return nil
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
