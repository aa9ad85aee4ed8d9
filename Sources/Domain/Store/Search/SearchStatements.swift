import Postgres
import Records
import Retrieval
import Synchronization

/// A search: its parts, the filters that it needs, and the model in whose vectors it looks.
struct SearchStatement: PostgresStatement {
    static let name = "search"
    // Both arms and all filters; what is sent depends on the parts.
    private static let whole = SearchSQL.Parts(
        vector: .approximate, lexical: true, filters: .tested, isDemanding: true, isNarrow: true, isCounted: true,
        isNoted: true)
    static let sql = SearchSQL.make(whole, model: 1)
    static let parameterTypes = SearchSQL.types(whole)

    let parts: SearchSQL.Parts
    /// The model's number in the index.
    let model: Int32
    let values: SearchValues

    /// A text for each of the parts and each model: making it anew for every search would cost more than sending it.
    var text: StatementText {
        Self.texts.withLock { texts in
            let key = Key(parts: parts, model: parts.vector == nil ? 0 : model)
            if let known = texts[key] { return known }
            let made = StatementText(
                name: Self.name(of: "\(key.parts.name)_\(key.model)"), sql: SearchSQL.make(parts, model: key.model),
                types: SearchSQL.types(parts))
            texts[key] = made
            return made
        }
    }

    /// The server tells 63 bytes of a name apart.
    private static func name(of parts: String) -> String {
        let whole = "\(name)_\(parts)"
        return whole.utf8.count <= 63 ? whole : "\(name)_\(String(StableHash.of(Array(parts.utf8)), radix: 16))"
    }

