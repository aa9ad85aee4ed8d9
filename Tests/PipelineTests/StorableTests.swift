import Bytes
import JSONScan
import Kafka
import Processes
import Testing

extension PipelineTests {
    /// What is accepted can be stored; what cannot be is named and passed by.
    @Suite struct StorableTests {
        @Test(
            "a model that the index cannot hold ends the start, and the variable is named",
            arguments: [["index"], ["serve"], ["up"], ["replay", "--all"]])
        func dimensionsThatDoNotFit(command: [String]) async throws {
            try await Deployment.run(environment: ["EMBED_DIMS": "768"]) { deployment in
                let process = try deployment.start(command[0], Array(command.dropFirst()), name: "refused")
                #expect(try process.awaitEnd(seconds: 30) == .exited(64))
                #expect(process.output.contains("EMBED_DIMS=768"), "\(process.output)")
                #expect(process.output.contains("384"))
                // Nothing was begun.
                #expect(deployment.postmaster == nil)
            }
        }

        private static func event(_ id: String) -> [UInt8] {
            Array(
                """
                {"$schema":"/mediawiki/recentchange/1.0.0","meta":{"id":"\(id)","dt":"2026-03-14T10:00:00Z",\
                "domain":"en.wikipedia.org","uri":"https://en.wikipedia.org/wiki/Moss"},"type":"edit","namespace":0,\
                "title":"Moss","comment":"","user":"Sven","bot":false,"minor":false,"wiki":"enwiki"}
                """.utf8)
        }

        /// The logic of an older lake knows no bounds: the document is passed by and listed, at every start.
        @Test func whatTheIndexRefusesIsListedAndTheRestGoesOn() async throws {
            let environment = [
                "TRANSFORM_VERSION": "2", "EMBED_ENABLED": "false", "KAFKA_TOPIC_PARTITIONS": "1",
                "WIKIMEDIA_SSE_URL": "http://127.0.0.1:1/none", "LOG_LEVEL": "error",
            ]
            try await Deployment.run(environment: environment) { deployment in
                for start in 1...2 {
                    let up = try deployment.start("up")
                    try deployment.wait(for: "the API") { try deployment.api.get("/health")["status"] != nil }
                    var random = SystemRandomNumberGenerator()
                    let long = (0..<400).map { _ in String(random.next(), radix: 36) }.joined()
                    let longest = "\(start)/../%2F ?#é😀"
                    let ids = [longest + String(repeating: "x", count: 255 - longest.utf8.count), "after-\(start)"]
                    let producer = try KafkaProducer(deployment.kafka())
                    for id in [ids[0], long, ids[1]] {
                        try producer.send(topic: deployment.topic, partition: 0, key: nil, value: Self.event(id))
                    }
                    #expect(producer.flush(timeoutMilliseconds: 10_000).allSatisfy { $0.error == nil })
                    for id in ids {
                        let path = "/trace/" + id.utf8.map { "%" + Hex.string([$0]) }.joined()
                        try deployment.wait(for: id) { try deployment.api.get(path)["complete"]?.bool == true }
                    }
                    let listed = try deployment.command(["dlq", "ls", "--index", "--json"]).split(separator: "\n")
                    #expect(listed.count == start)
                    let row = try JSONValue.parse(Array((listed.last ?? "").utf8))
                    #expect(row["doc_id"]?.string == String(long.prefix(255)))
                    #expect(row["code"]?.string == "54000")
                    #expect(row["offset"]?.integer == Int64(start * 3 - 2))
                    let line = try deployment.command(
                        ["dlq", "show", "--index", "--offset", "\(start * 3 - 2)", "--raw"])
                    #expect(try JSONValue.parse(Array(line.utf8))["doc_id"]?.string == long)
                    #expect(try up.stop() == .exited(0))
                }
            }
        }
    }
}
