import Concurrency
import Files
import Postgres
import PostgresTesting
import Store
import Testing

@Suite struct MigratorTests {
    private let limit = 60_000

    @Test func aSecondRunDoesNothing() throws {
        let connection = try SharedPostgres.connect()
        #expect(
            try Migrator(connection: connection).migrate() == Migration.current.map(\.name))
        #expect(try Migrator(connection: connection).migrate() == [])
    }

    @Test func theProgramCarriesTheFolder() throws {
        let root = #filePath.split(separator: "/").dropLast(3).map(String.init).joined(separator: "/")
        let folder = "/" + root + "/migrations"
        let files = try Folder.list(folder).filter { $0.hasSuffix(".sql") }
        let deferred = try Folder.list(folder + "/deferred").map { "deferred/" + $0 }
        #expect((files + deferred).map { String($0.dropLast(4)) } == Migration.all.map(\.name))
        for migration in Migration.all {
            #expect(try File.contents(of: "\(folder)/\(migration.name).sql") == Array(migration.sql.utf8))
        }
    }

    @Test func anAppliedMigrationMustNotChange() throws {
        let connection = try SharedPostgres.connect()
        try Migrator(connection: connection).migrate()
        try connection.script(
            "UPDATE schema_migrations SET checksum = 'other' WHERE name LIKE 'V0001%'", timeoutMilliseconds: limit)
        let error = #expect(throws: IndexError.self) { try Migrator(connection: connection).migrate() }
        #expect(error?.kind == .schema)
        #expect(error?.description.contains("V0001__create_index") == true)
    }

    @Test func aNewerDatabaseIsRefused() throws {
        let connection = try SharedPostgres.connect()
        try Migrator(connection: connection).migrate()
        try connection.script(
            "INSERT INTO schema_migrations VALUES ('V9999__future', 'x')", timeoutMilliseconds: limit)
        let error = #expect(throws: IndexError.self) { try Migrator(connection: connection).migrate() }
        #expect(error?.kind == .schema)
    }

    /// Those that deferred migrations build.
    private static let indexes = Migration.current.compactMap(\.builtIndex)

    @Test func deferredMigrationsBuildOrDropOneIndexEach() {
        let deferred = Migration.all.filter { $0.isDeferred && !$0.isSuperseded }
        let built = deferred.compactMap(\.builtIndex)
        #expect(built.contains("answers_kept"))
        for migration in deferred where migration.builtIndex == nil {
            #expect(migration.sql.hasPrefix("DROP INDEX CONCURRENTLY IF EXISTS "), "\(migration.name)")
        }
    }

    /// What an interrupted concurrent build leaves.
    @Test(arguments: Self.indexes) func anInvalidIndexIsBuiltAgain(index: String) throws {
        let connection = try SharedPostgres.connect()
        try Migrator(connection: connection).migrate()
        try connection.script(
            """
            UPDATE pg_index SET indisvalid = false WHERE indexrelid = '\(index)'::regclass;
            DELETE FROM schema_migrations WHERE name LIKE 'deferred/%'
            """, timeoutMilliseconds: limit)
        #expect(
            try Migrator(connection: connection).migrate()
                == Migration.all.filter { $0.isDeferred && !$0.isSuperseded }.map(\.name))
        let invalid = try connection.script(
            "SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid", timeoutMilliseconds: limit)
        #expect(invalid == [])
    }

    /// `IF NOT EXISTS` is content with anything of that name.
    @Test func aBuildThatLeavesNoIndexIsNotRecorded() throws {
        let connection = try SharedPostgres.connect()
        try Migrator(connection: connection).migrate()
        try connection.script(
            """
            DROP INDEX answers_kept;
            CREATE TABLE answers_kept ();
            DELETE FROM schema_migrations WHERE name >= 'deferred/V0004' AND name LIKE 'deferred/%'
            """, timeoutMilliseconds: limit)
        let error = #expect(throws: IndexError.self) { try Migrator(connection: connection).migrate() }
        #expect(error?.kind == .schema && error?.message.contains("answers_kept") == true)
        try connection.script("DROP TABLE answers_kept", timeoutMilliseconds: limit)
        #expect(
            try Migrator(connection: connection).migrate()
                == Migration.current.filter { $0.isDeferred && $0.name >= "deferred/V0004" }.map(\.name))
    }

    /// The one that works is not held up by those that wait for it: a concurrent build waits for every older snapshot.
    @Test func whoWaitsHoldsUpNoConcurrentBuild() async throws {
        let database = try SharedPostgres.freshDatabase()
        let limit = self.limit
        let working = try PostgresConnection(PostgresConfiguration(dsn: database), timeoutMilliseconds: limit)
        try Migrator(connection: working).migrate()
        try working.script("SELECT pg_advisory_lock(\(Migrator.lockKey))", timeoutMilliseconds: limit)
        let lane = Lane(name: "waiting")
        async let waited = lane.run {
            let waiting = try PostgresConnection(
                PostgresConfiguration(dsn: database, applicationName: "waiting"), timeoutMilliseconds: limit)
            return try Migrator(connection: waiting).migrate()
        }
        let asking = """
            SELECT count(*) FROM pg_stat_activity WHERE application_name = 'waiting' AND query LIKE '%advisory_lock%'
            """
        for _ in 0..<6_000 {
            if try working.script(asking, timeoutMilliseconds: limit) != [["0"]] { break }
            try await Task.sleep(for: .milliseconds(10))
        }
        #expect(throws: Never.self) {
            try working.script(
                "CREATE INDEX CONCURRENTLY meanwhile ON documents (title)", timeoutMilliseconds: limit)
        }
        try working.script("SELECT pg_advisory_unlock(\(Migrator.lockKey))", timeoutMilliseconds: limit)
        let applied = try await waited
        #expect(applied == [])
    }

    /// As roles do that start together.
    @Test func severalAtOnceOverAFilledTable() async throws {
        let database = try SharedPostgres.freshDatabase()
        let limit = self.limit
        let connection = try PostgresConnection(PostgresConfiguration(dsn: database), timeoutMilliseconds: limit)
        try Migrator(connection: connection).migrate()
        let indexes = Self.indexes
        try connection.script(
            """
            INSERT INTO index_versions SELECT n, clock_timestamp() FROM generate_series(1, 2000) n;
            INSERT INTO answers
            SELECT 'a' || n, 'q', clock_timestamp(), 1, n, false, '{}', '{}', '[]' FROM generate_series(1, 2000) n;
            DROP INDEX \(indexes.joined(separator: ", "));
            DELETE FROM schema_migrations WHERE name LIKE 'deferred/%'
            """, timeoutMilliseconds: limit)
        let done = try await withThrowingTaskGroup(of: [String].self) { group in
            for number in 0..<3 {
                let lane = Lane(name: "migrator-\(number)")
                group.addTask {
                    try await lane.run {
                        let own = try PostgresConnection(
                            PostgresConfiguration(dsn: database), timeoutMilliseconds: limit)
                        return try Migrator(connection: own).migrate()
                    }
                }
            }
            return try await group.reduce(into: [[String]]()) { $0.append($1) }
        }
        #expect(done.filter { !$0.isEmpty } == [Migration.all.filter { $0.isDeferred && !$0.isSuperseded }.map(\.name)])
    }
}
