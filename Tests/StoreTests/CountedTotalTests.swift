import Bytes
import IndexTesting
import Postgres
import Records
import Retrieval
import Testing

@testable import Store

/// What `total` and `facets` count: exactly, or so many or more.
@Suite struct CountedTotalTests {
    private static let limit = IndexFixture.limit
    private static let count = 240

    /// Every third document has the words of the phrase in another order, every second is German.
    private static let shared = Result {
        let fixture = try IndexFixture()
        let documents = (0..<count).map { number in
            let words = number.isMultiple(of: 3) ? "heron grey" : "grey heron"
            var document = IndexFixture.document(
                number, text: "\(words) by the river, note \(number)\(number < 30 ? " with reeds" : "")",
                wiki: number.isMultiple(of: 4) ? "dewiki" : "enwiki", embedding: nil, model: "")
            document.document.lang = number.isMultiple(of: 2) ? "de" : "en"
            return document
        }
        _ = try fixture.writer.write(documents, timeoutMilliseconds: limit)
        try fixture.countWords()
        return fixture
    }

    private func query(_ text: String, _ filter: Filter = .all, limit: Int = 10) -> CandidateQuery {
        var query = CandidateQuery(text: text, vector: nil, filter: filter, vectorLimit: 0, documentLimit: limit)
        query.counted = CountedAttributes(attributes: [.wiki])
        return query
    }

    private func counts(_ store: SearchStore, _ query: CandidateQuery) throws -> SearchCounts {
        try #require(try store.candidates(for: query, timeoutMilliseconds: Self.limit).counts)
    }

    @Test func aPhraseIsCountedAsWhatHoldsIt() throws {
        let store = try Self.shared.get().store
        let all = try counts(store, query("\"grey heron\""))
        #expect(all.documents == 160 && !all.isCut)
        #expect(all.facets.first?.values.map(\.count) == [120, 40])
        #expect(all.facets.first?.values.map(\.value) == [.string("enwiki"), .string("dewiki")])
        let german = try Filter(must: [.texts(.lang, ["de"])])
        #expect(try counts(store, query("\"grey heron\" reeds", german)).documents == 80)
        #expect(try counts(store, query("river -\"grey heron\"")).documents == 80)
        #expect(try counts(store, query("\"heron by\"")).documents == 160)
        #expect(try counts(store, query("\"grey by\"")).documents == 80)
        #expect(try counts(store, query("\"river grey\"")).documents == 0)
    }

    /// A later page counts what the first one did.
    @Test func aLaterPageOfAPhraseCountsTheSame() throws {
        let store = try Self.shared.get().store
        let asked = query("\"grey heron\"", limit: 5)
        let first = try store.candidates(for: asked, timeoutMilliseconds: Self.limit)
        var next = asked
        next.page = first.candidates.prefix(5).map {
            RankedPassage(passageID: $0.passageID, vector: $0.vector, lexical: $0.lexical)
        }
        (next.generation, next.indexVersion) = (first.generation, first.indexVersion)
        let second = try store.candidates(for: next, timeoutMilliseconds: Self.limit)
        #expect(second.candidates.count == 5 && second.counts == first.counts && second.counts?.documents == 160)
    }

    /// Texts with the words in another order rank as high, and are looked through until there are enough with the phrase.
    @Test func aPhraseIsFoundBehindItsWords() throws {
        let fixture = try IndexFixture()
        let texts = (0..<400).map { $0 < 4 ? "a longer text in which the grey heron stands alone" : "heron grey" }
        _ = try fixture.writer.write(
            texts.enumerated().map { IndexFixture.document($0, text: "\($1) \($0)", embedding: nil, model: "") },
            timeoutMilliseconds: Self.limit)
        try fixture.countWords()
        let found = try fixture.store.candidates(for: query("\"grey heron\""), timeoutMilliseconds: Self.limit)
        #expect(Set(found.best) == ["doc-0", "doc-1", "doc-2", "doc-3"] && !found.isLexicalBounded)
        #expect(found.candidates.compactMap { $0.lexical?.rank }.sorted() == [1, 2, 3, 4])
        #expect(found.counts?.documents == 4 && found.counts?.isCut == false)
    }

