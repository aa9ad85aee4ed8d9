import Bytes
import Files
import JSONScan
import PlatformTesting
import Records
import Testing

/// Stands for SHA-256: 64 digits that depend on every byte.
struct TestHasher: ContentHasher {
    mutating func appendHexDigest(of bytes: UnsafeRawBufferPointer, to output: inout [UInt8]) {
        var state: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in bytes { state = (state ^ UInt64(byte)) &* 0x100_0000_01B3 }
        for _ in 0..<4 {
            Hex.append(withUnsafeBytes(of: state.bigEndian, Array.init), to: &output)
            state = state &* 0x100_0000_01B3 &+ 1
        }
    }
}

/// Each format's list of fields is its schema's, its writer's order, and what its reader gives back.
@Suite struct FormatTests {
    static let texts = ["", "plain", "ü \"quoted\" \\ \n\t\u{0}\u{1F}", "😀 \u{202E} text of more than eight bytes"]

    private func schema(_ name: String) throws -> JSONValue {
        try JSONValue.parse(File.contents(of: PackageRoot.path + "/schemas/\(name).schema.json"))
    }

    private func names(_ schema: JSONValue?) -> [String] { schema?["properties"]?.object?.map(\.key) ?? [] }

    @Test func fieldsAreThoseOfTheSchemas() throws {
        let gold = try schema("gold")
        #expect(names(try schema("bronze")) == BronzeLine.fields)
        #expect(names(try schema("silver")) == SilverLine.fields)
        #expect(names(gold) == GoldLine.Field.allCases.map { "\($0.name)" })
        #expect(names(try schema("quarantine")) == QuarantineLine.fields)
        for lineage in [gold["properties"]?["lineage"], try schema("silver")["properties"]?["lineage"]] {
            #expect(names(lineage) == Lineage.fields)
            #expect(names(lineage?["properties"]?["parents"]?["items"]) == Lineage.parentFields)
        }
    }

    /// Calls `body` with records of every kind: texts, keys that are no UTF-8, headers, tombstones.
    private func forEachRecord(_ body: (SourceRecord, _ embedsValue: Bool) throws -> Void) rethrows {
        let payload = Array(#"{"meta":{"id":"x","offset":7},"value":[{},"]"],"headers":[["may_repeat","MQ=="]]}"#.utf8)
        for (key, value, embeds) in [
            (nil, payload, true), (Array("k\"ey".utf8), payload, true), ([0xFF, 0x00], payload, false),
            ([], Array("no JSON".utf8), false), (nil, nil, false), (Array("k".utf8), [], false),
        ] as [([UInt8]?, [UInt8]?, Bool)] {
            for marks in [false, true] {
                var headers = RecordHeaderText()
                func add(_ name: String, _ value: [UInt8]?) {
                    Array(name.utf8).withUnsafeBufferPointer { name in
                        if let value { value.withUnsafeBytes { headers.add(name, $0) } } else { headers.add(name, nil) }
                    }
                }
                add("]\"offset\":", Array("[".utf8))
                add("other", nil)
                if marks {
                    add(RedriveOrigin.header, Array("t/3/4".utf8))
                    add(RepeatMark.header, RepeatMark.value)
                }
                func withBytes(_ bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer?) throws -> Void) rethrows {
                    if let bytes { try bytes.withUnsafeBytes { try body($0) } } else { try body(nil) }
                }
                try withBytes(key) { key in
                    try withBytes(value) { value in
                        try headers.json.withUnsafeBytes { json in
                            try body(
                                SourceRecord(
                                    topic: "a.topic", partition: 2, offset: 9, timestampMilliseconds: -1, key: key,
                                    headers: json, origin: headers.origin, mayRepeat: headers.mayRepeat, value: value),
                                embeds)
                        }
                    }
                }
            }
        }
    }

