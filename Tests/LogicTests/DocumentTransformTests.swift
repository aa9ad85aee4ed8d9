import Bytes
import Files
import Glibc
import Hashing
import JSONScan
import PlatformTesting
import Records
import Testing

@testable import Logic

/// The library's hasher, as the stream job uses it.
struct TestHasher: ~Copyable, ContentHasher {
    private var hasher: SHA256Hasher

    init() throws { hasher = try SHA256Hasher() }

    mutating func appendHexDigest(of bytes: UnsafeRawBufferPointer, to output: inout [UInt8]) throws {
        try hasher.hash(bytes).appendHex(to: &output)
    }
}

/// Feeds JSON texts to a logic as the record processor does.
final class LogicDriver {
    var logic: Logic
    var lines = DerivedLines()
    private var hasher: TestHasher
    private var parser: JSONFieldParser
    private let count: Int

    init(
        _ settings: LogicSettings, collection: String = "products", languages: (any LanguageFinder)? = nil
    ) throws {
        var hasher = try TestHasher()
        logic = try Logic(settings, collection: collection, languages: languages, hasher: &hasher)
        self.hasher = hasher
        count = settings.paths.count
        parser = try JSONFieldParser(paths: settings.paths)
    }

    /// - Returns: the Gold line and its document's id.
    @discardableResult
    func feed(
        _ json: String, offset: Int64 = 0, milliseconds: Int64 = 1_764_000_000_000, eventID: String = "",
        origin: RedriveOrigin? = nil
    ) throws -> (id: String, line: String)? {
        let bytes = Array(json.utf8)
        let error = bytes.withUnsafeBytes { parser.parseObject($0) }
        try #require(error == nil, "\(json)")
        let fields = (0..<count).map { Self.field(parser.field($0)) }
        var digest: [UInt8] = []
        try bytes.withUnsafeBytes { try hasher.appendHexDigest(of: $0, to: &digest) }
        var made: (String, String)?
        try bytes.withUnsafeBytes { value in
            try fields.withUnsafeBufferPointer { fields in
                let record = SourceRecord(
                    topic: "products", partition: 3, offset: offset, timestampMilliseconds: milliseconds, key: nil,
                    origin: origin, eventID: Array(eventID.utf8), value: value)
                try logic.apply(
                    record, fields: EventFields(fields), bronzeSHA256: digest, embedsValue: true, hasher: &hasher,
                    output: &lines
                ) { id, line in
                    made = (String(decoding: id, as: UTF8.self), String(decoding: line, as: UTF8.self))
                }
            }
        }
        return made
    }

    private static func field(_ field: JSONField) -> FieldValue {
        switch field.kind {
        case .absent: FieldValue(kind: .absent)
        case .null: FieldValue(kind: .null)
        case .bool: FieldValue(kind: .bool, integer: field.integer)
        case .integer: FieldValue(kind: .integer, integer: field.integer)
        case .unsigned: FieldValue(number: Double(UInt64(bitPattern: field.integer)))
        case .double: FieldValue(number: field.double)
        case .string: FieldValue(kind: .string, text: field.text)
        case .array: FieldValue(kind: .array)
        case .object: FieldValue(kind: .object)
        }
    }
}

