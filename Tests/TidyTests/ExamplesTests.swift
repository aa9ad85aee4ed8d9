import Foundation
import Settings
import Testing

/// What the examples set and name exists. Programs among them are run by the tests of what they ask.
@Suite struct ExamplesTests {
    @Test func everyExampleIsInTheList() throws {
        let names = try Repository.paths(in: "examples").map { $0.dropFirst("examples/".count) }
        let page = try Repository.text("examples/README.md")
        for name in names where name != "README.md" { #expect(page.contains("[\(name)](\(name))"), "\(name)") }
        #expect(names.count == 7)
    }

    @Test func ollamasSettingsAreRead() throws {
        let script = try Repository.text("examples/ollama.sh")
        let command = try #require(script.split(separator: "\n").last { $0.hasSuffix("medallion up") })
        let pairs = command.split(separator: " ").dropLast(2).map { $0.split(separator: "=", maxSplits: 1) }
        let settings = try Settings(
            environment: Dictionary(uniqueKeysWithValues: pairs.map { (String($0[0]), String($0[1])) }))
        #expect(settings.languageModel.url.revealed == "http://127.0.0.1:11434/v1")
        #expect(settings.suspects.isEmpty, "all of them are known")
        #expect(script.contains("ollama pull \(settings.languageModel.name)\n"))
        #expect(settings.languageModel.timeoutMilliseconds < Int(settings.source.requestTimeoutSeconds * 1_000))
    }
}
