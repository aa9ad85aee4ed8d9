import IndexTesting
import Indexer
import Lake
import Logic
import PlatformTesting
import Postgres
import Records
import Store
import Telemetry
import Testing

@testable import Replay

/// A source that begins anew, in an index that is made from the lake, and in one that a replay makes.
@Suite struct TruncationReplayTests {
    private static let first = TopicPartition(topic: "products", partition: 0)
    private static let second = TopicPartition(topic: "products", partition: 1)

    private struct Index: ReplayIndex, RebuildIndex {
        let documents: DocumentIndexer

        func index(
            lines: [(offset: Int64, line: [UInt8])], generation: Int64, source: TopicPartition
        ) async throws -> Int {
            try await documents.index(lines: lines, generation: generation, source: source)
        }

        func share(
            lines: [(offset: Int64, line: [UInt8])], generation: Int64, parent: Int64, source: TopicPartition
        ) async throws -> Set<Int64> {
            try await documents.share(lines: lines, generation: generation, parent: parent, source: source)
        }

        func index(lines: [(offset: Int64, line: [UInt8])], moving move: CheckpointMove) async throws -> Int {
            try await documents.index(lines: lines, moving: move)
        }

        func changeVectors(of generation: Int64, after key: Int64, most: Int) async throws -> VectorStep {
            try await documents.changeVectors(of: generation, after: key, most: most)
        }

        func formerVectors(of generation: Int64) async throws -> Int64 {
            try await documents.formerVectors(of: generation)
        }
    }

    private func logic(title: String, truncated: String? = "emptied") throws -> TopicLogic {
        func path(_ text: String) throws -> FieldPath { try #require(FieldPath(text)) }
        let settings = DocumentSettings(
            mapping: DocumentMapping(
                id: try path("id"), version: try path("v"), title: try path(title), texts: [try path("text")],
                deleted: try path("deleted"), truncated: try truncated.map(path)))
        return try TopicLogic(.document(settings), tenant: .standard, collection: "shop")
    }

    private static func put(_ id: String, _ version: Int) -> [UInt8] {
        Array(#"{"id":"\#(id)","v":\#(version),"name":"Name","text":"Text \#(id) \#(version)"}"#.utf8)
    }

    /// Offsets 0 to 9 the old snapshot, 10 the truncation, 11 to 14 the new one, 15 and 16 copies of what is gone.
    private static let values =
        (0..<10).map { put("old\($0)", 1 + $0) } + [Array(#"{"v":20,"emptied":true}"#.utf8)]
        + (0..<4).map { put("new\($0)", 20 + $0) } + [put("old3", 4), put("late", 19)]
    private static let others = [put("old3", 4), put("elsewhere", 5), put("elsewhere2", 25)]
    private static let wanted = ["elsewhere2 25", "new0 20", "new1 21", "new2 22", "new3 23"]

    private func shown(_ place: Place, _ generation: Int64) throws -> [String] {
        try place.connection.script(
            """
            SELECT d.doc_id || ' ' || g.version FROM visibility g JOIN documents d ON d.id = g.document_id
            WHERE g.generation = \(generation) AND g.to_version IS NULL ORDER BY 1
            """, timeoutMilliseconds: Place.limit
        ).compactMap { $0[0] }
    }

    private func replay(
        _ place: Place, _ database: PostgresConfiguration, _ logic: TopicLogic, _ scope: ReplayScope
    ) async throws -> ReplayReport {
        try await Replay(
            layout: place.layout, logics: ["products": logic], database: database,
            index: Index(documents: DocumentIndexer(configuration: database, embedder: CountingEmbedder())),
            logger: Logger("replay", level: .error)
        ).run(scope)
    }

    @Test func aRebuildAndReplaysShowTheNewSnapshot() async throws {
        let database = try Place.database()
        let place = try Place(database)
        let logic = try logic(title: "name")
        try SourceReplayTests.fill(place.layout, Self.first, logic, Self.values)
        try SourceReplayTests.fill(place.layout, Self.second, logic, Self.others)
        let documents = DocumentIndexer(configuration: database, embedder: CountingEmbedder())
        let progress = try await IndexRebuild(
            layout: place.layout, database: database, index: Index(documents: documents),
            logger: Logger("rebuild", level: .error)
        ).run { _ in }
        #expect(progress.documents == Self.values.count + Self.others.count)
        #expect(try shown(place, 1) == Self.wanted)

        // All of it by another mapping: a truncation says the same by both.
        let report = try await replay(place, database, try self.logic(title: "text"), .all)
        #expect(report.difference.changed == Self.values.count + Self.others.count - 1)
        #expect(report.difference.unchanged == 1)
        #expect(try shown(place, 2) == Self.wanted)
        #expect(try place.steps().differences() == [])

        // Only what stands behind the truncation, or before it: the parent's counts for the child.
        for (child, range) in [(3, 11..<17), (4, 2..<8)] as [(Int64, Range<Int64>)] {
            let offsets = try #require(OffsetRange(start: range.lowerBound, end: range.upperBound))
            _ = try await replay(place, database, try self.logic(title: "text"), .offsets(Self.first, offsets))
            #expect(try shown(place, child) == Self.wanted, "\(range)")
        }
        // Logic that knows of no truncation takes it back: the record is refused, and what was below it is shown.
        let offsets = try #require(OffsetRange(start: 0, end: 17))
        let ignorant = try self.logic(title: "name", truncated: nil)
        _ = try await replay(place, database, ignorant, .offsets(Self.first, offsets))
        let back = (0..<10).map { "old\($0) \(1 + $0)" } + ["late 19"]
        #expect(try shown(place, 5) == (back + Self.wanted).sorted())
        var findings: [String] = []
        _ = try LakeVerifier(layout: place.layout) { findings.append("\($0.place): \($0.problem)") }.run()
        #expect(findings == [])
    }
}
