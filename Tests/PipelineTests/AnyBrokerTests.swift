import Glibc
import Kafka
import PlatformTesting
import Processes
import Testing

extension PipelineTests {
    /// The roles over a broker that somebody else runs: Redpanda, Kafka, or `medallion broker`. Takes the KAFKA_… variables
    /// as a deployment does, makes topics of its own and removes them.
    @Suite(.serialized, .enabled(if: AnyBroker.isGiven, Comment(rawValue: AnyBroker.reason)))
    struct AnyBrokerTests {
        @Test(.timeLimit(.minutes(10))) func rolesShareAndSurvive() async throws {
            let environment = AnyBroker.environment()
            try await Deployment.run(environment: environment) { deployment in
                defer { AnyBroker.removeTopics(deployment) }
                let scene = try CrashScene(
                    deployment, seed: LongTests.seed(20_273), events: 1_500, perSecond: 150,
                    roles: [.serve, .producer], badManners: true)
                var streams: [RunningProcess] = []
                try scene.start {
                    for number in 1...2 { streams.append(try deployment.start("stream", name: "stream-\(number)")) }
                    try deployment.start("index")
                }
                try streams[0].kill9()
                streams[0] = try deployment.start("stream", name: "stream-1")
                try scene.kill(times: 1, only: .producer)
                try scene.awaitTopic()
                try deployment.wait(for: "the index", seconds: scene.patienceSeconds) {
                    try scene.isIndexed(dsn: deployment.dsn() ?? "")
                }
                for stream in streams { #expect(try stream.stop() == .exited(0)) }
                try scene.stop()
                let lake = try LakeReport(lake: deployment.lakeFolder, recording: scene.recording)
                #expect(lake.faults == [])
            }
        }

        @Test func topicsAreMadeAsDeclaredOrTheirDifferencesTold() async throws {
            let environment = AnyBroker.environment()
            try await Deployment.run(environment: environment) { deployment in
                defer { AnyBroker.removeTopics(deployment) }
                let admin = try KafkaAdmin(deployment.kafka())
                var plan = TopicPlan(
                    name: deployment.topic, partitions: 2,
                    properties: ["retention.ms": "3600000", "message.timestamp.type": "LogAppendTime"])
                let made = try admin.ensure(plan, timeoutMilliseconds: 20_000)
                #expect(made == TopicState(partitions: [0, 1], isNew: true, differences: []))
                plan.partitions = 3
                plan.properties["retention.ms"] = "7200000"
                let found = try admin.ensure(plan, timeoutMilliseconds: 20_000)
                #expect(!found.isNew)
                #expect(found.differences == ["2 topic partitions, not 3", "retention.ms=3600000, not 7200000"])
            }
        }
    }
}

/// The broker that the environment names.
enum AnyBroker {
    static let isGiven = getenv("KAFKA_BROKERS").map { String(cString: $0) != "" } ?? false
    static let reason = "set KAFKA_BROKERS for it, and whatever else docs/settings.md has to reach it"

    /// For every process: how to reach the broker, and topics and a group that nobody else has.
    static func environment() -> [String: String] {
        var environment = [
            "KAFKA_ASSIGNMENT": "group", "KAFKA_TOPIC_PARTITIONS": "4", "EMBED_ENABLED": "false",
            // Brokers may insist on a longer one than the tests of our own take.
            "KAFKA_SESSION_SEC": "6",
        ]
        for name in [
            "KAFKA_BROKERS", "KAFKA_SECURITY_PROTOCOL", "KAFKA_SSL_CA_LOCATION", "KAFKA_SSL_CERTIFICATE_LOCATION",
            "KAFKA_SSL_KEY_LOCATION", "KAFKA_SASL_MECHANISM", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD",
            "KAFKA_PROPERTIES",
        ] {
            if let value = getenv(name) { environment[name] = String(cString: value) }
        }
        let own = "medallion-test-\(UInt64.random(in: 0..<1 << 40))"
        return environment.merging(
            ["KAFKA_TOPIC": own, "KAFKA_GOLD_TOPIC": own + ".gold", "KAFKA_GROUP": own]
        ) { $1 }
    }

    static func removeTopics(_ deployment: Deployment) {
        guard let kafka = try? deployment.kafka(), let admin = try? KafkaAdmin(kafka) else { return }
        for topic in [deployment.topic, deployment.topic + ".gold"] {
            try? admin.deleteTopic(topic, timeoutMilliseconds: 10_000)
        }
    }
}
