import Files
import Foundation
import JSONScan
import PlatformTesting
import Testing

/// What `medallion ingest` says before it sends anything.
@Suite struct IngestCommandTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// - Parameter input: what standard input has, less than a pipe holds.
    private func run(
        _ arguments: [String], input: [UInt8] = []
    ) throws -> (status: Int32, output: String, complaints: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: PackageRoot.executable)
        process.arguments = ["ingest"] + arguments
        process.environment = ["DATA_DIR": folder.file("data")]
        process.currentDirectoryURL = URL(fileURLWithPath: folder.path)
        let (output, complaints) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = complaints
        let pipe = Pipe()
        process.standardInput = pipe
        try pipe.fileHandleForWriting.write(contentsOf: Data(input))
        try pipe.fileHandleForWriting.close()
        try process.run()
        // Both are short: neither pipe fills while the other is read.
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let words = String(decoding: complaints.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, text, words)
    }

    private func store(_ text: String, _ name: String) throws {
        try Folder.create(Folder.parent(of: folder.file(name)))
        try File.replace(folder.file(name), with: Array(text.utf8))
    }

    @Test("a source whose connector keeps its place in the topic is refused by name")
    func placeInTopic() throws {
        try store(
            Declarations.file(Declarations.source("pages", connector: #"{"type":"sse","url":"http://h/s"}"#)),
            "sources.json")
        try store(#"{"sku":"1","body":"a"}"#, "a.jsonl")
        for more in [["--dry-run"], []] {
            let result = try run(["a.jsonl", "--source", "pages"] + more)
            #expect(result.status == 64 && result.complaints.contains("--source pages: its connector (sse)"))
        }
        #expect(try run(["a.jsonl"]).status == 64)
    }

    @Test(
        "standard input that cannot be read is named",
        arguments: [
            ("jsonl", [], "empty"), ("jsonl", [0x7F, 0x45, 0x4C, 0x46, 0, 1, 0x0A], "binary"),
            ("jsonl", [0xFF, 0xFE, 0x7B, 0], "utf_16"), ("jsonl", Array("{\n".utf8), "not_json"),
            ("jsonl", Array("[1]\n".utf8), "not_an_object"), ("jsonl", Array(#"{"sku":"1""#.utf8), "incomplete"),
            ("csv", Array("name,body\n1,a\n".utf8), "header"), ("csv", Array("sku,\"bo\"dy\n1,a\n".utf8), "quote"),
            ("csv", Array("sku,body\n1\n".utf8), "columns"), ("text", [0x63, 0xE9], "not_utf_8"),
            ("markdown", Array(String(repeating: "<div>", count: 3_000).utf8), "too_deep"),
            ("html", Array("<nav>menu</nav>".utf8), "empty"),
        ] as [(String, [UInt8], String)])
    func standardInput(format: String, input: [UInt8], rule: String) throws {
        try store(Declarations.file(Declarations.source(connector: #"{"type":"none"}"#)), "sources.json")
        let result = try run(["-", "--format", format, "--dry-run", "--json"], input: input)
        #expect(result.status == 1, "\(result.complaints)")
        let json = try JSONValue.parse(Array(result.output.utf8))
        #expect(json["left_out"]?.object?.count == 1 && json["left_out"]?[rule]?.integer == 1, "\(result.output)")
        #expect(json["first_left_out"]?.array?.first?.string?.hasPrefix("standard input") == true)
        #expect(json["documents"]?.integer == 0)
    }

    @Test("two files that would be one document are refused by name")
    func sharedID() throws {
        try store(Declarations.file(Declarations.source(connector: #"{"type":"none"}"#)), "sources.json")
        try store("# A", "a/index.md")
        try store("# B", "b/index.md")
        let result = try run(["a", "b", "--dry-run"])
        #expect(result.status == 64)
        #expect(result.complaints.contains("a/index.md, b/index.md would all be the document index.md"))
    }

    @Test("a dry run tells what a stage keeps out of the index from what is deleted")
    func keptOut() throws {
        let logic =
            #"{"type":"document","fields":{"id":"sku","text":"body","deleted":"gone"},"text_characters_min":20}"#
        try store(Declarations.file(Declarations.source(connector: #"{"type":"none"}"#, logic: logic)), "sources.json")
        let lines = [
            #"{"sku":"1","body":"This text is long enough to be kept."}"#, #"{"sku":"2","body":"short"}"#,
            #"{"sku":"3","body":"tiny"}"#, #"{"sku":"4","gone":true}"#,
        ]
        try store(lines.joined(separator: "\n") + "\n", "a.jsonl")
        let result = try run(["a.jsonl", "--dry-run"])
        #expect(result.status == 0, "\(result.complaints)")
        #expect(result.output.contains("1 would be indexed, 0 would go to quarantine, 2 would be kept out"))
        #expect(result.output.contains("text_too_short 2") && result.output.contains("deleted: 1"))
        let json = try JSONValue.parse(Array(try run(["a.jsonl", "--dry-run", "--json"]).output.utf8))
        #expect(json["kept_out"]?["text_too_short"]?.integer == 2 && json["deleted"]?.integer == 1)
    }
}
