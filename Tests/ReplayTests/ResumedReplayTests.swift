import Bytes
import Files
import IndexTesting
import Indexer
import Lake
import PlatformTesting
import Postgres
import Records
import Store
import Synchronization
import Telemetry
import Testing

@testable import Replay

extension DocumentIndexer: ReplayIndex, EmbeddingNeeds {}

/// A replay that is cut again and again comes to what one clean run does, and its dry run says before what it will.
@Suite struct ResumedReplayTests {
    private static let products = TopicPartition(topic: "products", partition: 0)
    private static let (hours, perHour) = (6, 70)

    /// An index whose n-th call is cut, before or behind what it writes.
    private final class Cut: ReplayIndex {
        private let inner: DocumentIndexer
        private let left: Mutex<Int>
        private let isBehind: Bool

        init(_ inner: DocumentIndexer, at call: Int, isBehind: Bool) {
            self.inner = inner
            left = Mutex(call)
            self.isBehind = isBehind
        }

        func index(
            lines: [(offset: Int64, line: [UInt8])], generation: Int64, source: TopicPartition
        ) async throws -> Int {
            try await cut { try await inner.index(lines: lines, generation: generation, source: source) }
        }

        func share(
            lines: [(offset: Int64, line: [UInt8])], generation: Int64, parent: Int64, source: TopicPartition
        ) async throws -> Set<Int64> {
            try await cut {
                try await inner.share(lines: lines, generation: generation, parent: parent, source: source)
            }
        }

        private func cut<Result>(_ body: () async throws -> Result) async throws -> Result {
            let isCut = left.withLock { left in
                left -= 1
                return left == 0
            }
            if isCut, !isBehind { throw CancellationError() }
            let result = try await body()
            if isCut { throw CancellationError() }
            return result
        }

        func changeVectors(of generation: Int64, after key: Int64, most: Int) async throws -> VectorStep {
            try await inner.changeVectors(of: generation, after: key, most: most)
        }

        func formerVectors(of generation: Int64) async throws -> Int64 {
            try await inner.formerVectors(of: generation)
        }
    }

    private struct Scene {
        let place: Place
        let database: PostgresConfiguration
        let embedder = CountingEmbedder()
        var index: DocumentIndexer { DocumentIndexer(configuration: database, embedder: embedder) }

        init() throws {
            database = try Place.database()
            place = try Place(database)
            let logic = try SourceReplayTests.documentLogic(title: "name")
            for hour in 0..<hours {
                let values = (0..<perHour).map { record in
                    let number = hour * perHour + record
                    if number % 50 == 13 { return Array("no JSON".utf8) }
                    return Array(
                        #"{"id":"d\#(number % 300)","name":"Name \#(number % 90)","text":"Text \#(number % 40)"}"#.utf8)
                }
                try SourceReplayTests.fill(
                    place.layout, products, logic, values, from: Int64(hour * perHour),
                    time: 1_798_761_600_000 + Int64(hour) * 3_600_000)
            }
            _ = try place.connection.script(
                """
                INSERT INTO index_checkpoints (generation, topic, partition, next_offset, updated_at)
                VALUES (1, 'products', 0, \(hours * perHour), now())
                """, timeoutMilliseconds: Place.limit)
        }

        /// All that the replay left: its log, which has the checksums of its files, and what the index shows.
        func result() throws -> (log: [UInt8], shown: [[String?]]) {
            let shown = try place.connection.script(
                """
                SELECT d.doc_id, g.version, p.text, p.vector_id IS NOT NULL, g.source_offset
                FROM visibility g JOIN documents d ON d.id = g.document_id JOIN passages p ON p.document_id = d.id
                WHERE g.generation = 2 AND g.to_version IS NULL ORDER BY 1, 2, 3
                """, timeoutMilliseconds: Place.limit)
            return (try File.contents(of: place.layout.commitLog(products, replay: 2)), shown)
        }
    }

    private func run(_ scene: Scene, at call: Int, isBehind: Bool, resumes: Bool) async throws -> ReplayReport {
        let index = Cut(scene.index, at: call, isBehind: isBehind)
        let monitor = ReplayMonitor(chunkRecordsMax: 11)
        let logger = Logger("replay", level: .error)
        if resumes {
            return try await Replay.resume(
                2, layout: scene.place.layout, database: scene.database, index: index, monitor: monitor, logger: logger)
        }
        let logics = ["products": try SourceReplayTests.documentLogic(title: "text")]
        return try await Replay(
            layout: scene.place.layout, logics: logics, database: scene.database, index: index, monitor: monitor,
            logger: logger
        ).run(.all)
    }

