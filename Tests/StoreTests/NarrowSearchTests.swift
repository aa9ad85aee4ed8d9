import Bytes
import Glibc
import IndexTesting
import Postgres
import Records
import Retrieval
import Testing

@testable import Store

/// Filters inside both arms, at any selectivity: whatever they leave is found, in an index of three generations of which half was
/// replaced. `TEST_SEED` replays another run.
@Suite struct NarrowSearchTests {
    private static let limit = IndexFixture.limit
    private static let count = 1_600
    private static let size = AttributeName("size")

    /// What generation 3 shows of a document.
    private struct Row: FilterSubject {
        let document: IndexedDocument
        var vector: [Float] { document.passages[0].embedding ?? [] }
        var id: String { document.document.docID }

        func value(of attribute: AttributeName) -> AttributeValue? {
            switch attribute {
            case .collection: .string(document.document.collection.text)
            case .lang: .string(document.document.lang)
            case .eventTime: .time(document.document.eventTimeMilliseconds)
            default: document.document.attributes.value(of: attribute)
            }
        }
    }

    private struct Scene: Sendable {
        let fixture: IndexFixture
        let seed: UInt64
        let centres: [[Float]]
        let documents: [IndexedDocument]

        var rows: [Row] { documents.map { Row(document: $0) } }

        init() throws {
            seed = getenv("TEST_SEED").flatMap { UInt64(String(cString: $0)) } ?? 1
            var random = SeededGenerator(seed: seed)
            fixture = try IndexFixture()
            let centres = (0..<40).map { _ in IndexFixture.vector(&random) }
            self.centres = centres
            var shown = (0..<count).map { NarrowSearchTests.document($0, version: 1, generation: 1, centres, &random) }
            let writer = fixture.writer
            let source = IndexFixture.source
            for start in stride(from: 0, to: count, by: 400) {
                let move = CheckpointMove(
                    generation: 1, source: source, expected: start == 0 ? nil : Int64(start), next: Int64(start + 400))
                _ = try writer.write(
                    Array(shown[start..<start + 400]), moving: [move], timeoutMilliseconds: limit)
            }
            // Half is replaced twice, in generations that show nothing else.
            for generation in [Int64(2), 3] {
                _ = try fixture.generations.create(
                    parent: generation - 1, logicVersion: "\(generation)", note: "", timeoutMilliseconds: limit)
                _ = try fixture.generations.copyParentRows(
                    child: generation, parent: generation - 1, outside: [], handover: [source: Int64(count)],
                    timeoutMilliseconds: limit)
                for place in shown.indices { shown[place].generation = generation }
                let changed = stride(from: Int(generation) % 2, to: count, by: 2).map { number in
                    NarrowSearchTests.document(
                        number, version: generation, generation: generation, centres, &random)
                }
                for (place, document) in zip(stride(from: Int(generation) % 2, to: count, by: 2), changed) {
                    shown[place] = document
                }
                for start in stride(from: 0, to: changed.count, by: 400) {
                    _ = try writer.write(Array(changed[start..<start + 400]), timeoutMilliseconds: limit)
                }
                try fixture.generations.finish(
                    generation: generation, handover: [source: Int64(count)], timeoutMilliseconds: limit)
                try fixture.generations.promote(generation, timeoutMilliseconds: limit)
            }
            documents = shown
            try fixture.connect().script("VACUUM ANALYZE", timeoutMilliseconds: limit)
            try fixture.countWords()
        }

        /// A store with bounds in proportion to so small an index.
        var store: SearchStore {
            var bounds = SearchBounds()
            bounds.narrow = 160
            bounds.wide = 600
            bounds.narrowWords = 100
            return SearchStore(configuration: fixture.configuration, model: "test", ef: 400, bounds: bounds)
        }
    }

    private static let shared = Result { try Scene() }

    private static func document(
        _ number: Int, version: Int64, generation: Int64, _ centres: [[Float]], _ random: inout SeededGenerator
    ) -> IndexedDocument {
        let text = "river number\(number) version\(version)" + (number.isMultiple(of: 97) ? " heron" : "")
        var document = IndexFixture.document(
            number, text: text, version: version, wiki: ["enwiki", "dewiki", "frwiki"][min(2, number % 16 / 6)],
            isBot: number.isMultiple(of: 3),
            embedding: IndexFixture.neighbour(of: centres[Int.random(in: 0..<centres.count, using: &random)], &random),
            generation: generation)
        document.document.lang = number == 1_111 ? "zz" : number.isMultiple(of: 11) ? "de" : "en"
        document.document.attributes.set(.type, .string(number.isMultiple(of: 50) ? "new" : "edit"))
        document.document.attributes.set(.user, .string("User \(number / 7)"))
        if let size { document.document.attributes.set(size, .integer(Int64(number % 400))) }
        return document
    }

