import Bytes
import Files
import Glibc
import JSONScan
import Lake
import PlatformTesting
import Postgres
import Processes
import Records
import Simulator
import Testing

extension PipelineTests {
    /// A replay that is killed with `kill -9` again and again, and slowed, paused and resumed by commands, comes to what a clean one
    /// does.
    @Suite(.serialized) struct KilledReplayTests {
        private static let newLogic = ["TEXT_TEMPLATE": "{title}[, with the remark: {comment}]"]
        private static let limit = 10_000

        /// Twice; twenty times in the long form. `TEST_SEED` replays another run.
        @Test(.timeLimit(.minutes(15))) func killedOverAndOver() async throws {
            let seed = LongTests.seed(2_018)
            let (kills, events, rate) = LongTests.areWanted ? (20, 2_400, 60) : (2, 240, 60)
            // Two models would be loaded for each kill.
            try await Deployment.run(environment: LongTests.areWanted ? [:] : ["EMBED_ENABLED": "false"]) {
                deployment in
                let recording = deployment.file("events.jsonl")
                try File.replace(recording, with: Self.recording(events, seed))
                let up = try PlaybackTests.play(recording, deployment)
                let connection = try PostgresConnection(
                    PostgresConfiguration(dsn: deployment.dsn() ?? ""), timeoutMilliseconds: Self.limit)
                defer { connection.close() }
                var random = SeededGenerator(seed: seed)
                var done: Int64 = 0
                for kill in 0..<kills {
                    let arguments = kill == 0 ? ["--all"] : ["--resume", "2"]
                    let replay = try deployment.start(
                        "replay", arguments + ["--rate", "\(rate)"], name: "replay-\(kill)", environment: Self.newLogic)
                    let before = done
                    try deployment.wait(for: "replay \(kill) to come further than \(before)") {
                        done = try Self.figures(connection).done
                        return done > before
                    }
                    // Until somewhere in what follows, or in the first instant of it.
                    usleep(UInt32.random(in: 0...500_000, using: &random))
                    try replay.kill9()
                    deployment.forget(replay)
                    let kept = try Self.figures(connection)
                    #expect(kept.state == "running" && kept.done < kept.wanted, "kill \(kill): \(kept)")
                    done = kept.done
                }
                try Self.pauseAndResume(deployment, connection)
                let clean = try Self.replay(["--all"], deployment)
                try Self.expectSame(deployment, connection, clean: clean)
                #expect(try deployment.command(["lake", "verify"]).contains("all well"))
                #expect(try up.stop() == .exited(0))
            }
        }

        private static func recording(_ events: Int, _ seed: UInt64) -> [UInt8] {
            let generator = EventGenerator(seed: seed, startMilliseconds: 1_773_480_360_000, eventsPerSecond: 100)
            return (0..<events).reduce(into: []) { bytes, index in
                generator.append(index, to: &bytes)
                bytes.append(0x0A)
            }
        }

        private static func replay(_ arguments: [String], _ deployment: Deployment) throws -> JSONValue {
            let output = try deployment.command(["replay", "--json"] + arguments, environment: newLogic, seconds: 300)
            return try JSONValue.parse(Array(output.utf8))
        }

        private static func figures(
            _ connection: PostgresConnection
        ) throws -> (state: String, done: Int64, wanted: Int64) {
            let rows = try connection.script(
                "SELECT state, done, wanted FROM replays WHERE generation = 2", timeoutMilliseconds: limit)
            guard let row = rows.first else { return ("", 0, 0) }
            return (row[0] ?? "", row[1].flatMap { Int64($0) } ?? 0, row[2].flatMap { Int64($0) } ?? 0)
        }

        /// The last part: other commands pause it and let it go on at any rate, and it ends.
        private static func pauseAndResume(_ deployment: Deployment, _ connection: PostgresConnection) throws {
            let before = try figures(connection).done
            let replay = try deployment.start(
                "replay", ["--resume", "2", "--rate", "20"], name: "replay-last", environment: newLogic)
            try deployment.wait(for: "the last part to go on") { try figures(connection).done > before }
            try deployment.command(["replay", "--pause", "2"])
            let listed = try deployment.command(["replay", "--ls"])
            #expect(listed.contains("running, paused"), "\(listed)")
            // What was under way at the pause is done first.
            var paused = (try figures(connection).done, Int64(-1))
            try deployment.wait(for: "it to stand still") {
                sleep(1)
                paused = (try figures(connection).done, paused.0)
                return paused.0 == paused.1
            }
            #expect(try paused.0 < figures(connection).wanted)
            try deployment.command(["replay", "--continue", "2", "--rate", "0"])
            #expect(try replay.awaitEnd(seconds: 120) == .exited(0), "\(replay.output)")
            let kept = try figures(connection)
            #expect(kept.state == "done" && kept.done == kept.wanted)
        }

        /// Generation 2 was killed, 3 was not: their lines are the same to the byte, and so is what the index shows.
        private static func expectSame(
            _ deployment: Deployment, _ connection: PostgresConnection, clean: JSONValue
        ) throws {
            #expect(clean["generation"]?.integer == 3 && clean["embedded"]?.integer == 0)
            let kept = try connection.script(
                "SELECT added, changed, removed, unchanged, wanted FROM replays ORDER BY generation",
                timeoutMilliseconds: limit)
            #expect(kept.count == 2 && kept[0] == kept[1], "\(kept)")
            #expect(clean["changed"]?.integer ?? 0 > 0)
            let reader = LakeReader(layout: LakeLayout(root: deployment.lakeFolder))
            var count = 0
            for source in try reader.sources() {
                guard let range = try reader.committedRange(source) else { continue }
                for layer in Layer.derived {
                    let lines = try [Int64(2), 3].map { generation in
                        var lines: [[UInt8]] = []
                        try reader.forEachLine(layer, generation: generation, source: source, range: range) { _, line in
                            lines.append(Array(line))
                            return true
                        }
                        return lines
                    }
                    #expect(lines[0] == lines[1], "\(layer) of \(source)")
                    count += lines[0].count
                }
            }
            #expect(count > 0)
            let shown = try [2, 3].map { generation in
                try connection.script(
                    """
                    SELECT d.doc_id, g.version, d.content_hash, g.source_topic, g.source_partition, g.source_offset, g.lineage
                    FROM visibility g JOIN documents d ON d.id = g.document_id
                    WHERE g.generation = \(generation) AND g.to_version IS NULL ORDER BY 1, 2
                    """, timeoutMilliseconds: limit)
            }
            #expect(shown[0] == shown[1] && !shown[0].isEmpty)
        }
    }
}
