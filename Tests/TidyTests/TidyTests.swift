import Foundation
import Logic
import Settings
import Testing

/// The house rules, executed.
@Suite struct TidyTests {
    @Test func sourcesKeepTheRules() throws {
        let waivers = try Waivers.load()
        #expect(waivers.malformed.isEmpty, "waivers need a rule, a path and a reason")
        let sources = try Repository.swiftFiles(in: "Sources")
        let requirements = Rules.requirements(in: sources)
        let findings = sources.flatMap { Rules.findings(in: $0, requirements: requirements) }
        let tests = try Repository.swiftFiles(in: "Tests").flatMap { file in
            Rules.fileLength(of: file) + Rules.functionLengths(in: file)
                + Rules.forbiddenWords(in: file).filter { $0.rule != "fatalError" }
        }
        for finding in findings + tests where !waivers.covers(finding) { Issue.record("\(finding)") }
        let needed = Set((findings + tests).map { Waivers.Waiver(rule: $0.rule, path: $0.path) })
        for stale in waivers.reasons.keys where !needed.contains(stale) {
            Issue.record("waiver for \(stale.rule) in \(stale.path) is not needed any more: remove it")
        }
    }

    /// `UPDATE_GOLDEN=1 swift test --filter TidyTests` rewrites the page.
    @Test func settingsReferenceIsUpToDate() throws {
        let page = Repository.root.appending(path: "docs/settings.md")
        if ProcessInfo.processInfo.environment["UPDATE_GOLDEN"] == "1" {
            try Data(SettingsReference.markdown().utf8).write(to: page)
        }
        #expect(try Repository.text("docs/settings.md") == SettingsReference.markdown())
    }

    /// `UPDATE_GOLDEN=1 swift test --filter TidyTests` rewrites the file; so does `medallion settings --env`.
    @Test func theExampleOfAnEnvironmentIsUpToDate() throws {
        let file = Repository.root.appending(path: "infra/.env.example")
        if ProcessInfo.processInfo.environment["UPDATE_GOLDEN"] == "1" {
            try Data(SettingsEnvironment.text.utf8).write(to: file)
        }
        #expect(try Repository.text("infra/.env.example") == SettingsEnvironment.text)
    }

    /// Whatever the compose file takes from infra/.env can be looked up in the example.
    @Test func theExampleNamesWhatComposeTakes() throws {
        let known = Set(Settings.table.map(\.name) + SettingsEnvironment.compose.map(\.name))
        let compose = try Repository.text("infra/docker-compose.yml")
        let taken = Set(compose.matches(of: /\$\{([A-Z][A-Z0-9_]*)/).map { String($0.output.1) })
        #expect(taken.subtracting(known) == [])
        #expect(Set(SettingsEnvironment.compose.map(\.name)).subtracting(taken) == [], "nobody takes these any more")
        // The defaults that it gives there are those that the example shows.
        for match in compose.matches(of: /\$\{([A-Z][A-Z0-9_]*):-([^}]*)\}/) {
            let name = String(match.output.1)
            guard let ours = SettingsEnvironment.compose.first(where: { $0.name == name }) else { continue }
            #expect(ours.value == match.output.2, "\(name)")
        }
    }

    /// Settings cannot import the domain, so the default stands in both.
    @Test func theDefaultTemplateIsTheTransforms() throws {
        #expect(try Settings(environment: [:]).logic.textTemplate == TextTemplate.standard)
    }

    @Test func migrationsAreInOrder() throws {
        for folder in ["migrations", "migrations/deferred"] {
            let names = try Repository.paths(in: folder).map { $0.dropFirst(folder.count + 1) }
                .filter { $0.hasSuffix(".sql") && !$0.contains("/") }
            let versions = names.compactMap { name in name.firstMatch(of: /^V(\d{4})__[a-z0-9_]+\.sql$/)?.output.1 }
            #expect(versions.count == names.count, "migrations are named V0001__create_documents.sql: \(names)")
            #expect(versions == versions.sorted() && Set(versions).count == versions.count, "\(names)")
        }
    }

