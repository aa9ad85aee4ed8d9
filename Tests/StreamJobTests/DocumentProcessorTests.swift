import Bytes
import Derivation
import Files
import JSONScan
import Lake
import Logic
import PlatformTesting
import Records
import Sources
import Testing

/// A source of documents for tests.
enum DocumentSource {
    static let topic = "products"

    static func settings(
        title: String = "name", texts: [String] = ["text"], window: DuplicateWindow.Limits = .init()
    ) throws -> DocumentSettings {
        func path(_ text: String) throws -> FieldPath { try #require(FieldPath(text)) }
        let name = try #require(AttributeName("price"))
        return DocumentSettings(
            mapping: DocumentMapping(
                id: try path("id"), title: try path(title), texts: try texts.map { try path($0) },
                deleted: try path("deleted")),
            attributes: [MappedAttribute(name, .number, at: try path("price.amount"))], duplicates: window)
    }

    static func document(_ id: String, text: String = "A lamp", name: String = "Lamp") -> String {
        #"{"id":"\#(id)","name":"\#(name)","text":"\#(text)","price":{"amount":3.5}}"#
    }
}

/// The envelope's rules hold for documents, too; what is special to recent changes does not.
@Suite struct DocumentProcessorTests {
    @Test func documentsBecomeLines() throws {
        var driver = try ProcessorDriver([.document(DocumentSource.settings())])
        driver.addHeader(EventIDHeader.header, "s-1")
        let first = try driver.feed(DocumentSource.document("a"))
        #expect(first.isAccepted)
        let gold = try #require(try driver.gold.first)
        #expect(gold["doc_id"]?.string == "a" && gold["text"]?.string == "A lamp")
        #expect(gold["attributes"]?["price"]?.double == 3.5)
        #expect(try driver.silver.first?["event_id"]?.string == "s-1")
        // No `meta`, and a domain that would tell a canary.
        driver.addHeader(EventIDHeader.header, "s-2")
        let second = try driver.feed(#"{"id":"b","text":"B","meta":{"domain":"canary","id":"s-1"}}"#)
        #expect(second.isAccepted)
        #expect(try driver.silver.count == 2)
    }

    /// Kafka's mark that a key is gone, behind the deletion that says the same.
    @Test func tombstonesOfAnEnvelopeAreNothing() throws {
        var enveloped = try DocumentSource.settings()
        enveloped.envelope = .debezium
        var driver = try ProcessorDriver([.document(enveloped), .document(DocumentSource.settings())])
        driver.key = Array(#"{"id":"a"}"#.utf8)
        let put = try driver.feed(#"{"op":"c","before":null,"after":{"id":"a","name":"n","text":"A lamp"}}"#)
        let deletion = try driver.feed(#"{"op":"d","before":{"id":"a"},"after":null}"#)
        let tombstone = try driver.feed(nil)
        let message = try driver.feed(#"{"op":"m","message":{"prefix":"p","content":""}}"#)
        #expect(put.isAccepted && deletion.isAccepted && tombstone.isAccepted && message.isAccepted)
        let lines = driver.processor.generations.map(\.lines)
        #expect(lines[0].silverCount == 2 && lines[0].quarantineCount == 0)
        #expect(driver.processor.canaryCount == 2 && driver.processor.bronzeCount == 4)
        // Other logic of the topic goes by its own rules.
        #expect(lines[1].silverCount == 0 && lines[1].quarantineCount == 4)
        #expect(lines[1].rejects[.nullPayload] == 1)
    }

    @Test func envelopeRulesHold() throws {
        var driver = try ProcessorDriver([.document(DocumentSource.settings())])
        let large = #"{"id":"a","text":"\#(String(repeating: "x", count: RecordProcessor.valueBytesMax))"}"#
        let deep = String(repeating: #"{"a":"#, count: 70) + "1" + String(repeating: "}", count: 70)
        let broken: [([UInt8]?, String)] = [
            (nil, "null_payload"), (Array("[]".utf8), "not_an_object"), (Array("{\"id\":".utf8), "truncated_json"),
            ([0x7B, 0x22, 0xFF, 0x22, 0x7D], "invalid_utf8"), (Array(large.utf8), "too_large"),
            (Array(deep.utf8), "too_deep"), (Array("{}".utf8), "missing_field"),
            (Array("no JSON".utf8), "invalid_json"),
            // As a file has it that is no text.
            ([0x7F, 0x45, 0x4C, 0x46, 0, 1], "invalid_json"),
        ]
        for (number, (payload, _)) in broken.enumerated() {
            driver.addHeader(EventIDHeader.header, "s-\(number)")
            _ = try driver.feed(payload)
        }
        let lines = try driver.quarantine
        #expect(lines.map { $0["rule"]?.string } == broken.map(\.1))
        #expect(lines.map { $0["event_id"]?.string } == (0..<broken.count).map { "s-\($0)" })
        #expect(driver.processor.bronzeCount == broken.count)
    }

    @Test("docs/sources.md has a row for each rule that a document may break")
    func everyRuleIsDocumented() throws {
        let docs = String(decoding: try File.contents(of: PackageRoot.path + "/docs/sources.md"), as: UTF8.self)
        let ofChanges: Set<Rule> = [
            .missingMeta, .unknownSchema, .invalidTime, .absurdTime, .nullCharacter, .namespaceMissing, .unknownType,
        ]
        for rule in Rule.allCases where !ofChanges.contains(rule) {
            #expect(docs.contains("\n| `\(rule.rawValue)` | "), "\(rule.rawValue) has no row")
        }
    }

    /// A connector that goes back a little sends some again, whatever became of them.
    @Test func duplicatesAreToldByTheHeader() throws {
        let logic = LogicSettings.document(
            try DocumentSource.settings(window: DuplicateWindow.Limits(offsets: 5, milliseconds: 1_000)))
        var driver = try ProcessorDriver([logic])
        let texts = [DocumentSource.document("a"), "not JSON", DocumentSource.document("b")]
        for _ in 0..<2 {
            for (number, text) in texts.enumerated() {
                driver.addHeader(EventIDHeader.header, "s-\(number)")
                _ = try driver.feed(text)
            }
        }
        #expect(driver.processor.duplicateCount == 3)
        #expect(try driver.silver.count == 2)
        #expect(try driver.quarantine.count == 1)
        // The same document again is no duplicate: it may have been changed back.
        driver.addHeader(EventIDHeader.header, "s-9")
        let again = try driver.feed(texts[0])
        #expect(again.isAccepted)
        // Without a header nothing is.
        driver.headers = RecordHeaderText()
        for _ in 0..<2 {
            let outcome = try driver.feed(texts[0])
            #expect(outcome.isAccepted)
        }
        // What a start or a replay reads back from Bronze decides the same, also of what is no JSON.
        let records = driver.processor.bronze.split(separator: 0x0A).compactMap { BronzeLine.read($0) }
        #expect(records.map { String(decoding: $0.eventID, as: UTF8.self) }.prefix(3) == ["s-0", "s-1", "s-2"])
        var warmed = try ProcessorDriver([logic])
        for record in records.prefix(3) { warmed.processor.warm(record) }
        warmed.offset = 3
        for (number, text) in texts.enumerated() {
            warmed.addHeader(EventIDHeader.header, "s-\(number)")
            _ = try warmed.feed(text)
        }
        #expect(warmed.processor.duplicateCount == 3)
        #expect(warmed.processor.generations[0].lines.silverCount == 0)
    }

    /// Generations that look at other places share one parser, and each gets what it asked for.
    @Test func everyGenerationGetsItsOwnFields() throws {
        let first = try LogicSettings.document(DocumentSource.settings())
        let second = try LogicSettings.document(
            DocumentSource.settings(title: "text", texts: ["name", "text", "note"]))
        func gold(_ logics: [LogicSettings], _ index: Int) throws -> [UInt8] {
            var driver = try ProcessorDriver(logics)
            _ = try driver.feed(DocumentSource.document("a", text: "One", name: "Two"))
            _ = try driver.feed(#"{"id":7,"note":"Only","name":null,"text":"Seven"}"#)
            return driver.processor.generations[index].lines.gold
        }
        for pair in [[first, second], [second, first]] {
            #expect(try gold(pair, 0) == gold([pair[0]], 0))
            #expect(try gold(pair, 1) == gold([pair[1]], 0))
        }
        #expect(try gold([first], 0) != gold([second], 0))
        #expect(throws: LogicError.self) {
            _ = try ProcessorDriver([
                first, .recentChange(TransformSettings(template: try TextTemplate(TextTemplate.standard))),
            ])
        }
    }
}

extension RecordOutcome {
    fileprivate var isAccepted: Bool {
        if case .accepted = self { return true }
        return false
    }
}
