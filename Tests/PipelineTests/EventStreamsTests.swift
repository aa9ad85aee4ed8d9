import Bytes
import Files
import JSONScan
import PlatformTesting
import Testing

/// Wikimedia's further streams beside its recent changes, as the example declares them, from the simulator.
@Suite struct EventStreamsTests {
    private static let collections = ["wikimedia.recentchange", "wikimedia.page-create", "wikimedia.revision-create"]

    /// Words of what is written about new pages and about edits.
    private static let query = "created paragraph source clearer"

    /// The first hit among a collection's documents; nil where nothing is found yet.
    private static func hit(_ deployment: Deployment, _ query: String, in collection: String) throws -> JSONValue? {
        try deployment.api.post(
            "/search",
            [
                ("query", .string(query)), ("mode", .string("lexical")), ("top_k", .integer(1)),
                ("collection", .string(collection)),
            ])["hits"]?.array?.first
    }

    @Test(.timeLimit(.minutes(5))) func pagesAndRevisionsBesideRecentChanges() async throws {
        let environment = ["EMBED_ENABLED": "false", "KAFKA_TOPIC_PARTITIONS": "1"]
        try await Deployment.run(environment: environment) { deployment in
            let example = String(
                decoding: try File.contents(of: PackageRoot.path + "/examples/event_streams.json"), as: UTF8.self)
            let base = "http://127.0.0.1:\(deployment.simulatorPort)"
            let declared = deployment.file("streams.json")
            try File.replace(
                declared, with: Array(example.replacing("https://stream.wikimedia.org", with: base).utf8))
            try deployment.start(
                "simulate", ["--listen", "127.0.0.1:\(deployment.simulatorPort)", "--seed", "5", "--rate", "60"])
            let up = try deployment.start("up", environment: ["SOURCES_FILE": declared])

            // Each stream is found in its collection, and each document leads to its raw event.
            try deployment.wait(for: "documents of all streams") {
                try Self.collections.allSatisfy { try Self.hit(deployment, Self.query, in: $0) != nil }
            }
            for collection in Self.collections {
                let hit = try #require(try Self.hit(deployment, Self.query, in: collection))
                let id = try #require(hit["doc_id"]?.string)
                let trace = try deployment.api.get("/trace/\(id)?collection=\(collection)")
                #expect(trace["complete"]?.bool == true, "\(collection): \(trace["problems"] ?? .null)")
                #expect(trace["bronze"]?.array?.first?["hash_ok"]?.bool == true, "\(collection)")
            }
            // Canaries make no document, repeats are left out, and nothing is quarantined; every stage counts.
            try deployment.wait(for: "canaries, repeats and languages") {
                let metrics = try deployment.api.metrics()
                return metrics.sum("medallion_stream_canaries_total") > 3
                    && metrics.sum("medallion_stream_duplicates_total") > 0
                    && metrics["medallion_stream_flagged_total{rule=\"language_detected\"}"] > 0
                    && metrics["medallion_stream_left_out_total{rule=\"near_duplicate\"}"] > 0
            }
            let metrics = try deployment.api.metrics()
            #expect(metrics.sum("medallion_stream_rejected_total") == 0)
            #expect(try up.stop() == .exited(0))
            #expect(try deployment.command(["lake", "verify"]).contains("all well"))
        }
    }
}
