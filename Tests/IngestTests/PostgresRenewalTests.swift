import Bytes
import Files
import JSONScan
import PlatformTesting
import Postgres
import PostgresTesting
import Sources
import Testing

@testable import Ingest

/// What happens to a table, and to whoever reads it, between two of the transactions by which it is read.
@Suite(.timeLimit(.minutes(3)), .serialized)
struct PostgresRenewalTests {
    private static func deadline(seconds: Int64 = 60) -> Int64 {
        SystemClock.monotonicNanoseconds() + seconds * 1_000_000_000
    }

    private func scene(rows: Int) throws -> CaptureScene {
        let scene = try CaptureScene()
        try scene.run("INSERT INTO things SELECT n, 'n' || n FROM generate_series(1, \(rows)) n")
        return scene
    }

    /// Reads, with everything arriving, until something is so.
    private func read(
        _ scene: CaptureScene, seconds: Int64 = 60, _ what: Comment, until isSo: () throws -> Bool
    ) throws {
        let deadline = Self.deadline(seconds: seconds)
        while try !isSo() {
            guard SystemClock.monotonicNanoseconds() < deadline else {
                Issue.record(what)
                return
            }
            do { try scene.step() } catch {
                // The server's process of one that was killed may still be there.
                #expect("\(error)".contains("is being read by"), "\(error)")
            }
            try scene.deliver()
        }
    }

    private func finish(_ scene: CaptureScene) throws {
        try read(scene, "the snapshot does not come to its end") {
            try CaptureState.read(scene.options.statePath)?.isComplete == true
        }
    }

    private func rows(_ scene: CaptureScene) throws -> [JSONValue] {
        try scene.topic.map { try scene.json($0) }.filter { $0["op"]?.string == "r" }
    }

    private static func other(_ dsn: String) throws -> PostgresConnection {
        try PostgresConnection(PostgresConfiguration(dsn: dsn), timeoutMilliseconds: 10_000)
    }

    @Test("rows that were read are handed over though what arrived before cannot be noted")
    func fullDisk() throws {
        let scene = try scene(rows: 20)
        while scene.inFlight.count < 7 { try scene.step() }
        // A folder in the file's place: no file can be put there.
        let path = scene.options.statePath
        try Folder.removeIfPresent(path)
        try Folder.create(path)
        try File.replace(path + "/x", with: [0x0A])
        #expect(throws: (any Error).self) { try scene.deliver() }
        let deadline = Self.deadline(seconds: 20)
        func isOver() throws -> Bool { try scene.inFlight.contains { try scene.json($0)["op"]?.string == "t" } }
        while try !isOver(), SystemClock.monotonicNanoseconds() < deadline { _ = try? scene.step() }
        #expect(try isOver())
        try Folder.removeTree(path)
        try scene.run("UPDATE things SET body = 'later' WHERE id = 3")
        try scene.deliver()
        try scene.drain()
        try finish(scene)
        #expect(try rows(scene).compactMap { $0["after"]?["id"]?.integer } == Array(1...20))
    }

    @Test("a table that was rewritten after the moment that it is to be read as of is not taken for an empty one")
    func rewritten() throws {
        let scene = try scene(rows: 20)
        try scene.run("CREATE PUBLICATION \(scene.declaration.publication) FOR TABLE things")
        let access = try CaptureAccess(scene.declaration, connectMilliseconds: 10_000)
        let log = try access.log()
        defer { log.close() }
        let view = try ExportedSnapshot(access, log, slot: access.temporarySlot, isTemporary: true)
        func open() throws -> TableSnapshot {
            let connection = try access.connection()
            return try TableSnapshot(
                view, connection, scene.declaration, bytesMax: 1 << 20, idleMilliseconds: 60_000
            ) {
                let present = try access.connection()
                defer { present.close() }
                return try CaptureCatalogue(present, scene.declaration, .looking, idPath: nil)
            }
        }
        let before = try open()
        #expect(try before.rows(after: nil, rowsMax: 100).rows.count == 20)
        let isWaitedFor = try before.isWaitedFor()
        #expect(!isWaitedFor)
        before.close()
        try scene.run("ALTER TABLE things ALTER id TYPE bigint")
        let error = #expect(throws: CaptureError.self) { try open() }
        #expect(error?.description.contains("was rewritten") == true, "\(String(describing: error))")
    }

