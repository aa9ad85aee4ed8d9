import Bytes
import JSONScan
import Kafka
import Processes
import Testing

extension PipelineTests {
    /// The model of an index is chosen before its first vectors, and every role follows it from then on; a generation brings another.
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
                // Settings that say otherwise are for a new index: no start fails for them.
                let told = try deployment.start(
                    "up", name: "told", environment: ["EMBED_PRECISION": "float", "LOG_LEVEL": "info"])
                try deployment.wait(for: "the API") { try deployment.api.get("/health")["status"] != nil }
                try Self.finds("c", "Lichen", in: deployment)
                #expect(try Self.model(of: deployment)?.hasSuffix("/384/int8") == true)
                #expect(try told.stop() == .exited(0))
                for part in ["generation 1", "/384/int8", "/384/float", "medallion replay --model"] {
                    #expect(told.output.contains(part), "\(told.output)")
                }
            }
        }

        private static func replay(_ arguments: [String], _ deployment: Deployment) throws -> JSONValue {
            try JSONValue.parse(Array(try deployment.command(["replay", "--json"] + arguments).utf8))
        }

        /// Serves a generation, and waits until searches are of it.
        private static func promote(_ generation: Int, _ suffix: String, _ deployment: Deployment) throws {
            try deployment.command(["promote", "\(generation)"])
            try deployment.wait(for: "generation \(generation)") {
                let reply = try deployment.api.post(
                    "/search", [("query", .string("Moss \(generation) \(suffix)")), ("mode", .string("vector"))])
                return reply["generation"]?.integer == Int64(generation)
            }
            try deployment.wait(for: "the health of \(suffix)") {
                try model(of: deployment)?.hasSuffix(suffix) == true
            }
        }

        @Test(.timeLimit(.minutes(10))) func anotherModelIsAGeneration() async throws {
            let environment = [
                "KAFKA_TOPIC_PARTITIONS": "1", "WIKIMEDIA_SSE_URL": "http://127.0.0.1:1/none", "LOG_LEVEL": "error",
            ]
            try await Deployment.run(environment: environment) { deployment in
                let up = try deployment.start("up")
                try deployment.wait(for: "the API") { try deployment.api.get("/health")["status"] != nil }
                for (id, title) in [("a", "Moss"), ("b", "Suspension bridge"), ("c", "River delta")] {
                    try Self.finds(id, title, in: deployment)
                }
                let wishes = ["--model", "int8", "--dimensions", "256"]
                let trial = try Self.replay(wishes + ["--dry-run"], deployment)
                #expect(trial["embeddings_needed"]?.integer == 3 && trial["generation"]?.isNull == true)
                let report = try Self.replay(wishes, deployment)
                #expect(report["embedded"]?.integer == 3 && report["inherited"]?.integer == 3, "\(report)")
                #expect(report["model"]?.string?.hasSuffix("/256/int8") == true)
                let again = try deployment.refusal(["replay", "--model", "float"])
                #expect(again.contains("are of model") && again.contains("already"), "\(again)")

                // What comes now gets vectors of both.
                try Self.finds("d", "Harbour crane", in: deployment)
                try deployment.wait(for: "both indexes") {
                    let rows = try deployment.command(["generations", "--json"]).split(separator: "\n")
                        .map { try JSONValue.parse(Array($0.utf8)) }
                    return rows.map { $0["documents"]?.integer } == [4, 4]
                }
                try Self.promote(2, "/256/int8", deployment)
                for (id, title) in [
                    ("a", "moss"), ("b", "a bridge hung from cables"), ("d", "lifting cargo in a port"),
                ] {
                    #expect(try deployment.api.search(title, mode: "vector").first == id)
                }
                try Self.promote(1, "/384/float", deployment)
                #expect(try deployment.api.search("a bridge hung from cables", mode: "vector").first == "b")
                try Self.promote(2, "/256/int8", deployment)
                try deployment.command(["generations", "--prune", "1"])
                try Self.finds("e", "Glacier", in: deployment)
                #expect(try up.stop() == .exited(0))

                // A restart needs no other settings, and the way back is another generation, also over HTTP.
                let next = try deployment.start("up", name: "next")
                try deployment.wait(for: "the API") { try deployment.api.get("/health")["status"] != nil }
                try Self.finds("f", "Lighthouse", in: deployment)
                try deployment.wait(for: "the health of the model") {
                    try Self.model(of: deployment)?.hasSuffix("/256/int8") == true
                }
                let made = try deployment.command(["keys", "create", "ops", "--role", "write", "--json"])
                let key = try #require(try JSONValue.parse(Array(made.utf8))["key"]?.string)
                let operators = OperatorTests.Client(deployment.api.url, key)
                try deployment.wait(for: "the key") { try operators.ask("GET", "/replays").status == 200 }
                let asked = try operators.ask("POST", "/replays", #"{"model":"float","dimensions":128}"#)
                #expect(asked.body["model"]?.string?.hasSuffix("/128/float") == true, "\(asked)")
                try deployment.wait(for: "the replay") {
                    try operators.ask("GET", "/replays/3").body["state"]?.string == "done"
                }
                try Self.promote(3, "/128/float", deployment)
                #expect(try deployment.api.search("a bridge hung from cables", mode: "vector").first == "b")
                #expect(try next.stop() == .exited(0))
            }
        }
    }
}
