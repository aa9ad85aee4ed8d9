import Bytes
import Files
import Health
import JSONScan
import PlatformTesting
import Postgres
import PostgresTesting
import Records
import Sources
import Synchronization
import Telemetry
import Testing

@testable import Ingest

/// A table that is read again, in whole or in part, while its changes are followed.
@Suite(.timeLimit(.minutes(3)), .serialized)
struct PostgresRequestTests {
    /// What was asked for so far.
    private final class Asked: Sendable {
        let requests = Mutex<[SourceRequest]>([])
        let givenUp = Mutex<Set<String>>([])
        /// What became of them, in its order.
        let outcomes = Mutex<[String]>([])

        func ask(_ id: String, _ range: SourceKeyRange = SourceKeyRange()) {
            let request = SourceRequest(
                id: id, source: "things", action: .snapshot(range), reason: "", by: "test", atMilliseconds: 1)
            requests.withLock { $0.append(request) }
        }
    }

    private let asked = Asked()

    private func scene() throws -> CaptureScene {
        let scene = try CaptureScene()
        scene.options.requests = { [asked] in asked.requests.withLock { $0 } }
        scene.options.isGivenUp = { [asked] id in asked.givenUp.withLock { $0.contains(id) } }
        scene.options.report = { [asked] id, state, _ in
            asked.outcomes.withLock { $0.append("\(id) \(state.rawValue)") }
        }
        return scene
    }

    private func isOver(_ id: String, _ scene: CaptureScene) throws -> Bool {
        try CaptureState.read(scene.options.statePath)?.over.contains(id) ?? false
    }

    /// Reads, with everything arriving, until a request is over.
    private func finish(_ id: String, _ scene: CaptureScene, seconds: Int = 60) throws {
        let deadline = SystemClock.monotonicNanoseconds() + Int64(seconds) * 1_000_000_000
        while try !isOver(id, scene) {
            guard SystemClock.monotonicNanoseconds() < deadline else {
                Issue.record("\(id) does not come to its end")
                return
            }
            _ = try? scene.step()
            try scene.deliver()
        }
    }

    /// The operations of events from one on, with the keys of rows.
    private func events(_ scene: CaptureScene, from count: Int) throws -> [(
        operation: String, id: Int64?, order: Int64
    )] {
        try scene.topic[count...].map { event in
            let value = try scene.json(event)
            return (
                value["op"]?.string ?? "", value["after"]?["id"]?.integer, value["source"]?["order"]?.integer ?? 0
            )
        }
    }

    @Test("the whole table is read again, and what is older is deleted, in the order of versions")
    func whole() throws {
        let scene = try scene()
        try scene.run("INSERT INTO things SELECT n, 'row ' || n FROM generate_series(1, 30) n")
        try scene.drain()
        let count = scene.topic.count
        asked.ask("r-1")
        try finish("r-1", scene)
        let read = try events(scene, from: count)
        #expect(read.filter { $0.operation == "r" }.compactMap(\.id) == Array(1...30))
        let end = try #require(read.last)
        #expect(end.operation == "t" && read.filter { $0.operation == "r" }.allSatisfy { $0.order >= end.order })
        let before = try events(scene, from: 0).prefix(count)
        #expect(before.allSatisfy { $0.order < end.order }, "what was read before and is not there any more goes")
        #expect(scene.distinct.count == scene.topic.count, "another reading has ids of its own")
        try scene.run("UPDATE things SET body = 'later' WHERE id = 3")
        try scene.drain()
        #expect(try scene.shown() == scene.table())
        // What is over is not read again by the next process either.
        let total = scene.topic.count
        try scene.kill()
        for _ in 0..<10 { _ = try? scene.step() }
        #expect(scene.inFlight.isEmpty && scene.topic.count == total)
        // The next process tells the end once more, since nobody is known to have heard of it.
        #expect(asked.outcomes.withLock { $0 } == ["r-1 taken", "r-1 complete", "r-1 complete"])
    }