    /// `TEST_SEED` replays another run.
    @Test(arguments: LongTests.seeds(1...1)) func twentyCutsComeToTheSame(seed: UInt64) async throws {
        let clean = try Scene()
        let trial = try await Replay.dryRun(
            layout: clean.place.layout, logics: ["products": try SourceReplayTests.documentLogic(title: "text")],
            scope: .all, needs: clean.index)
        let wanted = try await run(clean, at: 0, isBehind: false, resumes: false)
        #expect(wanted.difference == trial.difference)
        #expect(wanted.samples == trial.samples && wanted.samples.changed.count == ReplaySamples.countMax)
        #expect(trial.embeddingsNeeded == wanted.embedded && wanted.embedded == clean.embedder.embedded.count)
        #expect(wanted.changes["products"]?.map(\.setting) == ["fields.title"])

        let scene = try Scene()
        var random = SeededGenerator(seed: seed)
        var cuts = 0
        var report: ReplayReport?
        while report == nil {
            let call = cuts < 20 ? Int.random(in: 1...4, using: &random) : 0
            do {
                report = try await run(scene, at: call, isBehind: Bool.random(using: &random), resumes: cuts > 0)
            } catch is CancellationError {
                cuts += 1
                #expect(try scene.place.log.read().last?.state == .created)
            }
        }
        #expect(cuts >= 10, "it was cut \(cuts) times")
        #expect(report?.difference == wanted.difference)
        #expect(report?.ranges == wanted.ranges && report?.inherited == wanted.inherited)
        let (got, expected) = (try scene.result(), try clean.result())
        #expect(got.log == expected.log)
        #expect(got.shown == expected.shown && !got.shown.isEmpty)
        #expect(Set(scene.embedder.embedded).count == scene.embedder.embedded.count, "no text twice")
        #expect(try scene.place.log.read().last?.state == .candidate)
        // There is nothing left to do, and nothing of another one to go on with.
        let kept = try ReplayStore(configuration: scene.database).read(2, timeoutMilliseconds: Place.limit)
        #expect(kept?.state == .done && kept?.figures.done == kept?.figures.wanted)
        for generation in [Int64(1), 2, 3] {
            await #expect(throws: ReplayError.self) {
                try await Replay.resume(
                    generation, layout: scene.place.layout, database: scene.database, index: scene.index,
                    logger: Logger("replay", level: .error))
            }
            #expect(!Folder.exists(scene.place.layout.root + "/_generations.replay-\(generation).lock"))
        }
        #expect(try scene.place.log.read().last?.state == .candidate)
    }

    /// What failed may have left its generation, and what is gone on with runs again, for all who look.
    @Test func whatFailedRunsAgain() async throws {
        let scene = try Scene()
        await #expect(throws: CancellationError.self) { try await run(scene, at: 2, isBehind: false, resumes: false) }
        let store = ReplayStore(configuration: scene.database)
        func kept() throws -> KeptReplay? { try store.read(2, timeoutMilliseconds: Place.limit) }
        // A second is missed, and a database that does not answer for as long as it may.
        for (seconds, isInterrupted) in [(8, false), (16, true)] {
            _ = try scene.place.connection.script(
                "UPDATE replays SET changed_at = clock_timestamp() - interval '\(seconds) s'",
                timeoutMilliseconds: Place.limit)
            #expect(try kept()?.isInterrupted == isInterrupted)
        }
        #expect(KeptReplay.silenceMillisecondsMax > Int64(2 * KeptReplay.beatMillisecondsMax))
        try store.end(2, .failed, error: "no room", timeoutMilliseconds: Place.limit)
        await #expect(throws: CancellationError.self) { try await run(scene, at: 2, isBehind: false, resumes: true) }
        let again = try #require(try kept())
        #expect(again.state == .running && again.error.isEmpty && !again.isInterrupted)
        #expect(try await run(scene, at: 0, isBehind: false, resumes: true).difference.changed > 0)
        #expect(try kept()?.state == .done)

        // One that was given up stays so.
        let pruned = try Scene()
        await #expect(throws: CancellationError.self) { try await run(pruned, at: 2, isBehind: false, resumes: false) }
        try pruned.place.steps().endReplay(2)
        await #expect(throws: ReplayError.self) { try await run(pruned, at: 0, isBehind: false, resumes: true) }
        #expect(try pruned.place.states().lake == [1: .active, 2: .pruned])
    }

    /// Takes what runs tell.
    private final class Told: RunEventSink {
        let events = Mutex<[RunEvent]>([])
        func send(_ event: RunEvent) { events.withLock { $0.append(event) } }
    }

