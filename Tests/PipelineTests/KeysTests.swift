import Files
import Glibc
import HTTPClient
import JSONScan
import PlatformTesting
import Processes
import Testing

/// Keys, TLS and what commands send, on the real executable.
@Suite struct KeysTests {
    @Test func keysGovernAServingProcess() async throws {
        let folder = try TemporaryFolder()
        let (certificate, key) = (folder.file("certificate.pem"), folder.file("key.pem"))
        let made = try ChildProcess.spawn(
            [
                "/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost", "-addext",
                "subjectAltName=IP:127.0.0.1",
            ], environment: ["PATH=/usr/bin"], output: open("/dev/null", O_WRONLY | O_CLOEXEC))
        ChildProcess.awaitEnd(made)
        try #require(ChildProcess.reap(made).isSuccess)
        let environment = [
            "API_TLS_CERTIFICATE": certificate, "API_TLS_KEY": key, "API_ANONYMOUS_READ": "false",
            "EMBED_ENABLED": "false", "KAFKA_BROKERS": "127.0.0.1:1",
        ]
        try await Deployment.run(environment: environment) { deployment in
            // Before anything runs: the command brings the embedded database up for itself.
            let first = try JSONValue.parse(
                Array(try deployment.command(["keys", "create", "ann", "--role", "admin", "--json"]).utf8))
            let admin = try #require(first["key"]?.string)
            let id = try #require(first["id"]?.string)
            let server = try deployment.start("serve")
            var configuration = HTTPClientConfiguration()
            configuration.certificateAuthorities = certificate
            let client = HTTPClient(configuration)
            func get(_ path: String, _ key: String? = nil) throws -> HTTPClientResponse {
                try client.request(
                    HTTPClientRequest(
                        url: "https://127.0.0.1:\(deployment.apiPort)\(path)",
                        headers: key.map { [("Authorization", "Bearer \($0)")] } ?? []), timeoutMilliseconds: 5_000)
            }
            try deployment.wait(for: "the server") { try get("/live").status == 200 }
            #expect(try get("/live").headers["Strict-Transport-Security"]?.hasPrefix("max-age=") == true)
            #expect(try get("/events/recent").status == 401)
            #expect(try get("/events/recent", admin).status == 200)
            // Made, used and revoked while it serves.
            let reader = try deployment.command(["keys", "create", "bob"]).split(separator: "\n").first.map(String.init)
            let text = try #require(reader)
            try deployment.wait(for: "the new key") { try get("/events/recent", text).status == 200 }
            #expect(try get("/keys", text).status == 403)
            let list = try JSONValue.parse(try get("/keys", admin).body)["keys"]?.array
            #expect(list?.compactMap { $0["name"]?.string } == ["ann", "bob"])
            #expect(
                try deployment.command(["search", "anything"], environment: ["MEDALLION_API_KEY": text])
                    .hasPrefix("no hits"))
            _ = try deployment.command(["keys", "revoke", text])
            try deployment.wait(for: "the end of the key", seconds: 10) {
                try get("/events/recent", text).status == 401
            }
            #expect(try get("/events/recent", admin).status == 200)
            let lines = try deployment.command(["keys", "ls", "--json"]).split(separator: "\n")
            let revoked = try lines.map { try JSONValue.parse(Array($0.utf8))["revoked_at"]?.isNull }
            #expect(revoked == [true, false])
            #expect(try deployment.command(["keys", "ls"]).contains(id))
            // No log and no file holds a key.
            #expect(!server.output.contains(admin) && !server.output.contains(text))
            let refused = #expect(throws: PipelineFailure.self) { try deployment.command(["search", "anything"]) }
            #expect(refused?.description.contains("a key is needed") == true)
            for wrong in [
                ["keys"], ["keys", "create"], ["keys", "ls", "x"], ["keys", "create", "x", "--role", "king"],
            ] {
                let failure = #expect(throws: PipelineFailure.self) { try deployment.command(wrong) }
                #expect(failure?.description.contains("64") == true, "\(wrong)")
            }
            #expect(throws: PipelineFailure.self) { try deployment.command(["keys", "revoke", "nokey"]) }
            #expect(try server.stop().isSuccess)
        }
    }

    /// Whose documents a key opens, as the command takes and shows it.
    @Test func keysAreMadeForTenants() async throws {
        try await Deployment.run(environment: ["EMBED_ENABLED": "false"]) { deployment in
            for more in [[], ["--tenant", "acme"], ["--role", "admin"], ["--role", "admin", "--tenant", "acme"]] {
                _ = try deployment.command(["keys", "create", "ann"] + more)
            }
            let lines = try deployment.command(["keys", "ls", "--json"]).split(separator: "\n")
            let tenants = try lines.map { try JSONValue.parse(Array($0.utf8))["tenant"]?.string }
            #expect(tenants == ["default", "acme", nil, "acme"])
            let words = try deployment.command(["keys", "ls"]).split(separator: "\n")
            #expect(words.count == 4 && words[1].contains("tenant acme") && words[2].contains("all tenants"))
            for wrong in [
                ["keys", "create", "x", "--tenant", "a b"], ["keys", "create", "x", "--tenant", ".."],
                ["keys", "ls", "--tenant", "acme"], ["search", "x", "--tenant", "a/b"],
                ["trace", "x", "--tenant", "."],
            ] {
                let failure = #expect(throws: PipelineFailure.self) { try deployment.command(wrong) }
                #expect(failure?.description.contains("64") == true, "\(wrong)")
            }
        }
    }

    /// A deployment whose files do not fit says so before anything starts.
    @Test func halfOfTLSIsRefused() async throws {
        for environment in [
            ["API_TLS_CERTIFICATE": "/nowhere.pem"],
            ["API_TLS_CERTIFICATE": "/nowhere.pem", "API_TLS_KEY": "/nowhere"],
        ] {
            try await Deployment.run(environment: environment) { deployment in
                let failure = #expect(throws: PipelineFailure.self) { try deployment.command(["serve"]) }
                #expect(failure?.description.contains("API_TLS_CERTIFICATE") == true)
                #expect(failure?.description.contains("64") == true)
            }
        }
    }
}
