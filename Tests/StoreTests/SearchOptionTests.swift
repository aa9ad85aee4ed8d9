import Bytes
import IndexTesting
import Postgres
import Records
import Retrieval
import Testing

@testable import Store

/// What requests ask of a ranking, and of a document's likes, in Postgres, under the role that policies bind.
@Suite(.serialized) struct SearchOptionTests {
    private static let limit = IndexFixture.limit
    private static let count = 60
    /// Of the newest event.
    private static let now: Int64 = 1_700_000_000_000

    private struct Filled: Sendable {
        let fixture: IndexFixture
        let vectors: [[Float]]
    }

    /// Sixty documents in two collections about the same, of titles that come back; the later, the farther from the first vector.
    private static let shared = Result {
        let fixture = try IndexFixture()
        var generator = SeededGenerator(seed: 15)
        let centre = IndexFixture.vector(&generator)
        var vectors: [[Float]] = []
        let documents = (0..<count).map { number in
            vectors.append(IndexFixture.neighbour(of: vectors.last ?? centre, &generator))
            var document = IndexFixture.document(
                number, text: text(number), wiki: number.isMultiple(of: 2) ? "enwiki" : "dewiki",
                embedding: vectors[number])
            document.document.title = number.isMultiple(of: 10) ? "" : "Title \(number % 7)"
            document.document.eventTimeMilliseconds = now - Int64(count - 1 - number) * 3_600_000
            if number.isMultiple(of: 3) { document.document.collection = IndexFixture.name("notes") }
            return document
        }
        _ = try fixture.writer.write(documents, timeoutMilliseconds: limit)
        try fixture.countWords()
        return Filled(fixture: fixture, vectors: vectors)
    }

    private static func text(_ number: Int) -> String {
        let rare = ["zebra", "quartz", "walnut", "harbour", "lantern", "glacier"][number / 10]
        return "river notes \(rare) \(rare) number\(number)"
    }

    private static func query(
        _ filled: Filled, _ text: String = "river zebra", _ change: (inout CandidateQuery) -> Void = { _ in }
    ) -> CandidateQuery {
        var query = CandidateQuery(text: text, vector: filled.vectors[0], documentLimit: 200)
        query.vectorScan = .exact
        query.referenceMilliseconds = now
        change(&query)
        return query
    }

    private func ids(_ query: CandidateQuery, _ filled: Filled) throws -> [String] {
        let set = try filled.fixture.store.candidates(for: query, timeoutMilliseconds: Self.limit)
        return query.ranking.documents(query.ranking.hits(set.candidates)).map(\.candidate.docID)
    }

    @Test func theNewestComeFirstAmongWhatWasFound() throws {
        let filled = try Self.shared.get()
        let found = try ids(Self.query(filled) { $0.options.order = .time }, filled)
        #expect(found == (0..<Self.count).reversed().map { "doc-\($0)" })
        let few = try ids(
            Self.query(filled) { query in
                query.options.order = .time
                query.documentLimit = 3
            }, filled)
        #expect(few == ["doc-59", "doc-58", "doc-57"])
        // The word arm alone: what it did not find is not there.
        let words = Self.query(filled, "zebra") { query in
            (query.vector, query.vectorLimit) = (nil, 0)
            query.options.order = .time
        }
        #expect(try ids(words, filled) == (0..<10).reversed().map { "doc-\($0)" })
    }

    @Test func theNewAndTheWeightyRise() throws {
        let filled = try Self.shared.get()
        #expect(try ids(Self.query(filled), filled).first == "doc-0")
        let recent = Self.query(filled) {
            $0.options.recency = RecencyPrior(weight: 100, halfLifeMilliseconds: 3_600_000)
        }
        #expect(try ids(recent, filled).prefix(3) == ["doc-59", "doc-58", "doc-57"])
        // So old that nothing is left of it, which Postgres would not want to compute.
        let ancient = Self.query(filled) { query in
            query.options.recency = RecencyPrior(weight: 1, halfLifeMilliseconds: 1_000)
            query.referenceMilliseconds = 1 << 48 - 1
        }
        #expect(try ids(ancient, filled).first == "doc-0")
        let notes = try ids(Self.query(filled) { $0.options.sourceWeights = ["notes": 9, "nobody's": 5] }, filled)
        #expect(Set(notes.prefix(20)) == Set((0..<20).map { "doc-\($0 * 3)" }))
        let least = Self.query(filled) { $0.options.scoreMin = 0.025 }
        let some = try ids(least, filled)
        #expect(!some.isEmpty && some.count < Self.count)
        #expect(try ids(Self.query(filled) { $0.options.scoreMin = 5 }, filled).isEmpty)
    }

