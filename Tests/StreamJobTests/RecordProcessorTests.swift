import Bytes
import Derivation
import Foundation
import Hashing
import JSONScan
import Lake
import Logic
import PlatformTesting
import Records
import StreamJob
import Testing

/// Feeds payloads to a processor as records of one topic partition.
struct ProcessorDriver: ~Copyable {
    // 2027-01-01T00:00:00Z, as in expected_counts.py.
    static let brokerTime: Int64 = 1_798_761_600_000
    static let source = TopicPartition(topic: "wikimedia.recentchange", partition: 0)
    var processor: RecordProcessor
    var offset: Int64 = 0
    var key: [UInt8]?
    var headers = RecordHeaderText()
    var time = Self.brokerTime

    init(
        template: String = TextTemplate.standard, window: DuplicateWindow.Limits = .init(),
        change: (inout TransformSettings) -> Void = { _ in }
    ) throws {
        var settings = TransformSettings(template: try TextTemplate(template), duplicates: window)
        change(&settings)
        try self.init([.recentChange(settings)])
    }

    /// - Parameter logics: of the generations, in order.
    init(_ logics: [LogicSettings]) throws {
        var processor = try RecordProcessor(source: Self.source, writesBronze: true)
        for (index, logic) in logics.enumerated() {
            let stored = try TopicLogic(logic, tenant: .standard, collection: Self.source.topic)
            try processor.add(
                LakeGeneration(
                    number: Int64(index + 1), parent: nil, logic: .byTopic([Self.source.topic: stored]), state: .active)
            )
        }
        self.processor = processor
    }

    mutating func feed(_ payload: [UInt8]?) throws -> RecordOutcome {
        defer { offset += 1 }
        guard let payload else { return try process(nil) }
        return try payload.withUnsafeBytes { bytes in try process(bytes) }
    }

    /// Later records carry the header, too.
    mutating func addHeader(_ name: String, _ value: String) {
        Array(name.utf8).withUnsafeBufferPointer { name in
            Array(value.utf8).withUnsafeBytes { headers.add(name, $0) }
        }
    }

    mutating func feed(_ text: String) throws -> RecordOutcome { try feed(Array(text.utf8)) }

    private mutating func process(_ value: UnsafeRawBufferPointer?) throws -> RecordOutcome {
        guard let key else { return try process(value, key: nil) }
        return try key.withUnsafeBytes { try process(value, key: $0) }
    }

    private mutating func process(
        _ value: UnsafeRawBufferPointer?, key: UnsafeRawBufferPointer?
    ) throws -> RecordOutcome {
        try headers.json.withUnsafeBytes { json in
            try processor.process(
                SourceRecord(
                    topic: Self.source.topic, partition: 0, offset: offset, timestampMilliseconds: time,
                    key: key, headers: json, origin: headers.origin, mayRepeat: headers.mayRepeat,
                    eventID: headers.eventID, value: value))
        }
    }

    func lines(_ text: [UInt8]) throws -> [JSONValue] {
        try text.split(separator: 0x0A).map { try JSONValue.parse(Array($0)) }
    }

    var silver: [JSONValue] { get throws { try lines(processor.generations[0].lines.silver) } }
    var gold: [JSONValue] { get throws { try lines(processor.generations[0].lines.gold) } }
    var quarantine: [JSONValue] { get throws { try lines(processor.generations[0].lines.quarantine) } }
}

