import Bytes
import Glibc
import IndexTesting
import JSONScan
import Records
import Retrieval
import Testing

@testable import API
@testable import Store

/// A filter means the same in memory, in the database and on the stream, whatever it asks and whatever documents hold.
@Suite struct FilterAgreementTests {
    private let limit = IndexFixture.limit

    /// Attributes of the collections' own, some of them with columns of their own where they are of the column's type, which
    /// in a second collection they need not be.
    private static let own = ["size", "tag", "due", "wiki", "type", "namespace", "user", "is_bot", "domain"]
        .compactMap { AttributeName($0) }
    private static let names = AttributeName.common + own
    private static let collections = ["wikimedia.recentchange", "other", "a"]
    private static let words = [
        "", "a", "b", "enwiki", "dewiki", "\u{E9}", "e\u{301}", "O'Reilly \\ \"x\"", "4", "true",
        // The form of a time, but none; a time in another form.
        "2023-02-30T00:00:00.000Z", "2023-11-14T22:13:20Z",
    ]
    private static let firstTime: Int64 = 1_700_000_000_000

    private static func word(_ random: inout SeededGenerator) -> String {
        words[Int.random(in: 0..<words.count, using: &random)]
    }

    private static func time(_ random: inout SeededGenerator) -> Int64 {
        firstTime + Int64.random(in: 0...20, using: &random)
    }

    private struct Document {
        var indexed: IndexedDocument
        /// Whether the line is one of a former logic, with some attributes as members of its own.
        var isFormer: Bool

        /// What the stream reads.
        var line: [UInt8] {
            let gold = indexed.document
            let former: [AttributeName: AttributeType] = [
                .wiki: .string, .type: .string, .user: .string, .isBot: .bool,
            ]
            var inside = AttributeList()
            var writer = JSONWriter()
            writer.beginObject()
            writer.string("doc_id", gold.docID)
            writer.string("collection", gold.collection.text)
            gold.attributes.forEach { name, value in
                guard isFormer, former[name] == value.type else { return inside.set(name, value) }
                writer.key(dynamic: name.text)
                value.append(to: &writer)
            }
            writer.key("attributes")
            inside.append(to: &writer)
            writer.string("text", gold.text)
            writer.string("event_time", CivilTime.rfc3339(gold.eventTimeMilliseconds))
            writer.string("lang", gold.lang)
            writer.endObject()
            return writer.bytes
        }
    }

    /// Of recent changes with the attributes that all of them have, or of another collection with any attributes.
    private static func document(_ number: Int, near vector: [Float], _ random: inout SeededGenerator) -> Document {
        var indexed = IndexFixture.document(
            number, text: "river \(number)", wiki: word(&random), isBot: Bool.random(using: &random),
            embedding: IndexFixture.neighbour(of: vector, &random))
        indexed.document.lang = word(&random)
        indexed.document.eventTimeMilliseconds = time(&random)
        let isChange = Bool.random(using: &random)
        if isChange {
            indexed.document.attributes.set(.type, .string(word(&random)))
            indexed.document.attributes.set(.user, .string(word(&random)))
            indexed.document.attributes.set(.namespace, .integer(Int64.random(in: -2...5, using: &random)))
        } else {
            indexed.document.collection = IndexFixture.name(
                collections[Int.random(in: 0..<collections.count, using: &random)])
            indexed.document.attributes = AttributeList()
            for name in own where Int.random(in: 0..<4, using: &random) > 0 {
                // Lines tell times as texts.
                let text = CivilTime.rfc3339(time(&random))
                indexed.document.attributes.set(
                    name, name == AttributeName("due") ? .string(text) : Self.lineValue(&random))
            }
        }
        return Document(indexed: indexed, isFormer: isChange && Bool.random(using: &random))
    }

    private static func lineValue(_ random: inout SeededGenerator) -> AttributeValue {
        let value = value(&random)
        if case .time(let milliseconds) = value { return .string(CivilTime.rfc3339(milliseconds)) }
        return value
    }

    private static func value(_ random: inout SeededGenerator) -> AttributeValue {
        switch Int.random(in: 0..<8, using: &random) {
        case 0, 1, 2: .string(word(&random))
        case 3, 4: .integer(Int64.random(in: -2...5, using: &random))
        case 5: .number(Double(Int.random(in: -4...10, using: &random)) / 4)
        case 6: .time(time(&random))
        default: .bool(Bool.random(using: &random))
        }
    }

    private static func test(_ random: inout SeededGenerator) -> AttributeTest {
        let name = names[Int.random(in: 0..<names.count, using: &random)]
        switch Int.random(in: 0..<10, using: &random) {
        case 0: return AttributeTest(name, .absent)
        case 1, 2, 3:
            let hasTimes = name == .eventTime || name == AttributeName("due")
            let isTime = Int.random(in: 0..<5, using: &random) > (hasTimes ? 0 : 3)
            let ends: [AttributeValue?] = (0..<2).map { _ in
                isTime
                    ? .time(time(&random))
                    : .number(Double(Int.random(in: -8...20, using: &random)) / 4)
            }
            return switch Int.random(in: 0..<3, using: &random) {
            case 0: AttributeTest(name, .between(from: ends[0], to: nil))
            case 1: AttributeTest(name, .between(from: nil, to: ends[1]))
            default: AttributeTest(name, .between(from: ends[0], to: ends[1]))
            }
        default:
            return AttributeTest(name, .oneOf((0..<Int.random(in: 1...8, using: &random)).map { _ in value(&random) }))
        }
    }

