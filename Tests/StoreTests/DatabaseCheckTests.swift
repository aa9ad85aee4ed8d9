import Postgres
import PostgresTesting
import Synchronization
import Testing

@testable import Store

/// Databases that this program cannot work with are refused by name, with a way out that works.
@Suite struct DatabaseCheckTests {
    private static let limit = 60_000
    private static let roles = Atomic<Int>(0)

    /// A database with a role of its own beside its owner.
    fileprivate struct Scene {
        let dsn: String
        let role: String
        let owner: PostgresConnection

        init(isMigrated: Bool = true) throws {
            dsn = try SharedPostgres.freshDatabase()
            // Roles are the whole server's; this one's name has to be quoted.
            role = "App \(DatabaseCheckTests.roles.wrappingAdd(1, ordering: .relaxed).newValue)"
            owner = try PostgresConnection(PostgresConfiguration(dsn: dsn), timeoutMilliseconds: limit)
            if isMigrated { try Migrator(connection: owner).migrate() }
            try script("CREATE ROLE \"\(role)\" LOGIN")
        }

        func script(_ sql: String) throws { try owner.script(sql, timeoutMilliseconds: limit) }

        func connect() throws -> PostgresConnection {
            try PostgresConnection(
                PostgresConfiguration(dsn: dsn.replacing("user=medallion", with: "user='\(role)'")),
                timeoutMilliseconds: limit)
        }

        /// A new session each time: a session may remember what it may do.
        func check() throws -> DatabaseCheck { DatabaseCheck(connection: try connect()) }
        var ownersCheck: DatabaseCheck { DatabaseCheck(connection: owner) }
    }

    private func refusal(_ body: () throws -> Void) -> IndexError? {
        let error = #expect(throws: IndexError.self, performing: body)
        #expect(error?.kind == .schema && error?.isRetriable == false)
        #expect(error?.hint?.isEmpty == false)
        return error
    }

    /// What the hint says in front of a word, as SQL.
    private func statements(_ error: IndexError?, upTo end: String = "; or ") -> String {
        let hint = error?.hint ?? ""
        let start = hint.firstRange(of: "GRANT")?.lowerBound ?? hint.startIndex
        return String(hint[start..<(hint.firstRange(of: end)?.lowerBound ?? hint.endIndex)])
    }

    @Test func aDatabaseOfThisProgramIsReady() throws {
        let scene = try Scene()
        #expect(try scene.ownersCheck.missingMigrations() == [])
        for use in [DatabaseUse.serving, .writing] { try scene.ownersCheck.checkReady(for: use) }
        let rows = try scene.owner.script(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'schema_migrations' ORDER BY 1",
            timeoutMilliseconds: Self.limit)
        #expect(rows.map { $0[0] } == Migration.tables(of: Migration.all))
    }

    @Test func tablesFollowFromStatements() {
        // Each migration with those before it, so that none is seen that a later one makes.
        #expect(Migration.tables(of: Array(Migration.all.prefix(1))).contains("answers"))
        #expect(!Migration.tables(of: Array(Migration.all.prefix(1))).contains("api_keys"))
        #expect(Migration.tables(of: []).isEmpty)
    }

    @Test func anEmptyDatabaseLacksAllAndIsNotReady() throws {
        let scene = try Scene(isMigrated: false)
        #expect(try scene.ownersCheck.missingMigrations() == Migration.current.map(\.name))
        let error = refusal { try scene.ownersCheck.checkReady(for: .serving) }
        #expect(error?.message.contains("lacks \(Migration.current.count) of \(Migration.current.count)") == true)
        #expect(error?.hint?.contains("medallion migrate") == true)
    }

    @Test func aNewerDatabaseIsRefused() throws {
        let scene = try Scene()
        try scene.script("INSERT INTO schema_migrations VALUES ('V9999__future', 'x')")
        for body in [
            { _ = try scene.ownersCheck.missingMigrations() }, { try scene.ownersCheck.checkReady(for: .serving) },
        ] {
            #expect(refusal(body)?.message.contains("V9999__future") == true)
        }
    }

    /// As an interrupted `migrate`, which the next one carries on, and commands that migrate nothing refuse.
    @Test func whatIsStillToComeIsNoFault() throws {
        let scene = try Scene()
        try scene.script("DELETE FROM schema_migrations WHERE name LIKE 'deferred/%'")
        #expect(try scene.ownersCheck.missingMigrations() == Migration.current.filter(\.isDeferred).map(\.name))
        #expect(refusal { try scene.ownersCheck.checkReady(for: .serving) }?.message.contains("deferred/V0004") == true)
        try Migrator(connection: scene.owner).migrate()
        try scene.ownersCheck.checkReady(for: .writing)
    }