    /// It tells its start at once, and with its end which offsets it read and wrote: all of them, each once.
    @Test(.timeLimit(.minutes(2))) func itTellsWhatItReadsAndWrites() async throws {
        let scene = try Scene()
        let told = Told()
        let monitor = ReplayMonitor(ReplayWish(isPaused: true), runs: told, chunkRecordsMax: 11)
        let replay = Replay(
            layout: scene.place.layout, logics: ["products": try SourceReplayTests.documentLogic(title: "text")],
            database: scene.database, index: scene.index, monitor: monitor, logger: Logger("replay", level: .error))
        let running = Task { try await replay.run(.all) }
        while monitor.progress.phase != .records { try await Task.sleep(nanoseconds: 5_000_000) }
        #expect(told.events.withLock { $0.map(\.state) } == [.start])
        #expect(
            try ReplayStore(configuration: scene.database).wish(
                isPaused: false, rate: nil, of: 2, timeoutMilliseconds: Place.limit))
        let report = try await running.value
        let events = told.events.withLock { $0 }
        #expect(events.last?.state == .complete && Set(events.map(\.runID)).count == 1)
        let layout = scene.place.layout
        for (folder, isInput) in [
            (layout.folder(of: .bronze, generation: nil, topic: "products"), true),
            (layout.folder(of: .gold, generation: 2, topic: "products"), false),
        ] {
            let ranges = events.flatMap { isInput ? $0.inputs : $0.outputs }.filter { $0.place == .folder(folder) }
                .flatMap(\.offsets).sorted { $0.start < $1.start }
            let range = try #require(report.ranges[Self.products])
            #expect(ranges.first?.start == range.start && ranges.last?.end == range.end, "\(folder): \(ranges)")
            #expect(zip(ranges, ranges.dropFirst()).allSatisfy { $0.end == $1.start }, "\(folder): \(ranges)")
        }
    }

    /// However much there is to embed, a dry run's memory is bounded.
    @Test func aboveABoundInputsAreCountedAsAtLeast() throws {
        let tenant = try #require(TenantID("acme"))
        func inputs(_ numbers: Range<Int>) -> Set<VectorInput> {
            Set(
                numbers.map { number in
                    let hash = String(number, radix: 16)
                    return VectorInput(tenant: tenant, hash: String(repeating: "0", count: 16 - hash.count) + hash)
                })
        }
        var set = InputSet(countMax: 5)
        set.insert(inputs(0..<5))
        set.insert(inputs(2..<5))
        #expect(set.count == 5 && !set.isLeast)
        set.insert(inputs(4..<9))
        #expect(set.count == 5 && set.isLeast)
    }

    @Test func whatIsLeftIsWhatLakeOrIndexLack() throws {
        let range = try #require(OffsetRange(start: 10, end: 50))
        func parts(_ sealed: Int64, _ indexed: Int64) -> [String] {
            RestOfReplay.parts(range, sealedTo: sealed, indexedTo: indexed).map {
                "\($0.range.start)-\($0.range.end)" + ($0.isForLake ? " lake" : "") + ($0.isForIndex ? " index" : "")
            }
        }
        #expect(parts(10, 10) == ["10-50 lake index"])
        #expect(parts(30, 20) == ["20-30 index", "30-50 lake index"])
        #expect(parts(20, 30) == ["20-30 lake", "30-50 lake index"])
        #expect(parts(20, 50) == ["20-50 lake"])
        #expect(parts(50, 50) == [])
    }

    /// One that pauses does nothing until it is told to go on, through the database as another process does.
    @Test(.timeLimit(.minutes(2))) func itPausesAndGoesOn() async throws {
        let scene = try Scene()
        let monitor = ReplayMonitor(ReplayWish(isPaused: true))
        let replay = Replay(
            layout: scene.place.layout, logics: ["products": try SourceReplayTests.documentLogic(title: "text")],
            database: scene.database, index: scene.index, monitor: monitor, logger: Logger("replay", level: .error))
        let running = Task { try await replay.run(.all) }
        while monitor.progress.phase != .records { try await Task.sleep(nanoseconds: 5_000_000) }
        try await Task.sleep(nanoseconds: 300_000_000)
        #expect(monitor.progress.figures.done == 0)
        let store = ReplayStore(configuration: scene.database)
        #expect(try store.wish(isPaused: false, rate: 100_000, of: 2, timeoutMilliseconds: Place.limit))
        let report = try await running.value
        #expect(report.difference.changed > 0 && monitor.progress.wish.rate == 100_000)
        #expect(try !store.wish(isPaused: true, rate: nil, of: 2, timeoutMilliseconds: Place.limit), "it is over")
    }
}
