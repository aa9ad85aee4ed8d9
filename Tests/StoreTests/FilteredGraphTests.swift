import Bytes
import IndexTesting
import PlatformTesting
import Records
import Retrieval
import Testing

@testable import Store

/// Filters that have little to do with the query, and that no word leads to: what passes is far from what the graph finds first.
/// `TEST_SEED` replays another run; the long form has 20,000 passages.
@Suite struct FilteredGraphTests {
    private static let limit = IndexFixture.limit
    private static let size = AttributeName("size")

    private struct Scene: Sendable {
        let fixture: IndexFixture
        let seed: UInt64
        let centres: [[Float]]
        let documents: [IndexedDocument]
    }

    /// Four of five are English and lie together; the others lie elsewhere.
    private static let shared = Result {
        let seed = LongTests.seed(1)
        let count = LongTests.areWanted ? 20_000 : 2_500
        var random = SeededGenerator(seed: seed)
        let fixture = try IndexFixture()
        let centres = (0..<50).map { _ in IndexFixture.vector(&random) }
        let documents = (0..<count).map { number in
            let isEnglish = !number.isMultiple(of: 5)
            let centre = isEnglish ? Int.random(in: 0..<40, using: &random) : Int.random(in: 40..<50, using: &random)
            var document = IndexFixture.document(
                number, embedding: IndexFixture.neighbour(of: centres[centre], &random))
            document.document.lang = isEnglish ? "en" : "de"
            if let size { document.document.attributes.set(size, .integer(Int64(number % 100))) }
            return document
        }
        for start in stride(from: 0, to: count, by: 500) {
            _ = try fixture.writer.write(
                Array(documents[start..<min(start + 500, count)]), timeoutMilliseconds: limit)
        }
        try fixture.countWords()
        try fixture.connect().script("VACUUM ANALYZE", timeoutMilliseconds: limit)
        return Scene(fixture: fixture, seed: seed, centres: centres, documents: documents)
    }

    private static func filters() throws -> [Filter] {
        let size = try #require(size)
        func below(_ number: Int64) -> AttributeTest { AttributeTest(size, .between(from: nil, to: .integer(number))) }
        return [
            // A fifth, on the other side of the query, and a hundredth of it.
            try Filter(mustNot: [.texts(.lang, ["en"])]),
            try Filter(must: [below(5)], mustNot: [.texts(.lang, ["en"])]),
            // 1 %, 10 %, 30 % and 60 % of everything.
            try Filter(must: [below(1)]), try Filter(must: [below(10)]), try Filter(must: [below(30)]),
            try Filter(must: [below(60)]),
        ]
    }

    @Test(arguments: 0..<6) func theNearestOfWhatPassesAreFound(number: Int) throws {
        let scene = try Self.shared.get()
        let filter = try Self.filters()[number]
        var random = SeededGenerator(seed: scene.seed &+ UInt64(number))
        let store = scene.fixture.store
        var recalls: [Double] = []
        for place in 0..<20 {
            let vector = IndexFixture.neighbour(of: scene.centres[place], &random)
            var query = IndexFixture.query(vector: vector, filter: filter, lexicalLimit: 0)
            query.documentLimit = 10
            query.vectorScan = .exact
            let exact = try store.candidates(for: query, timeoutMilliseconds: Self.limit).nearest
            query.vectorScan = .automatic
            let found = try store.candidates(for: query, timeoutMilliseconds: Self.limit).nearest
            #expect(exact.count == 10)
            recalls.append(Double(Set(exact).intersection(found).count) / 10)
        }
        let mean = recalls.reduce(0, +) / Double(recalls.count)
        #expect(mean >= 0.95, "seed \(scene.seed), filter \(number): \(recalls)")
    }
}
