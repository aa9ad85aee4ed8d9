import Bytes
import Files
import JSONScan
import PlatformTesting
import Postgres
import PostgresTesting
import Sources
import Telemetry
import Testing

@testable import Ingest

@Suite(.timeLimit(.minutes(3)), .serialized)
struct PostgresConnectorTests {
    @Test("the table is read, then every change, in Debezium's envelope and with the key as the record's")
    func following() throws {
        let scene = try CaptureScene()
        try scene.run("INSERT INTO things SELECT n, 'row ' || n FROM generate_series(1, 20) n")
        try scene.drain()
        #expect(scene.topic.count == 21, "twenty rows and the end of the snapshot")
        let first = try scene.json(try #require(scene.topic.first))
        #expect(
            first["op"]?.string == "r" && first["after"]?["body"]?.string == "row 1" && first["before"]?.isNull == true)
        #expect(first["source"]?["snapshot"]?.string == "true" && first["source"]?["table"]?.string == "things")
        #expect(scene.topic.first?.key.map { String(decoding: $0, as: UTF8.self) } == #"{"id":1}"#)
        let count = scene.topic.count
        try scene.run("INSERT INTO things VALUES (21, 'new')")
        try scene.run("UPDATE things SET body = 'changed' WHERE id = 1")
        try scene.run("UPDATE things SET id = 30 WHERE id = 2")
        try scene.run("DELETE FROM things WHERE id = 3")
        try scene.drain()
        let changes = try scene.topic[count...].map { try scene.json($0) }
        #expect(changes.compactMap { $0["op"]?.string } == ["c", "u", "d", "c", "d"])
        #expect(changes[2]["before"]?.text == #"{"id":2}"# && changes[3]["after"]?["id"]?.integer == 30)
        #expect(changes.allSatisfy { $0["source"]?["txId"]?.integer ?? 0 > 0 })
        let versions = changes.compactMap { $0["source"]?["order"]?.integer }
        #expect(versions == versions.sorted() && scene.topic.allSatisfy { !$0.mayRepeat })
        try scene.run("TRUNCATE things")
        try scene.run("INSERT INTO things VALUES (1, 'after')")
        try scene.drain()
        #expect(try scene.shown() == ["1": #""after""#])
    }

    @Test("values of every common type become JSON, the same from the table and from the log")
    func types() throws {
        let scene = try CaptureScene(
            create: """
                CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE TYPE pair AS (a int, b text); CREATE DOMAIN whole AS int;
                CREATE TABLE things (id bigint PRIMARY KEY, body text, small smallint, flag boolean, exact numeric,
                    long numeric, real_ float8, odd float4, at timestamptz, at_local timestamp, day date, words text[],
                    grid int[], doc jsonb, raw json, feeling mood, feelings mood[], key_ uuid, bytes bytea, both_ pair,
                    count_ whole, nothing text, doubled int GENERATED ALWAYS AS (7) STORED)
                """)
        let insert = """
            INSERT INTO things VALUES (ID, 'Ä "quoted" \\ text', -3, true, 12.50, 123456789012345678901234567890.5,
                0.30000000000000004, 'NaN', '2026-01-02 03:04:05.678+01', '2026-01-02 03:04:05', '2026-01-02',
                ARRAY['a,b', NULL, 'c"d', 'NULL'], '{{1,2},{3,4}}', '{"b": [1, null], "a": 1.5}', '{"a" : 1}', 'sad',
                '{glad,sad}', '11111111-2222-3333-4444-555555555555', '\\xdeadbeef', ROW(1, 'x'), 5, NULL)
            """
        try scene.run(insert.replacing("ID", with: "9007199254740993"))
        try scene.drain()
        try scene.run(insert.replacing("ID", with: "2"))
        try scene.drain()
        let rows = try scene.topic.map { try scene.json($0) }.filter { $0["op"]?.string != "t" }
        #expect(rows.compactMap { $0["op"]?.string } == ["r", "c"])
        for (row, id) in zip(rows, [9_007_199_254_740_993, 2] as [Int64]) {
            let expected =
                #"{"id":\#(id),"body":"Ä \"quoted\" \\ text","small":-3,"flag":true,"exact":12.5,"long":"123456789012345678901234567890.5","real_":0.30000000000000004,"odd":"NaN","at":"2026-01-02T02:04:05.678Z","at_local":"2026-01-02T03:04:05Z","day":"2026-01-02","words":["a,b",null,"c\"d","NULL"],"grid":[[1,2],[3,4]],"doc":{"a":1.5,"b":[1,null]},"raw":{"a":1},"feeling":"sad","feelings":["glad","sad"],"key_":"11111111-2222-3333-4444-555555555555","bytes":"3q2+7w==","both_":"(1,x)","count_":5,"nothing":null}"#
            #expect(row["after"]?.text == expected)
        }
    }

