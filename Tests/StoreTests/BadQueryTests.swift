import Bytes
import IndexTesting
import Records
import Retrieval
import Testing

@testable import Store

/// Whatever is typed into a search is answered by Postgres: with what is there, or with nothing.
@Suite struct BadQueryTests {
    private static let limit = IndexFixture.limit

    private static let shared = Result {
        let fixture = try IndexFixture()
        var generator = SeededGenerator(seed: 3)
        let documents = (0..<50).map { number in
            IndexFixture.document(
                number, text: "the river and the heron, note \(number)", embedding: IndexFixture.vector(&generator))
        }
        _ = try fixture.writer.write(documents, timeoutMilliseconds: limit)
        try fixture.countWords()
        return fixture
    }

    private static let distinct = (0..<2_000).map { "word\($0)" }.joined(separator: " ")

    private static let marks = (0x300..<0x340).compactMap { UnicodeScalar($0) }.map { String(Character($0)) }.joined()

    /// Each with what the word arm finds.
    private static let queries: [(name: String, text: String, isFound: Bool)] = [
        ("one character", "x", false), ("one word's only letter", "7", true),
        ("8,000 characters", String(repeating: "heron stands ", count: 616), true),
        ("8,000 characters of one word", String(repeating: "é", count: 8_000), false),
        ("stop words alone", "the and of who what", true),
        ("punctuation alone", "?!.,;:()[]{}<>-–—…'\"“”/\\|@#$%^&*~`", false),
        ("control characters", "heron\u{1}\u{7}\u{1B}[0m\u{202E}\u{FEFF}", true), ("null", "\u{0}", false),
        ("lone marks", marks, false), ("a mark before a word", "\u{301}heron", true),
        ("2,000 distinct words", distinct + " heron", false),
        ("2,000 distinct words behind one", "heron " + distinct, true),
        ("an open quote", "\"river heron", true), ("quotes of two kinds", "„river\" «heron", true),
        ("an empty phrase", "\"\" heron", true), ("nothing but quotes", "\"\"\"\"\"", false),
        ("everything excluded", "-river -heron", true),
        ("operators alone, which leave a word", "- * -* title: -\"\"", true),
        ("prefixes", "riv* her* no* th* an*", true), ("a prefix of nothing", "zzzzz*", false),
        ("an astral letter", "𝕳eron 🦩", true), ("unpaired noncharacters", "\u{FFFF}\u{FFFE} heron", true),
        ("a field without a word", "title:\" \"", true),
    ]

    @Test(arguments: queries.indices) func isAnswered(number: Int) throws {
        let (name, text, isFound) = Self.queries[number]
        let fixture = try Self.shared.get()
        let store = fixture.store
        var generator = SeededGenerator(seed: 4)
        let vector = IndexFixture.vector(&generator)
        for filter in [.all, try Filter(must: [.texts(.wiki, ["enwiki"])])] {
            var query = CandidateQuery(text: text, vector: vector, filter: filter, documentLimit: 10)
            query.counted = CountedAttributes(attributes: [.lang])
            let found = try store.candidates(for: query, timeoutMilliseconds: Self.limit)
            // Of phrases all are given, so that memory can choose.
            #expect(found.candidates.count <= (name.contains("quotes") ? 50 : 10), "\(name)")
            #expect(try #require(found.counts).documents <= 50, "\(name)")
            (query.vector, query.vectorLimit) = (nil, 0)
            let words = try store.candidates(for: query, timeoutMilliseconds: Self.limit)
            #expect(words.best.isEmpty != isFound, "\(name): \(words.best)")
        }
    }

    /// Tests that nothing can pass, or that cannot be compared with what is there.
    @Test func filtersThatNothingPassesFindNothing() throws {
        let store = try Self.shared.get().store
        var generator = SeededGenerator(seed: 4)
        let vector = IndexFixture.vector(&generator)
        let filters = [
            try Filter(must: [.texts(.wiki, ["enwiki"])], mustNot: [.texts(.wiki, ["enwiki"])]),
            try Filter(must: [.texts(.wiki, ["enwiki"]), .texts(.wiki, ["dewiki"])]),
            try Filter(must: [.texts(.wiki, (0..<FilterLimits.valuesMax).map { "w\($0)" })]),
            try Filter(must: [.equals(.user, .bool(true)), .equals(.isBot, .string("yes"))]),
            try Filter(must: [AttributeTest(.user, .between(from: .integer(0), to: nil))]),
            try Filter(time: Filter.TimeRange(from: 2_000_000_000_000, to: 1_000_000_000_000)),
            try Filter(scope: Filter.Scope(collections: [])),
            try Filter(must: [.texts(.lang, [String(repeating: "é", count: 255)])]),
        ]
        for filter in filters {
            var query = CandidateQuery(text: "heron", vector: vector, filter: filter, documentLimit: 10)
            query.counted = CountedAttributes(attributes: [])
            let found = try store.candidates(for: query, timeoutMilliseconds: Self.limit)
            #expect(found.candidates.isEmpty && found.counts?.documents == 0, "\(filter)")
        }
        #expect(throws: FilterFault.self) {
            try Filter(must: [.texts(.wiki, (0..<1_000).map { "w\($0)" })])
        }
    }
}
