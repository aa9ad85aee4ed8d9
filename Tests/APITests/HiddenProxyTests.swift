import Access
import Bytes
import HTTPServer
import Health
import Telemetry
import Testing

@testable import API

/// Proxies beside the server that nobody declared, and strangers where reading is open to all: what they get, and how much.
@Suite struct HiddenProxyTests {
    private let keys = TestKeys()

    private func access(
        isReadByAll: Bool = false, isAlone: Bool = true, hosts: [String] = []
    ) -> AccessConfiguration {
        var access = AccessConfiguration()
        access.isAnonymousReadAllowed = isReadByAll
        access.local = LocalAccess(
            trust: LocalTrust(hosts: hosts), readsAnonymously: !isReadByAll && isAlone, isUnlimited: isAlone,
            isAlone: isAlone)
        return access
    }

    private func fixture(_ access: AccessConfiguration) -> APIFixture {
        let fixture = APIFixture(access: access, readKeys: keys.read)
        fixture.api.access.use(KeyRing(keys.read()))
        fixture.fill()
        return fixture
    }

    /// What nginx sends for `proxy_pass http://127.0.0.1:8080;` and nothing else.
    private static func nginx(_ port: UInt16, _ path: String) -> String {
        "GET \(path) HTTP/1.0\r\nHost: 127.0.0.1:\(port)\r\nConnection: close\r\nUser-Agent: curl/8.14.1\r\n"
            + "Accept: */*\r\n\r\n"
    }

    @Test func nginxAsItComesIsAProxy() async throws {
        try await withAPI(fixture(access())) { port in
            for path in ["/events/recent", "/metrics", "/trace/d-bridge"] {
                let reply = try await sendRaw(port, Self.nginx(port, path))
                #expect(reply.hasPrefix("HTTP/1.1 401 ") && reply.contains("API_TRUSTED_PROXIES"), "\(reply)")
            }
            let health = try await sendRaw(port, Self.nginx(port, "/health"))
            #expect(health.contains("\"status\"") && !health.contains("dependencies"))
            let direct = Self.nginx(port, "/events/recent").replacing("HTTP/1.0", with: "HTTP/1.1")
            #expect(try await sendRaw(port, direct).hasPrefix("HTTP/1.1 200 "))
        }
    }

    /// Reading is open to all; addresses, folders and errors are not.
    @Test func whoMayReadSeesNoDetails() async throws {
        let key = try keys.make(.read)
        var open = AccessConfiguration()
        open.isAnonymousReadAllowed = true
        // Open to all; the same under a name; this machine's, open to all; this machine's.
        for (access, isTold) in [
            (open, false), (access(isReadByAll: true, isAlone: false, hosts: ["serve"]), false),
            (access(isReadByAll: true), true), (access(), true),
        ] {
            let fixture = fixture(access)
            fixture.health.report(
                "source", isRequired: true,
                HealthReport(.failed, "GET http://inside.example failed", detail: [("path", "/srv/x")]))
            func text(_ path: String, _ headers: HTTPHeaders) async -> String {
                var headers = headers
                headers.add("Host", "localhost")
                let reply = await fixture.reply(HTTPRequest(target: path, headers: headers))
                return String(decoding: reply.body, as: UTF8.self)
            }
            for path in ["/health", "/ready"] {
                #expect(await text(path, [:]).contains("inside.example") == isTold, "\(path)")
                #expect(await !text(path, ["Via": "1.1 p"]).contains("inside.example"), "\(path)")
                #expect(await text(path, ["X-API-Key": key]).contains("inside.example"), "\(path)")
            }
        }
    }

    /// `auto` gives this machine any number of streams; those that a proxy brings are counted as everywhere.
    @Test func streamsOfAProxyAreCounted() throws {
        var configuration = access(isReadByAll: true)
        configuration.local?.hasAnyNumberOfStreams = true
        let key = try keys.make(.read)
        let access = AccessGuard(configuration, hasKeys: true, metrics: MetricsRegistry())
        access.use(KeyRing(keys.read()))
        func isCounted(_ headers: HTTPHeaders, by access: AccessGuard) -> Bool {
            var headers = headers
            headers.add("Host", "localhost")
            return access.countsStreams(
                HTTPRequest(target: "/stream", headers: headers, client: IPAddress("127.0.0.1")))
        }
        #expect(!isCounted([:], by: access))
        #expect(isCounted(["X-Forwarded-For": "203.0.113.9"], by: access))
        #expect(isCounted(["Origin": "https://evil.example"], by: access))
        #expect(isCounted(["X-API-Key": key], by: access), "against the key")
        configuration.local?.hasAnyNumberOfStreams = false
        let limited = AccessGuard(configuration, hasKeys: false, metrics: MetricsRegistry())
        #expect(isCounted([:], by: limited), "a number was set")
    }
}
