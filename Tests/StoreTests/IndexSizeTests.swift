import Bytes
import IndexTesting
import Store
import Testing

/// What the index takes.
@Suite(.serialized) struct IndexSizeTests {
    @Test func tablesAreToldWithTheirIndexes() throws {
        let fixture = try IndexFixture()
        let reader = IndexSizeReader(configuration: fixture.configuration)
        let before = try reader.read(timeoutMilliseconds: IndexFixture.limit)
        let names = before.tables.map(\.name)
        #expect(Set(names).isSuperset(of: ["passages", "visibility", "index_checkpoints", "api_keys"]))
        #expect(Set(names).count == names.count)
        #expect(before.tables.map(\.bytes) == before.tables.map(\.bytes).sorted(by: >))
        #expect(before.databaseBytes > before.tables.reduce(0) { $0 + $1.bytes })
        var generator = SeededGenerator(seed: 12)
        let documents = (0..<200).map { number in
            IndexFixture.document(number, embedding: IndexFixture.vector(&generator))
        }
        _ = try fixture.writer.write(documents, moving: [], goldPositions: [], timeoutMilliseconds: IndexFixture.limit)
        let after = try reader.read(timeoutMilliseconds: IndexFixture.limit)
        func vectors(_ size: IndexSize) -> Int64 {
            size.tables.filter { $0.name.hasPrefix("vectors_") }.reduce(0) { $0 + $1.bytes }
        }
        #expect(vectors(after) > vectors(before) + 100_000, "200 vectors of 384 numbers, and their indexes")
    }
}
