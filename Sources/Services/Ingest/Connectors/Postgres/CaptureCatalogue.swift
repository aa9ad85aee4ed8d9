import Postgres
import Sources

/// What the catalogue says of a table whose changes are to be read.
struct CaptureCatalogue {
    /// The primary key's columns, in its order.
    private(set) var keys: [String] = []
    /// What the publication sends of a row.
    private(set) var columns: [LogRelation.Column] = []
    /// Of the columns whose types are the database's own, such as domains.
    private(set) var kinds: [UInt32: ColumnKind] = [:]
    /// The publication's condition on rows, as SQL.
    private(set) var condition: String?
    /// Columns that the database computes.
    private var generated: Set<String> = []
    /// Whether an update sends large values that it did not change.
    private(set) var hasWholeOldRows = false

    private static let limit = 15_000

    /// - Parameter creates: whether a publication that is not there is made; else its absence is no fault.
    /// - Throws: ``CaptureError`` with the first thing that has to be mended; `PostgresError`.
    init(_ connection: PostgresConnection, _ declaration: PostgresDeclaration, creates: Bool) throws {
        try Self.checkServer(connection)
        let table = try readTable(connection, declaration)
        try readColumns(connection, table, declaration)
        try readPublication(connection, declaration, creates: creates)
    }

    private static func rows(
        _ connection: PostgresConnection, _ sql: String, _ operation: String
    ) throws(PostgresError) -> [[String?]] {
        try connection.script(sql, operation: operation, timeoutMilliseconds: limit)
    }

    // MARK: Server

    private static func checkServer(_ connection: PostgresConnection) throws {
        let rows = try rows(
            connection,
            """
            SELECT current_setting('wal_level'), current_setting('server_version_num'),
                (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user), current_user,
                current_setting('max_replication_slots'), current_setting('max_wal_senders')
            """, "look at the server")
        guard let row = rows.first, row.count == 6 else { throw CaptureError("the server says nothing of itself") }
        guard let version = row[1].flatMap({ Int($0) }), version >= 140_000 else {
            throw CaptureError("the server is Postgres \(connection.serverVersion); changes are read from 14 on")
        }
        guard row[0] == "logical" else {
            throw CaptureError(
                "the server's wal_level is \(row[0] ?? "?"): set wal_level = logical and restart the server")
        }
        guard row[2] == "t" else {
            throw CaptureError(
                "the user \(row[3] ?? "?") may not read the log: ALTER ROLE \(PostgresText.identifier(row[3] ?? "?")) REPLICATION "
                    + "(in managed databases a role such as rds_replication)")
        }
        for (name, value) in [("max_replication_slots", row[4]), ("max_wal_senders", row[5])] where value == "0" {
            throw CaptureError("the server's \(name) is 0: set it to at least 2 and restart the server")
        }
    }

    // MARK: Table

    private mutating func readTable(
        _ connection: PostgresConnection, _ declaration: PostgresDeclaration
    ) throws -> String {
        let name = declaration.sqlName
        let rows = try Self.rows(
            connection,
            """
            SELECT c.oid, c.relkind, c.relreplident, c.relpersistence, has_table_privilege(c.oid, 'SELECT')
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = \(PostgresText.literal(declaration.schema))
                AND c.relname = \(PostgresText.literal(declaration.table))
            """, "look for the table")
        guard let row = rows.first, row.count == 5, let oid = row[0] else {
            throw CaptureError(
                "there is no table \(name) in the database, or its schema may not be used: correct the declaration, or "
                    + "GRANT USAGE ON SCHEMA \(PostgresText.identifier(declaration.schema))")
        }
        guard row[1] == "r" || row[1] == "p", row[3] == "p" else {
            throw CaptureError(
                "\(name) is no permanent table: changes of views, foreign and unlogged tables are in no log")
        }
        guard row[4] == "t" else { throw CaptureError("\(name) may not be read: GRANT SELECT ON \(name)") }
        hasWholeOldRows = row[2] == "f"
        guard row[2] == "d" || row[2] == "f" else {
            throw CaptureError(
                "the replica identity of \(name) is neither its primary key nor the whole row: ALTER TABLE \(name) REPLICA "
                    + "IDENTITY DEFAULT, or FULL")
        }
        let keys = try Self.rows(
            connection,
            """
            SELECT a.attname FROM pg_index i
            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
            WHERE i.indrelid = \(oid) AND i.indisprimary
            ORDER BY array_position(i.indkey::int2[], a.attnum)
            """, "look for the primary key")
        self.keys = keys.compactMap { $0.first.flatMap { $0 } }
        guard !self.keys.isEmpty else {
            throw CaptureError("\(name) has no primary key: add one, by which its rows are told apart")
        }
        return oid
    }

