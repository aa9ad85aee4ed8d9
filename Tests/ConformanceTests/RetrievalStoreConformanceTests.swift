import Bytes
import IndexTesting
import PlatformTesting
import Postgres
import Records
import Retrieval
import Store
import Testing

/// Holds Postgres and the double in memory, on which the API's tests stand, to the same replies: documents come one by one into
/// both, and whatever is asked is asked of both.
///
/// Scores are compared loosely (the column has 16-bit numbers), ranks of the lexical arm not at all: the double counts words.
@Suite(.serialized) struct RetrievalStoreConformanceTests {
    private static let limit = IndexFixture.limit
    private static let count = 24
    private static let titles = ["Rhine flood", "Harbour crane", "Comet tail", "Rhine ferry", "Granite quarry"]

    /// For those that only read.
    private static let shared = Result { try Filled(documents: count) }

    /// Both, with the same documents.
    private struct Filled: Sendable {
        let database: PostgresConfiguration
        let index = FakeIndex()
        /// The index versions after each document.
        var versions: [(real: Int64, fake: Int64)] = []

        init(documents: Int) throws {
            let fixture = try IndexFixture()
            database = fixture.configuration
            let (writer, real, fake) = (fixture.writer, fixture.store, index.makeStore())
            for number in 0..<documents {
                try add(number, writer)
                // Of the same id, and with the same words.
                if number.isMultiple(of: 4) { try add(number, writer, tenant: other) }
                versions.append(
                    (
                        try real.status(timeoutMilliseconds: limit).indexVersion,
                        try fake.status(timeoutMilliseconds: limit).indexVersion
                    ))
            }
        }

        private func add(_ number: Int, _ writer: IndexWriter, tenant: TenantID = .standard) throws {
            let isBot = number.isMultiple(of: 3)
            let wiki = number.isMultiple(of: 2) ? "enwiki" : "dewiki"
            index.add(
                "doc-\(number)", title: titles[number % titles.count], comment: "note\(number) added", wiki: wiki,
                user: "User \(number)", isBot: isBot, eventTime: 1_700_000_000_000 + Int64(number) * 1_000,
                tenant: tenant)
            let row = try #require(index.state.withLock { $0.documents.last?.row })
            var document = IndexFixture.document(
                number, text: row.text, wiki: wiki, isBot: isBot, embedding: Pair.vector(FakeIndex.embed(row.text)))
            (document.document.tenant, document.document.title) = (tenant, row.title)
            _ = try writer.write([document], timeoutMilliseconds: limit)
        }
    }

    private static let other = TenantID("acme") ?? .standard

    /// A connection to each.
    private struct Pair {
        let real: SearchStore
        let fake: FakeStore
        let versions: [(real: Int64, fake: Int64)]

        init(_ filled: Filled) {
            real = SearchStore(configuration: filled.database, model: "test")
            fake = filled.index.makeStore()
            versions = filled.versions
        }

        /// The column holds 384 numbers; zeros change no angle.
        static func vector(_ vector: [Float]) -> [Float] { vector + [Float](repeating: 0, count: 384 - vector.count) }

        func candidates(
            _ text: String, filter: Filter = .all, vectorLimit: Int = 100, lexicalLimit: Int = 100,
            hasVector: Bool = true,
            generation: Int64? = nil, at place: Int? = nil
        ) throws -> (real: CandidateSet, fake: CandidateSet) {
            let vector = FakeIndex.embed(text)
            var query = CandidateQuery(
                text: text, vector: hasVector ? Self.vector(vector) : nil, filter: filter, vectorLimit: vectorLimit,
                lexicalLimit: lexicalLimit, generation: generation, indexVersion: place.map { versions[$0].real })
            query.vectorScan = .exact
            let first = try real.candidates(for: query, timeoutMilliseconds: limit)
            if hasVector { query.vector = vector }
            query.indexVersion = place.map { versions[$0].fake }
            return (first, try fake.candidates(for: query, timeoutMilliseconds: limit))
        }

        func recent(
            _ change: (inout RecentQuery, (RecentPage?, Int)) -> Void = { _, _ in }
        ) throws -> (real: [String], fake: [String]) {
            var result: [[String]] = []
            for (store, number) in [(real as any RetrievalStore, 0), (fake, 1)] {
                var (page, ids): (RecentPage?, [String]) = (nil, [])
                repeat {
                    var query = RecentQuery(limit: 5)
                    query.before = page?.next
                    change(&query, (page, number))
                    let next = try store.recent(query, timeoutMilliseconds: limit)
                    #expect(next.documents.count <= query.limit && !next.isCutShort)
                    #expect(next.documents.map(\.position) == next.documents.map(\.position).sorted(by: >))
                    ids += next.documents.map(\.document.docID)
                    page = next
                } while page?.next != nil && ids.count < 1_000
                result.append(ids)
            }
            return (result[0], result[1])
        }
    }