    @Test(arguments: [
        ("DELETE FROM schema_migrations WHERE name LIKE 'V0003%'", "but not V0003__create_api_keys before it"),
        ("DELETE FROM schema_migrations WHERE name LIKE 'deferred/V0004%'", "but not deferred/V0004"),
        ("DROP TABLE answers CASCADE", "the migration that makes table answers, but not the table"),
        ("DROP TABLE schema_migrations", "has a table active_generation, but not the migration that makes it"),
        ("DELETE FROM schema_migrations", "has a table active_generation, but not the migration that makes it"),
    ]) func aHalfDatabaseIsRefused(damage: String, message: String) throws {
        let scene = try Scene()
        try scene.script(damage)
        let error = refusal { _ = try scene.ownersCheck.missingMigrations() }
        #expect(error?.message.contains(message) == true, "\(error?.message ?? "")")
        #expect(error?.hint?.contains("restore all of it") == true)
    }

    /// Rails and others keep a table of this name, too.
    @Test func anotherProgramsDatabaseIsRefused() throws {
        let scene = try Scene(isMigrated: false)
        try scene.script("CREATE TABLE schema_migrations (version bigint PRIMARY KEY)")
        #expect(refusal { _ = try scene.ownersCheck.missingMigrations() }?.message.contains("another program") == true)
        // In another schema it is in nobody's way.
        try scene.script(
            """
            CREATE SCHEMA theirs; ALTER TABLE schema_migrations SET SCHEMA theirs;
            CREATE TABLE theirs.answers (); ALTER ROLE medallion IN DATABASE \(scene.database) SET search_path = public, theirs
            """)
        let own = DatabaseCheck(
            connection: try PostgresConnection(PostgresConfiguration(dsn: scene.dsn), timeoutMilliseconds: Self.limit))
        #expect(refusal { _ = try own.missingMigrations() }?.message.contains("theirs") == true)
        try scene.script("DROP TABLE theirs.schema_migrations")
        #expect(try own.missingMigrations() == Migration.current.map(\.name))
    }

    // MARK: Rights

    @Test func whoMayNotCreateIsToldWhat() throws {
        let scene = try Scene(isMigrated: false)
        func migrate() throws {
            let connection = try scene.connect()
            do { try Migrator(connection: connection).migrate() } catch let error as PostgresError {
                throw DatabaseCheck(connection: connection).explained(error)
            }
        }
        let tables = refusal { try migrate() }
        #expect(tables?.message.contains("role \(scene.role) may not create tables in schema public") == true)
        #expect(refusal { try scene.check().checkMayCreate() }?.message == tables?.message)
        try scene.script(statements(tables))
        try scene.check().checkMayCreate()
        // The extension of the server in use may need a superuser, or CREATE on the database.
        do { try migrate() } catch let error as IndexError {
            #expect(error.message.contains("may not create the extension vector"))
            try scene.script("CREATE EXTENSION vector")
            try migrate()
        }
        try scene.check().checkReady(for: .writing)
    }

