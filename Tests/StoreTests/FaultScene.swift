import Bytes
import IndexTesting
import PlatformTesting
import Postgres
import Records
import Retrieval
import Store
import Testing

/// Batches as the indexer writes them, for two generations, and all that they leave.
struct FaultScene {
    private static let limit = IndexFixture.limit
    private static let gold = TopicPartition(topic: "gold", partition: 0)

    /// Everything that a transaction may change, for comparison.
    struct Contents {
        var shown: [Int64: [String: IndexModel.Shown]] = [:]
        var tables: [String: [[String?]]] = [:]

        /// What differs, by name.
        func differences(from other: Contents) -> [String] {
            (shown == other.shown ? [] : ["shown"])
                + tables.keys.filter { tables[$0] != other.tables[$0] }.sorted()
        }
    }

    let configuration: PostgresConfiguration

    /// By a connection of its own.
    var rows: IndexRows {
        get throws {
            IndexRows(connection: try PostgresConnection(configuration, timeoutMilliseconds: Self.limit))
        }
    }

    /// - Parameter configuration: of an empty, migrated database.
    init(configuration: PostgresConfiguration) throws {
        self.configuration = configuration
        let generations = GenerationStore(configuration: configuration)
        let child = try generations.create(parent: 1, logicVersion: "x", note: "", timeoutMilliseconds: Self.limit)
        try generations.finish(generation: child, handover: [:], timeoutMilliseconds: Self.limit)
    }

    init() throws { try self.init(configuration: IndexFixture().configuration) }

    /// One batch: new documents, new versions of those of the batch before, deletions of those before that, and now and then a
    /// floor and a document that is refused by Postgres.
    struct Batch {
        let number: Int
        var isRefused = false

        private var steps: [IndexStep] {
            let base = number * 4
            var steps: [IndexStep] = []
            func add(_ document: Int, _ operation: IndexStep.Operation, _ version: Int64) {
                let source = StepScene.sources[0]
                steps.append(
                    IndexStep(
                        document: document, operation: operation, version: version, source: source,
                        offset: Int64(number * 16 + steps.count)))
            }
            for document in base..<base + 4 {
                add(document, .put("moss \(document)\nshared \(document % 8)\nown \(number)"), Int64(number * 10 + 1))
            }
            if number > 0 {
                for document in base - 4..<base - 1 {
                    add(document, .put("moss \(document) again\nshared \(number % 8)"), Int64(number * 10))
                }
            }
            if number > 1 {
                for document in base - 8..<base - 6 { add(document, .delete, Int64(number * 10)) }
            }
            // Twice in one transaction.
            add(base, .put("moss \(base) twice"), Int64(number * 10 + 2))
            if number.isMultiple(of: 4) { add(0, .deleteBelow, Int64(number * 10 - 55)) }
            return steps
        }

        /// Too long for an index row of Postgres, however it is compressed.
        private static let longID: String = {
            var generator = SeededGenerator(seed: 1)
            let letters = Array("0123456789abcdefghijklmnopqrstuvwxyz")
            return String((0..<4_000).map { _ in letters[Int.random(in: 0..<36, using: &generator)] })
        }()

        fileprivate var next: Int64 { Int64(number * 16 + 16) }

        func write(by writer: IndexWriter) throws -> IndexWriteResult {
            var documents = steps.documents { _ in [1, 2] }
            if isRefused {
                // It brings a vector that the others share.
                var bad = documents[0]
                bad.document.docID = Self.longID
                bad.sourceOffset = next - 1
                bad.line = Array("line".utf8)
                for place in documents[0].passages.indices { documents[0].passages[place].embedding = nil }
                documents.insert(bad, at: 0)
            }
            let refused = RefusedDocument(
                generation: 1, source: StepScene.sources[0], sourceOffset: next - 2, docID: "large",
                code: RefusedDocument.tooLarge, reason: "too large", line: nil)
            let moves = (1...2 as ClosedRange<Int64>).map {
                CheckpointMove(
                    generation: $0, source: StepScene.sources[0], expected: number == 0 ? nil : next - 16, next: next)
            }
            return try writer.write(
                documents, floors: steps.floors { _ in [1, 2] }, moving: moves,
                goldPositions: [(gold: FaultScene.gold, nextOffset: next)], refused: [refused],
                timeoutMilliseconds: FaultScene.limit)
        }

        /// Writes it as the indexer does that lost its connection: it asks where the checkpoint stands, and goes on from there.
        ///
        /// - Returns: whether it was written now.
        func writeAgain(by writer: IndexWriter) throws -> Bool {
            let stands = try writer.checkpoints(timeoutMilliseconds: FaultScene.limit).first { $0.generation == 1 }
            if stands?.nextOffset == next { return false }
            _ = try write(by: writer)
            return true
        }
    }

    func contents() throws -> Contents {
        var contents = Contents()
        let rows = try rows
        for generation in 1...2 as ClosedRange<Int64> {
            let found = try rows.visible(generation)
            #expect(found.doubled == [])
            contents.shown[generation] = found.shown
        }
        let queries = [
            "checkpoints": "SELECT generation, topic, partition, next_offset FROM index_checkpoints ORDER BY 1, 2, 3",
            "positions": "SELECT topic, partition, next_offset FROM gold_positions",
            "refused":
                "SELECT generation, source_offset, code, left(doc_id, 5) = 'large', gold_line FROM refused_documents "
                + "ORDER BY 1, 2",
            "deleted": "SELECT generation, doc_id, version, source_offset FROM deleted_documents ORDER BY 1, 2, 3, 4",
            "floors": "SELECT generation, source_topic, version, source_offset FROM version_floors ORDER BY 1, 2, 3, 4",
            "history": """
            SELECT d.doc_id, d.content_hash, g.generation, g.version, g.source_offset, g.to_version IS NULL
            FROM visibility g JOIN documents d ON d.id = g.document_id ORDER BY 1, 2, 3, 4, 5, 6
            """,
            "vectors": "SELECT tenant, input_hash, embedding FROM vectors_1 ORDER BY 1, 2",
            "contents": "SELECT count(*) FROM documents", "passages": "SELECT count(*) FROM passages",
        ]
        for (name, sql) in queries {
            if name == "vectors" {
                let table = try rows.connection.script(
                    "SELECT to_regclass('vectors_1')", timeoutMilliseconds: Self.limit)
                if table == [[nil]] { continue }
            }
            contents.tables[name] = try rows.connection.script(sql, timeoutMilliseconds: Self.limit)
        }
        return contents
    }

    /// What an undisturbed run of some batches leaves, in a database of its own.
    static func undisturbed(_ batches: [Batch]) throws -> Contents {
        let scene = try FaultScene()
        let writer = IndexWriter(configuration: scene.configuration)
        for batch in batches { _ = try batch.write(by: writer) }
        return try scene.contents()
    }
}
