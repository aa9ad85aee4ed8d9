import Bytes
import Concurrency
import Console
import HTTPClient
import JSONScan
import Synchronization
import Telemetry

/// Traces of answers and documents, one at a time and two at once, and impact, in an index of many documents and kept answers:
/// first from growing files, then from sealed ones.
struct TraceBench {
    /// Milliseconds of p95.
    private static let goals = (trace: 100.0, impact: 50.0)
    /// Requests of a kind for each answer or document that is asked about.
    private static let turns = 4
    private static let atOnce = 2

    let options: SearchBench.Options
    /// Passages whose texts the model embeds; those beyond have mixtures (``FurtherPassages``).
    let embedded: Int
    /// Answers that are kept: most of them copies of those that are asked for.
    let answers: Int
    let logger: Logger

    func run() async throws -> BenchReport {
        let lane = Lane(name: "bench")
        let (options, embedded, logger) = (options, embedded, logger)
        let scene = try await lane.run {
            try SearchScene(
                passages: min(options.passages, embedded), precision: options.precision.rawValue, peersFolder: nil,
                hasPeer: false, settings: KeptAnswers.settings, logger: logger)
        }
        do {
            let report = try await measure(scene, lane)
            try await lane.run { scene.stop() }
            return report
        } catch {
            try await lane.run { scene.stop() }
            throw error
        }
    }

    private func measure(_ scene: SearchScene, _ lane: Lane) async throws -> BenchReport {
        try await FurtherPassages.fill(scene, to: options, logger)
        let (work, kept) = (self, KeptAnswers(scene: scene, logger: logger))
        let (options, answers) = (options, answers)
        let asked = try await lane.run {
            let ids = try kept.ask(options.queries)
            try kept.multiply(to: answers)
            return (ids: ids, targets: try kept.targets(options.queries))
        }
        let sizes = try await lane.run { try kept.sizes() }
        var report = BenchReport(
            title: "trace: \(sizes.documents) documents in the index, \(sizes.answers) kept answers, precision "
                + options.precision.rawValue)
        report.figures += try await lane.run { try work.all("growing files", scene, asked.ids, asked.targets) }
        logger.info("sealing")
        try await lane.run {
            try scene.deployment.restart(after: [["lake", "seal"]])
            try scene.waitUntilServing()
        }
        report.figures += try await lane.run { try work.all("sealed files", scene, asked.ids, asked.targets) }
        return report
    }

    private func all(
        _ state: String, _ scene: SearchScene, _ answers: [String], _ targets: KeptAnswers.Targets
    ) throws -> [BenchFigure] {
        let api = scene.deployment.api
        let answerTraces = answers.map { "\(api)/answers/\($0)/trace" }
        let documentTraces = targets.documents.map { "\(api)/trace/\($0)" }
        var figures: [BenchFigure] = []
        for (name, urls, threads) in [
            ("traces of answers", answerTraces, 1), ("traces of answers, two at once", answerTraces, Self.atOnce),
            ("traces of documents, two at once", documentTraces, Self.atOnce),
        ] {
            figures += try timed("\(state): \(name)", urls, threads: threads, goal: Self.goals.trace) {
                $0["complete"]?.bool == true
            }
        }
        for (name, queries) in targets.impacts {
            figures += try timed(
                "\(state): impact by \(name)", queries.map { "\(api)/impact?\($0)" }, threads: 1,
                goal: Self.goals.impact
            ) { $0["documents"]?.array?.isEmpty == false }
        }
        return figures
    }

    /// Asks for each address some times, by so many threads.
    ///
    /// - Parameter isRight: whether a reply is what it should be.
    private func timed(
        _ name: String, _ urls: [String], threads: Int, goal: Double,
        _ isRight: @escaping @Sendable (JSONValue) -> Bool
    ) throws -> [BenchFigure] {
        let results = Mutex((times: Sample(), wrong: 0))
        let crew = Crew()
        let requests = urls.count * Self.turns
        for thread in 0..<threads {
            try crew.add("trace-\(thread)") {
                let client = HTTPClient()
                for number in stride(from: thread, to: requests, by: threads) {
                    let began = SystemClock.monotonicNanoseconds()
                    let reply = try? client.request(
                        HTTPClientRequest(url: urls[number % urls.count]), timeoutMilliseconds: 30_000)
                    let milliseconds = Double(SystemClock.monotonicNanoseconds() - began) / 1e6
                    let body =
                        reply?.status == 200 ? reply.flatMap { try? JSONValue.parse($0.body, maxDepth: 96) } : nil
                    results.withLock { results in
                        results.times.add(milliseconds)
                        if body.map(isRight) != true { results.wrong += 1 }
                    }
                }
            }
        }
        try crew.wait(seconds: 60 + requests)
        let (times, wrong) = results.withLock { ($0.times, $0.wrong) }
        let figures = [
            BenchFigure("\(name): p50", times.quantile(0.5), "ms"),
            BenchFigure("\(name): p95", times.quantile(0.95), "ms", goal: .atMost(goal)),
            BenchFigure("\(name): incomplete or failed, of \(times.values.count)", Double(wrong), "", goal: .atMost(0)),
        ]
        for figure in figures { logger.info(figure.name, ["value": BenchReport.text(figure.value)]) }
        return figures
    }
}