    /// From one document to all, by one test and by several.
    private static func filter(_ random: inout SeededGenerator) throws -> Filter {
        func test() -> AttributeTest {
            switch Int.random(in: 0..<9, using: &random) {
            case 0: .texts(.lang, [["en", "de", "zz", "none"][Int.random(in: 0..<4, using: &random)]])
            case 1: .texts(.wiki, Array(["dewiki", "frwiki", "enwiki"].shuffled(using: &random).prefix(2)))
            case 2: .texts(.type, [Bool.random(using: &random) ? "new" : "edit"])
            case 3: .equals(.isBot, .bool(Bool.random(using: &random)))
            case 4: .texts(.user, (0..<Int.random(in: 1...60, using: &random)).map { "User \($0 * 5)" })
            case 5:
                AttributeTest(
                    size ?? .delta, .between(from: .integer(Int64.random(in: 0..<400, using: &random)), to: nil))
            case 6: .equals(size ?? .delta, .integer(Int64.random(in: 0..<420, using: &random)))
            case 7: .equals(size ?? .delta, .number(Double.random(in: 0..<4, using: &random).rounded()))
            default: AttributeTest(.delta, .absent)
            }
        }
        let start = 1_700_000_000_000 + Int64.random(in: 0..<1_600_000, using: &random)
        let length = [Int64(5_000), 150_000, 1_600_000][Int.random(in: 0..<3, using: &random)]
        let isPlaced = Int.random(in: 0..<6, using: &random) == 0
        return try Filter(
            scope: Filter.Scope(collections: isPlaced ? [IndexFixture.collection.text, "other"] : nil),
            time: Int.random(in: 0..<3, using: &random) == 0
                ? Filter.TimeRange(from: start, to: start + length) : Filter.TimeRange(),
            must: (0..<Int.random(in: 1...2, using: &random)).map { _ in test() },
            mustNot: Int.random(in: 0..<4, using: &random) == 0 ? [test()] : [])
    }

    private static func near(_ rows: [Row], _ vector: [Float]) -> [Row] {
        rows.map { row in (row, zip(row.vector, vector).reduce(Float(0)) { $0 + $1.0 * $1.1 }) }
            .sorted { $0.1 > $1.1 }.map(\.0)
    }

    private static func recall(_ found: [String], _ wanted: [Row]) -> Double {
        let ids = Set(wanted.prefix(10).map(\.id))
        return ids.isEmpty ? 1 : Double(ids.intersection(found.prefix(10)).count) / Double(ids.count)
    }

    @Test func whateverAFilterLeavesIsFoundByBothArms() throws {
        let scene = try Self.shared.get()
        var random = SeededGenerator(seed: scene.seed &+ 7)
        let (store, rows) = (scene.store, scene.rows)
        var (recalls, few, many): ([Double], Int, Int) = ([], 0, 0)
        for number in 0..<70 {
            let filter = try Self.filter(&random)
            let passing = rows.filter { filter.matches($0) }
            let vector = IndexFixture.neighbour(of: scene.centres[number % scene.centres.count], &random)
            var query = IndexFixture.query("river heron", vector: vector, filter: filter)
            query.vectorScan = .approximate
            let found = try store.candidates(for: query, timeoutMilliseconds: Self.limit)
            let hint: Comment = "seed \(scene.seed), filter \(number), \(passing.count) pass: \(filter)"
            let ids = Set(passing.map(\.id))
            #expect(ids.isSuperset(of: found.nearest) && ids.isSuperset(of: found.best), hint)
            #expect(found.best.count >= min(10, passing.count), hint)
            let nearest = Self.near(passing, vector)
            if found.isVectorExact {
                #expect(found.nearest.count == min(100, passing.count), hint)
                #expect(Self.recall(found.nearest, nearest) >= 0.9, hint)
                few += 1
            } else {
                #expect(found.nearest.count >= min(10, passing.count) || found.isVectorArmShort, hint)
                many += 1
            }
            query.vectorScan = .automatic
            let all = try store.candidates(for: query, timeoutMilliseconds: Self.limit)
            #expect(all.nearest.count >= min(10, passing.count), hint)
            recalls.append(Self.recall(all.nearest, nearest))
            query.vectorScan = .exact
            let exact = try store.candidates(for: query, timeoutMilliseconds: Self.limit)
            #expect(exact.nearest.count == min(100, passing.count), hint)
        }
        let mean = recalls.reduce(0, +) / Double(recalls.count)
        #expect(mean >= 0.95, "seed \(scene.seed): \(recalls)")
        #expect(few > 15 && many > 15, "\(few) were few, \(many) many")
    }

