import Foundation
import Testing

/// Package.swift as SwiftPM understands it, however it is written.
struct Manifest: Decodable {
    struct Target: Decodable {
        let name: String
        let path: String?
        let type: String
        let dependencies: [Dependency]
    }

    /// `{"byName": ["Bytes", null]}`: what a dependency on a target of the same package looks like.
    struct Dependency: Decodable {
        let name: String

        init(from decoder: any Decoder) throws {
            let kinds = try decoder.singleValueContainer().decode([String: [String?]].self)
            guard let name = kinds.values.first?.first, let name else {
                throw DecodingError.dataCorrupted(
                    .init(codingPath: decoder.codingPath, debugDescription: "a dependency without a name: \(kinds)"))
            }
            self.name = name
        }
    }

    let targets: [Target]

    /// A scratch folder of its own, so that nobody's build is waited for.
    static func load() throws -> Manifest {
        let scratch = FileManager.default.temporaryDirectory.appending(path: "manifest-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: scratch) }
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [
            "swift", "package", "--package-path", Repository.root.path, "--scratch-path", scratch.path, "dump-package",
        ]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "swift package dump-package, with the swift of PATH")
        return try JSONDecoder().decode(Manifest.self, from: text)
    }

    /// Imports of other targets that a target's declaration does not name.
    static func undeclared(_ target: Target, files: [SourceFile], targets: Set<String>) -> [String] {
        let declared = Set(target.dependencies.map(\.name)).union([target.name])
        return files.flatMap { file in
            Rules.imports(in: file).filter { targets.contains($0.module) && !declared.contains($0.module) }
                .map {
                    "\(file.path):\($0.line): \(target.name) imports \($0.module), which Package.swift does not say"
                }
        }
    }
}

/// SwiftPM's own check (`--explicit-target-dependency-import-check`) takes what a dependency depends on for declared, and
/// leaves out every target with embedded resources and all that stand on one.
@Suite struct ManifestTests {
    @Test func everyTargetDeclaresWhatItImports() throws {
        let manifest = try Manifest.load()
        let names = Set(manifest.targets.map(\.name))
        #expect(names.count > 40)
        for target in manifest.targets where target.type != "system" {
            let path = try #require(target.path, "\(target.name)")
            for finding in Manifest.undeclared(target, files: try Repository.swiftFiles(in: path), targets: names) {
                Issue.record("\(finding)")
            }
        }
    }

    @Test func anImportThatIsNotDeclaredIsFound() throws {
        let text = #"{"name": "A", "path": "Sources/A", "type": "regular", "dependencies": [{"byName": ["B", null]}]}"#
        let target = try JSONDecoder().decode(Manifest.Target.self, from: Data(text.utf8))
        let file = SourceFile(
            path: "Sources/A/a.swift", text: "import B\n@testable import C\nimport Foundation\nimport A\n")
        let findings = Manifest.undeclared(target, files: [file], targets: ["A", "B", "C"])
        #expect(findings.count == 1 && findings.allSatisfy { $0.contains("a.swift:2") && $0.contains("imports C") })
    }
}
