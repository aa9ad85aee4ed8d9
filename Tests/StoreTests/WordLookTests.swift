import IndexTesting
import Records
import Retrieval
import Testing

@testable import Store

/// What has a word is found although the newest of its postings belong to something else, or it is said that there may be more.
@Suite struct WordLookTests {
    private static let limit = IndexFixture.limit

    /// In proportion to so small an index.
    private static func bounds(_ change: (inout SearchBounds) -> Void = { _ in }) -> SearchBounds {
        var bounds = SearchBounds()
        (bounds.wordRows, bounds.wordRowsAgain) = (50, 1_000)
        change(&bounds)
        return bounds
    }

    private func store(_ fixture: IndexFixture, _ bounds: SearchBounds = bounds()) -> SearchStore {
        SearchStore(configuration: fixture.configuration, model: "test", bounds: bounds)
    }

    private func write(
        _ fixture: IndexFixture, _ numbers: Range<Int>, generation: Int64 = 1, version: Int64 = 1,
        _ change: (Int, inout GoldDocument) -> Void = { _, _ in }, text: (Int) -> String
    ) throws {
        for start in stride(from: numbers.lowerBound, to: numbers.upperBound, by: 1_000) {
            let documents = (start..<min(start + 1_000, numbers.upperBound)).map { number in
                var document = IndexFixture.document(
                    number, text: text(number), version: version, embedding: nil, generation: generation, model: "")
                change(number, &document.document)
                return document
            }
            _ = try fixture.writer.write(documents, timeoutMilliseconds: Self.limit)
        }
    }

    private func query(_ text: String, _ filter: Filter = .all, count: Int = 10) -> CandidateQuery {
        CandidateQuery(text: text, vector: nil, filter: filter, vectorLimit: 0, documentLimit: count)
    }

    /// Sixty documents of one collection, then six hundred of another with the same words.
    private static let collections = Result {
        let fixture = try IndexFixture()
        let tests = WordLookTests()
        try tests.write(fixture, 0..<60, { $1.collection = IndexFixture.name("small") }) { "river number\($0)" }
        try tests.write(fixture, 60..<660, { $1.lang = $0 % 6 == 0 ? "de" : "en" }) { "river bank number\($0)" }
        try fixture.countWords()
        return fixture
    }

    @Test(arguments: [9_000, 10]) func aSmallCollectionIsFoundBesideALargeOne(narrowWords: Int) throws {
        let fixture = try Self.collections.get()
        let filter = try Filter(scope: Filter.Scope(collections: ["small"]))
        let wanted = Set((0..<60).map { "doc-\($0)" })
        let bounds = Self.bounds { $0.narrowWords = narrowWords }
        let found = try store(fixture, bounds).candidates(
            for: query("river", filter, count: 100), timeoutMilliseconds: Self.limit)
        #expect(Set(found.best) == wanted && !found.isLexicalBounded)
        // So few of the large one's postings are read that nothing of the small one is among them.
        let less = Self.bounds { ($0.narrowWords, $0.wordRowsAgain) = (10, 55) }
        let few = try store(fixture, less).candidates(for: query("river", filter), timeoutMilliseconds: Self.limit)
        #expect(few.best.isEmpty && few.isLexicalBounded)
    }

    /// The newest postings of the rarest word that pass are not enough, where a filter leaves many passages.
    @Test func aWideFilterIsLookedThroughFurther() throws {
        let fixture = try Self.collections.get()
        let filter = try Filter(must: [.texts(.lang, ["de"])])
        let bounds = Self.bounds { $0.narrowWords = 10 }
        let found = try store(fixture, bounds).candidates(
            for: query("bank", filter, count: 40), timeoutMilliseconds: Self.limit)
        #expect(found.best.count + found.rest.count == 100 && !found.isLexicalBounded)
        // What is enough is taken without a second look, and it is said that there may be better ones.
        let few = try store(fixture, bounds).candidates(
            for: query("bank", filter, count: 5), timeoutMilliseconds: Self.limit)
        #expect((5..<40).contains(few.best.count + few.rest.count) && few.isLexicalBounded)
    }

