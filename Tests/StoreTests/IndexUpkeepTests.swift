import Foundation
import IndexTesting
import Postgres
import Records
import Retrieval
import Testing

@testable import Store

/// What nobody can ask for any more goes, and nothing else.
@Suite struct IndexUpkeepTests {
    private let limit = IndexFixture.limit
    private let source = IndexFixture.source
    private static let isLong = ProcessInfo.processInfo.environment["MEDALLION_LONG_TESTS"] != nil

    private func count(_ fixture: IndexFixture, _ table: String) throws -> Int {
        let rows = try fixture.connect().script("SELECT count(*) FROM \(table)", timeoutMilliseconds: limit)
        return Int(rows[0][0] ?? "") ?? -1
    }

    /// All steps; small ones, so that there are several.
    private func removeAll(_ fixture: IndexFixture, historyHours: Int = 1, rows: Int32 = 7) throws -> Int64 {
        let upkeep = IndexUpkeep(configuration: fixture.configuration)
        var total: Int64 = 0
        for _ in 0..<2_000 {
            let removed = try upkeep.removeRetired(
                IndexRetention(historyHours: historyHours), rows: rows, timeoutMilliseconds: limit)
            if removed == 0 { return total }
            total += removed
        }
        Issue.record("there is no end to what is retired")
        return total
    }

    /// Makes all that was written until now older than the history.
    private func age(_ fixture: IndexFixture) throws {
        try fixture.connect().script(
            "UPDATE index_versions SET created_at = created_at - interval '2 hours'", timeoutMilliseconds: limit)
    }

    private func vector(_ number: Int) -> [Float] {
        var vector = [Float](repeating: 0, count: 384)
        vector[number % 384] = 1
        return vector
    }

