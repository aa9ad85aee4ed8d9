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
    /// What can be measured by itself, in the order of a whole run.
    enum Part: String, CaseIterable, Sendable {
        case recall, rates, indexing, embedding, freshness, disturbed, burst

        /// Of documents that come in, without the peers.
        var isOfFreshness: Bool { self == .freshness || self == .disturbed || self == .burst }
    }

    /// How much is measured.
    struct Options: Sendable {
        /// In their order.
        var parts = Part.allCases
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
    private static let embeddedDocuments = 1_000
    static let settleSeconds = 3

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
        for part in options.parts where !part.isOfFreshness {
            let figures =
                switch part {
                case .recall: try await lane.run { try work.recall(scene) }
                case .rates: try await lane.run { try work.rates(scene) }
                case .indexing: try await lane.run { try work.whileIndexing(scene) }
                default: try await embedding(scene).figures()
                }
            report.figures += shown(figures)
        }
        try await lane.run { scene.peer?.stop() }
        if options.parts.contains(where: \.isOfFreshness) {
            let freshness = try await SearchFreshness(
                scene: scene, lane: lane, options: options, embedder: embedding(scene).ours(), logger: logger)
            for part in options.parts where part.isOfFreshness {
                report.figures += shown(try await freshness.measure(part, &report.findings))
            }
        }
        report.figures += [
            BenchFigure(
                "resident, all roles without Postgres", ProcessMemory.residentMegabytes(of: scene.deployment.upProcess),
                "MB"
            )
        ]
        return report
    }

    /// Tells of figures at once: a run takes long, and one that is ended should have said something.
    private func shown(_ figures: [BenchFigure]) -> [BenchFigure] {
        for figure in figures {
            let unit = figure.unit.isEmpty ? "value" : figure.unit
            logger.info(figure.name, [unit: BenchReport.text(figure.value)])
        }
        return figures
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

    private func embedding(_ scene: SearchScene) throws -> EmbeddingComparison {
        let count = min(Self.embeddedDocuments, scene.input.documents)
        return EmbeddingComparison(
            modelDirectory: options.modelDirectory, precision: options.precision,
            documents: try (0..<count).map { try scene.input.text($0) }, peer: scene.peer)
    }
}
