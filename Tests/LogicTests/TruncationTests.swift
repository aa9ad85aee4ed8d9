import JSONScan
import Records
import Testing

@testable import Logic

/// Records of the logic `document` that say that a source was emptied, or begins anew.
@Suite struct TruncationTests {
    private func driver() throws -> LogicDriver {
        try LogicDriver(.document(Products.settings(truncated: "meta.emptied")))
    }

    /// Golden: these bytes are what a lake holds, so they stay.
    @Test func aTruncationBecomesTheseLines() throws {
        let driver = try driver()
        // Whatever else it holds, right or wrong, does not matter; it may have an id, or none.
        let gold = try #require(
            try driver.feed(
                #"{"sku":[],"rev":8,"gone":5,"meta":{"emptied":true},"name":5,"updated":"2026-11-24T00:00:00Z"}"#,
                offset: 41))
        #expect(gold.id.isEmpty)
        let silver = String(decoding: driver.lines.silver, as: UTF8.self)
        let start = try #require(silver.firstRange(of: #""lineage""#)).lowerBound
        let lineage = String(silver[start...].dropLast())
        #expect(
            silver.prefix(upTo: start)
                == #"{"event_id":"@8","event_time":"2026-11-24T00:00:00.000Z","version":8,"operation":"delete_below","quality_flags":[],"#
        )
        let parent = try JSONValue.parse(Array(gold.line.utf8))["lineage"]?["parents"]?.array?.first
        #expect(parent?["event_id"]?.string == "@8" && parent?["offset"]?.integer == 41)
        let hashed =
            #"{"version":8,"operation":"delete_below","collection":"products","event_time":"2026-11-24T00:00:00.000Z","quality_flags":[]"#
        var digest: [UInt8] = []
        var hasher = try TestHasher()
        try Array((hashed + "}").utf8).withUnsafeBytes { try hasher.appendHexDigest(of: $0, to: &digest) }
        #expect(gold.line == hashed + #","content_hash":"\#(String(decoding: digest, as: UTF8.self))",\#(lineage)"#)
        #expect(driver.lines.silverCount == 1 && driver.lines.goldCount == 1 && driver.lines.quarantineCount == 0)
    }

    /// What is not `true` changes nothing; a truncation without a version is none.
    @Test func onlyTrueTruncates() throws {
        let driver = try driver()
        for value in ["false", "null", "{\"emptied\":false}", "{\"emptied\":null}", "{}"] {
            let gold = try #require(try driver.feed(#"{"sku":"a","rev":1,"name":"n","meta":\#(value)}"#))
            #expect(gold.id == "a" && gold.line.contains(#""operation":"put""#), "\(value)")
        }
        let deleted = try #require(try driver.feed(#"{"sku":"a","rev":2,"gone":true,"meta":{"emptied":false}}"#))
        #expect(deleted.line.contains(#""operation":"delete","#))
        for (json, rule, detail) in [
            (#"{"rev":1,"name":"n","meta":{"emptied":"true"}}"#, .wrongType, "meta.emptied"),
            (#"{"sku":"a","rev":1,"name":"n","meta":{"emptied":1}}"#, .wrongType, "meta.emptied"),
            (#"{"meta":{"emptied":true}}"#, .missingField, "rev"),
            (#"{"rev":0,"meta":{"emptied":true}}"#, .invalidVersion, "rev"),
            (#"{"rev":1,"updated":"x","meta":{"emptied":true}}"#, .invalidEventTime, "updated"),
            (#"{"rev":1,"meta":{"emptied":false},"name":"n"}"#, .missingField, "sku"),
        ] as [(String, Rule, String)] {
            let fresh = try self.driver()
            #expect(try fresh.feed(json, eventID: "e") == nil, "\(json)")
            #expect(fresh.lines.rejects == [rule: 1], "\(json)")
            #expect(try JSONValue.parse(fresh.lines.quarantine)["detail"]?.string == detail)
        }
    }

    @Test func itsTimeAndItsIDAreARecords() throws {
        let driver = try driver()
        let gold = try #require(
            try driver.feed(#"{"rev":"2026-01-01T00:00:00Z","meta":{"emptied":true}}"#, eventID: "s-1-0-a"))
        #expect(gold.line.contains(#""version":1767225600000,"operation":"delete_below""#))
        #expect(gold.line.contains(#""event_time":"2025-11-24T16:00:00.000Z","quality_flags":["event_time_missing"]"#))
        #expect(gold.line.contains(#""event_id":"s-1-0-a""#))
        #expect(driver.lines.rules[.eventTimeMissing]?.count == 1)
    }

    /// A document behind it has nothing of it, and the reverse.
    @Test func linesArePure() throws {
        let texts = [Products.whole, #"{"rev":9,"meta":{"emptied":true}}"#, #"{"sku":"z","rev":3,"name":"n"}"#]
        let alone = try texts.map { try driver().feed($0)?.line }
        let shared = try driver()
        for _ in 0..<3 {
            for (text, line) in zip(texts, alone) { #expect(try shared.feed(text)?.line == line) }
        }
    }
}