    func bind(into parameters: inout PostgresParameters) { values.bind(parts, into: &parameters) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> SearchRow { try SearchRow.decode(row) }

    private struct Key: Hashable {
        let parts: SearchSQL.Parts
        let model: Int32
    }

    private static let texts = Mutex<[Key: StatementText]>([:])
}

/// Names the tenant whose rows policies show, for the rest of the transaction.
struct ActForTenant: PostgresStatement {
    static let name = "act_for_tenant"
    static let sql = "SELECT set_config('medallion.tenant', $1, true)"
    static let parameterTypes: [PostgresType] = [.text]
    let tenant: TenantID
    func bind(into parameters: inout PostgresParameters) { parameters.append(tenant.text) }
}

/// Has the graph's searches keep so many candidates for the rest of the transaction, and says whether they go on behind these.
struct KeepCandidates: PostgresStatement {
    static let name = "keep_candidates"
    static let sql = """
        SELECT set_config('hnsw.ef_search', $1, true),
            set_config('hnsw.iterative_scan', CASE WHEN $2 THEN 'relaxed_order' ELSE 'off' END, true)
        """
    static let parameterTypes: [PostgresType] = [.text, .bool]
    let ef: Int
    let goesOn: Bool
    func bind(into parameters: inout PostgresParameters) {
        parameters.append("\(max(1, min(ef, SearchLimits.efMax)))")
        parameters.append(goesOn)
    }
}

/// How far the index is.
struct ReadIndexStatus: PostgresStatement {
    struct Row {
        let generation: Int64
        let indexVersion: Int64
        let indexedAtMilliseconds: Int64?
    }
    static let name = "read_index_status"
    static let sql = """
        SELECT a.generation, coalesce((SELECT max(version) FROM index_versions), 0), l.indexed_at
        FROM active_generation a
        LEFT JOIN live_progress l ON l.generation = a.generation
        """
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Row {
        Row(
            generation: try row.int64(0), indexVersion: try row.int64(1),
            indexedAtMilliseconds: try row.timestampMillisecondsOrNil(2))
    }
}

/// How far the active generation's index is in the sources' topics: a row for each topic partition, or one without any.
struct ReadReached: PostgresStatement {
    static let name = "read_reached"
    static let sql = """
        SELECT a.generation, c.topic, c.partition, c.next_offset, l.indexed_at
        FROM active_generation a
        LEFT JOIN live_progress l ON l.generation = a.generation
        LEFT JOIN index_checkpoints c ON c.generation = a.generation
        """
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    struct Row {
        let generation: Int64
        /// Nil in the one row without any.
        let place: TopicPartition?
        let nextOffset: Int64
        let indexedAtMilliseconds: Int64?
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Row {
        let generation = try row.int64(0)
        let indexedAt = try row.timestampMillisecondsOrNil(4)
        guard let topic = try row.textOrNil(1) else {
            return Row(generation: generation, place: nil, nextOffset: 0, indexedAtMilliseconds: indexedAt)
        }
        return Row(
            generation: generation, place: TopicPartition(topic: topic, partition: try row.int32(2)),
            nextOffset: try row.int64(3), indexedAtMilliseconds: indexedAt)
    }
}

/// Keeps an answer; none that was in flight while an erasure took a document out of which it was made.
struct SaveAnswer: PostgresStatement {
    static let name = "save_answer"
    static let sql = """
        WITH kept AS (
            INSERT INTO answers (answer_id, question, created_at, generation, index_version, is_refused, request, reply,
                retrieved, bytes, is_anonymous, tenant, basis)
            SELECT $1, $2, $3, $4, $5, $6, $7::text::json, $8::text::json, $9::text::json, $10, $11, $12, $16::text::json
            WHERE NOT EXISTS (SELECT FROM erasure_versions v WHERE v.index_version > $5) OR NOT EXISTS (
                SELECT FROM unnest($13::text[], $14::text[]) AS d(collection, doc_id)
                LEFT JOIN LATERAL (\(AnswerSourceSQL.seen)) s ON true WHERE s.source_topic IS NULL)
            RETURNING answer_id, created_at, tenant
        )
        INSERT INTO answer_documents (answer_id, tenant, collection, doc_id, is_cited, created_at, version, content_hash,
            source_topic, source_partition, source_offset, event_id, from_version, embedded_at, indexed_at, searchable_at)
        SELECT k.answer_id, k.tenant, d.collection, d.doc_id, d.is_cited > 0, k.created_at, s.version, s.content_hash,
            s.source_topic, s.source_partition, s.source_offset, s.event_id, s.from_version, s.embedded_at, s.shown_at,
            s.searchable_at
        FROM kept k CROSS JOIN unnest($13::text[], $14::text[], $15::int[]) AS d(collection, doc_id, is_cited)
        LEFT JOIN LATERAL (\(AnswerSourceSQL.seen)) s ON true
        """
    static let parameterTypes: [PostgresType] = [
        .text, .text, .timestamptz, .int8, .int8, .bool, .text, .text, .text, .int4, .bool, .text, .textArray,
        .textArray, .int4Array, .text,
    ]
    let answer: StoredAnswer

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(answer.id)
        parameters.append(IndexText.clean(answer.question))
        parameters.append(timestampMilliseconds: answer.createdAtMilliseconds)
        parameters.append(answer.generation)
        parameters.append(answer.indexVersion)
        parameters.append(answer.isRefused)
        parameters.append(bytea: answer.requestJSON)
        parameters.append(bytea: answer.replyJSON)
        parameters.append(bytea: answer.retrievedJSON)
        parameters.append(Int32(clamping: answer.bytes))
        parameters.append(answer.isAnonymous)
        parameters.append(answer.tenant.text)
        parameters.append(answer.documents.map(\.collection))
        parameters.append(answer.documents.map(\.docID))
        parameters.append(answer.documents.map { $0.isCited ? Int32(1) : 0 })
        if let basis = answer.basisJSON { parameters.append(bytea: basis) } else { parameters.appendNull() }
    }
}

/// The newest answers that were made of a document.
struct FindAnswersOf: PostgresStatement {
    /// Rows at most.
    static let rowsMax = 20
    static let name = "find_answers_of"
    static let sql = """
        SELECT a.answer_id, a.created_at, a.is_cited FROM answer_documents a
        WHERE a.doc_id = $1 AND a.collection = $2 AND a.tenant = $3
        ORDER BY a.created_at DESC, a.answer_id LIMIT \(rowsMax)
        """
    static let parameterTypes: [PostgresType] = [.text, .text, .text]
    let docID: String
    let collection: String
    let tenant: TenantID
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(docID)
        parameters.append(collection)
        parameters.append(tenant.text)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> AnswerOfDocument {
        AnswerOfDocument(
            id: try row.text(0), createdAtMilliseconds: try row.timestampMilliseconds(1), isCited: try row.bool(2))
    }
}

/// An answer that a document went into.
package struct AnswerOfDocument: Sendable, Equatable {
    package var id: String
    package var createdAtMilliseconds: Int64
    /// Whether a sentence cites the document; else it was only looked at.
    package var isCited: Bool
}

/// Reads an answer of a tenant back.
struct ReadAnswer: PostgresStatement {
    static let name = "read_answer"
    static let sql = """
        SELECT answer_id, question, created_at, generation, index_version, is_refused, request, reply, retrieved,
            is_anonymous, tenant, hits
        FROM answers WHERE answer_id = $1 AND tenant = $2
        """
    static let parameterTypes: [PostgresType] = [.text, .text]
    let id: String
    let tenant: TenantID
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(IndexText.clean(id))
        parameters.append(tenant.text)
    }
    static func decode(
        _ row: borrowing PostgresRow
    ) throws(PostgresError) -> (answer: StoredAnswer, hits: Int64) {
        let answer = StoredAnswer(
            id: try row.text(0), tenant: TenantID(try row.text(10)) ?? .standard, question: try row.text(1),
            createdAtMilliseconds: try row.timestampMilliseconds(2), generation: try row.int64(3),
            indexVersion: try row.int64(4), isRefused: try row.bool(5),
            requestJSON: try row.json(6), replyJSON: try row.json(7), retrievedJSON: try row.json(8),
            isAnonymous: try row.bool(9))
        return (answer, try row.int64(11))
    }
}