    @Test func whoOwnsNothingCannotGoOnMigrating() throws {
        let scene = try Scene()
        try scene.script(
            """
            GRANT USAGE, CREATE ON SCHEMA public TO "\(scene.role)";
            GRANT ALL ON ALL TABLES IN SCHEMA public TO "\(scene.role)";
            DELETE FROM schema_migrations WHERE name LIKE 'deferred/%'
            """)
        try scene.script(Migration.current.compactMap(\.builtIndex).map { "DROP INDEX \($0);" }.joined())
        let connection = try scene.connect()
        let error = refusal {
            do { try Migrator(connection: connection).migrate() } catch let error as PostgresError {
                throw DatabaseCheck(connection: connection).explained(error)
            }
        }
        #expect(
            error?.message.contains("does not own active_generation, answer_documents, answer_feedback, answers")
                == true,
            "\(error?.message ?? "")")
        #expect(error?.hint?.contains("as medallion") == true)
    }

    /// Each GRANT of a hint is what was missing, and nothing more is asked for then.
    @Test(arguments: [DatabaseUse.serving, .writing]) func whoMayNotReadOrWriteIsToldWhat(use: DatabaseUse) throws {
        let scene = try Scene()
        let list = refusal { try scene.check().checkReady(for: use) }
        #expect(list?.message.contains("may not read schema_migrations") == true, "\(list?.message ?? "")")
        try scene.script("GRANT SELECT ON schema_migrations TO \"\(scene.role)\"")
        let tables = refusal { try scene.check().checkReady(for: use) }
        #expect(tables?.message.contains("may not SELECT") == true && tables?.message.contains("passages") == true)
        try scene.script(statements(tables))
        try scene.check().checkReady(for: use)
        if use == .serving {
            #expect(refusal { try scene.check().checkReady(for: .writing) }?.message.contains("INSERT") == true)
        }
        // One right of one table.
        try scene.script("REVOKE SELECT ON api_keys FROM \"\(scene.role)\"")
        let one = refusal { try scene.check().checkReady(for: use) }
        #expect(one?.message.contains("may not SELECT on api_keys in ") == true, "\(one?.message ?? "")")
        #expect(one?.hint?.hasSuffix("GRANT SELECT ON api_keys TO \"\(scene.role)\"") == true)
    }

    /// Without it, only the program keeps tenants apart: a warning, with a way out that works.
    @Test func whoCannotActAsTheRoleOfSearchesIsTold() throws {
        let scene = try Scene()
        #expect(try scene.ownersCheck.readerRoleGap() == nil)
        let gap = try #require(try scene.check().readerRoleGap())
        #expect(gap.message.contains("\(scene.role) is no member of medallion_reader"))
        try scene.script(statements(gap))
        #expect(try scene.check().readerRoleGap() == nil)
        try scene.script("REVOKE INSERT ON answers FROM medallion_reader")
        #expect(try scene.check().readerRoleGap()?.hint?.contains("medallion migrate") == true)
        try Migrator(connection: scene.owner).migrate()
        #expect(try scene.check().readerRoleGap() == nil)
    }

    /// An index of a deferred migration that somebody dropped, or whose building was cut off, is missed by nothing but time.
    @Test func aDeferredIndexThatIsGoneIsNamed() throws {
        let scene = try Scene()
        #expect(try scene.ownersCheck.indexGap() == nil)
        func healed(_ gap: IndexError) throws {
            let hint = try #require(gap.hint)
            let start = try #require(hint.firstRange(of: ": "))
            for statement in hint[start.upperBound...].split(separator: ";") { try scene.script(String(statement)) }
            #expect(try scene.ownersCheck.indexGap() == nil)
        }
        for index in Migration.current.compactMap(\.builtIndex) {
            try scene.script("DROP INDEX \(index)")
            let gone = try #require(try scene.ownersCheck.indexGap())
            #expect(gone.message.contains("the index \(index), which is gone"))
            try healed(gone)
            try scene.script("UPDATE pg_index SET indisvalid = false WHERE indexrelid = '\(index)'::regclass")
            let invalid = try #require(try scene.ownersCheck.indexGap())
            #expect(invalid.message.contains("cannot be used"))
            try healed(invalid)
        }
        #expect(Migration.current.contains { $0.builtIndex != nil }, "the loop is about something")
        // What is not migrated yet has no index to miss.
        #expect(try Scene(isMigrated: false).ownersCheck.indexGap() == nil)
    }

    @Test func aSchemaThatMayNotBeUsedIsNamed() throws {
        let scene = try Scene()
        try scene.script("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        let error = refusal { _ = try scene.check().missingMigrations() }
        #expect(error?.message == "role \(scene.role) may not use schema public, which holds the index")
        try scene.script(statements(error))
        #expect(refusal { _ = try scene.check().missingMigrations() }?.message.contains("schema_migrations") == true)
    }

    @Test func otherFailuresStayAsTheyAre() throws {
        let scene = try Scene()
        let error = PostgresError(kind: .server, sqlState: "42501", operation: "x", server: "y", message: "z")
        #expect(scene.ownersCheck.explained(error) is PostgresError)
        let timeout = PostgresError(kind: .timeout, operation: "x", server: "y", message: "z")
        #expect((scene.ownersCheck.explained(timeout) as? PostgresError)?.isRetriable == true)
    }
}

extension DatabaseCheckTests.Scene {
    fileprivate var database: String {
        dsn.firstRange(of: "dbname=").map { String(dsn[$0.upperBound...]) } ?? ""
    }
}
