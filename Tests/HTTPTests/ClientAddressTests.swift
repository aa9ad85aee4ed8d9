import Bytes
import HTTPServer
import Synchronization
import Testing

/// Who a request is counted against, where proxies stand between.
@Suite struct ClientAddressTests {
    static let proxies = ["10.0.0.0/8", "2001:db8:ffff::/48"].compactMap { IPAddressRange($0) }

    struct Case: Sendable {
        var peer: String
        var fields: [String]
        var client: String
    }

    @Test(arguments: [
        Case(peer: "198.51.100.7", fields: ["192.0.2.1"], client: "198.51.100.7"),
        Case(peer: "10.0.0.1", fields: [], client: "10.0.0.1"),
        Case(peer: "10.0.0.1", fields: ["192.0.2.1"], client: "192.0.2.1"),
        Case(peer: "10.0.0.1", fields: ["6.6.6.6, 192.0.2.1"], client: "192.0.2.1"),
        Case(peer: "10.0.0.1", fields: ["6.6.6.6, 192.0.2.1, 10.2.3.4"], client: "192.0.2.1"),
        Case(peer: "10.0.0.1", fields: ["6.6.6.6", "192.0.2.1"], client: "192.0.2.1"),
        Case(peer: "10.0.0.1", fields: ["192.0.2.1,garbage"], client: "10.0.0.1"),
        Case(peer: "10.0.0.1", fields: ["192.0.2.1,"], client: "10.0.0.1"),
        Case(peer: "10.0.0.1", fields: ["garbage, 10.2.2.2"], client: "10.2.2.2"),
        Case(peer: "10.0.0.1", fields: ["192.0.2.1:4711"], client: "192.0.2.1"),
        Case(peer: "10.0.0.1", fields: ["[2001:db8::5]:4711"], client: "2001:db8::5"),
        Case(peer: "10.0.0.1", fields: ["2001:db8::5, 2001:db8:ffff::1"], client: "2001:db8::5"),
    ]) func readsForwardedFor(one: Case) throws {
        let trust = ProxyTrust(proxies: Self.proxies)
        var headers: HTTPHeaders = ["Forwarded": "for=7.7.7.7"]
        for field in one.fields { headers.add("X-Forwarded-For", field) }
        #expect(trust.client(peer: try #require(IPAddress(one.peer)), headers: headers) == IPAddress(one.client))
    }

    @Test(arguments: [
        Case(peer: "198.51.100.7", fields: ["for=192.0.2.1"], client: "198.51.100.7"),
        Case(peer: "10.0.0.1", fields: ["for=192.0.2.1;proto=https;by=10.0.0.1"], client: "192.0.2.1"),
        Case(peer: "10.0.0.1", fields: ["proto=http;For=\"[2001:db8::5]:80\""], client: "2001:db8::5"),
        Case(peer: "10.0.0.1", fields: ["for=6.6.6.6, for=192.0.2.1, for=10.9.9.9"], client: "192.0.2.1"),
        Case(peer: "10.0.0.1", fields: ["for=6.6.6.6, for=_hidden"], client: "10.0.0.1"),
        Case(peer: "10.0.0.1", fields: ["for=6.6.6.6, proto=https"], client: "10.0.0.1"),
        Case(peer: "10.0.0.1", fields: ["for=unknown"], client: "10.0.0.1"),
    ]) func readsForwarded(one: Case) throws {
        let trust = ProxyTrust(proxies: Self.proxies, header: .forwarded)
        var headers: HTTPHeaders = ["X-Forwarded-For": "7.7.7.7"]
        for field in one.fields { headers.add("Forwarded", field) }
        #expect(trust.client(peer: try #require(IPAddress(one.peer)), headers: headers) == IPAddress(one.client))
    }

    @Test func handlersAndLogsSeeTheClient() throws {
        var router = HTTPRouter()
        router.on(.get, "/who", sync: { .text($0.client?.description ?? "?") })
        let logged = Mutex<[String]>([])
        try withServer(
            router,
            configure: { $0.proxyTrust = ProxyTrust(proxies: [IPAddressRange("127.0.0.1")].compactMap { $0 }) },
            observe: { exchange in logged.withLock { $0.append(exchange.client?.description ?? "?") } }
        ) { port in
            let socket = try RawSocket(port: port)
            for (field, client) in [("X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1"), ("", "127.0.0.1")] {
                socket.send("GET /who HTTP/1.1\r\nHost: a\r\n\(field)\r\n")
                #expect(RawReply(socket)?.body == client)
            }
            #expect(logged.withLock { $0 } == ["192.0.2.1", "127.0.0.1"])
        }
    }
}
