import Bytes
import Concurrency
import Console
import Embeddings
import JSONScan
import ServiceLifecycle
import Telemetry

/// Searching, embedding and freshness of a whole platform, in turn with the service that a user would build instead, on the same
/// documents and the same machine, the load generator included.
struct SearchBench {
    /// How much is measured.
    struct Options: Sendable {
        /// In the index before anything is measured, and documents of the burst.
        var passages: Int
        /// Of one turn of one side.
        var seconds: Int
        /// Of each kind, for recall.
        var queries: Int
        /// Of the open loop, and of watching freshness.
        var watchSeconds: Int
        var modelDirectory: String
        var precision: EmbeddingPrecision
        /// Of a Python environment; nil for `.deps/peers`.
        var peersFolder: String?
    }

    private static let clients = [1, 4, 16]
    /// Odd, so that the median is one of them.
    private static let rounds = 3
    private static let indexingClients = [4, 16]
    private static let documentsPerSecond = 100.0
    private static let pacedSearchesPerSecond = 200
    private static let pacedLimitMilliseconds = 250.0
    private static let pacedGoal = 0.999
    private static let eventsPerSecond = 300.0
    private static let searchesBeside = 50
    private static let freshnessGoals = (p50: 180.0, p95: 500.0)
    /// Numbers that the edits of one watch may have.
    private static let editsOfOne = 10_000
    private static let drainGoal = 0.9
    private static let embeddedDocuments = 1_000
    private static let settleSeconds = 3
    /// Seconds behind the drain in which edits are watched.
    private static let recoverySeconds = 20

    let options: Options
    let logger: Logger

    func run() async throws -> BenchReport {
        let lane = Lane(name: "bench")
        let loadBefore = ProcessorTime.loadAverage()
        let (options, logger) = (options, logger)
        let scene = try await lane.run {
            try SearchScene(
                passages: options.passages, precision: options.precision.rawValue, peersFolder: options.peersFolder,
                logger: logger)
        }
        do {
            var report = try await measure(scene, lane)
            report.figures.append(
                BenchFigure("load average before it began", loadBefore, "", target: "other work on this machine"))
            try await lane.run { scene.stop() }
            return report
        } catch {
            try await lane.run { scene.stop() }
            throw error
        }
    }

    private func measure(_ scene: SearchScene, _ lane: Lane) async throws -> BenchReport {
        let beside = scene.peer.map { "in turn with \($0.versions)" } ?? "the peers are not installed"
        var report = BenchReport(
            title: "search: \(scene.input.documents) documents, \(scene.input.passages) passages, precision "
                + "\(options.precision.rawValue), turns of \(options.seconds) s, \(beside)")
        let work = self
        report.figures += try await lane.run { try work.recall(scene) }
        report.figures += try await lane.run { try work.rates(scene) }
        report.figures += try await lane.run { try work.whileIndexing(scene) }
        logger.info("embedding")
        let embedding = try await embedding(scene)
        report.figures += embedding.figures
        try await lane.run { scene.peer?.stop() }
        report.figures += try await freshness(scene, lane, &report.findings)
        report.figures += try await disturbedFreshness(scene, lane, &report.findings)
        report.figures += try await burst(scene, lane, embedderRate: embedding.documentsPerSecond)
        report.figures += [
            BenchFigure(
                "resident, all roles without Postgres", ProcessMemory.residentMegabytes(of: scene.deployment.upProcess),
                "MB"
            )
        ]
        return report
    }

    // MARK: Recall and rate

    private func recall(_ scene: SearchScene) throws -> [BenchFigure] {
        logger.info("recall")
        let recall = try SearchRecall(scene.input, count: options.queries)
        var figures = try recall.figures(
            of: SearchNames.ours, url: scene.deployment.api + "/search", modes: ["vector", "hybrid"], isOurs: true)
        guard let peer = scene.peer else { return figures }
        figures += try recall.figures(of: SearchNames.peer, url: peer.url + "/search", modes: ["vector"], isOurs: false)
        if peer.hasLance {
            figures += try recall.figures(
                of: SearchNames.lance, url: peer.url + "/lance", modes: ["vector"], isOurs: false)
        }
        return figures
    }