    @Test func whatEndedBeforeTheHistoryGoesWithItsContentsAndVectors() throws {
        let fixture = try IndexFixture()
        let writer = fixture.writer
        for version in 1...3 {
            let documents = (0..<20).map {
                IndexFixture.document(
                    $0, text: "text \($0) v\(version)", version: Int64(version), embedding: vector($0 * 4 + version))
            }
            _ = try writer.write(documents, timeoutMilliseconds: limit)
        }
        let shown = try fixture.store.status(timeoutMilliseconds: limit).indexVersion
        #expect(try removeAll(fixture) == 0, "it is younger than the history")
        try age(fixture)
        // One more, which is the history's own.
        _ = try writer.write(
            [IndexFixture.document(0, text: "text 0 v4", version: 4, embedding: vector(300))],
            timeoutMilliseconds: limit)
        #expect(try removeAll(fixture) > 0)
        // 20 documents as they were when the history began, and the one that came since.
        #expect(try count(fixture, "visibility") == 21 && count(fixture, "documents") == 21)
        #expect(try count(fixture, "passages") == 21 && count(fixture, "passage_terms") == 21)
        #expect(try count(fixture, "vectors_1") == 21)
        var query = IndexFixture.query("v3")
        query.indexVersion = shown
        #expect(try fixture.store.candidates(for: query, timeoutMilliseconds: limit).best.count == 20)
        query.indexVersion = shown - 1
        let gone = #expect(throws: IndexVersionGone.self) {
            try fixture.store.candidates(for: query, timeoutMilliseconds: limit)
        }
        #expect(gone?.oldest == shown)
        #expect(try removeAll(fixture) == 0)
    }

    @Test func whatPrunedGenerationsShowedGoesAndWhatOthersShareStays() throws {
        let fixture = try IndexFixture()
        let generations = fixture.generations
        let old = (0..<10).map { IndexFixture.document($0, embedding: vector($0)) }
        let move = CheckpointMove(generation: 1, source: source, expected: nil, next: 10)
        _ = try fixture.writer.write(old, moving: [move], timeoutMilliseconds: limit)
        let child = try generations.create(parent: 1, logicVersion: "n", note: "", timeoutMilliseconds: limit)
        // Two change, the others are the same contents.
        let new = (0..<10).map {
            IndexFixture.document(
                $0, text: $0 < 2 ? "new \($0)" : nil, embedding: $0 < 2 ? vector(100 + $0) : nil, generation: child,
                contentHash: $0 < 2 ? "new-\($0)" : nil)
        }
        _ = try fixture.writer.write(new, origin: .replay, timeoutMilliseconds: limit)
        #expect(try count(fixture, "documents") == 12 && count(fixture, "visibility") == 20)
        #expect(try removeAll(fixture) == 0)
        try generations.setState(.pruned, of: child, expecting: [.created], timeoutMilliseconds: limit)
        #expect(try removeAll(fixture) == 10)
        #expect(try count(fixture, "documents") == 10 && count(fixture, "visibility") == 10)
        #expect(try count(fixture, "vectors_1") == 10)
        let nearest = try fixture.store.candidates(
            for: IndexFixture.query(vector: vector(0), lexicalLimit: 0), timeoutMilliseconds: limit
        ).nearest
        #expect(nearest.first == "doc-0" && nearest.count == 10)
    }

    @Test func expiredDocumentsGoFromTheirCollectionAlone() throws {
        let fixture = try IndexFixture()
        var documents = (0..<12).map { IndexFixture.document($0, embedding: vector($0)) }
        for index in documents.indices.dropFirst(6) {
            documents[index].document.collection = IndexFixture.name("papers")
        }
        _ = try fixture.writer.write(documents, timeoutMilliseconds: limit)
        let retention = IndexRetention(expiries: [
            .init(tenant: .standard, collection: IndexFixture.name("papers"), days: 10),
            .init(tenant: .standard, collection: IndexFixture.name("unknown"), days: 1),
            .init(tenant: .standard, collection: IndexFixture.collection, days: 0),
        ])
        let upkeep = IndexUpkeep(configuration: fixture.configuration)
        // Documents are a second apart; those of "papers" are the later ones.
        let now = documents[9].document.eventTimeMilliseconds + 10 * 86_400_000
        var removed: Int64 = 0
        for _ in 0..<20 {
            removed += try upkeep.removeExpired(retention, nowMilliseconds: now, rows: 2, timeoutMilliseconds: limit)
        }
        #expect(removed == 3)
        let left = try fixture.store.recent(RecentQuery(limit: 20), timeoutMilliseconds: limit).documents.map(
            \.document.docID)
        #expect(Set(left) == Set((0..<12).filter { ![6, 7, 8].contains($0) }.map { "doc-\($0)" }))
        #expect(try count(fixture, "vectors_1") == 9)
    }

    /// Replays whose generations are pruned leave no more behind than one does.
    @Test func tenReplaysTakeNoMoreRoomThanOne() throws {
        let fixture = try IndexFixture()
        let generations = fixture.generations
        let upkeep = IndexUpkeep(configuration: fixture.configuration)
        let count = Self.isLong ? 100_000 : 5_000
        func documents(_ generation: Int64, _ text: String) -> [IndexedDocument] {
            (0..<count).map {
                IndexFixture.document(
                    $0, text: "\(text) \($0) words of a document", embedding: nil, generation: generation, model: "",
                    contentHash: "\(text)-\($0)")
            }
        }
        func write(_ documents: [IndexedDocument]) throws {
            for start in stride(from: 0, to: documents.count, by: 500) {
                _ = try fixture.writer.write(
                    Array(documents[start..<min(start + 500, documents.count)]), origin: .replay,
                    timeoutMilliseconds: limit)
            }
        }
        try write(documents(1, "first"))
        func replay(_ number: Int) throws -> Int64 {
            let child = try generations.create(parent: 1, logicVersion: "n", note: "", timeoutMilliseconds: limit)
            try write(documents(child, "replay \(number)"))
            try generations.setState(.pruned, of: child, expecting: [.created], timeoutMilliseconds: limit)
            while try upkeep.removeRetired(IndexRetention(), timeoutMilliseconds: limit) > 0 {}
            try fixture.countWords()
            // What the server counts of dead rows comes a moment later.
            try fixture.connect().script("SELECT pg_stat_force_next_flush()", timeoutMilliseconds: limit)
            for table in [
                "documents", "passages", "passage_terms_t1", "postings_t1", "words", "word_counts", "visibility",
                "uncounted_documents",
            ] {
                try fixture.connect().script("VACUUM \(table)", timeoutMilliseconds: limit)
            }
            let size = try IndexSizeReader(configuration: fixture.configuration).read(timeoutMilliseconds: limit)
            return size.tables.filter { $0.name != "index_versions" }.reduce(0) { $0 + $1.bytes }
        }
        let one = try replay(1)
        var ten = one
        for number in 2...10 { ten = try replay(number) }
        #expect(Double(ten) <= 1.3 * Double(one), "\(ten) bytes after ten, \(one) after one")
        #expect(try self.count(fixture, "documents") == count)
    }

    @Test func aTableWithManyDeadRowsIsVacuumed() throws {
        let fixture = try IndexFixture()
        let connection = try fixture.connect()
        try connection.script(
            """
            ALTER TABLE index_versions SET (autovacuum_enabled = off);
            INSERT INTO index_versions SELECT n, now() FROM generate_series(1, 20000) n;
            DELETE FROM index_versions WHERE version > 8000
            """, timeoutMilliseconds: limit)
        try connection.script("SELECT pg_stat_force_next_flush()", timeoutMilliseconds: limit)
        _ = try connection.script("SELECT 1", timeoutMilliseconds: limit)
        let upkeep = IndexUpkeep(configuration: fixture.configuration)
        #expect(try upkeep.vacuum(timeoutMilliseconds: limit) == ["index_versions"])
        _ = try connection.script("SELECT pg_stat_clear_snapshot()", timeoutMilliseconds: limit)
        #expect(try upkeep.vacuum(timeoutMilliseconds: limit) == [])
    }

    /// The plans of searches follow a young index, and one that does not grow is left alone.
    @Test func thePlannerIsToldOfTablesThatHaveGrown() throws {
        let fixture = try IndexFixture()
        let upkeep = IndexUpkeep(configuration: fixture.configuration)
        #expect(try upkeep.analyzeGrown(timeoutMilliseconds: limit) == [])
        let connection = try fixture.connect()
        try connection.script(
            """
            ALTER TABLE index_versions SET (autovacuum_enabled = off);
            INSERT INTO index_versions SELECT n, now() FROM generate_series(1, 300) n
            """, timeoutMilliseconds: limit)
        try connection.script("SELECT pg_stat_force_next_flush()", timeoutMilliseconds: limit)
        _ = try connection.script("SELECT 1", timeoutMilliseconds: limit)
        #expect(try upkeep.analyzeGrown(timeoutMilliseconds: limit) == ["index_versions"])
        #expect(try upkeep.analyzeGrown(timeoutMilliseconds: limit) == [])
    }

    /// A changed setting builds the new graph beside the old one; a build that was interrupted is done again.
    @Test func graphsFollowTheSettings() throws {
        let fixture = try IndexFixture()
        _ = try fixture.writer.write(
            (0..<30).map { IndexFixture.document($0, embedding: vector($0)) }, timeoutMilliseconds: limit)
        let upkeep = IndexUpkeep(configuration: fixture.configuration)
        #expect(try upkeep.buildGraphs(VectorGraph(), timeoutMilliseconds: limit) == [])
        let wider = VectorGraph(m: 24, efConstruction: 96)
        #expect(try upkeep.buildGraphs(wider, timeoutMilliseconds: limit) == ["vectors_1_t1_hnsw_24_96"])
        func graphs() throws -> [String] {
            try fixture.connect().script(
                "SELECT indexname FROM pg_indexes WHERE indexdef LIKE '%hnsw%' ORDER BY 1", timeoutMilliseconds: limit
            ).compactMap { $0[0] }
        }
        #expect(try graphs() == ["vectors_1_t1_hnsw_24_96"])
        #expect(try upkeep.buildGraphs(wider, timeoutMilliseconds: limit) == [])
        try fixture.connect().script(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'vectors_1_t1_hnsw_24_96'::regclass",
            timeoutMilliseconds: limit)
        #expect(try upkeep.buildGraphs(wider, timeoutMilliseconds: limit) == ["vectors_1_t1_hnsw_24_96"])
        let nearest = try fixture.store.candidates(
            for: IndexFixture.query(vector: vector(3), lexicalLimit: 0), timeoutMilliseconds: limit
        ).nearest
        #expect(nearest.first == "doc-3")
    }
}
