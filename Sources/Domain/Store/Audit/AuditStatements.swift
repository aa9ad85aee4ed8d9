import Postgres
import Records

/// What a generation shows of the documents of some Gold lines, and why it may show none.
struct ReadAuditedKeys: PostgresStatement {
    static let name = "read_audited_keys"
    static let sql = """
        SELECT g.document_id, g.version, g.source_topic, g.source_partition, g.source_offset, g.content_hash, g.title,
            coalesce(g.model_id, 0),
            EXISTS (SELECT FROM deleted_documents m WHERE m.generation = $1 AND m.doc_id = i.doc_id
                AND m.collection_id = c.id AND m.version >= i.version)
            OR EXISTS (SELECT FROM version_floors f
                WHERE f.generation = $1 AND f.source_topic = $2 AND f.version > i.version),
            EXISTS (SELECT FROM refused_documents r WHERE r.generation = $1 AND r.source_topic = $2
                AND r.source_partition = $3 AND r.source_offset = i.source_offset)
        FROM unnest($4, $5, $6, $7, $8) WITH ORDINALITY
            AS i(tenant, collection, doc_id, version, source_offset, place)
        LEFT JOIN collections c ON c.tenant = i.tenant AND c.name = i.collection
        LEFT JOIN LATERAL (
            SELECT o.document_id, o.version, o.source_topic, o.source_partition, o.source_offset, d.content_hash, d.title,
                d.model_id
            FROM documents d JOIN visibility o ON o.document_id = d.id AND o.generation = $1 AND o.to_version IS NULL
            WHERE d.doc_id = i.doc_id AND d.collection_id = c.id ORDER BY o.version DESC LIMIT 1
        ) g ON true
        ORDER BY i.place
        """
    static let parameterTypes: [PostgresType] = [
        .int8, .text, .int4, .textArray, .textArray, .textArray, .int8Array, .int8Array,
    ]
    let generation: Int64
    let source: TopicPartition
    let lines: [(offset: Int64, document: GoldDocument)]

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(generation)
        parameters.append(source.topic)
        parameters.append(source.partition)
        parameters.append(lines.map(\.document.tenant.text))
        parameters.append(lines.map(\.document.collection.text))
        parameters.append(lines.map { IndexText.clean($0.document.docID) })
        parameters.append(lines.map(\.document.version))
        parameters.append(lines.map(\.offset))
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> AuditedKey {
        var key = AuditedKey(isDeleted: try row.bool(8), isRefused: try row.bool(9))
        guard let id = try row.int64OrNil(0) else { return key }
        key.shown = AuditedKey.Shown(
            documentID: id, version: try row.int64(1),
            source: TopicPartition(topic: try row.text(2), partition: try row.int32(3)), offset: try row.int64(4),
            contentHash: try row.text(5), title: try row.text(6), model: try row.int32(7))
        return key
    }
}

/// The rows that a generation shows of a range of source offsets.
struct ReadAuditedRows: PostgresStatement {
    static let name = "read_audited_rows"
    static let sql = """
        SELECT g.document_id, g.source_offset, coalesce(d.doc_id, ''), coalesce(c.name, ''), coalesce(d.tenant, '')
        FROM visibility g LEFT JOIN documents d ON d.id = g.document_id LEFT JOIN collections c ON c.id = d.collection_id
        WHERE g.generation = $1 AND g.source_topic = $2 AND g.source_partition = $3
            AND g.source_offset >= $4 AND g.source_offset < $5 AND g.to_version IS NULL
        """
    static let parameterTypes: [PostgresType] = [.int8, .text, .int4, .int8, .int8]
    let generation: Int64
    let source: TopicPartition
    let range: OffsetRange

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(generation)
        parameters.append(source.topic)
        parameters.append(source.partition)
        parameters.append(range.start)
        parameters.append(range.end)
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> AuditedRow {
        AuditedRow(
            documentID: try row.int64(0), offset: try row.int64(1), docID: try row.text(2), collection: try row.text(3),
            tenant: try row.text(4))
    }
}

/// The passages of some contents.
struct ReadAuditedPassages: PostgresStatement {
    static let name = "read_audited_passages"
    static let sql = """
        SELECT p.document_id, p.number, p.passage_hash, p.text, p.vector_id, EXISTS (
            SELECT FROM passage_terms x WHERE x.tenant_id = t.id AND x.passage_id = p.id)
        FROM passages p JOIN tenants t ON t.name = p.tenant
        WHERE p.document_id = ANY ($1) ORDER BY p.document_id, p.number
        """
    static let parameterTypes: [PostgresType] = [.int8Array]
    let documents: [Int64]
    func bind(into parameters: inout PostgresParameters) { parameters.append(documents) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> AuditedPassage {
        AuditedPassage(
            documentID: try row.int64(0), number: try row.int32(1), hash: try row.text(2), text: try row.text(3),
            vectorID: try row.int64OrNil(4), hasWords: try row.bool(5))
    }
}

/// Some vectors of a model.
struct ReadAuditedVectors: PostgresStatement {
    static let name = "read_audited_vectors"
    static let sql = make(model: 1)
    static let parameterTypes: [PostgresType] = [.int8Array, .int8Array]
    let model: Int32
    let vectors: [Int64]
    /// Those whose numbers are wanted, too.
    let sampled: [Int64]