    @Test("one that is read as of several moments, since each transaction is bounded, has each row once")
    func bounded() throws {
        let scene = try scene()
        try scene.run("INSERT INTO things SELECT n, 'row ' || n FROM generate_series(1, 30) n")
        try scene.drain()
        scene.options.snapshotMilliseconds = 0
        try scene.kill()
        let count = scene.topic.count
        asked.ask("r-1")
        try finish("r-1", scene)
        let read = try events(scene, from: count).filter { $0.operation == "r" }
        #expect(read.compactMap(\.id) == Array(1...30))
        #expect(read.map(\.order) == read.map(\.order).sorted())
        #expect(try scene.shown() == scene.table())
    }

    @Test("a range of keys is read, both ends included, and nothing else is deleted")
    func part() throws {
        let scene = try scene()
        try scene.run("INSERT INTO things SELECT n, 'row ' || n FROM generate_series(1, 40) n")
        try scene.drain()
        var count = scene.topic.count
        asked.ask("r-1", SourceKeyRange(from: "9", to: "25"))
        try finish("r-1", scene)
        var read = try events(scene, from: count)
        #expect(read.compactMap(\.id) == Array(9...25) && read.allSatisfy { $0.operation == "r" })
        count = scene.topic.count
        asked.ask("r-2", SourceKeyRange(from: "38"))
        asked.ask("r-3", SourceKeyRange(from: "1000", to: "2000"))
        try finish("r-3", scene)
        read = try events(scene, from: count)
        #expect(read.compactMap(\.id) == [38, 39, 40], "an empty range comes to its end, too")
        #expect(try scene.shown() == scene.table())
    }

    @Test("a range that is no key of the table is refused by name, and the log is followed on")
    func refused() throws {
        let scene = try scene()
        try scene.run("INSERT INTO things VALUES (1, 'a')")
        try scene.drain()
        asked.ask("r-1", SourceKeyRange(from: "no number'; DROP TABLE things; --"))
        var refusal: SourceRefusal?
        var progress: SnapshotProgress?
        var position: SourcePosition?
        let connector = try scene.connector()
        for _ in 0..<500 where refusal == nil {
            let batch = try connector.next(after: position)
            position = batch.events.last?.position ?? position ?? SourcePosition(token: [])
            refusal = batch.refusals.first
            if let found = batch.snapshot { progress = found }
        }
        #expect(refusal?.place == "the snapshot r-1" && refusal?.reason.contains("no number") == true)
        #expect(progress?.state == .refused && progress?.id == "r-1")
        #expect(try isOver("r-1", scene))
        #expect(try CaptureState.read(scene.options.statePath)?.refused == ["r-1"])
        #expect(asked.outcomes.withLock { $0 } == ["r-1 taken", "r-1 refused"])
        try scene.run("INSERT INTO things VALUES (2, 'b')")
        try scene.drain()
    }

    @Test("progress is told, and what waits behind")
    func progress() throws {
        let scene = try scene()
        try scene.run("INSERT INTO things SELECT n, 'row' FROM generate_series(1, 20) n; ANALYZE things")
        try scene.drain()
        asked.ask("r-1")
        asked.ask("r-2", SourceKeyRange(to: "3"))
        let connector = try scene.connector()
        var (seen, position): ([SnapshotProgress], SourcePosition?) = ([], nil)
        for _ in 0..<500 where seen.last?.id != "r-2" || seen.last?.state != .complete {
            let batch = try connector.next(after: position)
            if let last = batch.events.last {
                position = last.position
                try connector.acknowledged(last.position)
            }
            if let progress = batch.snapshot { seen.append(progress) }
        }
        let first = seen.filter { $0.id == "r-1" }
        #expect(first.map(\.rows) == first.map(\.rows).sorted() && first.last?.rows == 20)
        #expect(first.last?.state == .complete && first.allSatisfy { $0.requestsWaiting == 1 })
        #expect(first.last?.rowsExpected == 20)
        #expect(seen.last?.rows == 3 && seen.last?.to == "3" && seen.last?.rowsExpected == nil)
    }

    /// Where the readers of a topic that is compacted are told that nothing is left of a key.
    private func withTombstones(_ scene: CaptureScene) {
        let declaration = scene.declaration
        scene.declaration = PostgresDeclaration(
            dsn: declaration.dsn, table: declaration.table, slot: declaration.slot,
            publication: declaration.publication, writesTombstones: true)
    }

