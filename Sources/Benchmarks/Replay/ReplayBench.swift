import Bytes
import Concurrency
import Console
import Lake
import Logic
import Records
import Replay
import Simulator
import Telemetry

/// What a replay costs: held against the stream job, where nothing changes, against the embedding of what changes, and beside live
/// events.
///
/// Each part starts what it needs, with temporary data.
struct ReplayBench {
    /// What can be measured by itself, in the order of a whole run.
    enum Part: String, CaseIterable, Sendable {
        case rate, unchanged, changed, freshness
    }

    /// How much is measured.
    struct Options: Sendable {
        var parts = Part.allCases
        /// Of the stream job and of the replay that is held against it.
        var events = 200_000
        var partitions = 2
        var commitIntervalMilliseconds = 500
        /// Of which a replay changes nothing.
        var documents = 20_000
        /// Of which a replay changes the text.
        var changed = 5_000
        /// In the index before freshness is watched.
        var passages = 20_000
        /// Of watching freshness each time.
        var seconds = 60
        /// Nil where there is no model: then nothing is embedded, and what needs it is left out.
        var modelDirectory: String?
    }

    /// Another template than the standard one: changes the text of each document.
    static let template = "{title} on {domain}[: {comment}]. {type} by {user}[ ({delta} bytes)]."
    private static let rounds = 3
    private static let rateGoal = 1.5
    /// A million documents in a minute.
    private static let unchangedGoal = 1_000_000.0 / 60
    private static let changedGoal = 1.3

    let options: Options
    let source: any PlayableSource
    let logger: Logger

    func run() async throws -> BenchReport {
        var report = BenchReport(title: title)
        for part in options.parts {
            logger.info("replay", ["part": part.rawValue])
            let figures =
                switch part {
                case .rate: try await rate(&report.findings)
                case .unchanged: try await unchanged(&report.findings)
                case .changed: try await changed(&report.findings)
                case .freshness: try await freshness(&report.findings)
                }
            for figure in figures { logger.info(figure.name, ["value": BenchReport.text(figure.value)]) }
            report.figures += figures
        }
        return report
    }

    private var title: String {
        let parts = options.parts.map { part in
            switch part {
            case .rate: "\(options.events) events in \(options.partitions) topic partitions"
            case .unchanged: "\(options.documents) documents unchanged"
            case .changed: "\(options.changed) changed"
            case .freshness: "live events with \(options.passages) passages in the index"
            }
        }
        return "replay: " + parts.joined(separator: ", ")
    }

    static func logic(template: String = TextTemplate.standard) throws -> TopicLogic {
        try TopicLogic(
            .recentChange(TransformSettings(template: try TextTemplate(template))), tenant: .standard,
            collection: StreamBench.topic)
    }

    // MARK: Bronze to Silver and Gold

    /// The same events by the stream job and then by a replay that changes each text, in turn: the lake's part alone.
    private func rate(_ findings: inout [String]) async throws -> [BenchFigure] {
        let logger = logger
        let server = try await Lane(name: "bench").run { try IndexBenchServer(logger: logger) }
        defer { server.stop() }
        let folder = try ScratchFolder()
        defer { folder.remove() }
        let stream = StreamBench(
            events: options.events, source: source, partitions: options.partitions,
            commitIntervalMilliseconds: options.commitIntervalMilliseconds, logger: logger)
        let rounds = max(1, min(Self.rounds, options.events / 50_000))
        var rates = Sample()
        var differences: [ReplayDifference] = []
        let streamed = try await stream.rates(rounds: rounds, folder: folder.path) { lake in
            let scene = ReplayScene(server, lake: lake, logger)
            try scene.beginAnew()
            let run = try await scene.replay(try Self.logic(template: Self.template), into: LakeAlone())
            rates.add(Double(options.events) / run.recordSeconds)
            differences.append(run.report.difference)
        }
        for difference in differences where difference.changed == 0 || difference.removed + difference.added > 0 {
            findings.append("the replay should change documents and nothing else: \(difference)")
        }
        let (job, replay) = (streamed.quantile(0.5), rates.quantile(0.5))
        return [
            BenchFigure("stream job, topic to committed lake", job, "events/s"),
            BenchFigure("replay, Bronze to Silver and Gold with the difference", replay, "events/s"),
            BenchFigure("replay to the stream job", replay / job, "times", goal: .atLeast(Self.rateGoal)),
        ]
    }

    // MARK: Where nothing changes

