import Bytes
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
}
