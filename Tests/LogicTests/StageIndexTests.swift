import Bytes
import JSONScan
import PlatformTesting
import Records
import Testing

@testable import Logic

/// What the index comes to show of documents that stages leave out, by the rules of Gold's lines.
@Suite struct StageIndexTests {
    /// The index of one topic partition, as Gold's lines say.
    private struct Index {
        struct Shown: Equatable {
            let version: Int64
            let text: String
        }

        var shown: [String: Shown] = [:]
        private var goneVersions: [String: Int64] = [:]

        mutating func apply(_ gold: JSONValue) throws {
            let id = try #require(gold["doc_id"]?.string)
            let version = try #require(gold["version"]?.integer)
            if gold["operation"]?.string == "delete" {
                goneVersions[id] = max(goneVersions[id] ?? version, version)
                if let known = shown[id], known.version <= version { shown[id] = nil }
                return
            }
            guard version > goneVersions[id] ?? .min, version >= shown[id]?.version ?? .min else { return }
            shown[id] = Shown(version: version, text: try #require(gold["text"]?.string))
        }
    }

    /// One source: records in, and what is shown then.
    private struct Scene {
        let driver: LogicDriver
        var index = Index()
        var offset: Int64 = 0

        /// - Parameter version: where versions stand; nil where they are offsets.
        init(_ stages: DocumentStages, version: String? = "rev") throws {
            let mapping = DocumentMapping(
                id: try Products.path("id"), version: try version.map(Products.path),
                texts: [try Products.path("text")], deleted: try Products.path("deleted"))
            driver = try LogicDriver(.document(DocumentSettings(mapping: mapping, stages: stages)))
        }

        /// - Parameter text: nil for a deletion.
        /// - Returns: the Gold line.
        @discardableResult
        mutating func feed(_ id: String, _ version: Int64, _ text: String?) throws -> JSONValue {
            let content = text.map { #""text":"\#($0)""# } ?? #""deleted":true"#
            let made = try driver.feed(#"{"id":"\#(id)","rev":\#(version),\#(content)}"#, offset: offset)
            offset += 1
            let gold = try JSONValue.parse(Array(try #require(made).line.utf8))
            try index.apply(gold)
            return gold
        }

        func shows(_ id: String) -> String? { index.shown[id]?.text }
    }

    private static let kettle = "A kettle of three litres"

    @Test func whatWasLeftOutComesBackWithTheSameVersion() throws {
        var scene = try Scene(DocumentStages(nearDuplicates: .init(offsets: 100)))
        try scene.feed("a", 1, Self.kettle)
        let gone = try scene.feed("b", 5, Self.kettle)
        #expect(gone["operation"]?.string == "delete" && gone["version"]?.integer == 4)
        #expect(gone["lineage"]?["parents"]?.array?.first?["event_id"]?.string == "b@5")
        #expect(scene.shows("a") != nil && scene.shows("b") == nil)
        try scene.feed("a", 2, nil)
        try scene.feed("b", 5, Self.kettle)
        #expect(scene.shows("a") == nil && scene.shows("b") == Self.kettle)
        // An older one is as old as it was.
        try scene.feed("b", 4, "A lamp")
        #expect(scene.shows("b") == Self.kettle)
    }

    @Test func theFirstVersionIsNotTheLast() throws {
        var scene = try Scene(DocumentStages(nearDuplicates: .init(offsets: 100)))
        try scene.feed("a", 1, Self.kettle)
        let gone = try scene.feed("b", 1, Self.kettle)
        #expect(gone["operation"]?.string == "delete" && gone["version"]?.integer == 0)
        try scene.feed("a", 1, nil)
        try scene.feed("b", 1, Self.kettle)
        #expect(scene.shows("b") == Self.kettle)
    }

    @Test(arguments: ["rev", nil])
    func anUpdateToAnothersTextTakesTheOldTextAway(version: String?) throws {
        var scene = try Scene(
            DocumentStages(textCharactersMin: 3, nearDuplicates: .init(offsets: 100)), version: version)
        try scene.feed("a", 1, Self.kettle)
        try scene.feed("b", 1, "A lamp for the desk")
        try scene.feed("c", 1, "A chair")
        #expect(scene.shows("b") != nil && scene.shows("c") != nil)
        try scene.feed("b", 2, Self.kettle)
        try scene.feed("c", 2, "C")
        #expect(scene.shows("b") == nil && scene.shows("c") == nil)
    }

    /// In a new block the copy comes first; the original, sent again as it was, must not go for good.
    @Test func theSameVersionStaysWhereACopyCameFirst() throws {
        var scene = try Scene(DocumentStages(nearDuplicates: .init(offsets: 2)))
        try scene.feed("a", 1, Self.kettle)
        try scene.feed("x", 1, "A lamp")
        try scene.feed("b", 1, Self.kettle)
        let again = try scene.feed("a", 1, Self.kettle)
        #expect(again["operation"]?.string == "delete")
        #expect(scene.shows("a") == Self.kettle && scene.shows("b") == Self.kettle)
    }

    /// Within a block the window holds what the index shows, neither more nor less.
    @Test(arguments: LongTests.seeds(1...30))
    func theWindowHoldsWhatTheIndexShows(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var scene = try Scene(
            DocumentStages(textCharactersMin: 3, nearDuplicates: .init(offsets: 10_000, distance: 0)),
            version: seed % 3 == 0 ? nil : "rev")
        var leftOut = 0
        for _ in 0..<200 {
            let id = "d\(Int.random(in: 0..<8, using: &random))"
            let version = Int64.random(in: 1...12, using: &random)
            let texts: [String?] = [nil, "x"] + (0..<10).map { "text \($0 % 5)" }
            let text = texts[Int.random(in: 0..<texts.count, using: &random)]
            let before = scene.index.shown
            let gold = try scene.feed(id, version, text)
            let flags = (gold["quality_flags"]?.array ?? []).compactMap(\.string)
            let others = before.filter { $0.key != id && $0.value.text == text }
            if flags.contains("near_duplicate") {
                leftOut += 1
                #expect(!others.isEmpty, "nobody has \(text ?? "") at \(scene.offset - 1), TEST_SEED=\(seed)")
            } else if let text, scene.index.shown[id] != before[id], scene.shows(id) == text {
                #expect(others.isEmpty, "\(text) is there twice at \(scene.offset - 1), TEST_SEED=\(seed)")
            }
        }
        #expect(leftOut > 0, "TEST_SEED=\(seed)")
    }
}
