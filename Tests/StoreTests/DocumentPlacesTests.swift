import Bytes
import IndexTesting
import Retrieval
import Testing
import Text

@testable import Store

/// A document's place in an arm is that of its best passage: what Postgres ranks is what ``ReciprocalRankFusion`` does.
@Suite struct DocumentPlacesTests {
    private static let vocabulary = ["moor", "heron", "quay", "lamp", "sluice", "gorse", "ferry", "weir"]

    private static func text(_ generator: inout SeededGenerator) -> String {
        (0..<12).map { _ in vocabulary.randomElement(using: &generator) ?? "" }.joined(separator: " ")
    }

    @Test(arguments: [FusionWeights(), FusionWeights(vector: 1.5, lexical: 0.8, rankConstant: 3)])
    func aDocumentHasThePlacesOfItsBestPassages(weights: FusionWeights) throws {
        var generator = SeededGenerator(seed: 5)
        let fixture = try IndexFixture()
        let documents = (1...20).map { number in
            var indexed = IndexFixture.document(number, embedding: nil)
            indexed.passages = (0..<3).map { place in
                let text = Self.text(&generator)
                return IndexedPassage(
                    number: Int32(place), text: text, inputHash: IndexFixture.inputHash(text),
                    embedding: IndexFixture.vector(&generator))
            }
            return indexed
        }
        _ = try fixture.writer.write(documents, timeoutMilliseconds: IndexFixture.limit)
        try fixture.countWords()
        let store = fixture.store
        var differing = 0
        for text in ["moor heron", "quay", "\"ferry weir\" lamp", "sluice gorse weir"] {
            var query = IndexFixture.query(text, vector: IndexFixture.vector(&generator))
            query.vectorScan = .exact
            query.fusion = weights
            let passages = try store.candidates(for: query, timeoutMilliseconds: IndexFixture.limit).candidates
            let wanted = ReciprocalRankFusion.fuse(
                ReciprocalRankFusion.documents(of: passages, weights: weights), weights: weights)
            #expect(Set(wanted.map(\.candidate.docID)).count == wanted.count && wanted.count > 5)
            query.documentLimit = 5
            let set = try store.candidates(for: query, timeoutMilliseconds: IndexFixture.limit)
            let found = ReciprocalRankFusion.fuse(set.candidates, weights: weights)
            func shown(_ hits: some Sequence<Hit>) -> [String] {
                hits.map { "\($0.candidate.docID)/\($0.candidate.passage) \($0.fusedScore)" }
            }
            #expect(shown(found.prefix(5)) == shown(wanted.prefix(5)), "\(text)")
            let former = ReciprocalRankFusion.bestPassagePerDocument(
                ReciprocalRankFusion.fuse(passages, weights: weights))
            if former.map(\.candidate.docID) != wanted.map(\.candidate.docID) { differing += 1 }
        }
        #expect(differing > 0, "places of passages give another order")
    }

    /// What a query repeats is looked up as its other words are, and counts more.
    @Test func aRepeatedWordCountsMore() throws {
        let analyzer = try TextAnalyzer()
        let query = analyzer.query(QuerySyntax("moor heron moor", fields: []), languages: ["en"])
        let lookup = WordLookup(query, expansions: [], ranking: WordRanking())
        let numbers = Dictionary(zip(lookup.ranked.forms, lookup.ranked.numbers)) { first, _ in first }
        #expect(numbers["moor"] == 1_800 && numbers["heron"] == 1_000)
        #expect(numbers["s:moor"] == 1_260 && numbers["s:heron"] == 700)
    }

    /// What a question asks with says less than what it asks about; alone it is all that there is.
    @Test func functionWordsCountLittleBesideOthers() throws {
        let analyzer = try TextAnalyzer()
        func numbers(_ text: String) -> [String: Int32] {
            let query = analyzer.query(QuerySyntax(text, fields: []), languages: [])
            let lookup = WordLookup(query, expansions: [], ranking: WordRanking())
            return Dictionary(zip(lookup.ranked.forms, lookup.ranked.numbers)) { first, _ in first }
        }
        let asked = numbers("who moved the Moor")
        #expect(asked["who"] == 300 && asked["the"] == 300 && asked["moved"] == 1_000 && asked["moor"] == 1_000)
        #expect(numbers("The Who").values.max() == 1_000)
    }
}
