import IndexTesting
import Indexer
import Lake
import Postgres
import Records
import Store
import Synchronization
import Telemetry
import Testing

@testable import Replay

/// What a replay leaves unchanged is shown by statements over sets, and comes to what document by document does.
@Suite struct SharedReplayTests {
    private static let source = TopicPartition(topic: "products", partition: 0)

    /// An index that shares nothing unless it is told to, and counts.
    private final class Index: ReplayIndex {
        let documents: DocumentIndexer
        let isSharing: Bool
        let counts = Mutex((shared: 0, indexed: 0))

        init(_ documents: DocumentIndexer, isSharing: Bool) {
            self.documents = documents
            self.isSharing = isSharing
        }

        func index(
            lines: [(offset: Int64, line: [UInt8])], generation: Int64, source: TopicPartition
        ) async throws -> Int {
            counts.withLock { $0.indexed += lines.count }
            return try await documents.index(lines: lines, generation: generation, source: source)
        }

        func share(
            lines: [(offset: Int64, line: [UInt8])], generation: Int64, parent: Int64, source: TopicPartition
        ) async throws -> Set<Int64> {
            guard isSharing else { return [] }
            let shared = try await documents.share(
                lines: lines, generation: generation, parent: parent, source: source)
            counts.withLock { $0.shared += shared.count }
            return shared
        }

        func changeVectors(of generation: Int64, after key: Int64, most: Int) async throws -> VectorStep {
            try await documents.changeVectors(of: generation, after: key, most: most)
        }

        func formerVectors(of generation: Int64) async throws -> Int64 {
            try await documents.formerVectors(of: generation)
        }
    }

    private struct Scene {
        let place: Place
        let database: PostgresConfiguration
        let embedder = CountingEmbedder()
        let documents: DocumentIndexer

