import Files
import Foundation
import JSONScan
import PlatformTesting
import Testing

/// `medallion sources` as an operator runs it.
@Suite struct SourcesCommandTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func run(
        _ arguments: [String], environment: [String: String] = [:]
    ) throws -> (status: Int32, output: String, complaints: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: PackageRoot.executable)
        process.arguments = ["sources"] + arguments
        process.environment = environment.merging(["DATA_DIR": folder.file("data")]) { given, _ in given }
        process.currentDirectoryURL = URL(fileURLWithPath: folder.path)
        let (output, complaints) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = complaints
        try process.run()
        // Both are short: neither pipe fills while the other is read.
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let words = String(decoding: complaints.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, text, words)
    }

    private func store(_ text: String, _ name: String = "sources.json") throws {
        try Folder.create(Folder.parent(of: folder.file(name)))
        try File.replace(folder.file(name), with: Array(text.utf8))
    }

    @Test("without a file the environment is the declaration")
    func environment() throws {
        let result = try run(["ls", "--json"], environment: ["KAFKA_TOPIC": "edits", "KAFKA_GOLD_TOPIC": "texts"])
        #expect(result.status == 0)
        let source = try JSONValue.parse(Array(result.output.utf8))
        #expect(source["topic"]?.string == "edits" && source["gold_topic"]?.string == "texts")
        #expect(source["connector"]?["type"]?.string == "sse" && source["logic"]?.string == "recent_change")
        #expect(source["collection"]?["name"]?.string == "edits")
        let check = try run(["check"])
        #expect(check.status == 0 && check.output.hasPrefix("1 source, declared by the environment"))
    }

    @Test("a file is found in the working folder or in DATA_DIR, and two are one too many")
    func places() throws {
        let text = Declarations.file(Declarations.source(connector: #"{"type":"none"}"#))
        try store(text)
        var result = try run(["ls"])
        #expect(result.output.hasPrefix("products  none  products -> products.gold  document  default/products"))
        #expect(result.complaints == "declared by \(folder.file("sources.json"))\n")
        try store(text, "data/sources.json")
        result = try run(["ls"])
        #expect(result.status == 64 && result.complaints.contains("set SOURCES_FILE"))
        result = try run(["ls"], environment: ["SOURCES_FILE": "data/sources.json"])
        #expect(result.complaints == "declared by \(folder.file("data/sources.json"))\n")
        result = try run(["ls", "--file", "sources.json"])
        #expect(result.complaints == "declared by \(folder.file("sources.json"))\n")
        result = try run(["ls"], environment: ["SOURCES_FILE": "gone.json"])
        #expect(result.status == 1 && result.complaints.contains("gone.json"))
    }

    @Test("check names every fault and its place, and a folder that is not there")
    func check() throws {
        try store(Declarations.file(Declarations.source("a b"), Declarations.source(more: #""extra":1"#)))
        var result = try run(["check"])
        #expect(result.status == 1)
        #expect(result.complaints.contains("sources[0].name: must be a name"))
        #expect(result.complaints.contains("sources[1]: has no member \"extra\""))
        result = try run(["check", "--json"])
        let places = try result.output.split(separator: "\n").map {
            try JSONValue.parse(Array($0.utf8))["place"]?.string
        }
        #expect(result.status == 1 && places == ["sources[0].name", "sources[1]"])
        try store(Declarations.file(Declarations.source(connector: #"{"type":"files","folder":"data/in"}"#)))
        result = try run(["check"])
        #expect(result.status == 1 && result.complaints.contains("sources[0].connector.folder: cannot be read"))
        try Folder.create(folder.file("data/in"))
        result = try run(["check", "--json"])
        #expect(result.status == 0)
        #expect(try JSONValue.parse(Array(result.output.utf8))["sources"]?.integer == 1)
    }

    @Test("secrets of an address are not shown")
    func secrets() throws {
        let url = "https://user:secret@stream.example/x?token=abc"
        try store(
            Declarations.file(
                Declarations.source(
                    connector: #"{"type":"sse","url":"\#(url)"}"#, logic: Declarations.change)))
        for arguments in [["ls"], ["ls", "--json"], ["check"]] {
            let result = try run(arguments)
            #expect(result.status == 0)
            #expect(!(result.output + result.complaints).contains("secret"))
            #expect(!(result.output + result.complaints).contains("abc"))
        }
    }

    @Test("unknown words are refused", arguments: [[], ["add"], ["ls", "more"], ["ls", "--unknown"]])
    func usage(arguments: [String]) throws { #expect(try run(arguments).status == 64) }
}
