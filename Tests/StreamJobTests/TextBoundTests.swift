import Bytes
import JSONScan
import Logic
import Records
import Settings
import StreamJob
import Testing

/// From code version 3 on no text is longer than the narrowest thing that holds it later.
@Suite struct TextBoundTests {
    static let bounds: [(field: String, bytesMax: Int)] = [
        ("meta.id", 255), ("wiki", 255), ("meta.domain", 255), ("type", 255), ("title", 1_024), ("user", 1_024),
        ("meta.uri", 4_096), ("comment", 65_536),
    ]
    /// Names of the same fields on a Silver line.
    private static let silverNames = [
        "meta.id": "event_id", "meta.domain": "domain", "meta.uri": "page_url",
    ]

    /// A change with one field's text, given as it stands between quotes in JSON.
    static func event(_ field: String, _ json: String) -> String {
        guard field.hasPrefix("meta.") else { return change([field: "\"\(json)\""]) }
        var meta = [
            "id": "an-id", "dt": "2026-11-21T06:30:00Z", "domain": "de.wikipedia.org", "uri": "https://example.org",
        ]
        meta[String(field.dropFirst(5))] = json
        let members = meta.map { "\"\($0)\":\"\($1)\"" }.joined(separator: ",")
        return change(["meta": "{\(members)}"])
    }

    /// So many bytes of a scalar, filled up with a letter at the front.
    private static func text(of scalar: String, bytes: Int) -> String {
        String(repeating: "a", count: bytes % scalar.utf8.count)
            + String(repeating: scalar, count: bytes / scalar.utf8.count)
    }

    @Test(arguments: bounds.indices, ["a", "é", "東", "😀"])
    func atItsBoundATextPassesAndAByteMoreIsRejected(index: Int, scalar: String) throws {
        let (field, bytesMax) = Self.bounds[index]
        // Without a window: most of these events have one id.
        var driver = try ProcessorDriver(window: DuplicateWindow.Limits(offsets: 0, milliseconds: 0))
        let longest = Self.text(of: scalar, bytes: bytesMax)
        _ = try driver.feed(Self.event(field, longest))
        let silver = try #require(try driver.silver.first)
        #expect(silver[Self.silverNames[field] ?? field]?.string == longest)
        _ = try driver.feed(Self.event(field, Self.text(of: scalar, bytes: bytesMax + 1)))
        #expect(try driver.silver.count == 1)
        let rejected = try #require(try driver.quarantine.first)
        #expect(rejected["rule"]?.string == "text_too_long")
        #expect(rejected["detail"]?.string == "\(field): \(bytesMax + 1) bytes, at most \(bytesMax)")
    }

    /// What counts is the text, not how its JSON spells it.
    @Test func escapesCountAsWhatTheyStandFor() throws {
        var driver = try ProcessorDriver()
        _ = try driver.feed(Self.event("title", String(repeating: #"\u00e9"#, count: 512)))
        _ = try driver.feed(Self.event("meta.id", String(repeating: #"\ud83d\ude00"#, count: 64)))
        #expect(try driver.silver.count == 1)
        #expect(try driver.quarantine.map { $0["detail"]?.string } == ["meta.id: 256 bytes, at most 255"])
    }

    /// Two ids must not become one where Postgres' text cannot hold what tells them apart.
    @Test func anIdWithANullIsRejectedAndATitleWithOneIsKept() throws {
        var driver = try ProcessorDriver()
        _ = try driver.feed(Self.event("meta.id", #"a\u0000b"#))
        _ = try driver.feed(Self.event("meta.id", "a\u{FFFD}b"))
        _ = try driver.feed(Self.event("title", #"a\u0000b"#))
        #expect(try driver.quarantine.map { $0["rule"]?.string } == ["null_character"])
        #expect(try driver.gold.map { $0["title"]?.string } == ["Rhein", "a\0b"])
    }

    @Test(arguments: bounds.indices)
    func aLoneSurrogateIsNoText(index: Int) throws {
        var driver = try ProcessorDriver()
        let field = Self.bounds[index].field
        for json in [#"\ud800"#, #"\udc00"#, #"a\udbff"#, #"\udfffb"#, #"\ud800\u0041"#, #"\udc00\ud800"#] {
            _ = try driver.feed(Self.event(field, json))
        }
        #expect(try driver.silver.isEmpty)
        #expect(try driver.quarantine.map { $0["rule"]?.string } == Array(repeating: "invalid_json", count: 6))
    }

    /// Generations of older logic stay as they are.
    @Test(arguments: [TransformSettings.CodeVersion.first, .second])
    func olderVersionsHaveNoBounds(version: TransformSettings.CodeVersion) throws {
        var driver = try ProcessorDriver { $0.codeVersion = version }
        for (field, bytesMax) in Self.bounds {
            _ = try driver.feed(Self.event(field, String(repeating: "x", count: bytesMax + 1)))
            driver.offset += 1_000_000
        }
        _ = try driver.feed(Self.event("meta.id", #"a\u0000b"#))
        #expect(try driver.quarantine.isEmpty)
        #expect(try driver.silver.count == Self.bounds.count + 1)
    }

    /// Every text at its bound and of the longest escapes, redriven, under the widest settings there are.
    @Test func theLargestDocumentFitsABrokerAsItComes() throws {
        #expect(throws: SettingsError.self) { try Settings(environment: ["MAX_CONTENT_CHARS": "100001"]) }
        let widest = try Settings(environment: [
            "MAX_CONTENT_CHARS": "100000", "TEXT_TEMPLATE": String(repeating: "{wiki}{type}{domain}", count: 200),
        ])
        let text = { (bytes: Int) in String(repeating: #"\u0001"#, count: bytes) }
        let type = String(repeating: "\u{1}", count: 255)
        var driver = try ProcessorDriver { settings in
            guard let made = try? TransformSettings(widest) else { return }
            settings = TransformSettings(
                template: made.template, contentCharactersMax: made.contentCharactersMax, types: [type])
        }
        driver.addHeader(RedriveOrigin.header, String(repeating: "t", count: 249) + "/2147483647/9223372036854775806")
        driver.addHeader(RedriveOrigin.hashHeader, String(repeating: "0", count: 64))
        let meta =
            #"{"id":"\#(text(255))","dt":"2026-11-21T06:30:00Z","domain":"\#(text(255))","uri":"\#(text(4_096))"}"#
        _ = try driver.feed(
            change([
                "meta": meta, "type": "\"\(text(255))\"", "wiki": "\"\(text(255))\"", "title": "\"\(text(1_024))\"",
                "user": "\"\(text(1_024))\"", "comment": "\"\(text(65_536))\"",
            ]))
        let gold = try #require(try driver.gold.first)
        #expect(gold["text"]?.string?.unicodeScalars.count == 100_000)
        let entry = try #require(driver.processor.gold.first)
        // The topic's own name is the one text that is not at its bound here.
        let bytes = entry.line.count + entry.documentID.count + 3 * 249 + GoldPublisher.frameBytes
        #expect(bytes <= GoldPublisher.recordBytesMaxDefault)
    }
}
