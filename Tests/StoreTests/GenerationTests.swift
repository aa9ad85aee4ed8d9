import IndexTesting
import Postgres
import PostgresTesting
import Records
import Retrieval
import Store
import Testing

@Suite struct GenerationTests {
    private let limit = IndexFixture.limit
    private let source = IndexFixture.source

    /// Of one that is not served, nothing is found, which is told apart from finding nothing.
    @Test(arguments: [GenerationState.created, .candidate, .pruned, .previous, .active])
    func onlyServedGenerationsAreRead(state: GenerationState) throws {
        let fixture = try IndexFixture()
        let vector = [Float](repeating: 0, count: 383) + [1]
        _ = try fixture.writer.write(
            [IndexFixture.document(1, text: "moss", embedding: vector)], timeoutMilliseconds: limit)
        let connection = try fixture.connect()
        try connection.script(
            """
            INSERT INTO generations VALUES (7, 1, 'candidate', '', '', now());
            UPDATE generations SET model_id = 1 WHERE generation = 7;
            INSERT INTO visibility
            SELECT document_id, 7, from_version, to_version, key_id, tenant, version, source_topic, source_partition,
                source_offset, shown_at, lineage
            FROM visibility
            """, timeoutMilliseconds: limit)
        if state == .active {
            try fixture.generations.promote(7, timeoutMilliseconds: limit)
        } else {
            try connection.script(
                "UPDATE generations SET state = '\(state.rawValue)' WHERE generation = 7", timeoutMilliseconds: limit)
        }
        let isServed = state == .active || state == .previous
        let store = fixture.store
        for (number, isServed) in [(Int64(7), isServed), (8, false)] {
            let page = try store.recent(RecentQuery(limit: 5, generation: number), timeoutMilliseconds: limit)
            #expect(page.isGenerationServed == isServed && page.documents.count == (isServed ? 1 : 0))
            for vector in [nil, vector] {
                for scan in [CandidateQuery.VectorScan.automatic, .approximate, .exact] {
                    var query = IndexFixture.query("moss", vector: vector)
                    query.generation = number
                    query.vectorScan = scan
                    let found = try store.candidates(for: query, timeoutMilliseconds: limit)
                    #expect(found.isGenerationServed == isServed && found.candidates.count == (isServed ? 1 : 0))
                }
            }
        }
        #expect(try store.recent(RecentQuery(limit: 5), timeoutMilliseconds: limit).isGenerationServed)
    }

    /// The active generation's, whatever newer ones have.
    @Test func theModelOfTheIndexIsThatOfItsVectors() throws {
        let fixture = try IndexFixture()
        #expect(try fixture.generations.model(timeoutMilliseconds: limit) == nil)
        // Words alone fix no model.
        _ = try fixture.writer.write(
            [IndexFixture.document(1, text: "moss", embedding: nil, model: "")], timeoutMilliseconds: limit)
        #expect(try fixture.generations.model(timeoutMilliseconds: limit) == nil)
        let vector = [Float](repeating: 0, count: 383) + [1]
        _ = try fixture.writer.write(
            [IndexFixture.document(2, text: "fern", embedding: vector, model: "m/384/float")],
            timeoutMilliseconds: limit)
        let held = try fixture.generations.model(timeoutMilliseconds: limit)
        #expect(held?.generation == 1 && held?.model == "m/384/float")
        // Another one's are its parent's from the beginning, unless it was made for others.
        let likewise = try fixture.generations.create(
            parent: 1, logicVersion: "l", note: "", timeoutMilliseconds: limit)
        let next = try fixture.generations.create(
            parent: 1, logicVersion: "l", note: "", vectors: VectorKind(model: "m/384/int8", dimensions: 384),
            timeoutMilliseconds: limit)
        func write(_ generation: Int64, _ model: String) throws {
            _ = try fixture.writer.write(
                [IndexFixture.document(3, text: "oak", embedding: vector, generation: generation, model: model)],
                timeoutMilliseconds: limit)
        }
        for (generation, model) in [(likewise, "m/384/int8"), (next, "m/384/float")] {
            let error = #expect(throws: IndexError.self) { try write(generation, model) }
            #expect(error?.kind == .model)
        }
        try write(likewise, "m/384/float")
        try write(next, "m/384/int8")
        #expect(try fixture.generations.model(timeoutMilliseconds: limit)?.model == "m/384/float")
    }

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
        #expect(list.map(\.state) == [.previous, .active])
        #expect(list.last?.checkpoints.map(\.nextOffset) == [30])

