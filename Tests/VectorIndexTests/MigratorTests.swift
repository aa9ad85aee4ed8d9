import Files
import Postgres
import PostgresTesting
import Testing
import VectorIndex

@Suite struct MigratorTests {
    private let limit = 60_000

    @Test func aSecondRunDoesNothing() throws {
        let connection = try SharedPostgres.connect()
        #expect(try Migrator(connection: connection).migrate() == Migration.all.map(\.name))
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

    /// What an interrupted concurrent build leaves.
    @Test func anInvalidIndexIsBuiltAgain() throws {
        let connection = try SharedPostgres.connect()
        try Migrator(connection: connection).migrate()
        try connection.script(
            """
            UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'passages_embedding'::regclass;
            DELETE FROM schema_migrations WHERE name LIKE 'deferred/%'
            """, timeoutMilliseconds: limit)
        #expect(
            try Migrator(connection: connection).migrate() == Migration.all.filter(\.isDeferred).map(\.name))
        let valid = try connection.script(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = 'passages_embedding'::regclass",
            timeoutMilliseconds: limit)
        #expect(valid == [["t"]])
    }
}
