import Bytes
import Files
import JSONScan
import PlatformTesting
import Postgres
import PostgresTesting
import Testing

/// A table of somebody's Postgres, from its first row to the index, while everything is killed now and then.
@Suite struct CaptureTests {
    /// The table and the deployment that follows it.
    private struct Scene {
        let deployment: Deployment
        let sql: PostgresConnection

        func run(_ text: String) throws -> [[String?]] { try sql.script(text, timeoutMilliseconds: 30_000) }

        /// Makes the table, with 25 rows, and declares it.
        ///
        /// - Returns: the variables that name the declaration.
        func begin(_ dsn: String) throws -> [String: String] {
            _ = try run(
                """
                CREATE TABLE things (id int PRIMARY KEY, word text NOT NULL, n int NOT NULL DEFAULT 0,
                    name text NOT NULL DEFAULT 'a copper kettle');
                INSERT INTO things SELECT n, 'word' || (1000 + n) FROM generate_series(1, 25) n
                """)
            try File.replace(deployment.file("sources.json"), with: Array(CaptureTests.declaration(dsn).utf8))
            return ["SOURCES_FILE": deployment.file("sources.json")]
        }

        func found(_ words: String) throws -> [String] { try deployment.api.search(words, hits: 50).sorted() }

        /// Ids and texts.
        func table() throws -> [(id: String, word: String)] {
            try run("SELECT id::text, word FROM things").map { (id: $0[0] ?? "", word: $0[1] ?? "") }
        }

        /// Whether the index shows the table, and every row as it is now.
        func isShown() throws -> Bool {
            let rows = try table()
            guard try found("kettle") == rows.map(\.id).sorted() else { return false }
            for row in rows where try found(row.word) != [row.id] { return false }
            return true
        }

        func write(_ count: Int, _ random: inout SeededGenerator) throws {
            for _ in 0..<count {
                let id = Int.random(in: 1...40, using: &random)
                let word = "word\(UInt32.random(in: 1_000_000...UInt32.max, using: &random))"
                switch Int.random(in: 0..<6, using: &random) {
                case 0...2:
                    _ = try run(
                        "INSERT INTO things VALUES (\(id), '\(word)') ON CONFLICT (id) DO UPDATE SET word = excluded.word"
                    )
                case 3: _ = try run("DELETE FROM things WHERE id = \(id)")
                case 4: _ = try run("UPDATE things SET word = '\(word)', n = n + 1 WHERE id = \(id)")
                default:
                    _ = try run(
                        "UPDATE things SET id = 41 + n % 5, word = '\(word)' WHERE id = \(id) "
                            + "AND NOT EXISTS (SELECT FROM things o WHERE o.id BETWEEN 41 AND 45)")
                }
            }
        }
    }

    private static func declaration(_ dsn: String) -> String {
        #"{"sources":[{"name":"things","connector":{"type":"postgres","dsn":"\#(dsn)","table":"things"},"#
            + #""logic":{"type":"document","envelope":"debezium","fields":{"id":"id","version":"@source.order","#
            + #""time":"@source.ts_ms","text":["name","word"]}},"collection":{"attributes":{"n":{"type":"integer"}}}}]}"#
    }

