import IndexTesting
import Postgres
import Records
import Testing

@testable import Store

/// What a child takes over of what its parent was told to delete, in which steps, and from whom it takes nothing.
@Suite struct InheritanceTests {
    private let limit = IndexFixture.limit
    private let source = IndexFixture.source

    private func document(_ number: Int, version: Int64, generation: Int64 = 1) -> IndexedDocument {
        IndexFixture.document(number, version: version, embedding: nil, generation: generation, model: "")
    }

    private func shown(_ fixture: IndexFixture, _ generation: Int64) throws -> [String] {
        try fixture.connect().script(
            """
            SELECT d.doc_id FROM visibility g JOIN documents d ON d.id = g.document_id
            WHERE g.generation = \(generation) AND g.to_version IS NULL ORDER BY 1
            """, timeoutMilliseconds: limit
        ).compactMap { $0[0] }
    }

    private func child(_ fixture: IndexFixture, of parent: Int64 = 1) throws -> Int64 {
        try fixture.generations.create(parent: parent, logicVersion: "n", note: "", timeoutMilliseconds: limit)
    }

    /// Upkeep removes a pruned generation's rows, so a child of one would lack some without a word.
    @Test func nothingIsTakenOverFromAPrunedParent() throws {
        let fixture = try IndexFixture()
        let parent = try child(fixture)
        _ = try fixture.writer.write(
            (0..<5).map { document($0, version: 1, generation: parent) },
            moving: [CheckpointMove(generation: parent, source: source, expected: nil, next: 5)],
            timeoutMilliseconds: limit)
        let child = try child(fixture, of: parent)
        try fixture.generations.setState(.pruned, of: parent, expecting: [.created], timeoutMilliseconds: limit)
        // Also where nothing is left to be copied: that is when all of it has gone already.
        for _ in 0..<2 {
            let error = #expect(throws: IndexError.self) {
                try fixture.generations.copyParentRows(
                    child: child, parent: parent, outside: [], handover: [source: 5], timeoutMilliseconds: limit)
            }
            #expect(error?.kind == .generation && error?.message.contains("generation \(parent) is pruned") == true)
            #expect(try shown(fixture, child) == [])
            let upkeep = IndexUpkeep(configuration: fixture.configuration)
            _ = try upkeep.removeRetired(IndexRetention(), timeoutMilliseconds: limit)
        }
    }

    /// Documents of the versions 1 to 3, a floor of 3, a document of version 4, a floor of 10, and a document of version 10.
    private func truncatedTwice() throws -> IndexFixture {
        let fixture = try IndexFixture()
        for (offset, version) in [1, 2, 3, 3, 4, 10, 10].enumerated() {
            var step = document(offset, version: Int64(version))
            if offset == 3 || offset == 5 {
                step.document.operation = .deleteBelow
                (step.document.docID, step.passages) = ("", [])
            }
            _ = try fixture.writer.write([step], timeoutMilliseconds: limit)
        }
        let move = CheckpointMove(generation: 1, source: source, expected: nil, next: 7)
        _ = try fixture.writer.write([], moving: [move], timeoutMilliseconds: limit)
        #expect(try shown(fixture, 1) == ["doc-6"])
        return fixture
    }

    private func copy(_ fixture: IndexFixture, to child: Int64, outside range: Range<Int64>) throws {
        let offsets = try #require(OffsetRange(start: range.lowerBound, end: range.upperBound))
        // A repeat does no harm.
        for _ in 0..<2 {
            _ = try fixture.generations.copyParentRows(
                child: child, parent: 1, outside: [(source, offsets)], handover: [source: 7], timeoutMilliseconds: limit
            )
        }
    }

    /// A child whose own logic makes no floor of a record shows what its parent showed before, down to the floors of other records.
    @Test(arguments: [
        (Int64(5)..<6, ["doc-2", "doc-4", "doc-6"], [3]), (3..<4, ["doc-6"], [10]), (6..<7, [], [3, 10]),
        (3..<6, ["doc-0", "doc-1", "doc-2", "doc-6"], []),
    ])
    func aFloorIsItsRecords(range: Range<Int64>, wanted: [String], floors: [Int64]) throws {
        let fixture = try truncatedTwice()
        let child = try child(fixture)
        try copy(fixture, to: child, outside: range)
        #expect(try shown(fixture, child) == wanted)
        let rows = try fixture.connect().script(
            "SELECT version FROM version_floors WHERE generation = \(child) ORDER BY 1", timeoutMilliseconds: limit)
        #expect(rows.compactMap { $0[0].flatMap { Int64($0) } } == floors)
        // Those that it has hold for what comes late.
        _ = try fixture.writer.write(
            [document(20, version: 2, generation: child), document(21, version: 9, generation: child)],
            timeoutMilliseconds: limit)
        let late = [("doc-20", Int64(2)), ("doc-21", 9)].filter { $0.1 >= floors.max() ?? 0 }.map(\.0)
        #expect(try shown(fixture, child) == (wanted + late).sorted())
    }

    /// Nobody knows which record it came from, so no replay takes it back.
    @Test func aFloorFromBeforePlacesWereKeptHolds() throws {
        let fixture = try truncatedTwice()
        try fixture.connect().script(
            "UPDATE version_floors SET source_partition = -1, source_offset = -1", timeoutMilliseconds: limit)
        let child = try child(fixture)
        try copy(fixture, to: child, outside: 3..<6)
        #expect(try shown(fixture, child) == ["doc-6"])
    }

    /// Deletions are taken over, and what they hide is hidden, in transactions of bounded size: the indexer waits for each.
    @Test func deletionsAreTakenOverInSteps() throws {
        let fixture = try IndexFixture()
        let child = try child(fixture)
        let count = InheritDocuments.keysMax * 5 / 2
        let connection = try fixture.connect()
        try connection.script(
            """
            INSERT INTO collections (tenant, name) VALUES ('default', 'c');
            INSERT INTO documents (id, key_id, tenant, collection_id, doc_id, content_hash, model_id, text_hash, title, url, lang,
                event_time, attributes, quality_flags)
            SELECT n, n, 'default', c.id, 'doc-' || n, 'c', 0, '', '', '', 'en', now(), '{}', '[]'
            FROM generate_series(1, \(count)) n, collections c;
            INSERT INTO visibility (document_id, generation, from_version, key_id, tenant, version, source_topic,
                source_partition, source_offset, shown_at, lineage)
            SELECT d.id, \(child), 1, d.id, 'default', 1, '\(source.topic)', 0, d.id, now(), '{}' FROM documents d;
            INSERT INTO deleted_documents (generation, collection_id, doc_id, tenant, version, source_topic, source_partition,
                source_offset, deleted_at)
            SELECT 1, d.collection_id, d.doc_id, d.tenant, 1, '\(source.topic)', 0, 100000 + d.id, now() FROM documents d
            """, timeoutMilliseconds: limit)
        let move = CheckpointMove(generation: 1, source: source, expected: nil, next: 200_000)
        _ = try fixture.writer.write([], moving: [move], timeoutMilliseconds: limit)
        let copied = try fixture.generations.copyParentRows(
            child: child, parent: 1, outside: [], handover: [source: 200_000], timeoutMilliseconds: limit)
        #expect(copied == 0)
        #expect(try shown(fixture, child) == [])
        let steps = try connection.script(
            """
            SELECT sum(n), max(n) FROM (
                SELECT count(*) AS n FROM deleted_documents WHERE generation = \(child) GROUP BY xmin::text) a
            UNION ALL
            SELECT sum(n), max(n) FROM (
                SELECT count(*) AS n FROM visibility WHERE generation = \(child) GROUP BY to_version) a
            """, timeoutMilliseconds: limit)
        #expect(steps == Array(repeating: ["\(count)", "\(InheritDocuments.keysMax)"], count: 2))
    }
}
