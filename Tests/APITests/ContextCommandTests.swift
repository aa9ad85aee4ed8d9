import Concurrency
import Foundation
import HTTPServer
import JSONScan
import PlatformTesting
import Synchronization
import Testing

@testable import API

/// `medallion mcp`: lines in, lines out, whatever the lines are.
@Suite struct ContextCommandTests {
    /// Runs the command over `input` to its end.
    private func run(
        _ input: String, port: UInt16, arguments: [String] = []
    ) async throws -> (output: [JSONValue], complaints: String, code: Int32) {
        try await Lane(name: "mcp").run {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: PackageRoot.executable)
            process.arguments = ["mcp", "--url", "http://127.0.0.1:\(port)"] + arguments
            process.environment = [:]
            let (lines, output, complaints) = (Pipe(), Pipe(), Pipe())
            process.standardInput = lines
            process.standardOutput = output
            process.standardError = complaints
            try process.run()
            let writing = Thread {
                try? lines.fileHandleForWriting.write(contentsOf: Data(input.utf8))
                try? lines.fileHandleForWriting.close()
            }
            writing.start()
            let said = output.fileHandleForReading.readDataToEndOfFile()
            let told = complaints.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            // Each line is a message and nothing else.
            let messages = try said.split(separator: 0x0A).map { try JSONValue.parse(Array($0), maxDepth: 64) }
            return (messages, String(decoding: told, as: UTF8.self), process.terminationStatus)
        }
    }

    private func reply(_ id: JSONValue, in messages: [JSONValue]) -> JSONValue? {
        messages.first { $0["id"] == id }
    }

    @Test(.timeLimit(.minutes(2))) func hostileLines() async throws {
        let fixture = APIFixture()
        fixture.fill()
        let deep = String(repeating: "[", count: 100_000)
        let lines = [
            #"{"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}}"#,
            #"{"jsonrpc": "2.0", "method": "notifications/initialized"}"#, "", "\r", "{", deep, "hello", "\u{0}\u{1}",
            String(repeating: "x", count: 10 << 20), #"{"jsonrpc": "2.0", "id": "a", "method": "tools/list"}"# + "\r",
            #"{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}"#,
            #"{"jsonrpc": "2.0", "id": 2, "method": "nobody/knows"}"#,
            #"[{"jsonrpc": "2.0", "id": 3, "method": "ping"}]"#,
            #"{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 77}}"#,
            #"{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": 5}"#,
            #"{"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": {"name": "search", "arguments": {"query": "golden gate"}}}"#,
            // The end cuts it short.
            #"{"jsonrpc": "2.0", "id": 5, "meth"#,
        ]
        let (messages, complaints, code) = try await withAPI(fixture) { port in
            try await run(lines.joined(separator: "\n"), port: port)
        }
        #expect(code == 0 && complaints.isEmpty, "\(complaints)")
        #expect(reply(.integer(0), in: messages)?["result"]?["protocolVersion"]?.string == "2025-06-18")
        #expect(reply(.string("a"), in: messages)?["result"]?["tools"]?.array?.count == 4)
        #expect(reply(.integer(2), in: messages)?["error"]?["code"]?.integer == -32_601)
        // The version was settled before, and has no batches.
        #expect(reply(.integer(3), in: messages)?["error"]?["code"]?.integer == -32_600)
        #expect(
            reply(.integer(4), in: messages)?["result"]?["structuredContent"]?["hits"]?.array?.isEmpty == false)
        let codes = messages.filter { $0["id"]?.isNull == true }.compactMap { $0["error"]?["code"]?.integer }
        // Four lines that are no JSON and one that was cut, one too long, one with an id of another kind.
        #expect(codes.sorted() == [-32_700, -32_700, -32_700, -32_700, -32_700, -32_600, -32_600].sorted(), "\(codes)")
        #expect(messages.count == 5 + codes.count)
    }

    /// Nobody answers, somebody else does, or the key is wrong: each request is told, and standard output stays the protocol's.
    @Test(.timeLimit(.minutes(2))) func whatIsInTheWay() async throws {
        let list = #"{"jsonrpc": "2.0", "id": 9, "method": "tools/list"}"# + "\n"
        let nobody = try await run(list, port: UInt16(try TestPorts.free()))
        #expect(nobody.code == 0 && reply(.integer(9), in: nobody.output)?["error"]?["code"]?.integer == -32_603)
        #expect(
            reply(.integer(9), in: nobody.output)?["error"]?["message"]?.string?.contains("medallion up") == true)
        var router = HTTPRouter()
        router.on(.post, "/mcp", sync: { _ in .text("no", status: 502) })
        let stranger = HTTPServer(configuration: HTTPServerConfiguration(), router: router)
        let port = try stranger.start()
        defer { stranger.stop(drainSeconds: 0) }
        let foreign = try await run(list, port: port)
        #expect(reply(.integer(9), in: foreign.output)?["error"]?["message"]?.string?.contains("502") == true)
        let keys = TestKeys()
        let key = try keys.make(.read)
        var access = AccessConfiguration()
        access.isAnonymousReadAllowed = false
        try await withAPI(APIFixture(access: access, readKeys: keys.read)) { port in
            let refused = try await run(list, port: port)
            #expect(reply(.integer(9), in: refused.output)?["error"]?["data"]?["status"]?.integer == 401)
            let folder = try TemporaryFolder()
            try Data("\(key)\n".utf8).write(to: URL(fileURLWithPath: folder.file("key")))
            let welcome = try await run(list, port: port, arguments: ["--key-file", folder.file("key")])
            #expect(reply(.integer(9), in: welcome.output)?["result"]?["tools"]?.array?.count == 4)
            let missing = try await run(list, port: port, arguments: ["--key-file", folder.file("none")])
            #expect(missing.code == 64 && missing.output.isEmpty && missing.complaints.contains("--key-file"))
        }
    }

    /// What a client gives up ends at the API, and gets no reply.
    @Test(.timeLimit(.minutes(2))) func aRequestIsCancelled() async throws {
        let server = try ModelServer(.hangs("{"))
        defer { server.stop() }
        let fixture = ModelAnswerTests.fixture([server], milliseconds: 25_000)
        let messages = try await withAPI(fixture) { port in
            try await Lane(name: "mcp").run {
                let process = Process()
                process.executableURL = URL(fileURLWithPath: PackageRoot.executable)
                process.arguments = ["mcp", "--url", "http://127.0.0.1:\(port)"]
                let (lines, output) = (Pipe(), Pipe())
                process.standardInput = lines
                process.standardOutput = output
                try process.run()
                func say(_ text: String) throws {
                    try lines.fileHandleForWriting.write(contentsOf: Data((text + "\n").utf8))
                }
                try say(
                    #"{"jsonrpc": "2.0", "id": "q", "method": "tools/call", "params": {"name": "answer", "arguments": {"query": "who repainted the golden gate bridge towers?"}}}"#
                )
                for _ in 0..<6_000 where server.asked.withLock(\.isEmpty) { sleepMilliseconds(5) }
                try say(#"{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "q"}}"#)
                for _ in 0..<6_000 where server.left.withLock(\.isEmpty) { sleepMilliseconds(5) }
                try say(#"{"jsonrpc": "2.0", "id": 2, "method": "ping"}"#)
                try lines.fileHandleForWriting.close()
                let said = output.fileHandleForReading.readDataToEndOfFile()
                process.waitUntilExit()
                return try said.split(separator: 0x0A).map { try JSONValue.parse(Array($0)) }
            }
        }
        #expect(server.left.withLock(\.count) == 1)
        #expect(messages.compactMap { $0["id"] } == [.integer(2)])
    }

    /// How many requests a server has at once.
    private final class Presence: Sendable {
        struct Counts { var (now, most, all) = (0, 0, 0) }
        let counts = Mutex(Counts())

        func enter() {
            counts.withLock { counts in
                counts.now += 1
                counts.all += 1
                counts.most = max(counts.most, counts.now)
            }
        }

        func leave() { counts.withLock { $0.now -= 1 } }
    }

    /// More requests than may be under way: eight are, the others wait for their turn, and each gets its reply.
    @Test(.timeLimit(.minutes(2))) func manyRequestsAtOnce() async throws {
        let presence = Presence()
        var router = HTTPRouter()
        router.on(.post, "/mcp") { request, writer in
            let id = try JSONValue.parse(request.body)["id"]?.integer ?? -1
            presence.enter()
            // Until as many are here as will come, with a limit.
            for _ in 0..<1_000 where presence.counts.withLock({ $0.most < 8 }) {
                try await Task.sleep(for: .milliseconds(5))
            }
            // Long enough for a ninth, if one would come.
            try await Task.sleep(for: .milliseconds(20))
            presence.leave()
            writer.respond(
                HTTPResponse(
                    status: 200, headers: ["Content-Type": "application/json"],
                    body: Array(#"{"jsonrpc":"2.0","id":\#(id),"result":{}}"#.utf8)))
        }
        let server = HTTPServer(configuration: HTTPServerConfiguration(), router: router)
        let port = try server.start()
        defer { server.stop(drainSeconds: 0) }
        let lines = (0..<100).map { #"{"jsonrpc": "2.0", "id": \#($0), "method": "ping"}"# + "\n" }
        let (messages, complaints, code) = try await run(lines.joined(), port: port)
        #expect(code == 0 && complaints.isEmpty, "\(complaints)")
        #expect(messages.count == 100 && messages.allSatisfy { $0["result"] != nil })
        #expect(Set(messages.compactMap { $0["id"]?.integer }) == Set(0..<100))
        let counts = presence.counts.withLock { $0 }
        #expect(counts.all == 100 && counts.most == 8)
    }
}