    @Test(.timeLimit(.minutes(LongTests.areWanted ? 90 : 6))) func theIndexShowsTheTable() async throws {
        let server = try LogicalPostgres()
        let dsn = try server.freshDatabase()
        try await Deployment.run(environment: ["EMBED_ENABLED": "false", "KAFKA_TOPIC_PARTITIONS": "2"]) { deployment in
            let sql = try PostgresConnection(PostgresConfiguration(dsn: dsn), timeoutMilliseconds: 10_000)
            let scene = Scene(deployment: deployment, sql: sql)
            let environment = try scene.begin(dsn)
            #expect(try deployment.command(["sources", "check"], environment: environment).contains("nothing to mend"))
            let doctor = try deployment.command(["doctor", "--only", "sources"], environment: environment)
            #expect(doctor.contains("slot medallion_public_things not there yet"), "\(doctor)")
            var up = try deployment.start("up", environment: environment)
            try deployment.wait(for: "the table") { try scene.isShown() }
            var random = SeededGenerator(seed: LongTests.seed(11))
            try scene.write(10, &random)
            try deployment.wait(for: "changes") { try scene.isShown() }
            for _ in 0..<(LongTests.areWanted ? 200 : 5) {
                try scene.write(Int.random(in: 1...20, using: &random), &random)
                try up.kill9()
                try scene.write(5, &random)
                up = try deployment.start("up", environment: environment)
                if Bool.random(using: &random) {
                    try deployment.wait(for: "the API") { try !scene.found("kettle").isEmpty }
                }
            }
            _ = try scene.run("UPDATE things SET n = 7 WHERE id <= 20")
            try deployment.wait(for: "all changes after kills") { try scene.isShown() }
            _ = try scene.run("BEGIN; TRUNCATE things; INSERT INTO things VALUES (50, 'word50'); COMMIT")
            try deployment.wait(for: "the emptied table") { try scene.found("kettle") == ["50"] }
            #expect(
                try deployment.api.metrics().series.keys.contains(#"medallion_source_slot_lag_bytes{source="things"}"#))
            try Self.checkGold(deployment)
            try deployment.command(["lake", "verify"])
            #expect(try up.stop() == .exited(0))
            withExtendedLifetime(server) {}
        }
    }

    /// Paused, by the page's way and by the command, it stands still over kills, and the server keeps its log; then everything comes.
    /// Meanwhile and afterwards parts of the table are read again.
    @Test(.timeLimit(.minutes(4))) func aPauseHoldsOverKills() async throws {
        let server = try LogicalPostgres()
        let dsn = try server.freshDatabase()
        try await Deployment.run(environment: ["EMBED_ENABLED": "false", "KAFKA_TOPIC_PARTITIONS": "2"]) { deployment in
            let sql = try PostgresConnection(PostgresConfiguration(dsn: dsn), timeoutMilliseconds: 10_000)
            let scene = Scene(deployment: deployment, sql: sql)
            let environment = try scene.begin(dsn)
            func source() throws -> JSONValue? { try deployment.api.get("/sources")["sources"]?.array?.first }
            var up = try deployment.start("up", environment: environment)
            try deployment.wait(for: "the table") { try scene.isShown() }
            try deployment.command(["sources", "pause", "things", "--reason", "a trial"], environment: environment)
            try deployment.wait(for: "the pause") { try source()?["phase"]?.string == "paused" }
            _ = try scene.run("INSERT INTO things VALUES (26, 'word1026'); DELETE FROM things WHERE id = 3")
            for _ in 0..<2 {
                try up.kill9()
                up = try deployment.start("up", environment: environment)
                try deployment.wait(for: "the pause after a kill") {
                    guard let found = try? source() else { return false }
                    return found["phase"]?.string == "paused" && found["paused"]?["reason"]?.string == "a trial"
                }
                #expect(try scene.found("kettle").count == 25, "nothing is read")
            }
            try deployment.wait(for: "the lag of the slot") { try source()?["lag_bytes"]?.integer ?? 0 > 0 }
            try deployment.wait(for: "the health of a source that is paused") {
                try deployment.api.get("/health")["dependencies"]?["source things"]?["state"]?.string == "ok"
            }
            let shown = try deployment.command(["sources", "status", "things"], environment: environment)
            #expect(shown.contains("paused at") && shown.contains("a trial"), "\(shown)")
            try deployment.command(
                ["sources", "snapshot", "things", "--from", "5", "--to", "9"], environment: environment)
            try deployment.command(["sources", "resume", "things"], environment: environment)
            try deployment.wait(for: "what came meanwhile") { try scene.isShown() }
            try deployment.wait(for: "the part that is read again") {
                let snapshot = try source()?["snapshot"]
                return snapshot?["state"]?.string == "complete" && snapshot?["rows"]?.integer == 5
            }
            #expect(try scene.isShown())
            // Who asked, and what became of it, stays to be read, by whichever way it was asked.
            try deployment.wait(for: "what became of the requests") {
                let answered = try deployment.api.get("/sources/things/requests")["requests"]?.array ?? []
                return answered.compactMap { $0["outcome"]?.string } == ["taken", "complete", "taken"]
            }
            let log = try deployment.command(["sources", "log", "things"], environment: environment)
            #expect(
                log.contains("a trial") && log.contains("snapshot from 5 to 9") && log.contains("complete at"), "\(log)"
            )
            #expect(log.split(separator: "\n").count { $0.contains("  things  ") } == 3, "\(log)")
            #expect(try up.stop() == .exited(0))
            withExtendedLifetime(server) {}
        }
    }

    /// Each change became one line, however often it was sent.
    private static func checkGold(_ deployment: Deployment) throws {
        var seen: Set<String> = []
        var count = 0
        for partition in 0..<2 {
            let text = try deployment.command([
                "lake", "cat", "--layer", "gold", "--topic", "things", "--partition", "\(partition)", "--from", "0",
                "--to",
                "100000",
            ])
            for line in text.split(separator: "\n") {
                let gold = try JSONValue.parse(Array(line.utf8), maxDepth: 64)
                seen.insert(gold["lineage"]?["parents"]?.array?.first?["event_id"]?.string ?? "none")
                count += 1
            }
        }
        #expect(seen.count == count && count > 40)
    }
}