    /// A rare word alone leads to too few; a common one beside it leads to more.
    @Test func commonWordsLeadToHitsWhereRareOnesAreNotEnough() throws {
        let fixture = try Self.collections.get()
        let found = try store(fixture).candidates(for: query("number7 river"), timeoutMilliseconds: Self.limit)
        #expect(found.best.first == "doc-7" && found.best.count >= 10)
        // Two are found by the rare words alone, and are enough.
        let few = try store(fixture).candidates(
            for: query("number7 number8 river", count: 2), timeoutMilliseconds: Self.limit)
        #expect(Set(few.best) == ["doc-7", "doc-8"] && few.isLexicalBounded)
    }

    /// The best postings of a single word are of former versions, which nothing shows.
    @Test func whatIsSeenIsFoundBehindBetterPostingsThatAreNot() throws {
        let fixture = try IndexFixture()
        let best = 2 * WordArmSQL.completedMax
        try write(fixture, 0..<best + 20) { _ in "river" }
        try write(fixture, 0..<best + 20, version: 2) {
            $0 < 30 ? "a river beside some of the other words of number\($0)" : "number\($0)"
        }
        try fixture.countWords()
        let found = try store(fixture, SearchBounds()).candidates(
            for: query("river", count: 100), timeoutMilliseconds: Self.limit)
        #expect(Set(found.best) == Set((0..<30).map { "doc-\($0)" }) && !found.isLexicalBounded)
    }

    /// What another generation shows fills the newest postings.
    @Test func theGenerationThatIsServedIsFoundBesideAnother() throws {
        let fixture = try IndexFixture()
        let source = IndexFixture.source
        let documents = (0..<60).map {
            IndexFixture.document($0, text: "river number\($0)", embedding: nil, model: "")
        }
        let move = CheckpointMove(generation: 1, source: source, expected: nil, next: 60)
        _ = try fixture.writer.write(documents, moving: [move], timeoutMilliseconds: Self.limit)
        _ = try fixture.generations.create(parent: 1, logicVersion: "2", note: "", timeoutMilliseconds: Self.limit)
        _ = try fixture.generations.copyParentRows(
            child: 2, parent: 1, outside: [], handover: [source: 60], timeoutMilliseconds: Self.limit)
        try fixture.generations.finish(generation: 2, handover: [source: 60], timeoutMilliseconds: Self.limit)
        try fixture.generations.promote(2, timeoutMilliseconds: Self.limit)
        try write(fixture, 60..<660) { "river number\($0)" }
        try fixture.countWords()
        let found = try store(fixture).candidates(for: query("river", count: 100), timeoutMilliseconds: Self.limit)
        #expect(found.generation == 2 && Set(found.best) == Set((0..<60).map { "doc-\($0)" }))
        #expect(!found.isLexicalBounded)
        let less = Self.bounds { $0.wordRowsAgain = 60 }
        let few = try store(fixture, less).candidates(for: query("river"), timeoutMilliseconds: Self.limit)
        #expect(few.best.isEmpty && few.isLexicalBounded)
    }

    /// Replaced rows are kept for a while, with their postings, and counted nowhere.
    @Test func whatWasReplacedDoesNotHideTheRest() throws {
        let fixture = try IndexFixture()
        try write(fixture, 0..<20) { "heron number\($0)" }
        try write(fixture, 20..<4_020) { "heron number\($0)" }
        try write(fixture, 20..<4_020, version: 2) { "otter number\($0)" }
        try fixture.countWords()
        let found = try fixture.store.candidates(for: query("heron", count: 20), timeoutMilliseconds: Self.limit)
        #expect(Set(found.best) == Set((0..<20).map { "doc-\($0)" }) && !found.isLexicalBounded)
    }
}
