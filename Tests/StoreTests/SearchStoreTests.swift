import Bytes
import IndexTesting
import Postgres
import Records
import Retrieval
import Testing

@testable import Store

@Suite struct SearchStoreTests {
    private let limit = IndexFixture.limit

    /// All rows by cosine similarity of unit vectors, the independent way.
    private func ranked(_ vectors: [[Float]], _ query: [Float]) -> [Int] {
        let scores = vectors.map { vector in
            var score: Float = 0
            for index in 0..<384 { score += vector[index] * query[index] }
            return score
        }
        return vectors.indices.sorted { scores[$0] > scores[$1] }
    }

    private func recall(_ found: [String], _ wanted: [Int]) -> Double {
        let wanted = Set(wanted.map { "doc-\($0)" })
        return Double(wanted.intersection(found).count) / Double(wanted.count)
    }

    /// The plan must use HNSW and the words' index, and the result must be nearly the exact one, with and without
    /// filters, wide and narrow.
    @Test func theVectorArmUsesItsIndexAndRecallsTheExactAnswer() throws {
        let fixture = try IndexFixture()
        var generator = SeededGenerator(seed: 3)
        let centres = (0..<60).map { _ in IndexFixture.vector(&generator) }
        var vectors: [[Float]] = []
        let writer = fixture.writer
        for start in stride(from: 0, to: 3_000, by: 500) {
            let documents = (start..<start + 500).map { number in
                let vector = IndexFixture.neighbour(of: centres[number % centres.count], &generator)
                vectors.append(vector)
                let wiki = number.isMultiple(of: 300) ? "rarewiki" : number.isMultiple(of: 3) ? "dewiki" : "enwiki"
                return IndexFixture.document(number, wiki: wiki, isBot: number.isMultiple(of: 2), embedding: vector)
            }
            _ = try writer.write(documents, timeoutMilliseconds: limit)
        }
        try fixture.countWords()
        let maintenance = try fixture.connect()
        try maintenance.script("ANALYZE", timeoutMilliseconds: limit)

        let planner = try fixture.reader()
        for filters in [SearchSQL.Filters.none, .plain, .tested] {
            let parts = SearchSQL.Parts(vector: .approximate, lexical: true, filters: filters)
            let plan = try planner.script(
                "EXPLAIN (GENERIC_PLAN) " + SearchSQL.make(parts, model: 1), timeoutMilliseconds: limit
            ).compactMap { $0[0] }.joined(separator: "\n")
            #expect(plan.contains("Index Scan using vectors_1_t1_hnsw_16_64 on vectors_1_t1"), "\(plan)")
            #expect(plan.contains("Index Scan Backward using postings_t1_pkey on postings_t1"), "\(plan)")
            for table in IndexRows.searched {
                #expect(!plan.contains("Seq Scan on \(table)"), "\(plan)")
            }
        }

        let store = fixture.store
        var recalls: [Double] = []
        for _ in 0..<8 {
            let query = IndexFixture.neighbour(of: centres[Int.random(in: 0..<60, using: &generator)], &generator)
            let order = ranked(vectors, query)
            let open = try store.candidates(
                for: IndexFixture.query(vector: query, lexicalLimit: 0), timeoutMilliseconds: limit)
            #expect(open.nearest.count == 100)
            recalls.append(recall(open.nearest, Array(order.prefix(100))))
            let scores = open.nearest.compactMap { id in
                open.candidates.first { $0.docID == id }?.vector?.score
            }
            #expect(scores == scores.sorted(by: >))

            let wide = try Filter(must: [.texts(.wiki, ["dewiki", "frwiki"])])
            let german = try store.candidates(
                for: IndexFixture.query(vector: query, filter: wide, lexicalLimit: 0), timeoutMilliseconds: limit)
            #expect(german.candidates.allSatisfy { $0.attributes.value(of: .wiki) == .string("dewiki") })
            recalls.append(
                recall(
                    german.nearest,
                    Array(order.filter { $0.isMultiple(of: 3) && !$0.isMultiple(of: 300) }.prefix(100))))

            let narrow = try Filter(must: [.texts(.wiki, ["rarewiki"])])
            let rare = try store.candidates(
                for: IndexFixture.query(vector: query, filter: narrow, lexicalLimit: 0), timeoutMilliseconds: limit)
            #expect(rare.nearest == order.filter { $0.isMultiple(of: 300) }.map { "doc-\($0)" })
        }
        let mean = recalls.reduce(0, +) / Double(recalls.count)
        #expect(mean >= 0.95, "mean recall \(mean) of \(recalls)")
    }

