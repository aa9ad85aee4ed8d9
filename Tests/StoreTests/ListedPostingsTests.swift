import Foundation
import IndexTesting
import Postgres
import PostgresTesting
import Records
import Retrieval
import Testing

@testable import Store

/// A word's postings are rows of several passages each, and say what the passages' own words do, whatever comes and goes.
@Suite struct ListedPostingsTests {
    private static let limit = IndexFixture.limit

    private func write(
        _ fixture: IndexFixture, _ numbers: some Sequence<Int>, version: Int64 = 1, _ text: (Int) -> String
    ) throws {
        let documents = numbers.map {
            IndexFixture.document($0, text: text($0), version: version, embedding: nil, model: "")
        }
        _ = try fixture.writer.write(documents, timeoutMilliseconds: Self.limit)
    }

    /// Removes what was replaced, as upkeep does once the history has passed.
    private func removeReplaced(_ fixture: IndexFixture) throws {
        try fixture.connect().script(
            "UPDATE index_versions SET created_at = created_at - interval '2 hours'", timeoutMilliseconds: Self.limit)
        try write(fixture, [9_999]) { _ in "nothing" }
        let upkeep = IndexUpkeep(configuration: fixture.configuration)
        while try upkeep.removeRetired(IndexRetention(historyHours: 1), timeoutMilliseconds: Self.limit) > 0 {}
    }

    /// How many passages the rows of a word have, the newest row first.
    private func lengths(_ word: String, _ connection: PostgresConnection) throws -> [Int] {
        try connection.script(
            """
            SELECT cardinality(p.passages) FROM postings p JOIN words w ON w.id = p.word_id
            WHERE w.text = '\(word)' AND w.tenant = 'default' ORDER BY p.last_passage DESC
            """, timeoutMilliseconds: Self.limit
        ).compactMap { $0[0].flatMap { Int($0) } }
    }

    private func found(
        _ word: String, _ configuration: PostgresConfiguration, _ bounds: SearchBounds = SearchBounds()
    ) throws -> CandidateSet {
        let query = CandidateQuery(text: word, vector: nil, vectorLimit: 0, documentLimit: 200)
        return try SearchStore(configuration: configuration, model: "test", bounds: bounds).candidates(
            for: query, timeoutMilliseconds: Self.limit)
    }

    private func expectFound(_ word: String, _ wanted: some Sequence<Int>, _ fixture: IndexFixture) throws {
        try fixture.countWords()
        #expect(try IndexRows(connection: fixture.connect()).faults() == [:])
        let found = try found(word, fixture.configuration)
        let ids = Set(wanted.map { "doc-\($0)" })
        #expect(ids.isSuperset(of: found.best) && found.best.count == min(ids.count, 100), "\(word)")
    }

    /// Rows are read from the newest on, and no more of them than are wanted.
    @Test func aLongListIsSeveralRowsOfWhichFewAreRead() throws {
        let fixture = try IndexFixture()
        try write(fixture, 0..<150) { "heron number\($0)" }
        #expect(try lengths("heron", fixture.connect()) == [64, 64, 22])
        #expect(try lengths("number7", fixture.connect()) == [1])
        try expectFound("heron", 0..<150, fixture)
        var bounds = SearchBounds()
        (bounds.wordRows, bounds.wordRowsAgain) = (40, 100)
        let few = try found("heron", fixture.configuration, bounds)
        let newest = Set((50..<150).map { "doc-\($0)" })
        #expect(newest.isSuperset(of: few.best) && few.best.count == 100 && few.isLexicalBounded)
        bounds.wordRowsAgain = 150
        #expect(try !found("heron", fixture.configuration, bounds).isLexicalBounded)
        bounds.wordRowsAgain = 149
        #expect(try found("heron", fixture.configuration, bounds).isLexicalBounded)

        let planner = try fixture.reader()
        let word = "(SELECT id FROM words WHERE text = 'heron')"
        for (limit, rows) in [(10, 1), (64, 1), (65, 2), (1_000, 3)] {
            let sql = WordArmSQL.newest([.passage, .document, .weight], of: word, limit: "\(limit)")
                .replacingOccurrences(of: "$13", with: "'default'")
            let plan = try planner.script(
                "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS OFF) \(sql)", timeoutMilliseconds: Self.limit
            ).compactMap { $0[0] }
            let scan = plan.first { $0.contains("Index Scan Backward using postings_t1_pkey") } ?? ""
            #expect(scan.contains("rows=\(rows) ") || scan.contains("rows=\(rows).00 "), "\(plan)")
        }
    }

