import Bytes
import Files
import Foundation
import JSONScan
import Logic
import PlatformTesting
import Records
import Testing

@testable import Sources

@Suite struct SourcesFileTests {
    static func parse(_ text: String) throws(DeclarationError) -> [SourceDeclaration] {
        guard let template = try? TextTemplate("{title}") else { return [] }
        return try SourcesFile.parse(
            Array(text.utf8), file: "sources.json", folder: "/etc/medallion",
            defaults: TransformSettings(template: template, wikis: ["dewiki"]))
    }

    @Test("what is right is accepted", arguments: Declarations.accepted)
    func accepted(text: String) throws {
        #expect(try !Self.parse(text).isEmpty)
    }

    @Test("what is wrong is refused at its place", arguments: Declarations.refused + Declarations.refusedByParser)
    func refused(text: String, place: String) throws {
        let error = #expect(throws: DeclarationError.self) { try Self.parse(text) }
        #expect(error?.faults.first?.place == place, "\(String(describing: error))")
        #expect(error?.description.hasPrefix("sources.json cannot be used:") == true)
    }

    /// The rows of the table in docs/sources.md.
    @Test(
        "a stage that is declared wrongly is refused with what it may be",
        arguments: [
            (#""text_characters_min":10001"#, "must be a whole number from 0 to 10000"),
            (#""near_duplicates_offsets":500001"#, "must be a whole number from 0 to 500000"),
            (
                #""near_duplicates_offsets":9,"near_duplicates_milliseconds":-1"#,
                "must be a whole number from 0 to 31536000000"
            ),
            (#""near_duplicates_offsets":9,"near_duplicates_distance":4"#, "must be a whole number from 0 to 3"),
            (#""near_duplicates_distance":1"#, "needs near_duplicates_offsets beside it"),
            (#""detects_language":1"#, "must be true or false"),
            (#""reputation":0"#, "must be a number from 0.1 to 10"),
            (#""passes_over":["a"]"#, "must be an object"),
            (#""passes_over":{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1}"#, "has 9 members; at most 8"),
            (#""passes_over":{"a..b":"c"}"#, "is no place in the object"),
            (#""passes_over":{"a":null}"#, "must be a text, a whole number, true or false"),
            (#""passes_over":{"a":""}"#, "must be a text of 1 to 255 bytes without U+0000"),
            (#""passes_over":{"a":1},"envelope":"debezium""#, "goes with documents as they are"),
            (#""text_character_min":5"#, "has no member \"text_character_min\"; known are "),
        ])
    func stageFaults(members: String, words: String) throws {
        let text = Declarations.file(Declarations.source(logic: Declarations.staged(members)))
        let error = #expect(throws: DeclarationError.self) { try Self.parse(text) }
        #expect(error?.faults.first?.reason.hasPrefix(words) == true, "\(String(describing: error))")
    }

    @Test("every fault is told at once, secrets are not")
    func allFaults() {
        let text = Declarations.file(
            Declarations.source("a b", connector: #"{"type":"sse","url":"hide:me@x"}"#, logic: Declarations.change),
            Declarations.source("b", logic: "{}"))
        let error = #expect(throws: DeclarationError.self) { try Self.parse(text) }
        #expect(error?.faults.map(\.place) == ["sources[0].name", "sources[0].connector.url", "sources[1].logic"])
        #expect(error?.description.contains("hide") == false)
    }

    @Test("what a declaration leaves out follows from its name, and logic from the environment")
    func defaults() throws {
        let source = try #require(try Self.parse(Declarations.file(Declarations.source())).first)
        #expect(source.topic == "products" && source.goldTopic == "products.gold")
        #expect(source.tenant == .standard && source.collection.name.text == "products")
        #expect(source.connector == .files(FilesDeclaration(folder: "/data/products")))
        let change = try #require(
            try Self.parse(
                Declarations.file(
                    Declarations.source(
                        connector: #"{"type":"none"}"#, logic: #"{"type":"recent_change","drops_bots":true}"#))
            ).first)
        guard case .recentChange(let settings) = change.logic else {
            Issue.record("not a recent change")
            return
        }
        #expect(settings.wikis == ["dewiki"] && settings.dropsBots)
        #expect(change.collection.attributes.map(\.name.text).contains("is_bot"))
    }

    @Test("a table's names follow from it, and a relative password file begins at the file's own folder")
    func table() throws {
        let text = Declarations.file(
            Declarations.source(
                connector:
                    #"{"type":"postgres","dsn":"host=db","table":"Blog.Articles","password_file":"secrets/shop"}"#,
                logic: Declarations.debezium))
        let source = try #require(try Self.parse(text).first)
        #expect(
            source.connector
                == .postgres(
                    PostgresDeclaration(
                        dsn: "host=db", password: .file("/etc/medallion/secrets/shop"), schema: "Blog",
                        table: "Articles",
                        slot: "medallion_blog_articles", publication: "medallion_blog_articles", snapshot: 1,
                        writesTombstones: true)))
        #expect(source.connector.members?.look().map(\.place) == ["password_file"])
        let other = Declarations.file(
            Declarations.source(
                connector: Declarations.postgres(#","password_env":"NO_SUCH_VARIABLE_HERE""#),
                logic: Declarations.debezium))
        #expect(try Self.parse(other).first?.connector.members?.look().map(\.place) == ["password_env"])
    }

    /// Else what is played again while its signature counts would be a new event.
    @Test("signed documents without version need a duplicate window as wide as their signatures count")
    func replays() throws {
        func text(_ connector: String, _ more: String) -> String {
            let logic = #"{"type":"document","fields":{"id":"a","text":"b"\#(more)}"#
            return Declarations.file(
                Declarations.source(
                    connector: #"{"type":"webhook"\#(connector)}"#, logic: logic))
        }
        let signed = #","secret_file":"/s""#
        for (connector, more) in [
            (signed, #","version":"v"}"#), ("", "}"), (signed + #","documents_per_second":149"#, "}"),
            (signed + #","documents_per_second":1000"#, #"},"duplicates_offsets":612000"#),
        ] {
            #expect(try Self.parse(text(connector, more)).count == 1, "\(connector) \(more)")
        }
        for (connector, more) in [
            (signed, "}"), (signed + #","documents_per_second":150"#, "}"),
            (signed + #","documents_per_second":1000"#, #"},"duplicates_offsets":611999"#),
        ] {
            let error = #expect(throws: DeclarationError.self) { try Self.parse(text(connector, more)) }
            #expect(error?.faults.first?.place == "sources[0]", "\(connector) \(more)")
        }
    }

    @Test("a relative folder begins at the file's own")
    func relativeFolder() throws {
        let text = Declarations.file(Declarations.source(connector: #"{"type":"files","folder":"data/x/"}"#))
        let source = try #require(try Self.parse(text).first)
        #expect(source.connector == .files(FilesDeclaration(folder: "/etc/medallion/data/x")))
    }

    /// What is shown to people is what is read.
    @Test func theExampleOfEventStreamsIsRead() throws {
        let text = try String(
            decoding: File.contents(of: PackageRoot.path + "/examples/event_streams.json"), as: UTF8.self)
        let sources = try Self.parse(text)
        #expect(sources.map(\.logic.kind) == [.recentChange, .document, .document])
        #expect(sources.map(\.collection.reputation) == [1, 1.5, 0.8])
        guard case .serverSentEvents(let stream) = sources[1].connector, case .document(let logic) = sources[1].logic
        else {
            Issue.record("no stream of documents")
            return
        }
        #expect(stream.eventID?.text == "meta.id" && stream.eventTime?.text == "meta.dt")
        #expect(stream.key?.text == "page_title" && stream.at(stream.url) == stream)
        #expect(logic.stages.nearDuplicates == .init(offsets: 50_000, milliseconds: 3_600_000, distance: 3))
        #expect(logic.stages.textCharactersMin == 20 && logic.stages.detectsLanguage)
        #expect(sources[1].logic.duplicateReach.offsets == 100_000)
    }

    @Test("stored logic reads back as it was, and an unknown member is refused")
    func storedLogic() throws {
        for text in Declarations.accepted {
            for source in try Self.parse(text) {
                let kind = source.logic.kind.rawValue
                let stored = String(decoding: source.logic.canonicalJSON, as: UTF8.self)
                #expect(try LogicSettings(kind: kind, stored: stored) == source.logic)
                #expect(throws: LogicError.self) { try LogicSettings(kind: "other", stored: stored) }
                guard case .document = source.logic else { continue }
                let future = stored.replacingOccurrences(of: #""logic":"#, with: #""future":1,"logic":"#)
                #expect(throws: LogicError.self) { try LogicSettings(kind: kind, stored: future) }
            }
        }
        #expect(throws: LogicError.self) { try LogicSettings(kind: "document", stored: #"{"code_version":3}"#) }
    }
}

/// A file with one logic, for a replay.
@Suite struct LogicFileTests {
    private func parse(_ text: String, of source: SourceDeclaration) throws -> LogicSettings {
        try LogicFile.parse(
            Array(text.utf8), file: "logic.json", of: source,
            defaults: TransformSettings(template: try TextTemplate("{title}"), wikis: ["dewiki"]))
    }

    @Test("a declaration's logic by itself; the attributes stay the collection's")
    func read() throws {
        var kinds: Set<LogicSettings.Kind> = []
        for text in Declarations.accepted {
            let sources = try SourcesFileTests.parse(text)
            let file = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
            for (source, value) in zip(sources, try #require(file["sources"] as? [[String: Any]])) {
                let logic = try JSONSerialization.data(withJSONObject: try #require(value["logic"]))
                #expect(try parse(String(decoding: logic, as: UTF8.self), of: source) == source.logic)
                kinds.insert(source.logic.kind)
            }
        }
        #expect(kinds.count == LogicSettings.Kind.allCases.count)
    }

    @Test("what is shown of a source's logic is read back as the same, with every member that was declared")
    func declaredJSON() throws {
        for source in try Declarations.accepted.flatMap({ try SourcesFileTests.parse($0) }) {
            let shown = try String(decoding: source.logic.declaredJSON(), as: UTF8.self)
            #expect(try parse(shown, of: source) == source.logic, "\(shown)")
            // Also as it comes back from a generation.
            let kind = source.logic.kind.rawValue
            let stored = String(decoding: source.logic.canonicalJSON, as: UTF8.self)
            #expect(try LogicSettings(kind: kind, stored: stored).declaredJSON() == Array(shown.utf8))
        }
    }

    @Test("another kind of logic, or none, is refused with its place")
    func refused() throws {
        let sources = try Declarations.accepted.flatMap { try SourcesFileTests.parse($0) }
        let source = try #require(sources.first { $0.logic.kind == .document })
        for (text, place) in [
            (#"{"type":"recent_change"}"#, "type"), ("{", "the file"), (#"{"type":"document"}"#, "the file"),
            (#"{"type":"document","fields":{"id":"a"}}"#, "fields"), ("[]", "the file"),
        ] {
            let error = #expect(throws: DeclarationError.self) { try parse(text, of: source) }
            #expect(error?.faults.first?.place == place, "\(text): \(error.map { "\($0)" } ?? "")")
        }
    }
}

/// The schema says of every example what the parser says: both are one contract.
@Suite struct SourcesSchemaTests {
    @Test func schemaAndParserAgree() throws {
        let folder = try TemporaryFolder()
        var lines: [String] = []
        for text in Declarations.accepted { lines.append(#"[true,\#(text)]"#) }
        let example = try String(
            decoding: File.contents(of: PackageRoot.path + "/examples/event_streams.json"), as: UTF8.self)
        lines.append("[true,\(example.split(separator: "\n").joined())]")
        for (text, _) in Declarations.refused { lines.append(#"[false,\#(text)]"#) }
        try File.replace(folder.file("examples.jsonl"), with: Array((lines.joined(separator: "\n") + "\n").utf8))
        let output = try PythonTool.run([
            PackageRoot.path + "/Tests/SourcesTests/sources_schema.py",
            PackageRoot.path + "/schemas/sources.schema.json", folder.file("examples.jsonl"),
        ])
        #expect(String(decoding: output, as: UTF8.self) == "\(lines.count) examples agree\n")
    }

    /// Every member that the schema knows is in an accepted example, so that none of its words goes untried.
    @Test func everyMemberIsTried() throws {
        let schema = try JSONValue.parse(
            File.contents(of: PackageRoot.path + "/schemas/sources.schema.json"), maxDepth: 64)
        var names: Set<String> = []
        func collect(_ value: JSONValue) {
            for (key, member) in value.object ?? [] {
                if key == "properties" { names.formUnion((member.object ?? []).map(\.key)) }
                collect(member)
            }
            for element in value.array ?? [] { collect(element) }
        }
        collect(schema)
        let tried = Declarations.accepted.joined()
        #expect(names.count > 25)
        #expect(names.filter { !tried.contains("\"\($0)\":") } == [])
    }
}
