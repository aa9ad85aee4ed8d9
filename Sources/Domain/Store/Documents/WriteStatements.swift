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

/// Which of some texts have vectors of a model already.
struct FindEmbeddedTexts: PostgresStatement {
    struct Row: Hashable {
        let textHash: String
        let passage: Int32
    }
    static let name = "find_embedded_texts"
    static let sql = """
        SELECT DISTINCT text_hash, passage FROM passages
        WHERE text_hash = ANY($1) AND model = $2 AND embedding IS NOT NULL
        """
    static let parameterTypes: [PostgresType] = [.textArray, .text]
    let textHashes: [String]
    let model: String
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(textHashes)
        parameters.append(model)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Row {
        Row(textHash: try row.text(0), passage: try row.int32(1))
    }
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
        SELECT lineage->'parents'->0->>'bronze_sha256' FROM generation_passages
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

/// Takes the planner's knowledge of common words over into our own table. One at a time: where another indexer is at it, there
/// is nothing left to do.
struct RefreshLexemes: PostgresStatement {
    static let name = "refresh_lexemes"
    static let sql = """
        WITH turn AS MATERIALIZED (
            SELECT pg_try_advisory_xact_lock(7882826980159875178) AS is_ours
        ), common AS MATERIALIZED (
            SELECT u.lexeme, max(u.frequency) AS frequency
            FROM turn, pg_stats s, LATERAL ROWS FROM (
                unnest(s.most_common_elems::text::text[]), unnest(s.most_common_elem_freqs)) AS u(lexeme, frequency)
            WHERE turn.is_ours AND s.schemaname = current_schema() AND s.tablename = 'passages' AND s.attname = 'words'
                AND u.lexeme IS NOT NULL
            GROUP BY u.lexeme
        ), gone AS (
            DELETE FROM lexeme_statistics l WHERE EXISTS (SELECT FROM common)
                AND NOT EXISTS (SELECT FROM common c WHERE c.lexeme = l.lexeme)
        )
        INSERT INTO lexeme_statistics AS l (lexeme, frequency) SELECT lexeme, frequency FROM common
        ON CONFLICT (lexeme) DO UPDATE SET frequency = excluded.frequency
        WHERE l.frequency <> excluded.frequency
        """
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
}
