package import Postgres

/// How far the active generation's index is in one topic.
package struct IndexProgress: Sendable, Equatable {
    /// The active generation.
    package var generation: Int64
    /// The newest index version, of any origin.
    package var indexVersion: Int64
    /// When the indexer last brought the generation forward, in milliseconds since 1970; nil when it never did.
    package var indexedAtMilliseconds: Int64?
    /// Next source offsets by topic partition.
    package var nextOffsets: [Int32: Int64]
    /// Whether the generation has checkpoints of another topic.
    package var isOfOtherTopic: Bool
}

/// What is asked again and again of how far the index is, in one statement.
///
/// Confined to one thread, and blocking, as its connection is; it connects when first used and again after a failure.
package final class ProgressStore {
    private let connection: LazyConnection

    /// - Parameter configuration: of a migrated database.
    package init(configuration: PostgresConfiguration) {
        connection = LazyConnection(configuration)
    }

    /// One snapshot of the active generation's checkpoints in a topic.
    package func progress(
        topic: String, timeoutMilliseconds: Int
    ) throws(IndexError) -> IndexProgress {
        let rows = try connection.run(
            ReadProgress(topic: topic), timeoutMilliseconds: timeoutMilliseconds)
        guard let first = rows.first else {
            throw IndexError(.schema, "there is no active generation", hint: "run `medallion migrate`")
        }
        var progress = IndexProgress(
            generation: first.generation, indexVersion: first.indexVersion,
            indexedAtMilliseconds: first.indexedAtMilliseconds, nextOffsets: [:],
            isOfOtherTopic: first.isOfOtherTopic)
        for row in rows {
            if let partition = row.partition, let next = row.nextOffset { progress.nextOffsets[partition] = next }
        }
        return progress
    }
}

/// The active generation's progress, with a row per checkpoint; one without where it has none in the topic.
struct ReadProgress: PostgresStatement {
    struct Row {
        let generation: Int64
        let indexVersion: Int64
        let indexedAtMilliseconds: Int64?
        let partition: Int32?
        let nextOffset: Int64?
        let isOfOtherTopic: Bool
    }
    static let name = "read_progress"
    static let sql = """
        SELECT a.generation, coalesce((SELECT max(version) FROM index_versions), 0), l.indexed_at, c.partition::bigint,
            c.next_offset, EXISTS (
                SELECT FROM index_checkpoints o WHERE o.generation = a.generation AND o.topic <> $1)
        FROM active_generation a
        LEFT JOIN live_progress l ON l.generation = a.generation
        LEFT JOIN index_checkpoints c ON c.generation = a.generation AND c.topic = $1
        """
    static let parameterTypes: [PostgresType] = [.text]
    let topic: String
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(IndexText.clean(topic))
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Row {
        Row(
            generation: try row.int64(0), indexVersion: try row.int64(1),
            indexedAtMilliseconds: try row.timestampMillisecondsOrNil(2),
            partition: try row.int64OrNil(3).flatMap { Int32(exactly: $0) }, nextOffset: try row.int64OrNil(4),
            isOfOtherTopic: try row.bool(5))
    }
}