    @Test func everyFilterHoldsInBothArms() throws {
        let fixture = try IndexFixture()
        var generator = SeededGenerator(seed: 4)
        let vector = IndexFixture.vector(&generator)
        let documents = (0..<40).map { number in
            var document = IndexFixture.document(
                number, text: "river \(number)", wiki: number < 20 ? "enwiki" : "dewiki",
                isBot: number.isMultiple(of: 2), embedding: IndexFixture.neighbour(of: vector, &generator))
            document.document.lang = number < 20 ? "en" : "de"
            document.document.attributes.set(.type, .string(number.isMultiple(of: 5) ? "new" : "edit"))
            return document
        }
        _ = try fixture.writer.write(documents, timeoutMilliseconds: limit)
        let store = fixture.store

        let border: Int64 = 1_700_000_010_000
        let cases: [(Filter, (Int) -> Bool)] = [
            (.all, { _ in true }),
            (try Filter(must: [.texts(.wiki, ["dewiki"])]), { $0 >= 20 }),
            (try Filter(must: [.texts(.lang, ["en", "fr"])]), { $0 < 20 }),
            (try Filter(must: [.texts(.type, ["new"])]), { $0.isMultiple(of: 5) }),
            (try Filter(must: [.equals(.isBot, .bool(false))]), { !$0.isMultiple(of: 2) }),
            (try Filter(time: Filter.TimeRange(from: border)), { $0 >= 10 }),
            (try Filter(time: Filter.TimeRange(to: border)), { $0 < 10 }),
            (try Filter(scope: Filter.Scope(collections: ["other"])), { _ in false }),
            (try Filter(scope: Filter.Scope(collections: ["wikimedia.recentchange"])), { _ in true }),
        ]
        for (filter, passes) in cases {
            #expect(!FilterBinding(filter).hasTests, "\(filter) needs no statement of its own")
            let found = try store.candidates(
                for: IndexFixture.query("river", vector: vector, filter: filter), timeoutMilliseconds: limit)
            let wanted = Set((0..<40).filter(passes).map { "doc-\($0)" })
            #expect(Set(found.nearest) == wanted, "\(filter)")
            #expect(Set(found.best) == wanted, "\(filter)")
            let recent = try store.recent(RecentQuery(limit: 100, filter: filter), timeoutMilliseconds: limit)
            #expect(Set(recent.documents.map(\.document.docID)) == wanted, "\(filter)")
        }
    }

    @Test func theLexicalArmPrefersRareWordsAndSurvivesAnyText() throws {
        let fixture = try IndexFixture()
        let texts = [
            "the common words of every text", "common words with a zebra", "Überraschung für alle",
            "common common common words", "Привет мир", "o'Reilly and back\\slash",
        ]
        _ = try fixture.writer.write(
            texts.enumerated().map { IndexFixture.document($0, text: $1, embedding: nil, model: "") },
            timeoutMilliseconds: limit)
        let store = fixture.store
        func best(_ text: String) throws -> [String] {
            try store.candidates(for: IndexFixture.query(text), timeoutMilliseconds: limit).best
        }
        try fixture.countWords()
        #expect(try best("zebra words").first == "doc-1")
        #expect(try best("überraschung") == ["doc-2"])
        #expect(try best("привет") == ["doc-4"])
        #expect(try best("O'Reilly") == ["doc-5"])
        #expect(try Set(best("the of and")) == ["doc-0", "doc-5"])
        #expect(try best("").isEmpty)
        for hostile in [
            "'", "a & | ! ( ) <-> :*", "\0", "\\'; DROP TABLE passages; --", String(repeating: "x ", count: 999),
        ] {
            _ = try best(hostile)
        }
        #expect(try best("zebra").count == 1)
    }

    @Test func anEmptyIndexAnswersWithItsGeneration() throws {
        let fixture = try IndexFixture()
        let found = try fixture.store.candidates(
            for: IndexFixture.query("anything", vector: [Float](repeating: 0.05, count: 384)),
            timeoutMilliseconds: limit)
        #expect(found.candidates.isEmpty)
        #expect(found.generation == 1)
        #expect(found.indexVersion == 0)
    }