    private static func filters() throws -> [Filter] {
        [
            .all, try Filter(must: [.texts(.wiki, ["enwiki"])]), try Filter(must: [.equals(.isBot, .bool(false))]),
            try Filter(mustNot: [.texts(.user, ["User 3", "User 4"])]),
            try Filter(time: Filter.TimeRange(from: 1_700_000_003_000, to: 1_700_000_011_000)),
            try Filter(scope: Filter.Scope(collections: ["other"])),
            try Filter(must: [.equals(.namespace, .integer(0)), .texts(.wiki, ["dewiki", "frwiki"])]),
            try Filter(must: [AttributeTest(.delta, .absent)], mustNot: [.texts(.type, ["edit"])]),
        ]
    }

    @Test func documentsAreCountedTheSame() throws {
        let pair = Pair(try Self.shared.get())
        for filter in try Self.filters() {
            for text in ["rhine", "granite crane", "nowhere"] {
                var query = CandidateQuery(text: text, vector: nil, filter: filter)
                query.counted = CountedAttributes(attributes: [.wiki, .isBot, .namespace, .collection, .lang, .delta])
                let stores: [any RetrievalStore] = [pair.real, pair.fake]
                let counts = try stores.map { try $0.candidates(for: query, timeoutMilliseconds: Self.limit).counts }
                #expect(counts[0]?.documents == counts[1]?.documents && counts[0]?.isCut == false, "\(text), \(filter)")
                for (real, fake) in zip(counts[0]?.facets ?? [], counts[1]?.facets ?? []) {
                    #expect(real.attribute == fake.attribute && Self.values(real) == Self.values(fake), "\(filter)")
                }
            }
        }
    }

    private static func values(_ facet: SearchCounts.Facet) -> [AttributeValue: Int] {
        Dictionary(uniqueKeysWithValues: facet.values.map { ($0.value, $0.count) })
    }

    @Test func searchesFindTheSame() throws {
        let pair = Pair(try Self.shared.get())
        for filter in try Self.filters() {
            for text in ["rhine", "granite crane", "note7", "nowhere"] {
                let found = try pair.candidates(text, filter: filter)
                #expect(Set(found.real.nearest) == Set(found.fake.nearest), "\(text), \(filter)")
                #expect(Set(found.real.best) == Set(found.fake.best), "\(text), \(filter)")
                #expect(Set(found.real.candidates.map(\.docID)).count == found.real.candidates.count)
                let scores = Dictionary(
                    uniqueKeysWithValues: found.fake.candidates.map { ($0.docID, $0.vector?.score ?? 0) })
                for candidate in found.real.candidates {
                    let place = try #require(candidate.vector)
                    #expect(abs(place.score - (scores[candidate.docID] ?? .infinity)) < 0.002)
                }
                for set in [found.real, found.fake] {
                    // Places are 1, 2, …, and the better score has the better place.
                    let places = set.candidates.compactMap(\.vector).sorted { $0.rank < $1.rank }
                    #expect(places.map(\.rank) == Array(1..<places.count + 1))
                    #expect(places.map(\.score) == places.map(\.score).sorted(by: >))
                    #expect(set.isGenerationServed && set.generation == 1)
                }
            }
        }
        let rhine = try pair.candidates("rhine")
        #expect(rhine.real.best.count == 10 && rhine.real.nearest.count == Self.count)
    }

