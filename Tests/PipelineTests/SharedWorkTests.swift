import Bytes
import Files
import Glibc
import PlatformTesting
import Processes
import Testing

extension PipelineTests {
    /// Several stream jobs over one lake and several indexers over one database, each a consumer group: whoever dies or
    /// hangs, nothing is lost or doubled, and all equals what one undisturbed process of each makes.
    @Suite(.serialized) struct SharedWorkTests {
        private static let environment = [
            "KAFKA_TOPIC_PARTITIONS": "6", "KAFKA_SESSION_SEC": "2", "EMBED_ENABLED": "false",
        ]

        /// `TEST_SEED` replays another run.
        @Test(.timeLimit(.minutes(10))) func fourStreamJobsAndThreeIndexersShareTheWork() async throws {
            let seed = LongTests.seed(20_270)
            try await Deployment.run(environment: Self.environment) { deployment in
                let crew = Crew(deployment, streams: 4, indexers: 3, seed: seed)
                try Self.run(deployment, crew, events: 2_400, perSecond: 160) {
                    try crew.killAndStart("stream-2")
                    try crew.killAndStart("index-2")
                    try crew.hang("stream-3", seconds: 4)
                }
            }
        }

        @Test(.enabled(if: LongTests.areWanted, Comment(rawValue: LongTests.reason)), .timeLimit(.minutes(60)))
        func theyAreKilledOverAndOver() async throws {
            let seed = LongTests.seed(20_271)
            try await Deployment.run(environment: Self.environment) { deployment in
                let crew = Crew(deployment, streams: 4, indexers: 4, seed: seed)
                try Self.run(deployment, crew, events: 40_000, perSecond: 200) {
                    for _ in 0..<30 { try crew.disturbAny() }
                }
            }
        }

        private static func run(
            _ deployment: Deployment, _ crew: Crew, events: Int, perSecond: Int, disturb: () throws -> Void
        ) throws {
            // `serve` owns the database, so that any indexer may die.
            let scene = try CrashScene(
                deployment, seed: crew.seed, events: events, perSecond: perSecond, roles: [.broker, .serve, .producer])
            do {
                try scene.start { try crew.start() }
                try disturb()
                try scene.awaitTopic()
                let reference = Reference(deployment)
                try reference.run(seconds: scene.patienceSeconds, until: { try scene.isIndexed(dsn: $0) })
                try deployment.wait(for: "the shared index to catch up", seconds: scene.patienceSeconds) {
                    try scene.isIndexed(dsn: deployment.dsn() ?? "")
                }
                try reference.compareIndexes()
                try crew.stop()
                try scene.stop()
                try reference.compareLakes()
                let lake = try LakeReport(lake: deployment.lakeFolder, recording: scene.recording)
                #expect(lake.faults == [])
                for (partition, range) in lake.topicPartitions {
                    #expect(range == [0, scene.highs[partition] ?? -1], "topic partition \(partition)")
                }
                crew.expectSharing()
            } catch {
                throw PipelineFailure("seed \(crew.seed), \(crew.history.joined(separator: ", ")): \(error)")
            }
        }
    }

    /// A stream job whose lake is not the others' refuses what they have taken further.
    @Suite(.serialized) struct OtherLakeTests {
        @Test(.timeLimit(.minutes(5))) func anotherLakeIsRefused() async throws {
            let environment = ["KAFKA_ASSIGNMENT": "group", "KAFKA_SESSION_SEC": "2"]
            try await Deployment.run(environment: environment) { deployment in
                let scene = try CrashScene(
                    deployment, seed: 20_272, events: 300, perSecond: 1_000, roles: [.broker, .stream, .producer])
                try scene.start()
                try scene.awaitTopic()
                try scene.awaitLake()
                // Once a second the group hears of it.
                sleep(2)
                try scene.end(.stream)
                let other = try deployment.start(
                    "stream", name: "other-stream", environment: ["LAKE_DIR": deployment.file("other-lake")])
                #expect(try other.awaitEnd(seconds: 60) == .exited(1))
                #expect(other.output.contains("the group medallion has committed offset"))
                #expect(other.output.contains("LAKE_DIR"))
            }
        }
    }
}

/// The processes that share the work.
private final class Crew {
    let seed: UInt64
    private(set) var history: [String] = []
    private let deployment: Deployment
    private let names: [String]
    private var running: [String: RunningProcess] = [:]
    private var random: SeededGenerator

    init(_ deployment: Deployment, streams: Int, indexers: Int, seed: UInt64) {
        self.deployment = deployment
        self.seed = seed
        names = (1...streams).map { "stream-\($0)" } + (1...indexers).map { "index-\($0)" }
        random = SeededGenerator(seed: seed)
    }

    func start() throws {
        for name in names { try launch(name) }
    }

    private func launch(_ name: String) throws {
        let role = String(name.prefix { $0 != "-" })
        running[name] = try deployment.start(role, name: name, environment: ["KAFKA_ASSIGNMENT": "group"])
    }

    func killAndStart(_ name: String) throws {
        history.append("kill \(name)")
        try running[name]?.kill9()
        // Some of the time the others have taken over when it comes back.
        usleep(UInt32.random(in: 300_000...3_500_000, using: &random))
        try launch(name)
    }

    /// Stops a process for longer than its session, and lets it go on as if nothing had been.
    func hang(_ name: String, seconds: UInt32) throws {
        history.append("hang \(name)")
        running[name]?.signal(SIGSTOP)
        sleep(seconds)
        running[name]?.signal(SIGCONT)
    }

    func disturbAny() throws {
        guard let name = names.randomElement(using: &random) else { return }
        if Int.random(in: 0..<4, using: &random) == 0 {
            try hang(name, seconds: UInt32.random(in: 1...5, using: &random))
        } else {
            try killAndStart(name)
        }
        usleep(UInt32.random(in: 200_000...2_000_000, using: &random))
    }

    func stop() throws {
        for name in names { #expect(try running[name]?.stop() == .exited(0), "\(name)") }
    }

    /// Every process got topic partitions, and every stream job read some.
    func expectSharing() {
        for name in names {
            let output = running[name]?.output ?? ""
            #expect(output.contains("the group gives topic partitions"), "\(name) got nothing")
        }
        let readers = names.filter { $0.hasPrefix("stream") && running[$0]?.output.contains(": reading ") == true }
        #expect(readers.count == names.filter { $0.hasPrefix("stream") }.count)
    }
}
