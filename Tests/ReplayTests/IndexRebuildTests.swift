import IndexTesting
import Indexer
import Lake
import PlatformTesting
import Postgres
import Records
import Retrieval
import Store
import Synchronization
import Telemetry
import Testing

@testable import Replay

/// An index made from the lake alone is the one that an indexer makes, also where it is interrupted again and again.
@Suite struct IndexRebuildTests {
    private static let products = TopicPartition(topic: "products", partition: 0)
    private static let more = TopicPartition(topic: "products", partition: 1)
    private static let count = 1_300

    /// An indexer that fails at its n-th transaction, before or behind it; at none where n is 0.
    private final class Interrupted: RebuildIndex {
        struct Cut: Error {}
        private let inner: DocumentIndexer
        private let left: Mutex<Int>
        private let isBehind: Bool

        init(_ inner: DocumentIndexer, at call: Int = 0, isBehind: Bool = false) {
            self.inner = inner
            left = Mutex(call)
            self.isBehind = isBehind
        }

        func index(lines: [(offset: Int64, line: [UInt8])], moving move: CheckpointMove) async throws -> Int {
            let isCut = left.withLock { left in
                left -= 1
                return left == 0
            }
            if isCut, !isBehind { throw Cut() }
            let embedded = try await inner.index(lines: lines, moving: move)
            if isCut { throw Cut() }
            return embedded
        }
    }

    /// An indexer beside which the lake grows by a record in each transaction.
    private final class Growing: RebuildIndex {
        private let inner: DocumentIndexer
        private let grow: @Sendable (Int64) throws -> Void
        private let next: Mutex<Int64>

        init(_ inner: DocumentIndexer, from next: Int64, _ grow: @escaping @Sendable (Int64) throws -> Void) {
            self.inner = inner
            self.next = Mutex(next)
            self.grow = grow
        }

        func index(lines: [(offset: Int64, line: [UInt8])], moving move: CheckpointMove) async throws -> Int {
            let embedded = try await inner.index(lines: lines, moving: move)
            try next.withLock { next in
                try grow(next)
                next += 1
            }
            return embedded
        }
    }

