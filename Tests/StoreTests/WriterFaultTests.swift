import Bytes
import IndexTesting
import PlatformTesting
import Postgres
import Records
import Store
import Testing

/// Whatever breaks within a write, and wherever: all of the batch is there or nothing, and its repeat leaves what a run without
/// faults leaves.
@Suite(.timeLimit(.minutes(30))) struct WriterFaultTests {
    private static let limit = IndexFixture.limit

    /// A connection that is cut between any two messages on its way, there and back.
    @Test(arguments: [false, true]) func aCutBetweenAnyTwoMessages(isRefused: Bool) throws {
        let folder = try TemporaryFolder()
        let scene = try FaultScene()
        let rows = try scene.rows
        let (proxy, writer) = try Self.proxied(scene, folder)
        defer { proxy.stop() }
        var batches: [FaultScene.Batch] = []
        func next() -> FaultScene.Batch {
            batches.append(FaultScene.Batch(number: batches.count, isRefused: isRefused))
            return batches[batches.count - 1]
        }
        // The first ones prepare statements; without a floor there are the fewest messages.
        for _ in 0..<5 { _ = try next().write(by: writer) }
        proxy.arm(nil)
        _ = try next().write(by: writer)
        let counts = proxy.counts
        #expect(counts.requests > 40 && counts.replies > 20, "\(counts)")
        var generator = SeededGenerator(seed: LongTests.seed(1))
        var cuts = (0..<counts.requests).map { CuttingProxy.Cut.request($0) }
        cuts += (0..<counts.replies).map { CuttingProxy.Cut.reply($0) }
        if !LongTests.areWanted { cuts = Array(cuts.shuffled(using: &generator).prefix(14)) }
        // The last one says that the transaction was committed.
        let readies = LongTests.areWanted ? 0..<counts.readies : max(0, counts.readies - 3)..<counts.readies
        cuts += readies.map { CuttingProxy.Cut.ready($0) }
        var committed = 0
        for cut in cuts {
            let batch = next()
            let before = try scene.contents()
            proxy.arm(cut)
            do {
                _ = try batch.write(by: writer)
                // Not all batches have the same statements.
                #expect(proxy.isArmed, "\(cut) was noticed")
                continue
            } catch let error as IndexError {
                #expect(error.isRetriable, "\(cut): \(error)")
            }
            try Self.waitForEnd(rows)
            let after = try scene.contents()
            #expect(try rows.faults() == [:], "\(cut)")
            if try batch.writeAgain(by: writer) {
                #expect(after.differences(from: before) == [], "\(cut)")
            } else {
                committed += 1
                #expect(after.differences(from: try scene.contents()) == [], "\(cut)")
            }
        }
        // Halves of refused batches make so different numbers of messages that the few cuts of the short form may miss the last.
        #expect(committed > 0 || isRefused && !LongTests.areWanted, "some were committed, and nobody learnt it")
        let wanted = try FaultScene.undisturbed(batches)
        #expect(try scene.contents().differences(from: wanted) == [])
    }

    private static func proxied(
        _ scene: FaultScene, _ folder: TemporaryFolder
    ) throws -> (proxy: CuttingProxy, writer: IndexWriter) {
        let dsn = scene.configuration.dsn.revealed
        let host = try #require(dsn.firstMatch(of: /host='?([^' ]+)'?/)).1
        let proxy = try CuttingProxy(folder: folder.path, server: CuttingProxy.socketPath(String(host)))
        let configuration = PostgresConfiguration(
            dsn: dsn.replacing(String(host), with: folder.path), applicationName: "proxied")
        return (proxy, IndexWriter(configuration: configuration))
    }

    /// The server notices that its client has gone when it next looks.
    private static func waitForEnd(_ rows: IndexRows) throws {
        let working = """
            SELECT count(*) FROM pg_stat_activity WHERE application_name = 'proxied' AND datname = current_database()
            """
        for _ in 0..<10_000 {
            if try rows.connection.script(working, timeoutMilliseconds: limit) == [["0"]] { return }
            try rows.connection.script("SELECT pg_sleep(0.002)", timeoutMilliseconds: limit)
        }
        Issue.record("a session that was cut does not end")
    }

    enum Fault: String, CaseIterable {
        /// The session is ended by the server, as at its shutdown.
        case terminated
        /// SQLSTATE disk_full.
        case diskFull
        /// SQLSTATE out_of_memory.
        case outOfMemory
        /// SQLSTATE io_error.
        case inputOutput

        var action: String {
            switch self {
            case .terminated: "PERFORM pg_terminate_backend(pg_backend_pid()), pg_sleep(60);"
            case .diskFull: "RAISE EXCEPTION 'no space left on device' USING ERRCODE = '53100';"
            case .outOfMemory: "RAISE EXCEPTION 'out of memory' USING ERRCODE = '53200';"
            case .inputOutput: "RAISE EXCEPTION 'input/output error' USING ERRCODE = '58030';"
            }
        }
    }

    /// Tables that a write touches, by what it does to them.
    private static let steps: [(table: String, operations: [String])] = [
        ("index_versions", ["INSERT"]), ("live_progress", ["INSERT", "UPDATE"]), ("vectors_1", ["INSERT", "DELETE"]),
        ("documents", ["INSERT"]), ("passages", ["INSERT"]), ("passage_terms", ["INSERT"]), ("postings", ["INSERT"]),
        ("words", ["INSERT"]),
        ("uncounted_documents", ["INSERT"]),
        ("visibility", ["INSERT", "UPDATE"]), ("deleted_documents", ["INSERT"]),
        ("version_floors", ["INSERT"]), ("refused_documents", ["INSERT"]), ("index_checkpoints", ["UPDATE"]),
        ("gold_positions", ["INSERT", "UPDATE"]),
    ]

    /// A fault before and after each row that a write touches, and when it commits.
    @Test(arguments: Fault.allCases, [false, true]) func aFaultAtEveryStep(fault: Fault, isRefused: Bool) throws {
        if !LongTests.areWanted, isRefused || fault == .outOfMemory || fault == .inputOutput { return }
        let scene = try FaultScene()
        let rows = try scene.rows
        let writer = IndexWriter(configuration: scene.configuration)
        var batches = (0..<5).map { FaultScene.Batch(number: $0, isRefused: isRefused) }
        for batch in batches { _ = try batch.write(by: writer) }
        let points = try Self.addTriggers(scene, fault)
        var hit: Set<String> = []
        for point in points {
            // Batches with a floor have all steps.
            let batch = FaultScene.Batch(number: batches.count, isRefused: isRefused)
            batches.append(batch)
            let before = try scene.contents()
            var configuration = scene.configuration
            configuration.sessionSettings.append(("medallion.fault", point))
            do {
                _ = try batch.write(by: IndexWriter(configuration: configuration))
                continue
            } catch let error as IndexError {
                #expect(error.isRetriable, "\(point): \(error)")
                hit.insert(point)
            }
            let after = try scene.contents()
            #expect(after.differences(from: before) == [], "\(point)")
            #expect(try batch.writeAgain(by: writer))
        }
        #expect(hit.count > points.count * 2 / 3, "\(Set(points).subtracting(hit).sorted())")
        #expect(hit.contains("commit"))
        let wanted = try FaultScene.undisturbed(batches)
        #expect(try scene.contents().differences(from: wanted) == [])
        #expect(try rows.faults() == [:])
    }

    /// Triggers that do nothing but where a session's setting names them. Returns their names.
    private static func addTriggers(_ scene: FaultScene, _ fault: Fault) throws -> [String] {
        var points = ["commit"]
        var script = """
            CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF current_setting('medallion.fault', true) = TG_ARGV[0] THEN \(fault.action) END IF;
                RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
            END $$;
            CREATE CONSTRAINT TRIGGER fail_at_commit AFTER INSERT ON visibility DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION fail('commit');
            """
        for (table, operations) in steps {
            for operation in operations {
                for time in ["BEFORE", "AFTER"] {
                    let point = "\(time.lowercased()) \(operation.lowercased()) \(table)"
                    points.append(point)
                    script += """
                        CREATE TRIGGER \(point.replacing(" ", with: "_")) \(time) \(operation) ON \(table)
                        FOR EACH ROW EXECUTE FUNCTION fail('\(point)');
                        """
                }
            }
        }
        try scene.rows.connection.script(script, timeoutMilliseconds: limit)
        return points
    }
}
