import Files
import HTTPClient
import PlatformTesting
import Postgres
import Processes
import Testing

extension PipelineTests {
    /// `serve` alone, with the settings that people leave as they are: who reads, and what is kept of answers.
    @Suite(.serialized) struct TrustTests {
        @Test(.timeLimit(.minutes(3))) func aServingProcessTrustsThisMachineAndKeepsFewAnswers() async throws {
            let environment = [
                "EMBED_ENABLED": "false", "KAFKA_BROKERS": "127.0.0.1:1", "ANSWERS_MAX_ROWS": "48",
                "METRICS_LISTEN": "127.0.0.1:0",
            ]
            try await Deployment.run(environment: environment) { deployment in
                let client = HTTPClient()
                func status(_ path: String, _ headers: [(name: String, value: String)] = []) throws -> Int {
                    let url = "http://127.0.0.1:\(deployment.apiPort)\(path)"
                    return try client.request(HTTPClientRequest(url: url, headers: headers), timeoutMilliseconds: 5_000)
                        .status
                }
                let forwarded = [(name: "X-Forwarded-For", value: "203.0.113.9")]
                let foreign = [(name: "Host", value: "evil.example")]
                var server = try deployment.start("serve")
                try deployment.wait(for: "the server") { try status("/live") == 200 }
                for path in ["/events/recent", "/metrics", "/pipeline/status"] {
                    #expect(try status(path) == 200, "\(path)")
                    #expect(try status(path, forwarded) == 401, "\(path)")
                    #expect(try status(path, foreign) == 421, "\(path)")
                }
                #expect(server.output.contains("API_TRUSTED_PROXIES"), "the log says what to do")

                // Refusals all of them, without a key, with nobody else to tidy up.
                for number in 0..<150 {
                    _ = try deployment.api.post("/answer", [("query", .string("who is \(number)?"))])
                }
                let connection = try PostgresConnection(
                    PostgresConfiguration(dsn: try #require(deployment.dsn())), timeoutMilliseconds: 10_000)
                let kept = try connection.script(
                    "SELECT question FROM answers ORDER BY created_at DESC", timeoutMilliseconds: 10_000
                ).compactMap { $0.first.flatMap { $0 } }
                #expect(kept.count <= 48 && kept.count >= 40)
                #expect(kept == (0..<150).reversed().prefix(kept.count).map { "who is \($0)?" }, "the newest are kept")
                #expect(try server.stop().isSuccess)

                // A proxy in front that is named: whoever comes is no longer of this machine, header or not.
                server = try deployment.start("serve", environment: ["API_TRUSTED_PROXIES": "127.0.0.1"])
                try deployment.wait(for: "the server") { try status("/live") == 200 }
                for headers in [[], forwarded, foreign] { #expect(try status("/events/recent", headers) == 401) }
                #expect(try server.stop().isSuccess)

                guard LongTests.areWanted else { return }
                // Said at the start where that was meant to be open, or left so.
                server = try deployment.start(
                    "serve",
                    environment: [
                        "API_TRUSTED_PROXIES": "127.0.0.1", "API_ANONYMOUS_READ": "true", "API_ADDRESS_RATE": "0",
                    ])
                try deployment.wait(for: "the server") { try status("/live") == 200 }
                #expect(try status("/events/recent", forwarded) == 200)
                #expect(server.output.contains("API_ANONYMOUS_READ is true"))
                #expect(server.output.contains("API_ADDRESS_RATE is 0") && server.output.contains("API_HOSTS"))
                #expect(try server.stop().isSuccess)
            }
        }
    }
}
