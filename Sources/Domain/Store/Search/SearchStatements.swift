import Postgres
import Records
import Retrieval

/// A search: its SQL, types and values follow from its parts.
protocol SearchStatement: PostgresStatement where Row == SearchRow {
    static var parts: SearchSQL.Parts { get }
    var values: SearchValues { get }
    init(values: SearchValues)
}

extension SearchStatement {
    func bind(into parameters: inout PostgresParameters) { values.bind(Self.parts, into: &parameters) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> SearchRow { try SearchRow.decode(row) }
}

/// Both arms, the vector arm through HNSW.
struct HybridSearch: SearchStatement {
    static let name = "search_hybrid"
    static let parts = SearchSQL.Parts(vector: .approximate, lexical: true)
    static let sql = SearchSQL.make(parts)
    static let parameterTypes = SearchSQL.types(parts)
    let values: SearchValues
}

/// The same with tests on attributes.
struct TestedHybridSearch: SearchStatement {
    static let name = "search_hybrid_tested"
    static let parts = SearchSQL.Parts(vector: .approximate, lexical: true, tests: true)
    static let sql = SearchSQL.make(parts)
    static let parameterTypes = SearchSQL.types(parts)
    let values: SearchValues
}

/// Both arms, the vector arm over all rows that pass the filters.
struct ExactHybridSearch: SearchStatement {
    static let name = "search_hybrid_exact"
    static let parts = SearchSQL.Parts(vector: .exact, lexical: true)
    static let sql = SearchSQL.make(parts)
    static let parameterTypes = SearchSQL.types(parts)
    let values: SearchValues
}

/// The same with tests on attributes.
struct TestedExactHybridSearch: SearchStatement {
    static let name = "search_hybrid_exact_tested"
    static let parts = SearchSQL.Parts(vector: .exact, lexical: true, tests: true)
    static let sql = SearchSQL.make(parts)
    static let parameterTypes = SearchSQL.types(parts)
    let values: SearchValues
}

/// The vector arm alone, through HNSW.
struct VectorSearch: SearchStatement {
    static let name = "search_vector"
    static let parts = SearchSQL.Parts(vector: .approximate, lexical: false)
    static let sql = SearchSQL.make(parts)
    static let parameterTypes = SearchSQL.types(parts)
    let values: SearchValues
}

/// The same with tests on attributes.
struct TestedVectorSearch: SearchStatement {
    static let name = "search_vector_tested"
    static let parts = SearchSQL.Parts(vector: .approximate, lexical: false, tests: true)
    static let sql = SearchSQL.make(parts)
    static let parameterTypes = SearchSQL.types(parts)
    let values: SearchValues
}

/// The vector arm alone, over all rows that pass the filters.
struct ExactVectorSearch: SearchStatement {
    static let name = "search_vector_exact"
    static let parts = SearchSQL.Parts(vector: .exact, lexical: false)
    static let sql = SearchSQL.make(parts)
    static let parameterTypes = SearchSQL.types(parts)
    let values: SearchValues
}

/// The same with tests on attributes.
struct TestedExactVectorSearch: SearchStatement {
    static let name = "search_vector_exact_tested"
    static let parts = SearchSQL.Parts(vector: .exact, lexical: false, tests: true)
    static let sql = SearchSQL.make(parts)
    static let parameterTypes = SearchSQL.types(parts)
    let values: SearchValues
}

/// The lexical arm alone.
struct LexicalSearch: SearchStatement {
    static let name = "search_lexical"
    static let parts = SearchSQL.Parts(vector: nil, lexical: true)
    static let sql = SearchSQL.make(parts)
    static let parameterTypes = SearchSQL.types(parts)
    let values: SearchValues
}

/// The same with tests on attributes.
struct TestedLexicalSearch: SearchStatement {
    static let name = "search_lexical_tested"
    static let parts = SearchSQL.Parts(vector: nil, lexical: true, tests: true)
    static let sql = SearchSQL.make(parts)
    static let parameterTypes = SearchSQL.types(parts)
    let values: SearchValues
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
        SELECT a.generation, c.topic, c.partition, c.next_offset
        FROM active_generation a
        LEFT JOIN index_checkpoints c ON c.generation = a.generation
        """
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(
        _ row: borrowing PostgresRow
    ) throws(PostgresError) -> (generation: Int64, place: TopicPartition?, nextOffset: Int64) {
        let generation = try row.int64(0)
        guard let topic = try row.textOrNil(1) else { return (generation, nil, 0) }
        return (generation, TopicPartition(topic: topic, partition: try row.int32(2)), try row.int64(3))
    }
}

/// Keeps an answer.
struct SaveAnswer: PostgresStatement {
    static let name = "save_answer"
    static let sql = """
        INSERT INTO answers (answer_id, question, created_at, generation, index_version, is_refused, request, reply,
            retrieved, bytes, is_anonymous, tenant)
        VALUES ($1, $2, $3, $4, $5, $6, $7::text::json, $8::text::json, $9::text::json, $10, $11, $12)
        """
    static let parameterTypes: [PostgresType] = [
        .text, .text, .timestamptz, .int8, .int8, .bool, .text, .text, .text, .int4, .bool, .text,
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
    }
}

/// Reads an answer of a tenant back.
struct ReadAnswer: PostgresStatement {
    static let name = "read_answer"
    static let sql = """
        SELECT answer_id, question, created_at, generation, index_version, is_refused, request, reply, retrieved,
            is_anonymous, tenant
        FROM answers WHERE answer_id = $1 AND tenant = $2
        """
    static let parameterTypes: [PostgresType] = [.text, .text]
    let id: String
    let tenant: TenantID
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(IndexText.clean(id))
        parameters.append(tenant.text)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> StoredAnswer {
        StoredAnswer(
            id: try row.text(0), tenant: TenantID(try row.text(10)) ?? .standard, question: try row.text(1),
            createdAtMilliseconds: try row.timestampMilliseconds(2), generation: try row.int64(3),
            indexVersion: try row.int64(4), isRefused: try row.bool(5),
            requestJSON: try row.json(6), replyJSON: try row.json(7), retrievedJSON: try row.json(8),
            isAnonymous: try row.bool(9))
    }
}

/// All passages of a document that a generation sees now.
struct ReadDocument: PostgresStatement {
    static let name = "read_document"
    static let sql = """
        SELECT g.generation, (SELECT coalesce(max(version), 0) FROM index_versions), g.version, g.logic_version,
            g.lineage, g.source_topic, g.source_partition, g.source_offset, g.from_version, p.passage, p.text,
            p.text_hash, p.content_hash, p.model, p.embedding IS NOT NULL, p.tenant, p.collection
        FROM passages p
        JOIN generation_passages g ON g.passage_id = p.id
            AND g.generation = coalesce($2, (SELECT generation FROM active_generation)) AND g.to_version IS NULL
        WHERE p.doc_id = $1 AND ($3::text IS NULL OR p.collection = $3)
        ORDER BY p.tenant, p.collection, p.passage
        """
    static let parameterTypes: [PostgresType] = [.text, .int8, .text]
    let docID: String
    let collection: String?
    let generation: Int64?
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(IndexText.clean(docID))
        parameters.append(generation)
        parameters.append(collection.map { IndexText.clean($0) })
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> TraceRow {
        TraceRow(
            generation: try row.int64(0), indexVersion: try row.int64(1), version: try row.int64(2),
            logicVersion: try row.text(3), lineageJSON: try row.json(4), sourceTopic: try row.text(5),
            sourcePartition: try row.int32(6), sourceOffset: try row.int64(7), fromVersion: try row.int64(8),
            passage: try row.int32(9), text: try row.text(10), textHash: try row.text(11),
            contentHash: try row.text(12), model: try row.text(13), hasVector: try row.bool(14),
            tenant: try row.text(15), collection: try row.text(16))
    }
}
