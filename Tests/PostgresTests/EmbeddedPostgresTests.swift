import Concurrency
import Files
import Glibc
import PlatformTesting
import Postgres
import PostgresTesting
import ServiceLifecycle
import Telemetry
import Testing

@testable import EmbeddedPostgres

/// The server's life, with servers of the tests' own.
@Suite(.serialized) struct EmbeddedPostgresTests {
    private let limit = 20_000

    private func server(_ folder: String, programsFolder: String = "") -> EmbeddedPostgres {
        var configuration = EmbeddedPostgresConfiguration(folder: folder)
        configuration.programsFolder = programsFolder
        // Processes die here, the machine does not.
        configuration.isDurable = false
        configuration.memoryBytes = 128 << 20
        return EmbeddedPostgres(
            configuration: configuration, metrics: MetricsRegistry(), logger: Logger("postgres", level: .error))
    }

    private func connect(_ dsn: String) throws -> PostgresConnection {
        try PostgresConnection(PostgresConfiguration(dsn: dsn), timeoutMilliseconds: limit)
    }

    /// Tries until the server is back.
    private func eventually<R>(_ body: () throws -> R) throws -> R {
        var attempts = 0
        while true {
            do { return try body() } catch {
                attempts += 1
                if attempts > 500 { throw error }
                usleep(20_000)
            }
        }
    }

