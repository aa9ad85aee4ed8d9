package import Postgres

/// What the index takes on the database's disk, in bytes.
package struct IndexSize: Sendable, Equatable {
    /// A table with its indexes and its long values kept aside.
    package struct Table: Sendable, Equatable {
        package let name: String
        package let bytes: Int64
    }

    /// Largest first, ``IndexSizeReader/tablesMax`` at most.
    package var tables: [Table] = []
    /// The whole database.
    package var databaseBytes: Int64 = 0
}

/// Asks the database for the sizes. Confined to one thread, and blocking, as its connection is.
package final class IndexSizeReader {
    private let connection: LazyConnection

    /// Tables that are told apart. The index has some fifteen; a database may be shared.
    package static let tablesMax: Int64 = 40

    /// - Parameter configuration: of a migrated database.
    package init(configuration: PostgresConfiguration) { connection = LazyConnection(configuration) }

    /// The sizes now. Waits, at most as long as told, for a table that a migration holds.
    package func read(timeoutMilliseconds: Int) throws(IndexError) -> IndexSize {
        let rows = try connection.run(
            ListTableSizes(limit: Self.tablesMax), timeoutMilliseconds: timeoutMilliseconds)
        return IndexSize(
            tables: rows.map { .init(name: $0.table, bytes: $0.bytes) }, databaseBytes: rows.first?.databaseBytes ?? 0)
    }
}

/// The tables of the schema that the index lives in.
struct ListTableSizes: PostgresStatement {
    static let name = "list_table_sizes"
    // A table that is dropped meanwhile has no size.
    static let sql = """
        SELECT c.relname::text, coalesce(pg_total_relation_size(c.oid), 0), pg_database_size(current_database())
        FROM pg_class c
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
        ORDER BY 2 DESC, 1 LIMIT $1
        """
    struct Row {
        let table: String
        let bytes: Int64
        let databaseBytes: Int64
    }
    static let parameterTypes: [PostgresType] = [.int8]
    let limit: Int64
    func bind(into parameters: inout PostgresParameters) { parameters.append(limit) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Row {
        Row(table: try row.text(0), bytes: try row.int64(1), databaseBytes: try row.int64(2))
    }
}