    @Test("a record without a value follows each deletion, with its key and an id of its own")
    func tombstones() throws {
        let scene = try scene()
        withTombstones(scene)
        try scene.run("INSERT INTO things SELECT n, 'row ' || n FROM generate_series(1, 9) n")
        try scene.drain()
        let count = scene.topic.count
        try scene.run("DELETE FROM things WHERE id < 3")
        try scene.run("UPDATE things SET id = 30 WHERE id = 3")
        try scene.run("TRUNCATE things")
        try scene.drain()
        let seen = try scene.topic[count...].map { event in
            event.isTombstone ? "-" : try scene.json(event)["op"]?.string ?? ""
        }
        #expect(seen == ["d", "-", "d", "-", "d", "-", "c", "t"])
        for (event, next) in zip(scene.topic.dropFirst(count), scene.topic.dropFirst(count + 1))
        where next.isTombstone {
            #expect(next.key == event.key && next.value.isEmpty && next.eventID != event.eventID)
        }
    }

    @Test("killed anywhere in it while others write, nothing is lost or doubled", arguments: LongTests.seeds(1...5))
    func kills(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let scene = try scene()
        if Bool.random(using: &random) { withTombstones(scene) }
        try scene.write(80, &random)
        try scene.drain()
        for number in 0..<3 {
            let id = "r-\(number)"
            let from = Int.random(in: 1...30, using: &random)
            let isWhole = Bool.random(using: &random)
            asked.ask(
                id, isWhole ? SourceKeyRange() : SourceKeyRange(from: "\(from)", to: "\(from + 25)"))
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                for _ in 0..<Int.random(in: 1...12, using: &random) {
                    do { try scene.step() } catch {
                        // The server's process of the killed one may still be there.
                        #expect("\(error)".contains("is being read by"), "\(error)")
                    }
                    try scene.write(2, &random)
                    if Bool.random(using: &random) { try scene.deliver(Int.random(in: 1...20, using: &random)) }
                }
                try scene.kill(arrived: Int.random(in: 0...10, using: &random))
            }
            try finish(id, scene)
        }
        try scene.drain()
        // Also in the order in which other topic partitions may bring them.
        let disordered = scene.distinct.shuffled(using: &random)
        #expect(try CaptureScene.shown(disordered) == scene.table())
    }

    /// Asks for a range and reads until its snapshot is open, with none of its rows read. Other sessions wait 50 ms for a lock.
    private func open(_ scene: CaptureScene) throws -> (connector: PostgresConnector, position: SourcePosition?) {
        try scene.run("INSERT INTO things SELECT n, 'row ' || n FROM generate_series(1, 30) n")
        try scene.run(
            """
            DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET lock_timeout = ''50ms''', current_database()); END $$
            """)
        try scene.drain()
        asked.ask("r-1", SourceKeyRange(from: "1"))
        let connector = try scene.connector()
        var position: SourcePosition?
        for _ in 0..<2_000 where connector.snapshot == nil {
            let batch = try connector.next(after: position)
            position = batch.events.last?.position ?? position ?? SourcePosition(token: [])
        }
        try #require(connector.snapshot != nil)
        return (connector, position)
    }

    private func other(_ scene: CaptureScene) throws -> PostgresConnection {
        try PostgresConnection(PostgresConfiguration(dsn: scene.dsn), timeoutMilliseconds: 10_000)
    }

    /// Holds what rows are read by, and not the table, which the connector holds by then.
    private static let holding = "BEGIN; REINDEX INDEX things_pkey"

    @Test("a page that fails leaves the log open and is tried again")
    func failedPage() throws {
        let scene = try scene()
        let (connector, position) = try open(scene)
        let other = try other(scene)
        try other.script(Self.holding, timeoutMilliseconds: 10_000)
        let batch = try connector.next(after: position)
        #expect(batch.snapshot?.state == .waiting && batch.snapshot?.id == "r-1" && batch.refusals.isEmpty)
        #expect(batch.snapshot?.reason.contains("lock timeout") == true, "\(batch.snapshot?.reason ?? "")")
        #expect(connector.stream != nil && connector.snapshot == nil)
        #expect(try !isOver("r-1", scene))
        try other.script("ROLLBACK", timeoutMilliseconds: 10_000)
        let count = scene.topic.count
        try finish("r-1", scene)
        #expect(try events(scene, from: count).filter { $0.operation == "r" }.compactMap(\.id) == Array(1...30))
    }

    @Test("a page that fails again and again is refused with its reason")
    func failedPages() throws {
        let scene = try scene()
        scene.options.requestFailuresMax = 1
        let (connector, position) = try open(scene)
        let other = try other(scene)
        try other.script(Self.holding, timeoutMilliseconds: 10_000)
        let batch = try connector.next(after: position)
        #expect(batch.snapshot?.state == .refused && batch.refusals.first?.reason.contains("lock timeout") == true)
        #expect(try isOver("r-1", scene) && connector.stream != nil)
        try other.script("ROLLBACK", timeoutMilliseconds: 10_000)
    }

    @Test("one that is given up ends, and the log is followed on")
    func givenUp() throws {
        let scene = try scene()
        let (connector, position) = try open(scene)
        asked.givenUp.withLock { _ = $0.insert("r-1") }
        let batch = try connector.next(after: position)
        #expect(batch.snapshot?.state == .refused && batch.snapshot?.id == "r-1" && batch.refusals.isEmpty)
        #expect(try isOver("r-1", scene) && connector.stream != nil && connector.snapshot == nil)
        try scene.run("INSERT INTO things VALUES (99, 'later')")
        try scene.drain()
    }

    @Test("while another transaction writes, a snapshot waits, and changes come")
    func oldTransaction() throws {
        let scene = try scene()
        try scene.run("INSERT INTO things VALUES (1, 'a')")
        try scene.drain()
        let other = try other(scene)
        try other.script("BEGIN; SELECT txid_current()", timeoutMilliseconds: 10_000)
        asked.ask("r-1")
        let connector = try scene.connector()
        var (reason, position): (String, SourcePosition?) = ("", nil)
        for _ in 0..<2_000 where reason.isEmpty {
            let batch = try connector.next(after: position)
            if let last = batch.events.last {
                position = last.position
                try connector.acknowledged(last.position)
            }
            if let progress = batch.snapshot, progress.state == .waiting { reason = progress.reason }
        }
        #expect(reason.contains("waits for transactions"), "\(reason)")
        try scene.run("INSERT INTO things VALUES (2, 'b')")
        try scene.drain()
        #expect(try !isOver("r-1", scene))
        try other.script("ROLLBACK", timeoutMilliseconds: 10_000)
        try finish("r-1", scene)
    }

    @Test("a table that is read from its beginning has in it what was asked for before")
    func newSnapshot() throws {
        let scene = try scene()
        try scene.run("INSERT INTO things VALUES (1, 'a')")
        asked.ask("r-1")
        try scene.drain()
        let count = scene.topic.count
        for _ in 0..<20 { try scene.step() }
        try scene.deliver()
        #expect(try isOver("r-1", scene) && scene.topic.count == count)
    }

    @Test("the state keeps what is at hand and what is over")
    func state() throws {
        let folder = try TemporaryFolder(in: "/dev/shm")
        var state = CaptureState(
            system: "7", timeline: 3, confirmed: 9, identity: CaptureIdentity(table: 1, publication: 2, membership: 3),
            schema: "public", table: "things", snapshot: 4, version: 5)
        state.isComplete = true
        state.keyOrder = ["1:23:0"]
        state.rows = 12
        var request = CaptureRequest(id: "r-9", range: SourceKeyRange(from: "a\"b"), version: 77)
        request.after = ["x"]
        request.rows = 3
        state.request = request
        for number in 0..<100 { state.end("r-\(number + 10)", isRefused: number.isMultiple(of: 50)) }
        #expect(state.refused.isEmpty, "of what is over alone")
        state.end("r-200", isRefused: true)
        try state.write(folder.file("state.json"))
        #expect(try CaptureState.read(folder.file("state.json")) == state)
        #expect(state.over.count == 2 * SourceWishes.snapshotsMax && state.request == request)
        state.end("r-9")
        #expect(state.request == nil)
    }
}
