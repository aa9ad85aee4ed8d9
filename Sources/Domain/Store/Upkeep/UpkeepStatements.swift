import Postgres
import Records

/// See `medallion_remove_retired` of the migrations.
struct RemoveRetired: PostgresStatement {
    static let name = "remove_retired"
    static let sql = "SELECT medallion_remove_retired(make_interval(hours => $1), $2)"
    static let parameterTypes: [PostgresType] = [.int4, .int4]
    let historyHours: Int
    let rows: Int32
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(Int32(clamping: historyHours))
        parameters.append(rows)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

/// See `medallion_remove_expired` of the migrations.
struct RemoveExpired: PostgresStatement {
    static let name = "remove_expired"
    static let sql = "SELECT medallion_remove_expired($1, $2, $3, $4)"
    static let parameterTypes: [PostgresType] = [.text, .text, .timestamptz, .int4]
    let tenant: TenantID
    let collection: CollectionName
    let beforeMilliseconds: Int64
    let rows: Int32
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(tenant.text)
        parameters.append(collection.text)
        parameters.append(timestampMilliseconds: beforeMilliseconds)
        parameters.append(rows)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

/// See `medallion_empty_vectors` of the migrations. One row: the model's name, or null.
struct EmptyVectors: PostgresStatement {
    static let name = "empty_vectors"
    static let sql = "SELECT medallion_empty_vectors()"
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> String? { try row.textOrNil(0) }
}

/// Tables of the index with many dead rows, quoted.
struct FindDeadRows: PostgresStatement {
    static let name = "find_dead_rows"
    static let sql = """
        SELECT quote_ident(relname) FROM pg_stat_user_tables
        WHERE schemaname = current_schema() AND n_dead_tup > $1 * n_live_tup AND n_dead_tup >= $2
        ORDER BY relname
        """
    static let parameterTypes: [PostgresType] = [.float8, .int8]
    let share: Double
    let rowsMin: Int64
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(share)
        parameters.append(rowsMin)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> String { try row.text(0) }
}

/// Tables of the index that have more than doubled since the planner last looked, quoted.
struct FindGrownTables: PostgresStatement {
    static let name = "find_grown_tables"
    static let sql = """
        SELECT quote_ident(s.relname) FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
        WHERE s.schemaname = current_schema() AND c.relkind = 'r' AND s.n_mod_since_analyze > 100 + greatest(c.reltuples, 0)
            -- Fills and empties all the time, and no plan for it has a choice.
            AND s.relname !~ '^vectors_[0-9]+_t[0-9]+_new$'
        ORDER BY 1
        """
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> String { try row.text(0) }
}

/// The tables of vectors that are in graphs, each with its graphs.
struct ListGraphs: PostgresStatement {
    struct Index: Equatable {
        let name: String
        let m: Int
        let efConstruction: Int
        let isUsable: Bool
    }
    struct Row {
        let table: String
        let indexes: [Index]
    }
    static let name = "list_graphs"
    /// One array for each table: name, m, ef_construction and whether it can be used, of each graph.
    static let sql = """
        SELECT c.relname::text, coalesce(array_agg(ARRAY[
                i.relname::text,
                coalesce((SELECT o.option_value FROM pg_options_to_table(i.reloptions) o WHERE o.option_name = 'm'), '16'),
                coalesce((
                    SELECT o.option_value FROM pg_options_to_table(i.reloptions) o WHERE o.option_name = 'ef_construction'
                ), '64'), (x.indisvalid AND x.indisready)::text
            ] ORDER BY i.relname) FILTER (WHERE i.oid IS NOT NULL), '{}')::text[]::text
        FROM models m
        JOIN tenants t ON true
        JOIN pg_class c ON c.oid = to_regclass(format('vectors_%s_t%s', m.id, t.id))
        LEFT JOIN (
            pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_am a ON a.oid = i.relam AND a.amname = 'hnsw'
        ) ON x.indrelid = c.oid
        GROUP BY c.relname ORDER BY c.relname
        """
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Row {
        // `{{name,16,64,true},…}`: names of letters, digits and underscores, which are never quoted.
        let words = try row.text(1).split { "{},".contains($0) }.map(String.init)
        var indexes: [Index] = []
        for start in stride(from: 0, to: words.count - 3, by: 4) {
            indexes.append(
                Index(
                    name: words[start], m: Int(words[start + 1]) ?? 0, efConstruction: Int(words[start + 2]) ?? 0,
                    isUsable: words[start + 3] == "true"))
        }
        return Row(table: try row.text(0), indexes: indexes)
    }
}

/// Takes the turn of building graphs.
struct TryLockGraphs: PostgresStatement {
    static let name = "try_lock_graphs"
    static let sql = "SELECT pg_try_advisory_lock(\(Migrator.graphsLockKey))"
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Bool { try row.bool(0) }
}

/// Gives the turn back.
struct UnlockGraphs: PostgresStatement {
    static let name = "unlock_graphs"
    static let sql = "SELECT pg_advisory_unlock(\(Migrator.graphsLockKey))"
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
}
