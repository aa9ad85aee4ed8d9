import Bytes
import Derivation
import Files
import Hashing
import JSONScan
import Lake
import Logic
import PlatformTesting
import Records
import Sources
import Testing

/// Holds every member of the closed set of logic to what DerivedLines, `schemas/` and docs/lake.md say.
@Suite struct LogicConformanceTests {
    /// A kind of logic with events that it takes, flags and rejects.
    struct Member {
        let settings: LogicSettings
        /// The same but for a setting that no line shows.
        let others: LogicSettings
        let silverSchema: String
        let events: [[UInt8]]

        init(_ kind: LogicSettings.Kind) throws {
            let examples = PackageRoot.path + "/schemas/examples/"
            let poison = ["{}", "[]", "{\"id\":", "{\"meta\":{\"id\":7},\"id\":true}"].map { Array($0.utf8) }
            let long = String(repeating: "A sentence that fills a passage, with some others. ", count: 60)
            switch kind {
            case .recentChange:
                var settings = TransformSettings(
                    template: try TextTemplate(TextTemplate.standard), contentCharactersMax: 100_000,
                    duplicates: .init(offsets: 0, milliseconds: 0))
                self.settings = .recentChange(settings)
                settings.duplicates = .init(offsets: 0, milliseconds: 1)
                others = .recentChange(settings)
                silverSchema = "silver"
                let example = try File.contents(of: examples + "events.jsonl").split(separator: 0x0A).map(Array.init)
                let text = String(decoding: example[0], as: UTF8.self)
                let longer = text.replacing(/"comment":"/) { _ in #""comment":"\#(long)"# }
                events = example + [Array(longer.utf8)] + poison
            case .document:
                func path(_ text: String) throws -> FieldPath { try #require(FieldPath(text)) }
                let price = try #require(AttributeName("price"))
                var settings = DocumentSettings(
                    mapping: DocumentMapping(
                        id: try path("sku"), version: try path("rev"), title: try path("name"),
                        texts: [try path("name"), try path("about.body")], url: try path("link"),
                        time: try path("updated"), deleted: try path("gone"), truncated: try path("emptied")),
                    attributes: [MappedAttribute(price, .number, at: try path("price.amount"))],
                    duplicates: .init(offsets: 0, milliseconds: 0))
                self.settings = .document(settings)
                settings.duplicates = .init(offsets: 0, milliseconds: 1)
                others = .document(settings)
                silverSchema = "document_silver"
                let example = try File.contents(of: examples + "document/events.jsonl").split(separator: 0x0A)
                    .map(Array.init)
                let longer = #"{"sku":"L","rev":2,"name":"Long","about":{"body":"\#(long)"}}"#
                events = example + [Array(longer.utf8)] + poison
            }
        }
    }

    /// What one record became.
    struct Made: Equatable {
        var silver: [UInt8]
        var gold: [UInt8]
        var quarantine: [UInt8]
        var ids: [[UInt8]]

        func parsed(_ text: [UInt8]) throws -> JSONValue? { try text.isEmpty ? nil : JSONValue.parse(text) }
    }

    private static let place = TopicPartition(topic: "events", partition: 2)

    private func processor(_ settings: LogicSettings) throws -> RecordProcessor {
        var processor = try RecordProcessor(source: Self.place, writesBronze: false)
        let stored = try TopicLogic(settings, tenant: .standard, collection: "things")
        // What a generation stores is all that runs.
        #expect(try stored.read() == settings)
        try processor.add(
            LakeGeneration(
                number: 1, parent: nil, logic: .byTopic([Self.place.topic: stored]), state: .active))
        return processor
    }

    private func make(_ event: [UInt8], offset: Int64, _ processor: inout RecordProcessor) throws -> Made {
        processor.removeLines()
        try event.withUnsafeBytes { value in
            _ = try processor.process(
                SourceRecord(
                    topic: Self.place.topic, partition: Self.place.partition, offset: offset,
                    timestampMilliseconds: 1_800_000_000_000, key: nil, eventID: Array("s-\(offset)".utf8),
                    value: value))
        }
        let lines = processor.generations[0].lines
        let ids = processor.gold.map { Array(processor.goldIDs[$0.documentID]) }
        return Made(silver: lines.silver, gold: lines.gold, quarantine: lines.quarantine, ids: ids)
    }

    @Test("the same bytes again, and after any other records", arguments: LogicSettings.Kind.allCases)
    func pure(kind: LogicSettings.Kind) throws {
        let member = try Member(kind)
        var alone: [Made] = []
        for (offset, event) in member.events.enumerated() {
            var fresh = try processor(member.settings)
            alone.append(try make(event, offset: Int64(offset), &fresh))
        }
        // The trial has some of each, and passages.
        #expect(alone.contains { !$0.gold.isEmpty } && alone.contains { !$0.quarantine.isEmpty })
        let passages = try alone.map { try $0.parsed($0.gold)?["passages"]?.array?.count ?? 0 }
        #expect(passages.contains { $0 > 1 })
        var generator = SeededGenerator(seed: LongTests.seed(5))
        var shared = try processor(member.settings)
        for offset in 0..<Int64(100) {
            let number = Int.random(in: 0..<member.events.count, using: &generator)
            var fresh = try processor(member.settings)
            let expected = try make(member.events[number], offset: offset, &fresh)
            let made = try make(member.events[number], offset: offset, &shared)
            #expect(made == expected, "\(kind), event \(number) at \(offset)")
        }
    }

    @Test("each line says where it is from and by what logic", arguments: LogicSettings.Kind.allCases)
    func lineage(kind: LogicSettings.Kind) throws {
        let member = try Member(kind)
        var processor = try processor(member.settings)
        let version = try TopicLogic(member.settings, tenant: .standard, collection: "things").logicVersion
        var hasher = try SHA256Hasher()
        for (offset, event) in member.events.enumerated() {
            let made = try make(event, offset: Int64(offset), &processor)
            let hash = try event.withUnsafeBytes { try hasher.hash($0).hex }
            let (silver, gold) = (try made.parsed(made.silver), try made.parsed(made.gold))
            for line in [silver, gold].compactMap(\.self) {
                #expect(line["lineage"]?["logic_version"]?.string == version)
                let parents = line["lineage"]?["parents"]?.array ?? []
                #expect(parents.count == 1 && parents[0]["topic"]?.string == "events")
                #expect(parents[0]["partition"]?.integer == 2 && parents[0]["offset"]?.integer == Int64(offset))
                #expect(parents[0]["bronze_sha256"]?.string == hash)
                #expect(parents[0]["event_id"]?.string?.isEmpty == false)
            }
            // The id that is lent is the line's, if it is a document's; what is rejected has nothing but its line in quarantine.
            #expect(
                gold.map { $0["doc_id"]?.string ?? "" } == made.ids.first.map { String(decoding: $0, as: UTF8.self) })
            #expect(gold == nil || (gold?["doc_id"] == nil) == (gold?["operation"]?.string == "delete_below"))
            #expect(made.ids.count == (gold == nil ? 0 : 1))
            #expect(gold == nil || silver != nil)
            if let quarantined = try made.parsed(made.quarantine) {
                #expect(silver == nil && gold == nil)
                #expect(quarantined["offset"]?.integer == Int64(offset))
                #expect(quarantined["logic_version"]?.string == version)
            }
        }
    }

