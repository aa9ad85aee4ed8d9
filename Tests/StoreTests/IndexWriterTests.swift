import Bytes
import IndexTesting
import Postgres
import Records
import Store
import Testing

@Suite struct IndexWriterTests {
    private let limit = IndexFixture.limit

    @Test func aRepeatAddsNothingAndVersionsGrow() throws {
        let fixture = try IndexFixture()
        var generator = SeededGenerator(seed: 1)
        let documents = (0..<20).map { IndexFixture.document($0, embedding: IndexFixture.vector(&generator)) }
        let first = try fixture.writer.write(documents, timeoutMilliseconds: limit)
        #expect(first.passagesAdded == 20)
        let second = try fixture.writer.write(documents, timeoutMilliseconds: limit)
        #expect(second.passagesAdded == 0)
        #expect(second.indexVersion > first.indexVersion)
        #expect(try fixture.store.status(timeoutMilliseconds: limit).indexVersion == second.indexVersion)
    }

    @Test func checkpointsAreComparedAndSetWithTheRows() throws {
        let fixture = try IndexFixture()
        let source = IndexFixture.source
        let gold = TopicPartition(topic: "wikimedia.gold", partition: 0)
        let writer = fixture.writer
        func move(_ expected: Int64?, _ next: Int64) -> CheckpointMove {
            CheckpointMove(generation: 1, source: source, expected: expected, next: next)
        }
        let document = IndexFixture.document(1, embedding: nil, model: "")
        _ = try writer.write(
            [document], moving: [move(nil, 10)], goldPositions: [(gold, 7)], timeoutMilliseconds: limit)
        #expect(try writer.checkpoints(timeoutMilliseconds: limit).map(\.nextOffset) == [10])
        #expect(try writer.goldPositions(timeoutMilliseconds: limit) == [gold: 7])

        for wrong in [move(nil, 20), move(9, 20)] {
            let error = #expect(throws: IndexError.self) {
                try writer.write(
                    [IndexFixture.document(2, embedding: nil, model: "")], moving: [wrong],
                    timeoutMilliseconds: limit)
            }
            #expect(error?.kind == .checkpoint)
        }
        #expect(try fixture.store.document(id: "doc-2", timeoutMilliseconds: limit).isEmpty)
        _ = try writer.write([], moving: [move(10, 20)], timeoutMilliseconds: limit)
        #expect(try writer.checkpoints(timeoutMilliseconds: limit).map(\.nextOffset) == [20])
    }

    @Test func equalTextsShareTheirVector() throws {
        let fixture = try IndexFixture()
        var generator = SeededGenerator(seed: 2)
        let vector = IndexFixture.vector(&generator)
        let writer = fixture.writer
        _ = try writer.write(
            [IndexFixture.document(1, text: "same", embedding: vector)], timeoutMilliseconds: limit)
        let inputs = ["same", "other"].map { VectorInput(tenant: .standard, hash: IndexFixture.inputHash($0)) }
        #expect(try writer.embedded(inputs, model: "test", timeoutMilliseconds: limit) == [inputs[0]])
        #expect(try writer.embedded(inputs, model: "other", timeoutMilliseconds: limit).isEmpty)
        _ = try writer.write([IndexFixture.document(2, text: "same", embedding: nil)], timeoutMilliseconds: limit)
        let found = try fixture.store.candidates(
            for: IndexFixture.query(vector: vector, lexicalLimit: 0), timeoutMilliseconds: limit)
        #expect(found.nearest == ["doc-2"], "the newest of them stands for both")
        var counted = IndexFixture.query(vector: vector, lexicalLimit: 0)
        counted.documentLimit = 5
        let hit = try fixture.store.candidates(for: counted, timeoutMilliseconds: limit).candidates.first
        #expect(hit?.docID == "doc-2" && hit?.copies == 1)
        #expect(found.candidates.allSatisfy { ($0.vector?.score ?? 0) > 0.999 })

        let gone = #expect(throws: IndexError.self) {
            try writer.write([IndexFixture.document(3, text: "never seen", embedding: nil)], timeoutMilliseconds: limit)
        }
        #expect(gone?.kind == .vectorGone)
    }

    @Test func aNewerVersionReplacesAndAnOlderOneIsIgnored() throws {
        let fixture = try IndexFixture()
        let writer = fixture.writer
        func put(_ version: Int64) throws -> Int {
            try writer.write(
                [IndexFixture.document(1, text: "v\(version)", version: version, embedding: nil, model: "")],
                timeoutMilliseconds: limit
            ).passagesAdded
        }
        #expect(try put(2) == 1)
        #expect(try put(1) == 0)
        #expect(try put(3) == 1)
        let rows = try fixture.store.document(id: "doc-1", timeoutMilliseconds: limit)
        #expect(rows.map(\.text) == ["v3"])
        #expect(rows.first?.version == 3)
    }

    /// Growth of the source topic moves keys, so a copy may come from another topic partition, past every duplicate
    /// window; it is the same document.
    @Test func acrossTopicPartitionsADocumentIsThereOnce() throws {
        let fixture = try IndexFixture()
        let first = IndexFixture.document(1, text: "grown", embedding: nil, model: "")
        var copy = first
        copy.source.partition = 7
        copy.sourceOffset = 90
        copy.document.lineage.parents[0].partition = 7
        copy.document.lineage.parents[0].offset = 90
        #expect(try fixture.writer.write([first], timeoutMilliseconds: limit).passagesAdded == 1)
        #expect(try fixture.writer.write([copy], timeoutMilliseconds: limit).passagesAdded == 0)
        // In one transaction, too.
        let second = IndexFixture.document(2, text: "grown twice", embedding: nil, model: "")
        var other = second
        other.source.partition = 7
        #expect(try fixture.writer.write([second, other], timeoutMilliseconds: limit).passagesAdded == 1)
        for id in ["doc-1", "doc-2"] {
            #expect(try fixture.store.document(id: id, timeoutMilliseconds: limit).count == 1)
        }
        let found = try fixture.store.candidates(
            for: IndexFixture.query("grown", vectorLimit: 0), timeoutMilliseconds: limit)
        #expect(found.best.sorted() == ["doc-1", "doc-2"])
    }

    @Test func hostileTextIsStored() throws {
        let fixture = try IndexFixture()
        let text = "zero\0byte 'quotes' \\ \u{202E}rtl 🧪 \u{FFFF}"
        var document = IndexFixture.document(1, text: text, embedding: nil, model: "", textHash: "t")
        document.document.attributes.set(.user, .string("va\0lue"))
        document.document.attributes.set(.domain, .string("va\0lue"))
        document.document.lineage.parents[0].eventID = "id\0"
        document.document.eventTimeMilliseconds = .min
        _ = try fixture.writer.write([document], timeoutMilliseconds: limit)
        let rows = try fixture.store.document(id: "doc-1", timeoutMilliseconds: limit)
        #expect(rows.first?.text == text.replacing("\0", with: "\u{FFFD}"))
    }
}