    /// One of a row, several of a row, its first and its last, and all.
    @Test func passagesGoFromTheMiddleOfRows() throws {
        let fixture = try IndexFixture()
        try write(fixture, 0..<150) { "heron number\($0)" }
        let gone = [0, 10, 40, 41, 42, 85, 86, 100, 149]
        try write(fixture, gone, version: 2) { "otter number\($0)" }
        try removeReplaced(fixture)
        #expect(try lengths("heron", fixture.connect()).reduce(0, +) == 150 - gone.count)
        try expectFound("heron", Set(0..<150).subtracting(gone), fixture)
        try expectFound("otter", gone, fixture)
        try write(fixture, Set(0..<150).subtracting(gone), version: 3) { "otter number\($0)" }
        try removeReplaced(fixture)
        let left = try fixture.connect().script(
            "SELECT 1 FROM words WHERE text = 'heron'", timeoutMilliseconds: Self.limit)
        #expect(left.isEmpty)
        try expectFound("otter", 0..<150, fixture)
    }

    /// Passages that are given their words later than newer ones.
    @Test func rowsMayOverlap() throws {
        let fixture = try IndexFixture()
        let connection = try fixture.connect()
        try write(fixture, 0..<40) { "heron number\($0)" }
        try write(fixture, 40..<80) { "heron number\($0)" }
        try connection.script(
            "SELECT medallion_remove_words(1, ARRAY(SELECT id FROM passages WHERE id % 2 = 0))",
            timeoutMilliseconds: Self.limit)
        try fixture.countWords()
        let overlaps = try connection.script(
            """
            SELECT 1 FROM postings a JOIN postings b ON b.word_id = a.word_id AND b.last_passage < a.last_passage
                AND b.last_passage > a.passages[cardinality(a.passages)]
            """, timeoutMilliseconds: Self.limit)
        #expect(!overlaps.isEmpty)
        try expectFound("heron", 0..<80, fixture)
        let gone = [2, 3, 20, 39, 41, 60, 61, 79]
        try write(fixture, gone, version: 2) { "otter number\($0)" }
        try removeReplaced(fixture)
        try expectFound("heron", Set(0..<80).subtracting(gone), fixture)
        try expectFound("otter", gone, fixture)
    }

    /// What small batches wrote of a word becomes one row, as often as eight rows fit into one; other words are left alone.
    @Test func shortRowsAreJoined() throws {
        let fixture = try IndexFixture()
        let connection = try fixture.connect()
        let upkeep = IndexUpkeep(configuration: fixture.configuration)
        #expect(try upkeep.joinPostings(after: 0, timeoutMilliseconds: Self.limit) == 0)
        try write(fixture, 0..<100) { "heron number\($0)" }
        for number in 100..<107 { try write(fixture, [number]) { "heron otter number\($0)" } }
        var newest = try upkeep.joinPostings(after: 0, timeoutMilliseconds: Self.limit)
        #expect(newest == 107)
        #expect(try lengths("heron", connection) == [1, 1, 1, 1, 1, 1, 1, 64, 36])
        #expect(try lengths("otter", connection) == [1, 1, 1, 1, 1, 1, 1])
        try write(fixture, [107]) { "heron otter number\($0)" }
        newest = try upkeep.joinPostings(after: newest, timeoutMilliseconds: Self.limit)
        #expect(newest == 108)
        #expect(try lengths("heron", connection) == [8, 64, 36])
        #expect(try lengths("otter", connection) == [8])
        for number in 108..<200 {
            try write(fixture, [number]) { "heron number\($0)" }
            newest = try upkeep.joinPostings(after: newest, timeoutMilliseconds: Self.limit)
        }
        #expect(newest == 200)
        #expect(try upkeep.joinPostings(after: newest, timeoutMilliseconds: Self.limit) == 200)
        let lengths = try lengths("heron", connection)
        #expect(lengths.reduce(0, +) == 200 && lengths.count < 14, "\(lengths)")
        try expectFound("heron", 0..<200, fixture)
        try expectFound("otter", 100..<108, fixture)
        let gone = [3, 101, 104, 130, 131, 199]
        try write(fixture, gone, version: 2) { "quartz number\($0)" }
        try removeReplaced(fixture)
        try expectFound("heron", Set(0..<200).subtracting(gone), fixture)
        try expectFound("otter", Set(100..<108).subtracting(gone), fixture)
    }

    /// Of a batch some passages are not written: whether the words' numbers are known or not.
    @Test func whatIsLeftOutLeavesNoPostings() throws {
        let fixture = try IndexFixture()
        let writer = fixture.writer
        try write(fixture, stride(from: 0, to: 100, by: 3), version: 5) { "heron number\($0)" }
        for (version, word) in [(Int64(2), "otter"), (3, "heron")] {
            // Every third one has a newer version already.
            let documents = (0..<100).map {
                IndexFixture.document(
                    $0, text: "\(word) v\(version) " + ($0 % 3 == 0 ? "quartz" : "number\($0)"), version: version,
                    embedding: nil, model: "")
            }
            _ = try writer.write(documents, timeoutMilliseconds: Self.limit)
            #expect(try IndexRows(connection: fixture.connect()).faults() == [:])
        }
        let left = try fixture.connect().script(
            "SELECT 1 FROM words WHERE text = 'quartz'", timeoutMilliseconds: Self.limit)
        #expect(left.isEmpty)
        try expectFound("heron", 0..<100, fixture)
        try expectFound("v3", (0..<100).filter { $0 % 3 != 0 }, fixture)
    }

