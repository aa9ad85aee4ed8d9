import Postgres
import Retrieval

/// Removes kept answers that are too old or too many, in steps that hold no lock for long. Any number of processes may do so
/// at once.
enum AnswerTidying {
    /// One step of at most ten thousand rows.
    ///
    /// - Returns: rows removed; 0 when nothing is left to do, or another process is doing it.
    static func step(
        _ connection: LazyConnection, _ bounds: AnswerBounds, nowMilliseconds: Int64, timeoutMilliseconds: Int
    ) throws(IndexError) -> Int64 {
        if bounds.retentionMilliseconds > 0 {
            let old = RemoveOldAnswers(beforeMilliseconds: nowMilliseconds - bounds.retentionMilliseconds)
            let removed = try connection.run(old, timeoutMilliseconds: timeoutMilliseconds).first ?? 0
            if removed > 0 { return removed }
        }
        guard bounds.areInSize else { return 0 }
        return try connection.run(TrimAnswers(bounds: bounds), timeoutMilliseconds: timeoutMilliseconds).first ?? 0
    }
}

/// Removes answers from before a moment, some at a time. Those that another process is removing are left to it.
struct RemoveOldAnswers: PostgresStatement {
    static let name = "remove_old_answers"
    static let sql = """
        WITH gone AS (
            DELETE FROM answers WHERE answer_id IN (
                SELECT answer_id FROM answers WHERE created_at < $1 ORDER BY created_at, answer_id LIMIT 10000
                FOR UPDATE SKIP LOCKED)
            RETURNING 1
        )
        SELECT count(*) FROM gone
        """
    static let parameterTypes: [PostgresType] = [.timestamptz]
    let beforeMilliseconds: Int64

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(timestampMilliseconds: beforeMilliseconds)
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

/// Removes the answers that are too many, the oldest first, some at a time. Of those given without a key only the newest half of
/// the bounds is as good as the others: beyond it they go first, so that strangers cannot push out what people with keys were
/// told. Where only one sort is asked for, it may have all the room. While all fit, none goes; else they go in a large step.
///
/// One process at a time looks; what a second one would find at the same moment is the same.
struct TrimAnswers: PostgresStatement {
    static let name = "trim_answers"
    static let sql = """
        WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(7238146402151) AS is_ours),
        excess AS (
            SELECT count(*) > $5 OR sum(a.bytes) > $6 AS is_due FROM turn JOIN answers a ON turn.is_ours
        ), sorted AS (
            SELECT a.answer_id, a.created_at, a.bytes,
                a.is_anonymous AND (row_number() OVER own > $3 / 2 OR sum(a.bytes) OVER own > $4 / 2) AS is_beyond
            FROM answers a WHERE (SELECT is_due FROM excess)
            WINDOW own AS (
                PARTITION BY a.is_anonymous ORDER BY a.created_at DESC, a.answer_id DESC ROWS UNBOUNDED PRECEDING)
        ), placed AS (
            SELECT answer_id, row_number() OVER kept AS place, sum(bytes) OVER kept AS total FROM sorted
            WINDOW kept AS (ORDER BY is_beyond, created_at DESC, answer_id DESC ROWS UNBOUNDED PRECEDING)
        ), gone AS (
            DELETE FROM answers WHERE answer_id IN (
                SELECT answer_id FROM placed WHERE place > $1 OR total > $2 ORDER BY place DESC LIMIT 10000)
            RETURNING 1
        )
        SELECT count(*) FROM gone
        """
    static let parameterTypes: [PostgresType] = [.int8, .int8, .int8, .int8, .int8, .int8]
    let bounds: AnswerBounds

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(bounds.rowsLeft)
        parameters.append(bounds.bytesLeft)
        parameters.append(bounds.rowsMax > 0 ? bounds.rowsMax : .max)
        parameters.append(bounds.bytesMax > 0 ? bounds.bytesMax : .max)
        parameters.append(bounds.rowsUntilDue)
        parameters.append(bounds.bytesUntilDue)
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}
