import Bytes
import Postgres
import Records
import Sources

/// Reads a table as of one moment, in ranges of its primary key.
final class TableSnapshot {
    /// The place in the log: what was committed before it is shown, and nothing else.
    let position: UInt64
    private let connection: PostgresConnection
    private let declaration: PostgresDeclaration
    /// As the table is while this is open: nobody changes its definition meanwhile.
    let catalogue: CaptureCatalogue
    private let bytesMax: Int
    private let range: SourceKeyRange
    private let begun = TableSnapshot.now()
    /// After so long without a statement the server ends the session: the role's own limit where that is lower.
    let idleMilliseconds: Int
    /// Whether anything was read of it.
    private(set) var hasRead = false

    private static let limit = 60_000

    /// Takes up a snapshot that a replication session exported; that session may go afterwards.
    ///
    /// - Parameters:
    ///   - connection: in no transaction; from now on it is this object's.
    ///   - range: of the first column of the key.
    ///   - idleMilliseconds: after so long without a statement the server ends the session, and with it the transaction.
    ///   - catalogue: asked by another session once the table's definition is held.
    /// - Throws: `PostgresError`; ``CaptureError`` where the snapshot does not show what is in the table.
    init(
        _ view: ExportedSnapshot, _ connection: PostgresConnection, _ declaration: PostgresDeclaration,
        range: SourceKeyRange = SourceKeyRange(), bytesMax: Int, idleMilliseconds: Int,
        catalogue: () throws -> CaptureCatalogue
    ) throws {
        position = view.position
        self.connection = connection
        self.declaration = declaration
        self.bytesMax = bytesMax
        self.range = range
        try connection.script(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", operation: "begin the snapshot",
            timeoutMilliseconds: Self.limit)
        try connection.script(
            "SET TRANSACTION SNAPSHOT \(PostgresText.literal(view.name))", operation: "take up the snapshot",
            timeoutMilliseconds: Self.limit)
        // Only now: making the slot would wait for an ALTER that is queued behind an earlier lock. The check below finds a table
        // that was rewritten in between.
        try connection.script(
            "LOCK TABLE \(declaration.sqlName) IN ACCESS SHARE MODE", operation: "lock the table",
            timeoutMilliseconds: Self.limit)
        try Self.checkRewritten(connection, declaration)
        self.catalogue = try catalogue()
        // A reader that is held up, or gone without a word, must not hold the table. The role's own limit counts where it is lower.
        let limits = try connection.script(
            """
            SELECT set_config('idle_in_transaction_session_timeout',
                least(nullif(setting::bigint, 0), \(idleMilliseconds))::text, true),
                least(nullif(setting::bigint, 0), \(idleMilliseconds))
            FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'
            """, operation: "limit the snapshot", timeoutMilliseconds: Self.limit)
        self.idleMilliseconds = limits.first?.last.flatMap { $0 }.flatMap { Int($0) } ?? idleMilliseconds
    }

    /// Refuses a table whose files were replaced after the snapshot's moment: its rows are new ones then, which the snapshot does not
    /// show, and a table that reads as empty would have all of its documents deleted.
    private static func checkRewritten(
        _ connection: PostgresConnection, _ declaration: PostgresDeclaration
    ) throws {
        // The snapshot shows the files that were there at its moment, and the function those that are there now.
        let rows = try connection.script(
            """
            WITH RECURSIVE \(tree(declaration))
            SELECT count(*) FROM pg_class c JOIN tree ON tree.oid = c.oid
            WHERE c.relfilenode <> pg_relation_filenode(c.oid)
            """, operation: "look for rewrites", timeoutMilliseconds: limit)
        guard rows.first?.first != "0" else { return }
        throw CaptureError(
            "\(declaration.sqlName) was rewritten, or emptied, while it was to be read: it is read as of a later moment"
        )
    }

    /// The table, and what is read with it, as SQL.
    private static func tree(_ declaration: PostgresDeclaration) -> String {
        """
        tree (oid) AS (SELECT \(PostgresText.literal(declaration.sqlName))::regclass::oid
            UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid)
        """
    }

