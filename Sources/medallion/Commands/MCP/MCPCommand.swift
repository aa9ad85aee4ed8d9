import API
import Concurrency
import Console
import Files
import Settings

/// `medallion mcp`: the tools of a running API for a program that starts its servers itself and speaks to them over standard
/// input and output.
struct MCPCommand: Command {
    static let name = "mcp"
    static let summary = "Serves search, answer, trace and recent to a language model's client (MCP over stdio)."
    static let table = ArgumentTable(options: [
        .init(name: "--url", value: "URL", help: "The API's address, in place of API_LISTEN."),
        .init(
            name: "--key-file", value: "FILE", help: "A file with the API's key, in place of MEDALLION_API_KEY."),
        APIClient.tenantOption,
    ])
    static let details = """
        Messages are lines of JSON on standard input and output, as the Model Context Protocol has it; everything else goes
        to standard error. The API must be running (medallion up): its keys, tenants and limits hold. Ends with its input.
        """

    private let url: String?
    private let keyFile: String?
    private let tenant: String?
    /// A key is a line of text.
    private static let keyBytesMax = 65_536

    init(_ arguments: ParsedArguments) throws {
        url = arguments.value("--url")
        keyFile = arguments.value("--key-file")
        tenant = try APIClient.tenant(arguments)
    }

    func run(_ context: Context) async throws {
        let api = APIClient(settings: context.settings, url: url, key: try keyFile.map(Self.key), tenant: tenant)
        let relay = ContextRelay(api)
        let lines = MessageLines(bytesMax: SearchAPI.bodyBytesMax)
        let reading = Lane(name: "mcp-input")
        try await withThrowingTaskGroup(of: Void.self) { group in
            var running = 0
            while let line = try await reading.run({ try lines.next() }) {
                guard let work = relay.take(line) else { continue }
                // A handshake settles the version that everything behind it is sent with.
                if work.isHandshake {
                    try await relay.run(work)
                    continue
                }
                if running == ContextRelay.takenMax {
                    try await group.next()
                    running -= 1
                }
                running += 1
                group.addTask { try await relay.run(work) }
            }
            // What was asked before the input ended is answered.
            try await group.waitForAll()
        }
    }

    private static func key(in file: String) throws -> String {
        let bytes: [UInt8]
        do throws(FileError) { bytes = try File.contents(of: file, bytesMax: keyBytesMax) } catch {
            throw Failure("--key-file: \(error)", code: .usage)
        }
        guard let word = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace).first else {
            throw Failure("--key-file: \(file) is empty", code: .usage)
        }
        return String(word)
    }
}