    /// Against `schemas/`, and with another program's SHA-256.
    @Test(arguments: LogicSettings.Kind.allCases) func linesFitTheirSchemas(kind: LogicSettings.Kind) throws {
        let member = try Member(kind)
        var processor = try processor(member.settings)
        let folder = try TemporaryFolder()
        var (silver, gold, quarantine): ([UInt8], [UInt8], [UInt8]) = ([], [], [])
        for (offset, event) in member.events.enumerated() {
            let made = try make(event, offset: Int64(offset), &processor)
            silver += made.silver
            gold += made.gold
            quarantine += made.quarantine
        }
        for (name, text) in [("silver", silver), ("gold", gold), ("quarantine", quarantine)] {
            #expect(!text.isEmpty)
            try File.replace(folder.file(name + ".jsonl"), with: text)
        }
        _ = try PythonTool.run([
            PackageRoot.path + "/Tests/PlatformTesting/derived_lines.py", PackageRoot.path + "/schemas", folder.path,
            member.silverSchema,
        ])
    }

    /// `content_hash` decides what a replay calls changed: it covers the whole line but lineage.
    @Test(arguments: LogicSettings.Kind.allCases) func theContentHashLeavesLineageOut(kind: LogicSettings.Kind) throws {
        let member = try Member(kind)
        let index = try #require(
            try member.events.indices.first { index in
                var processor = try processor(member.settings)
                return try !make(member.events[index], offset: 0, &processor).gold.isEmpty
            })
        let event = member.events[index]
        func gold(_ event: [UInt8], _ settings: LogicSettings, offset: Int64) throws -> JSONValue {
            var processor = try processor(settings)
            let made = try make(event, offset: offset, &processor)
            return try #require(try made.parsed(made.gold))
        }
        let base = try gold(event, member.settings, offset: 0)
        let elsewhere = try gold(event, member.settings, offset: 9)
        let otherwise = try gold(event, member.others, offset: 0)
        #expect(base["content_hash"]?.string?.count == 64)
        for other in [elsewhere, otherwise] {
            #expect(other["content_hash"] == base["content_hash"] && other["lineage"] != base["lineage"])
        }
        #expect(otherwise["lineage"]?["logic_version"] != base["lineage"]?["logic_version"])
        // Another title is in no text here, but in the line.
        let title = try #require(base["title"]?.string)
        let renamed = String(decoding: event, as: UTF8.self).replacing(
            #""\#(title.prefix(3))"#, with: #""Other \#(title.prefix(3))"#)
        let changed = try gold(Array(renamed.utf8), member.settings, offset: 0)
        #expect(changed["title"] != base["title"] && changed["content_hash"] != base["content_hash"])
    }
}