    /// A database that has a row for each word of each passage.
    @Test func singlePostingsBecomeLists() throws {
        let configuration = PostgresConfiguration(dsn: try SharedPostgres.freshDatabase())
        let connection = try PostgresConnection(configuration, timeoutMilliseconds: Self.limit)
        try Migrator(connection: connection).migrate(Migration.all.filter { $0.name < "V0020" })
        try connection.script(Self.formerIndex, timeoutMilliseconds: Self.limit)
        let former = try connection.script(
            "SELECT word_id, passage_id, document_id, weight FROM postings ORDER BY 1, 2",
            timeoutMilliseconds: Self.limit)
        #expect(former.count == 150 + 50 + 1)
        #expect(try Migrator(connection: connection).migrate().first == "V0020__list_postings")
        for table in [
            "SELECT word_id, unnest(passages), unnest(documents), unnest(weights) FROM postings ORDER BY 1, 2",
            "SELECT unnest(words), passage_id, document_id, unnest(weights) FROM passage_terms ORDER BY 1, 2",
        ] {
            #expect(try connection.script(table, timeoutMilliseconds: Self.limit) == former)
        }
        let rows = IndexRows(connection: connection)
        #expect(try rows.faults() == [:])
        #expect(try lengths("heron", connection) == [22, 64, 64])
        let left = try connection.script(
            "SELECT 1 FROM pg_class WHERE relname LIKE 'former%'", timeoutMilliseconds: Self.limit)
        #expect(left.isEmpty)
        // As they are, and once they have been cut anew.
        for _ in 0..<2 {
            #expect(try found("fern", configuration).best.count == 50)
            #expect(try found("moss", configuration).best == ["doc-1"])
            try IndexFixture.countWords(configuration)
            #expect(try rows.faults() == [:])
        }
    }

    /// Words 1 to 3 of passages 1 to 150: all have the first, a third the second, one the third in its title.
    private static let formerIndex = """
        BEGIN;
        SELECT medallion_prepare_tenant('acme');
        CREATE TEMP TABLE terms ON COMMIT DROP AS
            SELECT i, w, CASE w WHEN 3 THEN 256 ELSE i % 5 + 1 END | 4 << 16 AS weight
            FROM generate_series(1, 150) AS i CROSS JOIN generate_series(1, 3) AS w
            WHERE w = 1 OR w = 2 AND i % 3 = 1 OR w = 3 AND i = 1;
        SELECT medallion_begin_index_transaction('live', '{1}');
        SELECT medallion_put_documents(
            0, array_fill(1::bigint, '{150}'), array_fill('default'::text, '{150}'), array_fill('papers'::text, '{150}'),
            array_agg('doc-' || i), array_fill(1::bigint, '{150}'), array_agg('c-' || i), array_agg('t-' || i),
            array_agg(CASE i WHEN 1 THEN 'moss' ELSE '' END), array_fill(''::text, '{150}'), array_fill('en'::text, '{150}'),
            array_fill('2026-01-01Z'::timestamptz, '{150}'), array_fill('{}'::text, '{150}'), array_fill('[]'::text, '{150}'),
            array_fill('{"logic_version":"l","parents":[]}'::text, '{150}'), array_fill('src'::text, '{150}'),
            array_fill(0, '{150}'), array_agg(i::bigint),
            array_agg(i), array_fill(0, '{150}'), array_agg('p-' || i),
            array_agg('heron' || CASE i % 3 WHEN 1 THEN ' fern' ELSE '' END), array_fill(''::text, '{150}'),
            7, array_fill(4, '{150}'), '{heron,fern,moss}', '{0,0,0}', 0,
            (SELECT array_agg(t.w ORDER BY t.w, t.i) FROM terms t), (SELECT array_agg(t.i ORDER BY t.w, t.i) FROM terms t),
            (SELECT array_agg(t.weight ORDER BY t.w, t.i) FROM terms t), (SELECT array_agg(t.w ORDER BY t.i, t.w) FROM terms t),
            (SELECT array_agg(e.last ORDER BY e.i) FROM (
                SELECT t.i, sum(count(*)) OVER (ORDER BY t.i)::integer AS last FROM terms t GROUP BY t.i) e))
        FROM (SELECT i FROM generate_series(1, 150) AS i ORDER BY i) i;
        COMMIT;
        """
}