    @Test("a table is held from its opening on, before its first row is read")
    func held() throws {
        let scene = try scene(rows: 20)
        let connector = try scene.connector()
        while connector.snapshot == nil { try scene.step() }
        #expect(scene.inFlight.isEmpty)
        let other = try Self.other(scene.dsn)
        #expect(throws: PostgresError.self) {
            try other.script(
                "SET lock_timeout = '50ms'; ALTER TABLE things ALTER id TYPE bigint", timeoutMilliseconds: 10_000)
        }
        try finish(scene)
        #expect(try rows(scene).compactMap { $0["after"]?["id"]?.integer } == Array(1...20))
        #expect(try scene.shown() == scene.table())
    }

    @Test("keys of another order than before are read from the first one on")
    func order() throws {
        let scene = try scene(rows: 30)
        while scene.inFlight.count < 7 { try scene.step() }
        try scene.deliver()
        #expect(try CaptureState.read(scene.options.statePath)?.after == ["7"])
        try scene.kill()
        // Behind '7' as a text are 8 and 9.
        try scene.run("ALTER TABLE things ALTER id TYPE text")
        try finish(scene)
        let ids = try rows(scene).compactMap { $0["after"]?["id"]?.string }
        #expect(ids == (1...30).map { "\($0)" }.sorted())
        #expect(scene.topic.suffix(ids.count).allSatisfy { $0.mayRepeat })
        #expect(try CaptureState.read(scene.options.statePath)?.keyOrder?.count == 1)
    }

    @Test("a state that does not know the order of keys is continued, and knows it then")
    func unknownOrder() throws {
        let scene = try scene(rows: 30)
        while scene.inFlight.count < 7 { try scene.step() }
        try scene.deliver()
        try scene.kill()
        var state = try #require(try CaptureState.read(scene.options.statePath))
        let known = try #require(state.keyOrder)
        state.keyOrder = nil
        try state.write(scene.options.statePath)
        #expect(try CaptureState.read(scene.options.statePath)?.keyOrder == nil)
        try finish(scene)
        #expect(try CaptureState.read(scene.options.statePath)?.keyOrder == known)
        #expect(try rows(scene).compactMap { $0["after"]?["id"]?.integer } == Array(1...30))
    }

    @Test("as long as there can be no next transaction, the present one is read on")
    func noNext() throws {
        let scene = try scene(rows: 60)
        scene.options.snapshotMilliseconds = 0
        while scene.inFlight.isEmpty { try scene.step() }
        // It runs as long as the table is read, so that no slot can be made.
        let other = try Self.other(scene.dsn)
        try other.script("BEGIN; SELECT txid_current()", timeoutMilliseconds: 10_000)
        try finish(scene)
        try other.script("ROLLBACK", timeoutMilliseconds: 10_000)
        #expect(try rows(scene).compactMap { $0["after"]?["id"]?.integer } == Array(1...60))
        #expect(scene.topic.allSatisfy { !$0.mayRepeat })
    }

    /// Changes the table's definition, and waits for that as long as it takes.
    private static func alter(_ dsn: String) throws {
        try other(dsn).script(
            "SET lock_timeout = '60s'; ALTER TABLE things ADD extra int DEFAULT 1", timeoutMilliseconds: 70_000)
    }

    @Test("whoever waits for the table is let in, and the rest is read as of later moments")
    func waiter() async throws {
        let scene = try scene(rows: 60)
        scene.options.snapshotMilliseconds = 0
        while scene.inFlight.isEmpty { try scene.step() }
        let dsn = scene.dsn
        async let altered: Void = Self.alter(dsn)
        // Until it waits.
        let deadline = Self.deadline()
        let waits = "SELECT count(*) FROM pg_locks WHERE relation = 'things'::regclass AND NOT granted"
        while try scene.run(waits) == [["0"]] {
            try #require(SystemClock.monotonicNanoseconds() < deadline)
            try await Task.sleep(for: .milliseconds(10))
        }
        try scene.deliver()
        let columns = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'things'::regclass AND attname = 'extra'"
        try read(scene, "the definition cannot be changed") { try scene.run(columns) == [["1"]] }
        #expect(try CaptureState.read(scene.options.statePath)?.isComplete == false)
        try await altered
        try finish(scene)
        #expect(try rows(scene).compactMap { $0["after"]?["id"]?.integer } == Array(1...60))
    }

    @Test("rows that are taken slowly are read in pages that fit the transaction")
    func slowTaker() throws {
        let scene = try scene(rows: 60)
        scene.options.snapshotIdleMilliseconds = 500
        let deadline = Self.deadline()
        while try CaptureState.read(scene.options.statePath)?.isComplete != true {
            try #require(SystemClock.monotonicNanoseconds() < deadline)
            let count = try scene.step()
            try scene.run("SELECT pg_sleep(\(Double(count) * 0.1))")
            try scene.deliver()
        }
        let read = try rows(scene)
        #expect(read.compactMap { $0["after"]?["id"]?.integer } == Array(1...60))
        let places = Set(read.compactMap { $0["source"]?["lsn"]?.integer })
        #expect(places.count < 5, "nine pages of seven rows would take a transaction each")
    }

    @Test("what is handed over at once follows from how fast it is taken")
    func fitting() {
        var handingOver = HandingOver()
        handingOver.note(500, milliseconds: 10_000, idleMilliseconds: 60_000)
        #expect(handingOver.fitting == .max)
        handingOver.note(500, milliseconds: 100_000, idleMilliseconds: 60_000)
        #expect(handingOver.fitting == 75)
        handingOver.note(75, milliseconds: 14_000, idleMilliseconds: 60_000)
        #expect(handingOver.fitting == 150)
        handingOver.note(150, milliseconds: .max, idleMilliseconds: 0)
        #expect(handingOver.fitting == 1)
        for _ in 0..<40 { handingOver.note(1, milliseconds: 1, idleMilliseconds: 60_000) }
        #expect(handingOver.fitting == .max)
    }
}
