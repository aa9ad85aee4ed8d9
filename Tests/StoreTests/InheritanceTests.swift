import IndexTesting
import Postgres
import Records
import Store
import Testing


/// From whom a child takes nothing over.
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
}
