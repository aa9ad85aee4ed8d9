import Foundation
import Testing

/// monitoring/ as Prometheus' own tools read it, and as pages and tests have it.
@Suite struct MonitoringTests {
    private struct Alert: Hashable {
        let name: String
        let text: String

        func value(_ key: String) -> String? {
            guard let start = text.range(of: "\(key): ")?.upperBound else { return nil }
            return String(text[start...].prefix { $0 != "\n" })
        }
    }

    private static let themes = ["objectives", "answers", "pipeline", "resources"]
    private static var hasTools: Bool {
        ["promtool", "amtool"].allSatisfy { FileManager.default.isExecutableFile(atPath: "/usr/bin/\($0)") }
    }

    /// Runs a program in the repository.
    ///
    /// - Returns: whether it ended with 0, and what it said.
    private func run(_ program: String, _ arguments: [String]) throws -> (isSuccess: Bool, output: String) {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(filePath: "/usr/bin/\(program)")
        process.arguments = arguments
        process.currentDirectoryURL = Repository.root
        (process.standardOutput, process.standardError) = (output, output)
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus == 0, text)
    }

    /// Every alert rule; one that has two severities comes twice.
    private func alerts() throws -> [Alert] {
        try Self.themes.flatMap { theme in
            let text = try Repository.text("monitoring/rules/\(theme).yml")
            return text.components(separatedBy: "- alert: ").dropFirst().map { part in
                let body = part.components(separatedBy: "- record: ")[0]
                return Alert(name: String(body.prefix { $0 != "\n" }), text: body)
            }
        }
    }

    @Test(.enabled(if: hasTools, "prometheus is not installed (tools/setup.sh --tests)"))
    func prometheusOwnToolsFindNothing() throws {
        let rules = Self.themes.map { "monitoring/rules/\($0).yml" }
        // Those of Compose lie elsewhere in its container.
        let compose = ["check", "config", "--syntax-only", "monitoring/prometheus.compose.yml"]
        for (program, arguments) in [
            ("promtool", ["check", "rules", "--lint-fatal"] + rules),
            ("promtool", ["check", "config", "--lint-fatal", "monitoring/prometheus.yml"]),
            ("promtool", compose), ("amtool", ["check-config", "monitoring/alertmanager.yml"]),
            ("promtool", ["test", "rules"] + Self.themes.map { "monitoring/tests/\($0).yml" }),
        ] {
            let (isSuccess, output) = try run(program, arguments)
            #expect(isSuccess, "\(program) \(arguments.joined(separator: " "))\n\(output)")
        }
        // A rule that is not what it should be is found by its case.
        let broken = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: broken) }
        try FileManager.default.copyItem(at: Repository.root.appending(path: "monitoring"), to: broken)
        let path = broken.appending(path: "rules/pipeline.yml")
        let text = try String(contentsOf: path, encoding: .utf8)
        try text.replacing("_wait_seconds) > 30", with: "_wait_seconds) > 50")
            .write(to: path, atomically: true, encoding: .utf8)
        #expect(try !run("promtool", ["test", "rules", broken.path + "/tests/pipeline.yml"]).isSuccess)
    }

    @Test func everyAlertSaysWhatToDo() throws {
        let runbook = try Repository.text("docs/runbook.md")
        // Where the link leads; that it is of this runbook is tested with the other tools in Python.
        let page = try Repository.text("monitoring/consoles/runbook.html")
        let tests = try Self.themes.map { try Repository.text("monitoring/tests/\($0).yml") }.joined()
        let faults = try Repository.text("Tests/PipelineTests/alert_faults.py")
        let alerts = try alerts()
        #expect(alerts.count > 20, "the alerts were not found")
        for alert in alerts {
            let severity = try #require(alert.value("severity")?.prefix { $0.isLetter })
            #expect(["page", "warn", "inform"].contains(severity), "\(alert.name)")
            // The second of two may take the first's by a name.
            if alert.value("annotations")?.hasPrefix("*") != true {
                #expect(alert.value("summary") != nil && alert.value("action") != nil, "\(alert.name)")
                #expect(
                    alert.value("runbook_url")
                        == "\"{{ $externalURL }}/consoles/runbook.html#\(alert.name.lowercased())\"", "\(alert.name)")
                #expect(page.contains("<h3 id=\"\(alert.name.lowercased())\">"), "the page lacks \(alert.name)")
            }
            let sections = runbook.components(separatedBy: "\n### \(alert.name)\n")
            #expect(sections.count == 2, "docs/runbook.md has no section \(alert.name), or several")
            let section = sections.last?.components(separatedBy: "\n### ")[0] ?? ""
            #expect(section.contains("`\(severity)`"), "docs/runbook.md says another severity of \(alert.name)")
            #expect(section.contains("```sh\n"), "\(alert.name) has no command to type")
            #expect(
                tests.contains("alertname=\"\(alert.name)\",severity=\"\(severity)\""),
                "no case of monitoring/tests has \(alert.name) fire as \(severity)")
            // The trial names who must hear of it.
            #expect(
                faults.contains("\(severity)(\"\(alert.name)\""), "no fault raises \(alert.name) as \(severity)")
        }
        let known = Set(alerts.map(\.name))
        for path in ["docs/runbook.md", "docs/operations.md", "monitoring/alertmanager.yml", "README.md"] {
            let named = try Set(Repository.text(path).matches(of: /Medallion[A-Z]\w+/).map { String($0.output) })
            #expect(named.subtracting(known) == [], "\(path) names alerts that are not there")
        }
    }

    /// The runbook's table of causes is what the trial breaks, and expects.
    @Test func theCausesAreThoseOfTheTrial() throws {
        let faults = try Repository.text("Tests/PipelineTests/alert_faults.py")
        let rows = try Repository.text("docs/runbook.md").split(separator: "\n").filter { $0.hasPrefix("| `") }
        var seen = 0
        for part in faults.components(separatedBy: "\n@fault(").dropFirst() {
            let parts = part.components(separatedBy: "\ndef ")
            let name = try #require(parts.dropFirst().first?.prefix { $0 != "(" }.replacing("_", with: "-"))
            let row = try #require(rows.first { $0.contains("`\(name)`") }, "docs/runbook.md has no cause \(name)")
            for alert in parts[0].matches(of: /"Medallion(\w+)"/).map(\.output.1) {
                #expect(row.contains(alert), "docs/runbook.md: \(name) lacks \(alert)")
            }
            seen += 1
        }
        #expect(seen > 20)
    }

    /// The table of README.md and the recording rules say the same.
    @Test func theObjectivesAreThoseOfTheReadme() throws {
        let rules = try Repository.text("monitoring/rules/objectives.yml")
        let budgets = rules.matches(
            of: /budget:ratio, labels: \{objective: ([\w-]+)\}, expr: vector\(([\d.]+)\)/)
        let rows = try Repository.text("README.md").matches(of: /\| `([\w-]+)` \| .+ \| ([\d.]+) % \|/)
        #expect(budgets.map { String($0.output.1) } == rows.map { String($0.output.1) })
        #expect(budgets.count == 10)
        for (budget, row) in zip(budgets, rows) {
            let (allowed, wanted) = (try #require(Double(budget.output.2)), try #require(Double(row.output.2)))
            #expect(abs(100 - allowed * 100 - wanted) < 0.001, "\(row.output.1)")
            for series in ["all", "bad"] {
                #expect(
                    rules.contains("job:objective_\(series):rate5m\n        labels: {objective: \(budget.output.1)}"),
                    "\(budget.output.1)")
            }
        }
    }

    @Test(.enabled(if: hasTools, "prometheus is not installed (tools/setup.sh --tests)"))
    func everyPanelAsksWhatPrometheusUnderstands() throws {
        struct Dashboard: Decodable {
            struct Panel: Decodable {
                struct Target: Decodable { let expr: String }
                let title: String
                let type: String
                let targets: [Target]?
            }
            let uid: String
            let panels: [Panel]
        }
        var rules = "groups:\n  - name: panels\n    rules:\n"
        var recorded: Set<String> = []
        for name in ["on-call", "pipeline", "retrieval", "resources"] {
            let data = try Data(Repository.text("monitoring/grafana/dashboards/\(name).json").utf8)
            let dashboard = try JSONDecoder().decode(Dashboard.self, from: data)
            // tools/smoke.sh and links go by it.
            #expect(dashboard.uid == "medallion-\(name)")
            #expect(Set(dashboard.panels.map(\.title)).count == dashboard.panels.count, "\(name)")
            for panel in dashboard.panels where panel.type != "row" {
                #expect(panel.targets?.isEmpty == false, "\(name): \(panel.title)")
                for target in panel.targets ?? [] {
                    let query = target.expr.replacing("$__rate_interval", with: "1m").replacing("$instance", with: ".*")
                    #expect(!query.contains("$"), "\(name): \(panel.title) has a variable that nobody knows")
                    rules += "      - record: panel:q\(rules.count):x\n        expr: >-\n          \(query)\n"
                    recorded.formUnion(query.matches(of: /\b(?:job:)?objective\w*:[\w:]+/).map { String($0.output) })
                }
            }
        }
        let file = FileManager.default.temporaryDirectory.appending(path: "\(UUID().uuidString).yml")
        defer { try? FileManager.default.removeItem(at: file) }
        try rules.write(to: file, atomically: true, encoding: .utf8)
        let (isSuccess, output) = try run("promtool", ["check", "rules", file.path])
        #expect(isSuccess, "\(output)")
        let objectives = try Repository.text("monitoring/rules/objectives.yml")
        #expect(!recorded.isEmpty)
        for name in recorded { #expect(objectives.contains("record: \(name)"), "no rule records \(name)") }
    }
}
