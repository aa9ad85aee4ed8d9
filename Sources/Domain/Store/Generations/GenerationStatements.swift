import Postgres
import Records

/// Makes the next generation, whose vectors are of a model, or of its parent's.
struct CreateGeneration: PostgresStatement {
    static let name = "create_generation"
    static let sql = """
        INSERT INTO generations (generation, parent, state, logic_version, note, created_at, model_id)
        SELECT greatest(max(generation) + 1, $4), $1, 'created', $2, $3, clock_timestamp(),
            coalesce($5, max(model_id) FILTER (WHERE generation = $1))
        FROM generations
        RETURNING generation
        """
    static let parameterTypes: [PostgresType] = [.int8, .text, .text, .int8, .int4]
    let parent: Int64
    let logicVersion: String
    let note: String
    let atLeast: Int64
    /// Nil: the parent's.
    let model: Int32?
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(parent)
        parameters.append(IndexText.clean(logicVersion))
        parameters.append(IndexText.clean(note))
        parameters.append(atLeast)
        if let model { parameters.append(model) } else { parameters.appendNull() }
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

/// Topic partitions where the parent's checkpoint stands below the handover, or that have none.
struct FindUnreadyHandovers: PostgresStatement {
    static let name = "find_unready_handovers"
    static let sql = """
        SELECT coalesce(c.topic, h.topic), coalesce(c.partition, h.partition), c.next_offset, h.next_offset
        FROM (SELECT * FROM index_checkpoints WHERE generation = $1) c
        FULL JOIN unnest($2::text[], $3::int[], $4::bigint[]) AS h(topic, partition, next_offset)
            ON h.topic = c.topic AND h.partition = c.partition
        WHERE h.next_offset IS NULL OR coalesce(c.next_offset, 0) < h.next_offset
        ORDER BY 1, 2
        """
    struct Row {
        let source: TopicPartition
        let reached: Int64?
        let handover: Int64?
    }
    static let parameterTypes: [PostgresType] = [.int8, .textArray, .int4Array, .int8Array]
    let parent: Int64
    let handover: [TopicPartition: Int64]
    func bind(into parameters: inout PostgresParameters) {
        let sorted = handover.sorted { $0.key < $1.key }
        parameters.append(parent)
        parameters.append(sorted.map(\.key.topic))
        parameters.append(sorted.map(\.key.partition))
        parameters.append(sorted.map(\.value))
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Row {
        Row(
            source: TopicPartition(topic: try row.text(0), partition: try row.int32(1)),
            reached: try row.int64OrNil(2), handover: try row.int64OrNil(3))
    }
}

/// Starts a generation's checkpoint where there is none yet.
struct StartCheckpoint: PostgresStatement {
    static let name = "start_checkpoint"
    static let sql = """
        INSERT INTO index_checkpoints (generation, topic, partition, next_offset, updated_at)
        VALUES ($1, $2, $3, $4, clock_timestamp()) ON CONFLICT DO NOTHING
        """
    static let parameterTypes: [PostgresType] = [.int8, .text, .int4, .int8]
    let checkpoint: IndexCheckpoint
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(checkpoint.generation)
        parameters.append(checkpoint.source.topic)
        parameters.append(checkpoint.source.partition)
        parameters.append(checkpoint.nextOffset)
    }
}

/// Changes a generation's state if it is in one of those expected; else fails the transaction (SQLSTATE MD002).
struct SetGenerationState: PostgresStatement {
    static let name = "set_generation_state"
    static let sql = "SELECT medallion_set_generation_state($1, $2, $3)"
    static let parameterTypes: [PostgresType] = [.int8, .textArray, .text]
    let generation: Int64
    let expected: [GenerationState]
    let next: GenerationState
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(generation)
        parameters.append(expected.map(\.rawValue))
        parameters.append(next.rawValue)
    }
}

/// The states of all generations.
struct ReadGenerationStates: PostgresStatement {
    static let name = "read_generation_states"
    static let sql = "SELECT generation, state FROM generations ORDER BY generation"
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> (
        generation: Int64, state: GenerationState
    ) {
        (try row.int64(0), try GenerationState(row: row, column: 1, operation: name))
    }
}