    @Test func theGraphRecallsTheExactAnswerWithThreeGenerationsAndHalfReplaced() throws {
        let scene = try Self.shared.get()
        var random = SeededGenerator(seed: scene.seed &+ 8)
        // As it is by default.
        let store = scene.fixture.store
        var recalls: [Double] = []
        for number in 0..<40 {
            let vector = IndexFixture.neighbour(of: scene.centres[number], &random)
            var query = IndexFixture.query(vector: vector, lexicalLimit: 0)
            query.vectorScan = .approximate
            let found = try store.candidates(for: query, timeoutMilliseconds: Self.limit)
            #expect(found.generation == 3 && !found.isVectorExact)
            recalls.append(Self.recall(found.nearest, Self.near(scene.rows, vector)))
        }
        let mean = recalls.reduce(0, +) / Double(recalls.count)
        #expect(mean >= 0.95, "seed \(scene.seed): \(recalls)")
    }

    /// Demands are filters, too: a rare word leads to its passages, and what it is demanded with is asked of them.
    @Test func aDemandedWordLeadsToItsPassages() throws {
        let scene = try Self.shared.get()
        let (store, rows) = (scene.store, scene.rows)
        let wanted = rows.filter { $0.document.document.text.contains("heron") }.map(\.id)
        for vector in scene.centres.prefix(4) {
            var query = IndexFixture.query("river \"heron\"", vector: vector)
            query.vectorScan = .approximate
            let found = try store.candidates(for: query, timeoutMilliseconds: Self.limit)
            #expect(found.isVectorExact && Set(found.nearest) == Set(wanted) && Set(found.best) == Set(wanted))
            // What is excluded leads nowhere, and holds in an exact search, too.
            query.text = "river -heron"
            for scan in [CandidateQuery.VectorScan.approximate, .exact] {
                query.vectorScan = scan
                let others = try store.candidates(for: query, timeoutMilliseconds: Self.limit)
                #expect(others.nearest.count == 100 && Set(others.nearest).isDisjoint(with: wanted), "\(scan)")
                #expect(others.best.count == 100 && Set(others.best).isDisjoint(with: wanted), "\(scan)")
            }
        }
    }

    /// More candidates find more; the next search has as many as before.
    @Test func aSearchSaysHowManyCandidatesTheGraphKeeps() throws {
        let scene = try Self.shared.get()
        var random = SeededGenerator(seed: scene.seed &+ 9)
        let store = SearchStore(configuration: scene.fixture.configuration, model: "test", ef: 100)
        var (low, usual, high) = (0.0, 0.0, 0.0)
        for number in 0..<20 {
            let vector = IndexFixture.neighbour(of: scene.centres[number], &random)
            let wanted = Self.near(scene.rows, vector)
            func ask(_ ef: Int?) throws -> Double {
                // Of all of them, so that the search does not go on for want of candidates.
                var query = IndexFixture.query(vector: vector, lexicalLimit: 0)
                query.vectorScan = .approximate
                query.ef = ef
                let ids = Set(wanted.prefix(100).map(\.id))
                return Double(
                    ids.intersection(try store.candidates(for: query, timeoutMilliseconds: Self.limit).nearest).count)
            }
            high += try ask(1_000)
            low += try ask(1)
            usual += try ask(nil)
        }
        #expect(high >= usual && usual > low, "\(low), \(usual), \(high) of 2,000")
    }

