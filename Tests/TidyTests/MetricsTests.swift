import Foundation
import Testing

/// Telemetry names are a contract: what monitoring asks for exists, and what exists is documented.
@Suite struct MetricsTests {
    private let reference: MetricsReference

    init() throws {
        let paths = try Repository.paths(in: "Sources").filter {
            $0.hasSuffix(".swift") && !$0.hasPrefix("Sources/Runtime/Telemetry")
        }
        reference = MetricsReference(try paths.map { ($0, try Repository.text($0)) })
    }

    @Test func everyMetricIsRegisteredOnceAndWithItsMeaning() {
        #expect(reference.problems == [])
        #expect(reference.metrics.count > 30, "the registrations were not found")
        for metric in reference.metrics.values {
            #expect(metric.help.count == 1, "\(metric.name) is explained differently: \(metric.help)")
            #expect((metric.kind == "counter") == metric.name.hasSuffix("_total"), "\(metric.name)")
            #expect(metric.kind != "histogram" || !metric.unit.isEmpty, "\(metric.name) has no unit")
            // One prefix, so that one pattern finds all; the system's own figures of a process have everybody's names.
            #expect(metric.name.hasPrefix("medallion_") || metric.name.hasPrefix("process_"), "\(metric.name)")
        }
    }

    /// `UPDATE_GOLDEN=1 swift test --filter MetricsTests` rewrites the page.
    @Test func theReferenceIsUpToDate() throws {
        if ProcessInfo.processInfo.environment["UPDATE_GOLDEN"] == "1" {
            try Data(reference.markdown.utf8).write(to: Repository.root.appending(path: "docs/metrics.md"))
        }
        #expect(try Repository.text("docs/metrics.md") == reference.markdown)
    }

    @Test func everyMetricThatIsAskedForExists() throws {
        // The runbook's page is made of the runbook.
        let paths =
            try Repository.paths(in: "monitoring").filter { !$0.hasSuffix(".html") }
            + ["docs/operations.md", "docs/runbook.md"]
        var names: Set<String> = []
        for path in paths {
            let asked = try Set(
                Repository.text(path).matches(of: /\b(?:medallion|process|broker)_[a-z0-9_]+\b/).map {
                    String($0.output)
                })
            // The role of searches in Postgres is no metric.
            for name in asked.subtracting(["medallion_reader"]).sorted() where !reference.isKnown(name) {
                // The beginning of several, in a command that looks for them.
                let isPrefix = name.hasSuffix("_") || path.hasSuffix("runbook.md") && isBeginning(name)
                if !isPrefix { Issue.record("\(path) names \(name), which nothing registers") }
            }
            names.formUnion(asked)
        }
        #expect(names.count > 60)
    }

    private func isBeginning(_ name: String) -> Bool {
        reference.metrics.keys.contains { $0.hasPrefix(name) }
    }

    @Test func registrationsAreRead() {
        let found = MetricsReference([
            (
                "Sources/Services/Broker/X.swift",
                """
                a = registry.counter("a_total", help: "Things (all) of it.")
                b = r.histogram(
                    "b_seconds", help: "Time.",
                    labels: [("route", x.y(1)), ("kind", "z")])
                c.gauge("c", help: text)
                d.gauges("d_bytes", help: "One " + "and two.", labels: ["folder", "place"]) { [] }
                let names = [("client", role)]
                e.counter("e_total", help: "E.", labels: names)
                f.counter("f_\\(x)_total", help: "Built at run time.")
                g.counter(prefix + "g_total", help: "Built at run time.")
                h.gauge("h", help: "H.", labels: labels(of: x))
                i.counter(by: 3)
                """
            )
        ])
        #expect(found.metrics["a_total"]?.help == ["Things (all) of it."])
        #expect(found.metrics["b_seconds"]?.labels == ["route", "kind"])
        #expect(found.isKnown("b_seconds_bucket") && !found.isKnown("a_total_bucket"))
        #expect(found.metrics["d_bytes"]?.labels == ["folder", "place"] && found.metrics["d_bytes"]?.kind == "gauge")
        #expect(found.metrics["d_bytes"]?.help == ["One and two."] && found.metrics["d_bytes"]?.unit == "bytes")
        #expect(found.metrics["e_total"]?.labels == ["client"])
        let path = "Sources/Services/Broker/X.swift"
        #expect(
            found.problems == [
                "\(path): the help of c is no literal", "\(path):9: the name of a counter is no literal",
                "\(path):10: the name of a counter is no literal", "\(path): the labels of h are no literal",
            ])
    }
}