    private func sides(_ scene: SearchScene, withLance: Bool) -> [SearchRates.Side] {
        let deployment = scene.deployment
        var sides = [
            SearchRates.Side(name: SearchNames.ours, url: deployment.api + "/search") { deployment.processorSeconds() }
        ]
        guard let peer = scene.peer else { return sides }
        func spent() -> Double {
            ProcessTable.processorSeconds(of: peer.processes + deployment.postgresProcesses())
        }
        sides.append(SearchRates.Side(name: SearchNames.peer, url: peer.url + "/search", processorSeconds: spent))
        if withLance, peer.hasLance {
            sides.append(SearchRates.Side(name: SearchNames.lance, url: peer.url + "/lance", processorSeconds: spent))
        }
        return sides
    }

    private func rates(_ scene: SearchScene) throws -> [BenchFigure] {
        logger.info("searching")
        let folder = try ScratchFolder()
        defer { folder.remove() }
        let rates = SearchRates(
            sides: sides(scene, withLance: true), seconds: options.seconds, rounds: Self.rounds, folder: folder.path)
        try rates.warmUp()
        return try rates.run(
            clients: Self.clients,
            goals: [
                1: SearchGoals(p50Times: 0.25), 4: SearchGoals(rateTimes: 10, p95Milliseconds: 12),
                16: SearchGoals(rateTimes: 10),
            ])
    }

    // MARK: While documents are indexed

    private func whileIndexing(_ scene: SearchScene) throws -> [BenchFigure] {
        logger.info("searching while documents are indexed")
        let folder = try ScratchFolder()
        defer { folder.remove() }
        let deployment = scene.deployment
        let eventsPerSecond = Self.documentsPerSecond / scene.documentShare
        scene.source.run(eventsPerSecond: eventsPerSecond)
        Pause.milliseconds(Self.settleSeconds * 1_000)
        let goals = SearchGoals(rateTimes: 5)
        var figures = try SearchRates(
            sides: sides(scene, withLance: false), seconds: options.seconds, rounds: Self.rounds,
            folder: folder.path, indexing: deployment
        ).run(
            clients: Self.indexingClients,
            goals: Dictionary(uniqueKeysWithValues: Self.indexingClients.map { ($0, goals) }))
        // What the closed loops held up must not be a part of what follows.
        scene.source.stop()
        try SearchScene.waitUntilIndexed(deployment, documents: 0)
        scene.source.run(eventsPerSecond: eventsPerSecond)
        Pause.milliseconds(Self.settleSeconds * 1_000)
        let (before, began) = (try deployment.documentsIndexed(), SystemClock.monotonicNanoseconds())
        let paced = try PacedSearches(
            url: deployment.api + "/search", perSecond: Self.pacedSearchesPerSecond, seconds: options.watchSeconds,
            seed: 200
        ).wait()
        let seconds = Double(SystemClock.monotonicNanoseconds() - began) / 1e9
        figures += [
            BenchFigure(
                "\(SearchNames.paced): documents indexed", (try deployment.documentsIndexed() - before) / seconds, "/s",
                target: "\(Int(Self.documentsPerSecond))/s come"),
            BenchFigure(
                SearchNames.pacedShare, paced.share(within: Self.pacedLimitMilliseconds), "",
                goal: .atLeast(Self.pacedGoal)),
            BenchFigure("\(SearchNames.paced): p50", paced.latencies.quantile(0.5), "ms"),
            BenchFigure("\(SearchNames.paced): p99", paced.latencies.quantile(0.99), "ms"),
            BenchFigure("\(SearchNames.paced): p99.9", paced.latencies.quantile(0.999), "ms"),
            BenchFigure("\(SearchNames.paced): failed", Double(paced.failures), "", goal: .atMost(0)),
        ]
        scene.source.stop()
        try SearchScene.waitUntilIndexed(deployment, documents: 0)
        return figures
    }

    // MARK: Embedding

    private func embedding(_ scene: SearchScene) async throws -> (figures: [BenchFigure], documentsPerSecond: Double) {
        let count = min(Self.embeddedDocuments, scene.input.documents)
        let documents = try (0..<count).map { try scene.input.text($0) }
        return try await EmbeddingComparison(
            modelDirectory: options.modelDirectory, precision: options.precision, documents: documents, peer: scene.peer
        ).run()
    }

