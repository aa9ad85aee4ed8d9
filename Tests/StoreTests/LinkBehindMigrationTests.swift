import Concurrency
import IndexTesting
import Postgres
import PostgresTesting
import Testing

@testable import Store

/// The tables of vectors are taken apart beside processes of the program before.
@Suite(.timeLimit(.minutes(2))) struct LinkBehindMigrationTests {
    private static let limit = IndexFixture.limit
    private let configuration: PostgresConfiguration

    init() throws {
        configuration = PostgresConfiguration(dsn: try SharedPostgres.freshDatabase())
        try Migrator(connection: connect()).migrate(Migration.all.filter { $0.name < "V0021" })
        try connect().script(
            "SELECT medallion_prepare_vectors('test', 3, 'default', 16, 64)", timeoutMilliseconds: Self.limit)
    }

    private func connect() throws -> PostgresConnection {
        try PostgresConnection(configuration, timeoutMilliseconds: Self.limit)
    }

    @Test func whoBuildsAGraphIsWaitedForOutsideATransaction() throws {
        let builder = try connect()
        #expect(try builder.run(TryLockGraphs(), timeoutMilliseconds: Self.limit) == [true])
        let migrating = try connect()
        #expect(throws: IndexError.self) { try Migrator(connection: migrating).migrate(timeoutMilliseconds: 200) }
        #expect(migrating.isUsable)
        let parts = try builder.script("SELECT to_regclass('vectors_1_t1_new')", timeoutMilliseconds: Self.limit)
        #expect(parts == [[nil]])
        _ = try builder.run(UnlockGraphs(), timeoutMilliseconds: Self.limit)
        #expect(try Migrator(connection: migrating).migrate().first == "V0021__link_behind")
        // It has given the turn back.
        #expect(try builder.run(TryLockGraphs(), timeoutMilliseconds: Self.limit) == [true])
    }

    /// One who makes tables had begun, with the function of before, and goes on behind the migration.
    @Test func tablesThatAreMadeTheFormerWayAreMadeGood() async throws {
        let (writer, preparer) = (try connect(), try connect())
        let holders = [(writer, "7882826980159875177"), (preparer, "7882826980159875179")]
        for (holder, key) in holders {
            try holder.script("BEGIN; SELECT pg_advisory_xact_lock(\(key))", timeoutMilliseconds: Self.limit)
        }
        let configuration = configuration
        async let migrated = Lane(name: "migration").run {
            let connection = try PostgresConnection(configuration, timeoutMilliseconds: Self.limit)
            return try Migrator(connection: connection).migrate()
        }
        try await waitUntilWaiting(for: holders[0].1)
        try writer.script("COMMIT", timeoutMilliseconds: Self.limit)
        try await waitUntilWaiting(for: holders[1].1)
        async let prepared = Lane(name: "preparation").run {
            try PostgresConnection(configuration, timeoutMilliseconds: Self.limit).script(
                "SELECT medallion_prepare_vectors('late', 3, 'default', 16, 64)", timeoutMilliseconds: Self.limit)
        }
        try await waitUntilWaiting(for: holders[1].1, 2)
        try preparer.script("COMMIT", timeoutMilliseconds: Self.limit)
        #expect(try await migrated.first == "V0021__link_behind")
        #expect(try await prepared == [["2"]])
        let parts = "SELECT to_regclass('vectors_2_t1'), to_regclass('vectors_2_t1_new')"
        #expect(try writer.script(parts, timeoutMilliseconds: Self.limit) == [["vectors_2_t1", nil]])
        let vector: [Float] = [0, 0.6, 0.8]
        for number in 1...2 {
            _ = try IndexWriter(configuration: configuration).write(
                [IndexFixture.document(number, embedding: vector, model: "late")], timeoutMilliseconds: Self.limit)
        }
        #expect(try GraphLinker(configuration: configuration).count(timeoutMilliseconds: Self.limit).count == 2)
        let store = SearchStore(configuration: configuration, model: "late")
        for _ in 0..<2 {
            let query = IndexFixture.query(vector: vector, lexicalLimit: 0)
            #expect(try store.candidates(for: query, timeoutMilliseconds: Self.limit).nearest.count == 2)
            try IndexFixture.linkVectors(configuration)
        }
    }

    private func waitUntilWaiting(for key: String, _ count: Int = 1) async throws {
        let watcher = try connect()
        let waiting = """
            SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND (classid::bigint << 32) | objid::bigint = \(key)
            """
        while try watcher.script(waiting, timeoutMilliseconds: Self.limit) != [["\(count)"]] {
            try await Task.sleep(for: .milliseconds(10))
        }
    }
}