    private static func place(_ random: inout SeededGenerator) -> String {
        collections[Int.random(in: 0..<collections.count, using: &random)]
    }

    private static func filter(_ random: inout SeededGenerator) throws -> Filter {
        let isPlaced = Int.random(in: 0..<5, using: &random) == 0
        let isTimed = Int.random(in: 0..<4, using: &random) == 0
        let from = firstTime + Int64.random(in: 0...10, using: &random)
        return try Filter(
            scope: Filter.Scope(collections: isPlaced ? (0..<2).map { _ in place(&random) } : nil),
            time: isTimed ? Filter.TimeRange(from: from, to: from + 10) : Filter.TimeRange(),
            must: (0..<Int.random(in: 0...2, using: &random)).map { _ in test(&random) },
            mustNot: (0..<Int.random(in: 0...2, using: &random)).map { _ in test(&random) })
    }

    /// `TEST_SEED` replays another run.
    @Test func allEvaluationsAgree() throws {
        let seed = getenv("TEST_SEED").flatMap { UInt64(String(cString: $0)) } ?? 1
        var random = SeededGenerator(seed: seed)
        let fixture = try IndexFixture()
        let vector = IndexFixture.vector(&random)
        let documents = (0..<80).map { Self.document($0, near: vector, &random) }
        _ = try fixture.writer.write(documents.map(\.indexed), timeoutMilliseconds: limit)
        let events = try documents.map { document in
            let attributes = try #require(
                try document.line.withUnsafeBytes { AttributeList(goldLine: try GoldLine.Fields($0)) })
            return TopicEvent(
                generation: 1, topicPartition: TopicPartition(topic: "source", partition: 0), offset: 0,
                line: document.line, docID: document.indexed.document.docID,
                attributes: attributes, text: document.indexed.document.text)
        }
        let store = fixture.store
        let arms = ArmsScene(fixture)
        try arms.follow()
        var (passing, tested) = (0, 0)
        for number in 0..<400 {
            let filter = try Self.filter(&random)
            let wanted = Set(events.filter { filter.matches($0.attributes) }.map(\.docID))
            let hint: Comment = "seed \(seed), filter \(number): \(filter)"
            let feed = FeedFilter(filter: filter, words: nil)
            #expect(Set(events.filter(feed.takes).map(\.docID)) == wanted, hint)
            let recent = try store.recent(RecentQuery(limit: 100, filter: filter), timeoutMilliseconds: limit)
            #expect(Set(recent.documents.map(\.document.docID)) == wanted, hint)
            // As `/events/recent` does it: some in the database, the rest in memory.
            let (index, rest) = feed.split
            let narrowed = try store.recent(RecentQuery(limit: 100, filter: index), timeoutMilliseconds: limit)
            #expect(Set(narrowed.documents.map(\.document).filter(rest.takes).map(\.docID)) == wanted, hint)
            var query = IndexFixture.query("river", vector: vector, filter: filter)
            query.vectorScan = number.isMultiple(of: 2) ? .exact : .approximate
            let found = try store.candidates(for: query, timeoutMilliseconds: limit)
            #expect(Set(found.nearest) == wanted && Set(found.best) == wanted, hint)
            if number.isMultiple(of: 2) {
                let armed = try arms.store.candidates(for: query, timeoutMilliseconds: limit)
                #expect(Set(armed.nearest) == wanted && Set(armed.best) == wanted, "in memory, \(hint)")
            }
            passing += wanted.count
            tested += FilterBinding(filter).hasTests ? 1 : 0
        }
        // The trial tried something.
        #expect(passing > 2_000 && passing < 400 * 80 - 2_000, "\(passing) of 32,000 passed")
        #expect(tested > 100 && tested < 395, "\(tested) of 400 filters had tests without a parameter")
    }

    /// A filter of today's names goes to the statements that have a parameter for each, in whichever form it was written.
    @Test func whatHasAParameterNeedsNoOtherStatement() throws {
        let plain = try Filter(
            scope: Filter.Scope(collections: ["c"]), time: Filter.TimeRange(from: 0, to: 9),
            must: [
                .texts(.wiki, ["a", "b"]), .texts(.lang, ["en"]), .texts(.type, ["edit"]), .equals(.isBot, .bool(true)),
                .equals(.collection, .string("c")), AttributeTest(.eventTime, .between(from: .time(3), to: nil)),
            ])
        #expect(!FilterBinding(plain).hasTests && !FilterBinding(.all).hasTests)
        let others = [
            try Filter(must: [.equals(.namespace, .integer(4))]), try Filter(mustNot: [.texts(.wiki, ["a"])]),
            try Filter(scope: Filter.Scope(collections: ["a", "b"])),
            try Filter(must: [.equals(.user, .string("x"))]), try Filter(must: [AttributeTest(.wiki, .absent)]),
        ]
        for other in others { #expect(FilterBinding(other).hasTests, "\(other)") }
    }

    /// What every document has, and where the tables keep it, is one list.
    @Test func everyCommonAttributeHasAColumn() {
        let columns = Dictionary(uniqueKeysWithValues: AttributeColumns.common.map { ($0.name, $0.type) })
        #expect(columns == Dictionary(uniqueKeysWithValues: DeclaredAttributes.common.map { ($0.name, $0.type) }))
        #expect(Set(columns.keys) == Set(AttributeName.common))
    }
}
