import Events
import Retrieval
import Testing
import VectorIndex

@Suite struct GenerationTests {
    private let limit = IndexFixture.limit
    private let source = IndexFixture.source

    /// A replay of offsets 10 to 19 with other content, promoted, and rolled back.
    @Test func aReplayIsACompleteGenerationAndCanBeRolledBack() throws {
        let fixture = try IndexFixture()
        let writer = fixture.writer
        let generations = fixture.generations
        let old = (0..<30).map { IndexFixture.document($0, embedding: nil, model: "") }
        _ = try writer.write(
            old, moving: [CheckpointMove(generation: 1, source: source, expected: nil, next: 30)],
            timeoutMilliseconds: limit)

        let child = try generations.create(parent: 1, logicVersion: "new", note: "test", timeoutMilliseconds: limit)
        #expect(child == 2)
        let range = try #require(OffsetRange(start: 10, end: 20))
        try expectRefusals(generations, child: child, range: range)

        // The stream job fed generation 1 only up to offset 28, both from there on.
        let handover = [source: Int64(28)]
        let copied = try generations.copyParentRows(
            child: child, parent: 1, outside: [(source, range)], handover: handover, timeoutMilliseconds: limit)
        #expect(copied == 18)
        // Half of the range changes, one document goes.
        let replayed = (10..<19).map { number in
            IndexFixture.document(
                number, text: number < 15 ? "changed \(number)" : nil, embedding: nil, generation: child, model: "",
                contentHash: number < 15 ? "new-\(number)" : nil)
        }
        _ = try writer.write(replayed, timeoutMilliseconds: limit)

        let building = #expect(throws: IndexError.self) { try generations.promote(child, timeoutMilliseconds: limit) }
        #expect(building?.kind == .generation)
        try generations.finish(generation: child, handover: handover, timeoutMilliseconds: limit)
        let behind = #expect(throws: IndexError.self) { try generations.promote(child, timeoutMilliseconds: limit) }
        #expect(behind?.kind == .generationBehind)
        let fed = (28..<30).map { IndexFixture.document($0, embedding: nil, generation: child, model: "") }
        _ = try writer.write(
            fed, moving: [CheckpointMove(generation: child, source: source, expected: 28, next: 30)],
            timeoutMilliseconds: limit)
        let difference = try generations.difference(of: child, from: 1, timeoutMilliseconds: limit)
        #expect(difference == GenerationDifference(added: 0, removed: 1, changed: 5, unchanged: 24))

        let store = fixture.store
        func found(_ text: String) throws -> (generation: Int64, count: Int) {
            let set = try store.candidates(for: IndexFixture.query(text), timeoutMilliseconds: limit)
            return (set.generation, set.best.count)
        }
        #expect(try found("changed") == (1, 0))
        let promoted = try generations.promote(child, timeoutMilliseconds: limit)
        #expect(try found("changed") == (2, 5))
        #expect(try found("title") == (2, 29))
        let status = try store.status(timeoutMilliseconds: limit)
        #expect(status.generation == 2)
        #expect(status.indexVersion == promoted)

        let list = try generations.list(timeoutMilliseconds: limit)
        #expect(list.map(\.documents) == [30, 29])
        #expect(list.map(\.isActive) == [false, true])
        #expect(list.map(\.state) == [.fed, .fed])
        #expect(list.last?.checkpoints.map(\.nextOffset) == [30])

        try generations.promote(1, timeoutMilliseconds: limit)
        #expect(try found("changed") == (1, 0))
        #expect(try found("title") == (1, 30))
        let active = #expect(throws: IndexError.self) {
            try generations.setState(.retired, of: 1, timeoutMilliseconds: limit)
        }
        #expect(active?.kind == .generation)
        try generations.setState(.retired, of: 2, timeoutMilliseconds: limit)
        let unknown = #expect(throws: IndexError.self) { try generations.promote(9, timeoutMilliseconds: limit) }
        #expect(unknown?.kind == .generation)
    }

    /// A handover that the parent has not reached, or that lacks a topic partition, copies nothing.
    private func expectRefusals(_ generations: GenerationStore, child: Int64, range: OffsetRange) throws {
        let early = #expect(throws: IndexError.self) {
            try generations.copyParentRows(
                child: child, parent: 1, outside: [(source, range)], handover: [source: 31], timeoutMilliseconds: limit)
        }
        #expect(early?.kind == .generationBehind)
        let lacking = #expect(throws: IndexError.self) {
            try generations.copyParentRows(
                child: child, parent: 1, outside: [], handover: [:], timeoutMilliseconds: limit)
        }
        #expect(lacking?.kind == .generation)
    }
}