    private mutating func readColumns(
        _ connection: PostgresConnection, _ table: String, _ declaration: PostgresDeclaration
    ) throws {
        let rows = try Self.rows(
            connection,
            """
            SELECT a.attname, a.atttypid, coalesce(nullif(t.typbasetype, 0), t.oid),
                CASE WHEN t.typcategory = 'A' AND t.typtype = 'b' THEN t.typelem ELSE 0 END, a.attgenerated
            FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
            WHERE a.attrelid = \(table) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
            """, "look at the columns")
        for row in rows where row.count == 5 {
            guard let name = row[0], let type = row[1].flatMap({ UInt32($0) }),
                let base = row[2].flatMap({ UInt32($0) }), let element = row[3].flatMap({ UInt32($0) })
            else { continue }
            var kind = ColumnKind(type: base)
            if kind == .text, element != 0 { kind = .array(ColumnKind(type: element)) }
            kinds[type] = kind
            if row[4]?.isEmpty == false { generated.insert(name) }
            columns.append(LogRelation.Column(name: name, type: type, isKey: keys.contains(name)))
        }
    }

    // MARK: Publication

    private mutating func readPublication(
        _ connection: PostgresConnection, _ declaration: PostgresDeclaration, creates: Bool
    ) throws {
        let name = PostgresText.identifier(declaration.publication)
        let literal = PostgresText.literal(declaration.publication)
        let sql =
            "CREATE PUBLICATION \(name) FOR TABLE \(declaration.sqlName) WITH (publish_via_partition_root = true)"
        func found() throws -> [String?]? {
            try Self.rows(
                connection,
                "SELECT pubinsert, pubupdate, pubdelete FROM pg_publication WHERE pubname = \(literal)",
                "look for the publication"
            ).first
        }
        var publication = try found()
        if publication == nil, creates {
            do throws(PostgresError) {
                _ = try Self.rows(connection, sql, "create the publication")
            } catch {
                // Somebody else may have been quicker.
                guard error.sqlState == "42710" || error.kind != .server else {
                    throw CaptureError(
                        "the publication \(declaration.publication) is not there and could not be made (\(error.message)): as the "
                            + "table's owner, run: \(sql)")
                }
            }
            publication = try found()
        }
        if publication == nil, !creates { return }
        guard let publication else {
            throw CaptureError(
                "the publication \(declaration.publication) is not there: as the table's owner, run: \(sql)")
        }
        guard publication.allSatisfy({ $0 == "t" }) else {
            throw CaptureError(
                "the publication \(declaration.publication) leaves out inserts, updates or deletes: ALTER PUBLICATION \(name) SET "
                    + "(publish = 'insert, update, delete, truncate')")
        }
        try readPublishedTable(connection, declaration)
    }

    private mutating func readPublishedTable(
        _ connection: PostgresConnection, _ declaration: PostgresDeclaration
    ) throws {
        // Before 15 a publication has all columns of all rows.
        let rows = try Self.rows(
            connection,
            """
            SELECT coalesce(to_jsonb(p) ->> 'rowfilter', ''), c.name
            FROM pg_publication_tables p
            LEFT JOIN LATERAL jsonb_array_elements_text(
                CASE WHEN jsonb_typeof(to_jsonb(p) -> 'attnames') = 'array' THEN to_jsonb(p) -> 'attnames' END) c (name) ON true
            WHERE p.pubname = \(PostgresText.literal(declaration.publication))
                AND p.schemaname = \(PostgresText.literal(declaration.schema))
                AND p.tablename = \(PostgresText.literal(declaration.table))
            """, "look at the publication")
        guard let first = rows.first, first.count == 2 else {
            let name = PostgresText.identifier(declaration.publication)
            throw CaptureError(
                "the publication \(declaration.publication) does not publish \(declaration.sqlName) as one table: ALTER PUBLICATION "
                    + "\(name) ADD TABLE \(declaration.sqlName); and of a partitioned table ALTER PUBLICATION \(name) SET "
                    + "(publish_via_partition_root = true)")
        }
        condition = first[0].flatMap { $0.isEmpty ? nil : $0 }
        let published = Set(rows.compactMap { $0[1] })
        // The log holds generated columns from Postgres 18 on, where the publication says so.
        columns = columns.filter { published.isEmpty ? !generated.contains($0.name) : published.contains($0.name) }
        guard !published.isEmpty else { return }
        guard let missing = keys.first(where: { !published.contains($0) }) else { return }
        throw CaptureError(
            "the publication \(declaration.publication) leaves out \(missing), which is in the primary key: add it to its "
                + "columns")
    }
}

extension PostgresDeclaration {
    /// The table's name for SQL.
    var sqlName: String { PostgresText.identifier(schema) + "." + PostgresText.identifier(table) }
}