/// Settings of a shop's products.
enum Products {
    static func path(_ text: String) throws -> FieldPath { try #require(FieldPath(text)) }

    static func settings(
        version: String? = "rev", time: String? = "updated", truncated: String? = nil
    ) throws -> DocumentSettings {
        let mapping = DocumentMapping(
            id: try path("sku"), version: try version.map(path), title: try path("name"),
            texts: [try path("name"), try path("about.body")], url: try path("link"), lang: try path("language"),
            time: try time.map(path), deleted: try path("gone"), truncated: try truncated.map(path))
        let rows: [(String, AttributeType, String)] = [
            ("price", .number, "price.amount"), ("stock", .integer, "stock"), ("brand", .string, "brand"),
            ("sale", .bool, "sale"), ("since", .time, "since"),
        ]
        let attributes = try rows.map { name, type, place in
            MappedAttribute(try #require(AttributeName(name)), type, at: try path(place))
        }
        return DocumentSettings(mapping: mapping, attributes: attributes)
    }

    static let whole = #"""
        {"sku":"A-1","rev":7,"name":"Kettle \"Rhine\"","about":{"body":"  Boils water.\nQuickly. "},"link":"https://shop/a-1","language":"en","updated":"2026-11-24T16:00:00+01:00","price":{"amount":19.90},"stock":4,"brand":"Öl","sale":true,"since":"2020-02-29T00:00:00Z","unknown":[1]}
        """#
}

@Suite struct DocumentTransformTests {
    /// Golden: these bytes are what a lake holds, so they stay.
    @Test func aDocumentBecomesTheseLines() throws {
        let driver = try LogicDriver(.document(Products.settings()))
        let gold = try #require(try driver.feed(Products.whole, offset: 41, eventID: "s-1-0-a"))
        #expect(gold.id == "A-1")
        let lineage =
            #""lineage":{"logic_version":"\#(driver.logic.logicVersion)","parents":[{"topic":"products","partition":3,"offset":41,"event_id":"s-1-0-a","bronze_sha256":"\#(try Self.hash(Products.whole))"}]}}"#
        let attributes =
            #""attributes":{"brand":"Öl","price":19.9,"sale":true,"since":"2020-02-29T00:00:00.000Z","stock":4}"#
        let text = "Kettle \\\"Rhine\\\"\\n\\nBoils water.\\nQuickly."
        #expect(
            String(decoding: driver.lines.silver, as: UTF8.self)
                == #"{"event_id":"s-1-0-a","event_time":"2026-11-24T15:00:00.000Z","doc_id":"A-1","version":7,"operation":"put","title":"Kettle \"Rhine\"","text":"\#(text)","url":"https://shop/a-1","lang":"en",\#(attributes),"quality_flags":[],\#(lineage)"#
                + "\n")
        let hashed =
            #"{"doc_id":"A-1","version":7,"operation":"put","collection":"products",\#(attributes),"text":"\#(text)","event_time":"2026-11-24T15:00:00.000Z","title":"Kettle \"Rhine\"","url":"https://shop/a-1","lang":"en","quality_flags":[],"text_hash":"\#(try Self.hash("Kettle \"Rhine\"\n\nBoils water.\nQuickly."))""#
        #expect(gold.line == hashed + #","content_hash":"\#(try Self.hash(hashed + "}"))",\#(lineage)"#)
        #expect(driver.logic.logicVersion == "v1-74eace8c6415")
        #expect(String(decoding: driver.lines.gold, as: UTF8.self) == gold.line + "\n")
        #expect(driver.lines.silverCount == 1 && driver.lines.goldCount == 1 && driver.lines.quarantineCount == 0)
    }

    /// `UPDATE_GOLDEN=1` rewrites the lines beside the events, which are written by hand; an independent program holds them
    /// against the schemas.
    @Test func theExamplesAreWhatBecomesOfTheExampleEvents() throws {
        let folder = PackageRoot.path + "/schemas/examples/document"
        let driver = try LogicDriver(.document(Products.settings(truncated: "emptied")))
        let events = try File.contents(of: folder + "/events.jsonl").split(separator: 0x0A)
        for (offset, event) in events.enumerated() {
            _ = try driver.feed(String(decoding: event, as: UTF8.self), offset: Int64(offset))
        }
        let made = driver.lines
        for (name, text) in [("silver", made.silver), ("gold", made.gold), ("quarantine", made.quarantine)] {
            let path = "\(folder)/\(name).jsonl"
            if getenv("UPDATE_GOLDEN") != nil { try File.replace(path, with: text) }
            let expected = try File.contents(of: path)
            #expect(String(decoding: text, as: UTF8.self) == String(decoding: expected, as: UTF8.self), "\(name)")
        }
        let output = try PythonTool.run([
            PackageRoot.path + "/Tests/PlatformTesting/derived_lines.py", PackageRoot.path + "/schemas", folder,
        ])
        #expect(String(decoding: output, as: UTF8.self) == "4 silver, 4 gold, 2 quarantine\n")
    }

    @Test func aTombstoneBecomesADelete() throws {
        let driver = try LogicDriver(.document(Products.settings()))
        // Whatever else it holds, right or wrong, does not matter.
        let gold = try #require(
            try driver.feed(#"{"sku":17,"rev":8,"gone":true,"name":5,"updated":"2026-11-24T00:00:00Z"}"#))
        #expect(gold.id == "17")
        let value = try JSONValue.parse(Array(gold.line.utf8))
        #expect(value["operation"]?.string == "delete" && value["version"]?.integer == 8)
        #expect(value["text"]?.string == "" && value["attributes"] == .object([]) && value["lang"]?.string == "und")
        #expect(value["lineage"]?["parents"]?.array?.first?["event_id"]?.string == "17@8")
    }

    @Test func withoutADeclaredVersionThePlaceIsTheVersion() throws {
        let driver = try LogicDriver(.document(Products.settings(version: nil, time: nil)))
        func version(_ gold: (id: String, line: String)?) throws -> Int64? {
            try JSONValue.parse(Array(#require(gold).line.utf8))["version"]?.integer
        }
        let text = #"{"sku":"a","name":"b"}"#
        #expect(try version(driver.feed(text, offset: 0)) == 1)
        #expect(try version(driver.feed(text, offset: 900)) == 901)
        let place = RedriveOrigin(topic: "products", partition: 3, offset: 12, bronzeSHA256: "")
        #expect(try version(driver.feed(text, offset: 901, origin: place)) == 13)
        // Another topic partition's offsets cannot be compared.
        let elsewhere = RedriveOrigin(topic: "products", partition: 2, offset: 12, bronzeSHA256: "")
        #expect(try version(driver.feed(text, offset: 902, origin: elsewhere)) == 903)
        let silver = String(decoding: driver.lines.silver, as: UTF8.self)
        #expect(silver.contains(#""event_time":"2025-11-24T16:00:00.000Z""#), "the broker's time")
    }

    @Test func timesAreVersionsToo() throws {
        let driver = try LogicDriver(.document(Products.settings(version: "updated")))
        let gold = try #require(try driver.feed(#"{"sku":"a","name":"b","updated":"2026-01-01T00:00:00.001Z"}"#))
        #expect(gold.line.contains(#""version":1767225600001,"#))
    }

    /// A row for every rule that a document can break, with the detail that names the place.
    static let broken: [(json: String, rule: Rule, detail: String)] = [
        (#"{"rev":1,"name":"n"}"#, .missingField, "sku"), (#"{"sku":null,"rev":1,"name":"n"}"#, .missingField, "sku"),
        (#"{"sku":1.5,"rev":1,"name":"n"}"#, .wrongType, "sku"), (#"{"sku":"","rev":1,"name":"n"}"#, .invalidID, "sku"),
        (#"{"sku":"a\u0000","rev":1,"name":"n"}"#, .invalidID, "sku"),
        (#"{"sku":"\#(String(repeating: "a", count: 256))","rev":1}"#, .textTooLong, "sku: 256 bytes, at most 255"),
        (#"{"sku":"a","name":"n"}"#, .missingField, "rev"), (#"{"sku":"a","rev":0}"#, .invalidVersion, "rev"),
        (#"{"sku":"a","rev":1.5}"#, .invalidVersion, "rev"), (#"{"sku":"a","rev":"7"}"#, .invalidVersion, "rev"),
        (#"{"sku":"a","rev":"1969-12-31T23:59:59Z"}"#, .invalidVersion, "rev"),
        (#"{"sku":"a","rev":[]}"#, .wrongType, "rev"), (#"{"sku":"a","rev":1,"gone":"yes"}"#, .wrongType, "gone"),
        (#"{"sku":"a","rev":1,"updated":"yesterday"}"#, .invalidEventTime, "updated"),
        (#"{"sku":"a","rev":1,"updated":1700000000}"#, .wrongType, "updated"),
        (#"{"sku":"a","rev":1,"name":{}}"#, .wrongType, "name"),
        (
            #"{"sku":"a","rev":1,"name":"\#(String(repeating: "a", count: 1_025))"}"#, .textTooLong,
            "name: 1025 bytes, at most 1024"
        ),
        (
            #"{"sku":"a","rev":1,"name":"n","link":"\#(String(repeating: "a", count: 4_097))"}"#, .textTooLong,
            "link: 4097 bytes, at most 4096"
        ),
        (#"{"sku":"a","rev":1,"name":"n","language":"de_DE"}"#, .wrongType, "language: not a language's code"),
        (#"{"sku":"a","rev":1,"name":"n","about":{"body":7}}"#, .wrongType, "about.body"),
        (#"{"sku":"a","rev":1,"name":"  ","about":"x"}"#, .emptyText, "name, about.body"),
        (#"{"sku":"a","rev":1,"name":"n","price":{"amount":"7"}}"#, .invalidAttribute, "price: not of type number"),
        (#"{"sku":"a","rev":1,"name":"n","stock":7.0}"#, .invalidAttribute, "stock: not of type integer"),
        (
            #"{"sku":"a","rev":1,"name":"n","stock":18446744073709551615}"#, .invalidAttribute,
            "stock: not of type integer"
        ),
        (#"{"sku":"a","rev":1,"name":"n","sale":1}"#, .invalidAttribute, "sale: not of type bool"),
        (
            #"{"sku":"a","rev":1,"name":"n","since":"2020-02-30T00:00:00Z"}"#, .invalidAttribute,
            "since: not of type time"
        ),
        (#"{"sku":"a","rev":1,"name":"n","brand":["x"]}"#, .invalidAttribute, "brand: not of type string"),
        (#"{"sku":"a","rev":1,"name":"n","brand":"\u0000"}"#, .invalidAttribute, "brand: holds U+0000"),
        (
            #"{"sku":"a","rev":1,"name":"n","brand":"\#(String(repeating: "a", count: 1_025))"}"#, .textTooLong,
            "brand: 1025 bytes, at most 1024"
        ),
    ]

    @Test("what breaks a rule goes to quarantine by the rule's name", arguments: broken)
    func brokenRules(json: String, rule: Rule, detail: String) throws {
        let driver = try LogicDriver(.document(Products.settings()))
        #expect(try driver.feed(json, offset: 5, eventID: "e") == nil)
        #expect(driver.lines.silver.isEmpty && driver.lines.gold.isEmpty && driver.lines.quarantineCount == 1)
        #expect(driver.lines.rejects == [rule: 1])
        let line = try JSONValue.parse(driver.lines.quarantine)
        #expect(line["rule"]?.string == rule.rawValue && line["detail"]?.string == detail)
        #expect(line["event_id"]?.string == "e" && line["value"] != nil)
        #expect(rule.severity == .reject)
    }

    @Test func flagsAreKeptAndCounted() throws {
        var settings = try Products.settings()
        settings.contentCharactersMax = 50
        let driver = try LogicDriver(.document(settings))
        let long = String(repeating: "ü", count: 60)
        let gold = try #require(try driver.feed(#"{"sku":"a","rev":1,"about":{"body":"\#(long)"}}"#, offset: 9))
        #expect(gold.line.contains(#""quality_flags":["empty_title","event_time_missing","text_cut"]"#))
        #expect(gold.line.contains(#""text":"\#(String(repeating: "ü", count: 50))""#))
        #expect(String(decoding: driver.lines.silver, as: UTF8.self).contains(long), "Silver has all of it")
        #expect(driver.lines.rules[.textCut]?.sampleOffset == 9)
        #expect(driver.lines.rejects.isEmpty)
    }

    /// What was fed before leaves no trace in a line, and the same record gives the same bytes.
    @Test func linesArePure() throws {
        let texts = [Products.whole] + Self.broken.map(\.json) + [#"{"sku":"z","rev":3,"name":"n"}"#]
        var alone: [String] = []
        for text in texts {
            let driver = try LogicDriver(.document(Products.settings()))
            alone.append(try driver.feed(text)?.line ?? "")
        }
        let driver = try LogicDriver(.document(Products.settings()))
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<300 {
            let number = Int.random(in: 0..<texts.count, using: &generator)
            #expect(try driver.feed(texts[number])?.line ?? "" == alone[number], "\(texts[number])")
        }
    }

    @Test func everySettingIsPartOfTheLogicVersion() throws {
        var hasher = try TestHasher()
        let base = try Products.settings()
        var versions: Set<String> = [try base.logicVersion(hasher: &hasher)]
        func vary(_ change: (inout DocumentSettings) throws -> Void) throws {
            var settings = base
            try change(&settings)
            #expect(versions.insert(try settings.logicVersion(hasher: &hasher)).inserted)
        }
        let path = try Products.path("other")
        try vary { $0.mapping.id = path }
        try vary { $0.mapping.version = nil }
        try vary { $0.mapping.title = path }
        try vary { $0.mapping.texts = [path] }
        try vary { $0.mapping.url = path }
        try vary { $0.mapping.lang = path }
        try vary { $0.mapping.time = path }
        try vary { $0.mapping.deleted = path }
        try vary { $0.mapping.truncated = path }
        try vary { $0.contentCharactersMax = 77 }
        try vary { $0.duplicates = .init(offsets: 1, milliseconds: 1) }
        try vary { $0 = DocumentSettings(mapping: base.mapping, attributes: []) }
        try vary { $0.stages.textCharactersMin = 5 }
        try vary { $0.stages.nearDuplicates = .init(offsets: 5) }
        try vary { $0.stages.nearDuplicates = .init(offsets: 6) }
        try vary { $0.stages.nearDuplicates = .init(offsets: 5, milliseconds: 7) }
        try vary { $0.stages.nearDuplicates = .init(offsets: 5, distance: 0) }
        try vary { $0.stages.detectsLanguage = true }
        try vary { $0.stages.reputation = 2 }
        try vary { $0.stages = .init(passesOver: [PassedOver(path, .bool(true))]) }
        try vary { $0.stages = .init(passesOver: [PassedOver(path, .text("true"))]) }
    }

    /// The closed set runs a recent change exactly as its transform does.
    @Test func recentChangesAreDispatched() throws {
        let settings = TransformSettings(template: try TextTemplate("{title}"))
        let driver = try LogicDriver(.recentChange(settings), collection: "c")
        let text =
            #"{"$schema":"/mediawiki/recentchange/1.0.0","meta":{"id":"e1","dt":"2025-11-24T15:59:00Z","domain":"d","uri":"u"},"type":"edit","namespace":0,"title":"T","user":"U","bot":false,"wiki":"enwiki"}"#
        let gold = try #require(try driver.feed(text))
        #expect(gold.id == "e1" && gold.line.contains(#""text":"T""#))
        #expect(driver.logic.settings.kind == .recentChange)
    }

    @Test(arguments: [
        (19.9, "19.9"), (20, "20"), (-0.0, "0"), (1e20, "1e+20"), (9_007_199_254_740_991, "9007199254740991"),
        (0.1, "0.1"), (-2.5, "-2.5"),
    ])
    func numbersHaveOneSpelling(value: Double, text: String) throws {
        #expect(CanonicalNumber.text(value) == text)
        #expect(try JSONValue.parse(Array("[\(text)]".utf8)).array?.first?.double == value)
    }

    private static func hash(_ text: String) throws -> String {
        var digest: [UInt8] = []
        var hasher = try TestHasher()
        try Array(text.utf8).withUnsafeBytes { try hasher.appendHexDigest(of: $0, to: &digest) }
        return String(decoding: digest, as: UTF8.self)
    }
}

@Suite struct NameTests {
    @Test(arguments: [
        ("a", true), ("A.b_c-1", true), ("", false), (".", false), ("..", false), ("a b", false), ("é", false),
    ])
    func names(text: String, isName: Bool) {
        #expect((SourceName(text) != nil) == isName)
        #expect((TenantID(text) != nil) == isName)
        #expect((CollectionName(text) != nil) == isName)
    }

    @Test(arguments: [
        ("a", true), ("is_bot", true), ("x9", true), ("9x", false), ("_a", false), ("A", false), ("a.b", false),
        ("", false),
    ])
    func attributes(text: String, isName: Bool) {
        #expect((AttributeName(text) != nil) == isName)
        #expect(AttributeName(String(repeating: "a", count: 64)) == nil)
    }

    @Test(arguments: [
        ("a", true), ("a.b c", true), ("a..b", false), (".a", false), ("a.", false), ("", false), ("a\u{0}", false),
    ])
    func paths(text: String, isPath: Bool) { #expect((FieldPath(text) != nil) == isPath) }

    @Test func theEventIDHeaderCountsWithinItsBounds() {
        func read(_ values: [[UInt8]]) -> [UInt8] {
            var headers = RecordHeaderText()
            for value in values {
                Array(EventIDHeader.header.utf8).withUnsafeBufferPointer { name in
                    value.withUnsafeBytes { headers.add(name, $0) }
                }
            }
            return headers.eventID
        }
        #expect(read([]) == [] && read([Array("a".utf8), Array("b".utf8)]) == Array("b".utf8))
        #expect(read([[0xFF]]) == [] && read([[UInt8](repeating: 0x61, count: 256)]) == [])
        var headers = RecordHeaderText()
        headers.removeAll()
        #expect(headers.eventID.isEmpty)
    }
}
