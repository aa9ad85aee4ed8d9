import Bytes
import Files
import PlatformTesting
import Postgres
import PostgresTesting
import Sources
import Testing

@testable import Ingest

/// A source database that is dropped, renamed, upgraded, restored or taken over by another server: said by name, with the way out.
@Suite(.timeLimit(.minutes(3)), .serialized)
struct PostgresServerTests {
    private func fault(_ scene: CaptureScene) -> CaptureError? {
        for _ in 0..<200 {
            do {
                for _ in 0..<20 { try scene.step() }
                return nil
            } catch {
                // The server's process of the one that was killed may still be there.
                if "\(error)".contains("is being read by") { continue }
                return error as? CaptureError
            }
        }
        return nil
    }

    private func readScene(_ server: LogicalPostgres? = nil) throws -> CaptureScene {
        let scene = try CaptureScene(server)
        try scene.run("INSERT INTO things SELECT n, 'n' || n FROM generate_series(1, 20) n")
        let deadline = SystemClock.monotonicNanoseconds() + 60_000_000_000
        while try CaptureState.read(scene.options.statePath)?.isComplete != true {
            try #require(SystemClock.monotonicNanoseconds() < deadline)
            try scene.step()
            try scene.deliver()
        }
        try scene.kill()
        return scene
    }

    /// The scene's database, and a session beside it.
    private func beside(_ scene: CaptureScene) throws -> (name: String, admin: PostgresConnection) {
        let name = try #require(try scene.run("SELECT current_database()").first?.first ?? nil)
        let dsn = scene.dsn.replacing("dbname=\(name)", with: "dbname=medallion")
        return (name, try PostgresConnection(PostgresConfiguration(dsn: dsn), timeoutMilliseconds: 10_000))
    }

    /// Runs what needs a database without sessions, as soon as they are gone.
    private func run(_ sql: String, without name: String, _ admin: PostgresConnection) throws {
        var fault = "never tried"
        for _ in 0..<500 {
            do {
                try admin.script(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '\(name)'",
                    timeoutMilliseconds: 10_000)
                try admin.script(sql, timeoutMilliseconds: 30_000)
                return
            } catch { fault = "\(error)" }
        }
        Issue.record("\(sql): \(fault)")
    }

    private func declare(_ scene: CaptureScene, dsn: String, snapshot: Int = 1) {
        let slot = scene.declaration.slot
        scene.declaration = PostgresDeclaration(
            dsn: SecretURL(dsn), table: "things", slot: slot, publication: slot, snapshot: snapshot)
    }

