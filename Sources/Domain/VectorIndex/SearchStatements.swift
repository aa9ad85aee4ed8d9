import Postgres
import Retrieval

/// Both arms, the vector arm through HNSW.
struct HybridSearch: PostgresStatement {
    static let name = "search_hybrid"
    static let sql = SearchSQL.make(vector: .approximate, lexical: true)
    static let parameterTypes = SearchSQL.types + [.inferred]
    let values: SearchValues
    func bind(into parameters: inout PostgresParameters) { values.bind(into: &parameters, withVector: true) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> SearchRow { try SearchRow.decode(row) }
}

/// Both arms, the vector arm over all rows that pass the filters.
struct ExactHybridSearch: PostgresStatement {
    static let name = "search_hybrid_exact"
    static let sql = SearchSQL.make(vector: .exact, lexical: true)
    static let parameterTypes = SearchSQL.types + [.inferred]
    let values: SearchValues
    func bind(into parameters: inout PostgresParameters) { values.bind(into: &parameters, withVector: true) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> SearchRow { try SearchRow.decode(row) }
}

/// The vector arm alone, through HNSW.
struct VectorSearch: PostgresStatement {
    static let name = "search_vector"
    static let sql = SearchSQL.make(vector: .approximate, lexical: false)
    static let parameterTypes = SearchSQL.types + [.inferred]
    let values: SearchValues
    func bind(into parameters: inout PostgresParameters) { values.bind(into: &parameters, withVector: true) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> SearchRow { try SearchRow.decode(row) }
}

/// The vector arm alone, over all rows that pass the filters.
struct ExactVectorSearch: PostgresStatement {
    static let name = "search_vector_exact"
    static let sql = SearchSQL.make(vector: .exact, lexical: false)
    static let parameterTypes = SearchSQL.types + [.inferred]
    let values: SearchValues
    func bind(into parameters: inout PostgresParameters) { values.bind(into: &parameters, withVector: true) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> SearchRow { try SearchRow.decode(row) }
}

/// The lexical arm alone.
struct LexicalSearch: PostgresStatement {
    static let name = "search_lexical"
    static let sql = SearchSQL.make(vector: nil, lexical: true)
    static let parameterTypes = SearchSQL.types
    let values: SearchValues
    func bind(into parameters: inout PostgresParameters) { values.bind(into: &parameters, withVector: false) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> SearchRow { try SearchRow.decode(row) }
}

/// Plans the rest of the transaction with the values at hand: a narrow filter is then found by its own index.
struct PlanWithValues: PostgresStatement {
    static let name = "plan_with_values"
    static let sql = "SELECT set_config('plan_cache_mode', 'force_custom_plan', true)"
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
}

/// The first passages that became visible last.
struct RecentDocuments: PostgresStatement {
    /// Rows at most, whatever was asked.
    static let limitMax = 500
    static let name = "recent_documents"
    static let sql = """
        WITH snapshot AS MATERIALIZED (
            SELECT (SELECT generation FROM active_generation) AS generation,
                coalesce((SELECT max(version) FROM index_versions), 0) AS version
        )
        SELECT * FROM (
            SELECT \(SearchSQL.columns), g.from_version, v.created_at
            FROM generation_passages g
            JOIN passages p ON p.id = g.passage_id AND p.passage = 0
            LEFT JOIN index_versions v ON v.version = g.from_version
            WHERE g.generation = (SELECT generation FROM snapshot) AND g.to_version IS NULL
                AND ($2::bigint IS NULL OR g.from_version > $2)
                AND ($10::bigint IS NULL OR g.from_version <= $10) AND \(SearchSQL.filters)
            ORDER BY g.from_version DESC, g.source_offset DESC LIMIT \(limitMax)
        ) newest LIMIT $1
        """
    static let parameterTypes: [PostgresType] = [
        .int8, .int8, .textArray, .textArray, .textArray, .bool, .timestamptz, .timestamptz, .text, .int8,
    ]
    let limit: Int
    let afterIndexVersion: Int64?
    let upToIndexVersion: Int64?
    let filters: SearchFilters

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(Int64(max(0, min(limit, Self.limitMax))))
        parameters.append(afterIndexVersion)
        FilterValues.bind(filters, into: &parameters)
        parameters.append(upToIndexVersion)
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> RecentDocument {
        RecentDocument(
            document: try CandidateColumns.decode(row, from: 0), indexVersion: try row.int64(14),
            indexedAtMilliseconds: try row.timestampMillisecondsOrNil(15) ?? 0)
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

/// Keeps an answer.
struct SaveAnswer: PostgresStatement {
    static let name = "save_answer"
    static let sql = """
        INSERT INTO answers (answer_id, question, created_at, generation, index_version, is_refused, request, reply,
            retrieved)
        VALUES ($1, $2, $3, $4, $5, $6, $7::text::json, $8::text::json, $9::text::json)
        """
    static let parameterTypes: [PostgresType] = [
        .text, .text, .timestamptz, .int8, .int8, .bool, .text, .text, .text,
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
    }
}

/// Reads an answer back.
struct ReadAnswer: PostgresStatement {
    static let name = "read_answer"
    static let sql = """
        SELECT answer_id, question, created_at, generation, index_version, is_refused, request, reply, retrieved
        FROM answers WHERE answer_id = $1
        """
    static let parameterTypes: [PostgresType] = [.text]
    let id: String
    func bind(into parameters: inout PostgresParameters) { parameters.append(IndexText.clean(id)) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> StoredAnswer {
        StoredAnswer(
            id: try row.text(0), question: try row.text(1), createdAtMilliseconds: try row.timestampMilliseconds(2),
            generation: try row.int64(3), indexVersion: try row.int64(4), isRefused: try row.bool(5),
            requestJSON: try row.json(6), replyJSON: try row.json(7), retrievedJSON: try row.json(8))
    }
}

/// All passages of a document that a generation sees now.
struct ReadDocument: PostgresStatement {
    static let name = "read_document"
    static let sql = """
        SELECT g.generation, (SELECT coalesce(max(version), 0) FROM index_versions), g.version, g.logic_version,
            g.lineage, g.source_topic, g.source_partition, g.source_offset, g.from_version, p.passage, p.text,
            p.text_hash, p.content_hash, p.model, p.embedding IS NOT NULL
        FROM passages p
        JOIN generation_passages g ON g.passage_id = p.id
            AND g.generation = coalesce($2, (SELECT generation FROM active_generation)) AND g.to_version IS NULL
        WHERE p.doc_id = $1 ORDER BY p.passage
        """
    static let parameterTypes: [PostgresType] = [.text, .int8]
    let docID: String
    let generation: Int64?
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(IndexText.clean(docID))
        parameters.append(generation)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> TraceRow {
        TraceRow(
            generation: try row.int64(0), indexVersion: try row.int64(1), version: try row.int64(2),
            logicVersion: try row.text(3), lineageJSON: try row.json(4), sourceTopic: try row.text(5),
            sourcePartition: try row.int32(6), sourceOffset: try row.int64(7), fromVersion: try row.int64(8),
            passage: try row.int32(9), text: try row.text(10), textHash: try row.text(11),
            contentHash: try row.text(12), model: try row.text(13), hasVector: try row.bool(14))
    }
}