    private static func value(_ number: Int) -> [UInt8] {
        if number % 50 == 13 { return Array("no JSON".utf8) }
        let id = "d\(number % 400)"
        // Some are deleted, and some of these come back.
        if number % 37 == 5 { return Array(#"{"id":"\#(id)","deleted":true}"#.utf8) }
        return Array(
            #"{"id":"\#(id)","name":"Name \#(number)","text":"Text \#(number % 100)","price":\#(number)}"#.utf8)
    }

    /// Document, version and text of all that a generation shows.
    private static func shown(_ database: PostgresConfiguration, _ generation: Int64) throws -> [[String?]] {
        try PostgresConnection(database, timeoutMilliseconds: Place.limit).script(
            """
            SELECT d.doc_id, g.version, p.text, p.vector_id IS NOT NULL, g.source_offset
            FROM visibility g JOIN documents d ON d.id = g.document_id JOIN passages p ON p.document_id = d.id
            WHERE g.generation = \(generation) AND g.to_version IS NULL ORDER BY 1, 2, 3
            """, timeoutMilliseconds: Place.limit)
    }

    private func lake(_ place: Place) throws {
        let logic = try SourceReplayTests.documentLogic(title: "name")
        let values = (0..<Self.count).map(Self.value)
        try SourceReplayTests.fill(place.layout, Self.products, logic, values)
        try SourceReplayTests.fill(place.layout, Self.more, logic, values.prefix(40).map { Array($0) })
        let child = try place.steps().create(note: "") { $0.logic }
        var handovers: [TopicPartition: Int64] = [:]
        for source in [Self.products, Self.more] {
            var writer = try PartitionWriter.open(layout: place.layout, source: source)
            let next = writer.nextOffset
            handovers[source] = next
            try writer.handOver(to: child.number, at: handovers[source] ?? 0)
        }
        try place.steps().record(child.number, replayed: [:], handovers: handovers)
        try place.steps().finish(child.number)
    }

    private func rebuild(
        _ place: Place, _ database: PostgresConfiguration, _ index: (DocumentIndexer) -> any RebuildIndex
    ) async throws -> RebuildProgress {
        let documents = DocumentIndexer(configuration: database, embedder: CountingEmbedder())
        return try await IndexRebuild(
            layout: place.layout, database: database, index: index(documents), logger: Logger("rebuild", level: .error)
        ).run { _ in }
    }

    @Test func anEmptyIndexBecomesThatOfTheLake() async throws {
        let place = try Place(try Place.database())
        try lake(place)
        let whole = try Place.database()
        let progress = try await rebuild(place, whole) { Interrupted($0) }
        #expect(progress.doneOffsets == progress.wantedOffsets && progress.doneOffsets == 2 * (Int64(Self.count) + 40))
        #expect(progress.embedded == 98, "texts are embedded once")
        let store = GenerationStore(configuration: whole)
        #expect(try store.states(timeoutMilliseconds: Place.limit) == [1: .active, 2: .candidate])
        let checkpoints = try store.checkpoints(timeoutMilliseconds: Place.limit)
        #expect(checkpoints.map(\.nextOffset) == [Int64(Self.count), 40, Int64(Self.count), 40])
        let shown = try Self.shown(whole, 1)
        #expect(shown.count > 300 && shown.allSatisfy { $0[3] == "t" })
        // Searches weigh words by these, with no indexer there to count them.
        let counted = try PostgresConnection(whole, timeoutMilliseconds: Place.limit).script(
            """
            SELECT (SELECT count(*) FROM uncounted_documents), (SELECT sum(passages) FROM collection_counts WHERE generation = 1)
            """, timeoutMilliseconds: Place.limit)
        #expect(counted == [["0", "\(shown.count)"]])
        // What is replayed by the same logic is the same.
        let second = try Self.shown(whole, 2)
        #expect(
            second == shown,
            "\(second.filter { !shown.contains($0) }.prefix(3)) \(shown.filter { !second.contains($0) }.prefix(3))")

        // Interrupted wherever it can be, and begun again each time.
        let broken = try Place.database()
        for call in 1...40 {
            do {
                _ = try await rebuild(place, broken) { Interrupted($0, at: 1 + call % 2, isBehind: call % 3 == 0) }
                break
            } catch is Interrupted.Cut {}
            #expect(call < 40, "it does not get on")
        }
        #expect(try Self.shown(broken, 1) == shown && Self.shown(broken, 2) == shown)
        #expect(try GenerationStore(configuration: broken).checkpoints(timeoutMilliseconds: Place.limit) == checkpoints)
        // There is nothing more to do, and what is done again changes nothing.
        #expect(try await rebuild(place, broken) { Interrupted($0) }.documents == 0)
    }

    /// A lake that grows meanwhile is followed until a round is one transaction's work, and no further: there would be no end.
    @Test(arguments: [20, 700]) func itEndsThoughTheLakeGrows(count: Int) async throws {
        let database = try Place.database()
        let place = try Place(database)
        let logic = try SourceReplayTests.documentLogic(title: "name")
        try SourceReplayTests.fill(place.layout, Self.products, logic, (0..<count).map(Self.value))
        let layout = place.layout
        let progress = try await rebuild(place, database) { index in
            Growing(index, from: Int64(count)) { offset in
                try SourceReplayTests.fill(layout, Self.products, logic, [Self.value(1)], from: offset)
            }
        }
        // Two transactions of the first round make two offsets of a second one.
        let wanted = count > 500 ? count + 2 : count
        #expect(progress.doneOffsets == Int64(wanted) && progress.wantedOffsets == Int64(wanted))
        let checkpoints = try GenerationStore(configuration: database).checkpoints(timeoutMilliseconds: Place.limit)
        #expect(checkpoints.map(\.nextOffset) == [Int64(wanted)])
    }

    @Test func anIndexOfAnotherLakeIsLeftAlone() async throws {
        let place = try Place(try Place.database())
        try lake(place)
        let other = try Place.database()
        _ = try IndexWriter(configuration: other).write(
            [IndexFixture.document(1, embedding: nil, model: "")], timeoutMilliseconds: Place.limit)
        let error = await #expect(throws: ReplayError.self) { try await rebuild(place, other) { Interrupted($0) } }
        #expect(error?.description.contains("empty database") == true)
        #expect(
            try GenerationStore(configuration: other).states(timeoutMilliseconds: Place.limit) == [1: .active])
    }
}
