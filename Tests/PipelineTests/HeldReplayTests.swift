import Bytes
import Files
import Glibc
import JSONScan
import Lake
import Postgres
import Processes
import Testing

extension PipelineTests {
    /// Replays and promotions that are held, pruned and killed in the middle, with the real executable and with traffic:
    /// what is served stays complete, and nothing that was given up comes back.
    @Suite(.serialized) struct HeldReplayTests {
        private static let newLogic = ["TEXT_TEMPLATE": "{title}[, with the remark: {comment}]"]
        /// The lock of index transactions, see V0002 of the migrations.
        private static let indexLock = "7882826980159875177"

        @Test(.timeLimit(.minutes(5))) func nothingComesBackAndNothingIsMissing() async throws {
            try await Deployment.run(environment: ["EMBED_ENABLED": "false"]) { deployment in
                let up = try PlaybackTests.play(PlaybackTests.handWritten, deployment)
                try Self.prune(2, whileItsReplayIsHeld: deployment)
                try Self.killAReplay(of: 3, deployment)
                try Self.replayAgain(expecting: 4, deployment)
                try Self.killAPromotion(to: 1, from: 4, deployment)
                #expect(try up.stop() == .exited(0))
                let again = try deployment.start("up", ["--url", deployment.streamURL])
                try deployment.wait(for: "the second start") { try !deployment.api.search("bridge").isEmpty }
                // With the first generation's settings a stream job starts only where that one is active.
                try Self.inject("Xylophone", 3, deployment)
                try deployment.wait(for: "what came then") {
                    try deployment.api.search("xylophone").first == Self.id(3)
                }
                try Self.expectStates(["active", "pruned", "pruned", "previous"], deployment)
                try deployment.command(["promote", "4"])
                try deployment.command(["promote", "1"])
                #expect(try again.stop() == .exited(0))
                #expect(try deployment.command(["lake", "verify"]).contains("all well"))
            }
        }

        // MARK: Steps

        /// Starts a replay and waits until it has made a generation and writes documents into the index, which it cannot as
        /// long as the returned connection is open.
        private static func startHeld(
            _ number: Int64, _ deployment: Deployment
        ) throws -> (replay: RunningProcess, holder: PostgresConnection) {
            let holder = try PostgresConnection(
                PostgresConfiguration(dsn: deployment.dsn() ?? ""), timeoutMilliseconds: 5_000)
            try holder.script("SELECT pg_advisory_lock(\(indexLock))", timeoutMilliseconds: 30_000)
            let replay = try deployment.start(
                "replay", ["--all"], name: "replay-\(number)",
                environment: newLogic.merging(["OPENLINEAGE_FILE": runs(number, deployment)]) { $1 })
            let log = GenerationLog(layout: LakeLayout(root: deployment.lakeFolder))
            try deployment.wait(for: "the replay to be in the middle") {
                let waiting = try holder.script(
                    "SELECT 1 FROM pg_stat_activity WHERE application_name = 'medallion-replay' AND wait_event = 'advisory'",
                    timeoutMilliseconds: 5_000)
                return try !waiting.isEmpty && log.read().first { $0.number == number }?.handovers.isEmpty == false
            }
            return (replay, holder)
        }

        /// What a replay tells OpenLineage.
        private static func runs(_ number: Int64, _ deployment: Deployment) -> String {
            deployment.lakeFolder + "-runs-\(number).jsonl"
        }

        private static func told(_ number: Int64, _ deployment: Deployment) throws -> [String?] {
            let path = runs(number, deployment)
            guard Folder.exists(path) else { return [] }
            return try File.contents(of: path).split(separator: 0x0A).map {
                try JSONValue.parse(Array($0), maxDepth: 64)["eventType"]?.string
            }
        }

        private static func prune(_ number: Int64, whileItsReplayIsHeld deployment: Deployment) throws {
            let (replay, holder) = try startHeld(number, deployment)
            try deployment.wait(for: "what it tells while it runs") { try told(number, deployment) == ["START"] }
            replay.signal(SIGSTOP)
            holder.close()
            try deployment.command(["generations", "--prune", "\(number)"])
            try inject("Quixotry", 1, deployment)
            try deployment.wait(for: "what came meanwhile") { try deployment.api.search("quixotry").first == id(1) }
            replay.signal(SIGCONT)
            #expect(try replay.awaitEnd(seconds: 60) == .exited(1))
            #expect(replay.output.contains("generation \(number) was pruned while its replay ran"), "\(replay.output)")
            #expect(try told(number, deployment).last == "FAIL")
            deployment.forget(replay)
            try expectStates(["active", "pruned"], deployment)
            let refusal = try deployment.refusal(["promote", "\(number)"])
            #expect(refusal.contains("generation \(number) was pruned"), "\(refusal)")
        }

