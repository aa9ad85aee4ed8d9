import Bytes
import Glibc
package import Postgres

/// One change of the schema, embedded in the program. Files are `migrations/*.sql`; a file never changes once applied.
package struct Migration: Sendable, Equatable {
    /// Path below `migrations/` without its extension, such as `V0001__create_index`.
    package let name: String
    package let sql: String
    /// Deferred migrations build indexes concurrently: outside a transaction, after all others, one statement each.
    package let isDeferred: Bool

    /// Whether later migrations replaced what it made: known where it was applied, and applied no more.
    package let isSuperseded: Bool

    private init(_ name: String, _ bytes: [UInt8], isDeferred: Bool = false, isSuperseded: Bool = false) {
        self.name = name
        self.isSuperseded = isSuperseded
        sql = String(decoding: bytes, as: UTF8.self)
        self.isDeferred = isDeferred
    }

    /// The index that a deferred migration builds; nil where it drops one.
    package var builtIndex: String? {
        index(after: ["CREATE", "INDEX", "CONCURRENTLY", "IF", "NOT", "EXISTS"])
    }

    /// The index that a deferred migration drops; nil where it builds one.
    package var droppedIndex: String? { index(after: ["DROP", "INDEX", "CONCURRENTLY", "IF", "EXISTS"]) }

    private func index(after start: [Substring]) -> String? {
        guard isDeferred else { return nil }
        let words = statement.split(separator: " ")
        guard words.count > start.count, words.starts(with: start) else { return nil }
        return String(words[start.count])
    }

    /// The statement of a deferred migration in one line, without comments.
    var statement: String {
        sql.split(separator: "\n").filter { !$0.hasPrefix("--") }.flatMap { $0.split(separator: " ") }
            .joined(separator: " ")
    }

    /// Those that are applied to a database that has none.
    package static let current = all.filter { !$0.isSuperseded }

    /// All of them, in order. A test compares the list with the folder.
    package static let all: [Migration] = [
        Migration("V0001__create_index", PackageResources.V0001__create_index_sql),
        Migration("V0002__create_index_functions", PackageResources.V0002__create_index_functions_sql),
        Migration("V0003__create_api_keys", PackageResources.V0003__create_api_keys_sql),
        Migration("V0004__create_refused_documents", PackageResources.V0004__create_refused_documents_sql),
        Migration("V0005__share_generation_states", PackageResources.V0005__share_generation_states_sql),
        Migration("V0006__mark_live_transactions", PackageResources.V0006__mark_live_transactions_sql),
        Migration("V0007__bound_answers", PackageResources.V0007__bound_answers_sql),
        Migration("V0008__key_documents", PackageResources.V0008__key_documents_sql),
        Migration("V0009__give_keys_tenants", PackageResources.V0009__give_keys_tenants_sql),
        Migration("V0010__key_contents", PackageResources.V0010__key_contents_sql),
        Migration("V0011__write_contents", PackageResources.V0011__write_contents_sql),
        Migration("V0012__keep_tenants_apart", PackageResources.V0012__keep_tenants_apart_sql),
        Migration("V0013__remove_retired", PackageResources.V0013__remove_retired_sql),
        Migration("V0014__adopt_generations", PackageResources.V0014__adopt_generations_sql),
        Migration("V0015__place_version_floors", PackageResources.V0015__place_version_floors_sql),
        Migration("V0016__keep_postings", PackageResources.V0016__keep_postings_sql),
        Migration(
            "V0017__note_documents_of_answers", PackageResources.V0017__note_documents_of_answers_sql),
        Migration("V0018__know_words", PackageResources.V0018__know_words_sql),
        Migration("V0019__probe_removed_words", PackageResources.V0019__probe_removed_words_sql),
        Migration("V0020__list_postings", PackageResources.V0020__list_postings_sql),
        Migration("V0021__link_behind", PackageResources.V0021__link_behind_sql),
        Migration("V0022__keep_feedback", PackageResources.V0022__keep_feedback_sql),
        Migration("V0024__count_given_again", PackageResources.V0024__count_given_again_sql),
        Migration("V0025__find_by_event", PackageResources.V0025__find_by_event_sql),
        Migration("V0026__suppress", PackageResources.V0026__suppress_sql),
        Migration("V0027__keep_replays", PackageResources.V0027__keep_replays_sql),
        Migration("V0028__keep_moments", PackageResources.V0028__keep_moments_sql),
        Migration("V0029__erase", PackageResources.V0029__erase_sql),
        Migration("V0030__share_documents", PackageResources.V0030__share_documents_sql),
        Migration("V0031__change_models", PackageResources.V0031__change_models_sql),
        Migration(
            "deferred/V0001__embed_passages", PackageResources.V0001__embed_passages_sql, isDeferred: true,
            isSuperseded: true),
        Migration(
            "deferred/V0002__order_recent_passages", PackageResources.V0002__order_recent_passages_sql,
            isDeferred: true, isSuperseded: true),
        Migration(
            "deferred/V0003__drop_former_order", PackageResources.V0003__drop_former_order_sql, isDeferred: true,
            isSuperseded: true),
        Migration(
            "deferred/V0004__order_kept_answers", PackageResources.V0004__order_kept_answers_sql, isDeferred: true),
        Migration(
            "deferred/V0005__drop_former_answers_order", PackageResources.V0005__drop_former_answers_order_sql,
            isDeferred: true),
        Migration(
            "deferred/V0006__order_documents_of_tenants", PackageResources.V0006__order_documents_of_tenants_sql,
            isDeferred: true),
        Migration(
            "deferred/V0007__drop_former_documents_order", PackageResources.V0007__drop_former_documents_order_sql,
            isDeferred: true),
        Migration("deferred/V0008__find_pages", PackageResources.V0008__find_pages_sql, isDeferred: true),
        Migration("deferred/V0009__find_users", PackageResources.V0009__find_users_sql, isDeferred: true),
        Migration("deferred/V0010__find_events", PackageResources.V0010__find_events_sql, isDeferred: true),
        Migration("deferred/V0011__list_documents", PackageResources.V0011__list_documents_sql, isDeferred: true),
    ]
}

