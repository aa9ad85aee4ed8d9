import Files
import JSONScan
import PlatformTesting
import Testing

extension PipelineTests {
    /// A source on a bad day, a producer that is killed, and a broker that goes away: every event is in Bronze, none twice
    /// in Silver, and the source is never stormed.
    @Suite(.serialized) struct BadDayTests {
        /// `TEST_SEED` replays another run.
        @Test(.timeLimit(.minutes(5))) func aBadDayLosesAndDoublesNothing() async throws {
            let seed = LongTests.seed(20_268)
            try await Deployment.run { deployment in
                try Self.run(deployment, seed: seed, events: 1_200, kills: 2, awaySeconds: 2)
            }
        }

        @Test(.enabled(if: LongTests.areWanted, Comment(rawValue: LongTests.reason)), .timeLimit(.minutes(30)))
        func aBadDayWithoutABrokerForAMinute() async throws {
            let seed = LongTests.seed(20_269)
            try await Deployment.run { deployment in
                try Self.run(deployment, seed: seed, events: 12_000, kills: 12, awaySeconds: 60)
            }
        }

        private static func run(
            _ deployment: Deployment, seed: UInt64, events: Int, kills: Int, awaySeconds: UInt32
        ) throws {
            let scene = try CrashScene(
                deployment, seed: seed, events: events, perSecond: 200, roles: [.broker, .producer, .stream],
                badManners: true)
            try scene.start()
            try scene.kill(times: kills, only: .producer)
            try scene.takeAway(.broker, seconds: awaySeconds)
            try scene.awaitTopic()
            try scene.awaitLake()
            try scene.stop()
            let lake = try LakeReport(lake: deployment.lakeFolder, recording: scene.recording)
            #expect(lake.faults == [], "seed \(seed)")
            #expect(lake.duplicates > 0, "nothing came twice, seed \(seed)")
            #expect(lake.canaries > 0)
            try checkWaits(scene.output(of: .producer), seed: seed)
            let early = try String(decoding: File.contents(of: deployment.file("simulate.log")), as: UTF8.self)
            // One who was killed does not know what he was asked before.
            #expect(early.split(separator: "\n").filter { $0.contains("came back before") }.count <= kills)
        }

        /// The waits between connections, as the producer's log tells them: as long as was asked for, never none, never
        /// the same again and again, and growing while nothing comes.
        private static func checkWaits(_ log: String, seed: UInt64) throws {
            var waits: [(cause: String, milliseconds: Int64)] = []
            for line in log.split(separator: "\n") {
                guard let entry = try? JSONValue.parse(Array(line.utf8)), entry["message"]?.string == "reconnecting",
                    let cause = entry["cause"]?.string, let wait = entry["wait_ms"]?.string.flatMap({ Int64($0) })
                else { continue }
                waits.append((cause, wait))
            }
            #expect(waits.count >= 8, "seed \(seed)")
            #expect(waits.allSatisfy { $0.milliseconds >= 25 }, "seed \(seed): \(waits)")
            #expect(waits.filter { $0.cause == "too_many_requests" }.allSatisfy { $0.milliseconds >= 1_000 })
            #expect(waits.contains { $0.cause == "too_many_requests" })
            #expect(waits.contains { $0.cause == "server_error" } && waits.contains { $0.cause == "not_a_stream" })
            #expect(waits.filter { $0.cause == "not_a_stream" }.allSatisfy { $0.milliseconds >= 200 })
            #expect(Set(waits.map(\.milliseconds)).count > waits.count / 2, "no jitter, seed \(seed): \(waits)")
        }
    }
}