    @Test("a database that was dropped is named, and one that is made again lacks the table that was read")
    func dropped() throws {
        let scene = try readScene()
        let (name, admin) = try beside(scene)
        try run("DROP DATABASE \(name)", without: name, admin)
        var found = try #require(fault(scene))
        #expect(
            found.description.contains("there is no database \(name) on the server") && !found.isLoss
                && found.description.contains("it was dropped"), "\(found)")
        let error = #expect(throws: CaptureError.self) { try PostgresSourceCheck.examine(scene.declaration) }
        #expect(error?.description.contains("there is no database \(name)") == true)
        try run("CREATE DATABASE \(name) TEMPLATE template0", without: name, admin)
        let again = try PostgresConnection(PostgresConfiguration(dsn: scene.dsn), timeoutMilliseconds: 10_000)
        try again.script(
            "CREATE TABLE things (id int PRIMARY KEY, body text); INSERT INTO things VALUES (7, 'again')",
            timeoutMilliseconds: 10_000)
        found = try #require(fault(scene))
        #expect(found.isLoss && found.description.contains("\"snapshot\": 2"), "\(found)")
        try scene.kill()
        declare(scene, dsn: scene.dsn, snapshot: 2)
        let deadline = SystemClock.monotonicNanoseconds() + 60_000_000_000
        while try scene.shown() != ["7": #""again""#], SystemClock.monotonicNanoseconds() < deadline {
            try scene.step()
            try scene.deliver()
        }
        #expect(try scene.shown() == ["7": #""again""#])
        try scene.kill()
        try run("SELECT pg_drop_replication_slot('\(scene.declaration.slot)')", without: name, admin)
    }

    @Test(
        "a database that has another name now is found by its slot, and is read on once the connection string says so")
    func renamed() throws {
        let scene = try readScene()
        let count = scene.topic.count
        let (name, admin) = try beside(scene)
        try run("ALTER DATABASE \(name) RENAME TO \(name)_new", without: name, admin)
        let found = try #require(fault(scene))
        #expect(
            found.description.contains("there is no database \(name) on the server") && !found.isLoss
                && found.description.contains("is of the database \(name)_new"), "\(found)")
        try scene.kill()
        let dsn = scene.dsn.replacing("dbname=\(name)", with: "dbname=\(name)_new")
        declare(scene, dsn: dsn)
        let sql = try PostgresConnection(PostgresConfiguration(dsn: dsn), timeoutMilliseconds: 10_000)
        try sql.script("INSERT INTO things VALUES (21, 'meanwhile')", timeoutMilliseconds: 10_000)
        let deadline = SystemClock.monotonicNanoseconds() + 60_000_000_000
        while scene.topic.count == count, SystemClock.monotonicNanoseconds() < deadline {
            _ = try? scene.step()
            try scene.deliver()
        }
        #expect(try scene.shown().count == 21 && scene.topic.count == count + 1, "nothing is read again")
        try scene.kill()
        try run("SELECT pg_drop_replication_slot('\(scene.declaration.slot)')", without: name + "_new", admin)
    }

    @Test("another server of the same address, as after pg_upgrade or a restored dump, is not gone on with")
    func replaced() throws {
        let scene = try readScene()
        var other = try #require(try CaptureState.read(scene.options.statePath))
        other.system = "7000000000000000001"
        try other.write(scene.options.statePath)
        let found = try #require(fault(scene))
        #expect(
            found.isLoss && found.description.contains("another database server")
                && found.description.contains("pg_upgrade") && found.description.contains("\"snapshot\": 2"), "\(found)"
        )
        try scene.kill()
        try scene.run("DELETE FROM things WHERE id < 10")
        declare(scene, dsn: scene.dsn, snapshot: 2)
        try scene.drain()
        #expect(try scene.shown().count == 11)
    }

    @Test("a server that took over with all that was read, and with the slot, is read on; one that lacks some is not")
    func takenOver() throws {
        let server = try LogicalPostgres()
        let scene = try readScene(server)
        let count = scene.topic.count
        try #require(try CaptureState.read(scene.options.statePath)?.timeline == 1)
        try server.takeOver()
        let deadline = SystemClock.monotonicNanoseconds() + 60_000_000_000
        var isWritten = false
        while !isWritten, SystemClock.monotonicNanoseconds() < deadline {
            guard
                let sql = try? PostgresConnection(PostgresConfiguration(dsn: scene.dsn), timeoutMilliseconds: 10_000)
            else { continue }
            isWritten =
                (try? sql.script("INSERT INTO things VALUES (21, 'after')", timeoutMilliseconds: 10_000)) != nil
        }
        while scene.topic.count == count, SystemClock.monotonicNanoseconds() < deadline {
            _ = try? scene.step()
            try scene.deliver()
        }
        #expect(try scene.shown().count == 21 && scene.topic.count == count + 1)
        try scene.kill()
        var state = try #require(try CaptureState.read(scene.options.statePath))
        #expect(state.timeline == 2)
        // What was read of the old server and never came to the new one.
        state.timeline = 1
        state.confirmed += 1 << 30
        try state.write(scene.options.statePath)
        let found = try #require(fault(scene))
        #expect(
            found.isLoss && found.description.contains("but it took over at")
                && found.description.contains("\"snapshot\": 2"), "\(found)")
    }

    @Test("a slot that is somebody else's is refused with whose it is")
    func foreignSlots() throws {
        let scene = try CaptureScene()
        let slot = scene.declaration.slot
        try scene.run("SELECT pg_create_physical_replication_slot('\(slot)')")
        var found = try #require(fault(scene))
        #expect(found.description.contains("is of a standby") && found.description.contains("name another slot"))
        try scene.run("SELECT pg_drop_replication_slot('\(slot)')")
        let (_, admin) = try beside(scene)
        try admin.script(
            "SELECT pg_create_logical_replication_slot('\(slot)', 'pgoutput')", timeoutMilliseconds: 60_000)
        found = try #require(fault(scene))
        #expect(found.description.contains("is of another database"), "\(found)")
        try admin.script("SELECT pg_drop_replication_slot('\(slot)')", timeoutMilliseconds: 10_000)
        try scene.kill()
    }

    @Test(
        "a server that is not set up for it says what to set",
        arguments: [
            (["wal_level=replica"], "wal_level is replica: set wal_level = logical and restart the server"),
            (["max_wal_senders=0"], "max_wal_senders is 0: set it to at least 2 and restart the server"),
            (["max_replication_slots=1"], "raise max_replication_slots on the server"),
        ])
    func settings(settings: [String], words: String) throws {
        let scene = try CaptureScene(LogicalPostgres(settings: settings))
        if settings.first?.hasPrefix("max_replication_slots") == true {
            try scene.run("SELECT pg_create_physical_replication_slot('others')")
        }
        let found = try #require(fault(scene))
        #expect(found.description.contains(words), "\(found)")
    }

    @Test("a state that is damaged, or of another table, is refused by name and left as it is")
    func states() throws {
        let scene = try readScene()
        let path = scene.options.statePath
        let whole = try File.contents(of: path)
        try File.replace(path, with: whole.dropLast(9))
        var found = try #require(fault(scene))
        #expect(found.description.contains("\(path) is damaged: restore it, or move it away"), "\(found)")
        #expect(try File.contents(of: path) == Array(whole.dropLast(9)))
        try File.replace(path, with: whole)
        try scene.kill()
        try scene.run("CREATE TABLE others (id int PRIMARY KEY)")
        let slot = scene.declaration.slot
        scene.declaration = PostgresDeclaration(
            dsn: SecretURL(scene.dsn), table: "others", slot: slot, publication: slot)
        found = try #require(fault(scene))
        #expect(found.description.contains("what was read before is public.things"), "\(found)")
        #expect(found.description.contains("give the source of another table another name"))
    }

    @Test("a publication without the key is refused, and a snapshot of the last number has another way out")
    func ends() throws {
        let scene = try CaptureScene()
        try scene.run("CREATE PUBLICATION \(scene.declaration.publication) FOR TABLE things (body)")
        let found = try #require(fault(scene))
        #expect(found.description.contains("leaves out id, which is in the primary key"), "\(found)")
        let last = PostgresDeclaration(
            dsn: SecretURL(scene.dsn), table: "things",
            snapshot: Int(PostgresDeclaration.Bounds.snapshots.upperBound))
        let lost = CaptureSlot.lost(last, "the slot is gone")
        #expect(lost.isLoss && lost.description.contains("\"snapshot\" is at its end: declare the table as a source"))
    }
}
