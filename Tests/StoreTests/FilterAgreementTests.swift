import Bytes
import Glibc
import JSONScan
import Records
import Retrieval
import Testing

@testable import API
@testable import Store

/// A filter means the same in memory, in the database and on the stream, whatever it asks and whatever documents hold.
@Suite struct FilterAgreementTests {
    private let limit = IndexFixture.limit

    /// Attributes of documents' own, some of them with the names of columns, which count for nothing.
    private static let own = ["size", "tag", "wiki"]
    private static let names =
        (["collection", "event_time", "wiki", "lang", "type", "namespace", "user", "is_bot"] + own)
        .compactMap { AttributeName($0) }
    private static let words = [
        "", "a", "b", "enwiki", "dewiki", "\u{E9}", "e\u{301}", "O'Reilly \\ \"x\"", "4", "true",
    ]
    private static let firstTime: Int64 = 1_700_000_000_000

    private static func word(_ random: inout SeededGenerator) -> String {
        words[Int.random(in: 0..<words.count, using: &random)]
    }

    private struct Document {
        var indexed: IndexedDocument
        /// `attributes` as JSON, of which the index is told afterwards: it may hold more than texts.
        var attributes: [UInt8]

        /// What the stream reads.
        var line: [UInt8] {
            let gold = indexed.document
            var writer = JSONWriter()
            writer.beginObject()
            writer.string("doc_id", gold.docID)
            writer.string("collection", gold.collection)
            writer.key("attributes")
            writer.raw(attributes)
            writer.string("type", gold.type)
            writer.key("namespace")
            if let namespace = gold.namespace { writer.integer(namespace) } else { writer.null() }
            writer.string("user", gold.user)
            writer.bool("is_bot", gold.isBot)
            writer.string("text", gold.text)
            writer.string("event_time", CivilTime.rfc3339(gold.eventTimeMilliseconds))
            writer.string("lang", gold.lang)
            writer.string("wiki", gold.wiki)
            writer.endObject()
            return writer.bytes
        }
    }

    private static func document(_ number: Int, near vector: [Float], _ random: inout SeededGenerator) -> Document {
        var indexed = IndexFixture.document(
            number, text: "river \(number)", wiki: word(&random), isBot: Bool.random(using: &random),
            embedding: IndexFixture.neighbour(of: vector, &random))
        indexed.document.lang = word(&random)
        indexed.document.type = word(&random)
        indexed.document.user = word(&random)
        indexed.document.collection = word(&random)
        indexed.document.namespace = Bool.random(using: &random) ? Int64.random(in: -2...5, using: &random) : nil
        indexed.document.eventTimeMilliseconds = firstTime + Int64.random(in: 0...20, using: &random)
        var writer = JSONWriter()
        writer.beginObject()
        for name in own where Int.random(in: 0..<4, using: &random) > 0 {
            writer.key(dynamic: name)
            switch Int.random(in: 0..<6, using: &random) {
            case 0: writer.null()
            case 1, 2: writer.string(word(&random))
            case 3: writer.bool(Bool.random(using: &random))
            case 4: writer.integer(Int64.random(in: -2...5, using: &random))
            default: writer.double(Double(Int.random(in: -4...10, using: &random)) / 4)
            }
        }
        writer.endObject()
        return Document(indexed: indexed, attributes: writer.bytes)
    }

    private static func value(_ random: inout SeededGenerator) -> AttributeValue {
        switch Int.random(in: 0..<8, using: &random) {
        case 0, 1, 2: .string(word(&random))
        case 3, 4: .integer(Int64.random(in: -2...5, using: &random))
        case 5: .number(Double(Int.random(in: -4...10, using: &random)) / 4)
        case 6: .time(firstTime + Int64.random(in: 0...20, using: &random))
        default: .bool(Bool.random(using: &random))
        }
    }

    private static func test(_ random: inout SeededGenerator) -> AttributeTest {
        let name = names[Int.random(in: 0..<names.count, using: &random)]
        switch Int.random(in: 0..<10, using: &random) {
        case 0: return AttributeTest(name, .absent)
        case 1, 2, 3:
            let isTime = name == .eventTime ? Int.random(in: 0..<5, using: &random) > 0 : false
            let ends: [AttributeValue?] = (0..<2).map { _ in
                isTime
                    ? .time(firstTime + Int64.random(in: 0...20, using: &random))
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

    private static func filter(_ random: inout SeededGenerator) throws -> Filter {
        let isPlaced = Int.random(in: 0..<5, using: &random) == 0
        let isTimed = Int.random(in: 0..<4, using: &random) == 0
        let from = firstTime + Int64.random(in: 0...10, using: &random)
        return try Filter(
            scope: Filter.Scope(collections: isPlaced ? (0..<3).map { _ in word(&random) } : nil),
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
        let maintenance = try fixture.connect()
        for document in documents {
            let json = String(decoding: document.attributes, as: UTF8.self).split(separator: "'").joined(
                separator: "''")
            try maintenance.script(
                "UPDATE passages SET attributes = '\(json)' WHERE doc_id = '\(document.indexed.document.docID)'",
                timeoutMilliseconds: limit)
        }
        let events = try documents.map { document in
            let attributes = try #require(
                try document.line.withUnsafeBytes { AttributeList(goldLine: try GoldLine.Fields($0)) })
            return TopicEvent(
                generation: 1, topicPartition: TopicPartition(topic: "source", partition: 0), offset: 0,
                line: document.line, docID: document.indexed.document.docID,
                attributes: attributes, text: document.indexed.document.text)
        }
        let store = fixture.store
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

    /// What is known of attributes, and where the tables keep them, is one list.
    @Test func everyDeclaredAttributeHasAColumn() {
        let declared = DeclaredAttributes.recentChanges.declarations.mapValues(\.type)
        let columns = Dictionary(uniqueKeysWithValues: AttributeColumns.all.map { ($0.name, $0.type) })
        #expect(columns == declared)
    }
}
