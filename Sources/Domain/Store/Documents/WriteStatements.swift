import Postgres
import Records

/// What an index transaction is for.
package enum IndexOrigin: String, Sendable {
    /// The indexer's work on the Gold topic: it makes the index newer.
    case live
    /// A replay's work, which says nothing of how new the index is.
    case replay
}

/// Takes the lock of index transactions and gives this one its number; a live one is noted as the newest of its
/// generations.
struct BeginIndexTransaction: PostgresStatement {
    static let name = "begin_index_transaction"
    static let sql = "SELECT medallion_begin_index_transaction($1, $2)"
    static let parameterTypes: [PostgresType] = [.text, .int8Array]
    let origin: IndexOrigin
    let generations: [Int64]
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(origin.rawValue)
        parameters.append(generations)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

/// Notes when the vectors of the index transaction at hand were there.
struct NoteEmbedded: PostgresStatement {
    static let name = "note_embedded"
    static let sql = "UPDATE index_versions SET embedded_at = $1 WHERE version = currval('index_version_sequence')"
    static let parameterTypes: [PostgresType] = [.timestamptz]
    let atMilliseconds: Int64
    func bind(into parameters: inout PostgresParameters) { parameters.append(timestampMilliseconds: atMilliseconds) }
}

/// Notes when the commit of an earlier index transaction had returned.
struct NoteSearchable: PostgresStatement {
    static let name = "note_searchable"
    static let sql = "UPDATE index_versions SET searchable_at = $2 WHERE version = $1"
    static let parameterTypes: [PostgresType] = [.int8, .timestamptz]
    let version: Int64
    let atMilliseconds: Int64
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(version)
        parameters.append(timestampMilliseconds: atMilliseconds)
    }
}

/// Makes the tables of a model's vectors and of a tenant's words, unless they are there. One row: the model's number.
struct PrepareVectors: PostgresStatement {
    static let name = "prepare_vectors"
    static let sql = "SELECT medallion_prepare_vectors($1, $2, $3, $4, $5)"
    static let parameterTypes: [PostgresType] = [.text, .int4, .text, .int4, .int4]
    let model: String
    let dimensions: Int
    let tenant: String
    let graph: VectorGraph
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(IndexText.clean(model))
        parameters.append(Int32(clamping: dimensions))
        parameters.append(tenant)
        parameters.append(Int32(clamping: graph.m))
        parameters.append(Int32(clamping: graph.efConstruction))
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int32 { try row.int32(0) }
}

/// Makes the table of a tenant's words, unless it is there.
struct PrepareTenant: PostgresStatement {
    static let name = "prepare_tenant"
    static let sql = "SELECT medallion_prepare_tenant($1)"
    static let parameterTypes: [PostgresType] = [.text]
    let tenant: String
    func bind(into parameters: inout PostgresParameters) { parameters.append(tenant) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int32 { try row.int32(0) }
}

/// The number of a model and of the numbers of its vectors; no row where the index has none of it.
struct FindModel: PostgresStatement {
    static let name = "find_model"
    static let sql = "SELECT id, dimensions FROM models WHERE name = $1"
    static let parameterTypes: [PostgresType] = [.text]
    let model: String
    func bind(into parameters: inout PostgresParameters) { parameters.append(IndexText.clean(model)) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> (number: Int32, dimensions: Int32) {
        (try row.int32(0), try row.int32(1))
    }
}

/// Which contents of some documents the index has for a model: their places, from 1.
struct FindContents: PostgresStatement {
    static let name = "find_contents"
    static let sql = """
        SELECT i.place FROM unnest($1, $2, $3, $4) WITH ORDINALITY AS i(tenant, collection, doc_id, content_hash, place)
        JOIN collections c ON c.tenant = i.tenant AND c.name = i.collection
        JOIN documents d ON d.doc_id = i.doc_id AND d.collection_id = c.id AND d.content_hash = i.content_hash
            AND d.model_id = $5
        """
    static let parameterTypes: [PostgresType] = [.textArray, .textArray, .textArray, .textArray, .int4]
    let documents: [GoldDocument]
    /// The model's number in the index; 0 for none.
    let model: Int32
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(documents.map(\.tenant.text))
        parameters.append(documents.map(\.collection.text))
        parameters.append(documents.map { IndexText.clean($0.docID) })
        parameters.append(documents.map { IndexText.clean($0.contentHash) })
        parameters.append(model)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

/// Which of some inputs have vectors of a model: their places, from 1.
struct FindVectors: PostgresStatement {
    static let name = "find_vectors"
    static let sql = make(model: 1)
    static let parameterTypes: [PostgresType] = [.textArray, .textArray]
    /// The model's number in the index.
    let model: Int32
    let inputs: [VectorInput]

