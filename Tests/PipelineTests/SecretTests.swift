import Bytes
import Files
import HTTPClient
import HTTPServer
import JSONScan
import PlatformTesting
import Processes
import Synchronization
import Testing

extension PipelineTests {
    /// The real executable over addresses that hold secrets: nothing it logs, serves or prints has any of them.
    @Suite(.serialized) struct SecretTests {
        private static let password = "pa55w0rd-s3cret"
        private static let token = "t0ken-s3cret"

        /// A stream that misbehaves in another way each time it is asked, and repeats what it was asked.
        private func hostileSource(_ served: RequestCount) throws -> HTTPServer {
            var router = HTTPRouter()
            router.on(
                .get, "/x",
                stream: { request, writer in
                    // Who asks for it is always refused; all others get one trick after the other.
                    let number = request.rawTarget.contains("refuse") ? 1 : served.next()
                    let target = "http://me:\(Self.password)@127.0.0.1\(request.rawTarget)"
                    switch number % 6 {
                    case 0:
                        writer.respond(
                            HTTPResponse(
                                status: 302,
                                headers: ["Location": "http://me:\(Self.password)@127.0.0.1:1/y?token=\(Self.token)"]))
                    case 1: writer.respond(.text("no \(target)", status: 403))
                    case 2: writer.respond(.text("no \(target)", status: 500))
                    case 3: writer.respond(.text("no \(target)"))
                    case 4:
                        writer.start(headers: ["Content-Type": "text/event-stream"])
                        try await writer.write(Array("event: error\ndata: \(Self.token) is not for \(target)\n\n".utf8))
                    default: writer.respond(HTTPResponse(status: 302, headers: ["Location": "ftp://\(Self.token)/"]))
                    }
                })
            return HTTPServer(configuration: HTTPServerConfiguration(host: "127.0.0.1", port: 0), router: router)
        }

        private func check(_ text: String, _ place: String) {
            for secret in [Self.password, Self.token] {
                #expect(!text.contains(secret), "\(place): \(text.prefix(2_000))")
            }
        }

        @Test(.timeLimit(.minutes(3))) func noSecretOfAnAddressIsShownAnywhere() async throws {
            let served = RequestCount()
            let source = try hostileSource(served)
            let port = try source.start()
            let url = "http://me:\(Self.password)@127.0.0.1:\(port)/x?token=\(Self.token)&wiki=enwiki"
            let environment = [
                "RECONNECT_SLEEP_SEC": "0.01", "RECONNECT_MAX_SEC": "0.02", "RECONNECT_REFUSED_SEC": "0.01",
                "EMBED_ENABLED": "false", "LOG_LEVEL": "debug", "WIKIMEDIA_SSE_URL": url,
            ]
            try await Deployment.run(environment: environment) { deployment in
                let up = try deployment.start("up")
                let client = HTTPClient()
                func get(_ path: String) throws -> String {
                    let request = HTTPClientRequest(url: "http://127.0.0.1:\(deployment.apiPort)\(path)")
                    return String(
                        decoding: try client.request(request, timeoutMilliseconds: 5_000).body, as: UTF8.self)
                }
                try deployment.wait(for: "the source's tricks") {
                    let bodies = try ["/health", "/pipeline/status", "/events/recent", "/metrics", "/ready"].map(get)
                    for body in bodies { check(body, "served") }
                    return served.count >= 13
                }
                let health = try get("/health")
                #expect(
                    health.contains("http://***@127.0.0.1:\(port)/x?token=***&wiki=***"),
                    "it names the source all the same")
                #expect(up.output.contains("reconnecting") && up.output.contains("***"))
                check(up.output, "log")
                check(try deployment.command(["doctor", "--only", "source,api,settings"]), "doctor")
                check(try deployment.command(["settings"]), "settings")
                check(
                    try deployment.refusal([
                        "record", url + "&refuse=1", "--output", deployment.file("r.sse"), "--seconds", "1",
                    ]),
                    "record")
                for arguments in [["producer", "--url"], ["up", "--url"]] {
                    check(try deployment.refusal(arguments + ["ftp" + url.dropFirst(4)]), "\(arguments)")
                }
                #expect(try up.stop().isSuccess)
                check(up.output, "log")
            }
            source.stop(drainSeconds: 0)
        }

