import Bytes
import Concurrency
import Console
import Embeddings
import Telemetry

/// Answers by quoting: how soon they come while documents are indexed and others search, how many a second can be made, and how
/// many when they are kept.
struct AnswerBench {
    /// What can be measured by itself, in the order of a whole run.
    enum Part: String, CaseIterable, Sendable { case cost, beside, rates, cached }

    private static let answersPerSecond = 20
    private static let searchesBeside = 20
    private static let documentsPerSecond = 100.0
    private static let goals = (
        p50: 25.0, p95: 60.0, searches: 1.2, uncached: 60.0, halfCached: 110.0, cached: 15_000.0
    )
    private static let rates = [20, 30, 45, 60, 80, 110, 150, 200, 300]
    private static let limitMilliseconds = 250.0
    private static let share = 0.999
    private static let costed = 200
    private static let cachedConnections = 16
    private static let questionsNumber = 1_000.0

    let options: SearchBench.Options
    /// In their order.
    let parts: [Part]
    /// Passages whose texts the model embeds; those beyond have mixtures (``FurtherPassages``).
    let embedded: Int
    let logger: Logger

    func run() async throws -> BenchReport {
        let lane = Lane(name: "bench")
        let (options, embedded, logger) = (options, embedded, logger)
        let scene = try await lane.run {
            try SearchScene(
                passages: min(options.passages, embedded), precision: options.precision.rawValue, peersFolder: nil,
                hasPeer: false,
                logger: logger)
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
        let further = options.passages - scene.input.passages
        try await FurtherPassages.fill(scene, to: options, logger)
        let told = further > 0 ? ", and \(further) passages of others with mixtures of vectors" : ""
        var report = BenchReport(
            title: "answer: \(scene.input.documents) embedded documents\(told), precision \(options.precision.rawValue)"
        )
        let (work, questions) = (self, try AnswerQuestions(scene.input))
        for part in parts {
            let figures =
                switch part {
                case .cost: try await lane.run { try work.cost(scene, questions) }
                case .beside: try await beside(scene, questions, lane)
                case .rates: try await lane.run { try work.rates(scene, questions) }
                case .cached: try await lane.run { try work.cached(scene, questions) }
                }
            report.figures += shown(figures)
        }
        return report
    }

    private func beside(_ scene: SearchScene, _ questions: AnswerQuestions, _ lane: Lane) async throws -> [BenchFigure]
    {
        let count = min(1_000, scene.input.documents)
        let embedder = try await EmbeddingComparison(
            modelDirectory: options.modelDirectory, precision: options.precision,
            documents: try (0..<count).map { try scene.input.text($0) }, peer: nil
        ).ours()
        let work = self
        return try await lane.run { try work.beside(scene, questions, embedder: embedder) }
    }

    /// The highest rates, without kept answers and with half of them kept.
    private func rates(_ scene: SearchScene, _ questions: AnswerQuestions) throws -> [BenchFigure] {
        [
            try highest(scene, "none of them kept", goal: Self.goals.uncached) { questions.fresh(&$0) },
            try highest(scene, "half of them kept", goal: Self.goals.halfCached) { random in
                random.next() % 2 == 0
                    ? questions.known(Int(random.next() % UInt64(AnswerQuestions.repeated)))
                    : questions.fresh(&random)
            },
        ]
    }

    private func shown(_ figures: [BenchFigure]) -> [BenchFigure] {
        for figure in figures {
            let unit = figure.unit.isEmpty ? "value" : figure.unit
            logger.info(figure.name, [unit: BenchReport.text(figure.value)])
        }
        return figures
    }

    /// What a thousand questions cost, one after the other.
    private func cost(_ scene: SearchScene, _ questions: AnswerQuestions) throws -> [BenchFigure] {
        let client = SearchClient(url: scene.deployment.api + "/answer")
        var random = SeededGenerator(seed: 1)
        for _ in 0..<20 { _ = try client.post(Array(questions.fresh(&random).utf8)) }
        let before = scene.deployment.processorSeconds()
        let embedded = try embeddings(scene)
        var refused = 0
        for _ in 0..<Self.costed {
            let reply = try client.post(Array(questions.fresh(&random).utf8))
            if reply["refused"]?.bool == true { refused += 1 }
        }
        let scale = Self.questionsNumber / Double(Self.costed)
        return [
            BenchFigure("a thousand questions: refused", Double(refused) * scale, ""),
            BenchFigure(
                "a thousand questions: processor time, database included",
                (scene.deployment.processorSeconds() - before) * scale, "s"),
            BenchFigure("a thousand questions: texts embedded", (try embeddings(scene) - embedded) * scale, ""),
            BenchFigure("a thousand questions: tokens of a model", 0, "", target: "quoting asks none"),
        ]
    }

    private func embeddings(_ scene: SearchScene) throws -> Double {
        BenchDeployment.value(of: "medallion_embedding_texts_total", in: try scene.deployment.metricsPage())
    }

    private func paced(
        _ scene: SearchScene, _ path: String, perSecond: Int, seconds: Int, seed: UInt64,
        _ body: @escaping @Sendable (inout SeededGenerator) -> String
    ) throws -> PacedSearches {
        try PacedSearches(
            url: scene.deployment.api + path, perSecond: perSecond, seconds: seconds, seed: seed, body: body)
    }

    /// While documents are indexed and others search.
    private func beside(_ scene: SearchScene, _ questions: AnswerQuestions, embedder: Double) throws -> [BenchFigure] {
        let seconds = options.watchSeconds
        let kept = SearchFreshness.rate(embedder: embedder, documentShare: scene.documentShare)
        scene.source.run(eventsPerSecond: min(kept, Self.documentsPerSecond / scene.documentShare))
        Pause.milliseconds(SearchBench.settleSeconds * 1_000)
        let alone = try paced(
            scene, "/search", perSecond: Self.searchesBeside, seconds: seconds, seed: 3, PacedSearches.search
        ).wait()
        let before = (try scene.deployment.documentsIndexed(), SystemClock.monotonicNanoseconds())
        let searches = try paced(
            scene, "/search", perSecond: Self.searchesBeside, seconds: seconds, seed: 4, PacedSearches.search)
        let answers = try paced(
            scene, "/answer", perSecond: Self.answersPerSecond, seconds: seconds, seed: 5
        ) { questions.fresh(&$0) }
        let (made, found) = (try answers.wait(), try searches.wait())
        let elapsed = Double(SystemClock.monotonicNanoseconds() - before.1) / 1e9
        let indexed = (try scene.deployment.documentsIndexed() - before.0) / elapsed
        scene.source.stop()
        try SearchScene.waitUntilIndexed(scene.deployment, documents: 0)
        let name = "\(Self.answersPerSecond) answers/s"
        let (with, without) = (found.latencies.quantile(0.95), alone.latencies.quantile(0.95))
        return [
            BenchFigure("\(name): p50", made.latencies.quantile(0.5), "ms", goal: .atMost(Self.goals.p50)),
            BenchFigure("\(name): p95", made.latencies.quantile(0.95), "ms", goal: .atMost(Self.goals.p95)),
            BenchFigure("\(name): failed", Double(made.failures), "", goal: .atMost(0)),
            BenchFigure(
                "\(name): documents indexed beside", indexed, "/s",
                target: "the embedder alone does \(Int(embedder))/s", goal: .atLeast(Self.documentsPerSecond * 0.9)),
            BenchFigure("\(Self.searchesBeside) searches/s without them: p95", without, "ms"),
            BenchFigure("\(Self.searchesBeside) searches/s beside them: p95", with, "ms"),
            BenchFigure(
                "searches' p95 beside answers, to without", with / max(without, 1e-9), "times",
                goal: .atMost(Self.goals.searches)),
        ]
    }

    /// The highest of some rates at which nearly all answers come in time; nothing is indexed.
    private func highest(
        _ scene: SearchScene, _ kind: String, goal: Double,
        _ body: @escaping @Sendable (inout SeededGenerator) -> String
    ) throws -> BenchFigure {
        var reached = 0
        for (place, rate) in Self.rates.enumerated() {
            let results = try paced(
                scene, "/answer", perSecond: rate, seconds: max(10, 2 * options.seconds), seed: UInt64(100 * place + 7),
                body
            ).wait()
            logger.info(
                "answers", ["a second": "\(rate)", "in time": "\(results.share(within: Self.limitMilliseconds))"])
            guard results.share(within: Self.limitMilliseconds) >= Self.share else { break }
            reached = rate
        }
        return BenchFigure(
            "answers, \(kind): 99.9 % within 250 ms at", Double(reached), "/s",
            target: "of \(Self.rates.map(String.init).joined(separator: ", "))", goal: .atLeast(goal))
    }

    /// Replies that are kept.
    private func cached(_ scene: SearchScene, _ questions: AnswerQuestions) throws -> [BenchFigure] {
        let url = scene.deployment.api + "/answer"
        let client = SearchClient(url: url)
        for number in 0..<AnswerQuestions.repeated { _ = try client.post(Array(questions.known(number).utf8)) }
        let folder = try ScratchFolder()
        defer { folder.remove() }
        let result = try WrkLoad(folder: folder.path, connections: Self.cachedConnections, seconds: options.seconds)
            .run(url, script: questions.script(seed: 1))
        return [
            BenchFigure(
                "kept answers, \(AnswerQuestions.repeated) requests by Zipf's law", result.requestsPerSecond, "/s",
                goal: .atLeast(Self.goals.cached)),
            BenchFigure("kept answers: p50", result.p50Milliseconds, "ms"),
            BenchFigure("kept answers: p99", result.p99Milliseconds, "ms"),
            BenchFigure("kept answers: failed", Double(result.failures), "", goal: .atMost(0)),
        ]
    }
}
