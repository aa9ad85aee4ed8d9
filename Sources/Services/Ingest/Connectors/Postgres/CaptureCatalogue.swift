import Postgres
import Sources

/// What the catalogue says of a table whose changes are to be read.
struct CaptureCatalogue {
    /// The primary key's columns, in its order.
    private(set) var keys: [String] = []
    /// What the order of its rows follows from: of each of these columns its number, type and collation.
    private(set) var keyOrder: [String] = []
    /// What the publication sends of a row.
    private(set) var columns: [LogRelation.Column] = []
    /// Of the columns whose types are the database's own, such as domains.
    private(set) var kinds: [UInt32: ColumnKind] = [:]
    /// The publication's condition on rows, as SQL.
    private(set) var condition: String?
    private(set) var identity = CaptureIdentity(table: 0, publication: 0, membership: 0)
    /// Whether the publication is there.
    private(set) var isPublished = false
    private var user = "?"
    /// Columns that the database computes.
    private var generated: Set<String> = []
    /// Whether an update sends large values that it did not change.
    private(set) var hasWholeOldRows = false

    private static let limit = 15_000

    /// What is looked for.
    enum Purpose {
        /// Whether it could be read; nothing is changed.
        case looking
        /// What is to be read from its beginning: a publication that is not there is made.
        case beginning
        /// What was read before: anything else under its names means that changes were lost.
        case goingOn(CaptureIdentity)
    }

    /// - Parameter idPath: where the logic finds a document's id; nil for not to look at that.
    /// - Throws: ``CaptureError`` with the first thing that has to be mended; `PostgresError`.
    init(
        _ connection: PostgresConnection, _ declaration: PostgresDeclaration, _ purpose: Purpose, idPath: String?
    ) throws {
        try checkServer(connection)
        try readTable(connection, declaration, purpose)
        try readColumns(connection, declaration)
        if let idPath { try checkID(idPath, declaration) }
        try readPublication(connection, declaration, purpose)
    }

    private static func rows(
        _ connection: PostgresConnection, _ sql: String, _ operation: String
    ) throws(PostgresError) -> [[String?]] {
        try connection.script(sql, operation: operation, timeoutMilliseconds: limit)
    }

    // MARK: Server

    private mutating func checkServer(_ connection: PostgresConnection) throws {
        let rows = try Self.rows(
            connection,
            """
            SELECT current_setting('wal_level'), current_setting('server_version_num'),
                (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user)
                    OR EXISTS (SELECT FROM pg_roles WHERE rolname IN ('rds_replication', 'rds_superuser')
                        AND pg_has_role(current_user, oid, 'MEMBER')), current_user,
                current_setting('max_replication_slots'), current_setting('max_wal_senders')
            """, "look at the server")
        guard let row = rows.first, row.count == 6 else {
            throw CaptureError("the server's settings could not be read")
        }
        user = row[3] ?? "?"
        guard let version = row[1].flatMap({ Int($0) }), version >= 140_000 else {
            throw CaptureError("the server is Postgres \(connection.serverVersion); changes are read from 14 on")
        }
        guard row[0] == "logical" else {
            throw CaptureError(
                "the server's wal_level is \(row[0] ?? "?"): set wal_level = logical and restart the server")
        }
        guard row[2] == "t" else {
            throw CaptureError(
                "the user \(user) lacks the REPLICATION privilege: ALTER ROLE \(PostgresText.identifier(user)) "
                    + "REPLICATION (on Amazon RDS: GRANT rds_replication TO \(PostgresText.identifier(user)))")
        }
        for (name, value) in [("max_replication_slots", row[4]), ("max_wal_senders", row[5])] where value == "0" {
            throw CaptureError("the server's \(name) is 0: set it to at least 2 and restart the server")
        }
    }

    // MARK: Table

