import Bytes
import PlatformTesting
import Postgres
import PostgresTesting
import Sources
import Testing

@testable import Ingest

/// Changes that were lost, or would be, are not passed over in silence.
@Suite(.timeLimit(.minutes(3)), .serialized)
struct PostgresLossTests {
    private func fault(_ scene: CaptureScene) -> String {
        var words = "none"
        for _ in 0..<200 {
            do {
                for _ in 0..<20 { try scene.step() }
                return "none"
            } catch {
                words = "\(error)"
                // The server's process of the one that was killed may still be there.
                if !words.contains("is being read by") { return words }
            }
        }
        return words
    }

    private func readScene() throws -> CaptureScene {
        let scene = try CaptureScene()
        scene.options.idPath = "id"
        try scene.run("INSERT INTO things SELECT n, 'n' || n FROM generate_series(1, 20) n")
        try scene.drain()
        return scene
    }

    private func dropSlot(_ scene: CaptureScene) throws {
        var isDropped = false
        for _ in 0..<500 where !isDropped {
            isDropped = (try? scene.run("SELECT pg_drop_replication_slot('\(scene.declaration.slot)')")) != nil
        }
        try #require(isDropped)
    }

    private func readAnew(_ scene: CaptureScene, _ snapshot: Int = 2) throws {
        try scene.kill()
        scene.declaration = PostgresDeclaration(
            dsn: SecretURL(scene.dsn), table: "things", slot: scene.declaration.slot,
            publication: scene.declaration.publication, snapshot: snapshot)
        try scene.drain()
        #expect(try scene.shown() == scene.table())
    }

    @Test("a slot that somebody made again is not gone on with")
    func slotMadeAgain() throws {
        let scene = try readScene()
        try scene.kill()
        try dropSlot(scene)
        try scene.run("DELETE FROM things WHERE id < 5; INSERT INTO things VALUES (99, 'unseen')")
        try scene.run("SELECT pg_create_logical_replication_slot('\(scene.declaration.slot)', 'pgoutput')")
        let words = fault(scene)
        #expect(words.contains("it was made again") && words.contains("\"snapshot\": 2"), "\(words)")
        try readAnew(scene)
    }

    @Test("a slot that was made again while the table is read stops it, though rows come")
    func slotMadeAgainBesideSnapshot() throws {
        let scene = try CaptureScene()
        scene.options.rowsMax = 1
        try scene.run("INSERT INTO things SELECT n, 'n' || n FROM generate_series(1, 4000) n")
        for _ in 0..<20 {
            try scene.step()
            try scene.deliver()
        }
        try #require(try CaptureState.read(scene.options.statePath)?.isComplete == false)
        let slot = scene.declaration.slot
        try scene.run("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '\(slot)'")
        try dropSlot(scene)
        try scene.run("DELETE FROM things WHERE id < 5")
        try scene.run("SELECT pg_create_logical_replication_slot('\(slot)', 'pgoutput')")
        var fault: (any Error)?
        for _ in 0..<20_000 where fault == nil {
            do {
                try scene.step()
                try scene.deliver()
            } catch { fault = error }
        }
        let found = try #require(fault as? CaptureError)
        #expect(found.isLoss && found.description.contains("it was made again"), "\(found)")
        try readAnew(scene)
    }

