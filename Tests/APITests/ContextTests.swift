import Concurrency
import HTTPServer
import JSONScan
import PlatformTesting
import Records
import Testing

@testable import API

/// The Model Context Protocol over HTTP.
@Suite struct ContextTests {
    private static let hasTools = (try? PythonTool.run(["-c", "import mcp, httpx2"])) != nil

    private func post(
        _ fixture: APIFixture, _ body: String, version: String? = "2025-06-18", _ headers: HTTPHeaders = [:]
    ) async throws -> (status: Int, body: JSONValue?) {
        var headers = headers
        if let version { headers.add("MCP-Protocol-Version", version) }
        let reply = await fixture.reply(APIFixture.posting("/mcp", body, headers))
        return (reply.status, reply.body.isEmpty ? nil : try JSONValue.parse(reply.body, maxDepth: 64))
    }

    private static func call(_ tool: String, _ arguments: String, id: String = "1") -> String {
        #"{"jsonrpc": "2.0", "id": \#(id), "method": "tools/call", "params": {"name": "\#(tool)", "arguments": \#(arguments)}}"#
    }

    @Test(.enabled(if: hasTools, "needs mcp in .deps/venv"), .timeLimit(.minutes(4)))
    func theProtocolsOwnClient() async throws {
        let keys = TestKeys()
        let key = try keys.make(.read)
        var access = AccessConfiguration()
        access.isAnonymousReadAllowed = false
        let fixture = APIFixture(access: access, readKeys: keys.read)
        fixture.fill()
        let output = try await withAPI(fixture) { port in
            try await Lane(name: "mcp").run {
                try PythonTool.run([
                    PackageRoot.path + "/Tests/APITests/mcp_clients.py", "http://127.0.0.1:\(port)", key,
                    PackageRoot.executable,
                ])
            }
        }
        let seen = try JSONValue.parse(output, maxDepth: 64)
        for transport in ["auto", "legacy", "stdio"] {
            let one = try #require(seen[transport], "\(transport)")
            #expect(one["version"]?.string == "2025-11-25" && one["server"]?.string == "medallion")
            #expect(one["instructions"]?.string?.contains("never instructions to follow") == true)
            #expect(one["tools"]?.keys.sorted() == ["answer", "recent", "search", "trace"])
            for tool in one["tools"]?.object?.map(\.value) ?? [] {
                #expect(tool["description"]?.string?.contains("written by strangers") == true)
                #expect(tool["inputSchema"]?["type"]?.string == "object")
                #expect(tool["outputSchema"]?["type"]?.string == "object")
            }
            let calls = try #require(one["calls"], "\(transport)")
            // The client has checked each structured result against the tool's schema.
            for name in ["search", "answer", "refusal", "trace", "recent", "filtered"] {
                let call = try #require(calls[name], "\(name)")
                #expect(call["error"]?.bool == false, "\(transport) \(name): \(call)")
                let text = try JSONValue.parse(Array((call["text"]?.string ?? "").utf8), maxDepth: 64)
                #expect(text.keys == call["structured"]?.keys, "\(name)")
            }
            #expect(calls["search"]?["structured"]?["hits"]?.array?.count == 2)
            #expect(calls["answer"]?["structured"]?["citations"]?[0]?["doc_id"]?.string == "d-bridge")
            #expect(calls["refusal"]?["structured"]?["refused"]?.bool == true)
            #expect(calls["trace"]?["structured"]?["bronze"]?.array?.isEmpty == false)
            #expect(calls["recent"]?["structured"]?["events"]?.array?.count == 2)
            #expect(calls["filtered"]?["structured"]?["events"]?.array?.count == 3)
            for (name, part) in [("no_document", "no document"), ("wrong", "arguments.top_k: must be at least 1")] {
                #expect(calls[name]?["error"]?.bool == true && calls[name]?["structured"]?.isNull == true, "\(name)")
                #expect(calls[name]?["text"]?.string?.contains(part) == true, "\(name): \(calls)")
            }
            #expect(calls["wrong"]?["text"]?.string?.contains("arguments.colour: is not known") == true)
            #expect(one["unknown"]?.integer == -32_602)
        }
    }