    @Test func anAnswerIsKeptByteForByte() throws {
        let fixture = try IndexFixture()
        let answer = StoredAnswer(
            id: "a-1", question: "why?", createdAtMilliseconds: 1_700_000_000_123, generation: 1, indexVersion: 5,
            isRefused: false, requestJSON: Array(#"{"query": "why?"}"#.utf8),
            replyJSON: Array(#"{"z":1,  "a":"ü"}"#.utf8), retrievedJSON: Array("[]".utf8))
        let store = fixture.store
        try store.save(answer, timeoutMilliseconds: limit)
        #expect(try store.answer(id: "a-1", timeoutMilliseconds: limit) == answer)
        #expect(try store.answer(id: "a-2", timeoutMilliseconds: limit) == nil)
        let again = #expect(throws: IndexError.self) { try store.save(answer, timeoutMilliseconds: limit) }
        #expect(again?.underlying?.isUniqueViolation == true)
        let writer = fixture.writer
        #expect(
            try writer.removeAnswers(beforeMilliseconds: answer.createdAtMilliseconds, timeoutMilliseconds: limit) == 0)
        #expect(try store.answer(id: "a-1", timeoutMilliseconds: limit) == answer)
        let after = answer.createdAtMilliseconds + 1
        #expect(try writer.removeAnswers(beforeMilliseconds: after, timeoutMilliseconds: limit) == 1)
        #expect(try store.answer(id: "a-1", timeoutMilliseconds: limit) == nil)
    }

    /// From a document to the answers that it went into, newest first; they go with their answers.
    @Test func answersAreFoundByTheirDocuments() throws {
        let fixture = try IndexFixture()
        let store = fixture.store
        let acme = try #require(TenantID("acme"))
        for (number, tenant) in [TenantID.standard, .standard, acme].enumerated() {
            var answer = StoredAnswer(
                id: "a-\(number)", tenant: tenant, question: "why?",
                createdAtMilliseconds: 1_700_000_000_000 + Int64(number), generation: 1, indexVersion: 5,
                isRefused: false, requestJSON: Array("{}".utf8), replyJSON: Array("{}".utf8),
                retrievedJSON: Array("[]".utf8))
            answer.documents = [
                StoredAnswer.Source(collection: "notes", docID: "d", isCited: number == 1),
                StoredAnswer.Source(collection: "other", docID: "d", isCited: true),
            ]
            try store.save(answer, timeoutMilliseconds: limit)
        }
        func found(_ tenant: TenantID = .standard) throws -> [AnswerOfDocument] {
            try store.answers(of: "d", collection: "notes", tenant: tenant, timeoutMilliseconds: limit)
        }
        #expect(try found().map(\.id) == ["a-1", "a-0"] && found().map(\.isCited) == [true, false])
        #expect(try found(acme).map(\.id) == ["a-2"])
        try fixture.writer.removeAnswers(beforeMilliseconds: 1_700_000_000_001, timeoutMilliseconds: limit)
        #expect(try found().map(\.id) == ["a-1"])
    }

    @Test func anAnswerIsItsTenants() throws {
        let store = try IndexFixture().store
        let acme = try #require(TenantID("acme"))
        func answer(_ id: String, _ tenant: TenantID) -> StoredAnswer {
            StoredAnswer(
                id: id, tenant: tenant, question: "why?", createdAtMilliseconds: 1_700_000_000_123, generation: 1,
                indexVersion: 5, isRefused: false, requestJSON: Array("{}".utf8), replyJSON: Array("{}".utf8),
                retrievedJSON: Array("[]".utf8))
        }
        let (ours, theirs) = (answer("a-1", .standard), answer("a-2", acme))
        for one in [ours, theirs] { try store.save(one, timeoutMilliseconds: limit) }
        #expect(try store.answer(id: "a-1", timeoutMilliseconds: limit) == ours)
        #expect(try store.answer(id: "a-2", tenant: acme, timeoutMilliseconds: limit) == theirs)
        #expect(try store.answer(id: "a-1", tenant: acme, timeoutMilliseconds: limit) == nil)
        #expect(try store.answer(id: "a-2", timeoutMilliseconds: limit) == nil)
    }

    @Test func recentFollowsIndexVersions() throws {
        let fixture = try IndexFixture()
        let writer = fixture.writer
        let first = try writer.write(
            [IndexFixture.document(1, embedding: nil, model: "")], timeoutMilliseconds: limit)
        let second = try writer.write(
            [IndexFixture.document(2, embedding: nil, model: ""), IndexFixture.document(3, embedding: nil, model: "")],
            timeoutMilliseconds: limit)
        let store = fixture.store
        let all = try store.recent(RecentQuery(limit: 2), timeoutMilliseconds: limit)
        #expect(all.documents.map(\.document.docID) == ["doc-3", "doc-2"])
        #expect(all.documents.first?.indexVersion == second.indexVersion)
        #expect((all.documents.first?.indexedAtMilliseconds ?? 0) > 0)
        let older = try store.recent(RecentQuery(limit: 2, before: all.next), timeoutMilliseconds: limit)
        #expect(older.documents.map(\.document.docID) == ["doc-1"] && older.next == nil)
        let later = try store.recent(
            RecentQuery(limit: 10, afterIndexVersion: first.indexVersion), timeoutMilliseconds: limit)
        #expect(later.documents.count == 2 && later.next == nil && !later.isCutShort)
        let newest = try store.recent(
            RecentQuery(limit: 10, afterIndexVersion: second.indexVersion), timeoutMilliseconds: limit)
        #expect(newest.documents.isEmpty && newest.next == nil && newest.generation == 1)
    }

    /// Every statement is prepared against the migrated schema. TidyTests see to it that the list has them all.
    @Test func everyStatementFitsTheSchema() throws {
        let fixture = try IndexFixture()
        // Makes the tables of model 1.
        _ = try fixture.writer.write(
            [IndexFixture.document(1, embedding: [1] + [Float](repeating: 0, count: 383))], timeoutMilliseconds: limit)
        let connection = try fixture.connect()
        for statement in StatementList.all {
            let types = statement.parameterTypes.map { $0 == .inferred ? "unknown" : "\($0)" }
                .map { $0.hasSuffix("Array") ? $0.dropLast(5) + "[]" : $0 }
            let list = types.isEmpty ? "" : "(\(types.joined(separator: ",")))"
            // A name that two statements have is refused here, too.
            try connection.script(
                "PREPARE \(statement.name)\(list) AS \(statement.sql)", timeoutMilliseconds: limit)
        }
    }
}