/// Brings a database's schema up to what this program expects.
///
/// Safe to run from several processes at once: an advisory lock lets one work and the others wait. They ask for it again and
/// again: one that waited inside Postgres would hold a snapshot, for whose end a concurrent index build of the one that works
/// waits in turn.
package struct Migrator {
    /// Oldest pgvector that has iterative index scans and halfvec.
    static let vectorVersionMin = (major: 0, minor: 8)
    /// ASCII "medmigra" as a number: the session lock of migrations.
    package static let lockKey: Int64 = 7_882_826_949_975_336_545
    /// That of those who build graphs: see ``TryLockGraphs``.
    static let graphsLockKey: Int64 = 7_882_826_980_159_875_180
    private static let lockPauseMicroseconds: UInt32 = 100_000

    private let connection: PostgresConnection

    /// - Parameter connection: of a role that may create extensions, or of a database that has `vector` already.
    package init(connection: PostgresConnection) {
        self.connection = connection
    }

    /// Applies what is missing.
    ///
    /// - Parameter timeoutMilliseconds: for each migration, and for waiting until another process has done its own; an index
    ///   over many rows takes minutes (34 s for 200,000).
    /// - Returns: the names applied now.
    /// - Throws: ``IndexError`` of kind `schema` when an applied migration differs from this program's, or the
    ///   database is newer than the program, or pgvector is missing or too old; ``PostgresError`` otherwise.
    @discardableResult
    package func migrate(
        _ migrations: [Migration] = Migration.all, timeoutMilliseconds: Int = 3_600_000
    ) throws -> [String] {
        try lock(Self.lockKey, timeoutMilliseconds: timeoutMilliseconds)
        defer { unlock(Self.lockKey) }
        try connection.script(
            """
            CREATE TABLE IF NOT EXISTS schema_migrations (
                name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())
            """, operation: "create schema_migrations", timeoutMilliseconds: 10_000)
        let applied = try connection.run(AppliedMigrations(), timeoutMilliseconds: 10_000)
        try check(applied, against: migrations)
        let known = Set(applied.map(\.name))
        let missing = migrations.filter { !known.contains($0.name) && !$0.isSuperseded }
        // A migration may take the vectors' tables. A graph is built concurrently, which waits for transactions that were there before it.
        let takesTables = missing.contains { !$0.isDeferred }
        if takesTables { try lock(Self.graphsLockKey, timeoutMilliseconds: timeoutMilliseconds) }
        defer { if takesTables { unlock(Self.graphsLockKey) } }
        var done: [String] = []
        for migration in missing {
            try apply(migration, timeoutMilliseconds: timeoutMilliseconds)
            done.append(migration.name)
            if done.count == 1 { try checkVectorExtension() }
        }
        if done.isEmpty { try checkVectorExtension() }
        if migrations.contains(where: { $0.name == "V0012__keep_tenants_apart" }) {
            _ = try connection.run(GrantReader(), timeoutMilliseconds: 10_000)
        }
        return done
    }

    private func lock(_ key: Int64, timeoutMilliseconds: Int) throws {
        let end = SystemClock.monotonicNanoseconds() + Int64(timeoutMilliseconds) * 1_000_000
        while try connection.run(TryLockMigrations(key: key), timeoutMilliseconds: 10_000).first != true {
            guard SystemClock.monotonicNanoseconds() < end else {
                throw IndexError(
                    .database,
                    "another process has been migrating this database or building a graph for \(timeoutMilliseconds) ms",
                    hint: "pg_locks and pg_stat_activity show which session holds the advisory lock and what it does")
            }
            usleep(Self.lockPauseMicroseconds)
        }
    }

    private func unlock(_ key: Int64) {
        guard connection.isUsable else { return }
        do {
            try connection.run(UnlockMigrations(key: key), timeoutMilliseconds: 10_000)
        } catch {
            // The lock belongs to the session: it goes with it.
            connection.close()
        }
    }

    private func apply(_ migration: Migration, timeoutMilliseconds: Int) throws {
        if migration.isDeferred {
            try applyDeferred(migration, timeoutMilliseconds: timeoutMilliseconds)
            return
        }
        try connection.transaction(timeoutMilliseconds: 60_000) {
            try connection.script(
                migration.sql, operation: migration.name, timeoutMilliseconds: timeoutMilliseconds)
            try connection.run(RecordMigration(migration), timeoutMilliseconds: 10_000)
        }
    }

    /// What follows may rely on the index, such as by dropping the former one, so it is recorded only once it can be used.
    private func applyDeferred(_ migration: Migration, timeoutMilliseconds: Int) throws {
        // A concurrent build that was interrupted leaves an index that is never used but has the name.
        if let index = migration.builtIndex, try isUsable(index) == false {
            try connection.script(
                "DROP INDEX CONCURRENTLY IF EXISTS \(index)", operation: "drop invalid index",
                timeoutMilliseconds: timeoutMilliseconds)
        }
        try connection.script(migration.sql, operation: migration.name, timeoutMilliseconds: timeoutMilliseconds)
        if let index = migration.builtIndex, try isUsable(index) != true {
            throw IndexError(
                .schema, "migration \(migration.name) left no index \(index) that can be used",
                hint: "something else may have this name: rename or remove it, and migrate again")
        }
        try connection.run(RecordMigration(migration), timeoutMilliseconds: 10_000)
    }

    /// Nil where there is no index of that name.
    private func isUsable(_ index: String) throws -> Bool? {
        try connection.run(IndexValidity(index: index), timeoutMilliseconds: 10_000).first
    }

    /// Refuses a database that another program, or another content of the same migrations, has made.
    func check(_ applied: [AppliedMigrations.Row], against migrations: [Migration]) throws(IndexError) {
        for row in applied {
            guard let migration = migrations.first(where: { $0.name == row.name }) else {
                throw IndexError(
                    .schema, "the database has migration \(row.name), which this program does not know",
                    hint: "use the newer program that made it, or another database (docs/troubleshooting.md)")
            }
            let checksums: [String]
            do throws(PostgresError) {
                checksums = try connection.run(Checksum(text: migration.sql), timeoutMilliseconds: 10_000)
            } catch {
                throw IndexError(error)
            }
            guard checksums == [row.checksum] else {
                throw IndexError(
                    .schema, "migration \(row.name) was applied with another content",
                    hint: "an applied migration must never change; restore its file and add a new one")
            }
        }
    }

    /// Refuses a database without the extension, or with one that is too old.
    func checkVectorExtension() throws {
        let versions = try connection.run(VectorExtensionVersion(), timeoutMilliseconds: 10_000)
        let parts = versions.first?.split(separator: ".").compactMap { Int($0) } ?? []
        guard parts.count >= 2, (parts[0], parts[1]) >= Self.vectorVersionMin else {
            throw IndexError(
                .schema, "pgvector is \(versions.first ?? "absent")",
                hint: "version 0.8 or later is needed: ALTER EXTENSION vector UPDATE, or install a newer one")
        }
    }
}