    /// Nothing in the repository may depend on the machine it was written on.
    @Test func noPathOfADevelopersMachine() throws {
        let folders = ["Sources", "Tests", "docs", "tools", "migrations", "schemas", "infra", "monitoring", "examples"]
        let single = try FileManager.default.contentsOfDirectory(atPath: Repository.root.path)
            .filter { $0.hasSuffix(".md") || ["Package.swift", "Makefile"].contains($0) }
        let pattern = try Regex("(^|[^A-Za-z0-9_.])/(work|home|Users)" + "/[a-z]")
        for path in try folders.flatMap({ try Repository.paths(in: $0) }) + single {
            guard let text = try? Repository.text(path) else { continue }
            for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
            where line.contains(pattern) {
                Issue.record("\(path):\(index + 1): an absolute path: \(line.prefix(160))")
            }
        }
    }
}

/// The rules' own tests: each finds what it should, and not what it should not.
@Suite struct RulesTests {
    private func file(_ text: String, path: String = "Sources/Services/Broker/X.swift") -> SourceFile {
        SourceFile(path: path, text: text)
    }

    @Test func commentsAndLiteralsAreNotCode() {
        let text = ##"""
            let a = "try! \(b("as! \(c!)")) x" // fatalError
            let d = """
                try! "quoted" \(e)
                """
            let f = #"try! \#(g) \(h!)"# /* as! */ + i
            """##
        let masked = CodeMask.mask(text)
        #expect(!masked.contains("try!") && !masked.contains("fatalError") && !masked.contains("as!"))
        #expect(masked.contains("c!") && masked.contains("e") && masked.contains("g") && masked.contains("+ i"))
        #expect(!masked.contains("h!"))
        #expect(masked.utf8.count == text.utf8.count)
    }

    @Test func forceUnwrapsAreFound() {
        #expect(Rules.forceUnwraps(in: file("let x = y!.z\nlet q = a[0]!\nvar p: T!")).count == 3)
        #expect(Rules.forceUnwraps(in: file("if !x && a != b, c!=1 {}\nx ? !y : !z\ntry! f()")).isEmpty)
    }

    @Test func functionLengthsAreCounted() {
        let long = "    package static func f(\n    ) {\n" + String(repeating: "        g()\n", count: 70) + "    }\n"
        #expect(Rules.functionLengths(in: file("struct S {\n" + long + "}\n")).count == 1)
        let short = "protocol P {\n    func a()\n    func b() -> Int\n}\n" + String(repeating: "let x = 1\n", count: 90)
        #expect(Rules.functionLengths(in: file(short)).isEmpty)
    }

    @Test func missingCommentsAreFound() {
        let text = """
            package struct A {
                /// What it is.
                package var b: Int
                package var c: Int

                package var d: Int
                package init(x: Int) {}

                package init() throws {}
                package var description: String { "" }
                func e() {}
            }
            """
        #expect(Rules.missingComments(in: file(text)).map(\.line) == [1, 6, 9])
        let names = Rules.requirements(in: [
            file("package protocol P {\n    var d: Int { get }\n    func f()\n}\nlet g = 1")
        ])
        #expect(names == ["d", "f"])
        #expect(Rules.missingComments(in: file(text), requirements: names).map(\.line) == [1, 9])
    }

    @Test(arguments: [
        ("Sources/Domain/Lake/X.swift", "import Telemetry", true),
        ("Sources/Domain/Lake/X.swift", "import Files", false),
        ("Sources/Domain/Records/X.swift", "package import Files", true),
        ("Sources/Clients/Kafka/X.swift", "import Files", true),
        ("Sources/Clients/Kafka/X.swift", "import CRDKafka", false),
        ("Sources/Services/Broker/X.swift", "import CEvent", true),
        ("Sources/Services/Broker/X.swift", "import struct Bytes.Hex", false),
        ("Sources/Services/Broker/X.swift", "import Ingest", true),
        ("Sources/Services/Replay/X.swift", "import StreamJob", true),
        ("Sources/Services/Replay/X.swift", "import Indexer", true),
        ("Sources/Services/Replay/X.swift", "import KafkaAccess", false),
        ("Sources/medallion/X.swift", "import Broker", false), ("Sources/medallion/X.swift", "import Nothing", true),
        ("Sources/medallion/Commands/X.swift", "import Benchmarks", false),
        ("Sources/Benchmarks/Hostile/X.swift", "import Broker", false),
        ("Sources/Services/Broker/X.swift", "import Benchmarks", true),
        ("Sources/Console/X.swift", "import Broker", true),
        ("Sources/Clients/HTTPServer/X.swift", "import EventLoop", false),
    ])
    func arrowsGoDownOnly(path: String, line: String, isRefused: Bool) {
        #expect(Rules.layering(of: file(line, path: path)).isEmpty != isRefused)
    }
}
