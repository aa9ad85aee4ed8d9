import Concurrency
import Foundation
import JSONScan
import PlatformTesting
import Testing

@testable import API

/// The examples, run as their page says.
@Suite struct ExamplesTests {
    private static let hasOpenAI = (try? PythonTool.run(["-c", "import openai"])) != nil
    private static let question = "who repainted the golden gate bridge towers?"

    private func run(
        _ name: String, _ port: UInt16, key: String? = nil
    ) async throws -> String {
        try await Lane(name: "example").run {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: PackageRoot.path + "/.deps/venv/bin/python")
            process.arguments = [PackageRoot.path + "/examples/\(name)", Self.question]
            process.environment = ["MEDALLION_URL": "http://127.0.0.1:\(port)", "PATH": "/usr/bin:/bin"]
            if let key { process.environment?["MEDALLION_API_KEY"] = key }
            let output = Pipe()
            process.standardOutput = output
            try process.run()
            let said = output.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            #expect(process.terminationStatus == 0, "\(name)")
            return String(decoding: said, as: UTF8.self)
        }
    }

    /// With a key and without one.
    private func withFixtures(_ body: @escaping @Sendable (UInt16, String?) async throws -> Void) async throws {
        let open = APIFixture()
        open.fill()
        try await withAPI(open) { port in try await body(port, nil) }
        let keys = TestKeys()
        let key = try keys.make(.read)
        var access = AccessConfiguration()
        access.isAnonymousReadAllowed = false
        let closed = APIFixture(access: access, readKeys: keys.read)
        closed.fill()
        try await withAPI(closed) { port in try await body(port, key) }
    }

    @Test func searchAndAnswer() async throws {
        try await withFixtures { port, key in
            let text = try await run("search_and_answer.py", port, key: key)
            #expect(text.contains("Found:\n") && text.contains("repainted towers"), "\(text)")
            #expect(text.contains("  [1] Golden Gate Bridge  https://"), "\(text)")
            #expect(text.contains("unchanged: True"), "\(text)")
        }
    }

    @Test(.enabled(if: hasOpenAI, "needs openai in .deps/venv")) func openAIClient() async throws {
        try await withFixtures { port, key in
            let text = try await run("openai_client.py", port, key: key)
            #expect(text.contains("repainted towers"), "\(text)")
            #expect(text.contains("[1] Golden Gate Bridge  https://") && text.contains("/trace/d-bridge"), "\(text)")
        }
    }

    /// The command of the configuration, as a client would start it.
    @Test func contextConfiguration() async throws {
        let bytes = try Data(contentsOf: URL(fileURLWithPath: PackageRoot.path + "/examples/mcp.json"))
        let server = try #require(try JSONValue.parse(Array(bytes))["mcpServers"]?["medallion"])
        #expect(server["command"]?.string == "medallion")
        let arguments = server["args"]?.array?.compactMap(\.string) ?? []
        let fixture = APIFixture()
        fixture.fill()
        #expect(arguments.dropLast() == ["mcp", "--url"] && arguments.last?.hasPrefix("http://127.0.0.1:") == true)
        try await withAPI(fixture) { port in
            let command = arguments.dropLast() + ["http://127.0.0.1:\(port)"]
            let said = try await Lane(name: "mcp").run {
                let process = Process()
                process.executableURL = URL(fileURLWithPath: PackageRoot.executable)
                process.arguments = Array(command)
                process.environment = ["MEDALLION_API_KEY": server["env"]?["MEDALLION_API_KEY"]?.string ?? "?"]
                let (input, output) = (Pipe(), Pipe())
                process.standardInput = input
                process.standardOutput = output
                try process.run()
                try input.fileHandleForWriting.write(
                    contentsOf: Data((#"{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}"# + "\n").utf8))
                try input.fileHandleForWriting.close()
                let said = output.fileHandleForReading.readDataToEndOfFile()
                process.waitUntilExit()
                return try JSONValue.parse(Array(said), maxDepth: 64)
            }
            #expect(said["result"]?["tools"]?.array?.count == 4)
        }
    }
}
