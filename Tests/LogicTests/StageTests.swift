import JSONScan
import Records
import Testing

@testable import Logic

@Suite struct StageTests {
    private struct Guess: LanguageFinder {
        func language(of text: [UInt8]) -> String? { text.starts(with: "Der".utf8) ? "de" : nil }
    }

    private static func driver(_ stages: DocumentStages) throws -> LogicDriver {
        let mapping = DocumentMapping(
            id: try Products.path("id"), title: try Products.path("name"), texts: [try Products.path("text")],
            lang: try Products.path("lang"), deleted: try Products.path("deleted"))
        let price = MappedAttribute(try #require(AttributeName("price")), .integer, at: try Products.path("price"))
        return try LogicDriver(
            .document(DocumentSettings(mapping: mapping, attributes: [price], stages: stages)), languages: Guess())
    }

    private func gold(_ made: (id: String, line: String)?) throws -> JSONValue {
        try JSONValue.parse(Array(try #require(made).line.utf8))
    }

    private func flags(_ value: JSONValue?) -> [String] {
        (value?["quality_flags"]?.array ?? []).compactMap(\.string).filter { $0 != "empty_title" }
    }

    /// Silver has what came, Gold says that earlier versions are gone, so that no old text stays.
    @Test func whatIsTooShortIsLeftOutAndCounted() throws {
        let driver = try Self.driver(DocumentStages(textCharactersMin: 5))
        let kept = try gold(driver.feed(#"{"id":"a","text":"ÄÖÜ€5","price":3}"#, offset: 4))
        #expect(kept["operation"]?.string == "put" && flags(kept).isEmpty)
        let gone = try gold(driver.feed(#"{"id":"a","name":"A","text":" ÄÖÜ€ ","lang":"de","price":4}"#, offset: 5))
        #expect(gone["operation"]?.string == "delete" && gone["version"]?.integer == 5)
        #expect(flags(gone) == ["text_too_short"])
        #expect(gone["text"]?.string ?? "" == "" && gone["title"]?.string ?? "" == "")
        #expect(gone["attributes"]?.object?.count ?? 0 == 0)
        let silver = try JSONValue.parse(Array(try #require(driver.lines.silver.split(separator: 0x0A).last)))
        #expect(silver["version"]?.integer == 6)
        #expect(silver["operation"]?.string == "put" && silver["text"]?.string == "ÄÖÜ€")
        #expect(flags(silver) == ["text_too_short"] && silver["attributes"]?["price"]?.integer == 4)
        #expect(driver.lines.rules[.textTooShort]?.count == 1)
        #expect(driver.lines.rules[.textTooShort]?.sampleOffset == 5)
        #expect(Rule.textTooShort.severity == .leaveOut && driver.lines.rejects.isEmpty)
    }

    @Test func nearDuplicatesAreLeftOutAndCounted() throws {
        let driver = try Self.driver(DocumentStages(textCharactersMin: 3, nearDuplicates: .init(offsets: 100)))
        func isKept(_ id: String, _ text: String, _ offset: Int64) throws -> Bool {
            try gold(driver.feed(#"{"id":"\#(id)","text":"\#(text)"}"#, offset: offset))["operation"]?.string == "put"
        }
        #expect(try isKept("a", "A kettle of three litres", 0))
        #expect(try !isKept("b", "a kettle, of three litres!", 1))
        #expect(try isKept("a", "A kettle of three litres", 2))
        // A text that is too short is no text that another one could repeat.
        #expect(try !isKept("a", "A", 3))
        #expect(try isKept("b", "a kettle, of three litres!", 4))
        _ = try driver.feed(#"{"id":"b","deleted":true}"#, offset: 5)
        #expect(try isKept("c", "A kettle of three litres", 6))
        // What is in quarantine has put no text anywhere.
        #expect(try driver.feed(#"{"id":"c","text":"A lamp","price":"dear"}"#, offset: 7) == nil)
        #expect(try isKept("d", "A lamp", 8))
        #expect(try !isKept("e", "A kettle of three litres", 9))
        #expect(driver.lines.rules[.nearDuplicate]?.count == 2)
        #expect(driver.lines.rules[.textTooShort]?.count == 1)
        #expect(driver.lines.silverCount == 9 && driver.lines.goldCount == 9)
    }

    @Test func aLanguageIsFoundWhereNoneIsTold() throws {
        let driver = try Self.driver(DocumentStages(detectsLanguage: true))
        let found = try gold(driver.feed(#"{"id":"a","text":"Der Kessel"}"#))
        #expect(found["lang"]?.string == "de" && flags(found) == ["language_detected"])
        let told = try gold(driver.feed(#"{"id":"b","text":"Der Kessel","lang":"nds"}"#))
        #expect(told["lang"]?.string == "nds" && flags(told).isEmpty)
        let unknown = try gold(driver.feed(#"{"id":"c","text":"???"}"#))
        #expect(unknown["lang"]?.string ?? "und" == "und" && flags(unknown).isEmpty)
        #expect(driver.lines.rules[.languageDetected]?.count == 1 && Rule.languageDetected.severity == .flag)
        let silver = try JSONValue.parse(Array(try #require(driver.lines.silver.split(separator: 0x0A).first)))
        #expect(silver["lang"]?.string == "de")
        // Without the stage the finder is not asked.
        let plain = try gold(Self.driver(DocumentStages()).feed(#"{"id":"a","text":"Der Kessel"}"#))
        #expect(plain["lang"]?.string ?? "und" == "und")
        let settings = driver.logic.settings
        #expect(throws: (any Error).self) { _ = try LogicDriver(settings) }
    }

    @Test(arguments: [
        (#"{"id":"a","text":"t","meta":{"domain":"canary"}}"#, true), (#"{"meta":{"domain":"canary"}}"#, true),
        (#"{"id":"a","text":"t","bot":true}"#, true), (#"{"id":"a","text":"t","n":7}"#, true),
        (#"{"id":"a","text":"t","meta":{"domain":"canary."}}"#, false), (#"{"id":"a","text":"t","bot":1}"#, false),
        (#"{"id":"a","text":"t","n":"7","bot":false,"meta":"canary"}"#, false),
    ])
    func recordsAboutNothingLeaveNoLine(json: String, isNothing: Bool) throws {
        let driver = try Self.driver(
            DocumentStages(passesOver: [
                PassedOver(try Products.path("n"), .integer(7)),
                PassedOver(try Products.path("meta.domain"), .text("canary")),
                PassedOver(try Products.path("bot"), .bool(true)),
            ]))
        #expect((try driver.feed(json) == nil) == isNothing)
        #expect(driver.lines.passedOverCount == (isNothing ? 1 : 0) && driver.lines.quarantineCount == 0)
    }

    /// Of recent changes Gold has nothing of what is left out: each is a document of its own.
    @Test func recentChangesPassStagesToo() throws {
        var settings = TransformSettings(template: try TextTemplate("{title}: {comment}"))
        settings.stages = DocumentStages(textCharactersMin: 12, nearDuplicates: .init(offsets: 50, distance: 0))
        let driver = try LogicDriver(.recentChange(settings), collection: "c")
        func isGold(_ id: String, _ comment: String, type: String = "edit", _ offset: Int64) throws -> Bool {
            let json =
                #"{"$schema":"/mediawiki/recentchange/1.0.0","meta":{"id":"\#(id)","dt":"2025-11-24T16:00:00Z","domain":"d.org","uri":"u"},"type":"\#(type)","title":"Gate","comment":"\#(comment)","user":"U","bot":false,"wiki":"enwiki","namespace":0}"#
            return try driver.feed(json, offset: offset) != nil
        }
        #expect(try isGold("a", "a new bridge", 0))
        #expect(try !isGold("b", "A new bridge!", 1))
        #expect(try isGold("a", "a new bridge", 2), "the same change again")
        #expect(try !isGold("c", "typo", 3))
        // What the filters leave out is no text that another one could repeat.
        #expect(try !isGold("d", "an old bridge", type: "log", 4))
        #expect(try isGold("e", "an old bridge", 5))
        #expect(driver.lines.silverCount == 6 && driver.lines.goldCount == 3)
        #expect(driver.lines.rules[.nearDuplicate]?.count == 1 && driver.lines.rules[.textTooShort]?.count == 1)
        #expect(!String(decoding: driver.lines.silver, as: UTF8.self).contains("near_duplicate"))
        var hasher = try TestHasher()
        let version = try settings.logicVersion(hasher: &hasher)
        settings.stages.reputation = 2
        #expect(try settings.logicVersion(hasher: &hasher) != version)
    }

    /// Logic from before there were stages keeps its fingerprint.
    @Test func withoutStagesNothingIsStored() throws {
        let json = String(decoding: try Products.settings().canonicalJSON, as: UTF8.self)
        for word in ["near", "detects", "reputation", "passes", "text_characters"] { #expect(!json.contains(word)) }
    }
}
