import Postgres
import Settings
import Testing

extension PipelineTests {
    /// The embedded database has a connection for every lane that the settings allow.
    @Suite struct LaneConnectionTests {
        @Test func theEmbeddedDatabaseHasRoomForAllLanes() async throws {
            let lanes = ["API_SEARCH_LANES", "API_FILTERED_LANES", "API_FEED_LANES", "API_TRACE_LANES"]
            var environment = ["EMBED_ENABLED": "false", "LOG_LEVEL": "error"]
            for name in lanes { environment[name] = "64" }
            let count = try Settings(environment: environment).apiLanes
            #expect(count == 256)
            try await Deployment.run(environment: environment) { deployment in
                let serve = try deployment.start("serve")
                try deployment.wait(for: "the API") { try deployment.api.get("/health")["status"] != nil }
                let configuration = PostgresConfiguration(dsn: deployment.dsn() ?? "")
                let first = try PostgresConnection(configuration, timeoutMilliseconds: 20_000)
                let shown = try first.script("SHOW max_connections", timeoutMilliseconds: 20_000)
                #expect(Int(shown.first?.first.flatMap { $0 } ?? "") ?? 0 >= count + 30)
                #expect(try serve.stop() == .exited(0))
            }
        }
    }
}