        private static let failing: [[String: String]] = [
            ["POSTGRES_DSN": "postgresql://me:\(password)@127.0.0.1:1/db"],
            ["POSTGRES_DSN": "postgresql://me:x@y/\(password)@127.0.0.1:1/db"],
            ["POSTGRES_DSN": "postgresql://me:x#\(password)@127.0.0.1:1/db"],
            ["POSTGRES_DSN": "postgresql://me:x?\(password)@127.0.0.1:1/db"],
            ["POSTGRES_DSN": "postgresql://me:\(password)/x@127.0.0.1:1/db"],
            ["POSTGRES_DSN": "postgresql://127.0.0.1:1?user=me&password=\(password)"],
            ["POSTGRES_DSN": "postgresql://?host=127.0.0.1&port=1&password=\(password)"],
            ["POSTGRES_DSN": "postgresql://me@127.0.0.1:1?password=\(password)"],
            ["POSTGRES_DSN": "host=127.0.0.1 port=1 user=me password='\(password)'"],
            ["POSTGRES_DSN": "host=127.0.0.1 port=\(password) password=\(password)"],
            ["POSTGRES_DSN": "host=127.0.0.1 port=1 password=x \(password)"],
            [
                "KAFKA_BROKERS": "127.0.0.1:1",
                "KAFKA_PROPERTIES": "sasl.mechanisms=\(password);socket.timeout.ms=\(token)",
            ],
            ["KAFKA_BROKERS": "127.0.0.1:1", "KAFKA_PROPERTIES": "ssl.key.pem=\(password);security.protocol=ssl"],
            // Longer than librdkafka's messages.
            [
                "KAFKA_BROKERS": "127.0.0.1:1",
                "KAFKA_PROPERTIES": "security.protocol=\(String(repeating: password, count: 100))",
            ],
            [
                "KAFKA_BROKERS": "127.0.0.1:1",
                "KAFKA_PROPERTIES": "security.protocol=sasl_plaintext;sasl.mechanisms="
                    + String(repeating: password, count: 100),
            ],
            ["KAFKA_BROKERS": "\(password)@127.0.0.1:1"],
            ["KAFKA_BROKERS": "me:\(password)@127.0.0.1:1"], ["LAKE_S3_ENDPOINT": "http://me:\(password)@127.0.0.1:1"],
            [
                "WIKIMEDIA_SSE_URL": "https://me:\(password)@127.0.0.1:1/x?token=\(token)",
                "http_proxy": "http://me:\(password)@127.0.0.1:1",
            ],
            [
                "WIKIMEDIA_SSE_URL": "http://no.such.host.invalid/x?\(token)",
                "http_proxy": "http:// me:\(password)@127.0.0.1:1",
            ],
            ["WIKIMEDIA_SSE_URL": "http://me:\(password)/x@127.0.0.1:1/x?token=\(token)"],
        ]

        /// All at once: each waits for what does not answer.
        @Test(.timeLimit(.minutes(2))) func failingConnectionsRepeatNoSecret() async throws {
            try await Deployment.run { deployment in
                let parts = ["POSTGRES_DSN": "postgres", "KAFKA_PROPERTIES": "broker", "WIKIMEDIA_SSE_URL": "source"]
                let doctors = try Self.failing.enumerated().map { number, environment in
                    let part = parts.first { environment[$0.key] != nil }?.value ?? "settings"
                    let process = try deployment.start(
                        "doctor", ["--only", part], name: "doctor-\(number)", environment: environment)
                    deployment.forget(process)
                    return (process, environment.keys.sorted().joined(separator: " "))
                }
                for (process, place) in doctors {
                    _ = try process.awaitEnd(seconds: 60)
                    #expect(!process.output.isEmpty, "\(place)")
                    check(process.output, place)
                }
            }
        }
    }
}

/// Counts requests.
final class RequestCount: Sendable {
    private let value = Mutex(0)
    var count: Int { value.withLock { $0 } }
    func next() -> Int {
        value.withLock { value in
            defer { value += 1 }
            return value
        }
    }
}
