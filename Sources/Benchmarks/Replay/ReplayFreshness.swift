import Bytes
import Concurrency
import Console
import Embeddings
import Files
import ServiceLifecycle
import Telemetry

/// How soon edits are found while replays run beside, against a calm watch right before.
struct ReplayFreshness {
    private static let searchesBeside = 50
    /// Three times what Wikimedia sends on average: a replay needs some of the machine.
    private static let rateMax = 100.0
    private static let goals = (p50: 400.0, p95: 1_000.0)
    /// Of the p95, in percent.
    private static let riseGoal = 30.0
    /// Numbers that the edits of one watch may have.
    private static let editsOfOne = 10_000
    private static let embeddedDocuments = 1_000

    let scene: SearchScene
    let lane: Lane
    let modelDirectory: String
    /// Of each watch.
    let seconds: Int
    let logger: Logger

    func run(_ findings: inout [String]) async throws -> [BenchFigure] {
        let embedder = try await EmbeddingComparison(
            modelDirectory: modelDirectory, precision: .float,
            documents: try (0..<min(Self.embeddedDocuments, scene.input.documents)).map { try scene.input.text($0) },
            peer: nil
        ).ours()
        let rate = min(Self.rateMax, SearchFreshness.rate(embedder: embedder, documentShare: scene.documentShare))
        let file = try scene.deployment.makeFolder("logic") + "/changed.json"
        try File.replace(file, with: Array(#"{"type":"recent_change","template":"\#(ReplayBench.template)"}"#.utf8))
        let calm = try await watch(0, rate, beside: nil)
        var figures = [
            BenchFigure("events", rate, "/s", target: "the embedder alone does \(Int(embedder)) documents/s"),
            BenchFigure("no replay: written to found, p50", calm.quantile(0.5), "ms"),
            BenchFigure("no replay: written to found, p95", calm.quantile(0.95), "ms"),
        ]
        let replays: [(name: String, arguments: [String])] = [
            ("an unchanged replay", []), ("a replay that changes all texts", ["--logic", file]),
        ]
        for (place, (name, arguments)) in replays.enumerated() {
            let found = try await watch(place + 1, rate, beside: arguments, &findings, name)
            let rise = (found.quantile(0.95) / max(calm.quantile(0.95), 1) - 1) * 100
            figures += [
                BenchFigure("\(name): written to found, p50", found.quantile(0.5), "ms"),
                BenchFigure("\(name): written to found, p95", found.quantile(0.95), "ms"),
                BenchFigure("\(name): rise of the p95", rise, "%", goal: .atMost(Self.riseGoal)),
            ]
        }
        return figures
    }

    private func watch(_ number: Int, _ rate: Double, beside arguments: [String]?) async throws -> Sample {
        var findings: [String] = []
        let sample = try await watch(number, rate, beside: arguments, &findings, "no replay")
        if let finding = findings.first { logger.warning("\(finding)") }
        return sample
    }

    private func watch(
        _ number: Int, _ rate: Double, beside arguments: [String]?, _ findings: inout [String], _ name: String
    ) async throws -> Sample {
        logger.info("freshness", ["beside": name])
        let bench = FreshnessBench(
            seconds: seconds, rate: rate, recording: nil, searchesPerSecond: Self.searchesBeside, goals: Self.goals,
            firstEdit: number * Self.editsOfOne, logger: logger)
        let (scene, isOver) = (scene, StopSignal())
        try await lane.run {
            scene.source.run(eventsPerSecond: rate)
            Pause.milliseconds(SearchBench.settleSeconds * 1_000)
        }
        async let times = Lane(name: "replays").run { () -> Int in
            guard let arguments else { return 0 }
            var times = 0
            repeat {
                try FreshnessDisturbance.replay(scene.deployment, arguments) { isOver.isRequested }
                times += 1
            } while !isOver.isRequested
            return times
        }
        let found: FreshnessBench.Results
        do {
            found = try await bench.watch(scene.deployment)
            isOver.request()
        } catch {
            isOver.request()
            throw error
        }
        let count = try await times
        logger.info("replays beside", ["count": "\(count)"])
        try await lane.run {
            scene.source.stop()
            try SearchScene.waitUntilIndexed(scene.deployment, documents: 0)
        }
        let lost = found.lost.values.max() ?? 0
        if lost > 0 { findings.append("\(lost) of \(found.injected) edits were not found beside \(name)") }
        return found.found["hybrid"] ?? Sample()
    }
}