/// A valid change whose members can be replaced or dropped.
func change(id: String = "6b1f3a52-0000-4000-8000-000000000001", _ replace: [String: String?] = [:]) -> String {
    var members: [(String, String?)] = [
        ("$schema", #""/mediawiki/recentchange/1.0.1""#),
        (
            "meta",
            #"{"id":"\#(id)","dt":"2026-11-21T06:30:00.250Z","domain":"de.wikipedia.org","#
                + #""uri":"https://de.wikipedia.org/wiki/Rhein"}"#
        ), ("type", #""edit""#), ("namespace", "0"), ("title", #""Rhein""#),
        ("comment", #""/* Geschichte */ [[Mosel|der Fluss]]  mit\nUmbruch""#), ("user", #""Łukasz \"X\"""#),
        ("bot", "false"), ("minor", "true"), ("wiki", #""dewiki""#), ("length", #"{"old":100,"new":90}"#),
        ("revision", #"{"old":1,"new":2}"#),
    ]
    for (name, value) in replace {
        members.removeAll { $0.0 == name }
        members.append((name, value))
    }
    return "{" + members.compactMap { name, value in value.map { "\"\(name)\":\($0)" } }.joined(separator: ",") + "}"
}

@Suite struct RecordProcessorTests {
    @Test func aChangeBecomesSilverAndGoldWithLineage() throws {
        var driver = try ProcessorDriver()
        _ = try driver.feed(change())
        let silver = try #require(try driver.silver.first)
        #expect(silver["event_time"]?.string == "2026-11-21T06:30:00.250Z")
        #expect(silver["delta"]?.integer == -10)
        #expect(silver["user"]?.string == "Łukasz \"X\"")
        #expect(silver["is_minor"]?.bool == true)
        let gold = try #require(try driver.gold.first)
        #expect(gold["doc_id"]?.string == "6b1f3a52-0000-4000-8000-000000000001")
        #expect(
            gold["text"]?.string
                == "Rhein: Geschichte: der Fluss mit Umbruch. edit by Łukasz \"X\" on de.wikipedia.org (-10 bytes).")
        #expect(gold["lang"]?.string == "de")
        let parent = try #require(gold["lineage"]?["parents"]?.array?.first)
        #expect(parent["offset"]?.integer == 0)
        var hasher = try SHA256Hasher()
        let digest = try Array(change().utf8).withUnsafeBytes { try hasher.hash($0).hex }
        #expect(parent["bronze_sha256"]?.string == digest)
        let text = try Array((gold["text"]?.string ?? "").utf8).withUnsafeBytes { try hasher.hash($0).hex }
        #expect(gold["text_hash"]?.string == text)
    }

    /// Room for a line is reserved by the lengths of its texts: here each byte of each takes the longest escape there is.
    @Test func aLineOfNothingButTheLongestEscapesHasRoom() throws {
        let controls = String(repeating: #"\u0001"#, count: 255)
        let raw = String(repeating: "\u{1}", count: 255)
        var driver = try ProcessorDriver(template: "{wiki}\u{1}{domain}\u{1}{type}") { settings in
            settings = TransformSettings(
                codeVersion: settings.codeVersion, template: settings.template, types: [raw])
        }
        driver.key = Array(raw.utf8)
        driver.addHeader(raw, raw)
        driver.addHeader(RedriveOrigin.header, "another.topic/3/17")
        let meta =
            #"{"id":"\#(controls)","dt":"2026-11-21T06:30:00Z","domain":"\#(controls)","uri":"\#(controls)"}"#
        let text = "\"\(controls)\""
        _ = try driver.feed(
            change([
                "meta": meta, "type": text, "title": text, "comment": text, "user": text, "wiki": text,
            ]))
        let silver = try #require(try driver.silver.first)
        for name in ["event_id", "wiki", "domain", "type", "title", "page_url", "user", "comment"] {
            #expect(silver[name]?.string == raw, "\(name)")
        }
        let parents = try #require(silver["lineage"]?["parents"]?.array)
        #expect(parents.map { $0["event_id"]?.string } == [raw, raw])
        #expect(parents.map { $0["topic"]?.string } == [ProcessorDriver.source.topic, "another.topic"])
        let gold = try #require(try driver.gold.first)
        #expect(gold["text"]?.string == String(repeating: "\u{1}", count: 767))
        #expect(gold["url"]?.string == raw)
        #expect(gold["lineage"]?["parents"]?.array?.count == 2)
        let bronze = try #require(try driver.lines(driver.processor.bronze).first)
        #expect(bronze["key"]?.string == raw)
        #expect(bronze["headers"]?.array?.first?.array?.first?.string == raw)
        // And the same in quarantine, of whatever length.
        _ = try driver.feed(change(id: controls + "x", ["title": nil]))
        #expect(try driver.quarantine.first?["event_id"]?.string == raw + "x")
    }

    /// On a topic with CreateTime every producer chooses its records' times.
    @Test func timesWithWhichNobodyCanReckonStopNothing() throws {
        var driver = try ProcessorDriver()
        for time in [Int64.max, Int64.min, -1, Int64.max - 1, 0] {
            driver.time = time
            _ = try driver.feed(change())
            _ = try driver.feed(change(id: "other \(time)"))
            driver.processor.warm(
                BronzeRecord(offset: driver.offset, timestampMilliseconds: time, value: Array(change().utf8)))
            driver.offset += 1
            _ = LakeHour(containing: SourceRecord.brokerMilliseconds(time))
        }
        let times = try driver.lines(driver.processor.bronze).map { $0["timestamp_ms"]?.integer }
        #expect(times.first == .max)
        #expect(times.contains(.min))
        // In 1970 the event lies in the future.
        #expect(try driver.quarantine.allSatisfy { $0["rule"]?.string == "absurd_time" })
        #expect(try !driver.silver.isEmpty)
    }

    @Test func theContentHashCoversTheLineWithoutLineage() throws {
        var driver = try ProcessorDriver()
        _ = try driver.feed(change())
        let line = String(decoding: driver.processor.generations[0].lines.gold, as: UTF8.self)
        let cut = try #require(line.range(of: #","content_hash""#))
        var hasher = try SHA256Hasher()
        let expected = try Array((line[..<cut.lowerBound] + "}").utf8).withUnsafeBytes { try hasher.hash($0).hex }
        #expect(try driver.gold.first?["content_hash"]?.string == expected)
    }

    @Test(
        arguments: [
            (nil, "null_payload"), ("", "invalid_json"), ("nonsense", "invalid_json"), (#"{"a":1"#, "truncated_json"),
            (#"{"meta":{"id":"x","#, "truncated_json"), ("[1]", "not_an_object"), ("{}", "missing_meta"),
            (#"{"meta":{}}"#, "missing_field"), (#"{"meta":{"id":5}}"#, "wrong_type"),
            (change(["$schema": nil]), "missing_field"),
            (change(["$schema": #""/mediawiki/recentchange/2.0.0""#]), "unknown_schema"),
            (change(["title": nil]), "missing_field"), (change(["title": "7"]), "wrong_type"),
            (change(["bot": "\"no\""]), "wrong_type"), (change(["namespace": "1.5"]), "wrong_type"),
            (change(["length": "3"]), "wrong_type"),
            (change(["meta": #"{"id":"x","dt":"yesterday","domain":"d"}"#]), "invalid_time"),
            (change(["meta": #"{"id":"x","dt":"1999-01-01T00:00:00Z","domain":"d"}"#]), "absurd_time"),
            (change(["meta": #"{"id":"x","dt":"2099-01-01T00:00:00Z","domain":"d"}"#]), "absurd_time"),
            (change(["comment": "\"" + String(repeating: "x", count: 1_100_000) + "\""]), "too_large"),
        ] as [(String?, String)])
    func poisonGoesToQuarantineWithItsRule(payload: String?, rule: String) throws {
        var driver = try ProcessorDriver()
        _ = try driver.feed(payload.map { Array($0.utf8) })
        let line = try #require(try driver.quarantine.first)
        #expect(line["rule"]?.string == rule)
        #expect(try driver.silver.isEmpty)
        #expect(driver.processor.bronzeCount == 1)
        // The raw bytes are there.
        let bronze = try #require(driver.processor.bronze.split(separator: 0x0A).first)
        #expect(BronzeLine.read(bronze)?.value == payload.map { Array($0.utf8) })
    }

    @Test func deepNestingAndBrokenUTF8HaveTheirRules() throws {
        var driver = try ProcessorDriver()
        let deep = String(repeating: #"{"a":"#, count: 100) + "1" + String(repeating: "}", count: 100)
        guard case .rejected(.tooDeep) = try driver.feed(deep) else {
            Issue.record("not too_deep")
            return
        }
        guard case .rejected(.invalidUTF8) = try driver.feed(Array(#"{"a":""#.utf8) + [0xFF] + Array(#""}"#.utf8))
        else {
            Issue.record("not invalid_utf8")
            return
        }
        #expect(try driver.quarantine.count == 2)
    }

    @Test func duplicatesAndCanariesAreCountedAndLeftOut() throws {
        var driver = try ProcessorDriver(window: DuplicateWindow.Limits(offsets: 3, milliseconds: 1_000))
        _ = try driver.feed(change(id: "a"))
        _ = try driver.feed(change(id: "a"))
        _ = try driver.feed(#"{"$schema":"/mediawiki/recentchange/1.0.0","meta":{"id":"c","domain":"canary"}}"#)
        _ = try driver.feed(change(id: "b"))
        _ = try driver.feed(change(id: "x"))
        // The last "a" lies four offsets back, outside of the window.
        _ = try driver.feed(change(id: "a"))
        #expect(driver.processor.duplicateCount == 1)
        #expect(driver.processor.canaryCount == 1)
        #expect(try driver.silver.count == 4)
        #expect(driver.processor.bronzeCount == 6)
    }

    /// A repeat is told by its header, by the third version of the code on; the mark of a redriven record is what it is.
    @Test(arguments: TransformSettings.CodeVersion.allCases)
    func aMarkedRecordIsHeldToTheBoundInOffsetsAlone(version: TransformSettings.CodeVersion) throws {
        func driver() throws -> ProcessorDriver {
            try ProcessorDriver(window: DuplicateWindow.Limits(offsets: 3, milliseconds: 1_000)) {
                $0.codeVersion = version
            }
        }
        let isKnown = version == .third
        var marked = try driver()
        _ = try marked.feed(change(id: "a"))
        marked.time += 3_600_000
        marked.addHeader(RepeatMark.header, "1")
        _ = try marked.feed(change(id: "a"))
        #expect(marked.processor.duplicateCount == (isKnown ? 1 : 0))
        // What a start reads back from Bronze decides the same.
        let bronze = marked.processor.bronze
        let records = bronze.split(separator: 0x0A).compactMap { BronzeLine.read($0) }
        #expect(records.map(\.mayRepeat) == [false, true])
        var warmed = try driver()
        for record in records {
            warmed.processor.warm(record)
        }
        warmed.offset = 2
        warmed.time += 7_200_000
        warmed.addHeader(RepeatMark.header, "1")
        _ = try warmed.feed(change(id: "a"))
        #expect(warmed.processor.duplicateCount == (isKnown ? 1 : 0))
        // Redriven after an hour, though another copy had come through.
        var redriven = try driver()
        _ = try redriven.feed(change(id: "b", ["title": nil]))
        redriven.time += 2_000
        _ = try redriven.feed(change(id: "b"))
        redriven.time += 3_600_000
        redriven.addHeader(RedriveOrigin.header, "wikimedia.recentchange/0/0")
        _ = try redriven.feed(change(id: "b"))
        #expect(try redriven.silver.count == (isKnown ? 1 : 2))
    }

    @Test func filtersDecideAboutGoldAlone() throws {
        var driver = try ProcessorDriver { settings in
            settings.wikis = ["dewiki"]
            settings.namespaces = [0]
            settings.dropsBots = true
        }
        _ = try driver.feed(change(id: "a"))
        _ = try driver.feed(change(id: "b", ["wiki": #""enwiki""#]))
        _ = try driver.feed(change(id: "c", ["namespace": "4"]))
        _ = try driver.feed(change(id: "d", ["bot": "true"]))
        _ = try driver.feed(change(id: "e", ["type": #""log""#]))
        _ = try driver.feed(change(id: "f", ["namespace": nil]))
        #expect(try driver.silver.count == 6)
        #expect(try driver.gold.count == 1)
        #expect(try driver.silver[5]["quality_flags"]?.array?.first?.string == "namespace_missing")
    }

    @Test func longTextsAreCutAtAScalar() throws {
        var driver = try ProcessorDriver(template: "{title}{comment}") { $0.contentCharactersMax = 7 }
        _ = try driver.feed(change(["comment": #""ééééé""#]))
        #expect(try driver.gold.first?["text"]?.string == "Rheinéé")
    }

    @Test func unknownFieldsSurviveInBronze() throws {
        var driver = try ProcessorDriver()
        let surplus = #"{ "deep":[1.0,1e5,-0,{"\u0041":null}],"twice":1,"twice":2 , "big":123456789012345678 }"#
        let payload = change(["brand_new": surplus, "length": #"{"old":1,"new":2,"unit":"bytes"}"#])
        _ = try driver.feed(payload)
        #expect(try driver.silver.count == 1)
        let bronze = try #require(driver.processor.bronze.split(separator: 0x0A).first)
        #expect(String(decoding: bronze, as: UTF8.self).hasSuffix(#","value":"# + payload + "}"))
        #expect(BronzeLine.read(bronze)?.value == Array(payload.utf8))
    }

    @Test func aPayloadOverSeveralLinesIsKeptAsBase64() throws {
        var driver = try ProcessorDriver()
        let payload = change().replacingFirst(",", with: ",\n")
        _ = try driver.feed(payload)
        let bronze = try #require(driver.processor.bronze.split(separator: 0x0A).first)
        #expect(try JSONValue.parse(Array(bronze))["value_base64"] != nil)
        #expect(BronzeLine.read(bronze)?.value == Array(payload.utf8))
        #expect(try driver.silver.count == 1)
    }

    @Test(
        .enabled(if: Recordings.folder != nil, Comment(rawValue: Recordings.absence)),
        arguments: [
            "recentchange-original.jsonl.zst", "edge-cases.jsonl", "invalid-utf8.jsonl",
            "recentchange-reshaped.jsonl.zst",
        ])
    func countsEqualThoseOfAnIndependentScript(name: String) throws {
        let expected = try ExpectedCounts.of(name)
        var driver = try ProcessorDriver()
        var accepted = 0
        for line in try Recordings.bytes(name).split(separator: 0x0A) {
            if case .accepted = try driver.feed(Array(line)) { accepted += 1 }
        }
        let lines = driver.processor.generations[0].lines
        #expect(driver.processor.bronzeCount == expected.records)
        #expect(lines.silverCount == expected.accepted)
        #expect(lines.goldCount == expected.gold)
        #expect(driver.processor.duplicateCount == expected.duplicates)
        #expect(driver.processor.canaryCount == expected.canaries)
        #expect(Dictionary(uniqueKeysWithValues: lines.rejects.map { ($0.key.rawValue, $0.value) }) == expected.rules)
    }
}

extension String {
    fileprivate func replacingFirst(_ text: String, with other: String) -> String {
        guard let range = range(of: text) else { return self }
        return self[..<range.lowerBound] + other + self[range.upperBound...]
    }
}
