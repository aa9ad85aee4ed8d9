import Bytes
import Postgres
import Records
import Retrieval

/// Puts an erasure in force, with the records that are its; false where it is known already.
struct ApplyErasure: PostgresStatement {
    static let name = "apply_erasure"
    static let sql = "SELECT medallion_erase($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"
    static let parameterTypes: [PostgresType] = [
        .text, .text, .text, .bytea, .text, .text, .text, .text, .timestamptz, .textArray, .int4Array, .int8Array,
        .int8Array, .textArray, .int4Array, .int8Array,
    ]
    let erasure: Erasure
    let records: [(source: TopicPartition, range: OffsetRange)]
    let lookedTo: [TopicPartition: Int64]

    func bind(into parameters: inout PostgresParameters) {
        let target = erasure.target
        parameters.append(IndexText.clean(erasure.id))
        parameters.append(erasure.tenant.text)
        parameters.append(target.kind.rawValue)
        parameters.append(bytea: Hex.bytes(target.nameSHA256.utf8) ?? [])
        parameters.append(IndexText.clean(target.collection))
        parameters.append(target.wiki.map { IndexText.clean($0) })
        parameters.append(IndexText.clean(erasure.reason))
        parameters.append(IndexText.clean(erasure.by))
        parameters.append(timestampMilliseconds: erasure.atMilliseconds)
        parameters.append(records.map(\.source.topic))
        parameters.append(records.map(\.source.partition))
        parameters.append(records.map(\.range.start))
        parameters.append(records.map(\.range.end))
        let parts = lookedTo.sorted { $0.key < $1.key }
        parameters.append(parts.map(\.key.topic))
        parameters.append(parts.map(\.key.partition))
        parameters.append(parts.map(\.value))
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Bool { try row.bool(0) }
}

/// Goes through the next documents of an erasure; no number where none is left.
struct ContinueErasure: PostgresStatement {
    static let name = "continue_erasure"
    static let sql = "SELECT medallion_continue_erasure($1, $2)"
    static let parameterTypes: [PostgresType] = [.text, .int4]
    let id: String
    let limit: Int32

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(IndexText.clean(id))
        parameters.append(limit)
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64? { try row.int64OrNil(0) }
}

/// The erasures that the index knows, and whether each is done.
struct ListErasures: PostgresStatement {
    static let name = "list_erasures"
    static let sql = "SELECT e.id, e.done_document IS NULL FROM erasures e ORDER BY e.erased_at, e.id"
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> (id: String, isDone: Bool) {
        (try row.text(0), try row.bool(1))
    }
}

/// The records that are erased, with their tenants.
struct ListErasedRecords: PostgresStatement {
    struct Row {
        let tenant: TenantID
        let source: TopicPartition
        let range: OffsetRange
    }