    /// A phrase's score is that of its place among what has the phrase, not among all that has its words.
    @Test func aPhraseIsNotLeftOutForThePlacesOfOthers() throws {
        let fixture = try IndexFixture()
        let others = (0..<4).map { IndexFixture.document($0, text: "heron the grey bank", embedding: nil, model: "") }
        let meant = IndexFixture.document(
            4, text: "grey heron in a far longer text about ponds, water and reeds", embedding: nil, model: "")
        _ = try fixture.writer.write(others + [meant], timeoutMilliseconds: Self.limit)
        try fixture.countWords()
        func found(_ least: Double?) throws -> [String] {
            var query = CandidateQuery(text: #""grey heron""#, vector: nil, vectorLimit: 0, documentLimit: 10)
            query.options.scoreMin = least
            let set = try fixture.store.candidates(for: query, timeoutMilliseconds: Self.limit)
            return query.ranking.documents(query.ranking.hits(set.candidates)).map(\.candidate.docID)
        }
        let first = Ranking().weights.lexical / (Ranking().weights.rankConstant + 1)
        #expect(try found(nil) == ["doc-4"])
        #expect(try found(first - 0.0001) == ["doc-4"])
        #expect(try found(first + 0.0001) == [])
    }

    @Test func groupsAreOneHitEach() throws {
        let filled = try Self.shared.get()
        func groups(_ grouping: Grouping, limit: Int = 200) throws -> CandidateSet {
            try filled.fixture.store.candidates(
                for: Self.query(filled) { query in
                    query.options.grouping = grouping
                    query.documentLimit = limit
                }, timeoutMilliseconds: Self.limit)
        }
        // Seven titles, and six documents without one.
        let titles = try groups(.title)
        #expect(titles.candidates.count == 13 && titles.candidates.count { $0.title.isEmpty } == 6)
        #expect(titles.candidates.reduce(0) { $0 + ($1.others ?? 0) } == Self.count - 13)
        let two = try groups(.title, limit: 2)
        #expect(two.candidates.count == 2 && two.rest.count == 11)
        #expect((two.rest.map(\.others) + two.candidates.map { $0.others ?? 0 }).reduce(0, +) == Self.count - 13)
        #expect(try groups(.attribute(.wiki)).candidates.map(\.others) == [29, 29])
        #expect(try groups(.attribute(.collection)).candidates.compactMap(\.others).sorted() == [19, 39])
        #expect(try groups(.attribute(.isBot)).candidates.map(\.others) == [59])
        // Phrases are looked at in the texts, so that memory chooses.
        let phrase = Self.query(filled, "\"river notes\"") { $0.options.grouping = .title }
        let set = try filled.fixture.store.candidates(for: phrase, timeoutMilliseconds: Self.limit)
        let hits = phrase.ranking.documents(phrase.ranking.hits(set.candidates))
        #expect(hits.count == 13 && hits.reduce(0) { $0 + ($1.others ?? 0) } == Self.count - 13)
        // What no document has.
        let name = try #require(AttributeName("shoe_size"))
        #expect(try groups(.attribute(name)).candidates.count == Self.count)
    }

    /// Every statement that options make can be planned and run, with each kind of filter, arm and demand.
    @Test func optionsGoWithEverything() throws {
        let filled = try Self.shared.get()
        let filters = [
            .all, try Filter(must: [.texts(.wiki, ["enwiki"])]), try Filter(must: [AttributeTest(.delta, .absent)]),
        ]
        for filter in filters {
            for text in ["river", "river -zebra", "title:title river", "\"river notes\""] {
                for scan in [CandidateQuery.VectorScan.exact, .approximate] {
                    let query = Self.query(filled, text) { query in
                        query.filter = filter
                        query.vectorScan = scan
                        query.options.recency = RecencyPrior(weight: 1, halfLifeMilliseconds: 1_000)
                        query.options.grouping = .title
                        query.excludedDocument = 1
                        query.hasShortLimit = true
                    }
                    #expect(try !ids(query, filled).isEmpty, "\(text) \(filter)")
                }
            }
        }
    }

    /// Whatever is given as a name or a number is a value to the database, and one that it can compute with.
    @Test func hostileValuesAreOnlyValues() throws {
        let filled = try Self.shared.get()
        let names = [
            "'", "\"", "\\", "\u{0}", "a\u{0}", "'; DROP TABLE documents; --", String(repeating: "é", count: 255),
        ]
        for (number, name) in names.enumerated() {
            let found = try filled.fixture.store.likenesses(
                of: LikeTarget(tenant: .standard, docID: name, collection: name, passage: .max),
                timeoutMilliseconds: Self.limit)
            #expect(found.isEmpty)
            let query = Self.query(filled) { query in
                query.options.sourceWeights = [name: 100, "notes": number.isMultiple(of: 2) ? 0 : 0.000_001]
                query.options.recency = RecencyPrior(
                    weight: number.isMultiple(of: 2) ? 100 : 0.000_001, halfLifeMilliseconds: 1)
                query.options.scoreMin = 0
                query.referenceMilliseconds = [0, .max, 1 << 48][number % 3]
                query.fusion = FusionWeights(vector: 0.000_001, lexical: 100, rankConstant: 1_000)
            }
            #expect(try ids(query, filled).count == Self.count, "\(name)")
        }
    }

    /// The search's statement still finds its way through the indexes.
    @Test func optionsKeepThePlan() throws {
        let filled = try Self.shared.get()
        let planner = try filled.fixture.reader()
        let parts = SearchSQL.Parts(
            vector: .approximate, lexical: true, filters: .tested, isDemanding: true, isRanked: true, isExcluding: true)
        for sql in [SearchSQL.make(parts, model: 1), ReadLikeness.sql, FindTellingWords.sql] {
            let plan = try planner.script("EXPLAIN (GENERIC_PLAN) " + sql, timeoutMilliseconds: Self.limit)
                .compactMap { $0[0] }.joined(separator: "\n")
            for table in IndexRows.searched {
                #expect(!plan.contains("Seq Scan on \(table)"), "\(plan)")
            }
        }
    }

    @Test func aDocumentIsReadWithItsVectorAndItsTellingWords() throws {
        let filled = try Self.shared.get()
        let store = filled.fixture.store
        let found = try store.likenesses(
            of: LikeTarget(tenant: .standard, docID: "doc-12"), timeoutMilliseconds: Self.limit)
        let likeness = try #require(found.first)
        // What all have says little, what no other has nothing.
        #expect(likeness.words.first == "quartz" && likeness.words.contains("river"))
        #expect(!likeness.words.contains("number12"))
        // Attributes are terms of the index, and no words of the text.
        #expect(likeness.words.allSatisfy { !$0.contains(":") })
        let vector = try #require(likeness.vector)
        #expect(zip(vector, filled.vectors[12]).allSatisfy { abs($0 - $1) < 0.01 })
        let query = Self.query(filled, likeness.words.joined(separator: " ")) { query in
            query.vector = vector
            query.excludedDocument = likeness.documentID
            (query.generation, query.indexVersion) = (likeness.generation, likeness.indexVersion)
        }
        let like = try ids(query, filled)
        #expect(like.count == Self.count - 1 && !like.contains("doc-12"))
        #expect(Set(like.prefix(3)).isSubset(of: (10..<20).map { "doc-\($0)" }))
        // A store that knows no model finds words alone.
        let wordless = SearchStore(configuration: filled.fixture.configuration)
        let plain = try wordless.likenesses(
            of: LikeTarget(tenant: .standard, docID: "doc-12"), timeoutMilliseconds: Self.limit)
        #expect(plain.first?.vector == nil && plain.first?.words == likeness.words)
    }

    /// A limit that a client chose is the server's, so that a connection is not lost to each client that is in a hurry.
    @Test func aShortLimitKeepsTheConnection() throws {
        let fixture = try IndexFixture()
        _ = try fixture.writer.write(
            (0..<30).map { IndexFixture.document($0, embedding: nil, model: "") }, timeoutMilliseconds: Self.limit)
        try fixture.countWords()
        let store = fixture.store
        var query = CandidateQuery(text: "number", vector: nil, vectorLimit: 0)
        query.filter = try Filter(must: [.texts(.wiki, ["enwiki"])])
        query.hasShortLimit = true
        #expect(try store.candidates(for: query, timeoutMilliseconds: Self.limit).best.count == 30)
        let process = try store.backendProcessID(timeoutMilliseconds: Self.limit)
        let blocker = try fixture.connect()
        try blocker.script("BEGIN; LOCK TABLE documents", timeoutMilliseconds: Self.limit)
        #expect(throws: SearchBoundReached.self) { try store.candidates(for: query, timeoutMilliseconds: 100) }
        try blocker.script("ROLLBACK", timeoutMilliseconds: Self.limit)
        #expect(try store.candidates(for: query, timeoutMilliseconds: Self.limit).best.count == 30)
        #expect(try store.backendProcessID(timeoutMilliseconds: Self.limit) == process, "a new connection was made")
    }
}
