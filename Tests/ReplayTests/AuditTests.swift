import Audit
import IndexTesting
import Indexer
import Lake
import Postgres
import Records
import Retrieval
import Store
import Synchronization
import Telemetry
import Testing

@testable import Replay

extension DocumentIndexer: AuditIndex, RebuildIndex {}

/// What somebody did to the index by hand is found, and put right while others search.
@Suite struct AuditTests {
    private static let source = TopicPartition(topic: "products", partition: 0)
    private static let count = 700

    private struct Scene {
        let place: Place
        let database: PostgresConfiguration
        let documents: DocumentIndexer
        let connection: PostgresConnection

        init() async throws {
            database = try Place.database()
            place = try Place(database)
            let logic = try SourceReplayTests.documentLogic(title: "name")
            try SourceReplayTests.fill(place.layout, source, logic, (0..<count).map(AuditTests.value))
            documents = DocumentIndexer(configuration: database, embedder: CountingEmbedder())
            _ = try await IndexRebuild(
                layout: place.layout, database: database, index: documents, logger: Logger("rebuild", level: .error)
            ).run { _ in }
            connection = try PostgresConnection(database, timeoutMilliseconds: Place.limit)
        }

        @discardableResult
        func sql(_ text: String) throws -> [[String?]] {
            try connection.script(text, timeoutMilliseconds: Place.limit)
        }

        func audit(isRepairing: Bool = false) async throws -> (report: AuditReport, found: [AuditFinding]) {
            var options = AuditOptions()
            (options.sample, options.isRepairing) = (nil, isRepairing)
            let found = Mutex<[AuditFinding]>([])
            let report = try await Auditor(
                layout: place.layout, database: database, index: documents, options: options
            ).run { finding in found.withLock { $0.append(finding) } }
            return (report, found.withLock { $0 })
        }

        func shown() throws -> [[String?]] {
            try sql(
                """
                SELECT d.doc_id, g.version, d.title, p.text, m.name, g.source_offset
                FROM visibility g JOIN documents d ON d.id = g.document_id JOIN passages p ON p.document_id = d.id
                JOIN models m ON m.id = d.model_id JOIN vectors_1 v ON v.id = p.vector_id
                WHERE g.to_version IS NULL ORDER BY 1, 2, 4
                """)
        }
    }