/// All passages of a document that a generation sees now.
struct ReadDocument: PostgresStatement {
    static let name = "read_document"
    static let sql = """
        SELECT g.generation, (SELECT coalesce(max(version), 0) FROM index_versions), g.version,
            g.lineage ->> 'logic_version', g.lineage, g.source_topic, g.source_partition, g.source_offset, g.from_version,
            p.number, p.text, p.passage_hash, d.content_hash, coalesce(m.name, ''), p.vector_id IS NOT NULL, d.tenant, c.name,
            d.event_time, v.embedded_at, g.shown_at, v.searchable_at, d.title, d.url
        FROM documents d
        JOIN collections c ON c.id = d.collection_id
        JOIN visibility g ON g.document_id = d.id
            AND g.generation = coalesce($2, (SELECT generation FROM active_generation)) AND g.to_version IS NULL AND g.suppression IS NULL
        JOIN passages p ON p.document_id = d.id
        LEFT JOIN models m ON m.id = d.model_id
        LEFT JOIN index_versions v ON v.version = g.from_version
        WHERE d.doc_id = $1 AND d.tenant = $4 AND ($3::text IS NULL OR c.name = $3)
        ORDER BY c.name, p.number
        """
    static let parameterTypes: [PostgresType] = [.text, .int8, .text, .text]
    let docID: String
    let collection: String?
    let tenant: TenantID
    let generation: Int64?
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(IndexText.clean(docID))
        parameters.append(generation)
        parameters.append(collection.map { IndexText.clean($0) })
        parameters.append(tenant.text)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> TraceRow {
        TraceRow(
            generation: try row.int64(0), indexVersion: try row.int64(1), version: try row.int64(2),
            logicVersion: try row.textOrNil(3) ?? "", lineageJSON: try row.json(4), sourceTopic: try row.text(5),
            sourcePartition: try row.int32(6), sourceOffset: try row.int64(7), fromVersion: try row.int64(8),
            passage: try row.int32(9), text: try row.text(10), textHash: try row.text(11),
            contentHash: try row.text(12), model: try row.text(13), hasVector: try row.bool(14),
            tenant: try row.text(15), collection: try row.text(16), title: try row.text(21), url: try row.text(22),
            times: IndexedTimes(
                eventMilliseconds: try row.timestampMilliseconds(17),
                embeddedMilliseconds: try row.timestampMillisecondsOrNil(18),
                indexedMilliseconds: try row.timestampMilliseconds(19),
                searchableMilliseconds: try row.timestampMillisecondsOrNil(20)))
    }
}