    private mutating func readTable(
        _ connection: PostgresConnection, _ declaration: PostgresDeclaration, _ purpose: Purpose
    ) throws {
        let name = declaration.sqlName
        let role = PostgresText.identifier(user)
        let rows = try Self.rows(
            connection,
            """
            SELECT c.oid, c.relkind, c.relreplident, c.relpersistence, has_table_privilege(c.oid, 'SELECT'),
                has_schema_privilege(n.oid, 'USAGE'), row_security_active(c.oid)
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = \(PostgresText.literal(declaration.schema))
                AND c.relname = \(PostgresText.literal(declaration.table))
            """, "look for the table")
        guard let row = rows.first, row.count == 7, let oid = row[0].flatMap({ UInt32($0) }) else {
            try checkRenamed(connection, declaration, purpose)
            throw CaptureError("there is no table \(name) in the database: correct the declaration")
        }
        identity.table = oid
        if case .goingOn(let before) = purpose, oid != before.table {
            try checkRenamed(connection, declaration, purpose)
            throw CaptureSlot.lost(declaration, identity.replaced(since: before, declaration) ?? name)
        }
        guard row[1] == "r" || row[1] == "p", row[3] == "p" else {
            throw CaptureError(
                "\(name) is not a permanent table: changes of views, foreign and unlogged tables are in no log")
        }
        guard row[5] == "t" else {
            let schema = PostgresText.identifier(declaration.schema)
            throw CaptureError("the schema of \(name) may not be used: GRANT USAGE ON SCHEMA \(schema) TO \(role)")
        }
        guard row[4] == "t" else { throw CaptureError("\(name) may not be read: GRANT SELECT ON \(name) TO \(role)") }
        guard row[6] == "f" else {
            throw CaptureError(
                "row-level security hides rows of \(name) from the user \(user), and what is hidden would be taken for "
                    + "deleted: ALTER ROLE \(role) BYPASSRLS")
        }
        hasWholeOldRows = row[2] == "f"
        guard row[2] == "d" || row[2] == "f" else {
            throw CaptureError(
                "the replica identity of \(name) is neither its primary key nor the whole row: ALTER TABLE \(name) REPLICA "
                    + "IDENTITY DEFAULT, or FULL")
        }
        let keys = try Self.rows(
            connection,
            """
            SELECT a.attname, concat_ws(':', a.attnum, a.atttypid, a.attcollation) FROM pg_index i
            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
            WHERE i.indrelid = \(oid) AND i.indisprimary
            ORDER BY array_position(i.indkey::int2[], a.attnum)
            """, "look for the primary key")
        self.keys = keys.compactMap { $0.first.flatMap { $0 } }
        keyOrder = keys.compactMap { $0.last.flatMap { $0 } }
        guard !self.keys.isEmpty else {
            throw CaptureError("\(name) has no primary key: add one, by which its rows are told apart")
        }
    }

    /// Where the table that was read before has another name now, says which.
    private func checkRenamed(
        _ connection: PostgresConnection, _ declaration: PostgresDeclaration, _ purpose: Purpose
    ) throws {
        guard case .goingOn(let before) = purpose else { return }
        let rows = try Self.rows(
            connection,
            """
            SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.oid = \(before.table)
            """, "look for the table's new name")
        guard let row = rows.first, row.count == 2, let schema = row[0], let table = row[1] else {
            throw CaptureSlot.lost(declaration, "the table \(declaration.sqlName) that was read before is gone")
        }
        throw CaptureError(
            "the table \(declaration.sqlName) that was read before is now \(schema).\(table): rename it back, or declare "
                + "the one that is to be read, with a higher \"snapshot\"")
    }

    /// Only the key is in a deletion, and a row whose key stays may not become another document.
    private func checkID(_ path: String, _ declaration: PostgresDeclaration) throws(CaptureError) {
        let name = declaration.sqlName
        guard keys.count == 1, let key = keys.first else {
            throw CaptureError(
                "the primary key of \(name) has \(keys.count) columns (\(keys.joined(separator: ", "))), and a document's id is "
                    + "one value: such a table cannot be followed; give it a primary key of one column")
        }
        guard key == path, !key.contains(".") else {
            throw CaptureError(
                "the documents' id is \"\(path)\", and the primary key of \(name) is \(key): declare \"id\": \"\(key)\"; "
                    + "a deletion names a row by its key alone")
        }
    }