    @Test("columns that the database computes are in the rows where the publication has them")
    func generated() throws {
        let scene = try CaptureScene(
            create:
                "CREATE TABLE things (id int PRIMARY KEY, body text, doubled int GENERATED ALWAYS AS (id * 2) STORED)")
        let version = try scene.run("SHOW server_version_num").first?.first.flatMap { $0 }.flatMap { Int($0) } ?? 0
        guard version >= 180_000 else { return }
        try scene.run("INSERT INTO things VALUES (1, 'a')")
        try scene.run(
            "CREATE PUBLICATION \(scene.declaration.publication) FOR TABLE things WITH (publish_generated_columns = stored)"
        )
        try scene.drain()
        try scene.run("INSERT INTO things VALUES (2, 'b')")
        try scene.drain()
        let rows = try scene.topic.map { try scene.json($0) }.filter { $0["op"]?.string != "t" }
        #expect(rows.compactMap { $0["after"]?["doubled"]?.integer } == [2, 4])
    }

    @Test("a large text that an update leaves alone is unavailable, unless the whole old row is sent")
    func toast() throws {
        let scene = try CaptureScene(create: "CREATE TABLE things (id int PRIMARY KEY, body text, n int)")
        try scene.run("ALTER TABLE things ALTER body SET STORAGE EXTERNAL")
        try scene.run("INSERT INTO things VALUES (1, repeat('large ', 2000), 1)")
        try scene.drain()
        let count = scene.topic.count
        try scene.run("UPDATE things SET n = 2")
        while try scene.step() == 0 {}
        try scene.deliver()
        let change = try scene.json(scene.topic[count])
        #expect(
            change["after"]?["body"]?.string == "__debezium_unavailable_value" && change["after"]?["n"]?.integer == 2)
        try scene.run("ALTER TABLE things REPLICA IDENTITY FULL")
        try scene.run("UPDATE things SET n = 3")
        try scene.drain()
        let whole = try scene.json(try #require(scene.topic.last))
        // The old row would double the event.
        #expect(whole["before"]?.isNull == true && whole["after"]?["n"]?.integer == 3)
        #expect(whole["after"]?["body"]?.string?.utf8.count == 12_000)
    }

    @Test("columns that come and go are noticed, and partitions are one table")
    func structure() throws {
        let scene = try CaptureScene(
            create: """
                CREATE TABLE things (id int PRIMARY KEY, body text) PARTITION BY RANGE (id);
                CREATE TABLE low PARTITION OF things FOR VALUES FROM (0) TO (10);
                CREATE TABLE high PARTITION OF things FOR VALUES FROM (10) TO (100)
                """)
        try scene.run("INSERT INTO things SELECT n, 'n' || n FROM generate_series(1, 19) n")
        try scene.drain()
        try scene.run("UPDATE things SET id = 50 WHERE id = 5")
        try scene.run("ALTER TABLE things ADD extra int DEFAULT 4")
        try scene.run("INSERT INTO things VALUES (60, 'with', 8)")
        try scene.drain()
        #expect(try scene.json(try #require(scene.topic.last))["after"]?["extra"]?.integer == 8)
        try scene.run("ALTER TABLE things DROP extra")
        try scene.run("INSERT INTO things VALUES (61, 'without')")
        try scene.drain()
        #expect(try scene.json(try #require(scene.topic.last))["after"]?["extra"] == nil)
    }

    @Test("a look at the table takes few large rows and many small ones")
    func wideRows() throws {
        let scene = try CaptureScene()
        scene.options.rowsMax = 100
        scene.options.rangeBytesMax = 1 << 20
        try scene.run("ALTER TABLE things ALTER body SET STORAGE EXTERNAL")
        try scene.run("INSERT INTO things SELECT n, repeat('x', 500000) FROM generate_series(1, 12) n")
        try scene.run("INSERT INTO things SELECT n, 'small' FROM generate_series(13, 112) n")
        var counts: [Int] = []
        while counts.reduce(0, +) < 113 { counts.append(try scene.step()) }
        #expect(counts.contains(3) && counts.filter { $0 > 3 }.count <= 2, "\(counts)")
        #expect(counts.contains { $0 > 90 }, "\(counts)")
        try scene.drain()
    }

    @Test("a large transaction goes on behind what has arrived of it, also after a kill")
    func killInTransaction() throws {
        let scene = try CaptureScene()
        try scene.drain()
        let count = scene.topic.count
        try scene.run("INSERT INTO things SELECT n, 'a' FROM generate_series(1, 20000) n")
        while scene.inFlight.count < 9_000 { try scene.step() }
        try scene.deliver()
        let arrived = scene.topic.count - count
        try scene.kill()
        try scene.drain()
        #expect(arrived >= 9_000)
        // The end of the snapshot may come after the first look, too.
        let created = try scene.topic.dropFirst(count).count { try scene.json($0)["op"]?.string == "c" }
        #expect(created == 20_000)
        #expect(scene.distinct.count == scene.topic.count)
    }