    /// A common word beside a filter: the filter's passages are counted, which are fewer than the word's.
    @Test func aCommonWordIsCountedToTheEndUnderAFilter() throws {
        let fixture = try Self.shared.get()
        var bounds = SearchBounds()
        // So few that neither all of the word's postings are read nor common words are looked up.
        (bounds.countedRows, bounds.narrowWords) = (100, 10)
        let store = SearchStore(configuration: fixture.configuration, bounds: bounds)
        let german = try Filter(must: [.texts(.lang, ["de"])])
        let found = try counts(store, query("river", german))
        #expect(found.documents == 120 && !found.isCut)
        // Fewer are looked at than have the word, and yet all that pass.
        (bounds.countedRows, bounds.lookedAt) = (100_000, 150)
        let other = SearchStore(configuration: fixture.configuration, bounds: bounds)
        let rest = try counts(other, query("river", german))
        #expect(rest.documents == 120 && !rest.isCut)
        #expect(try counts(other, query("river")).isCut)
    }

    /// More words begin so than are looked up.
    @Test func aPrefixOfManyWordsIsCountedAsSoManyOrMore() throws {
        let fixture = try IndexFixture()
        _ = try fixture.writer.write(
            (0..<60).map { IndexFixture.document($0, text: "quill\($0)x", embedding: nil, model: "") },
            timeoutMilliseconds: Self.limit)
        try fixture.countWords()
        let found = try fixture.store.candidates(for: query("quill*"), timeoutMilliseconds: Self.limit)
        #expect(found.isLexicalBounded && found.counts?.isCut == true && (found.counts?.documents ?? 0) < 60)
        let few = try fixture.store.candidates(for: query("quill5*"), timeoutMilliseconds: Self.limit)
        #expect(!few.isLexicalBounded && few.counts?.documents == 11 && few.counts?.isCut == false)
    }

    /// The document that others are to be like is neither a hit nor counted, on whichever page.
    @Test func aLikesOwnDocumentIsNotCounted() throws {
        let fixture = try Self.shared.get()
        let store = fixture.store
        let likeness = try #require(
            try store.likenesses(
                of: LikeTarget(tenant: .standard, docID: "doc-3"), timeoutMilliseconds: Self.limit
            ).first)
        var asked = query("reeds", limit: 5)
        #expect(try counts(store, asked).documents == 30)
        asked.excludedDocument = likeness.documentID
        let first = try store.candidates(for: asked, timeoutMilliseconds: Self.limit)
        #expect(first.counts?.documents == 29)
        var next = asked
        next.page = Array(first.rest.prefix(5))
        (next.generation, next.indexVersion) = (first.generation, first.indexVersion)
        let second = try store.candidates(for: next, timeoutMilliseconds: Self.limit)
        #expect(second.candidates.count == 5 && second.counts == first.counts)
    }

    /// A cursor that names another tenant's passages leads to nothing, also where no policy holds them back.
    @Test func aForgedPageShowsNothingOfAnotherTenant() throws {
        let fixture = try IndexFixture()
        let other = try #require(TenantID("acme"))
        var document = IndexFixture.document(1, text: "their secret", embedding: nil, model: "")
        document.document.tenant = other
        _ = try fixture.writer.write(
            [IndexFixture.document(0, text: "our text", embedding: nil, model: "")], timeoutMilliseconds: Self.limit)
        _ = try fixture.writer.write([document], timeoutMilliseconds: Self.limit)
        try fixture.countWords()
        let passages = try fixture.connect().script(
            "SELECT id FROM passages ORDER BY id", timeoutMilliseconds: Self.limit
        )
        .compactMap { $0[0].flatMap { Int64($0) } }
        #expect(passages.count == 2)
        for role in [SearchStore.readerRole, "medallion_nobody_made"] {
            let store = SearchStore(configuration: fixture.configuration, role: role)
            var forged = query("secret text")
            forged.page = passages.map { RankedPassage(passageID: $0, vector: nil, lexical: nil) }
            let found = try store.candidates(for: forged, timeoutMilliseconds: Self.limit)
            #expect(found.candidates.map(\.docID) == ["doc-0"], "\(role)")
            #expect(found.counts?.documents == 1, "\(role)")
        }
    }
}