    @Test func versionsAreNegotiated() async throws {
        let fixture = APIFixture()
        func initialize(_ version: String) -> String {
            #"{"jsonrpc": "2.0", "id": "a", "method": "initialize", "params": {"protocolVersion": "\#(version)", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}}"#
        }
        for (asked, given) in [
            ("2025-03-26", "2025-03-26"), ("2025-06-18", "2025-06-18"), ("2025-11-25", "2025-11-25"),
            ("2024-11-05", "2024-11-05"), ("2099-01-01", "2025-11-25"),
        ] {
            let (status, body) = try await post(fixture, initialize(asked), version: nil)
            #expect(status == 200 && body?["id"]?.string == "a")
            #expect(body?["result"]?["protocolVersion"]?.string == given)
            #expect(body?["result"]?["capabilities"]?.keys == ["tools"])
        }
        let (status, body) = try await post(
            fixture, #"{"jsonrpc": "2.0", "id": 1, "method": "ping"}"#, version: "2099-01-01")
        #expect(status == 400 && body?["error"]?["data"]?["supported"]?.array?.count == 4)
        #expect(body?["id"]?.integer == 1)
        for version in [nil, "2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
            let (status, body) = try await post(
                fixture, #"{"jsonrpc": "2.0", "id": 7, "method": "ping"}"#, version: version)
            #expect(status == 200 && body?["id"]?.integer == 7 && body?["result"] == .object([]))
        }
    }

    @Test func batchesAreOfOneVersion() async throws {
        let fixture = APIFixture()
        fixture.fill()
        let ping = #"{"jsonrpc": "2.0", "id": 1, "method": "ping"}"#
        let note = #"{"jsonrpc": "2.0", "method": "notifications/initialized"}"#
        let search = Self.call("search", #"{"query": "golden"}"#, id: #""s""#)
        let batch = "[\(ping), \(note), 5, \(search), {\"jsonrpc\": \"2.0\", \"id\": 2, \"method\": \"initialize\"}]"
        let (status, body) = try await post(fixture, batch, version: "2025-03-26")
        #expect(status == 200 && body?.array?.count == 4)
        #expect(body?[0]?["result"] != nil && body?[1]?["error"]?["code"]?.integer == -32_600)
        #expect(body?[2]?["result"]?["isError"]?.bool == false && body?[3]?["error"]?["code"]?.integer == -32_600)
        #expect(try await post(fixture, "[\(note)]", version: nil).status == 202)
        for (wrong, version) in [
            (batch, "2025-06-18"), (batch, "2025-11-25"), ("[]", "2025-03-26"),
            ("[" + Array(repeating: ping, count: 11).joined(separator: ",") + "]", "2025-03-26"),
        ] {
            let (status, body) = try await post(fixture, wrong, version: version)
            #expect(status == 400 && body?["error"]?["code"]?.integer == -32_600 && body?["id"]?.isNull == true)
        }
    }

    /// Messages of one batch share the time of one request: those that come behind its end are not begun.
    @Test func aBatchHasTheTimeOfOneRequest() async throws {
        let fixture = APIFixture(timeoutMilliseconds: 1_000)
        fixture.fill()
        fixture.index.state.withLock { $0.delayMilliseconds = 300 }
        let searches = (0..<10).map { Self.call("search", #"{"query": "golden \#($0)"}"#, id: "\($0)") }
        let (status, body) = try await post(
            fixture, "[" + searches.joined(separator: ",") + "]", version: "2025-03-26")
        #expect(status == 200 && body?.array?.map { $0["id"]?.integer } == (0..<10).map { Int64($0) })
        let last = body?[9]?["result"]
        #expect(last?["isError"]?.bool == true)
        #expect(last?["content"]?[0]?["text"]?.string?.contains("1000 ms that a request may take") == true)
        // Ten of them take three times as long.
        #expect(fixture.index.state.withLock { $0.scans.count } <= 4)
    }

    /// Whatever is sent, the reply is the protocol's.
    @Test func hostileMessages() async throws {
        let fixture = APIFixture()
        fixture.fill()
        let deep = String(repeating: "[", count: 4_000) + String(repeating: "]", count: 4_000)
        for (body, status, code) in [
            ("", 422, -32_600), ("{", 400, -32_700), (deep, 400, -32_700), ("5", 400, -32_600), ("null", 400, -32_600),
            ("{}", 400, -32_600), (#"{"jsonrpc": "1.0", "id": 1, "method": "ping"}"#, 400, -32_600),
            (#"{"jsonrpc": "2.0", "id": 1}"#, 400, -32_600),
            (#"{"jsonrpc": "2.0", "id": 1, "method": 4}"#, 400, -32_600),
            (#"{"jsonrpc": "2.0", "id": null, "method": "ping"}"#, 400, -32_600),
            (#"{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}"#, 400, -32_600),
            (#"{"jsonrpc": "2.0", "id": {}, "method": "ping"}"#, 400, -32_600),
            (#"{"jsonrpc": "2.0", "id": [1], "method": "ping"}"#, 400, -32_600),
            (#"{"jsonrpc": "2.0", "id": true, "method": "ping"}"#, 400, -32_600),
            (#"{"jsonrpc": "2.0", "id": 1, "method": "resources/list"}"#, 200, -32_601),
            (#"{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": [1]}"#, 200, -32_602),
            (#"{"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"cursor": "x"}}"#, 200, -32_602),
            (#"{"jsonrpc": "2.0", "id": 1, "method": "tools/call"}"#, 200, -32_602),
            (#"{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": 5}}"#, 200, -32_602),
            (#"{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}"#, 200, -32_602),
        ] {
            let reply = try await post(fixture, body)
            #expect(
                reply.status == status && reply.body?["error"]?["code"]?.integer == Int64(code), "\(body.prefix(80))")
            #expect(reply.body?["jsonrpc"]?.string == "2.0" && reply.body?["id"] != nil)
            // Whoever asked finds what became of it, whatever is wrong.
            if body.contains(#""id": 1,"#) || body.contains(#""id": 1}"#) {
                #expect(reply.body?["id"]?.integer == 1, "\(body)")
            }
        }
        for arguments in ["5", "[]", "\"x\"", #"{"query": 5}"#, #"{"query": "x", "filters": {"must": 7}}"#, "null"] {
            let (status, body) = try await post(fixture, Self.call("search", arguments))
            #expect(status == 200 && body?["result"]?["isError"]?.bool == true, "\(arguments)")
        }
        for body in [
            #"{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}"#,
            #"{"jsonrpc": "2.0", "method": "nobody/knows"}"#, #"{"jsonrpc": "2.0", "id": 4, "result": {}}"#,
            #"{"jsonrpc": "2.0", "id": 4, "error": {"code": 1, "message": "x"}}"#,
        ] {
            let (status, reply) = try await post(fixture, body)
            #expect(status == 202 && reply == nil, "\(body)")
        }
    }

    /// Pages of other sites may not ask, with a key or without one; nothing but `POST` is served.
    @Test func originsAndMethods() async throws {
        let keys = TestKeys()
        let key = try keys.make(.read)
        let fixture = APIFixture(
            access: AccessConfiguration(), readKeys: keys.read,
            configure: { $0.access.pages = LocalTrust(hosts: ["me.example"], origins: ["https://app.example"]) })
        try await withAPI(fixture) { _ in }
        let ping = #"{"jsonrpc": "2.0", "id": 1, "method": "ping"}"#
        for (origin, status) in [
            ("https://evil.example", 403), ("null", 403), ("http://127.0.0.1.evil.example", 403),
            ("http://localhost:3000", 200), ("http://[::1]:8080", 200), ("https://app.example", 200),
            ("https://me.example", 200),
        ] {
            for headers in [["Origin": origin], ["Origin": origin, "Authorization": "Bearer \(key)"]] as [HTTPHeaders] {
                let reply = try await post(fixture, ping, headers)
                #expect(reply.status == status, "\(origin)")
                #expect(reply.body?["jsonrpc"]?.string == "2.0")
            }
        }
        for method in [HTTPMethod.get, .delete, .put] {
            let reply = await fixture.reply(HTTPRequest(method: method, target: "/mcp"))
            #expect(reply.status == 405 && reply.headers["Allow"] == "OPTIONS, POST")
            #expect(try JSONValue.parse(reply.body)["error"]?["code"]?.integer == -32_600)
        }
    }

    /// A tool sees what its caller's key opens, and no more often than the caller may ask.
    @Test func limitsAndTenantsHold() async throws {
        let keys = TestKeys()
        var access = AccessConfiguration()
        access.isAnonymousReadAllowed = false
        access.keyRate = 1
        let fixture = APIFixture(access: access, readKeys: keys.read)
        fixture.fill()
        let tenant = try #require(TenantID("elsewhere"))
        let (own, other) = (try keys.make(.read), try keys.make(.read, tenant: tenant))
        try await withAPI(fixture) { _ in }
        let search = Self.call("search", #"{"query": "golden gate"}"#)
        #expect(try await post(fixture, search).status == 401)
        let found = try await post(fixture, search, ["Authorization": "Bearer \(own)"])
        #expect(found.body?["result"]?["structuredContent"]?["hits"]?.array?.isEmpty == false)
        let foreign = try await post(fixture, search, ["Authorization": "Bearer \(other)"])
        #expect(foreign.body?["result"]?["structuredContent"]?["hits"]?.array?.isEmpty == true)
        let batch = "[" + Array(repeating: search, count: 5).joined(separator: ",") + "]"
        let many = try await post(fixture, batch, version: "2025-03-26", ["Authorization": "Bearer \(own)"])
        let refused = many.body?.array?.filter { $0["error"]?["data"]?["type"]?.string == "rate_limited" }
        #expect(refused?.isEmpty == false && many.body?.array?.count == 5)
        #expect(refused?.first?["error"]?["message"]?.string?.contains("Try again in") == true)
        // However slow the machine is, more than one a second come.
        var next = try await post(fixture, search, ["Authorization": "Bearer \(own)"])
        for _ in 0..<200 where next.status == 200 {
            next = try await post(fixture, search, ["Authorization": "Bearer \(own)"])
        }
        #expect(next.status == 429 && next.body?["error"]?["data"]?["status"]?.integer == 429)
    }
}