    private mutating func readColumns(_ connection: PostgresConnection, _ declaration: PostgresDeclaration) throws {
        let rows = try Self.rows(
            connection,
            """
            WITH RECURSIVE base (type, oid) AS (
                SELECT DISTINCT atttypid, atttypid FROM pg_attribute
                WHERE attrelid = \(identity.table) AND attnum > 0 AND NOT attisdropped
                UNION ALL
                SELECT b.type, t.typbasetype FROM base b JOIN pg_type t ON t.oid = b.oid WHERE t.typtype = 'd')
            SELECT a.attname, a.atttypid, t.oid,
                CASE WHEN t.typcategory = 'A' AND t.typtype = 'b' AND t.typdelim = ',' THEN t.typelem ELSE 0 END,
                a.attgenerated,
                CASE WHEN t.typtype = 'b' AND t.typcategory <> 'A' AND t.typnamespace <> 'pg_catalog'::regnamespace
                    THEN t.typname END
            FROM pg_attribute a
            JOIN base b ON b.type = a.atttypid JOIN pg_type t ON t.oid = b.oid AND t.typtype <> 'd'
            WHERE a.attrelid = \(identity.table) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
            """, "look at the columns")
        for row in rows where row.count == 6 {
            guard let name = row[0], let type = row[1].flatMap({ UInt32($0) }),
                let base = row[2].flatMap({ UInt32($0) }), let element = row[3].flatMap({ UInt32($0) })
            else { continue }
            var kind = ColumnKind(type: base)
            if kind == .text, element != 0 { kind = .array(ColumnKind(type: element)) }
            kinds[type] = kind
            if row[4]?.isEmpty == false { generated.insert(name) }
            // Under the fixed search path its own operators are not found, and others may put rows into another order.
            if let foreign = row[5], keys.contains(name) {
                throw CaptureError(
                    "the column \(name) of the primary key of \(declaration.sqlName) is of the type \(foreign), which "
                        + "an extension brings: a table cannot be read in the order of such a key; give it a key of "
                        + "another type")
            }
            columns.append(LogRelation.Column(name: name, type: type, isKey: keys.contains(name)))
        }
    }

    /// What came and went, for people; nil where nothing did.
    func columnChanges(since before: CaptureCatalogue) -> String? {
        let (now, then) = (columns.map(\.name), before.columns.map(\.name))
        let added = now.filter { !then.contains($0) }.map { "+\($0)" }
        let changes = added + then.filter { !now.contains($0) }.map { "-\($0)" }
        return changes.isEmpty ? nil : changes.joined(separator: " ")
    }

    // MARK: Publication

    private mutating func readPublication(
        _ connection: PostgresConnection, _ declaration: PostgresDeclaration, _ purpose: Purpose
    ) throws {
        let name = PostgresText.identifier(declaration.publication)
        let literal = PostgresText.literal(declaration.publication)
        let sql =
            "CREATE PUBLICATION \(name) FOR TABLE \(declaration.sqlName) WITH (publish_via_partition_root = true)"
        func found() throws -> [String?]? {
            try Self.rows(
                connection,
                """
                SELECT p.oid, coalesce((SELECT r.oid FROM pg_publication_rel r
                        WHERE r.prpubid = p.oid AND r.prrelid = \(identity.table)), 0),
                    p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate
                FROM pg_publication p WHERE p.pubname = \(literal)
                """, "look for the publication"
            ).first
        }
        var publication = try found()
        switch purpose {
        case .beginning where publication == nil:
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
        case .goingOn where publication == nil:
            throw CaptureSlot.lost(declaration, "the publication \(declaration.publication) is gone")
        case .looking where publication == nil:
            guard try mayPublish(connection) else { break }
            return
        default: break
        }
        guard let publication, publication.count == 3 else {
            throw CaptureError(
                "the publication \(declaration.publication) is not there: as the table's owner, run: \(sql)")
        }
        identity.publication = publication[0].flatMap { UInt32($0) } ?? 0
        identity.membership = publication[1].flatMap { UInt32($0) } ?? 0
        if case .goingOn(let before) = purpose, let what = identity.replaced(since: before, declaration) {
            throw CaptureSlot.lost(declaration, what)
        }
        guard publication[2] == "t" else {
            throw CaptureError(
                "the publication \(declaration.publication) leaves out inserts, updates, deletes or truncations: ALTER "
                    + "PUBLICATION \(name) SET (publish = 'insert, update, delete, truncate')")
        }
        isPublished = true
        try readPublishedTable(connection, declaration)
    }

    /// Whether the role could make a publication of the table.
    private func mayPublish(_ connection: PostgresConnection) throws(PostgresError) -> Bool {
        let rows = try Self.rows(
            connection,
            """
            SELECT has_database_privilege(current_database(), 'CREATE') AND pg_has_role(c.relowner, 'USAGE')
            FROM pg_class c WHERE c.oid = \(identity.table)
            """, "look at the rights")
        return rows.first?.first == "t"
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
