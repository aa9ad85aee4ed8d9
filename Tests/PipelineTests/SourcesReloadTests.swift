import Files
import Glibc
import HTTPClient
import PlatformTesting
import Processes
import Testing

/// Declared sources that come and go while a role runs.
@Suite struct SourcesReloadTests {
    private struct Scene {
        let deployment: Deployment
        let port: Int
        private let client = HTTPClient()

        init(_ deployment: Deployment) throws {
            self.deployment = deployment
            port = try TestPorts.free()
        }

        var file: String { deployment.file("declared.json") }

        func declare(_ names: String...) throws {
            let sources = names.map { name in
                #"{"name":"\#(name)","connector":{"type":"files","folder":"\#(deployment.file(name))","poll_seconds":0.1},"#
                    + #""logic":{"type":"document","fields":{"id":"id","text":"text"}}}"#
            }
            try store(#"{"sources":[\#(sources.joined(separator: ","))]}"#)
        }

        func store(_ text: String) throws { try File.replace(file, with: Array(text.utf8)) }

        func add(_ name: String, _ lines: Int, file: String) throws {
            try Folder.create(deployment.file(name))
            let text = (0..<lines).map { #"{"id":"\#(file)\#($0)","text":"words"}"# + "\n" }.joined()
            try File.replace(deployment.file("\(name)/\(file).jsonl"), with: Array(text.utf8))
        }

        func get(_ path: String) throws -> String {
            let reply = try client.request(
                HTTPClientRequest(url: "http://127.0.0.1:\(port)\(path)"), timeoutMilliseconds: 5_000)
            return String(decoding: reply.body, as: UTF8.self)
        }

        func waitFor(_ line: String) throws {
            try deployment.wait(for: line) { try get("/metrics").contains(line + "\n") }
        }

        func waitAcknowledged(_ name: String, _ count: Int) throws {
            try waitFor("medallion_producer_events_acknowledged_total{source=\"\(name)\"} \(count)")
        }
    }

    @Test(.timeLimit(.minutes(3))) func sourcesComeAndGoAndABadFileChangesNothing() async throws {
        try await Deployment.run(environment: ["KAFKA_TOPIC_PARTITIONS": "1"]) { deployment in
            let scene = try Scene(deployment)
            try scene.add("a", 3, file: "one")
            try scene.add("b", 4, file: "one")
            try scene.declare("a", "b")
            try deployment.start("broker")
            let producer = try deployment.start(
                "producer", environment: ["SOURCES_FILE": scene.file, "METRICS_LISTEN": "127.0.0.1:\(scene.port)"])
            try scene.waitAcknowledged("a", 3)
            try scene.waitAcknowledged("b", 4)

            // A bad file: all goes on, and it is said.
            try scene.store("{")
            for _ in 0..<200 { producer.signal(SIGHUP) }
            try deployment.wait(for: "the fault in /health") {
                try scene.get("/health").contains("the old ones stay")
            }
            try scene.add("a", 2, file: "two")
            try scene.waitAcknowledged("a", 5)

            // A member that a reload may not change, such as a topic, is a fault, too.
            try scene.declare("a", "b")
            let text = String(decoding: try File.contents(of: scene.file), as: UTF8.self)
            try scene.store(text.replacing(#""name":"b","#, with: #""name":"b","topic":"other","#))
            producer.signal(SIGHUP)
            try deployment.wait(for: "the topic's fault") { try scene.get("/health").contains("runs with b") }

            // One goes, one comes, one is left alone.
            try scene.add("c", 6, file: "one")
            try scene.declare("a", "c")
            producer.signal(SIGHUP)
            try scene.waitAcknowledged("c", 6)
            try deployment.wait(for: "health without the one that went") {
                let health = try scene.get("/health")
                return !health.contains("\"source b\"") && health.contains("\"source c\"")
                    && !health.contains("the old ones stay")
            }
            try scene.add("a", 1, file: "three")
            try scene.waitAcknowledged("a", 6)
            #expect(try scene.get("/metrics").contains("medallion_sources_reloads_total 1\n"))
            #expect(try !scene.get("/metrics").contains("medallion_source_reading{source=\"b\"}"))
            // What was gone comes back, and goes on where it was.
            try scene.declare("a", "b", "c")
            try scene.add("b", 1, file: "two")
            producer.signal(SIGHUP)
            try scene.waitAcknowledged("b", 5)
            #expect(try producer.stop() == .exited(0))
        }
    }
}
