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
            let isCut = left.withLock { left in
                left -= 1
                return left == 0
            }
            if isCut, !isBehind { throw CancellationError() }
            let embedded = try await inner.index(lines: lines, generation: generation, source: source)
            if isCut { throw CancellationError() }
            return embedded
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
        #expect(try await run(scene, at: 0, isBehind: false, resumes: true).difference == wanted.difference)
        await #expect(throws: ReplayError.self) {
            try await Replay.resume(
                1, layout: scene.place.layout, database: scene.database, index: scene.index,
                logger: Logger("replay", level: .error))
        }
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
