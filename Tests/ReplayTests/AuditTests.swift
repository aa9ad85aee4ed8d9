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

        init(_ values: [[UInt8]] = (0..<count).map(AuditTests.value)) async throws {
            database = try Place.database()
            place = try Place(database)
            let logic = try SourceReplayTests.documentLogic(title: "name")
            try SourceReplayTests.fill(place.layout, source, logic, values)
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

        func audit(
            isRepairing: Bool = false, by index: (any AuditIndex)? = nil, of layout: LakeLayout? = nil
        ) async throws -> (report: AuditReport, found: [AuditFinding]) {
            var options = AuditOptions()
            (options.sample, options.isRepairing) = (nil, isRepairing)
            let found = Mutex<[AuditFinding]>([])
            let report = try await Auditor(
                layout: layout ?? place.layout, database: database, index: index ?? documents, options: options
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
        try scene.sql(Self.orphans)

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
        let orphans = report.orphans
        #expect(
            [orphans.documents, orphans.words, orphans.postings, orphans.vectors].allSatisfy { $0 >= 1 }, "\(orphans)")

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

    /// Where a write fails, what was wrong goes on to be found.
    @Test func aRepairThatFailsHidesNothing() async throws {
        let scene = try await Scene()
        try scene.sql("UPDATE passages p SET text = text || ' else'")
        let shown = "SELECT count(*) FROM visibility WHERE to_version IS NULL"
        let before = try scene.sql(shown)
        try scene.sql(
            """
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'on purpose'; END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON visibility FOR EACH ROW EXECUTE FUNCTION refuse();
            """)
        await #expect(throws: (any Error).self) { _ = try await scene.audit(isRepairing: true) }
        #expect(try scene.sql(shown) == before)
        try scene.sql("DROP TRIGGER refuse ON visibility")
        #expect(try await scene.audit(isRepairing: true).report.repaired > 0)
        #expect(try await scene.audit().report.drift == 0)
    }

    @Test func noRepairByAnotherModelOrNone() async throws {
        let scene = try await Scene()
        try scene.sql("UPDATE passages p SET text = text || ' else'")
        let before = try scene.shown()
        let words = DocumentIndexer(configuration: scene.database, embedder: nil)
        await #expect(throws: AuditError.self) { _ = try await scene.audit(isRepairing: true, by: words) }
        #expect(try scene.shown() == before)
        #expect(try await scene.audit(by: words).report.drift > 0)
    }

    @Test func anotherLakeIsNoLakeToCompareWith() async throws {
        let scene = try await Scene()
        let empty = LakeLayout(root: scene.place.folder.file("empty"))
        await #expect(throws: AuditError.self) { _ = try await scene.audit(of: empty) }
        let part = LakeLayout(root: scene.place.folder.file("part"))
        try SourceReplayTests.fill(
            part, Self.source, try SourceReplayTests.documentLogic(title: "name"), (0..<600).map(Self.value))
        await #expect(throws: AuditError.self) { _ = try await scene.audit(isRepairing: true, of: part) }

        // Rows of a source that the index never read.
        try scene.sql(Self.ghost + "UPDATE visibility SET source_topic = 'other' WHERE document_id = 8000000")
        let (report, found) = try await scene.audit(isRepairing: true)
        #expect(report.outside == 1 && report.faults[.extra] == 1 && report.drift == 1 && found.isEmpty, "\(report)")
        #expect(try scene.sql("SELECT to_version FROM visibility WHERE document_id = 8000000") == [[nil]])
    }

    /// Takes texts of the first range for another one, as a sample does that does not meet them.
    private struct LateIndex: AuditIndex {
        let documents: DocumentIndexer
        let texts = Counter(0)
        var modelName: String { documents.modelName }

        func passages(of document: GoldDocument) throws -> [IndexedPassage] { try documents.passages(of: document) }
        func inputHashes(of texts: [String]) throws -> [String] { try documents.inputHashes(of: texts) }
        func embed(_ texts: [String]) async throws -> [[Float]] {
            let isEarly = self.texts.add(texts.count) <= 500
            return try await documents.embed(isEarly ? texts.map { _ in "another" } : texts)
        }
        func replace(
            lines: [(offset: Int64, line: [UInt8])], hiding: AuditHiding, source: TopicPartition
        ) async throws -> Int {
            try await documents.replace(lines: lines, hiding: hiding, source: source)
        }
    }

    private final class Counter: Sendable {
        private let value: Mutex<Int>
        init(_ value: Int) { self.value = Mutex(value) }
        func add(_ count: Int) -> Int {
            value.withLock {
                $0 += count
                return $0
            }
        }
    }

    /// A vector that many share is put right for all of them, whichever of them was looked at.
    @Test func whoSharesAWrongVectorIsRepairedToo() async throws {
        let values = (0..<700).map { Array(#"{"id":"e\#($0)","name":"Name","text":"Text"}"#.utf8) }
        let scene = try await Scene(values)
        let another = try await scene.documents.embed(["another"])[0]
        try scene.sql("UPDATE vectors_1 SET embedding = '[\(another.map { "\($0)" }.joined(separator: ","))]'")
        let repaired = try await scene.audit(isRepairing: true, by: LateIndex(documents: scene.documents))
        #expect(repaired.report.repaired == 700, "\(repaired.report)")
        let after = try await scene.audit()
        #expect(after.report.drift == 0 && after.report.documents == 700, "\(after.report)")
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

    /// Rows of each table that nothing refers to.
    private static let orphans = """
        CREATE TEMP TABLE orphan AS SELECT d.* FROM documents d ORDER BY d.id LIMIT 1;
        UPDATE orphan SET id = 9000001, key_id = 9000001, doc_id = 'orphan';
        INSERT INTO documents SELECT * FROM orphan;
        CREATE TEMP TABLE orphan_terms AS SELECT x.* FROM passage_terms x LIMIT 1;
        UPDATE orphan_terms SET passage_id = 9000002;
        INSERT INTO passage_terms SELECT * FROM orphan_terms;
        UPDATE postings o SET last_passage = 9000003, passages = 9000003 || o.passages,
            documents = 9000003 || o.documents, weights = 1 || o.weights
        WHERE (o.tenant_id, o.word_id, o.last_passage) IN (
            SELECT h.tenant_id, h.word_id, h.last_passage FROM postings h ORDER BY 1, 2, 3 LIMIT 1);
        INSERT INTO vectors_1 (tenant, id, input_hash, embedding)
            SELECT v.tenant, 9000004, '\\x00', v.embedding FROM vectors_1 v LIMIT 1;
        """
}
