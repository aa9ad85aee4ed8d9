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
            let count = try Settings(environment: environment).lanes.total
            #expect(count == 320)
            try await Deployment.run(environment: environment) { deployment in
                try deployment.start("serve")
                var shown: [[String?]] = []
                try deployment.wait(for: "the database") {
                    guard let dsn = deployment.dsn(),
                        let first = try? PostgresConnection(PostgresConfiguration(dsn: dsn), timeoutMilliseconds: 5_000)
                    else { return false }
                    shown = try first.script("SHOW max_connections", timeoutMilliseconds: 20_000)
                    return true
                }
                #expect(Int(shown.first?.first.flatMap { $0 } ?? "") ?? 0 >= count + 30)
            }
        }
    }
}
