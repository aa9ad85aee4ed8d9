import Bytes
import Files
import Foundation
import JSONScan
import Logic
import PlatformTesting
import Records
import Testing

@testable import Sources

/// Declarations as people write them, right and wrong.
enum Declarations {
    static let files = #"{"type":"files","folder":"/data/products"}"#
    static let document = #"{"type":"document","fields":{"id":"sku","text":"body"}}"#
    static let change = #"{"type":"recent_change"}"#

    static func source(
        _ name: String = "products", connector: String = files, logic: String = document, more: String = ""
    ) -> String {
        #"{"name":"\#(name)","connector":\#(connector),"logic":\#(logic)\#(more.isEmpty ? "" : "," + more)}"#
    }

    static func file(_ sources: String...) -> String { #"{"sources":[\#(sources.joined(separator: ","))]}"# }

    private static func logic(_ fields: String, _ more: String = "") -> String {
        #"{"type":"document","fields":\#(fields)\#(more)}"#
    }

    private static func attributes(_ text: String) -> String {
        source(more: #""collection":{"attributes":\#(text)}"#)
    }

    static let accepted: [String] = [
        file(source()),
        #"{"$schema":"./schemas/sources.schema.json","sources":[\#(source())]}"#,
        file(source("a"), source("b")),
        file(source("a"), source("b", more: #""tenant":"t","collection":{"name":"a"}"#)),
        file(
            source(
                "a", more: #""tenant":"t","topic":"x","gold_topic":"y","collection":{"name":"c","retention_days":30}"#)),
        file(source(connector: #"{"type":"none"}"#)),
        file(source(connector: #"{"type":"webhook"}"#)),
        file(
            source(connector: #"{"type":"webhook","secret_file":"secrets/hook","documents_per_second":100}"#),
            source("b", connector: #"{"type":"documents","documents_per_second":1}"#)),
        file(source(connector: #"{"type":"none"}"#, logic: change)),
        file(source(connector: #"{"type":"sse","url":"https://h/s?x=1"}"#, logic: change)),
        file(
            source(
                connector:
                    #"{"type":"files","folder":"data","poll_seconds":0.5,"settle_seconds":1,"line_bytes_max":1024,"files_max":1}"#
            )),
        file(
            source(
                connector: #"{"type":"none"}"#,
                logic:
                    #"{"type":"recent_change","code_version":2,"template":"{title}","wikis":["enwiki"],"types":["edit"],"namespaces":[0,-1],"drops_bots":true,"content_characters_max":50,"duplicates_offsets":0,"duplicates_milliseconds":1}"#
            )),
        file(
            source(
                logic: logic(
                    #"{"id":"a.b","version":"v","title":"t","text":["t","b"],"url":"u","lang":"l","time":"d","deleted":"x","truncated":"y.z"}"#,
                    #","code_version":1,"content_characters_max":100000,"duplicates_offsets":5,"duplicates_milliseconds":5,"passage_weight_max":100,"passage_overlap":20"#
                ))),
        file(
            attributes(
                #"{"price":{"type":"number","path":"price.amount","filter":false},"in_stock":{"type":"bool"},"made":{"type":"time"},"n":{"type":"integer"},"s":{"type":"string"}}"#
            )),
    ]

    /// Refused by parser and schema alike, with the place that the parser names.
    static let refused: [(text: String, place: String)] = [
        ("[]", "the file"), ("{}", "the file"), (#"{"sources":[]}"#, "sources"), (#"{"sources":{}}"#, "sources"),
        (#"{"sources":[\#(source())],"source":1}"#, "the file"),
        (file("1"), "sources[0]"), (file("{}"), "sources[0]"),
        (file(source("")), "sources[0].name"), (file(source("a b")), "sources[0].name"),
        (file(source("..")), "sources[0].name"), (file(source("ü")), "sources[0].name"),
        (file(source(String(repeating: "a", count: 250))), "sources[0].name"),
        (file(source("a"), source(more: #""extra":1"#)), "sources[1]"),
        (file(source(more: #""tenant":"""#)), "sources[0].tenant"),
        (file(source(more: #""topic":"a/b""#)), "sources[0].topic"),
        (file(source(more: #""gold_topic":7"#)), "sources[0].gold_topic"),
        (file(source(connector: "{}")), "sources[0].connector"),
        (file(source(connector: #"{"type":"ftp"}"#)), "sources[0].connector.type"),
        (file(source(connector: #"{"type":"files"}"#)), "sources[0].connector"),
        (file(source(connector: #"{"type":"none","folder":"x"}"#)), "sources[0].connector"),
        (file(source(connector: #"{"type":"webhook"}"#, logic: change)), "sources[0]"),
        (file(source(connector: #"{"type":"documents"}"#, logic: change)), "sources[0]"),
        (file(source(connector: #"{"type":"webhook","secret":"x"}"#)), "sources[0].connector"),
        (file(source(connector: #"{"type":"documents","secret_file":"x"}"#)), "sources[0].connector"),
        (file(source(connector: #"{"type":"webhook","secret_file":""}"#)), "sources[0].connector.secret_file"),
        (file(source(connector: #"{"type":"webhook","secret_file":"a/../b"}"#)), "sources[0].connector.secret_file"),
        (file(source(connector: #"{"type":"webhook","secret_file":"a/"}"#)), "sources[0].connector.secret_file"),
        (
            file(source(connector: #"{"type":"webhook","documents_per_second":0}"#)),
            "sources[0].connector.documents_per_second"
        ),
        (
            file(source(connector: #"{"type":"documents","documents_per_second":1.5}"#)),
            "sources[0].connector.documents_per_second"
        ),
        (file(source(connector: #"{"type":"files","folder":""}"#)), "sources[0].connector.folder"),
        (file(source(connector: #"{"type":"files","folder":"/"}"#)), "sources[0].connector.folder"),
        (file(source(connector: #"{"type":"files","folder":"a/../b"}"#)), "sources[0].connector.folder"),
        (file(source(connector: #"{"type":"files","folder":".."}"#)), "sources[0].connector.folder"),
        (
            file(source(connector: #"{"type":"files","folder":"a","poll_seconds":0}"#)),
            "sources[0].connector.poll_seconds"
        ),
        (file(source(connector: #"{"type":"files","folder":"a","files_max":1.5}"#)), "sources[0].connector.files_max"),
        (
            file(source(connector: #"{"type":"files","folder":"a","line_bytes_max":2000000}"#)),
            "sources[0].connector.line_bytes_max"
        ),
        (file(source(connector: #"{"type":"sse","url":"ftp://h"}"#, logic: change)), "sources[0].connector.url"),
        (file(source(connector: #"{"type":"sse","url":"http:///x"}"#, logic: change)), "sources[0].connector.url"),
        (file(source(connector: #"{"type":"sse","url":"http://h"}"#)), "sources[0]"),
        (file(source(logic: change)), "sources[0]"),
        (file(source(logic: "7")), "sources[0].logic"), (file(source(logic: "{}")), "sources[0].logic"),
        (file(source(logic: #"{"type":"row"}"#)), "sources[0].logic.type"),
        (file(source(logic: #"{"type":"document"}"#)), "sources[0].logic"),
        (file(source(logic: logic(#"{"id":"a"}"#))), "sources[0].logic.fields"),
        (file(source(logic: logic(#"{"id":"a","text":[]}"#))), "sources[0].logic.fields.text"),
        (file(source(logic: logic(#"{"id":"a.","text":"b"}"#))), "sources[0].logic.fields.id"),
        (file(source(logic: logic(#"{"id":"a.b.c.d.e.f.g.h.i","text":"b"}"#))), "sources[0].logic.fields.id"),
        (file(source(logic: logic(#"{"id":"a","text":"b","name":"c"}"#))), "sources[0].logic.fields"),
        // Offsets of several topic partitions tell nothing of what is older.
        (file(source(logic: logic(#"{"id":"a","text":"b","truncated":"c"}"#))), "sources[0].logic.fields"),
        (
            file(source(logic: logic(#"{"id":"a","text":"b","version":"v","truncated":true}"#))),
            "sources[0].logic.fields.truncated"
        ),
        (
            file(source(logic: logic(#"{"id":"a","text":"b"}"#, #","content_characters_max":49"#))),
            "sources[0].logic.content_characters_max"
        ),
        (file(source(logic: logic(#"{"id":"a","text":"b"}"#, #","code_version":2"#))), "sources[0].logic.code_version"),
        (
            file(source(connector: #"{"type":"none"}"#, logic: #"{"type":"recent_change","wikis":[""]}"#)),
            "sources[0].logic.wikis[0]"
        ),
        (
            file(source(connector: #"{"type":"none"}"#, logic: #"{"type":"recent_change","namespaces":["0"]}"#)),
            "sources[0].logic.namespaces[0]"
        ),
        (file(attributes(#"{"Price":{"type":"number"}}"#)), "sources[0].collection.attributes.Price"),
        (file(attributes(#"{"price":{"type":"money"}}"#)), "sources[0].collection.attributes.price.type"),
        (file(attributes(#"{"price":{}}"#)), "sources[0].collection.attributes.price"),
        (file(attributes(#"{"lang":{"type":"string"}}"#)), "sources[0].collection.attributes.lang"),
        (
            file(attributes(#"{"price":{"type":"number","filter":1}}"#)),
            "sources[0].collection.attributes.price.filter"
        ),
        (
            file(
                source(
                    connector: #"{"type":"none"}"#, logic: change,
                    more: #""collection":{"attributes":{"a":{"type":"bool"}}}"#)),
            "sources[0].collection.attributes"
        ),
    ]

    /// What only the parser can say.
    static let refusedByParser: [(text: String, place: String)] = [
        ("{", "the file"), (#"{"sources":[\#(source())],"sources":[\#(source())]}"#, "the file"),
        (file(source("a"), source("a", more: #""topic":"x","collection":{"name":"c"}"#)), "sources[1].name"),
        (file(source("a"), source("b", more: #""topic":"a""#)), "sources[1].topic"),
        (file(source("a"), source("b", more: #""topic":"a.gold""#)), "sources[1].topic"),
        (file(source("a", more: #""gold_topic":"a""#)), "sources[0].gold_topic"),
        (file(source("a"), source("b", more: #""collection":{"name":"a"}"#)), "sources[1].collection"),
        (
            file(
                source("a", more: #""tenant":"t""#), source("b", more: #""tenant":"t","collection":{"name":"a"}"#)),
            "sources[1].collection"
        ),
        (file(source(String(repeating: "a", count: 248))), "sources[0]"),
        (
            file(source(connector: #"{"type":"none"}"#, logic: #"{"type":"recent_change","template":"{x}"}"#)),
            "sources[0].logic.template"
        ),
        (
            file(source(logic: logic(#"{"id":"\#(String(repeating: "ü", count: 200))","text":"b"}"#))),
            "sources[0].logic.fields.id"
        ),
        (
            file(source(logic: logic(#"{"id":"a","text":"b","version":"v","truncated":"deleted"}"#))),
            "sources[0].logic.fields.truncated"
        ),
    ]
}

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
