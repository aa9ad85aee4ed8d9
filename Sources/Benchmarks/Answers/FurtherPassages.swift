import Bytes
import Concurrency
import Console
import Embeddings
import Indexer
import Postgres
import Simulator
import Telemetry

/// Fills a platform beyond what its model can embed in a reasonable time: documents of other invented events, written into its
/// database by the indexer's own way, whose vectors are mixtures of two that the model gave, with noise (``GrowthInput``).
///
/// Such a vector says nothing of its document's text: it costs searches what a real one does, and no question is about these.
struct FurtherPassages: Sendable {
    /// Other events than those of ``SearchScene``.
    private static let seed: UInt64 = 8
    /// Texts whose vectors are mixed; the model embeds them once more for that.
    private static let basesMax = 4_000
    private static let batch = 1_000
    private static let loggedBatches = 20
    private static let stillnessSecondsMax = 120

    let scene: SearchScene
    let count: Int
    let embedder: LocalEmbedder
    let logger: Logger

    /// Fills a platform up to the passages that are wanted of it.
    static func fill(_ scene: SearchScene, to options: SearchBench.Options, _ logger: Logger) async throws {
        let further = options.passages - scene.input.passages
        guard further > 0 else { return }
        var settings = LocalEmbedderOptions()
        settings.precision = options.precision
        let embedder = try LocalEmbedder(modelDirectory: options.modelDirectory, options: settings)
        try await FurtherPassages(scene: scene, count: further, embedder: embedder, logger: logger).fill()
    }

    /// Returns once they are found by searches in memory, and linked into their graph.
    private func fill() async throws {
        let lane = Lane(name: "bench-fill")
        let (scene, count) = (self.scene, self.count)
        let (bases, texts) = try await lane.run {
            (
                try IndexBenchInput(
                    SearchScene.events(), passages: min(Self.basesMax, scene.input.passages), more: 0),
                try IndexBenchInput(SearchScene.events(seed: Self.seed), passages: count, more: 0)
            )
        }
        logger.info("embedding what is mixed", ["texts": "\(bases.documents)"])
        let mixing = GrowthEmbedder(try await GrowthInput(bases, embedder), from: 0, modelName: embedder.modelName)
        let dsn = try SearchPeer.dsn(scene.deployment)
        let indexer = DocumentIndexer(
            configuration: PostgresConfiguration(dsn: dsn, applicationName: "medallion-bench"), embedder: mixing,
            logger: logger)
        for (number, start) in stride(from: 0, to: texts.documents, by: Self.batch).enumerated() {
            let range = start..<min(start + Self.batch, texts.documents)
            // Copies: offsets of their own, behind all that the source has.
            let batch = try await lane.run { try texts.pending(range, copy: 1) }
            _ = try await indexer.write(
                try await indexer.prepare(batch), moving: [], goldPositions: [], origin: .live)
            if number.isMultiple(of: Self.loggedBatches) { logger.info("filling", ["further documents": "\(start)"]) }
        }
        try await lane.run { [logger] in try Self.settle(scene, passages: scene.input.passages + texts.passages, logger)
        }
    }

    /// Blocks until all passages are in memory and their vectors linked.
    ///
    /// - Throws: ``Failure`` where nothing moves any more.
    private static func settle(_ scene: SearchScene, passages: Int, _ logger: Logger) throws {
        var (last, still) = ((waiting: 0.0, held: 0.0), 0)
        while true {
            guard scene.deployment.isUp else { throw Failure("the platform ended early; its log is above") }
            let page = try scene.deployment.metricsPage()
            let now = (
                waiting: BenchDeployment.value(of: "medallion_index_waiting_vectors", in: page),
                held: BenchDeployment.value(of: "medallion_arms_passages", in: page)
            )
            // Some texts of both are alike, and some events are not of the tenant's collection.
            if now.waiting == 0, now.held >= Double(passages) * 0.98 { return }
            still = now == last ? still + 1 : 0
            guard still < stillnessSecondsMax else {
                throw Failure(
                    "the index stays at \(Int(now.held)) of \(passages) passages in memory, with \(Int(now.waiting)) vectors "
                        + "to be linked")
            }
            if still == 0 {
                logger.info("settling", ["in memory": "\(Int(now.held))", "to be linked": "\(Int(now.waiting))"])
            }
            last = now
            Pause.milliseconds(1_000)
        }
    }
}