    /// Whether somebody waits until this lets go of the table.
    func isWaitedFor() throws(PostgresError) -> Bool {
        let rows = try connection.script(
            """
            WITH RECURSIVE \(Self.tree(declaration))
            SELECT EXISTS (SELECT FROM pg_locks l JOIN tree ON tree.oid = l.relation
                WHERE l.locktype = 'relation' AND NOT l.granted AND pg_backend_pid() = ANY (pg_blocking_pids(l.pid))
                    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
            """, operation: "look for those that wait", timeoutMilliseconds: Self.limit)
        return rows.first?.first == "t"
    }

    private static func now() -> Int64 { SystemClock.monotonicNanoseconds() / 1_000_000 }

    /// How long its transaction has been open.
    var ageMilliseconds: Int64 { Self.now() - begun }

    /// The rows behind the one of a key, and whether they are the table's last.
    ///
    /// The server counts what the rows take there, where large values are packed and lie apart, and sends no more than fits;
    /// one row it always sends.
    ///
    /// - Parameter rowsMax: so many at most.
    func rows(
        after key: [String]?, rowsMax: Int
    ) throws(PostgresError) -> (rows: [CapturedRow], isEnd: Bool) {
        let keys = catalogue.keys.map { PostgresText.identifier($0) }.joined(separator: ", ")
        var conditions: [String] = []
        if let condition = catalogue.condition { conditions.append("(\(condition))") }
        if let first = catalogue.keys.first.map({ PostgresText.identifier($0) }) {
            if let from = range.from { conditions.append("\(first) >= \(PostgresText.literal(from))") }
            if let to = range.to { conditions.append("\(first) <= \(PostgresText.literal(to))") }
        }
        if let key {
            let values = key.map { PostgresText.literal($0) }.joined(separator: ", ")
            conditions.append("(\(keys)) > (\(values))")
        }
        let columns = catalogue.columns
        let names = columns.map { PostgresText.identifier($0.name) }.joined(separator: ", ")
        let size = columns.map { "coalesce(pg_column_size(\(PostgresText.identifier($0.name))), 0)" }
        // Names that no column is likely to have.
        let sql = """
            SELECT \(names), "medallion's count" FROM (
                SELECT \(names), count(*) OVER () AS "medallion's count", sum("medallion's size") OVER (
                    ORDER BY \(keys) ROWS UNBOUNDED PRECEDING) - "medallion's size" AS "medallion's sum"
                FROM (SELECT \(names), \(size.joined(separator: " + "))::bigint AS "medallion's size"
                    FROM \(declaration.sqlName)
                    \(conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND "))
                    ORDER BY \(keys) LIMIT \(rowsMax)) candidates) counted
            WHERE "medallion's sum" < \(bytesMax) ORDER BY \(keys)
            """
        let rows = try connection.script(sql, operation: "read the table", timeoutMilliseconds: Self.limit)
        hasRead = true
        let count = rows.first?.last.flatMap { $0 }.flatMap { Int($0) } ?? 0
        let captured = rows.map { row in
            CapturedRow(columns: columns, values: row.dropLast().map { Self.value($0) })
        }
        return (captured, rows.count == count && count < rowsMax)
    }

    /// About how many rows the whole table has; nil where the server has not counted.
    func rowsExpected() throws(PostgresError) -> Int? {
        guard range.isWhole else { return nil }
        let table = "\(PostgresText.literal(declaration.sqlName))::regclass"
        let rows = try connection.script(
            """
            SELECT sum(greatest(reltuples, 0))::bigint FROM pg_class
            WHERE relkind = 'r' AND (oid = \(table) OR oid IN (SELECT relid FROM pg_partition_tree(\(table))))
            """, operation: "guess the rows", timeoutMilliseconds: Self.limit)
        return rows.first?.first.flatMap { $0 }.flatMap { Int($0) }.flatMap { $0 > 0 ? $0 : nil }
    }

    private static func value(_ text: String?) -> LogValue {
        guard let text else { return .null }
        return .text(Array(text.utf8))
    }

    /// Ends the session.
    func close() { connection.close() }
}
