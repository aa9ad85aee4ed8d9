import Bytes
import Kafka
import Processes
import Testing

extension PipelineTests {
    /// The precision of an index is chosen before its first vectors, and every role follows it from then on.
    @Suite struct PrecisionTests {
        private static func event(_ id: String, _ title: String) -> [UInt8] {
            Array(
                """
                {"$schema":"/mediawiki/recentchange/1.0.0","meta":{"id":"\(id)","dt":"2026-03-14T10:00:00Z",\
                "domain":"en.wikipedia.org","uri":"https://en.wikipedia.org/wiki/Moss"},"type":"edit","namespace":0,\
                "title":"\(title)","comment":"","user":"Sven","bot":false,"minor":false,"wiki":"enwiki"}
                """.utf8)
        }

        private static func finds(_ id: String, _ title: String, in deployment: Deployment) throws {
            let producer = try KafkaProducer(deployment.kafka())
            try producer.send(topic: deployment.topic, partition: 0, key: nil, value: event(id, title))
            #expect(producer.flush(timeoutMilliseconds: 10_000).allSatisfy { $0.error == nil })
            try deployment.wait(for: id) { try deployment.api.search(title, mode: "vector").contains(id) }
        }

        private static func model(of deployment: Deployment) throws -> String? {
            try deployment.api.get("/health")["dependencies"]?["embedding"]?["message"]?.string
        }

        @Test func rolesFollowTheIndex() async throws {
            let environment = [
                "KAFKA_TOPIC_PARTITIONS": "1", "WIKIMEDIA_SSE_URL": "http://127.0.0.1:1/none", "LOG_LEVEL": "error",
            ]
            try await Deployment.run(environment: environment) { deployment in
                // Without a word, an index in int8 is served and written on in int8.
                for (id, title, precision) in [("a", "Moss", ["EMBED_PRECISION": "int8"]), ("b", "Fern", [:])] {
                    let up = try deployment.start("up", environment: precision)
                    try deployment.wait(for: "the API") { try deployment.api.get("/health")["status"] != nil }
                    try Self.finds(id, title, in: deployment)
                    try deployment.wait(for: "the model") {
                        try Self.model(of: deployment)?.hasSuffix("/384/int8") == true
                    }
                    #expect(try deployment.api.search("Moss", mode: "vector").contains("a"))
                    #expect(try up.stop() == .exited(0))
                }
                let refused = try deployment.start(
                    "up", name: "refused", environment: ["EMBED_PRECISION": "float", "LOG_LEVEL": "info"])
                #expect(try refused.awaitEnd(seconds: 60) == .exited(64))
                for part in ["EMBED_PRECISION=float", "generation 1", "/384/int8", "index --rebuild"] {
                    #expect(refused.output.contains(part), "\(refused.output)")
                }
            }
        }
    }
}