        init() async throws {
            database = try Place.database()
            place = try Place(database)
            let values = (0..<300).map { number in
                let id = "d\(number % 170)"
                if number % 41 == 7 { return Array(#"{"id":"\#(id)","deleted":true}"#.utf8) }
                // Of every third the new title is the former one.
                let text = "Text \(number % 60)"
                let name = number % 3 == 0 ? text : "Name \(number)"
                return Array(#"{"id":"\#(id)","name":"\#(name)","text":"\#(text)"}"#.utf8)
            }
            try SourceReplayTests.fill(
                place.layout, source, try SourceReplayTests.documentLogic(title: "name"), values)
            documents = DocumentIndexer(configuration: database, embedder: embedder)
            _ = try await IndexRebuild(
                layout: place.layout, database: database, index: documents, logger: Logger("rebuild", level: .error)
            ).run { _ in }
        }

        func replay(title: String, isSharing: Bool) async throws -> (report: ReplayReport, index: Index) {
            let index = Index(documents, isSharing: isSharing)
            let replay = Replay(
                layout: place.layout, logics: ["products": try SourceReplayTests.documentLogic(title: title)],
                database: database, index: index, monitor: ReplayMonitor(chunkRecordsMax: 37),
                logger: Logger("replay", level: .error))
            return (try await replay.run(.all), index)
        }

        @discardableResult
        func sql(_ text: String) throws -> [[String?]] {
            try place.connection.script(text, timeoutMilliseconds: Place.limit)
        }

        /// What a generation shows, but for the numbers that transactions give.
        func rows(_ generation: Int) throws -> [[String?]] {
            try sql(
                """
                SELECT d.doc_id, d.content_hash, g.version, g.source_offset, g.lineage, g.tenant, g.key_id = d.key_id
                FROM visibility g JOIN documents d ON d.id = g.document_id
                WHERE g.generation = \(generation) AND g.to_version IS NULL ORDER BY 1
                """)
        }
    }

    @Test(arguments: ["text", "name"]) func bothWaysComeToTheSame(title: String) async throws {
        let (shared, single) = (try await Scene(), try await Scene())
        let before = shared.embedder.embedded.count
        let one = try await shared.replay(title: title, isSharing: true)
        let other = try await single.replay(title: title, isSharing: false)
        let counts = one.index.counts.withLock { $0 }
        #expect(counts.shared > 20, "\(counts)")
        #expect(counts.indexed < other.index.counts.withLock { $0.indexed } - 20)
        #expect(one.report.difference == other.report.difference && one.report.embedded == other.report.embedded)
        let rows = try shared.rows(2)
        #expect(try rows == single.rows(2) && rows.count > 100)
        let logic = try #require(one.report.logics["products"])
        #expect(rows.allSatisfy { $0[6] == "t" && $0[4]?.contains(logic) == true })
        if title == "name" { #expect(shared.embedder.embedded.count == before) }
        // Whoever counts words is told of what is shown either way.
        let uncounted = "SELECT count(*) FROM uncounted_documents WHERE generation = 2 AND change = 1"
        #expect(try shared.sql(uncounted)[0][0].flatMap { Int($0) } ?? 0 >= rows.count)
    }

    /// What the parent's index does not show as the lake has it is not taken from there, nor what the child has newer or deleted.
    @Test func onlyWhatTheParentShowsIsShared() async throws {
        let scene = try await Scene()
        let child = try scene.place.steps().create(note: "") { $0.logic }
        let lines = try Self.lines(scene.place, 1)
        let shown = Set(
            try scene.sql("SELECT source_offset FROM visibility WHERE to_version IS NULL").compactMap { $0[0] })
        let all = lines.filter { shown.contains("\($0.offset)") }
        let offsets = all.map(\.offset)
        try #require(offsets.count > 20)
        let id = try all[1].line.withUnsafeBytes { try GoldLine.decode($0).docID }
        // Hidden, and of another content; one that the child has newer, and one that was deleted there.
        try scene.sql("UPDATE visibility SET to_version = from_version WHERE source_offset = \(offsets[0])")
        try scene.sql("UPDATE documents SET content_hash = content_hash || 'x' WHERE doc_id = '\(id)'")
        try scene.sql(
            """
            INSERT INTO visibility (document_id, generation, from_version, key_id, tenant, version, source_topic,
                source_partition, source_offset, shown_at, lineage)
            SELECT document_id, \(child.number), from_version, key_id, tenant, version + 1, source_topic, source_partition,
                source_offset + 1000, shown_at, lineage
            FROM visibility WHERE source_offset = \(offsets[2]) AND to_version IS NULL;
            INSERT INTO deleted_documents (generation, collection_id, doc_id, tenant, version, source_topic,
                source_partition, source_offset, deleted_at)
            SELECT \(child.number), d.collection_id, d.doc_id, d.tenant, g.version, g.source_topic, 0, 5000, now()
            FROM visibility g JOIN documents d ON d.id = g.document_id
            WHERE g.source_offset = \(offsets[3]) AND g.to_version IS NULL;
            """)
        func share(by documents: DocumentIndexer) async throws -> Set<Int64> {
            try await documents.share(lines: lines, generation: child.number, parent: 1, source: Self.source)
        }
        #expect(try await share(by: scene.documents) == Set(offsets.dropFirst(2)))
        let now = try scene.sql(
            "SELECT source_offset FROM visibility WHERE generation = \(child.number) AND to_version IS NULL"
        ).compactMap { $0[0].flatMap { Int64($0) } }
        #expect(now.sorted() == (offsets.dropFirst(4) + [offsets[2] + 1_000]).sorted())

        // Nothing is taken of another model's, nor from a parent whose rows are being removed.
        #expect(try await share(by: DocumentIndexer(configuration: scene.database, embedder: nil)) == [])
        try scene.sql("UPDATE generations SET state = 'pruned' WHERE generation = 1")
        #expect(try await share(by: scene.documents) == [])
    }

    /// The Gold lines that put documents.
    private static func lines(_ place: Place, _ generation: Int64) throws -> [(offset: Int64, line: [UInt8])] {
        var lines: [(offset: Int64, line: [UInt8])] = []
        guard let range = try place.reader.committedRange(source) else { return [] }
        try place.reader.forEachLine(.gold, generation: generation, source: source, range: range) { offset, line in
            if String(decoding: line, as: UTF8.self).contains("content_hash") { lines.append((offset, Array(line))) }
            return true
        }
        return lines
    }
}