    var text: StatementText {
        StatementText(name: "\(Self.name)_\(model)", sql: Self.make(model: model), types: Self.parameterTypes)
    }

    private static func make(model: Int32) -> String {
        """
        SELECT v.id, encode(v.input_hash, 'hex'), l2_norm(v.embedding),
            CASE WHEN v.id = ANY ($2) THEN v.embedding END
        FROM vectors_\(model) v WHERE v.id = ANY ($1)
        """
    }

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(vectors)
        parameters.append(sampled)
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> AuditedVector {
        AuditedVector(
            id: try row.int64(0), inputHash: try row.text(1), norm: try row.double(2),
            numbers: row.isNull(3) ? nil : try row.halfVector(3))
    }
}

/// The model of a generation's vectors, how far its index is, and how many passages it shows, roughly.
struct ReadAuditedGeneration: PostgresStatement {
    static let name = "read_audited_generation"
    static let sql = """
        SELECT n.generation, coalesce(n.model_id, 0), coalesce(m.name, ''),
            coalesce((SELECT sum(c.passages) FROM collection_counts c WHERE c.generation = n.generation), 0)::bigint
        FROM generations n LEFT JOIN models m ON m.id = n.model_id
        WHERE n.generation = coalesce($1, (SELECT generation FROM active_generation)) AND n.state <> 'pruned'
        """
    static let parameterTypes: [PostgresType] = [.int8]
    let generation: Int64?
    func bind(into parameters: inout PostgresParameters) { parameters.append(generation) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> AuditedGeneration {
        AuditedGeneration(
            generation: try row.int64(0), model: try row.int32(1), modelName: try row.text(2),
            passages: try row.int64(3))
    }
}

/// What nothing refers to, by its table, or with what is missing that it refers to.
struct CountOrphans: PostgresStatement {
    static let name = "count_orphans"
    static let sql = """
        SELECT (SELECT count(*) FROM documents d WHERE NOT EXISTS (SELECT FROM visibility g WHERE g.document_id = d.id)),
            (SELECT count(*) FROM passages p WHERE NOT EXISTS (SELECT FROM documents d WHERE d.id = p.document_id)),
            (SELECT count(*) FROM passage_terms x WHERE NOT EXISTS (SELECT FROM passages p WHERE p.id = x.passage_id)),
            (SELECT count(*) FROM (SELECT DISTINCT unnest(o.passages) AS id FROM postings o) o
                WHERE NOT EXISTS (SELECT FROM passages p WHERE p.id = o.id))
        """
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> IndexOrphans {
        IndexOrphans(
            documents: try row.int64(0), passages: try row.int64(1), words: try row.int64(2),
            postings: try row.int64(3))
    }
}

/// Vectors of a model that no passage refers to.
struct CountOrphanVectors: PostgresStatement {
    static let name = "count_orphan_vectors"
    static let sql = make(model: 1)
    static let parameterTypes: [PostgresType] = []
    let model: Int32
    var text: StatementText {
        StatementText(name: "\(Self.name)_\(model)", sql: Self.make(model: model), types: Self.parameterTypes)
    }
    private static func make(model: Int32) -> String {
        """
        SELECT count(*) FROM vectors_\(model) v WHERE NOT EXISTS (SELECT FROM passages p WHERE p.vector_id = v.id)
        """
    }
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

/// Keeps what an audit came to.
struct SaveAudit: PostgresStatement {
    static let name = "save_audit"
    static let sql = """
        INSERT INTO audits (generation, finished_at, documents, drift, report)
        VALUES ($1, clock_timestamp(), $2, $3, $4::text::json)
        ON CONFLICT (generation) DO UPDATE SET finished_at = excluded.finished_at, documents = excluded.documents,
            drift = excluded.drift, report = excluded.report
        """
    static let parameterTypes: [PostgresType] = [.int8, .int8, .int8, .text]
    let generation: Int64
    let documents: Int64
    let drift: Int64
    let reportJSON: [UInt8]
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(generation)
        parameters.append(documents)
        parameters.append(drift)
        parameters.append(bytea: reportJSON)
    }
}

/// What the last audit of the active generation came to; no row where there was none.
struct ReadAudit: PostgresStatement {
    static let name = "read_audit"
    static let sql = """
        SELECT a.drift, a.finished_at FROM audits a WHERE a.generation = (SELECT generation FROM active_generation)
        """
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(
        _ row: borrowing PostgresRow
    ) throws(PostgresError) -> (drift: Int64, finishedAtMilliseconds: Int64) {
        (try row.int64(0), try row.timestampMilliseconds(1))
    }
}
