import Bytes
import Glibc
import HTTPClient
import JSONScan
import Kafka
import PlatformTesting
import Processes
import Testing

/// What roles that are processes of their own say of themselves, and of an index that stands still.
@Suite struct RoleProbeTests {
    /// Asks a process, whatever it answers.
    private struct Probe {
        let port: Int
        private let client = HTTPClient()

        init(port: Int) { self.port = port }

        func get(_ path: String, headers: [(String, String)] = []) throws -> (status: Int, body: String) {
            let reply = try client.request(
                HTTPClientRequest(url: "http://127.0.0.1:\(port)\(path)", headers: headers),
                timeoutMilliseconds: 5_000)
            return (reply.status, String(decoding: reply.body, as: UTF8.self))
        }

        var isReady: Bool { (try? get("/ready").status) == 200 }
    }

    @Test(.timeLimit(.minutes(5))) func everyRoleAnswersAndAStoppedIndexerShows() async throws {
        // An index that is one event behind is stale here, and four seconds of silence are too many.
        let environment = [
            "EMBED_ENABLED": "false", "KAFKA_TOPIC_PARTITIONS": "1", "READY_MAX_LAG": "1", "FRESH_UNKNOWN_SEC": "4",
        ]
        try await Deployment.run(environment: environment) { deployment in
            var probes: [String: Probe] = [:]
            func start(_ role: String, _ arguments: [String] = []) throws -> RunningProcess {
                let probe = Probe(port: try TestPorts.free())
                probes[role] = probe
                return try deployment.start(
                    role, arguments, environment: ["METRICS_LISTEN": "127.0.0.1:\(probe.port)"])
            }
            let broker = try start("broker")
            _ = try start("serve")
            let api = Probe(port: deployment.apiPort)
            try deployment.wait(for: "the server") { try api.get("/live").status == 200 }
            try deployment.startSimulator(PipelineTests.PlaybackTests.handWritten)
            _ = try start("producer", ["--url", deployment.streamURL])
            _ = try start("stream")
            let indexer = try start("index")
            for (role, probe) in probes.sorted(by: { $0.key < $1.key }) {
                try deployment.wait(for: "\(role) to be ready") { probe.isReady }
                #expect(try probe.get("/live").status == 200, "\(role)")
                let (status, health) = try probe.get("/health")
                #expect(status == 200 && health.contains("\"dependencies\":{"), "\(role): \(health)")
                #expect(try probe.get("/metrics").body.contains("# TYPE "), "\(role)")
                #expect(try probe.get("/search").status == 404, "\(role) serves nothing else")
                // Whoever comes by another name is a stranger, and on the loopback interface there are none.
                let stranger = try probe.get("/health", headers: [("Host", "evil.example")])
                #expect(stranger.status >= 400 && !stranger.body.contains("dependencies"), "\(role): \(stranger)")
            }
            for (role, part) in [
                ("broker", "disk"), ("producer", "delivery"), ("stream", "stream"), ("index", "indexer"),
                ("serve", "index"),
            ] { #expect(try probes[role]?.get("/health").body.contains("\"\(part)\":{") == true, "\(role): \(part)") }
            try deployment.wait(for: "a fresh index") { api.isReady }

            // The indexer goes; what comes now nobody can find, and the server says so by itself.
            #expect(try indexer.stop() == .exited(0))
            let producer = try KafkaProducer(deployment.kafka())
            for number in 0..<5 {
                try producer.send(topic: deployment.topic, partition: 0, key: nil, value: Array("{\(number)".utf8))
            }
            _ = producer.flush(timeoutMilliseconds: 10_000)
            try deployment.wait(for: "the server to notice") { !api.isReady }
            let (status, reasons) = try api.get("/ready")
            #expect(status == 503 && reasons.contains("READY_MAX_LAG"), "\(reasons)")
            let found = try deployment.api.post("/search", [("query", .string("anything"))])
            #expect(found["freshness"]?.string == "stale" && found["events_behind"]?.integer == 5)
            #expect(try api.get("/metrics").body.contains("medallion_index_freshness_state{state=\"stale\"} 1"))
            #expect(try deployment.command(["search", "anything"]).contains("stale: the index is 5 events behind"))
            // It comes back, and so does the server.
            _ = try start("index")
            try deployment.wait(for: "the server to be ready again") { api.isReady }

            // Without the broker nobody knows: that is no yes, and searches go on.
            try broker.kill9()
            try deployment.wait(for: "the server to know nothing") { !api.isReady }
            #expect(try api.get("/ready").body.contains("have not answered for"))
            let dark = try deployment.api.post("/search", [("query", .string("anything"))])
            #expect(dark["freshness"]?.string == "unknown" && dark["events_behind"]?.isNull == true)
            for role in ["producer", "stream", "index"] {
                let probe = try #require(probes[role])
                try deployment.wait(for: "\(role) to miss the broker") { !probe.isReady }
            }
        }
    }
}