extension GenerationState {
    /// - Throws: ``PostgresError`` where the column holds a word of another version.
    init(row: borrowing PostgresRow, column: Int, operation: String) throws(PostgresError) {
        guard let state = GenerationState(rawValue: try row.text(column)) else {
            throw PostgresError(
                kind: .decode, operation: operation, server: "index", message: "an unknown state of a generation",
                hint: "run `medallion migrate`, or use the newer program that wrote it")
        }
        self = state
    }
}

/// Sets the fingerprint of a generation that has none, as the first one has not.
struct SetLogicVersion: PostgresStatement {
    static let name = "set_logic_version"
    static let sql = "UPDATE generations SET logic_version = $2 WHERE generation = $1"
    static let parameterTypes: [PostgresType] = [.int8, .text]
    let generation: Int64
    let logicVersion: String
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(generation)
        parameters.append(IndexText.clean(logicVersion))
    }
}

/// Moves the pointer to the active generation.
struct PromoteGeneration: PostgresStatement {
    static let name = "promote_generation"
    static let sql = "SELECT medallion_promote($1)"
    static let parameterTypes: [PostgresType] = [.int8]
    let generation: Int64
    func bind(into parameters: inout PostgresParameters) { parameters.append(generation) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

/// All generations with what they hold.
struct ListGenerations: PostgresStatement {
    static let name = "list_generations"
    static let sql = """
        SELECT n.generation, n.parent, n.state, n.logic_version, n.note, n.created_at,
            coalesce(a.generation = n.generation, false), coalesce(c.passages, 0), coalesce(c.documents, 0), coalesce(m.name, '')
        FROM generations n
        LEFT JOIN models m ON m.id = n.model_id
        LEFT JOIN active_generation a ON true
        LEFT JOIN (
            SELECT g.generation, count(*) AS passages, count(*) FILTER (WHERE p.number = 0) AS documents
            FROM visibility g JOIN passages p ON p.document_id = g.document_id
            WHERE g.to_version IS NULL GROUP BY g.generation
        ) c ON c.generation = n.generation
        ORDER BY n.generation
        """
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> GenerationSummary {
        GenerationSummary(
            generation: try row.int64(0), parent: try row.int64OrNil(1),
            state: try GenerationState(row: row, column: 2, operation: name),
            logicVersion: try row.text(3), note: try row.text(4),
            createdAtMilliseconds: try row.timestampMilliseconds(5), isActive: try row.bool(6),
            passages: try row.int64(7), documents: try row.int64(8), model: try row.text(9), checkpoints: [])
    }
}

/// How a child differs from another generation, in documents below a handover.
struct CompareGenerations: PostgresStatement {
    static let name = "compare_generations"
    static let sql = """
        WITH child AS (
            SELECT key_id, document_id FROM visibility WHERE generation = $1 AND to_version IS NULL
        ), parent AS (
            SELECT key_id, document_id FROM visibility WHERE generation = $2 AND to_version IS NULL
        )
        SELECT count(*) FILTER (WHERE b.key_id IS NULL), count(*) FILTER (WHERE a.key_id IS NULL),
            count(*) FILTER (WHERE c.content_hash <> d.content_hash),
            count(*) FILTER (WHERE a.document_id = b.document_id OR c.content_hash = d.content_hash)
        FROM child a FULL JOIN parent b ON a.key_id = b.key_id
        LEFT JOIN documents c ON c.id = a.document_id AND a.document_id <> b.document_id
        LEFT JOIN documents d ON d.id = b.document_id AND a.document_id <> b.document_id
        """
    static let parameterTypes: [PostgresType] = [.int8, .int8]
    let child: Int64
    let parent: Int64
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(child)
        parameters.append(parent)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> GenerationDifference {
        GenerationDifference(
            added: try row.int64(0), removed: try row.int64(1), changed: try row.int64(2), unchanged: try row.int64(3))
    }
}
