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
        let file: String
        private let client = HTTPClient()

        init(_ deployment: Deployment, file name: String = "declared.json") throws {
            self.deployment = deployment
            file = deployment.file(name)
            try Folder.create(Folder.parent(of: file))
            port = try TestPorts.free()
        }

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

    /// What changes is who declares the source, its name, and whether there is any.
    @Test(.timeLimit(.minutes(3))) func theEnvironmentsSourceBecomesAFiles() async throws {
        let environment = [
            "KAFKA_TOPIC_PARTITIONS": "1", "KAFKA_TOPIC": "e", "KAFKA_GOLD_TOPIC": "e.gold",
            "WIKIMEDIA_SSE_URL": "http://127.0.0.1:1/",
        ]
        try await Deployment.run(environment: environment) { deployment in
            let scene = try Scene(deployment, file: "data/sources.json")
            try deployment.start("broker")
            let producer = try deployment.start(
                "producer", environment: ["METRICS_LISTEN": "127.0.0.1:\(scene.port)"])
            try scene.waitFor("medallion_producer_connected 0")
            try scene.add("e", 3, file: "one")
            try scene.declare("e")
            producer.signal(SIGHUP)
            try scene.waitAcknowledged("e", 3)
            try deployment.wait(for: "readiness") { try scene.get("/ready").contains("\"ready\":true") }
            let health = try scene.get("/health")
            #expect(health.contains("\"delivery e\"") && !health.contains("\"delivery\""), "\(health)")
            let metrics = try scene.get("/metrics")
            #expect(!metrics.contains("medallion_producer_connected") && !metrics.contains("_in_flight 0"))

            // The file is gone: that is a fault, and no way back.
            let text = try File.contents(of: scene.file)
            try Folder.removeIfPresent(scene.file)
            producer.signal(SIGHUP)
            try deployment.wait(for: "the file's fault") { try scene.get("/health").contains("is gone; put it back") }
            try scene.add("e", 1, file: "two")
            try scene.waitAcknowledged("e", 4)

            // Another name on the topic does not make it another collection's.
            let words = String(decoding: text, as: UTF8.self)
            try scene.store(words.replacing(#""name":"e","#, with: #""name":"f","topic":"e","#))
            producer.signal(SIGHUP)
            try deployment.wait(for: "the name's fault") {
                try scene.get("/health").contains("the topic e runs with e")
            }

            // The last one that has a connector may go.
            try scene.store(
                #"{"sources":[{"name":"e","connector":{"type":"none"},"logic":{"type":"recent_change"}}]}"#)
            producer.signal(SIGHUP)
            try scene.waitFor("medallion_sources_reloads_total 2")
            try deployment.wait(for: "health without it") { try !scene.get("/health").contains("\"source e\"") }
            #expect(try producer.stop() == .exited(0))
            // A start without any is none, and one address does not stand for two streams.
            #expect(try deployment.refusal(["producer"]).contains("with a connector: there is nothing to do here"))
            let streams = ["x", "y"].map { name in
                #"{"name":"\#(name)","connector":{"type":"sse","url":"http://127.0.0.1:1/\#(name)"},"logic":{"type":"recent_change"}}"#
            }
            try scene.store(#"{"sources":[\#(streams.joined(separator: ","))]}"#)
            let refusal = try deployment.refusal(["producer", "--url", "http://127.0.0.1:1/"])
            #expect(refusal.contains("cannot stand for those of x, y"), "\(refusal)")
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
            // One that cannot be read is told, and leaves the others ready.
            try scene.declare("a", "b", "c", "nowhere")
            producer.signal(SIGHUP)
            try deployment.wait(for: "the source's fault") { try scene.get("/health").contains("\"source nowhere\"") }
            try deployment.wait(for: "readiness") { try scene.get("/ready").contains("\"ready\":true") }
            #expect(try producer.stop() == .exited(0))
        }
    }
}