        try generations.promote(1, timeoutMilliseconds: limit)
        #expect(try found("changed") == (1, 0))
        #expect(try found("title") == (1, 30))
        try expectRefusedStates(generations)
        let unknown = #expect(throws: IndexError.self) { try generations.promote(9, timeoutMilliseconds: limit) }
        #expect(unknown?.kind == .generation)
    }

    /// A child lacks what its parent lacks, but for what was replayed; what a pruned one lacked is listed where it is asked for.
    @Test func refusedDocumentsFollowTheirGenerations() throws {
        let fixture = try IndexFixture()
        let other = TopicPartition(topic: source.topic, partition: 1)
        func refused(_ source: TopicPartition, _ offset: Int64) -> RefusedDocument {
            RefusedDocument(
                generation: 1, source: source, sourceOffset: offset, docID: "d", code: "54000", reason: "too long",
                line: Array("line \(offset)".utf8))
        }
        let documents = [0, 9, 10, 19, 20, 27, 28].map { refused(source, $0) } + [refused(other, 15)]
        _ = try fixture.writer.write(
            [],
            moving: [
                CheckpointMove(generation: 1, source: source, expected: nil, next: 30),
                CheckpointMove(generation: 1, source: other, expected: nil, next: 20),
            ], refused: documents, timeoutMilliseconds: limit)
        let generations = fixture.generations
        let child = try generations.create(parent: 1, logicVersion: "new", note: "test", timeoutMilliseconds: limit)
        let range = try #require(OffsetRange(start: 10, end: 20))
        // A repeat does no harm.
        for _ in 0..<2 {
            let copied = try generations.copyParentRows(
                child: child, parent: 1, outside: [(source, range)], handover: [source: 28, other: 20],
                timeoutMilliseconds: limit)
            #expect(copied == 0)
        }
        func listed(_ generation: Int64?) throws -> [RefusedDocument] {
            var query = RefusedDocumentQuery()
            query.generation = generation
            query.withLines = true
            var found: [RefusedDocument] = []
            try RefusedDocumentStore(configuration: fixture.configuration).forEach(
                query, timeoutMilliseconds: limit
            ) { found.append($0.document) }
            return found
        }
        var expected = [0, 9, 20, 27].map { refused(source, $0) } + [refused(other, 15)]
        for index in expected.indices { expected[index].generation = child }
        #expect(try listed(child) == expected)
        #expect(try listed(nil) == documents + expected)
        try generations.setState(.pruned, of: child, expecting: [.created], timeoutMilliseconds: limit)
        #expect(try listed(nil) == documents)
        #expect(try listed(child) == expected)
    }

    /// Generation 1 is active, 2 was; at the end 2 is pruned.
    private func expectRefusedStates(_ generations: GenerationStore) throws {
        #expect(try generations.states(timeoutMilliseconds: limit) == [1: .active, 2: .previous])
        // The active one is neither pruned nor made active by this, whatever is expected.
        for next in [GenerationState.pruned, .previous, .active] {
            let active = #expect(throws: IndexError.self) {
                try generations.setState(
                    next, of: 1, expecting: GenerationState.allCases, timeoutMilliseconds: limit)
            }
            #expect(active?.kind == .generation)
        }
        let other = #expect(throws: IndexError.self) {
            try generations.setState(.pruned, of: 2, expecting: [.created], timeoutMilliseconds: limit)
        }
        #expect(other?.description.contains("generation 2 is previous in the index, not created") == true)
        try generations.setState(.pruned, of: 2, expecting: [.created, .previous], timeoutMilliseconds: limit)
        let pruned = #expect(throws: IndexError.self) { try generations.promote(2, timeoutMilliseconds: limit) }
        #expect(pruned?.kind == .generation)
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

    /// What was pruned while its replay ran does not come back, and nothing of the step is left.
    @Test func aPrunedGenerationIsNotFinished() throws {
        let fixture = try IndexFixture()
        let generations = fixture.generations
        let child = try generations.create(parent: 1, logicVersion: "new", note: "test", timeoutMilliseconds: limit)
        try generations.setState(.pruned, of: child, expecting: [.created], timeoutMilliseconds: limit)
        let error = #expect(throws: IndexError.self) {
            try generations.finish(generation: child, handover: [source: 5], timeoutMilliseconds: limit)
        }
        #expect(error?.kind == .generation)
        #expect(try generations.states(timeoutMilliseconds: limit) == [1: .active, child: .pruned])
        #expect(try fixture.writer.checkpoints(timeoutMilliseconds: limit) == [])
    }

    /// A database that knew `building`, `fed` and `retired` says the same in the words of the lake's list.
    @Test func theWordsOfBeforeAreTranslated() throws {
        let connection = try SharedPostgres.connect()
        let before = Migration.all.filter { $0.name < "V0005" }
        try Migrator(connection: connection).migrate(before)
        try connection.script(
            """
            INSERT INTO generations VALUES (2, 1, 'fed', 'b', '', now()), (3, 2, 'retired', 'c', '', now()),
                (4, 2, 'fed', 'd', '', now()), (5, 2, 'building', 'e', '', now());
            UPDATE active_generation SET generation = 2
            """, timeoutMilliseconds: limit)
        try Migrator(connection: connection).migrate()
        let rows = try connection.script(
            "SELECT state FROM generations ORDER BY generation", timeoutMilliseconds: limit)
        #expect(rows.map { $0[0] } == ["previous", "active", "pruned", "candidate", "created"])
        let second = #expect(throws: PostgresError.self) {
            try connection.script("UPDATE generations SET state = 'active'", timeoutMilliseconds: limit)
        }
        #expect(second?.sqlState == "23505")
    }
}
