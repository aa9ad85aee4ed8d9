import Postgres
import Sources

/// Reads a table as of one moment, in ranges of its primary key.
final class TableSnapshot {
    /// The place in the log: what was committed before it is shown, and nothing else.
    let position: UInt64
    private let connection: PostgresConnection
    private let declaration: PostgresDeclaration
    private let catalogue: CaptureCatalogue
    private let rowsMax: Int

    private static let limit = 60_000

    /// Takes up a snapshot that a replication session exported; that session may go afterwards.
    ///
    /// - Parameter connection: in no transaction; from now on it is this object's.
    init(
        _ name: String, at position: UInt64, _ connection: PostgresConnection, _ declaration: PostgresDeclaration,
        _ catalogue: CaptureCatalogue, rowsMax: Int
    ) throws(PostgresError) {
        self.position = position
        self.connection = connection
        self.declaration = declaration
        self.catalogue = catalogue
        self.rowsMax = rowsMax
        try connection.script(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", operation: "begin the snapshot",
            timeoutMilliseconds: Self.limit)
        try connection.script(
            "SET TRANSACTION SNAPSHOT \(PostgresText.literal(name))", operation: "take up the snapshot",
            timeoutMilliseconds: Self.limit)
    }

    /// The rows behind the one of a key; fewer than `rowsMax` at the table's end.
    func rows(after key: [String]?) throws(PostgresError) -> [CapturedRow] {
        let keys = catalogue.keys.map { PostgresText.identifier($0) }.joined(separator: ", ")
        var conditions: [String] = []
        if let condition = catalogue.condition { conditions.append("(\(condition))") }
        if let key {
            let values = key.map { PostgresText.literal($0) }.joined(separator: ", ")
            conditions.append("(\(keys)) > (\(values))")
        }
        let columns = catalogue.columns
        let names = columns.map { PostgresText.identifier($0.name) }.joined(separator: ", ")
        let sql =
            "SELECT \(names) FROM \(declaration.sqlName)"
            + (conditions.isEmpty ? "" : " WHERE " + conditions.joined(separator: " AND "))
            + " ORDER BY \(keys) LIMIT \(rowsMax)"
        let rows = try connection.script(sql, operation: "read the table", timeoutMilliseconds: Self.limit)
        return rows.map { row in
            CapturedRow(columns: columns, values: row.map { Self.value($0) })
        }
    }

    private static func value(_ text: String?) -> LogValue {
        guard let text else { return .null }
        return .text(Array(text.utf8))
    }

    /// Ends the session.
    func close() { connection.close() }
}