    @Test func dataSurvivesAStopAndAStart() throws {
        let folder = try TemporaryFolder()
        chmod(folder.path, 0o711)
        let first = server(folder.file("postgres"))
        try first.start()
        let connection = try connect(first.dsn)
        try connection.script("CREATE TABLE kept AS SELECT 42 AS n", timeoutMilliseconds: limit)
        #expect(try connection.script("SHOW listen_addresses", timeoutMilliseconds: limit) == [[""]])
        #expect(try connection.script("SHOW max_locks_per_transaction", timeoutMilliseconds: limit) == [["1024"]])
        #expect(try connection.script("SHOW server_encoding", timeoutMilliseconds: limit) == [["UTF8"]])
        #expect(EmbeddedPostgres.runningDSN(folder: folder.file("postgres")) == first.dsn)

        let rival = server(folder.file("postgres"))
        let refusal = #expect(throws: EmbeddedPostgresError.self) { try rival.start() }
        #expect(refusal?.description.contains("another process runs") == true)

        first.shutDown()
        #expect(EmbeddedPostgres.runningDSN(folder: folder.file("postgres")) == nil)
        try rival.start()
        #expect(
            try connect(rival.dsn).script("SELECT n FROM kept", timeoutMilliseconds: limit) == [["42"]])
        rival.shutDown()
    }

    @Test(
        "letters of all scripts are letters, and the order is that of bytes, whatever version PG_BIN_DIR names",
        arguments: [""] + LogicalPostgres.otherVersions)
    func locale(programsFolder: String) throws {
        let folder = try TemporaryFolder()
        chmod(folder.path, 0o711)
        let postgres = server(folder.file("postgres"), programsFolder: programsFolder)
        try postgres.start()
        defer { postgres.shutDown() }
        #expect(
            try connect(postgres.dsn).script(
                "SELECT lower('ÄÖΣЖ'), 'a' < 'B', 'Z' < 'a'", timeoutMilliseconds: limit) == [["äöσж", "f", "t"]])
    }

    @Test func aKilledServerIsStartedAgainAndNothingCommittedIsLost() throws {
        let folder = try TemporaryFolder()
        let postgres = server(folder.file("postgres"))
        try postgres.start()
        defer { postgres.shutDown() }
        try connect(postgres.dsn).script("CREATE TABLE kept AS SELECT 42 AS n", timeoutMilliseconds: limit)
        let killed = try #require(postgres.processID)
        kill(killed, SIGKILL)
        let rows = try eventually {
            try connect(postgres.dsn).script("SELECT n FROM kept", timeoutMilliseconds: limit)
        }
        #expect(rows == [["42"]])
        #expect(postgres.processID != killed)
    }

    /// What `kill -9` of the owning process could leave: a server that nobody supervises.
    @Test func anOrphanedServerIsEndedAndReplaced() throws {
        let folder = try TemporaryFolder()
        chmod(folder.path, 0o711)
        let path = folder.file("postgres")
        let first = server(path)
        try first.start()
        let socket = path + "/run"
        let programs = try PostgresPrograms(setting: "").folder
        first.shutDown()

        var status = stat()
        #expect(stat(path + "/data", &status) == 0)
        let account = geteuid() == 0 ? "setpriv --reuid=\(status.st_uid) --regid=\(status.st_gid) --clear-groups" : ""
        let command = "\(account) '\(programs)/postgres' -D '\(path)/data' -k '\(socket)' -c listen_addresses="
        #expect(system("cd / && \(command) >/dev/null 2>&1 &") == 0)
        let dsn = "host='\(socket)' port=5432 user=medallion dbname=postgres"
        _ = try eventually { try connect(dsn).script("SELECT 1", timeoutMilliseconds: limit) }

        let second = server(path)
        try second.start()
        #expect(try connect(second.dsn).script("SELECT 1", timeoutMilliseconds: limit) == [["1"]])
        second.shutDown()
    }

    /// What a power cut, or `kill -9` of both sides, leaves; the numbers meanwhile belong to someone else.
    @Test func filesOfADeadServerAreNoObstacle() throws {
        let folder = try TemporaryFolder()
        chmod(folder.path, 0o711)
        let path = folder.file("postgres")
        let first = server(path)
        try first.start()
        first.shutDown()
        let stranger = Array("\(getpid())\n\(path)/data\n1\n5432\n\(path)/run\n\n".utf8)
        try File.replace(path + "/data/postmaster.pid", with: stranger)
        try File.replace(path + "/run/.s.PGSQL.5432.lock", with: stranger)
        let second = server(path)
        try second.start()
        #expect(try connect(second.dsn).script("SELECT 1", timeoutMilliseconds: limit) == [["1"]])
        second.shutDown()
    }

    /// Root can take a niceness back; others leave sessions as they are.
    @Test func aSessionThatBuildsAnIndexStandsBackUntilItIsDone() async throws {
        let folder = try TemporaryFolder()
        let postgres = server(folder.file("postgres"))
        try postgres.start()
        defer { postgres.shutDown() }
        let connection = try connect(postgres.dsn)
        try connection.script(
            """
            CREATE FUNCTION slow(n integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql
                AS $$ BEGIN PERFORM pg_sleep(60); RETURN n; END $$;
            CREATE TABLE built AS SELECT 1 AS n;
            """, timeoutMilliseconds: limit)
        let (dsn, limit) = (postgres.dsn, limit)
        // The session stays behind the build, so that its niceness can be looked at.
        let end = StopSignal()
        async let building: Void = Lane(name: "build").run {
            let builder = try connect(dsn)
            _ = try? builder.script("CREATE INDEX ON built (slow(n))", timeoutMilliseconds: limit)
            _ = end.sleep(milliseconds: limit)
        }
        let pid = try eventually {
            let rows = try connection.script(
                "SELECT pid FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX%' AND state = 'active'",
                timeoutMilliseconds: limit)
            guard let pid = rows.first?.first.flatMap({ $0 }).flatMap({ pid_t($0) }) else { throw Pending() }
            return pid
        }
        func niceness() -> Int32 { getpriority(__priority_which_t(PRIO_PROCESS.rawValue), id_t(pid)) }
        let wanted = geteuid() == 0 ? MaintenancePriority.niceness : 0
        try eventually {
            guard niceness() == wanted else { throw Pending(niceness: niceness()) }
        }
        #expect(ServerProcesses.title(pid).hasSuffix("CREATE INDEX"))
        try connection.script("SELECT pg_cancel_backend(\(pid))", timeoutMilliseconds: limit)
        try eventually {
            guard niceness() == 0 else { throw Pending(niceness: niceness()) }
        }
        end.request()
        try await building
    }

    private struct Pending: Error {
        var niceness: Int32?
    }

    @Test(arguments: [
        ("postgres: medallion medallion [local] CREATE INDEX", MaintenancePriority.Work.session),
        ("postgres: medallion medallion [local] REINDEX", .session),
        ("postgres: medallion medallion [local] VACUUM", .session),
        ("postgres: medallion medallion [local] VACUUM waiting", .session),
        ("postgres: parallel worker for PID 4711 ", .passing),
        ("postgres: autovacuum worker medallion", .passing),
        ("postgres: medallion medallion [local] SELECT", .ordinary),
        ("postgres: medallion medallion [local] idle in transaction", .ordinary),
        ("postgres: medallion VACUUM [local] idle", .ordinary),
        ("postgres: checkpointer ", .ordinary), ("postgres: autovacuum launcher ", .ordinary),
        ("/opt/postgres/bin/postgres -D data", .ordinary), ("", .ordinary),
    ])
    func maintenanceIsToldByItsTitle(_ title: String, _ work: MaintenancePriority.Work) {
        #expect(MaintenancePriority.work(title: title) == work)
    }

    @Test func aLongPathMovesTheSocket() throws {
        let folder = try TemporaryFolder()
        chmod(folder.path, 0o711)
        let path = folder.file(String(repeating: "long-folder-name/", count: 8) + "with 'quotes', commas and spaces")
        try Folder.create(path, mode: 0o755)
        let postgres = server(path)
        try postgres.start()
        #expect(!postgres.dsn.contains("long-folder-name"))
        #expect(try connect(postgres.dsn).script("SELECT 1", timeoutMilliseconds: limit) == [["1"]])
        postgres.shutDown()
        let socket = try #require(postgres.dsn.split(separator: "'").dropFirst().first.map(String.init))
        try Folder.removeTree(socket)
    }

    @Test func whatCannotWorkIsSaidWithTheWayOut() throws {
        let folder = try TemporaryFolder()
        var configuration = EmbeddedPostgresConfiguration(folder: folder.file("postgres"))
        configuration.programsFolder = folder.file("nothing-here")
        let postgres = EmbeddedPostgres(
            configuration: configuration, metrics: MetricsRegistry(), logger: Logger("postgres"))
        let error = #expect(throws: EmbeddedPostgresError.self) { try postgres.start() }
        #expect(error?.hint?.contains("PG_BIN_DIR") == true)
    }
}
