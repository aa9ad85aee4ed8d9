import Bytes
import Files
import PlatformTesting
import Postgres
import PostgresTesting
import Sources
import Telemetry
import Testing

@testable import Ingest

/// What is wrong with a source database is said by name, with the way out.
@Suite(.timeLimit(.minutes(3)), .serialized)
struct PostgresFaultTests {
    private func fault(_ scene: CaptureScene) -> String {
        do {
            for _ in 0..<50 { try scene.step() }
            return "none"
        } catch { return "\(error)" }
    }

    @Test("a table that cannot be followed is refused by name")
    func tables() throws {
        let cases: [(sql: String, words: String)] = [
            ("CREATE TABLE other (id int)", "there is no table \"public\".\"things\""),
            ("CREATE TABLE things (id int)", "has no primary key"),
            ("CREATE UNLOGGED TABLE things (id int PRIMARY KEY)", "not a permanent table"),
            ("CREATE VIEW things AS SELECT 1 AS id", "not a permanent table"),
            (
                "CREATE TABLE things (id int PRIMARY KEY); ALTER TABLE things REPLICA IDENTITY NOTHING",
                "REPLICA IDENTITY DEFAULT"
            ),
        ]
        for (sql, words) in cases {
            let scene = try CaptureScene(create: sql)
            #expect(fault(scene).contains(words), "\(sql)")
            let error = #expect(throws: CaptureError.self) { try PostgresSourceCheck.examine(scene.declaration) }
            #expect(error?.description.contains(words) == true, "\(sql)")
        }
    }

    @Test("rights and publications that are missing are named with the SQL that helps")
    func rights() throws {
        let scene = try CaptureScene()
        let role = scene.declaration.slot + "_reader"
        try scene.run("CREATE ROLE \(role) LOGIN")
        let slot = scene.declaration.slot
        scene.declaration = PostgresDeclaration(
            dsn: SecretURL(scene.dsn.replacing("user=medallion", with: "user=\(role)")), table: "things", slot: slot,
            publication: slot)
        #expect(fault(scene).contains("ALTER ROLE \"\(role)\" REPLICATION"))
        try scene.run("ALTER ROLE \(role) REPLICATION")
        try scene.run("REVOKE USAGE ON SCHEMA public FROM PUBLIC")
        #expect(fault(scene).contains("GRANT USAGE ON SCHEMA \"public\" TO \"\(role)\""))
        try scene.run("GRANT USAGE ON SCHEMA public TO \(role)")
        #expect(fault(scene).contains("GRANT SELECT ON \"public\".\"things\""))
        try scene.run("GRANT SELECT ON things TO \(role)")
        #expect(fault(scene).contains("CREATE PUBLICATION \"\(slot)\" FOR TABLE \"public\".\"things\""))
        try scene.run("CREATE TABLE others (id int PRIMARY KEY); CREATE PUBLICATION \(slot) FOR TABLE others")
        #expect(fault(scene).contains("ADD TABLE \"public\".\"things\""))
        try scene.run("ALTER PUBLICATION \(slot) SET TABLE things; ALTER PUBLICATION \(slot) SET (publish = 'insert')")
        #expect(fault(scene).contains("leaves out inserts, updates, deletes or truncations"))
        try scene.run("ALTER PUBLICATION \(slot) SET (publish = 'insert, update, delete')")
        #expect(fault(scene).contains("leaves out inserts, updates, deletes or truncations"))
        try scene.run("ALTER PUBLICATION \(slot) SET (publish = 'insert, update, delete, truncate')")
        #expect(try PostgresSourceCheck.examine(scene.declaration).contains("slot \(slot) not there yet"))
        try scene.run("INSERT INTO things VALUES (1, 'a')")
        try scene.drain()
        try scene.kill()
        try scene.run("DROP OWNED BY \(role)")
    }