    // MARK: Freshness

    private func freshness(_ scene: SearchScene, _ lane: Lane, _ findings: inout [String]) async throws -> [BenchFigure]
    {
        logger.info("freshness")
        let bench = FreshnessBench(
            seconds: options.watchSeconds, rate: Self.eventsPerSecond, recording: nil,
            searchesPerSecond: Self.searchesBeside, goals: Self.freshnessGoals, logger: logger)
        let (deployment, seconds) = (scene.deployment, options.watchSeconds)
        let texts = try SearchRecall(scene.input, count: options.queries).queries.flatMap(\.texts)
        let along = try await lane.run {
            try Self.settle(scene)
            return try RecallAlong(url: deployment.api + "/search", texts: texts, seconds: seconds)
        }
        let before = try await lane.run { (try deployment.documentsIndexed(), SystemClock.monotonicNanoseconds()) }
        let found = try await bench.watch(deployment)
        let elapsed = Double(SystemClock.monotonicNanoseconds() - before.1) / 1e9
        let share = try await lane.run { try along.share() }
        let after = try await lane.run {
            let after = try deployment.documentsIndexed()
            try Self.calm(scene)
            return after
        }
        findings += Self.losses(found, "")
        return bench.figures(found) + [
            BenchFigure(
                "documents indexed at \(Int(Self.eventsPerSecond)) events/s", (after - before.0) / elapsed, "/s"),
            BenchFigure("searches beside: p50", found.searches.quantile(0.5), "ms", target: "\(Self.searchesBeside)/s"),
            BenchFigure("searches beside: p99", found.searches.quantile(0.99), "ms"),
            BenchFigure("searches beside: failed", Double(found.failures), "", goal: .atMost(0)),
            BenchFigure(
                SearchNames.recallBeside, share, "", target: "a lower bound: the index changes meanwhile",
                goal: .atLeast(SearchRecall.goal)),
        ]
    }

    /// Freshness while the database has other heavy work with the index.
    private func disturbedFreshness(
        _ scene: SearchScene, _ lane: Lane, _ findings: inout [String]
    ) async throws -> [BenchFigure] {
        var figures: [BenchFigure] = []
        for (place, disturbance) in FreshnessDisturbance.allCases.enumerated() {
            logger.info("freshness while \(disturbance.rawValue)")
            let bench = FreshnessBench(
                seconds: options.watchSeconds, rate: Self.eventsPerSecond, recording: nil,
                searchesPerSecond: Self.searchesBeside, goals: Self.freshnessGoals,
                firstEdit: (place + 1) * Self.editsOfOne, logger: logger)
            let (deployment, isOver) = (scene.deployment, StopSignal())
            try await lane.run { try Self.settle(scene) }
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
            try await lane.run { try Self.calm(scene) }
            findings += Self.losses(found, " while \(disturbance.rawValue)")
            figures += bench.figures(found, beside: disturbance.rawValue)
            figures.append(BenchFigure("\(disturbance.rawValue): done", Double(done), "times"))
        }
        return figures
    }

    private static func settle(_ scene: SearchScene) throws {
        scene.source.run(eventsPerSecond: eventsPerSecond)
        Pause.milliseconds(settleSeconds * 1_000)
    }

    private static func calm(_ scene: SearchScene) throws {
        scene.source.stop()
        try SearchScene.waitUntilIndexed(scene.deployment, documents: 0)
    }

    private static func losses(_ found: FreshnessBench.Results, _ when: String) -> [String] {
        let lost = found.lost.values.max() ?? 0
        return lost > 0 ? ["\(lost) edits were not found\(when)"] : []
    }

    private func burst(_ scene: SearchScene, _ lane: Lane, embedderRate: Double) async throws -> [BenchFigure] {
        logger.info("a burst", ["documents": String(options.passages)])
        let documents = options.passages
        let drain = try await lane.run { try FreshnessBurst.drain(scene, documents: documents) }
        let drained = SystemClock.epochMilliseconds()
        scene.source.run(eventsPerSecond: Self.eventsPerSecond)
        let found = try await FreshnessBench(
            seconds: Self.recoverySeconds, rate: Self.eventsPerSecond, recording: nil,
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