    private func unchanged(_ findings: inout [String]) async throws -> [BenchFigure] {
        let documents = options.documents
        return try await filled(documents, model: BenchEmbedder.name, hasGraph: false) { scene, held in
            let embedder = BenchEmbedder(BenchVectors())
            let run = try await scene.replay(try Self.logic(), into: ReplayBenchIndex(scene, embedder))
            if embedder.embedded > 0 { findings.append("an unchanged replay embedded \(embedder.embedded) texts") }
            let shown = try scene.shown(2)
            if shown != held || run.report.difference.unchanged != held {
                findings.append(
                    "of \(held) documents the new generation shows \(shown), \(run.report.difference.unchanged) unchanged"
                )
            }
            return [
                BenchFigure("unchanged: documents", Double(held), ""),
                BenchFigure("unchanged: a whole replay", run.seconds, "s", target: "wanted: 60 at a million documents"),
                BenchFigure(
                    "unchanged: documents a second", Double(held) / run.seconds, "/s",
                    goal: .atLeast(Self.unchangedGoal)),
                BenchFigure("unchanged: texts embedded", Double(embedder.embedded), "", goal: .atMost(0)),
                BenchFigure("unchanged: Postgres' processor time", run.cost.server / Double(held) * 1e6, "µs/document"),
                BenchFigure(
                    "unchanged: the replay's processor time", run.cost.client / Double(held) * 1e6, "µs/document"),
            ]
        }
    }

    // MARK: Where the texts change

    private func changed(_ findings: inout [String]) async throws -> [BenchFigure] {
        guard let directory = options.modelDirectory else {
            logger.warning("the part “changed” is left out: there is no model")
            return []
        }
        let embedder = try await Lane(name: "bench").run { try NotingEmbedder(modelDirectory: directory) }
        defer { embedder.stop() }
        return try await filled(options.changed, model: embedder.modelName, hasGraph: true) { scene, held in
            // The first batches of a shape compile it.
            try await embedder.warmUp()
            let run = try await scene.replay(
                try Self.logic(template: Self.template), into: ReplayBenchIndex(scene, embedder))
            let alone = try await embedder.embedAgain()
            if run.report.difference.changed != held || run.report.embedded != embedder.texts {
                findings.append(
                    "of \(held) documents \(run.report.difference.changed) changed, and \(run.report.embedded) texts were "
                        + "embedded, of \(embedder.texts)")
            }
            return [
                BenchFigure("changed: documents", Double(held), ""),
                BenchFigure("changed: texts embedded", Double(embedder.texts), ""),
                BenchFigure("changed: a whole replay", run.seconds, "s"),
                BenchFigure("changed: the embedding alone", alone, "s"),
                BenchFigure(
                    "changed: replay to the embedding alone", run.seconds / alone, "times",
                    goal: .atMost(Self.changedGoal)),
                BenchFigure("changed: Postgres' processor time", run.cost.server / Double(held) * 1e6, "µs/document"),
            ]
        }
    }

    /// A lake with at least so many documents, and an index that shows them.
    private func filled(
        _ documents: Int, model: String, hasGraph: Bool,
        _ body: (_ scene: ReplayScene, _ held: Int) async throws -> [BenchFigure]
    ) async throws -> [BenchFigure] {
        let (logger, source) = (logger, source)
        let server = try await Lane(name: "bench").run { try IndexBenchServer(logger: logger) }
        defer { server.stop() }
        let folder = try ScratchFolder()
        defer { folder.remove() }
        let scene = ReplayScene(server, lake: folder.path + "/lake", logger)
        let held = try await Lane(name: "bench").run {
            try scene.fillLake(source, documents: documents, logic: try Self.logic())
            logger.info("filling the index", ["documents": "\(documents)"])
            return try scene.fillIndex(model: model, hasGraph: hasGraph)
        }
        return try await body(scene, held)
    }

    // MARK: Beside live events

    private func freshness(_ findings: inout [String]) async throws -> [BenchFigure] {
        guard let directory = options.modelDirectory else {
            logger.warning("the part “freshness” is left out: there is no model")
            return []
        }
        let (passages, logger) = (options.passages, logger)
        let lane = Lane(name: "bench")
        let scene = try await lane.run {
            try SearchScene(
                passages: passages, precision: "float", peersFolder: nil, hasPeer: false, logger: logger)
        }
        do {
            let figures = try await ReplayFreshness(
                scene: scene, lane: lane, modelDirectory: directory, seconds: options.seconds, logger: logger
            ).run(&findings)
            try await lane.run { scene.stop() }
            return figures
        } catch {
            try await lane.run { scene.stop() }
            throw error
        }
    }
}