    @Test("a second instance on one slot is refused with the process that reads it, and takes over when that goes")
    func secondInstance() throws {
        let scene = try CaptureScene()
        try scene.run("INSERT INTO things VALUES (1, 'a')")
        try scene.drain()
        for _ in 0..<3 { try scene.step() }
        var options = scene.options
        options.statePath = scene.folder.file("other/postgres.json")
        let second = try PostgresConnector(
            scene.declaration, source: "things", options: options, metrics: MetricsRegistry(),
            logger: Logger("test", level: .error))
        let process = try #require(
            try scene.run("SELECT active_pid FROM pg_replication_slots WHERE slot_name = '\(scene.declaration.slot)'")
                .first?
                .first ?? nil)
        let error = #expect(throws: CaptureError.self) { _ = try second.next(after: nil) }
        #expect(error?.description.contains("is being read by the server's process \(process)") == true)
        // On one state it does not come that far.
        let twice = #expect(throws: CaptureError.self) {
            try PostgresConnector(
                scene.declaration, source: "things", options: scene.options, metrics: MetricsRegistry(),
                logger: Logger("test", level: .error))
        }
        #expect(twice?.description.contains("another process follows") == true)
    }

    @Test("a slot that is gone stops the source with the way out, which removes what vanished meanwhile")
    func slotGone() throws {
        let scene = try CaptureScene()
        try scene.run("INSERT INTO things SELECT n, 'n' || n FROM generate_series(1, 20) n")
        try scene.drain()
        try scene.kill()
        let slot = scene.declaration.slot
        for _ in 0..<100 {
            if (try? scene.run("SELECT pg_drop_replication_slot('\(slot)')")) != nil { break }
        }
        try scene.run("DELETE FROM things WHERE id < 10; UPDATE things SET body = 'late' WHERE id = 15")
        let words = fault(scene)
        #expect(words.contains("the slot \(slot) is gone") && words.contains("\"snapshot\": 2"), "\(words)")
        try scene.kill()
        scene.declaration = PostgresDeclaration(
            dsn: SecretURL(scene.dsn), table: "things", slot: slot, publication: slot, snapshot: 2)
        try scene.drain()
        #expect(try scene.shown().count == 11)
        // Back to the first is no way.
        try scene.kill()
        scene.declaration = PostgresDeclaration(
            dsn: SecretURL(scene.dsn), table: "things", slot: slot, publication: slot, snapshot: 1)
        #expect(fault(scene).contains("snapshot 2 was read before"))
    }

    @Test("a slot whose log the server gave up stops the source, and a new snapshot makes it anew")
    func slotLost() throws {
        let server = try LogicalPostgres(settings: [
            "max_slot_wal_keep_size=1MB", "max_wal_size=32MB", "min_wal_size=32MB",
        ])
        let scene = try CaptureScene(server)
        try scene.run("INSERT INTO things VALUES (1, 'a')")
        try scene.drain()
        try scene.kill()
        for _ in 0..<12 {
            try scene.run(
                "CREATE TABLE filler AS SELECT repeat('x', 1000) FROM generate_series(1, 8000); DROP TABLE filler")
            try scene.run("SELECT pg_switch_wal()")
            try scene.run("CHECKPOINT")
        }
        let words = fault(scene)
        #expect(words.contains("invalidated the slot") && words.contains("\"snapshot\": 2"), "\(words)")
        try scene.kill()
        let slot = scene.declaration.slot
        try scene.run("UPDATE things SET id = 2")
        scene.declaration = PostgresDeclaration(
            dsn: SecretURL(scene.dsn), table: "things", slot: slot, publication: slot, snapshot: 2)
        try scene.drain()
        #expect(try scene.shown() == ["2": #""a""#])
    }

    @Test("a server that crashes is waited for, and nothing is lost")
    func serverCrash() throws {
        let server = try LogicalPostgres()
        let scene = try CaptureScene(server)
        try scene.run("INSERT INTO things SELECT n, 'n' || n FROM generate_series(1, 20) n")
        try scene.drain()
        try scene.run("INSERT INTO things VALUES (21, 'before')")
        try scene.run("CHECKPOINT")
        server.crash()
        var isBack = false
        let deadline = SystemClock.monotonicNanoseconds() + 60_000_000_000
        while !isBack, SystemClock.monotonicNanoseconds() < deadline {
            do {
                let connection = try PostgresConnection(
                    PostgresConfiguration(dsn: scene.dsn), timeoutMilliseconds: 2_000)
                try connection.script("INSERT INTO things VALUES (22, 'after')", timeoutMilliseconds: 5_000)
                isBack = true
            } catch { _ = try? scene.step() }
        }
        try #require(isBack)
        var seen: Set<String> = []
        while !seen.isSuperset(of: ["21", "22"]), SystemClock.monotonicNanoseconds() < deadline {
            _ = try? scene.step()
            try? scene.deliver()
            seen = Set(try scene.shown().keys)
        }
        #expect(seen.count == 22)
    }

    @Test("a password is read from its file or variable and is in no message")
    func passwords() throws {
        let scene = try CaptureScene()
        let path = scene.folder.file("password")
        try File.replace(path, with: Array("s3cr3t-word\n".utf8))
        let slot = scene.declaration.slot
        scene.declaration = PostgresDeclaration(
            dsn: SecretURL(scene.dsn), password: .file(path), table: "things", slot: slot, publication: slot)
        try scene.run("INSERT INTO things VALUES (1, 'a')")
        try scene.drain()
        try scene.kill()
        scene.declaration = PostgresDeclaration(
            dsn: SecretURL(scene.dsn), password: .environment("NO_SUCH_VARIABLE_HERE"), table: "things", slot: slot,
            publication: slot)
        #expect(fault(scene).contains("NO_SUCH_VARIABLE_HERE is not set"))
        try scene.kill()
        scene.declaration = PostgresDeclaration(
            dsn: "host=127.0.0.1 port=1 user=x dbname=y", password: .file(path), table: "things", slot: slot,
            publication: slot)
        #expect(!fault(scene).contains("s3cr3t"))
        #expect("\(PostgresPassword("s3cr3t"))" == "***")
    }
}
