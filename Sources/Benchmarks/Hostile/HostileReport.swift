/// What the phases came to, and what of it should not be.
struct HostileReport {
    let options: HostileOptions
    /// Whether the pipeline kept up with the events before the calm phase.
    let keptUp: Bool
    let calm: HostilePhase
    let each: [HostilePhase]
    let hostile: HostilePhase
    let after: HostilePhase
    /// Nil where the pipeline did not catch up.
    let recoverySeconds: Double?

    private typealias Bounds = HostileOptions.Bounds
    private static let searches: [OrdinaryClients.Kind] = [.keyed, .anonymous]
    /// A sample of fewer has no 99th percentile worth a verdict.
    private static let sampleMin = 200

    func report() -> BenchReport {
        let settings = HostileBench.settings(addressRate: options.addressRate).sorted { $0.key < $1.key }
            .map { "\($0.key)=\($0.value)" }.joined(separator: " ")
        var report = BenchReport(
            title:
                "hostile: \(options.attacks.count) attacks for \(options.seconds) s, after \(options.calmSeconds) s of calm, "
                + "at \(Int(HostileBench.eventsPerSecond)) events/s and \(2 * OrdinaryClients.searchesPerSecond) searches/s; "
                + "\(settings), half of the searches with a key; seed \(options.seed)")
        report.figures += latencies(calm) + latencies(hostile) + latencies(after)
        report.figures += memory() + freshness() + load()
        for phase in each { report.figures += alone(phase) }
        for tally in hostile.tallies { report.figures += figures(tally) }
        report.figures.append(BenchFigure("load average of the machine", ProcessorTime.loadAverage(), ""))
        report.findings = findings()
        return report
    }

    // MARK: Figures

    private func latencies(_ phase: HostilePhase) -> [BenchFigure] {
        let target = "wanted: below \(Int(Bounds.milliseconds))"
        var figures: [BenchFigure] = []
        for (name, kinds) in [
            ("searches", Self.searches), ("searches with a key", [.keyed]), ("searches without a key", [.anonymous]),
            ("/events/recent", [.recent]), ("/live and /ready", [.probes]),
        ] as [(String, [OrdinaryClients.Kind])] {
            let sample = phase.ordinary.sample(kinds)
            figures += [
                BenchFigure("\(phase.name): \(name), p50", sample.quantile(0.5), "ms"),
                BenchFigure("\(phase.name): \(name), p99", sample.quantile(0.99), "ms", target: target),
            ]
        }
        figures += [
            BenchFigure("\(phase.name): events at each reader of /stream", phase.readers.events / phase.seconds, "/s"),
            BenchFigure(
                "\(phase.name): readers of /stream that were cut", Double(phase.readers.cut), "", target: "wanted: 0"),
        ]
        let all = OrdinaryClients.Kind.allCases
        let text = phase.ordinary.failureText(all)
        figures += [
            BenchFigure(
                "\(phase.name): ordinary requests answered", Double(phase.ordinary.sample(all).values.count), ""),
            BenchFigure(
                "\(phase.name): ordinary requests that failed", Double(phase.ordinary.failureCount(all)), "",
                target: "wanted: 0" + (text.isEmpty ? "" : "; \(text)")),
        ]
        return figures
    }

    private func memory() -> [BenchFigure] {
        [
            BenchFigure("calm: peak resident memory", calm.peakMegabytes, "MiB"),
            BenchFigure(
                "\(hostile.name): peak resident memory", hostile.peakMegabytes, "MiB",
                target: "wanted: at most \(BenchReport.text(memoryMax)), calm + \(options.memoryMegabytes)"),
            BenchFigure("afterwards: peak resident memory", after.peakMegabytes, "MiB"),
        ]
    }

    private var memoryMax: Double { calm.peakMegabytes + Double(options.memoryMegabytes) }

    private func freshness() -> [BenchFigure] {
        var figures: [BenchFigure] = []
        for phase in [calm, hostile, after] {
            for (name, q) in [("p50", 0.5), ("p95", 0.95)] {
                let isJudged = phase.name == hostile.name && q == 0.95
                let max = (calm.freshness.quantile(0.95) ?? 0) * Bounds.freshness * 1_000
                figures.append(
                    BenchFigure(
                        "\(phase.name): produced to searchable, \(name)",
                        (phase.freshness.quantile(q) ?? 0) * 1_000, "ms",
                        target: isJudged ? "wanted: below \(BenchReport.text(max)), calm × \(Bounds.freshness)" : nil))
            }
            figures += [
                BenchFigure("\(phase.name): edit written to found, p50", phase.edits.found.quantile(0.5), "ms"),
                BenchFigure("\(phase.name): edit written to found, p95", phase.edits.found.quantile(0.95), "ms"),
                BenchFigure(
                    "\(phase.name): edits never found", Double(phase.edits.lost), "",
                    target: "wanted: 0 of \(phase.edits.injected)"),
            ]
        }
        return figures
    }

    private func load() -> [BenchFigure] {
        var figures: [BenchFigure] = []
        for phase in [calm, hostile, after] {
            figures += [
                BenchFigure("\(phase.name): documents indexed", phase.documentsPerSecond, "/s"),
                BenchFigure("\(phase.name): processor, up without Postgres", phase.upCores, "cores"),
                BenchFigure("\(phase.name): processor, Postgres", phase.postgresCores, "cores"),
                BenchFigure("\(phase.name): open files of up", Double(phase.openFiles), ""),
            ]
        }
        figures.append(BenchFigure("\(hostile.name): processor, the attacks", hostile.attackCores, "cores"))
        figures.append(
            BenchFigure(
                "caught up after the attacks", recoverySeconds ?? -1, "s",
                target: recoverySeconds == nil ? "wanted: within a minute; it did not" : "wanted: within a minute"))
        return figures
    }