        private static func killAReplay(of number: Int64, _ deployment: Deployment) throws {
            let (replay, holder) = try startHeld(number, deployment)
            try replay.kill9()
            holder.close()
            let refusal = try deployment.refusal(["promote", "\(number)"])
            #expect(refusal.contains("generation \(number) is not complete"), "\(refusal)")
            // What it left is no damage, before and after it is given up.
            #expect(try deployment.command(["lake", "verify"]).contains("all well"))
            let output = try deployment.command(["replay", "--resume", "\(number)", "--json"])
            let report = try JSONValue.parse(Array(output.utf8))
            #expect(report["generation"]?.integer == number && report["removed"]?.integer == 0)
            try expectStates(["active", "pruned", "candidate"], deployment)
            try deployment.command(["generations", "--prune", "\(number)"])
            #expect(try deployment.command(["lake", "verify"]).contains("all well"))
        }

        private static func replayAgain(expecting number: Int64, _ deployment: Deployment) throws {
            let output = try deployment.command(["replay", "--all", "--json"], environment: newLogic)
            let report = try JSONValue.parse(Array(output.utf8))
            #expect(report["generation"]?.integer == number)
            #expect(report["removed"]?.integer == 0 && report["added"]?.integer == 0)
            try inject("Zymurgy", 2, deployment)
            try deployment.wait(for: "what both logics make") { try deployment.api.search("zymurgy").first == id(2) }
            try deployment.command(["promote", "\(number)"])
            try expectStates(["previous", "pruned", "pruned", "active"], deployment)
            let documents = try generations(deployment).map { $0["documents"]?.integer ?? 0 }
            #expect(documents[0] > 20 && documents[3] == documents[0], "\(documents)")
        }

        /// Kills a promotion between the database's step and the list's.
        private static func killAPromotion(to number: Int64, from active: Int64, _ deployment: Deployment) throws {
            var lock = try File(deployment.lakeFolder + "/_generations.log.lock", .readWrite)
            #expect(try lock.tryLock())
            let promotion = try deployment.start("promote", ["\(number)"])
            let connection = try PostgresConnection(
                PostgresConfiguration(dsn: deployment.dsn() ?? ""), timeoutMilliseconds: 5_000)
            defer { connection.close() }
            try deployment.wait(for: "the database's step") {
                try connection.script("SELECT generation FROM active_generation", timeoutMilliseconds: 5_000)
                    == [["\(number)"]]
            }
            try promotion.kill9()
            let list = GenerationLog(layout: LakeLayout(root: deployment.lakeFolder))
            #expect(try list.active()?.number == active)
            _ = consume lock
        }

        // MARK: Looks

        private static func generations(_ deployment: Deployment) throws -> [JSONValue] {
            try deployment.command(["generations", "--json"]).split(separator: "\n").map {
                try JSONValue.parse(Array($0.utf8))
            }
        }

        private static func expectStates(_ states: [String], _ deployment: Deployment) throws {
            let rows = try generations(deployment)
            #expect(rows.map { $0["lake_state"]?.string } == states)
            #expect(rows.map { $0["index_state"]?.string } == states)
            #expect(rows.map { $0["is_active"]?.bool } == states.map { $0 == "active" })
        }

        private static func id(_ number: Int) -> String { "00000000-0000-4000-8000-00000000cc0\(number)" }

        private static func inject(_ title: String, _ number: Int, _ deployment: Deployment) throws {
            let event = """
                {"$schema":"/mediawiki/recentchange/1.0.0","meta":{"uri":"https://en.wikipedia.org/wiki/\(title)",\
                "id":"\(id(number))","dt":"2026-03-14T10:00:0\(number)Z","domain":"en.wikipedia.org"},"type":"edit",\
                "namespace":0,"title":"\(title)","comment":"","timestamp":1773482400,"user":"Sven","bot":false,\
                "minor":false,"length":{"old":1,"new":2},"revision":{"old":1,"new":2},"wiki":"enwiki"}
                """
            _ = try API(port: deployment.simulatorPort).post("/inject", raw: Array(event.utf8))
        }
    }
}
