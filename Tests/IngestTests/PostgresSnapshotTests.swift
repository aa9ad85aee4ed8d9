import Bytes
import PlatformTesting
import Postgres
import PostgresTesting
import Sources
import Testing

@testable import Ingest

/// A table that is read in several transactions, and a log that is followed meanwhile.
@Suite(.timeLimit(.minutes(3)), .serialized)
struct PostgresSnapshotTests {
    private static func deadline(seconds: Int64 = 60) -> Int64 {
        SystemClock.monotonicNanoseconds() + seconds * 1_000_000_000
    }

    /// One call, with everything arriving.
    private func step(_ scene: CaptureScene) throws {
        do { try scene.step() } catch {
            // The server's process of one that was killed may still be there.
            #expect("\(error)".contains("is being read by"), "\(error)")
        }
        try scene.deliver()
    }

    /// Reads, with everything arriving, until the snapshot is complete.
    private func finish(_ scene: CaptureScene) throws {
        let deadline = Self.deadline()
        while try CaptureState.read(scene.options.statePath)?.isComplete != true {
            guard SystemClock.monotonicNanoseconds() < deadline else {
                Issue.record("the snapshot does not come to its end")
                return
            }
            try step(scene)
        }
    }

    /// Waits until no transaction of the connector is open.
    private func awaitNoTransaction(_ scene: CaptureScene) throws {
        let deadline = Self.deadline(seconds: 30)
        while SystemClock.monotonicNanoseconds() < deadline {
            let open = try scene.run(
                """
                SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                    AND application_name = 'medallion source' AND state LIKE 'idle in transaction%'
                """)
            if open.first?.first == "0" { return }
            try scene.run("SELECT pg_sleep(0.02)")
        }
        Issue.record("the connector holds its transaction")
    }

    private func rows(_ scene: CaptureScene) throws -> [(id: Int64?, place: Int64?)] {
        try scene.topic.map { try scene.json($0) }.filter { $0["op"]?.string == "r" }.map { row in
            (row["after"]?["id"]?.integer, row["source"]?["lsn"]?.integer)
        }
    }

    @Test("the transaction of a snapshot is bounded, and the rest is read as of later moments, each row once")
    func bounded() throws {
        // A server of its own: others' transactions would put off the next one.
        let scene = try CaptureScene(LogicalPostgres())
        scene.options.snapshotMilliseconds = 0
        try scene.run("INSERT INTO things SELECT n, 'n' || n FROM generate_series(1, 60) n")
        while scene.inFlight.isEmpty { try scene.step() }
        try scene.run(
            """
            UPDATE things SET body = 'later' WHERE id IN (2, 50); DELETE FROM things WHERE id IN (3, 55);
            INSERT INTO things VALUES (61, 'new')
            """)
        try finish(scene)
        try scene.drain()
        let read = try rows(scene)
        #expect(read.compactMap(\.id) == Array(1...54) + Array(56...61))
        #expect(Set(read.compactMap(\.place)).count > 1 && scene.distinct.count == scene.topic.count)
        #expect(scene.topic.allSatisfy { !$0.mayRepeat })
    }

    @Test("a reader that is held up loses its transaction to the server, and reads on as of a later moment")
    func idle() throws {
        let scene = try CaptureScene()
        scene.options.snapshotIdleMilliseconds = 500
        try scene.run("INSERT INTO things SELECT n, 'n' || n FROM generate_series(1, 60) n")
        while scene.inFlight.isEmpty { try scene.step() }
        try awaitNoTransaction(scene)
        try scene.run("UPDATE things SET body = 'later' WHERE id = 50")
        try finish(scene)
        try scene.drain()
        #expect(try rows(scene).compactMap(\.id) == Array(1...60))
    }

    @Test("a table that cannot be read says why, and its log is followed all the same")
    func failedPage() throws {
        let scene = try CaptureScene()
        // Of the fifth row the server cannot tell.
        try scene.run(
            """
            INSERT INTO things SELECT n, 'n' || n FROM generate_series(1, 20) n;
            CREATE PUBLICATION \(scene.declaration.publication) FOR TABLE things WHERE (100 / (id - 5) < 1000)
            """)
        let connector = try scene.connector()
        var (position, reason, fault, seen): (SourcePosition?, String, String, [String]) = (nil, "", "", [])
        func read(until isSo: () -> Bool) throws {
            let deadline = Self.deadline()
            while !isSo(), SystemClock.monotonicNanoseconds() < deadline {
                let batch = try connector.next(after: position)
                position = batch.events.last?.position ?? position ?? SourcePosition(token: [])
                if let progress = batch.snapshot, progress.state == .waiting { reason = progress.reason }
                if let found = batch.fault { fault = found }
                seen += try batch.events.map { try scene.json($0)["op"]?.string ?? "" }
            }
        }
        // Others' transactions are a reason to wait, too.
        try read { reason.contains("division by zero") && fault.contains("division by zero") }
        #expect(reason.contains("division by zero") && fault.contains("division by zero"), "\(reason); \(fault)")
        try scene.run("INSERT INTO things VALUES (100, 'meanwhile')")
        try read { !seen.isEmpty }
        #expect(seen == ["c"] && connector.stream != nil)
    }

    @Test("one that was interrupted waits for transactions that run, and changes come meanwhile")
    func oldTransaction() throws {
        let scene = try CaptureScene()
        try scene.run("INSERT INTO things SELECT n, 'n' || n FROM generate_series(1, 60) n")
        while scene.inFlight.count < 14 { try scene.step() }
        try scene.deliver()
        try scene.kill()
        let other = try PostgresConnection(PostgresConfiguration(dsn: scene.dsn), timeoutMilliseconds: 10_000)
        try other.script("BEGIN; SELECT txid_current()", timeoutMilliseconds: 10_000)
        try scene.run("INSERT INTO things VALUES (99, 'meanwhile')")
        let deadline = Self.deadline(seconds: 30)
        while try scene.shown()["99"] == nil, SystemClock.monotonicNanoseconds() < deadline { try step(scene) }
        #expect(try scene.shown()["99"] != nil)
        #expect(try CaptureState.read(scene.options.statePath)?.isComplete == false)
        try other.script("ROLLBACK", timeoutMilliseconds: 10_000)
        try finish(scene)
        try scene.drain()
    }

    @Test(
        "read as of many moments while others write, and killed anywhere, it fits the log",
        arguments: LongTests.seeds(1...3))
    func kills(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let scene = try CaptureScene()
        scene.options.snapshotMilliseconds = 0
        try scene.write(80, &random)
        for _ in 0..<3 {
            for _ in 0..<Int.random(in: 2...16, using: &random) {
                do { try scene.step() } catch {
                    #expect("\(error)".contains("is being read by"), "\(error)")
                }
                try scene.write(2, &random)
                if Bool.random(using: &random) { try scene.deliver(Int.random(in: 1...20, using: &random)) }
            }
            try scene.kill(arrived: Int.random(in: 0...10, using: &random))
        }
        try finish(scene)
        try scene.drain()
        // Also in the order in which other topic partitions may bring them.
        let disordered = scene.distinct.shuffled(using: &random)
        #expect(try CaptureScene.shown(disordered) == scene.table())
    }
}