    private func isSame(_ read: BronzeRecord, _ record: SourceRecord) -> Bool {
        read.offset == record.offset && read.timestampMilliseconds == record.timestampMilliseconds
            && read.key == record.key.map { Array($0) } && read.value == record.value.map { Array($0) }
    }

    /// A line's members in their order.
    private func members(_ line: [UInt8]) throws -> [String] {
        try JSONValue.parse(line, maxDepth: 66).object?.map(\.key) ?? []
    }

    @Test func aBronzeLineIsReadBack() throws {
        var count = 0
        try forEachRecord { record, embedsValue in
            count += 1
            var line: [UInt8] = []
            BronzeLine.append(record, embedsValue: embedsValue, to: &line)
            #expect(line.popLast() == 0x0A)
            let read = try #require(BronzeLine.read(line[...]))
            #expect(isSame(read, record))
            #expect(read.origin == record.origin && read.mayRepeat == record.mayRepeat)
            let sealed = try #require(BronzeLine.readSealed(line[...]))
            #expect(isSame(sealed, record))
            #expect(sealed.origin == record.origin && sealed.mayRepeat == record.mayRepeat)
            let headers = BronzeLine.headers(of: line[...])
            #expect(headers.map(\.name).prefix(2) == ["]\"offset\":", "other"])
            #expect(headers[0].value == [UInt8(ascii: "[")] && headers[1].value == nil)
            #expect(headers.count == (record.mayRepeat ? 4 : 2))
            let order = try members(line).compactMap { BronzeLine.fields.firstIndex(of: $0) }
            #expect(order == order.sorted())
            // Neither a piece of a line nor one with something behind it is a line.
            for end in stride(from: 0, to: line.count, by: 7) { #expect(BronzeLine.read(line[..<end]) == nil) }
            #expect(BronzeLine.read((line + [0x7D])[...]) == nil)
        }
        #expect(count == 12)
        // What is before the value is looked at, and the value is taken as it lies there.
        #expect(BronzeLine.readSealed(Array(#"{"offset":1,"timestamp_ms":2,"key":3!,"value":{}}"#.utf8)[...]) == nil)
        #expect(BronzeLine.readSealed(Array(#"{"offset":1,"timestamp_ms":2,"value":{}"#.utf8)[...]) == nil)
        let odd = BronzeLine.readSealed(Array(#"{"offset":1,"timestamp_ms":2,"value":{?}}"#.utf8)[...])
        #expect(odd?.value == Array("{?}".utf8))
        #expect(BronzeLine.read(Array(#"{"offset":1,"timestamp_ms":2,"value_base64":"?"}"#.utf8)[...]) == nil)
        #expect(BronzeLine.read(Array(#"{"offset":"1","timestamp_ms":2}"#.utf8)[...]) == nil)
    }

    @Test func aQuarantineLineIsReadBack() throws {
        try forEachRecord { record, embedsValue in
            var line: [UInt8] = []
            Array("id\"".utf8).withUnsafeBufferPointer { id in
                QuarantineLine.append(
                    record, rule: "a_rule", reason: "it \"asks\"", detail: "meta.id", eventID: id,
                    bronzeSHA256: record.value == nil ? nil : Array("ab".utf8), logicVersion: "v1-x",
                    embedsValue: embedsValue, to: &line)
            }
            #expect(line.popLast() == 0x0A)
            let read = try #require(QuarantineLine.read(line[...]))
            #expect(isSame(read.raw, record))
            #expect([read.rule, read.reason, read.detail] == ["a_rule", "it \"asks\"", "meta.id"])
            #expect(read.eventID == "id\"" && read.logicVersion == "v1-x")
            #expect(read.bronzeSHA256 == (record.value == nil ? "" : "ab"))
            let order = try members(line).compactMap { QuarantineLine.fields.firstIndex(of: $0) }
            #expect(order == order.sorted())
            // The members that carry the payload are those of Bronze; what makes it a quarantine line is the rule.
            #expect(BronzeLine.read(line[...]) != nil)
        }
        #expect(QuarantineLine.read(Array(#"{"offset":1,"timestamp_ms":2}"#.utf8)[...]) == nil)
    }

    /// Writes the Silver and the Gold line of a change whose texts are all `text`.
    private func lines(
        _ text: String, origin: RedriveOrigin?, shape: GoldLine.RecentChangeShape = .attributes,
        tenant: TenantID = .standard, lengthOld: Int64? = 3
    ) throws -> (silver: [UInt8], gold: [UInt8]) {
        var silver = Array("another line\n".utf8)
        var gold: [UInt8] = []
        var digest: [UInt8] = []
        var hasher = TestHasher()
        try Array(text.utf8).withUnsafeBufferPointer { text in
            let change = SilverLine.RecentChange(
                eventID: text, eventTimeMilliseconds: 1_700_000_000_123, wiki: text, domain: text, type: text,
                namespace: nil, title: text, pageURL: text, user: text, isBot: true, isMinor: false, comment: text,
                lengthOld: lengthOld, lengthNew: 10, revisionOld: nil, revisionNew: .max)
            let record = SourceRecord(
                topic: "a.topic", partition: 2, offset: 9, timestampMilliseconds: 5, key: nil, origin: origin,
                value: nil)
            let written = SilverLine.append(
                change, of: record, cleaned: .same, flags: ["one", "two"], logicVersion: "v3-x",
                bronzeSHA256: Array("ab".utf8),
                origin: origin, to: &silver)
            try GoldLine.append(
                change, silver: silver, written, to: GoldLine.Destination(tenant: tenant, collection: "c"),
                shape: shape,
                text: Array(text),
                passages: shape == .attributes ? Self.passages(of: String(decoding: text, as: UTF8.self)) : [],
                lang: Array("de".utf8), digest: &digest, hasher: &hasher, output: &gold)
        }
        #expect(silver.popLast() == 0x0A && gold.popLast() == 0x0A)
        return (Array(silver.dropFirst(13)), gold)
    }

    /// Two that overlap by one character; none of a short text.
    private static func passages(of text: String) -> [PassageRange] {
        let scalars = text.unicodeScalars
        let middle = scalars.count / 2
        guard middle > 1 else { return [] }
        return [0..<middle, middle - 1..<scalars.count].map { range in
            let start = scalars.index(scalars.startIndex, offsetBy: range.lowerBound)
            let end = scalars.index(scalars.startIndex, offsetBy: range.upperBound)
            let bytes = String.UnicodeScalarView(scalars[..<start]).reduce(0) { $0 + UTF8.width($1) }
            let count = String.UnicodeScalarView(scalars[start..<end]).reduce(0) { $0 + UTF8.width($1) }
            return PassageRange(scalars: range, bytes: bytes..<bytes + count)
        }
    }

    private func hash(_ text: some Sequence<UInt8>) -> String {
        var digest: [UInt8] = []
        var hasher = TestHasher()
        Array(text).withUnsafeBytes { hasher.appendHexDigest(of: $0, to: &digest) }
        return String(decoding: digest, as: UTF8.self)
    }

    @Test(arguments: texts, [nil, RedriveOrigin(topic: "t", partition: 3, offset: 4, bronzeSHA256: "")])
    func aGoldLineIsReadBack(text: String, origin: RedriveOrigin?) throws {
        let (silver, gold) = try lines(text, origin: origin)
        #expect(try members(silver) == SilverLine.fields)
        try checkOrder(gold)
        #expect(!(try members(gold)).contains("wiki"), "attributes stand where those of every document do")
        var parents = [ParentReference(topic: "a.topic", partition: 2, offset: 9, eventID: text, bronzeSHA256: "ab")]
        if let origin {
            parents.append(
                ParentReference(
                    topic: origin.topic, partition: origin.partition, offset: origin.offset, eventID: text,
                    bronzeSHA256: origin.bronzeSHA256))
        }
        var digest: [UInt8] = []
        var hasher = TestHasher()
        Array(text.utf8).withUnsafeBytes { hasher.appendHexDigest(of: $0, to: &digest) }
        let textHash = String(decoding: digest, as: UTF8.self)
        let document = try gold.withUnsafeBytes { bytes in try GoldLine.decode(bytes) }
        let found = gold.withUnsafeBytes { GoldLine.contentHash(of: $0).map { String(decoding: $0, as: UTF8.self) } }
        #expect(found == document.contentHash)
        let contentHash = try #require(try JSONValue.parse(gold)["content_hash"]?.string)
        #expect(
            document
                == GoldDocument(
                    collection: try #require(CollectionName("c")), docID: text,
                    attributes: AttributeList([
                        .wiki: .string(text), .domain: .string(text), .type: .string(text), .user: .string(text),
                        .isBot: .bool(true), .isMinor: .bool(false), .delta: .integer(7),
                    ]), text: text,
                    passages: Self.passages(of: text).map { range in
                        GoldPassage(scalars: range.scalars, hash: hash(Array(text.utf8)[range.bytes]))
                    }, eventTimeMilliseconds: 1_700_000_000_123, title: text, url: text, lang: "de",
                    qualityFlags: ["one", "two"], textHash: textHash, contentHash: contentHash,
                    lineage: Lineage(logicVersion: "v3-x", parents: parents)))
        #expect(document.lineage.parents == parents)
        #expect(
            document.passageTexts
                == (Self.passages(of: text).isEmpty
                    ? [text]
                    : Self.passages(of: text).map { String(decoding: Array(text.utf8)[$0.bytes], as: UTF8.self) }))
        // The hash covers the line up to itself as an object of its own.
        let end = try #require(String(decoding: gold, as: UTF8.self).firstRange(of: ",\"content_hash\"")).lowerBound
        let content = Array(String(decoding: gold, as: UTF8.self)[..<end].utf8) + [UInt8(ascii: "}")]
        var covered: [UInt8] = []
        content.withUnsafeBytes { hasher.appendHexDigest(of: $0, to: &covered) }
        #expect(String(decoding: covered, as: UTF8.self) == contentHash)
        // Lent, without a copy: the lineage is the line's last member.
        try gold.withUnsafeBytes { bytes in
            let lineage = try GoldLine.Fields(bytes)[.lineage].bytes
            #expect(lineage.baseAddress.map { $0 + lineage.count + 1 } == bytes.baseAddress.map { $0 + bytes.count })
            #expect(Array(lineage) == document.lineage.json)
            #expect(try JSONValue.parse(Array(lineage)) == JSONValue.parse(silver)["lineage"])
        }
    }

    private func checkOrder(_ line: [UInt8]) throws {
        let known = GoldLine.Field.allCases.map { "\($0.name)" }
        let order = try members(line).map { name in try #require(known.firstIndex(of: name), "\(name)") }
        #expect(order == order.sorted())
    }

    /// Lines of former logic have some attributes as members, and are read as if they stood among the others.
    /// Found from the line's end, the hash is the line's own, whatever its texts look like.
    @Test func aContentHashIsTheLinesOwn() throws {
        func hash(_ line: String) -> String? {
            Array(line.utf8).withUnsafeBytes {
                GoldLine.contentHash(of: $0).map { String(decoding: $0, as: UTF8.self) }
            }
        }
        let (own, other) = (String(repeating: "a", count: 64), String(repeating: "b", count: 64))
        let lineage = #","lineage":{"parents":[{"event_id":",\"content_hash\":\"\#(other)\""}]}}"#
        let attributes = #"{"attributes":{"x":1,"content_hash":"\#(other)"}"#
        #expect(hash(attributes + #","content_hash":"\#(own)""# + lineage) == own)
        #expect(hash(#"{"doc_id":"a","operation":"delete_below""# + lineage) == nil)
        #expect(hash(#"{"content_hash":"short"}"#) == nil && hash("") == nil)
    }

    @Test func aFormerGoldLineIsReadBack() throws {
        let line = try lines("é\"", origin: nil, shape: .topLevel).gold
        try checkOrder(line)
        #expect(try members(line).filter { $0 == "operation" || $0 == "tenant" } == [])
        let document = try line.withUnsafeBytes { try GoldLine.decode($0) }
        let text = AttributeValue.string("é\"")
        #expect(document.operation == .put && document.tenant == .standard)
        #expect(document.attributes == AttributeList([.wiki: text, .type: text, .user: text, .isBot: .bool(true)]))
        let all = try line.withUnsafeBytes { AttributeList(goldLine: try GoldLine.Fields($0)) }
        #expect(all?.value(of: .wiki) == text && all?.value(of: .collection) == .string("c"))
        #expect(all?.value(of: .eventTime) == .time(1_700_000_000_123) && all?.value(of: .lang) == .string("de"))
        #expect(all?.value(of: .namespace) == nil)
    }

    @Test func tenantsAndUnknownLengthsAreToldWhereTheyMatter() throws {
        let tenant = try #require(TenantID("acme"))
        let line = try lines("x", origin: nil, tenant: tenant, lengthOld: nil).gold
        try checkOrder(line)
        let document = try line.withUnsafeBytes { try GoldLine.decode($0) }
        #expect(document.key == DocumentKey(tenant: tenant, collection: document.collection, docID: "x"))
        #expect(document.attributes.value(of: .delta) == nil, "a page's first length is no difference")
    }

    @Test(arguments: texts) func aLineOfAnyDocumentIsReadBack(text: String) throws {
        let name = try #require(AttributeName("due"))
        var gold: [UInt8] = []
        var digest: [UInt8] = []
        var hasher = TestHasher()
        let lineage = Lineage(logicVersion: "v1-x", parents: [])
        try Array(text.utf8).withUnsafeBufferPointer { text in
            let content = GoldLine.Content(
                docID: Array(text), version: 7, operation: .delete,
                attributes: Array(#""due":"2026-01-01T00:00:00.000Z","price":19.5,"n":null"#.utf8), text: Array(text),
                eventTimeMilliseconds: 5, title: text, url: text, lang: UnsafeBufferPointer(start: nil, count: 0),
                qualityFlags: ["text_cut"])
            try GoldLine.append(
                content, to: GoldLine.Destination(collection: "c"), digest: &digest, hasher: &hasher, output: &gold,
                lineageRoom: 16 + lineage.json.count
            ) { writer in
                writer.literal(",\"lineage\":")
                writer.bytes(lineage.json)
                writer.literal("}\n")
            }
        }
        #expect(gold.popLast() == 0x0A)
        try checkOrder(gold)
        let document = try gold.withUnsafeBytes { try GoldLine.decode($0) }
        #expect(document.operation == .delete && document.version == 7 && document.lang == "und")
        #expect([document.docID, document.text, document.title, document.url].allSatisfy { $0 == text })
        #expect(document.attributes.value(of: name) == .string("2026-01-01T00:00:00.000Z"))
        var names: [String] = []
        document.attributes.forEach { name, _ in names.append(name.text) }
        #expect(names == ["due", "price"], "what is null is absent")
        // What is written of attributes is what was read.
        var writer = JSONWriter()
        document.attributes.append(to: &writer)
        #expect(try writer.bytes.withUnsafeBytes { try AttributeList(json: $0) } == document.attributes)
    }

    /// The error says which member, and what is wrong with it.
    @Test func aGoldLineIsReadStrictly() throws {
        let line = String(decoding: try lines("x", origin: nil).gold, as: UTF8.self)
        for (old, new, field, reason) in [
            ("\"version\":1", "\"version\":\"1\"", "version", "is not an integer"),
            ("\"version\":1", "\"version\":1.0", "version", "is not an integer"),
            (
                "\"operation\":\"put\"", "\"operation\":\"patch\"", "operation",
                "is not one of put, delete, delete_below"
            ),
            ("\"operation\":\"put\"", "\"tenant\":\"a b\"", "tenant", "is not a name: \(TenantID.grammar)"),
            ("\"collection\":\"c\"", "\"collection\":\"\"", "collection", "is not a name: \(TenantID.grammar)"),
            ("\"text\":", "\"is_bot\":1,\"text\":", "is_bot", "is not true or false"),
            ("\"text\":", "\"namespace\":\"4\",\"text\":", "namespace", "is not an integer"),
            ("\"text\":", "\"wiki\":null,\"text\":", "wiki", "is not a string"),
            ("\"text\":", "\"txt\":", "text", "is not a string"),
            ("\"quality_flags\":[\"one\"", "\"quality_flags\":[1", "quality_flags", "holds a non-string"),
            ("\"quality_flags\":[\"one\",\"two\"]", "\"quality_flags\":{}", "quality_flags", "is not an array"),
            ("\"attributes\":{", "\"attributes\":[],\"rest\":{", "attributes", "is not an object"),
            (
                "\"attributes\":{", "\"attributes\":{\"a\":[1],", "attributes.a",
                "is not a text, a number, true or false"
            ),
            ("2023-11-14T", "2023-13-14T", "event_time", "is not an RFC 3339 time"),
            ("\"parents\":[", "\"parent\":[", "lineage", "is absent or has no parents"),
            ("\"partition\":2", "\"partition\":2147483648", "partition", "is out of range"),
            ("\"offset\":9", "\"offset\":null", "offset", "is not an integer"),
            ("\"event_id\":\"x\"", "\"event\":\"x\"", "event_id", "is not a string"),
            ("\"logic_version\":\"v3-x\"", "\"logic_version\":3", "logic_version", "is not a string"),
        ] {
            let broken = line.replacing(old, with: new)
            #expect(broken != line, "\(old)")
            #expect(throws: RecordFormatError("Gold record", field: field, reason: reason), "\(new)") {
                try Array(broken.utf8).withUnsafeBytes { try GoldLine.decode($0) }
            }
        }
        for broken in ["", "[]", line + "x", String(line.dropLast()), line.replacing("\"x\"", with: "\"\\x\"")] {
            let error = #expect(throws: RecordFormatError.self) {
                try Array(broken.utf8).withUnsafeBytes { try GoldLine.decode($0) }
            }
            #expect(error?.field == "line" && error?.reason.hasPrefix("is not a JSON object: ") == true)
        }
        // Members in another order, unknown ones, and a name with an escape mean what they say; the last of equals counts.
        let other = "{\"lineage\":0,\"new\":[{}]," + line.dropFirst().replacing("\"title\"", with: "\"titl\\u0065\"")
        let read = try Array(other.utf8).withUnsafeBytes { try GoldLine.decode($0) }
        #expect(try Array(line.utf8).withUnsafeBytes { try GoldLine.decode($0) } == read)
    }

    @Test func lineageIsReadFromAnIndex() throws {
        let parents = [
            ParentReference(topic: "t", partition: 1, offset: .max, eventID: "ü\"\u{0}", bronzeSHA256: "")
        ]
        // As Postgres writes it: another order, and spaces.
        let json =
            #"{"parents": [{"topic": "t", "offset": 9223372036854775807, "event_id": "ü\"\u0000", "#
            + #""partition": 1, "bronze_sha256": ""}], "logic_version": "l"}"#
        let lineage = try Lineage(json: Array(json.utf8))
        #expect(lineage.logicVersion == "l" && lineage.parents == parents)
        #expect(try Lineage(json: Lineage(logicVersion: "l", parents: parents).json).parents == parents)
        for broken in ["", "[]", "null", "{}", json + ",", #"{"logic_version":"l","parents":[1]}"#] {
            #expect(throws: RecordFormatError.self, "\(broken)") { try Lineage(json: Array(broken.utf8)) }
        }
    }
}
