import Bytes
import Concurrency
import Console
import ServiceLifecycle
import Telemetry

/// How soon edits are found: beside searches, beside heavy work on the index, and behind a burst.
struct SearchFreshness {
    /// What is wanted, where the machine's embedder keeps pace with it.
    private static let eventsPerSecondGoal = 300.0
    /// Of what the embedder does alone: the rest is for searches, the pipeline and the database.
    private static let embedderShare = 0.4
    private static let searchesBeside = 50
    private static let goals = (p50: 180.0, p95: 500.0)
    /// Numbers that the edits of one watch may have.
    private static let editsOfOne = 10_000
    private static let drainGoal = 0.9
    /// Seconds behind the drain in which edits are watched.
    private static let recoverySeconds = 20

    let scene: SearchScene
    let lane: Lane
    let options: SearchBench.Options
    /// Documents a second that it does alone.
    let embedderRate: Double
    let logger: Logger
    private let eventsPerSecond: Double

    init(scene: SearchScene, lane: Lane, options: SearchBench.Options, embedder: Double, logger: Logger) {
        self.scene = scene
        self.lane = lane
        self.options = options
        self.logger = logger
        embedderRate = embedder
        eventsPerSecond = Self.rate(embedder: embedder, documentShare: scene.documentShare)
    }

    /// Events a second, in tens: a machine that cannot embed what comes would only show how long its queue is.
    ///
    /// - Parameters:
    ///   - embedder: documents a second that it does alone.
    ///   - documentShare: of events, those that become documents of different texts.
    static func rate(embedder: Double, documentShare: Double) -> Double {
        let kept = (embedder * embedderShare / max(documentShare, 0.01) / 10).rounded(.down) * 10
        return max(10, min(eventsPerSecondGoal, kept))
    }

    /// Measures one part; others than those of freshness have no figures here.
    func measure(_ part: SearchBench.Part, _ findings: inout [String]) async throws -> [BenchFigure] {
        switch part {
        case .freshness: try await beside(&findings)
        case .disturbed: try await disturbed(&findings)
        case .burst: try await burst()
        case .recall, .rates, .indexing, .embedding: []
        }
    }

    private func beside(_ findings: inout [String]) async throws -> [BenchFigure] {
        logger.info("freshness")
        let bench = FreshnessBench(
            seconds: options.watchSeconds, rate: eventsPerSecond, recording: nil,
            searchesPerSecond: Self.searchesBeside, goals: Self.goals, logger: logger)
        let work = self
        let (scene, deployment, seconds) = (scene, scene.deployment, options.watchSeconds)
        let texts = try SearchRecall(scene.input, count: options.queries).queries.flatMap(\.texts)
        let along = try await lane.run {
            try work.settle()
            return try RecallAlong(url: deployment.api + "/search", texts: texts, seconds: seconds)
        }
        let before = try await lane.run { (try deployment.documentsIndexed(), SystemClock.monotonicNanoseconds()) }
        let found = try await bench.watch(deployment)
        let elapsed = Double(SystemClock.monotonicNanoseconds() - before.1) / 1e9
        let share = try await lane.run { try along.share() }
        let after = try await lane.run {
            let after = try deployment.documentsIndexed()
            try work.calm()
            return after
        }
        findings += Self.losses(found, "")
        return bench.figures(found) + [
            BenchFigure(
                SearchNames.eventsWatched, eventsPerSecond, "/s",
                target: "the embedder alone does \(Int(embedderRate)) documents/s",
                goal: .atLeast(Self.eventsPerSecondGoal)),
            BenchFigure(
                "documents indexed beside", (after - before.0) / elapsed, "/s"),
            BenchFigure("searches beside: p50", found.searches.quantile(0.5), "ms", target: "\(Self.searchesBeside)/s"),
            BenchFigure("searches beside: p99", found.searches.quantile(0.99), "ms"),
            BenchFigure("searches beside: failed", Double(found.failures), "", goal: .atMost(0)),
            BenchFigure(
                SearchNames.recallBeside, share, "", target: "a lower bound: the index changes meanwhile",
                goal: .atLeast(SearchRecall.goal)),
        ]
    }

    /// Freshness while the database has other heavy work with the index.
    private func disturbed(_ findings: inout [String]) async throws -> [BenchFigure] {
        var figures: [BenchFigure] = []
        let work = self
        for (place, disturbance) in FreshnessDisturbance.allCases.enumerated() {
            logger.info("freshness while \(disturbance.rawValue)")
            let bench = FreshnessBench(
                seconds: options.watchSeconds, rate: eventsPerSecond, recording: nil,
                searchesPerSecond: Self.searchesBeside, goals: Self.goals,
                firstEdit: (place + 1) * Self.editsOfOne, logger: logger)
            let (deployment, isOver) = (scene.deployment, StopSignal())
            try await lane.run { try work.settle() }
            async let times = Lane(name: "disturbance").run {
                try disturbance.run(deployment) { isOver.isRequested }
            }
            // Whatever happens, the work ends: it is waited for at the end of this block.
            let found: FreshnessBench.Results
            do {
                found = try await bench.watch(deployment)
                isOver.request()
            } catch {
                isOver.request()
                throw error
            }
            let done = try await times
            try await lane.run { try work.calm() }
            findings += Self.losses(found, " while \(disturbance.rawValue)")
            figures += bench.figures(found, beside: disturbance.rawValue)
            figures.append(BenchFigure("\(disturbance.rawValue): done", Double(done), "times"))
        }
        return figures
    }

    private func settle() throws {
        scene.source.run(eventsPerSecond: eventsPerSecond)
        Pause.milliseconds(SearchBench.settleSeconds * 1_000)
    }

    private func calm() throws {
        scene.source.stop()
        try SearchScene.waitUntilIndexed(scene.deployment, documents: 0)
    }

    private static func losses(_ found: FreshnessBench.Results, _ when: String) -> [String] {
        let lost = found.lost.values.max() ?? 0
        return lost > 0 ? ["\(lost) edits were not found\(when)"] : []
    }

    private func burst() async throws -> [BenchFigure] {
        let scene = scene
        logger.info("a burst", ["documents": String(options.passages)])
        let documents = options.passages
        let drain = try await lane.run { try FreshnessBurst.drain(scene, documents: documents) }
        let drained = SystemClock.epochMilliseconds()
        scene.source.run(eventsPerSecond: eventsPerSecond)
        let found = try await FreshnessBench(
            seconds: Self.recoverySeconds, rate: eventsPerSecond, recording: nil,
            searchesPerSecond: Self.searchesBeside, firstEdit: FreshnessBurst.firstEdit, logger: logger
        ).watch(scene.deployment)
        scene.source.stop()
        let recovery = FreshnessBurst.recovery(
            found.timeline.map {
                .init(second: Double($0.writtenAt - drained) / 1_000, milliseconds: $0.milliseconds)
            })
        return [
            BenchFigure("burst: documents", drain.documents, ""),
            BenchFigure(SearchNames.drain, drain.documentsPerSecond, "/s"),
            BenchFigure(
                "burst: drained, to the embedder alone", drain.documentsPerSecond / max(1, embedderRate), "times",
                goal: .atLeast(Self.drainGoal)),
            BenchFigure(
                SearchNames.recovery, recovery ?? Double(Self.recoverySeconds), "s",
                target: recovery == nil ? "not seen in that time" : nil, goal: .atMost(FreshnessBurst.goalSeconds)),
        ]
    }
}
