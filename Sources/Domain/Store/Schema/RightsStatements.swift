import Postgres

/// The tables called `schema_migrations` that there are, be they this program's and visible or not.
struct FindMigrationList: PostgresStatement {
    static let name = "find_migration_list"
    // Catalogs may be read by everybody, also of schemas that may not be used.
    static let sql = """
        SELECT n.nspname::text, quote_ident(n.nspname),
            coalesce(c.oid = to_regclass('schema_migrations'), false), has_schema_privilege(n.oid, 'USAGE'),
            has_table_privilege(c.oid, 'SELECT'),
            (SELECT count(*) = 2 FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attname IN ('name', 'checksum') AND NOT a.attisdropped),
            n.nspname IN (
                SELECT CASE btrim(part, ' "') WHEN '$user' THEN current_user::text ELSE btrim(part, ' "') END
                FROM unnest(string_to_array(current_setting('search_path'), ',')) AS part),
            current_user::text, quote_ident(current_user)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relname = 'schema_migrations' AND c.relkind IN ('r', 'p')
        """
    struct Row {
        let schema: String
        let quotedSchema: String
        let isVisible: Bool
        let isUsable: Bool
        let isReadable: Bool
        let isOurs: Bool
        let isInSearchPath: Bool
        let role: String
        let quotedRole: String
    }
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Row {
        Row(
            schema: try row.text(0), quotedSchema: try row.text(1), isVisible: try row.bool(2),
            isUsable: try row.bool(3),
            isReadable: try row.bool(4), isOurs: try row.bool(5), isInSearchPath: try row.bool(6),
            role: try row.text(7), quotedRole: try row.text(8))
    }
}

/// Who this session is, and what it may create.
struct SessionRights: PostgresStatement {
    static let name = "session_rights"
    static let sql = """
        SELECT current_user::text, quote_ident(current_user), current_database()::text, current_schema()::text,
            quote_ident(current_schema()), coalesce(has_schema_privilege(current_schema(), 'CREATE'), false),
            EXISTS (SELECT FROM pg_extension WHERE extname = 'vector'),
            EXISTS (SELECT FROM pg_available_extensions WHERE name = 'vector')
        """
    struct Row {
        let role: String
        let quotedRole: String
        let database: String
        /// Where tables are made; nil where no schema of the search path may be used.
        let schema: String?
        let quotedSchema: String?
        let mayCreate: Bool
        let hasVector: Bool
        let isVectorAvailable: Bool
    }
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Row {
        Row(
            role: try row.text(0), quotedRole: try row.text(1), database: try row.text(2),
            schema: try row.textOrNil(3), quotedSchema: try row.textOrNil(4), mayCreate: try row.bool(5),
            hasVector: try row.bool(6), isVectorAvailable: try row.bool(7))
    }
}

/// What this session may do with each of the named tables.
struct TableRights: PostgresStatement {
    static let name = "table_rights"
    static let sql = """
        SELECT wanted.name, c.oid IS NOT NULL, coalesce(pg_get_userbyid(c.relowner)::text, ''),
            coalesce(quote_ident(pg_get_userbyid(c.relowner)), ''), coalesce(pg_has_role(c.relowner, 'USAGE'), false),
            coalesce(has_table_privilege(c.oid, 'SELECT'), false),
            coalesce(has_table_privilege(c.oid, 'INSERT'), false),
            coalesce(has_table_privilege(c.oid, 'UPDATE'), false),
            coalesce(has_table_privilege(c.oid, 'DELETE'), false),
            coalesce(c.relnamespace = current_schema()::regnamespace, false)
        FROM unnest($1) AS wanted(name) LEFT JOIN pg_class c ON c.oid = to_regclass(quote_ident(wanted.name))
        ORDER BY 1
        """
    struct Row {
        let name: String
        let isThere: Bool
        /// Whether it lies where this session would make it; the search path may have others.
        let isInOwnSchema: Bool
        let owner: String
        let quotedOwner: String
        let isOwned: Bool
        let rights: Set<DatabaseRight>
    }
    static let parameterTypes: [PostgresType] = [.textArray]
    let tables: [String]
    func bind(into parameters: inout PostgresParameters) { parameters.append(tables) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Row {
        var rights: Set<DatabaseRight> = []
        for (column, right) in DatabaseRight.allCases.enumerated() where try row.bool(5 + column) {
            rights.insert(right)
        }
        return Row(
            name: try row.text(0), isThere: try row.bool(1), isInOwnSchema: try row.bool(9), owner: try row.text(2),
            quotedOwner: try row.text(3), isOwned: try row.bool(4), rights: rights)
    }
}

/// Whether there is the role of searches, the session's user may act as it, and it may read the index.
struct ReaderRoleState: PostgresStatement {
    struct Row {
        let isThere: Bool
        let isMember: Bool
        let mayRead: Bool
        let user: String
        let quotedUser: String
    }
    static let name = "reader_role_state"
    static let sql = """
        SELECT r.oid IS NOT NULL, coalesce(pg_has_role(session_user, r.oid, 'MEMBER'), false),
            coalesce(has_table_privilege(r.oid, to_regclass('documents'), 'SELECT')
                AND has_table_privilege(r.oid, to_regclass('answers'), 'INSERT'), false),
            session_user::text, quote_ident(session_user)
        FROM (VALUES (1)) one LEFT JOIN pg_roles r ON r.rolname = 'medallion_reader'
        """
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Row {
        Row(
            isThere: try row.bool(0), isMember: try row.bool(1), mayRead: try row.bool(2), user: try row.text(3),
            quotedUser: try row.text(4))
    }
}
