import Derivation
import Files
import Lake
import Logic
import PlatformTesting
import Postgres
import PostgresTesting
import Records
import Store
import Synchronization
import Telemetry
import Testing

@testable import Replay

/// Of several sources one is replayed; the child stores the logic of all, and has the others' lines from its parent.
@Suite struct SourceReplayTests {
    private static let changes = TopicPartition(topic: "changes", partition: 0)
    private static let products = TopicPartition(topic: "products", partition: 0)
    private static let time: Int64 = 1_798_761_600_000
    private static let documents = (0..<20).map {
        $0 == 13 ? "no JSON" : #"{"id":"d\#($0 % 7)","name":"Name \#($0)","text":"Text \#($0)","price":\#($0)}"#
    }

    private final class Index: ReplayIndex {
        let lines = Mutex<[String]>([])

        func index(
            lines: [(offset: Int64, line: [UInt8])], generation: Int64, source: TopicPartition
        ) async throws -> Int {
            self.lines.withLock { $0 += lines.map { String(decoding: $0.line, as: UTF8.self) } }
            return lines.count
        }

        func share(
            lines: [(offset: Int64, line: [UInt8])], generation: Int64, parent: Int64, source: TopicPartition
        ) async throws -> Set<Int64> { [] }
        func changeVectors(of generation: Int64, after key: Int64, most: Int) async throws -> VectorStep {
            VectorStep()
        }
        func formerVectors(of generation: Int64) async throws -> Int64 { 0 }
    }

    static func documentLogic(title: String) throws -> TopicLogic {
        func path(_ text: String) throws -> FieldPath { try #require(FieldPath(text)) }
        let settings = DocumentSettings(
            mapping: DocumentMapping(
                id: try path("id"), title: try path(title), texts: [try path("text")], deleted: try path("deleted")))
        return try TopicLogic(.document(settings), tenant: .standard, collection: "shop")
    }

    private static func changeLogic() throws -> TopicLogic {
        let settings = TransformSettings(template: try TextTemplate(TextTemplate.standard))
        return try TopicLogic(.recentChange(settings), tenant: .standard, collection: "changes")
    }

    /// Commits records as a stream job does.
    static func fill(
        _ layout: LakeLayout, _ source: TopicPartition, _ logic: TopicLogic, _ values: [[UInt8]], from start: Int64 = 0,
        time: Int64 = time
    ) throws {
        let generation = try GenerationLog(layout: layout).adopt(source.topic, logic)
        var processor = try RecordProcessor(source: source, writesBronze: true)
        try processor.add(generation)
        var writer = try PartitionWriter.open(layout: layout, source: source)
        if start == 0 { try writer.handOver(to: generation.number, at: 0) }
        for (offset, value) in values.enumerated() {
            try value.withUnsafeBytes { bytes in
                _ = try processor.process(
                    SourceRecord(
                        topic: source.topic, partition: source.partition, offset: start + Int64(offset),
                        timestampMilliseconds: time, key: nil, value: bytes))
            }
        }
        let range = try #require(OffsetRange(start: start, end: start + Int64(values.count)))
        try writer.commit(processor.batch(range, hour: writer.hour(for: time), brokerTimeMax: time))
    }

    private static func lines(_ layout: LakeLayout, _ source: TopicPartition, _ generation: Int64) throws -> [String] {
        let reader = LakeReader(layout: layout)
        let range = try #require(try reader.committedRange(source))
        var lines: [String] = []
        for layer in Layer.derived {
            try reader.forEachLine(layer, generation: generation, source: source, range: range) { _, line in
                lines.append("\(layer) " + String(decoding: line, as: UTF8.self))
                return true
            }
        }
        return lines
    }

    @Test func oneSourceIsReplayed() async throws {
        let database = try Place.database()
        let place = try Place(database)
        let layout = place.layout
        let events = try File.contents(of: PackageRoot.path + "/schemas/examples/events.jsonl").split(separator: 0x0A)
        let documents = Self.documents.map { Array($0.utf8) }
        try Self.fill(layout, Self.changes, try Self.changeLogic(), events.map { Array($0) })
        try Self.fill(layout, Self.products, try Self.documentLogic(title: "name"), documents)
        for (source, end) in [(Self.changes, events.count), (Self.products, documents.count)] {
            _ = try place.connection.script(
                """
                INSERT INTO index_checkpoints (generation, topic, partition, next_offset, updated_at)
                VALUES (1, '\(source.topic)', 0, \(end), now())
                """, timeoutMilliseconds: Place.limit)
        }
        let wanted = try Self.documentLogic(title: "text")
        let trial = try await Replay.dryRun(layout: layout, logics: ["products": wanted], scope: .all)
        #expect(trial.difference.changed == 19 && trial.difference.unchanged == 0)
        let index = Index()
        let replay = Replay(
            layout: layout, logics: ["products": wanted, "not there yet": wanted], database: database, index: index,
            logger: Logger("replay", level: .error))
        let report = try await replay.run(.all)

        #expect(report.difference == trial.difference)
        #expect(Array(report.ranges.keys) == [Self.products])
        #expect(report.logics == ["products": wanted.logicVersion])
        let generations = try place.log.read()
        let (parent, child) = (try #require(generations.first), try #require(generations.last))
        #expect(child.state == .candidate && Array(child.replayed.keys) == [Self.products])
        #expect(child.handovers.keys.sorted() == [Self.changes, Self.products])
        let changeLogic = try Self.changeLogic()
        #expect(child.logic == .byTopic(["changes": changeLogic, "products": wanted]))
        #expect(parent.logic.logic(of: "products") != wanted)
        #expect(try place.store.logicVersions(timeoutMilliseconds: Place.limit)[2] == child.logicVersion)

        // The other source's lines are the parent's; those of this one are what a stream job makes by the same logic.
        #expect(try Self.lines(layout, Self.changes, 2) == Self.lines(layout, Self.changes, 1))
        let live = LakeLayout(root: place.folder.file("live"))
        try Self.fill(live, Self.products, wanted, documents)
        let made = try Self.lines(layout, Self.products, 2)
        #expect(try made == Self.lines(live, Self.products, 1))
        #expect(index.lines.withLock { $0 }.map { "gold " + $0 } == made.filter { $0.hasPrefix("gold ") })
        #expect(try place.steps().differences() == [])

        // A topic keeps its kind of logic.
        await #expect(throws: ReplayError.self) {
            try await Replay.dryRun(layout: layout, logics: ["products": try Self.changeLogic()], scope: .all)
        }
    }

    /// A source that came after the database noted a generation's logic makes no other generation of it.
    @Test func aSourceAddedLaterIsNoOtherLake() throws {
        let place = try Place(try Place.database())
        _ = try place.log.adopt("changes", try Self.changeLogic())
        let child = try place.steps().create(note: "") { $0.logic }
        try place.steps().finish(child.number)
        _ = try place.log.adopt("products", try Self.documentLogic(title: "name"))
        // A promotion that was cut after the database's step.
        _ = try place.store.promote(child.number, timeoutMilliseconds: Place.limit)
        #expect(try place.steps().heal() == [])
        #expect(try place.log.active()?.number == child.number)
        #expect(try place.log.active()?.logic.topics.count == 2)
    }
}