    var text: StatementText {
        StatementText(
            name: "\(Self.name)_\(model)", sql: Self.make(model: model), types: Self.parameterTypes)
    }

    private static func make(model: Int32) -> String {
        """
        SELECT i.place FROM unnest($1, $2) WITH ORDINALITY AS i(tenant, input_hash, place)
        CROSS JOIN LATERAL (
            SELECT FROM vectors_\(model) v WHERE v.tenant = i.tenant AND v.input_hash = decode(i.input_hash, 'hex') LIMIT 1) v
        """
    }

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(inputs.map(\.tenant.text))
        parameters.append(inputs.map(\.hash))
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

/// Compares and sets a checkpoint; a mismatch fails the transaction (SQLSTATE MD001).
struct MoveCheckpoint: PostgresStatement {
    static let name = "move_checkpoint"
    static let sql = "SELECT medallion_move_checkpoint($1, $2, $3, $4, $5)"
    static let parameterTypes: [PostgresType] = [.int8, .text, .int4, .int8, .int8]
    let move: CheckpointMove
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(move.generation)
        parameters.append(move.source.topic)
        parameters.append(move.source.partition)
        parameters.append(move.expected)
        parameters.append(move.next)
    }
}

/// Remembers where to go on reading a Gold topic.
struct KeepGoldPosition: PostgresStatement {
    static let name = "keep_gold_position"
    static let sql = """
        INSERT INTO gold_positions (topic, partition, next_offset) VALUES ($1, $2, $3)
        ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset
        """
    static let parameterTypes: [PostgresType] = [.text, .int4, .int8]
    let gold: TopicPartition
    let nextOffset: Int64
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(gold.topic)
        parameters.append(gold.partition)
        parameters.append(nextOffset)
    }
}

/// The SHA-256 of the Bronze value that a generation's document of a source offset was made from.
struct FindBronzeHash: PostgresStatement {
    static let name = "find_bronze_hash"
    static let sql = """
        SELECT lineage->'parents'->0->>'bronze_sha256' FROM visibility
        WHERE generation = $1 AND source_topic = $2 AND source_partition = $3 AND source_offset = $4
            AND lineage->'parents'->0->>'bronze_sha256' IS NOT NULL
        LIMIT 1
        """
    static let parameterTypes: [PostgresType] = [.int8, .text, .int4, .int8]
    let generation: Int64
    let source: TopicPartition
    let offset: Int64
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(generation)
        parameters.append(source.topic)
        parameters.append(source.partition)
        parameters.append(offset)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> String { try row.text(0) }
}

/// All checkpoints.
struct ReadCheckpoints: PostgresStatement {
    static let name = "read_checkpoints"
    static let sql = """
        SELECT generation, topic, partition, next_offset FROM index_checkpoints ORDER BY generation, topic, partition
        """
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> IndexCheckpoint {
        IndexCheckpoint(
            generation: try row.int64(0),
            source: TopicPartition(topic: try row.text(1), partition: try row.int32(2)),
            nextOffset: try row.int64(3))
    }
}

/// All positions in Gold topics.
struct ReadGoldPositions: PostgresStatement {
    static let name = "read_gold_positions"
    static let sql = "SELECT topic, partition, next_offset FROM gold_positions ORDER BY topic, partition"
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> (gold: TopicPartition, nextOffset: Int64)
    {
        (TopicPartition(topic: try row.text(0), partition: try row.int32(1)), try row.int64(2))
    }
}