    @Test("transactions without a change of the table do not add up while an event is on its way")
    func quietMilestones() throws {
        let scene = try CaptureScene()
        try scene.run("CREATE TABLE others (n int)")
        try scene.run(
            "CREATE PUBLICATION \(scene.declaration.publication) FOR TABLE things, others "
                + "WITH (publish_via_partition_root = true)")
        try scene.drain()
        try scene.run("INSERT INTO things VALUES (1, 'a')")
        while scene.inFlight.isEmpty { try scene.step() }
        for number in 0..<50 { try scene.run("INSERT INTO others VALUES (\(number))") }
        for _ in 0..<20 { try scene.step() }
        // The row's own: where the snapshot brings it, its place, the snapshot's end and a commit; else a part and a commit.
        #expect(try scene.connector().milestoneCount <= 4)
        try scene.drain()
    }

    @Test("a snapshot that is read while others write fits the log", arguments: LongTests.seeds(1...2))
    func concurrentWrites(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let scene = try CaptureScene()
        try scene.write(80, &random)
        for _ in 0..<30 {
            try scene.step()
            try scene.write(3, &random)
            if Bool.random(using: &random) { try scene.deliver(Int.random(in: 1...9, using: &random)) }
        }
        try scene.drain()
        // Also in the order in which another topic partition may bring them.
        var disordered = scene.distinct.shuffled(using: &random)
        #expect(try CaptureScene.shown(disordered) == scene.table())
        // The same again by the slot that is there, with changes coming meanwhile.
        let count = scene.topic.count
        try scene.kill()
        scene.declaration = PostgresDeclaration(
            dsn: SecretURL(scene.dsn), table: "things", slot: scene.declaration.slot,
            publication: scene.declaration.publication, snapshot: 2)
        for _ in 0..<40 {
            _ = try? scene.step()
            try scene.write(2, &random)
            if Bool.random(using: &random) { try scene.deliver() }
        }
        try scene.drain()
        let operations = try scene.topic[count...].map { try scene.json($0)["op"]?.string ?? "" }
        #expect(operations.filter { $0 == "r" }.count > 20 && operations.contains("t"))
        disordered = scene.distinct.shuffled(using: &random)
        #expect(try CaptureScene.shown(disordered) == scene.table())
    }

    @Test("killed anywhere, nothing is lost, and what comes twice has one id", arguments: LongTests.seeds(1...5))
    func kills(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let scene = try CaptureScene()
        try scene.write(60, &random)
        for _ in 0..<4 {
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
        try scene.drain()
        var contents: [[UInt8]: JSONValue] = [:]
        for event in scene.topic {
            let value = try scene.json(event)
            guard value["source"]?["snapshot"]?.string == "false" else { continue }
            if let first = contents[event.eventID] {
                #expect(first == value && event.mayRepeat, "the same change again, and it says so")
            }
            contents[event.eventID] = value
        }
        #expect(try scene.shown() == scene.table())
    }

    @Test("a large transaction is handed on in pieces, and every key of it in order")
    func largeTransaction() throws {
        let scene = try CaptureScene()
        try scene.drain()
        try scene.run(
            "BEGIN; INSERT INTO things SELECT n, 'a' FROM generate_series(1, 20000) n; UPDATE things SET body = 'b'; COMMIT"
        )
        var largest = 0
        while scene.inFlight.count < 40_000 { largest = max(largest, try scene.step()) }
        #expect(largest <= scene.options.eventsMax)
        try scene.drain()
        #expect(scene.distinct.count == 40_001)
    }

    @Test("the slot lets go of what has arrived, and of a quiet table's log")
    func confirming() throws {
        let scene = try CaptureScene()
        scene.options.heartbeatMilliseconds = 50
        try scene.run("INSERT INTO things VALUES (1, 'a')")
        try scene.drain()
        var mark = ""
        func isConfirmed() throws -> Bool {
            let slot = try scene.run(
                "SELECT confirmed_flush_lsn >= '\(mark)'::pg_lsn FROM pg_replication_slots WHERE slot_name = "
                    + "'\(scene.declaration.slot)'")
            return slot.first?.first == "t"
        }
        try scene.run("INSERT INTO things VALUES (2, 'b')")
        mark = try #require(try scene.run("SELECT pg_current_wal_lsn()").first?.first ?? nil)
        while scene.inFlight.isEmpty { try scene.step() }
        for _ in 0..<20 { try scene.step() }
        #expect(try !isConfirmed(), "it has not arrived yet")
        try scene.deliver()
        func awaitConfirmation() throws {
            for _ in 0..<500 {
                if try isConfirmed() { return }
                try scene.step()
            }
        }
        try awaitConfirmation()
        #expect(try isConfirmed())
        // Others write.
        try scene.run("CREATE TABLE others AS SELECT n FROM generate_series(1, 1000) n")
        mark = try #require(try scene.run("SELECT pg_current_wal_lsn()").first?.first ?? nil)
        try awaitConfirmation()
        #expect(try isConfirmed())
    }
}