    @Test("a slot that is dropped or made again while its source is paused is noticed, and keeps nothing")
    func slotLostWhilePaused() throws {
        let scene = try readScene()
        func look() throws -> Int64? {
            try CaptureSlot.lagWhilePaused(
                scene.declaration, source: "things", statePath: scene.options.statePath, scene.metrics)
        }
        try scene.kill()
        #expect(try look() != nil)
        try dropSlot(scene)
        #expect { try look() } throws: { ($0 as? CaptureError)?.isLoss == true }
        try scene.run("INSERT INTO things VALUES (99, 'unseen')")
        try scene.run("SELECT pg_create_logical_replication_slot('\(scene.declaration.slot)', 'pgoutput')")
        #expect { try look() } throws: { "\($0)".contains("it was made again") }
        let path = scene.folder.file("state/none.json")
        #expect(
            try CaptureSlot.lagWhilePaused(scene.declaration, source: "things", statePath: path, scene.metrics) != nil,
            "nothing was read yet, so nothing is lost")
    }

    @Test("the slot of a quiet table is moved on while all of it is read")
    func quietTable() throws {
        let scene = try CaptureScene()
        scene.options.rowsMax = 1
        scene.options.heartbeatMilliseconds = 0
        try scene.run(
            "INSERT INTO things SELECT n, 'n' || n FROM generate_series(1, 2000) n; CREATE TABLE other (id int)")
        for _ in 0..<10 {
            try scene.step()
            try scene.deliver()
        }
        try scene.run("INSERT INTO other SELECT generate_series(1, 1000)")
        let end = try #require(try scene.run("SELECT pg_current_wal_lsn()").first?.first ?? nil)
        var isMoved = false
        for _ in 0..<1_500 where !isMoved {
            try scene.step()
            try scene.deliver()
            isMoved =
                try scene.run(
                    "SELECT confirmed_flush_lsn >= '\(end)'::pg_lsn FROM pg_replication_slots "
                        + "WHERE slot_name = '\(scene.declaration.slot)'"
                ).first?.first == "t"
        }
        #expect(isMoved)
        #expect(try CaptureState.read(scene.options.statePath)?.isComplete == false)
    }

    @Test("a server whose log ends before the place it was read to, or is on another timeline, is not gone on with")
    func restoredServer() throws {
        let scene = try readScene()
        for _ in 0..<5 { try scene.step() }
        try scene.kill()
        let path = scene.options.statePath
        let state = try #require(try CaptureState.read(path))
        #expect(state.timeline == 1 && state.confirmed > 0)
        // What a copy from before would look like.
        var ahead = state
        ahead.confirmed += 1 << 40
        try ahead.write(path)
        #expect(try CaptureState.read(path) == ahead)
        var words = fault(scene)
        #expect(words.contains("restored from an earlier copy") && words.contains("\"snapshot\": 2"), "\(words)")
        try scene.kill()
        var other = state
        other.timeline = 2
        try other.write(path)
        words = fault(scene)
        #expect(words.contains("timeline") && words.contains("\"snapshot\": 2"), "\(words)")
        try readAnew(scene)
    }

    @Test("where a timeline ended is found in the history of a later one")
    func history() {
        let text = "# comment\n1\t0/3000000\tno recovery target specified\n\n2\t0/A5000028\tbefore 2026-01-01\n"
        #expect(CaptureContinuity.end(of: 1, in: text) == 0x300_0000)
        #expect(CaptureContinuity.end(of: 2, in: text) == 0xA500_0028)
        #expect(CaptureContinuity.end(of: 3, in: text) == nil && CaptureContinuity.end(of: 1, in: "1\tx\n") == nil)
    }

    @Test("the confirmed place is kept before the slot is told, and so is a part of a transaction")
    func stateReadsBack() throws {
        let folder = try TemporaryFolder(in: "/dev/shm")
        var state = CaptureState(
            system: "7", timeline: 3, confirmed: 0x16_B374_D848,
            identity: CaptureIdentity(table: 16_384, publication: 4_294_967_295, membership: 0), schema: "public",
            table: "things", snapshot: 4, version: 5)
        state.after = ["a", "b"]
        state.part = CapturePart(commit: 0x16_B374_D900, count: 12)
        try state.write(folder.file("state.json"))
        #expect(try CaptureState.read(folder.file("state.json")) == state)
    }

    @Test("a table that was replaced by another of its name is noticed, at once and at the next start")
    func tableReplaced() throws {
        let scene = try readScene()
        try scene.kill()
        try scene.run(
            """
            DROP TABLE things; CREATE TABLE things (id int PRIMARY KEY, body text);
            INSERT INTO things VALUES (1, 'unseen');
            ALTER PUBLICATION \(scene.declaration.publication) ADD TABLE things
            """)
        let words = fault(scene)
        #expect(words.contains("is gone") && words.contains("\"snapshot\": 2"), "\(words)")
        try readAnew(scene)
        // While it is followed.
        for _ in 0..<3 { try scene.step() }
        try scene.run(
            """
            ALTER TABLE things RENAME TO older; CREATE TABLE things (id int PRIMARY KEY, body text);
            ALTER PUBLICATION \(scene.declaration.publication) ADD TABLE things
            """)
        try scene.run("INSERT INTO things VALUES (7, 'new')")
        let live = fault(scene)
        #expect(live.contains("is another table") && live.contains("\"snapshot\": 3"), "\(live)")
        #expect(fault(scene).contains("is now public.older"))
        try scene.run("DROP TABLE older")
        try readAnew(scene, 3)
    }

    @Test("a table that has another name now is found under it")
    func tableRenamed() throws {
        let scene = try readScene()
        try scene.kill()
        try scene.run("ALTER TABLE things RENAME TO goods")
        #expect(fault(scene).contains("is now public.goods"))
        try scene.run("ALTER TABLE goods RENAME TO things")
        try scene.drain()
    }

    @Test("a publication that was without the table, was made again or is gone is noticed, also while it is followed")
    func publicationChanged() throws {
        let scene = try readScene()
        scene.options.lookMilliseconds = 0
        try scene.kill()
        let name = scene.declaration.publication
        try scene.run("ALTER PUBLICATION \(name) DROP TABLE things")
        try scene.run("INSERT INTO things VALUES (50, 'unseen')")
        try scene.run("ALTER PUBLICATION \(name) ADD TABLE things")
        var words = fault(scene)
        #expect(words.contains("was taken out of the publication") && words.contains("\"snapshot\": 2"), "\(words)")
        try readAnew(scene)
        // It says so without any change of the table.
        try scene.run("ALTER PUBLICATION \(name) DROP TABLE things")
        words = fault(scene)
        #expect(words.contains("was taken out of the publication"), "\(words)")
        try scene.run("DROP PUBLICATION \(name)")
        words = fault(scene)
        #expect(words.contains("the publication \(name) is gone") && words.contains("\"snapshot\": 3"), "\(words)")
        #expect(try scene.run("SELECT FROM pg_publication WHERE pubname = '\(name)'").isEmpty, "it is not made again")
        try readAnew(scene, 3)
    }

    @Test("a slot that is older than its publication is read from the snapshot on")
    func slotOlderThanPublication() throws {
        let scene = try CaptureScene()
        try scene.run("SELECT pg_create_logical_replication_slot('\(scene.declaration.slot)', 'pgoutput')")
        try scene.run("INSERT INTO things VALUES (1, 'before')")
        try scene.drain()
        try scene.run("INSERT INTO things VALUES (2, 'after')")
        try scene.drain()
    }

    @Test("a table whose rows a policy hides from the reader is refused")
    func rowSecurity() throws {
        let scene = try CaptureScene()
        let role = scene.declaration.slot + "_reader"
        let slot = scene.declaration.slot
        try scene.run(
            """
            CREATE ROLE \(role) LOGIN REPLICATION; GRANT SELECT ON things TO \(role);
            INSERT INTO things VALUES (1, 'a'), (2, 'b'); ALTER TABLE things ENABLE ROW LEVEL SECURITY;
            CREATE PUBLICATION \(slot) FOR TABLE things
            """)
        scene.declaration = PostgresDeclaration(
            dsn: SecretURL(scene.dsn.replacing("user=medallion", with: "user=\(role)")), table: "things", slot: slot,
            publication: slot)
        #expect(fault(scene).contains("ALTER ROLE \"\(role)\" BYPASSRLS"))
        #expect(throws: CaptureError.self) { try PostgresSourceCheck.examine(scene.declaration) }
        try scene.run("ALTER ROLE \(role) BYPASSRLS")
        try scene.drain()
        #expect(try scene.shown().count == 2)
        // A policy that comes later is an error of the snapshot.
        let access = try CaptureAccess(scene.declaration, connectMilliseconds: 10_000)
        try scene.run("ALTER ROLE \(role) NOBYPASSRLS")
        let connection = try access.connection()
        #expect(throws: PostgresError.self) {
            try connection.script("SELECT * FROM public.things", timeoutMilliseconds: 10_000)
        }
        connection.close()
        try scene.kill()
        try scene.run("DROP OWNED BY \(role)")
    }

    @Test("an id that is not the whole primary key is refused, and so is a key of an extension's type")
    func identity() throws {
        let cases: [(sql: String, path: String, words: String)] = [
            ("CREATE TABLE things (tenant int, id int, PRIMARY KEY (tenant, id))", "id", "has 2 columns (tenant, id)"),
            ("CREATE TABLE things (id int PRIMARY KEY, slug text)", "slug", "declare \"id\": \"id\""),
            (
                """
                CREATE TYPE word;
                CREATE FUNCTION word_in(cstring) RETURNS word IMMUTABLE STRICT LANGUAGE internal AS 'int4in';
                CREATE FUNCTION word_out(word) RETURNS cstring IMMUTABLE STRICT LANGUAGE internal AS 'int4out';
                CREATE TYPE word (INPUT = word_in, OUTPUT = word_out, LIKE = int4);
                CREATE FUNCTION word_lt(word, word) RETURNS bool IMMUTABLE STRICT LANGUAGE internal AS 'int4lt';
                CREATE FUNCTION word_eq(word, word) RETURNS bool IMMUTABLE STRICT LANGUAGE internal AS 'int4eq';
                CREATE FUNCTION word_cmp(word, word) RETURNS int IMMUTABLE STRICT LANGUAGE internal AS 'btint4cmp';
                CREATE OPERATOR < (LEFTARG = word, RIGHTARG = word, FUNCTION = word_lt);
                CREATE OPERATOR = (LEFTARG = word, RIGHTARG = word, FUNCTION = word_eq);
                CREATE OPERATOR CLASS word_ops DEFAULT FOR TYPE word USING btree
                    AS OPERATOR 1 <, OPERATOR 3 =, FUNCTION 1 word_cmp(word, word);
                CREATE TABLE things (id word PRIMARY KEY)
                """, "id", "is of the type word"
            ),
        ]
        for (sql, path, words) in cases {
            let scene = try CaptureScene(create: sql)
            scene.options.idPath = path
            #expect(fault(scene).contains(words), "\(sql)")
            let error = #expect(throws: CaptureError.self) {
                try PostgresSourceCheck.examine(scene.declaration, idPath: path)
            }
            #expect(error?.description.contains(words) == true, "\(sql)")
        }
    }
}
