import Files
import HTTPClient
import PlatformTesting
import Postgres
import Processes
import Testing

extension PipelineTests {
    /// `serve` alone, with the settings that people leave as they are: who reads, and what is kept of answers.
    @Suite(.serialized) struct TrustTests {
        private let client = HTTPClient()
        private let forwarded = [(name: "X-Forwarded-For", value: "203.0.113.9")]
        private let foreign = [(name: "Host", value: "evil.example")]

        private func ask(
            _ port: Int, _ path: String, _ headers: [(name: String, value: String)] = []
        ) throws -> (status: Int, body: String) {
            let request = HTTPClientRequest(url: "http://127.0.0.1:\(port)\(path)", headers: headers)
            let reply = try client.request(request, timeoutMilliseconds: 5_000)
            return (reply.status, String(decoding: reply.body, as: UTF8.self))
        }

        @Test(.timeLimit(.minutes(3))) func aServingProcessTrustsThisMachineAndKeepsFewAnswers() async throws {
            let environment = [
                "EMBED_ENABLED": "false", "KAFKA_BROKERS": "127.0.0.1:1", "ANSWERS_MAX_ROWS": "16",
                "METRICS_LISTEN": "127.0.0.1:0",
            ]
            try await Deployment.run(environment: environment) { deployment in
                let server = try deployment.start("serve")
                try deployment.wait(for: "the server") { try ask(deployment.apiPort, "/live").status == 200 }
                let dsn = try #require(deployment.dsn())
                /// One more over the same database.
                func start(_ name: String, _ environment: [String: String]) throws -> (RunningProcess, port: Int) {
                    let port = try TestPorts.free()
                    let place = ["API_LISTEN": "127.0.0.1:\(port)", "POSTGRES_DSN": dsn]
                    return (
                        try deployment.start("serve", name: name, environment: place.merging(environment) { $1 }), port
                    )
                }
                let (_, behind) = try start("behind", ["API_TRUSTED_PROXIES": "127.0.0.1"])
                let (_, named) = try start("named", ["API_ANONYMOUS_READ": "true", "API_HOSTS": "search.example"])

                for path in ["/events/recent", "/metrics", "/pipeline/status"] {
                    #expect(try ask(deployment.apiPort, path).status == 200, "\(path)")
                    #expect(try ask(deployment.apiPort, path, forwarded).status == 401, "\(path)")
                    #expect(try ask(deployment.apiPort, path, foreign).status == 421, "\(path)")
                }
                #expect(server.output.contains("API_TRUSTED_PROXIES"), "the log says what to do")
                try checkAnswers(deployment, dsn)

                // A proxy in front that is named: whoever comes is no longer of this machine, header or not.
                try deployment.wait(for: "the one behind a proxy") { try ask(behind, "/live").status == 200 }
                for headers in [[], forwarded, foreign] {
                    #expect(try ask(behind, "/events/recent", headers).status == 401)
                }
                // Open to all under its names; a proxy that is not named brings anybody, and is told no details.
                try deployment.wait(for: "the open one") { try ask(named, "/live").status == 200 }
                #expect(try ask(named, "/events/recent").status == 200)
                #expect(try ask(named, "/events/recent", forwarded).status == 401)
                #expect(try ask(named, "/events/recent", foreign).status == 421)
                #expect(try ask(named, "/health").body.contains("dependencies"))
                #expect(try !ask(named, "/health", forwarded).body.contains("dependencies"))

                guard LongTests.areWanted else { return }
                // Said at the start where that was meant to be open, or left so.
                let (open, port) = try start(
                    "open",
                    [
                        "API_TRUSTED_PROXIES": "127.0.0.1", "API_ANONYMOUS_READ": "true", "API_ADDRESS_RATE": "0",
                    ])
                try deployment.wait(for: "the server") { try ask(port, "/live").status == 200 }
                #expect(try ask(port, "/events/recent", forwarded).status == 200)
                #expect(try !ask(port, "/health", forwarded).body.contains("dependencies"))
                #expect(open.output.contains("API_ANONYMOUS_READ is true"))
                #expect(open.output.contains("API_ADDRESS_RATE is 0") && open.output.contains("API_HOSTS"))
            }
        }

        /// Refusals all of them, without a key, with nobody else to tidy up.
        private func checkAnswers(_ deployment: Deployment, _ dsn: String) throws {
            let count = 50
            for number in 0..<count {
                _ = try deployment.api.post("/answer", [("query", .string("who is \(number)?"))])
            }
            let connection = try PostgresConnection(
                PostgresConfiguration(dsn: dsn), timeoutMilliseconds: 10_000)
            let kept = try connection.script(
                "SELECT question FROM answers ORDER BY created_at DESC", timeoutMilliseconds: 10_000
            ).compactMap { $0.first.flatMap { $0 } }
            #expect(kept.count <= 16 && kept.count >= 15)
            #expect(kept == (0..<count).reversed().prefix(kept.count).map { "who is \($0)?" }, "the newest are kept")
        }
    }
}
