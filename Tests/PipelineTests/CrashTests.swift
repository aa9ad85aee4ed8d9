import Bytes
import Files
import PlatformTesting
import Processes
import Testing

extension PipelineTests {
    /// `kill -9` of any role at any moment loses and doubles nothing: what is there at the end equals what an undisturbed
    /// stream job and indexer make of the same topic.
    @Suite(.serialized) struct CrashTests {
        /// Every part once, in a random order. `TEST_SEED` replays another run.
        @Test(.timeLimit(.minutes(10))) func everyRoleIsKilled() async throws {
            let seed = LongTests.seed(20_264)
            try await Deployment.run { deployment in
                try Self.run(CrashScene(deployment, seed: seed, events: 1_000, perSecond: 160), kills: 6)
            }
        }

        @Test(.enabled(if: LongTests.areWanted, Comment(rawValue: LongTests.reason)), .timeLimit(.minutes(120)))
        func everyRoleIsKilledOverAndOver() async throws {
            let seed = LongTests.seed(20_266)
            try await Deployment.run { deployment in
                try Self.run(CrashScene(deployment, seed: seed, events: 100_000, perSecond: 250), kills: 100)
            }
        }

        fileprivate static func run(_ scene: CrashScene, kills: Int) throws {
            do {
                try scene.start()
                try scene.kill(times: kills)
                try scene.awaitTopic()
                let reference = Reference(scene.deployment)
                try reference.run(seconds: scene.patienceSeconds, until: { try scene.isIndexed(dsn: $0) })
                try scene.deployment.wait(for: "the index to catch up", seconds: scene.patienceSeconds) {
                    try scene.isIndexed(dsn: scene.deployment.dsn() ?? "")
                }
                try reference.compareIndexes()
                #expect(try !scene.deployment.api.search("page").isEmpty)
                try scene.stop()
                try reference.compareLakes()
                let lake = try LakeReport(lake: scene.deployment.lakeFolder, recording: scene.recording)
                #expect(lake.faults == [])
                for (partition, range) in lake.topicPartitions {
                    #expect(range == [0, scene.highs[partition] ?? -1], "topic partition \(partition)")
                }
            } catch {
                throw PipelineFailure("seed \(scene.seed), kills \(scene.history.joined(separator: ", ")): \(error)")
            }
        }
    }

    /// The same of the one process that runs everything.
    @Suite(.serialized) struct AllInOneCrashTests {
        /// `TEST_SEED` replays another run.
        @Test(.timeLimit(.minutes(10))) func allInOneIsKilled() async throws {
            let seed = LongTests.seed(20_265)
            try await Deployment.run { deployment in
                let scene = try CrashScene(deployment, seed: seed, events: 500, perSecond: 150, roles: [.up])
                try CrashTests.run(scene, kills: 2)
            }
        }

        @Test(.enabled(if: LongTests.areWanted, Comment(rawValue: LongTests.reason)), .timeLimit(.minutes(60)))
        func allInOneIsKilledOverAndOver() async throws {
            let seed = LongTests.seed(20_267)
            try await Deployment.run { deployment in
                let scene = try CrashScene(deployment, seed: seed, events: 20_000, perSecond: 150, roles: [.up])
                try CrashTests.run(scene, kills: 15)
            }
        }
    }
}