    /// An attack alone: for comparison, not judged, since so short a time has no 99th percentile worth a verdict.
    private func alone(_ phase: HostilePhase) -> [BenchFigure] {
        let all = OrdinaryClients.Kind.allCases
        return [
            BenchFigure(
                "\(phase.name) alone: searches, p99", phase.ordinary.sample(Self.searches).quantile(0.99), "ms"),
            BenchFigure(
                "\(phase.name) alone: ordinary requests that failed", Double(phase.ordinary.failureCount(all)), "",
                target: phase.ordinary.failureText(all)),
            BenchFigure("\(phase.name) alone: peak resident memory", phase.peakMegabytes, "MiB"),
            BenchFigure(
                "\(phase.name) alone: produced to searchable, p95", (phase.freshness.quantile(0.95) ?? 0) * 1_000, "ms"),
            BenchFigure("\(phase.name) alone: processor, up", phase.upCores, "cores"),
        ]
    }

    private func figures(_ tally: AttackTally) -> [BenchFigure] {
        let name = "attack \(tally.name)"
        let statuses = tally.statuses.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
            .joined(separator: ", ")
        let (sent, received) = (Double(tally.bytesSent) / 1e6, Double(tally.bytesReceived) / 1e6)
        return [
            BenchFigure(
                "\(name): messages", Double(tally.messages), "",
                target: "over \(tally.connections) connections, \(tally.connectionsHeld) at once, "
                    + "\(tally.unconnected) refused; \(BenchReport.text(sent)) MB sent"),
            BenchFigure(
                "\(name): replies", Double(tally.replies), "",
                target: statuses + (statuses.isEmpty ? "" : "; ")
                    + "\(tally.unanswered) awaited in vain, \(tally.cut) connections cut, \(tally.left) left; "
                    + "\(BenchReport.text(received)) MB received"),
        ]
    }

    // MARK: Findings

    private func findings() -> [String] {
        var findings = hostile.findings + each.flatMap(\.findings)
        let calmly = late(calm) + (keptUp ? [] : ["the pipeline does not keep up with the events"])
        if !calmly.isEmpty {
            findings.append(
                "the machine is too slow or busy for a verdict, without any attack: \(calmly.joined(separator: "; "))")
        }
        findings += late(hostile) + late(after)
        for phase in [calm, hostile, after] {
            let kinds = OrdinaryClients.Kind.allCases
            let failed = phase.ordinary.failureCount(kinds)
            if failed > 0 {
                findings.append(
                    "\(phase.name): \(failed) ordinary requests failed: \(phase.ordinary.failureText(kinds))")
            }
            if phase.readers.cut > 0 {
                findings.append("\(phase.name): \(phase.readers.cut) readers of /stream were cut")
            }
            if phase.edits.lost > 0 { findings.append("\(phase.name): \(phase.edits.lost) edits were never found") }
        }
        if calm.peakMegabytes == 0 || hostile.peakMegabytes > memoryMax {
            let (peak, most) = (BenchReport.text(hostile.peakMegabytes), BenchReport.text(memoryMax))
            findings.append("peak memory of \(peak) MiB, at most \(most) wanted")
        }
        findings += stale()
        if recoverySeconds == nil { findings.append("the pipeline did not catch up within a minute after the attacks") }
        return findings
    }

    private func late(_ phase: HostilePhase) -> [String] {
        var findings: [String] = []
        for (name, kinds) in [("searches", Self.searches), ("/events/recent", [.recent])]
            as [(String, [OrdinaryClients.Kind])]
        {
            let sample = phase.ordinary.sample(kinds)
            guard phase.name == hostile.name || sample.values.count >= Self.sampleMin else { continue }
            let p99 = sample.quantile(0.99)
            if sample.values.isEmpty || p99 >= Bounds.milliseconds {
                findings.append("\(phase.name): \(name) have a p99 of \(BenchReport.text(p99)) ms")
            }
        }
        return findings
    }

    private func stale() -> [String] {
        guard let calmly = calm.freshness.quantile(0.95), let attacked = hostile.freshness.quantile(0.95) else {
            return ["freshness could not be measured: the metrics tell nothing of it"]
        }
        var findings: [String] = []
        if attacked >= calmly * Bounds.freshness {
            let (now, then) = (BenchReport.text(attacked * 1_000), BenchReport.text(calmly * 1_000))
            findings.append("freshness p95 of \(now) ms against \(then) ms calmly")
        }
        if hostile.readers.events / hostile.seconds < calm.readers.events / calm.seconds * Bounds.indexed {
            findings.append(
                "readers of /stream got less than \(Int(Bounds.indexed * 100)) % of the events that came calmly")
        }
        if hostile.documentsPerSecond < calm.documentsPerSecond * Bounds.indexed {
            let (now, then) = (BenchReport.text(hostile.documentsPerSecond), BenchReport.text(calm.documentsPerSecond))
            findings.append("the index fell behind: \(now) documents/s against \(then) calmly")
        }
        return findings
    }
}