    /// Each tenant has its own documents, also where ids, words and vectors are another's.
    @Test func tenantsAreKeptApart() throws {
        let pair = Pair(try Self.shared.get())
        let filter = Filter.all(of: Self.other)
        let wanted = Set(stride(from: 0, to: Self.count, by: 4).map { "doc-\($0)" })
        let found = try pair.candidates("rhine", filter: filter)
        for set in [found.real, found.fake] { #expect(Set(set.nearest) == wanted) }
        #expect(Set(found.real.best) == Set(found.fake.best) && found.real.best.count < wanted.count)
        let newest = try pair.recent { query, _ in query.filter = filter }
        #expect(Set(newest.real) == wanted && newest.fake == newest.real)
        let nobody = try pair.candidates("rhine", filter: .all(of: try #require(TenantID("nobody"))))
        for set in [nobody.real, nobody.fake] { #expect(set.candidates.isEmpty && set.isGenerationServed) }
    }

    /// Rankings of all kinds; ages are reckoned from behind the last document.
    private static var rankings: [Ranking] {
        func ranking(_ weights: FusionWeights = FusionWeights(), _ change: (inout RankingOptions) -> Void) -> Ranking {
            var options = RankingOptions()
            change(&options)
            return Ranking(weights: weights, options: options, referenceMilliseconds: 1_700_000_030_000)
        }
        return [
            Ranking(), Ranking(weights: FusionWeights(vector: 0.2, lexical: 3, rankConstant: 2)),
            ranking { $0.order = .time }, ranking { $0.grouping = .title },
            ranking { $0.grouping = .attribute(.wiki) },
            ranking { $0.recency = RecencyPrior(weight: 2, halfLifeMilliseconds: 4_000) },
            ranking(FusionWeights(vector: 0.5, lexical: 2, rankConstant: 9)) { options in
                options.recency = RecencyPrior(weight: 0.3, halfLifeMilliseconds: 1_000)
                options.sourceWeights = ["wikimedia.recentchange": 0.7, "other": 3]
                options.scoreMin = 0.07
                options.grouping = .attribute(.isBot)
            },
            ranking { options in
                options.order = .time
                options.scoreMin = 0.0145
                options.grouping = .title
            },
        ]
    }

    /// What a page fetches is the beginning of the whole ranking.
    @Test(arguments: rankings) func whatIsFetchedIsTheBestOfAll(ranking: Ranking) throws {
        let pair = Pair(try Self.shared.get())
        // What options do is the same under each filter.
        for filter in try Self.filters().prefix(ranking == Ranking() ? .max : 2) {
            for text in ["rhine", "granite crane", "note7"] {
                var query = CandidateQuery(text: text, vector: Pair.vector(FakeIndex.embed(text)), filter: filter)
                query.vectorScan = .exact
                let candidates = try pair.real.candidates(for: query, timeoutMilliseconds: Self.limit).candidates
                let all = ranking.documents(ranking.hits(candidates))
                (query.fusion, query.options) = (ranking.weights, ranking.options)
                query.referenceMilliseconds = ranking.referenceMilliseconds
                for limit in [1, 3, 7] {
                    query.documentLimit = limit
                    let set = try pair.real.candidates(for: query, timeoutMilliseconds: Self.limit)
                    let fetched = ranking.documents(ranking.hits(set.candidates))
                    #expect(
                        fetched.map(\.candidate.docID) == all.prefix(limit).map(\.candidate.docID), "\(text), \(filter)"
                    )
                    #expect(fetched.map(\.fusedScore) == all.prefix(limit).map(\.fusedScore))
                    #expect(fetched.map(\.others) == all.prefix(limit).map(\.others))
                    #expect(fetched.allSatisfy { $0.candidate.copies == 0 })
                    // The others follow, and can be fetched with the places that they had.
                    #expect(set.rest.count == all.count - fetched.count)
                    #expect(set.rest.map(\.others) == all.dropFirst(limit).map { $0.others ?? 0 })
                    query.page = set.rest
                    let rest = try pair.real.candidates(for: query, timeoutMilliseconds: Self.limit).candidates
                    #expect(rest.map(\.docID) == all.dropFirst(limit).map(\.candidate.docID))
                    #expect(rest.map { ranking.hit($0).place } == set.rest && rest.allSatisfy { $0.copies == 0 })
                    query.page = nil
                }
            }
        }
    }

    /// A document is found by its name, and is not among what is like it.
    @Test func whatIsLikeADocument() throws {
        let filled = try Self.shared.get()
        let pair = Pair(filled)
        for (store, name) in [(pair.real as any RetrievalStore, "real"), (pair.fake, "fake")] {
            func read(_ docID: String, _ tenant: TenantID = .standard, passage: Int32? = nil) throws -> [Likeness] {
                try store.likenesses(
                    of: LikeTarget(tenant: tenant, docID: docID, passage: passage), timeoutMilliseconds: Self.limit)
            }
            let found = try read("doc-5")
            let likeness = try #require(found.first, "\(name)")
            #expect(found.count == 1 && likeness.collection == "wikimedia.recentchange" && likeness.language == "en")
            let newest = pair.versions.last.map { name == "real" ? $0.real : $0.fake }
            #expect(likeness.generation == 1 && likeness.indexVersion == newest)
            #expect(try read("doc-5", passage: 0).count == 1 && read("doc-4", Self.other).count == 1)
            for (docID, tenant, passage) in [
                ("doc-5", Self.other, nil), ("doc-999", .standard, nil), ("doc-5", .standard, 1),
                ("\u{0}", .standard, nil),
                ("", .standard, nil),
            ] as [(String, TenantID, Int32?)] {
                #expect(try read(docID, tenant, passage: passage).isEmpty, "\(name) \(docID)")
            }
            var query = CandidateQuery(text: "rhine harbour comet granite", vector: likeness.vector)
            query.excludedDocument = likeness.documentID
            for scan in [CandidateQuery.VectorScan.approximate, .exact] {
                query.vectorScan = scan
                let set = try store.candidates(for: query, timeoutMilliseconds: Self.limit)
                #expect(set.nearest.count == Self.count - 1 && !set.nearest.contains("doc-5"), "\(name)")
                #expect(!set.best.isEmpty && !set.best.contains("doc-5"), "\(name)")
            }
        }
    }

    /// An arm that is not wanted finds nothing, limits hold, and no text makes the lexical arm fail.
    @Test func armsAndLimits() throws {
        let pair = Pair(try Self.shared.get())
        for set in [try pair.candidates("rhine", vectorLimit: 0), try pair.candidates("rhine", hasVector: false)] {
            #expect(set.real.nearest.isEmpty && set.fake.nearest.isEmpty)
            #expect(Set(set.real.best) == Set(set.fake.best) && !set.real.best.isEmpty)
        }
        let vectors = try pair.candidates("rhine", vectorLimit: 3, lexicalLimit: 0)
        for set in [vectors.real, vectors.fake] { #expect(set.nearest.count == 3 && set.best.isEmpty) }
        let words = try pair.candidates("rhine", vectorLimit: 0, lexicalLimit: 2)
        for set in [words.real, words.fake] { #expect(set.best.count == 2 && set.candidates.count == 2) }
        for text in ["", " ", "'", "a' & !(b | c):*", "\"rhine", "\\", "<->", "\u{0}", "🦊"] {
            let found = try pair.candidates(text)
            #expect(Set(found.real.nearest) == Set(found.fake.nearest), "\(text)")
        }
    }

    /// A search that goes on sees the index as it was when it began; a generation that is not served is no empty one.
    @Test func snapshots() throws {
        let pair = Pair(try Self.shared.get())
        for place in [0, 4, 11, 23] {
            let found = try pair.candidates("rhine", at: place)
            #expect(Set(found.real.nearest) == Set((0...place).map { "doc-\($0)" }))
            #expect(Set(found.fake.nearest) == Set(found.real.nearest) && Set(found.fake.best) == Set(found.real.best))
            #expect(found.real.indexVersion == pair.versions[place].real)
            #expect(found.fake.indexVersion == pair.versions[place].fake)
        }
        let absent = try pair.candidates("rhine", generation: 7)
        for set in [absent.real, absent.fake] { #expect(!set.isGenerationServed && set.candidates.isEmpty) }
        for store in [pair.real as any RetrievalStore, pair.fake] {
            let page = try store.recent(RecentQuery(limit: 5, generation: 7), timeoutMilliseconds: Self.limit)
            #expect(!page.isGenerationServed && page.documents.isEmpty && page.next == nil)
            let status = try store.status(timeoutMilliseconds: Self.limit)
            #expect(status.generation == 1 && !status.serverVersion.isEmpty)
        }
    }

    @Test func theNewestComePageByPage() throws {
        let pair = Pair(try Self.shared.get())
        for filter in try Self.filters() {
            let found = try pair.recent { query, _ in query.filter = filter }
            #expect(found.real == found.fake, "\(filter)")
        }
        #expect(try pair.recent().real == (0..<Self.count).reversed().map { "doc-\($0)" })
        let later = try pair.recent { query, subject in
            query.afterIndexVersion = subject.1 == 0 ? pair.versions[15].real : pair.versions[15].fake
        }
        #expect(later.real == (16..<Self.count).reversed().map { "doc-\($0)" } && later.fake == later.real)
    }

    @Test func answersAreKeptOnceAndTheOldestGoFirst() throws {
        let pair = Pair(try Filled(documents: 1))
        func answer(_ number: Int) -> StoredAnswer {
            StoredAnswer(
                id: "answer-\(number)", question: "Why \(number)?",
                createdAtMilliseconds: 1_700_000_000_000 + Int64(number), generation: 1, indexVersion: 1,
                isRefused: false, requestJSON: Array("{}".utf8), replyJSON: Array("{}".utf8),
                retrievedJSON: Array("[]".utf8))
        }
        var removed: [Int64] = []
        for store in [pair.real as any RetrievalStore, pair.fake] {
            for number in 0..<40 { try store.save(answer(number), timeoutMilliseconds: Self.limit) }
            #expect(throws: (any Error).self) { try store.save(answer(7), timeoutMilliseconds: Self.limit) }
            func tidy(_ rows: Int64) throws -> Int64 {
                try store.tidyAnswers(
                    AnswerBounds(rowsMax: rows), nowMilliseconds: 1_700_000_100_000, timeoutMilliseconds: Self.limit)
            }
            #expect(try tidy(64) == 0)
            var sum: Int64 = 0
            while case let step = try tidy(32), step > 0 { sum += step }
            removed.append(sum)
            // The first are free again, the others are still there.
            try store.save(answer(Int(sum) - 1), timeoutMilliseconds: Self.limit)
            #expect(throws: (any Error).self) { try store.save(answer(Int(sum)), timeoutMilliseconds: Self.limit) }
        }
        #expect(removed == [10, 10])
    }
}