    /// The filtered statements read postings and look rows up, whatever the statistics say.
    @Test(arguments: [SearchSQL.Filters.plain, .tested]) func narrowStatementsUseTheIndexes(
        filters: SearchSQL.Filters
    ) throws {
        let scene = try Self.shared.get()
        let planner = try scene.fixture.reader()
        let parts = SearchSQL.Parts(
            vector: .approximate, lexical: true, filters: filters, isDemanding: true, isNarrow: true, isCounted: true)
        let plan = try planner.script(
            "EXPLAIN (GENERIC_PLAN) " + SearchSQL.make(parts, model: 1), timeoutMilliseconds: Self.limit
        ).compactMap { $0[0] }.joined(separator: "\n")
        for wanted in [
            "Index Scan Backward using postings_t1_pkey", "Index Scan using passage_terms_t1_pkey",
            "using documents_time", "using visibility_pkey", "using vectors_1_t1_pkey", "using vectors_1_t1_hnsw",
        ] {
            #expect(plan.contains(wanted), "\(wanted) is not in \(plan)")
        }
        for table in IndexRows.searched {
            #expect(!plan.contains("Seq Scan on \(table)"), "\(plan)")
            for join in ["Hash Cond: (\(table)", "Merge Cond: (\(table)"] { #expect(!plan.contains(join), "\(plan)") }
        }
    }

    // MARK: Counts

    @Test func documentsAndValuesAreCountedAsARecountDoes() throws {
        let scene = try Self.shared.get()
        var random = SeededGenerator(seed: scene.seed &+ 10)
        let (store, rows) = (scene.store, scene.rows)
        let attributes: [AttributeName] = [.lang, .wiki, .isBot, .collection, Self.size ?? .delta, .delta]
        for number in 0..<30 {
            let filter = number == 0 ? .all : try Self.filter(&random)
            let text = ["river", "heron", "nowhere", "number7 heron"][number % 4]
            var query = IndexFixture.query(text, vector: scene.centres[0], filter: filter)
            query.vectorScan = .approximate
            query.counted = CountedAttributes(attributes: attributes)
            let counts = try #require(try store.candidates(for: query, timeoutMilliseconds: Self.limit).counts)
            let words = Set(text.split(separator: " "))
            let holding = rows.filter { row in
                filter.matches(row) && !words.isDisjoint(with: row.document.document.text.split(separator: " "))
            }
            let hint: Comment = "seed \(scene.seed), \(text), \(filter)"
            #expect(counts.documents == holding.count && !counts.isCut, hint)
            #expect(counts.facets.map(\.attribute) == attributes)
            for facet in counts.facets {
                let recount = Dictionary(grouping: holding.compactMap { $0.value(of: facet.attribute) }) { $0 }
                    .mapValues(\.count)
                #expect(facet.hasMore == (recount.count > 20) && facet.values.count == min(20, recount.count), hint)
                #expect(facet.values.allSatisfy { recount[$0.value] == $0.count }, hint)
                #expect(facet.values.map(\.count) == Array(recount.values.sorted(by: >).prefix(20)), hint)
            }
        }
    }

    /// Each of the bounds is told.
    @Test(arguments: 0..<3) func whatIsNotCountedToTheEndIsMarked(bound: Int) throws {
        let scene = try Self.shared.get()
        var bounds = SearchBounds()
        switch bound {
        case 0: bounds.counted = 500
        case 1: bounds.countedRows = 700
        default: bounds.lookedAt = 900
        }
        let store = SearchStore(configuration: scene.fixture.configuration, model: "test", bounds: bounds)
        func counts(_ text: String, _ filter: Filter = .all) throws -> SearchCounts {
            var query = IndexFixture.query(text, filter: filter)
            query.counted = CountedAttributes(attributes: [.lang])
            return try #require(try store.candidates(for: query, timeoutMilliseconds: Self.limit).counts)
        }
        let all = try counts("river")
        #expect(all.isCut && all.documents > 0 && all.documents < Self.count)
        let rare = try counts("heron", Filter(must: [.texts(.lang, ["en", "de"])]))
        #expect(!rare.isCut && rare.documents == 17)
        #expect(rare.facets.first?.values.reduce(0) { $0 + $1.count } == 17)
    }

    /// A page of a ranking is counted in the version that the ranking was made of.
    @Test func aLaterPageCountsTheSame() throws {
        let scene = try Self.shared.get()
        let store = scene.store
        let filter = try Filter(must: [.texts(.lang, ["de"])])
        var query = IndexFixture.query("river", vector: scene.centres[1], filter: filter)
        query.documentLimit = 5
        query.counted = CountedAttributes(attributes: [.wiki])
        let first = try store.candidates(for: query, timeoutMilliseconds: Self.limit)
        var next = query
        next.page = Array(first.rest.prefix(5))
        next.generation = first.generation
        next.indexVersion = first.indexVersion
        let second = try store.candidates(for: next, timeoutMilliseconds: Self.limit)
        #expect(second.candidates.count == 5 && second.counts == first.counts && first.counts?.documents ?? 0 > 100)
    }
}
