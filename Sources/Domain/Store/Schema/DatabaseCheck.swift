package import Postgres

/// What a process does with the index's database, and so which rights it needs there.
package enum DatabaseUse: Sendable {
    /// Searches, and keeps the answers it gives.
    case serving
    /// Writes documents, generations or keys.
    case writing

    /// On the index's tables, by their names.
    func rights(on table: String) -> [DatabaseRight] {
        switch self {
        case .serving:
            switch table {
            case "answers": [.select, .insert, .delete]
            // They go with their answers.
            case "answer_documents": [.select, .insert]
            case "answer_feedback": [.select, .insert, .update]
            default: [.select]
            }
        case .writing: DatabaseRight.allCases
        }
    }
}

/// A right on a table, in SQL's word.
enum DatabaseRight: String, CaseIterable {
    case select = "SELECT"
    case insert = "INSERT"
    case update = "UPDATE"
    case delete = "DELETE"
}

/// Whether a database is one that this program can work with, and if not, what is wrong by name and the way out. Changes nothing.
///
/// What it refuses does not heal by waiting: ``IndexError`` of kind `schema`, which is not retriable.
package struct DatabaseCheck {
    private static let limit = 10_000
    private static let restored =
        "something was removed, or restored in part: restore all of it, or give this program an empty database, which fills "
        + "itself from the Gold topic (docs/troubleshooting.md)"

    private let connection: PostgresConnection

    /// - Parameter connection: to the database, as the role in question.
    package init(connection: PostgresConnection) {
        self.connection = connection
    }

    /// The migrations that the database still lacks, in their order; all of them for an empty one.
    ///
    /// - Throws: ``IndexError`` of kind `schema` where it is of a newer program or half there, or its list may not be read;
    ///   ``PostgresError`` otherwise.
    package func missingMigrations(of migrations: [Migration] = Migration.current) throws -> [String] {
        // Another process may be migrating: what was seen counts only if the list is the same afterwards. It grows as often
        // as there are migrations.
        while true {
            let applied = try appliedMigrations()
            try Migrator(connection: connection).check(applied, against: Migration.all)
            let names = Set(applied.map(\.name))
            let finding = try gap(in: names, of: migrations) ?? (try difference(of: names, from: migrations))
            guard try Set(appliedMigrations().map(\.name)) == names else { continue }
            if let finding { throw IndexError(.schema, finding, hint: Self.restored) }
            return migrations.map(\.name).filter { !names.contains($0) }
        }
    }

    /// Refuses a database in which the role may not do what `use` needs.
    ///
    /// - Throws: ``IndexError`` of kind `schema` with the GRANT that helps; ``PostgresError`` otherwise.
    package func checkRights(for use: DatabaseUse) throws {
        let session = try session()
        var missing: [(right: DatabaseRight, table: TableRights.Row)] = []
        for table in try tables(Migration.tables(of: Migration.all)) {
            for right in use.rights(on: table.name) where !table.rights.contains(right) {
                missing.append((right, table))
            }
        }
        guard !missing.isEmpty else { return }
        // Tables that lack the same are one GRANT.
        let byTable = Dictionary(grouping: missing) { $0.table.name }
        let byRights = Dictionary(grouping: byTable) { $0.value.map(\.right.rawValue).joined(separator: ", ") }
        let groups = byRights.map { (rights: $0.key, tables: $0.value.map(\.key).sorted()) }
            .sorted { ($0.tables.count, $1.rights) > ($1.tables.count, $0.rights) }
        let faults = groups.map { "\($0.rights) on \($0.tables.joined(separator: ", "))" }
        let grants = groups.map {
            "GRANT \($0.rights) ON \($0.tables.joined(separator: ", ")) TO \(session.quotedRole)"
        }
        throw IndexError(
            .schema, "role \(session.role) may not \(faults.joined(separator: ", nor ")) in \(connection.server)",
            hint: "as the tables' owner (\(missing[0].table.owner)): \(grants.joined(separator: "; "))")
    }

    /// Refuses a database that still lacks migrations, for those who do not migrate.
    ///
    /// - Throws: as ``missingMigrations(of:)`` and ``checkRights(for:)``.
    package func checkReady(for use: DatabaseUse) throws {
        let missing = try missingMigrations()
        guard missing.isEmpty else {
            throw IndexError(
                .schema,
                "the database lacks \(missing.count) of \(Migration.current.count) migrations, \(missing[0]) first",
                hint: "run `medallion migrate`; it waits for one that is under way")
        }
        try Migrator(connection: connection).checkVectorExtension()
        try checkRights(for: use)
    }

    /// What keeps searches from acting as the role that row-level security binds, so that only the program keeps tenants apart; nil
    /// where nothing does. A way out goes with it.
    package func readerRoleGap() throws -> IndexError? {
        guard let row = try connection.run(ReaderRoleState(), timeoutMilliseconds: Self.limit).first else { return nil }
        let role = SearchStore.readerRole
        if !row.isThere {
            return IndexError(
                .schema, "there is no role \(role), as which searches would act",
                hint:
                    "as a superuser: CREATE ROLE \(role) NOLOGIN; GRANT \(role) TO \(row.quotedUser); then `medallion migrate`"
            )
        }
        if !row.isMember {
            return IndexError(
                .schema, "role \(row.user) is no member of \(role), as which searches would act",
                hint: "as a superuser: GRANT \(role) TO \(row.quotedUser)")
        }
        guard !row.mayRead else { return nil }
        return IndexError(
            .schema, "role \(role) may not read the index's tables",
            hint: "run `medallion migrate` as the tables' owner")
    }

    /// An index that a deferred migration has built and that is gone, or cannot be used: what it serves becomes slow, and no migration
    /// brings it back. Nil where all are there.
    package func indexGap(of migrations: [Migration] = Migration.current) throws -> IndexError? {
        let applied = try Set(appliedMigrations().map(\.name))
        let dropped = Set(migrations.compactMap(\.droppedIndex))
        for migration in migrations where applied.contains(migration.name) {
            guard let index = migration.builtIndex, !dropped.contains(index) else { continue }
            let isUsable = try connection.run(IndexValidity(index: index), timeoutMilliseconds: Self.limit).first
            guard isUsable != true else { continue }
            let drop = isUsable == nil ? "" : "DROP INDEX CONCURRENTLY \(index); "
            return IndexError(
                .schema,
                "migration \(migration.name) built the index \(index), which "
                    + (isUsable == nil ? "is gone" : "cannot be used: its building was interrupted"),
                hint: "as the tables' owner, outside of a transaction: \(drop)\(migration.statement)")
        }
        return nil
    }

    /// The same failure of a migration, with what the role lacks and the way out where it is about that.
    package func explained(_ error: PostgresError) -> any Error {
        guard ["42501", "3F000", "0A000", "58P01"].contains(error.sqlState), connection.isUsable,
            let session = try? session()
        else { return error }
        let role = session.role
        if let fault = creationFault(session) { return fault }
        if error.sqlState == "0A000" || error.sqlState == "58P01" {
            guard !session.isVectorAvailable else { return error }
            return IndexError(
                .schema, "the server has no pgvector",
                hint: "install version 0.8 or later on the server, for its major version of Postgres")
        }
        if !session.hasVector {
            return IndexError(
                .schema, "role \(role) may not create the extension vector in database \(session.database)",
                hint: "as a superuser, in this database: CREATE EXTENSION vector")
        }
        let foreign = (try? tables(Migration.tables(of: Migration.all)))?.filter { $0.isThere && !$0.isOwned } ?? []
        guard let owner = foreign.first?.owner else { return error }
        let names = foreign.map(\.name).joined(separator: ", ")
        return IndexError(
            .schema, "role \(role) does not own \(names), which a migration changes",
            hint: "run `medallion migrate` as \(owner), or GRANT \(foreign[0].quotedOwner) TO \(session.quotedRole)")
    }

    /// Refuses a database in which the role may not make the index's tables.
    ///
    /// - Throws: ``IndexError`` of kind `schema` with the GRANT that helps; ``PostgresError`` otherwise.
    package func checkMayCreate() throws {
        if let fault = creationFault(try session()) { throw fault }
    }

    // MARK: Steps

    private func creationFault(_ session: SessionRights.Row) -> IndexError? {
        guard let schema = session.schema, let quotedSchema = session.quotedSchema else {
            return IndexError(
                .schema, "role \(session.role) may use no schema of its search_path in database \(session.database)",
                hint: "GRANT USAGE, CREATE ON SCHEMA public TO \(session.quotedRole)")
        }
        guard !session.mayCreate else { return nil }
        return IndexError(
            .schema, "role \(session.role) may not create tables in schema \(schema) of database \(session.database)",
            hint:
                "GRANT USAGE, CREATE ON SCHEMA \(quotedSchema) TO \(session.quotedRole); or run `medallion migrate` as a "
                + "role that may")
    }

    /// What the list of migrations says; nothing where there is no such list yet.
    private func appliedMigrations() throws -> [AppliedMigrations.Row] {
        let lists = try connection.run(FindMigrationList(), timeoutMilliseconds: Self.limit)
        guard let list = lists.first(where: \.isVisible) else {
            // Without the right to use it, a schema looks as if it were empty.
            guard let hidden = lists.first(where: { $0.isInSearchPath && !$0.isUsable }) else { return [] }
            throw IndexError(
                .schema, "role \(hidden.role) may not use schema \(hidden.schema), which holds the index",
                hint: "GRANT USAGE ON SCHEMA \(hidden.quotedSchema) TO \(hidden.quotedRole)")
        }
        guard list.isReadable else {
            throw IndexError(
                .schema, "role \(list.role) may not read schema_migrations in schema \(list.schema)",
                hint: "as its owner: GRANT SELECT ON ALL TABLES IN SCHEMA \(list.quotedSchema) TO \(list.quotedRole)")
        }
        guard list.isOurs else {
            throw IndexError(
                .schema, "schema \(list.schema) has a table schema_migrations of another program",
                hint: "give this one a database of its own, or a schema by search_path (POSTGRES_DSN)")
        }
        return try connection.run(AppliedMigrations(), timeoutMilliseconds: Self.limit)
    }

    /// Migrations are applied in order, those that build indexes after the others; a list with a hole is nobody's work.
    private func gap(in applied: Set<String>, of migrations: [Migration]) -> String? {
        for isDeferred in [false, true] {
            let names = migrations.filter { $0.isDeferred == isDeferred }.map(\.name)
            guard let last = names.last(where: { applied.contains($0) }) else { continue }
            if let hole = names.prefix(while: { $0 != last }).first(where: { !applied.contains($0) }) {
                return "the database has migration \(last), but not \(hole) before it"
            }
        }
        return nil
    }

    /// Tables that migrations on the list have made are there, and those of others are not.
    private func difference(of applied: Set<String>, from migrations: [Migration]) throws -> String? {
        let wanted = Migration.tables(of: migrations.filter { applied.contains($0.name) })
        let all = Migration.tables(of: migrations)
        for table in try tables(Array(Set(all + wanted)).sorted()) {
            let isWanted = wanted.contains(table.name)
            if isWanted && !table.isThere {
                return "the database has the migration that makes table \(table.name), but not the table"
            }
            if !isWanted && table.isInOwnSchema {
                return "the database has a table \(table.name), but not the migration that makes it"
            }
        }
        return nil
    }

    private func tables(_ names: [String]) throws -> [TableRights.Row] {
        try connection.run(TableRights(tables: names), timeoutMilliseconds: Self.limit)
    }

    private func session() throws -> SessionRights.Row {
        guard let row = try connection.run(SessionRights(), timeoutMilliseconds: Self.limit).first else {
            throw IndexError(.schema, "the session has no role")
        }
        return row
    }
}

extension Migration {
    /// The tables that these leave, by name.
    ///
    /// Read out of statements that begin a line, as this package's do; a test holds the result against a database.
    static func tables(of migrations: [Migration]) -> [String] {
        var names: Set<String> = []
        for migration in migrations {
            for line in migration.sql.split(separator: "\n") {
                let words = line.split { " (;,".contains($0) }.filter { !["IF", "NOT", "EXISTS"].contains($0) }
                guard words.count >= 3, words[1] == "TABLE" else { continue }
                switch words[0] {
                case "CREATE": names.insert(String(words[2]))
                case "DROP": names.subtract(words[2...].map(String.init))
                case "ALTER" where words.count >= 6 && words[3] == "RENAME" && words[4] == "TO":
                    if names.remove(String(words[2])) != nil { names.insert(String(words[5])) }
                default: break
                }
            }
        }
        return names.sorted()
    }
}