    static let name = "list_erased_records"
    static let sql = """
        SELECT e.tenant, r.source_topic, r.source_partition, r.start_offset, r.next_offset
        FROM erased_records r JOIN erasures e ON e.id = r.erasure
        """
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Row {
        let start = try row.int64(3)
        return Row(
            tenant: TenantID(try row.text(0)) ?? .standard,
            source: TopicPartition(topic: try row.text(1), partition: try row.int32(2)),
            range: OffsetRange(start: start, end: try row.int64(4)) ?? .empty(at: start))
    }
}

/// Removes what came in of erased records.
struct RemoveErased: PostgresStatement {
    static let name = "remove_erased"
    static let sql = "SELECT medallion_remove_erased($1)"
    static let parameterTypes: [PostgresType] = [.int4]
    let limit: Int32
    func bind(into parameters: inout PostgresParameters) { parameters.append(limit) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

/// Removes the answers of an erasure's tenant in which a pattern is found.
struct EraseMentions: PostgresStatement {
    static let name = "erase_mentions"
    static let sql = "SELECT medallion_erase_mentions($1, $2)"
    static let parameterTypes: [PostgresType] = [.text, .text]
    let id: String
    let pattern: String

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(IndexText.clean(id))
        parameters.append(IndexText.clean(pattern))
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

/// Where a name stands in the index beside the documents whose title or user it is: how many rows of a kind, and one of them.
struct CountMentions: PostgresStatement {
    static let name = "count_mentions"
    static let sql = """
        WITH texts AS (SELECT t.text FROM unnest($2) AS t(text)),
        found AS (
            SELECT 'answers' AS kind, a.one FROM medallion_answers_that_mention($1, $7) AS a(one)
            UNION ALL
            SELECT CASE WHEN n.is_named THEN 'matches' ELSE 'documents' END, n.doc_id FROM (
                SELECT d.doc_id, d.title, d.attributes, d.id, c.name = $4 AND ($5::text IS NULL OR d.wiki = $5)
                    AND CASE $6::text WHEN 'page' THEN d.title = $3 ELSE coalesce(d.user_name = $3, false) END AS is_named
                FROM documents d JOIN collections c ON c.id = d.collection_id WHERE d.tenant = $1) n
            WHERE n.is_named
                OR EXISTS (SELECT FROM texts t WHERE strpos(concat(n.title, ' ', n.attributes), t.text) > 0)
                OR EXISTS (SELECT FROM passages p, texts t WHERE p.document_id = n.id AND strpos(p.text, t.text) > 0)
            UNION ALL
            SELECT 'golden_queries', q.name FROM golden_queries q WHERE q.tenant = $1 AND EXISTS (
                SELECT FROM texts t WHERE strpos(concat(q.query, q.options), t.text) > 0)
            UNION ALL
            SELECT 'suppressions', s.id FROM suppressions s WHERE s.tenant = $1 AND EXISTS (
                SELECT FROM texts t WHERE strpos(s.name || ' ' || s.reason, t.text) > 0)
        )
        SELECT kind, count(*), min(one) FROM found GROUP BY kind ORDER BY kind
        """
    static let parameterTypes: [PostgresType] = [.text, .textArray, .text, .text, .text, .text, .text]
    let tenant: TenantID
    let texts: [String]
    let name: String
    let target: ErasureTarget

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(tenant.text)
        parameters.append(texts.map { IndexText.clean($0) })
        parameters.append(IndexText.clean(name))
        parameters.append(IndexText.clean(target.collection))
        parameters.append(target.wiki.map { IndexText.clean($0) })
        parameters.append(target.kind.rawValue)
        parameters.append(IndexText.clean(NamePattern.postgres(name)))
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> IndexMention {
        IndexMention(kind: try row.text(0), count: try row.int64(1), example: try row.text(2))
    }
}

/// The erasure with which an answer of the session's tenant went.
struct FindErasedAnswer: PostgresStatement {
    static let name = "find_erased_answer"
    static let sql = "SELECT erasure, erased_at FROM erased_answers WHERE answer_id = $1 AND tenant = $2"
    static let parameterTypes: [PostgresType] = [.text, .text]
    let id: String
    let tenant: TenantID

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(IndexText.clean(id))
        parameters.append(tenant.text)
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> ErasedAnswer {
        ErasedAnswer(erasure: try row.text(0), atMilliseconds: try row.timestampMilliseconds(1))
    }
}

/// How far the indexer has read each Gold topic; what lies behind it there is in the index.
struct ReadGoldReached: PostgresStatement {
    static let name = "read_gold_reached"
    static let sql = "SELECT next_offset FROM gold_positions WHERE topic = $1 AND partition = $2"
    static let parameterTypes: [PostgresType] = [.text, .int4]
    let place: TopicPartition

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(place.topic)
        parameters.append(place.partition)
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

/// What keeps the write-ahead log.
struct ReadWALBounds: PostgresStatement {
    static let name = "read_wal_bounds"
    static let sql = """
        SELECT 1000 * (SELECT setting::bigint FROM pg_settings WHERE name = 'checkpoint_timeout'),
            current_setting('archive_mode') <> 'off', (SELECT count(*) FROM pg_replication_slots)
        """
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> WALBounds {
        WALBounds(checkpointMilliseconds: try row.int64(0), isArchived: try row.bool(1), slots: try row.int64(2))
    }
}