/// Gives the role of searches what it needs, should it have come since: see V0012 of the migrations.
struct GrantReader: PostgresStatement {
    static let name = "grant_reader"
    static let sql = "SELECT medallion_grant_reader()"
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
}

struct TryLockMigrations: PostgresStatement {
    static let name = "try_lock_migrations"
    static let sql = "SELECT pg_try_advisory_lock($1)"
    static let parameterTypes: [PostgresType] = [.int8]
    let key: Int64
    func bind(into parameters: inout PostgresParameters) { parameters.append(key) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Bool { try row.bool(0) }
}

struct UnlockMigrations: PostgresStatement {
    static let name = "unlock_migrations"
    static let sql = "SELECT pg_advisory_unlock($1)"
    static let parameterTypes: [PostgresType] = [.int8]
    let key: Int64
    func bind(into parameters: inout PostgresParameters) { parameters.append(key) }
}

struct AppliedMigrations: PostgresStatement {
    struct Row {
        let name: String
        let checksum: String
    }
    static let name = "applied_migrations"
    static let sql = "SELECT name, checksum FROM schema_migrations ORDER BY name"
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Row {
        Row(name: try row.text(0), checksum: try row.text(1))
    }
}

struct Checksum: PostgresStatement {
    static let name = "checksum"
    static let sql = "SELECT encode(sha256(convert_to($1, 'UTF8')), 'hex')"
    static let parameterTypes: [PostgresType] = [.text]
    let text: String
    func bind(into parameters: inout PostgresParameters) { parameters.append(text) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> String { try row.text(0) }
}

struct RecordMigration: PostgresStatement {
    static let name = "record_migration"
    static let sql = """
        INSERT INTO schema_migrations (name, checksum) VALUES ($1, encode(sha256(convert_to($2, 'UTF8')), 'hex'))
        """
    static let parameterTypes: [PostgresType] = [.text, .text]
    let migration: Migration
    init(_ migration: Migration) { self.migration = migration }
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(migration.name)
        parameters.append(migration.sql)
    }
}

/// Whether an index is complete, so that searches use it; no row where there is none.
struct IndexValidity: PostgresStatement {
    static let name = "index_validity"
    static let sql = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)"
    static let parameterTypes: [PostgresType] = [.text]
    let index: String
    func bind(into parameters: inout PostgresParameters) { parameters.append(index) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Bool { try row.bool(0) }
}

struct VectorExtensionVersion: PostgresStatement {
    static let name = "vector_extension_version"
    static let sql = "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> String { try row.text(0) }
}
