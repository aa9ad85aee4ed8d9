import Bytes
import Console
import Simulator
import Synchronization
import Telemetry

/// What the search benchmark measures: a platform of its own, filled with documents, and the service that a user would build
/// instead, with a copy of them.
final class SearchScene: Sendable {
    /// Of invented events; the benchmark's queries are made of the same texts.
    private static let seed: UInt64 = 7
    /// How fast `meta.dt` advances, so that a filling at full speed does not run into the future.
    private static let eventsPerSecond = 1_000.0
    private static let looksAlike = 3
    private static let stillnessNanosecondsMax: Int64 = 60_000_000_000

    let input: IndexBenchInput
    let source: MeteredSource
    let deployment: BenchDeployment
    /// Nil where its Python is not installed.
    let peer: SearchPeer?
    private let simulator: Simulator
    private let logger: Logger

    /// Starts and fills everything. Blocks until it is indexed.
    ///
    /// - Parameter settings: of the platform, beside the precision.
    init(
        passages: Int, precision: String, peersFolder: String?, hasPeer: Bool = true, settings: [String: String] = [:],
        logger: Logger
    ) throws {
        self.logger = logger
        input = try IndexBenchInput(Self.events(), passages: passages, more: 0)
        source = MeteredSource(Self.events())
        simulator = Simulator(
            configuration: SimulatorConfiguration(pace: .original(multiplier: 1)), source: source,
            metrics: MetricsRegistry(), logger: logger)
        let port = try simulator.start()
        deployment = try BenchDeployment(
            rate: 0, recording: nil, settings: settings.merging(["EMBED_PRECISION": precision]) { $1 },
            source: "http://127.0.0.1:\(port)", logger: logger)
        do {
            logger.info("filling", ["documents": String(input.documents), "passages": String(input.passages)])
            source.release(Int(input.lines.last?.offset ?? 0) + 1)
            try deployment.waitUntilIndexing()
            try Self.waitUntilIndexed(deployment, documents: Double(input.documents) * 0.98)
            try Self.waitForArms(deployment, logger)
            peer = hasPeer ? try SearchPeer(folder: peersFolder, deployment: deployment, logger: logger) : nil
        } catch {
            deployment.stop()
            simulator.stop()
            throw error
        }
    }

    /// Events as the platform gets them; of another seed, others.
    static func events(seed: UInt64 = SearchScene.seed) -> GeneratedSource {
        GeneratedSource(
            generator: EventGenerator(
                seed: seed, startMilliseconds: SystemClock.epochMilliseconds(), eventsPerSecond: eventsPerSecond))
    }

    func stop() {
        peer?.stop()
        deployment.stop()
        simulator.stop()
    }

    /// Of the events, which become documents of different texts.
    var documentShare: Double {
        Double(input.documents) / Double((input.lines.last?.offset ?? 0) + 1)
    }

    /// Blocks until nothing waits any more and at least so many documents came in since the start.
    ///
    /// - Throws: ``Failure`` where nothing comes in for a minute.
    static func waitUntilIndexed(_ deployment: BenchDeployment, documents: Double) throws {
        var (alike, newest) = (0, -1.0)
        var moved = SystemClock.monotonicNanoseconds()
        while alike < looksAlike {
            guard deployment.isUp else { throw Failure("the platform ended early; its log is above") }
            Pause.milliseconds(250)
            let indexed = try deployment.documentsIndexed()
            let now = SystemClock.monotonicNanoseconds()
            if indexed > newest { (newest, moved) = (indexed, now) }
            guard now - moved < stillnessNanosecondsMax else {
                throw Failure(
                    "the platform indexes nothing any more, at \(Int(indexed)) of \(Int(documents)) documents")
            }
            let isDone = try indexed >= documents && deployment.recordsWaiting() == 0
            alike = isDone ? alike + 1 : 0
        }
    }

    /// Blocks until a platform that was started again answers, and searches in memory where it can.
    func waitUntilServing() throws {
        for _ in 0..<240 {
            guard deployment.isUp else { throw Failure("the platform ended early; its log is above") }
            if (try? deployment.metricsPage()) != nil { return try Self.waitForArms(deployment, logger) }
            Pause.milliseconds(500)
        }
        throw Failure("the platform did not serve again within two minutes")
    }

    /// Blocks until searches are done in memory; half a minute at most, as a small machine has no room for that.
    private static func waitForArms(_ deployment: BenchDeployment, _ logger: Logger) throws {
        for _ in 0..<60 {
            if try BenchDeployment.value(of: "medallion_arms_passages", in: deployment.metricsPage()) > 0 { return }
            Pause.milliseconds(500)
        }
        logger.warning("the platform does not hold its index in memory; measuring nevertheless")
    }
}
