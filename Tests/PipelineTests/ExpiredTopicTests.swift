import Glibc
import Kafka
import PlatformTesting
import Processes
import Testing

extension PipelineTests {
    /// Records that expired before `medallion stream` read them: it stops aloud, or goes on with the gap recorded.
    @Suite(.serialized) struct ExpiredTopicTests {
        @Test(.timeLimit(.minutes(4))) func expiredRecordsStopTheProcessOrBecomeAGap() async throws {
            try await Deployment.run { deployment in
                let scene = try CrashScene(
                    deployment, seed: 20_274, events: 200, perSecond: 1_000, roles: [.broker, .producer, .stream])
                try scene.start()
                try scene.awaitTopic()
                try scene.awaitLake()
                try scene.end(.stream)
                let high = scene.highs["0"] ?? 0
                try Self.produce(50, deployment)
                let fault = TopicTrim.delete(
                    brokers: deployment.brokers, topic: deployment.topic, partition: 0, before: high + 30)
                #expect(fault == nil)
                let stopped = try deployment.start("stream", name: "stopped-stream")
                #expect(try stopped.awaitEnd(seconds: 60) == .exited(1))
                #expect(stopped.output.contains("30 offsets have expired"))
                #expect(stopped.output.contains("EXPIRED_OFFSETS=continue"))
                let metrics = "127.0.0.1:\(deployment.apiPort)"
                let going = try deployment.start(
                    "stream", name: "going-stream",
                    environment: ["EXPIRED_OFFSETS": "continue", "METRICS_LISTEN": metrics])
                // Not by ``Deployment/wait(for:seconds:_:)``, which takes the stopped one for a fault.
                for _ in 0..<600 {
                    if (try? deployment.api.metrics()["medallion_stream_records_total"]) == 20 { break }
                    usleep(50_000)
                }
                let seen = try deployment.api.metrics()
                #expect(seen["medallion_stream_expired_offsets_total"] == 30)
                #expect(seen["medallion_stream_gap_offsets_total"] == 30)
                #expect(try going.stop() == .exited(0))
                // Exit code 0: the gap is recorded, so nothing is wrong.
                try deployment.command(["lake", "verify"])
            }
        }

        private static func produce(_ count: Int, _ deployment: Deployment) throws {
            let producer = try KafkaProducer(deployment.kafka())
            for number in 0..<count {
                try producer.send(
                    topic: deployment.topic, partition: 0, key: nil, value: Array("{\"more\":\(number)}".utf8))
            }
            #expect(producer.flush(timeoutMilliseconds: 20_000).allSatisfy { $0.error == nil })
        }
    }
}
