import Foundation
import Testing

/// docs/troubleshooting.md goes by exact message, so each of its headings is held against the sources.
@Suite struct TroubleshootingTests {
    static let page = "docs/troubleshooting.md"
    /// How far apart the parts of one message may stand in a source, in characters.
    static let spanMax = 700

    /// The messages of a page: headings in backticks, cut at each `…`, which stands for what differs.
    static func messages(in text: String) -> [[String]] {
        text.split(separator: "\n").compactMap { line in
            line.wholeMatch(of: /### `(.+)`/).map { match in
                match.output.1.split(separator: "…").map { $0.trimmingCharacters(in: .whitespaces) }
                    .filter { !$0.isEmpty }
            }
        }
    }

    /// A source with the literals of one message joined, whether by `+` or, in a shell script, as arguments.
    static func joined(_ source: String) -> String {
        source.replacing(/"\s*\+\s*"/, with: "").replacing(/" \\\n\s*"/, with: " ")
    }

    /// Whether all parts stand close together and in this order.
    static func holds(_ source: String, _ parts: [String]) -> Bool {
        guard let first = parts.first else { return false }
        return source.ranges(of: first).contains { start in
            var rest = source[start.upperBound...].prefix(spanMax)
            for part in parts.dropFirst() {
                guard let found = rest.range(of: part) else { return false }
                rest = rest[found.upperBound...]
            }
            return true
        }
    }

    /// What is wrong with a page.
    ///
    /// - Parameter sources: by path.
    static func findings(page: String, sources: [String: String]) -> [String] {
        let texts = sources.mapValues { Self.joined($0) }
        return messages(in: page).compactMap { parts in
            let holders = texts.filter { holds($0.value, parts) }
            if holders.isEmpty { return "no source says “\(parts.joined(separator: "…"))”" }
            let isNamed = holders.values.contains { $0.contains(Self.page) }
            return isNamed ? nil : "\(holders.keys.sorted()) do not name \(Self.page) beside “\(parts[0])”"
        }
    }

    @Test func everyMessageIsOneThatIsSaid() throws {
        let paths = try Repository.paths(in: "Sources").filter { $0.hasSuffix(".swift") } + ["tools/setup.sh"]
        let sources = try Dictionary(uniqueKeysWithValues: paths.map { ($0, try Repository.text($0)) })
        let page = try Repository.text(Self.page)
        #expect(Self.messages(in: page).count >= 20)
        for finding in Self.findings(page: page, sources: sources) { Issue.record("\(finding)") }
    }

    @Test func aMessageThatIsNotSaidIsFound() {
        let source = """
            throw Failure("the port \\(port) is " + "taken; see docs/troubleshooting.md")
            fail "this is missing;" \\
                "install it"
            """
        let page = "### `the port … is taken`\n\n### `this is missing; install it`\n\n### `the disk is gone`\n"
        #expect(Self.findings(page: page, sources: ["a": source]) == ["no source says “the disk is gone”"])
        #expect(Self.findings(page: "### `taken … the port`", sources: ["a": source]).count == 1)
        let mute = source.replacing("; see docs/troubleshooting.md", with: "")
        #expect(Self.findings(page: page, sources: ["a": mute]).count == 3)
    }

    /// Which Swift is needed stands in several places.
    @Test func oneVersionOfSwiftIsNamed() throws {
        let pattern = /(?:Swift|SWIFT_VERSION|swift_version|swift-tools-version|swift)[ :=-]+(\d+\.\d+)/
        var versions: [String: Set<Substring>] = [:]
        for path in [
            "README.md", "Package.swift", "tools/setup.sh", "infra/Dockerfile", "CONTRIBUTING.md",
            ".github/workflows/ci.yml", Self.page,
        ] {
            versions[path] = Set(try Repository.text(path).matches(of: pattern).map(\.output.1))
        }
        let setUp = try #require(versions["tools/setup.sh"])
        #expect(setUp.count == 1)
        #expect(versions.values.allSatisfy { $0 == setUp }, "\(versions)")
    }
}
