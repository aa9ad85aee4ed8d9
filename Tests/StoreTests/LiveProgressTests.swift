import Glibc
import IndexTesting
import Indexer
import Postgres
import PostgresTesting
import Records
import Retrieval
import Store
import Testing

/// What makes an index newer: the indexer's transactions for the active generation, and nothing else.
@Suite struct LiveProgressTests {
    private let limit = IndexFixture.limit
    private let source = IndexFixture.source

    private func indexedAt(_ fixture: IndexFixture) throws -> Int64? {
        // Times are compared: the next transaction has another millisecond.
        usleep(3_000)
        let status = try fixture.store.status(timeoutMilliseconds: limit)
        let store = ProgressStore(configuration: fixture.configuration)
        let progress = try store.progress(topic: source.topic, timeoutMilliseconds: limit)
        #expect(progress.indexedAtMilliseconds == status.indexedAtMilliseconds)
        #expect(progress.indexVersion == status.indexVersion && progress.generation == status.generation)
        return status.indexedAtMilliseconds
    }

    private func move(_ expected: Int64?, _ next: Int64, generation: Int64 = 1) -> CheckpointMove {
        CheckpointMove(generation: generation, source: source, expected: expected, next: next)
    }

    private func document(_ number: Int, generation: Int64) -> IndexedDocument {
        IndexFixture.document(number, embedding: nil, generation: generation, model: "")
    }

    @Test func aReplayBesideAStoppedIndexerMakesNothingNewer() async throws {
        let fixture = try IndexFixture()
        #expect(try indexedAt(fixture) == nil)
        _ = try fixture.writer.write([document(0, generation: 1)], moving: [move(nil, 1)], timeoutMilliseconds: limit)
        let live = try #require(try indexedAt(fixture))
        let child = try fixture.generations.create(parent: 1, logicVersion: "x", note: "", timeoutMilliseconds: limit)
        let replay = DocumentIndexer(configuration: fixture.configuration, embedder: nil)
        for number in 0..<3 {
            let one = document(number, generation: child)
            let outcome = try await replay.index([
                PendingDocument(
                    generation: child, source: source, sourceOffset: Int64(number), document: one.document)
            ])
            #expect(outcome.passagesAdded == 1)
        }
        // Even one that writes the active generation, as nothing should.
        _ = try fixture.writer.write([document(9, generation: 1)], origin: .replay, timeoutMilliseconds: limit)
        #expect(try indexedAt(fixture) == live)
        #expect(
            try fixture.store.status(timeoutMilliseconds: limit).indexVersion == 5, "they are versions all the same")
        let origins = try fixture.connect().script(
            "SELECT origin FROM index_versions ORDER BY version", timeoutMilliseconds: limit)
        #expect(origins == [["live"], ["replay"], ["replay"], ["replay"], ["replay"]])
    }

    @Test func onlyWhatTheActiveGenerationSeesCounts() throws {
        let fixture = try IndexFixture()
        let writer = fixture.writer
        _ = try writer.write([document(0, generation: 1)], moving: [move(nil, 1)], timeoutMilliseconds: limit)
        let first = try #require(try indexedAt(fixture))
        let child = try fixture.generations.create(parent: 1, logicVersion: "x", note: "", timeoutMilliseconds: limit)
        _ = try writer.write(
            [document(1, generation: child)], moving: [move(nil, 2, generation: child)], timeoutMilliseconds: limit)
        #expect(try indexedAt(fixture) == first, "a candidate is served to nobody")
        // A commit without a document moves only the checkpoint: all the same the index has what there is.
        _ = try writer.write([], moving: [move(1, 2)], timeoutMilliseconds: limit)
        let second = try #require(try indexedAt(fixture))
        #expect(second > first)
        // What was kept aside is progress, too.
        let refused = RefusedDocument(
            generation: 1, source: source, sourceOffset: 3, docID: "d", code: "x", reason: "", line: nil)
        _ = try writer.write([], refused: [refused], timeoutMilliseconds: limit)
        #expect(try #require(try indexedAt(fixture)) > second)
    }

    @Test func aPromotionIsAsNewAsTheNewerOfBoth() throws {
        let fixture = try IndexFixture()
        let (writer, generations) = (fixture.writer, fixture.generations)
        _ = try writer.write([], moving: [move(nil, 10)], timeoutMilliseconds: limit)
        let old = try #require(try indexedAt(fixture))
        let child = try generations.create(parent: 1, logicVersion: "x", note: "", timeoutMilliseconds: limit)
        try generations.finish(generation: child, handover: [source: 10], timeoutMilliseconds: limit)
        // Nothing live has come for it: it holds what the former one holds, which is as old as before.
        try generations.promote(child, timeoutMilliseconds: limit)
        #expect(try indexedAt(fixture) == old)
        _ = try writer.write([], moving: [move(10, 20, generation: child)], timeoutMilliseconds: limit)
        let newer = try #require(try indexedAt(fixture))
        #expect(newer > old)
        // The rollback is refused while the other is behind, and is no news once it is not.
        _ = try writer.write([], moving: [move(10, 20)], timeoutMilliseconds: limit)
        try generations.promote(1, timeoutMilliseconds: limit)
        let back = try #require(try indexedAt(fixture))
        #expect(back > newer)
        try generations.promote(child, timeoutMilliseconds: limit)
        #expect(try indexedAt(fixture) == back)
    }

    /// A database from before origins were told: its checkpoints say when the indexer last worked, whatever came after.
    @Test func olderRowsAreTakenOver() throws {
        let configuration = PostgresConfiguration(dsn: try SharedPostgres.freshDatabase())
        let connection = try PostgresConnection(configuration, timeoutMilliseconds: limit)
        try Migrator(connection: connection).migrate(Migration.all.filter { $0.name < "V0006" })
        try connection.script(
            """
            SELECT medallion_begin_index_transaction();
            SELECT medallion_move_checkpoint(1, 'wikimedia.recentchange', 0, NULL, 7);
            SELECT medallion_move_checkpoint(1, 'wikimedia.recentchange', 1, NULL, 7);
            UPDATE index_checkpoints SET updated_at = '2026-11-21T10:00:00Z' WHERE partition = 0;
            UPDATE index_checkpoints SET updated_at = '2026-11-21T09:00:00Z' WHERE partition = 1;
            SELECT medallion_begin_index_transaction()
            """, timeoutMilliseconds: limit)
        #expect(try Migrator(connection: connection).migrate().contains("V0006__mark_live_transactions"))
        let store = SearchStore(configuration: configuration)
        let status = try store.status(timeoutMilliseconds: limit)
        #expect(status.indexVersion == 2 && status.indexedAtMilliseconds == 1_795_255_200_000)
        let origins = try connection.script("SELECT DISTINCT origin FROM index_versions", timeoutMilliseconds: limit)
        #expect(origins == [["unknown"]])
        // A program that runs on from before goes on to work.
        try connection.script("SELECT medallion_begin_index_transaction()", timeoutMilliseconds: limit)
        #expect(try store.status(timeoutMilliseconds: limit).indexVersion == 3)
    }
}