    private static func value(_ number: Int) -> [UInt8] {
        let id = "d\(number % 400)"
        if number % 37 == 5 { return Array(#"{"id":"\#(id)","deleted":true}"#.utf8) }
        return Array(#"{"id":"\#(id)","name":"Name \#(number)","text":"Text \#(number)","price":\#(number)}"#.utf8)
    }

    @Test func whatWasDamagedByHandIsFoundAndPutRight() async throws {
        let scene = try await Scene()
        let before = try scene.shown()
        let clean = try await scene.audit()
        #expect(clean.report.drift == 0 && clean.found.isEmpty, "\(clean)")
        #expect(clean.report.documents == Int64(before.count) && clean.report.embedded == before.count)

        // Twelve of nearly 400 documents, in six ways.
        let names = try scene.sql(
            "SELECT DISTINCT d.doc_id FROM visibility g JOIN documents d ON d.id = g.document_id WHERE g.to_version IS NULL ORDER BY 1"
        ).compactMap { $0[0] }
        let damaged = stride(from: 3, to: 3 + 12 * 25, by: 25).map { names[$0] }
        let ways = Self.ways(other: names[1])
        for (place, name) in damaged.enumerated() {
            try scene.sql(ways[place % ways.count].sql.replacing("$1", with: "'\(name)'"))
        }
        try scene.sql(Self.ghost)
        try scene.sql(
            "DELETE FROM passage_terms x USING passages p JOIN documents d ON d.id = p.document_id"
                + " WHERE x.passage_id = p.id AND d.doc_id = '\(names[2])'")
        try scene.sql("INSERT INTO passages SELECT 9000000, -1, tenant, 0, 'x', NULL, 'x' FROM passages LIMIT 1")

        let (report, found) = try await scene.audit()
        for (place, name) in damaged.enumerated() {
            let fault = ways[place % ways.count].fault
            #expect(
                found.contains { $0.fault == fault && $0.document.hasSuffix("/\(name)") },
                "\(fault) of \(name): \(found.filter { $0.document.hasSuffix("/\(name)") })")
        }
        #expect(found.contains { $0.fault == .extra && $0.document.hasSuffix("/ghost") })
        #expect(found.contains { $0.fault == .words && $0.document.hasSuffix("/\(names[2])") })
        #expect(report.orphans.passages == 1 && found.count == 14, "\(found)")

        let database = scene.database
        let searching = Task {
            let store = SearchStore(configuration: database, model: "")
            var searches = 0
            while !Task.isCancelled {
                _ = try store.candidates(
                    for: CandidateQuery(text: "text name", vector: nil), timeoutMilliseconds: Place.limit)
                searches += 1
                await Task.yield()
            }
            return searches
        }
        let repaired = try await scene.audit(isRepairing: true)
        searching.cancel()
        #expect(try await searching.value > 0)
        #expect(repaired.report.repaired == 14)
        let after = try await scene.audit()
        #expect(after.report.drift == 0 && after.found.isEmpty, "\(after)")
        #expect(try scene.shown() == before)
        let kept = try scene.sql("SELECT drift, documents FROM audits WHERE generation = 1")
        #expect(kept == [["0", "\(before.count)"]])
        let last = try IndexUpkeep(configuration: scene.database).lastAudit(timeoutMilliseconds: Place.limit)
        #expect(last?.drift == 0)
    }

    /// What is done to a document `$1`, and how it is to be found.
    private static func ways(other: String) -> [(fault: AuditFault, sql: String)] {
        [
            (.missing, "DELETE FROM visibility g WHERE g.document_id IN (\(shownID))"),
            (.missing, "UPDATE visibility g SET to_version = from_version WHERE g.document_id IN (\(shownID))"),
            (.changed, "UPDATE passages p SET text = text || ' else' WHERE p.document_id IN (\(shownID))"),
            (
                .vectorNorm,
                """
                UPDATE vectors_1 v SET embedding = (SELECT array_agg(e * 2 ORDER BY i)
                    FROM unnest(v.embedding::real[]) WITH ORDINALITY AS u(e, i))::real[]::halfvec
                WHERE v.id IN (SELECT p.vector_id FROM passages p WHERE p.document_id IN (\(shownID)))
                """
            ),
            (.vectorModel, "UPDATE documents d SET model_id = 99 WHERE d.id IN (\(shownID))"),
            (
                .vectorSwapped,
                """
                UPDATE vectors_1 v SET embedding = (SELECT o.embedding FROM vectors_1 o JOIN passages p ON p.vector_id = o.id
                    JOIN documents d ON d.id = p.document_id WHERE d.doc_id = '\(other)' LIMIT 1)
                WHERE v.id IN (SELECT p.vector_id FROM passages p WHERE p.document_id IN (\(shownID)))
                """
            ),
        ]
    }

    /// The content that is shown of a document.
    private static let shownID = """
        SELECT o.document_id FROM visibility o JOIN documents q ON q.id = o.document_id WHERE q.doc_id = $1 AND o.to_version IS NULL
        """

    /// A document that the lake never had.
    private static let ghost = """
        CREATE TEMP TABLE ghost AS SELECT d.* FROM documents d JOIN visibility g ON g.document_id = d.id
            WHERE g.to_version IS NULL ORDER BY d.id LIMIT 1;
        CREATE TEMP TABLE ghost_row AS SELECT g.* FROM visibility g JOIN ghost d ON d.id = g.document_id WHERE g.to_version IS NULL;
        UPDATE ghost SET id = 8000000, key_id = 8000000, doc_id = 'ghost';
        UPDATE ghost_row SET document_id = 8000000, key_id = 8000000;
        INSERT INTO documents SELECT * FROM ghost;
        INSERT INTO visibility SELECT * FROM ghost_row;
        """
}
