import EmbeddedPostgres
import Files
import Glibc
import PlatformTesting
import Postgres
import ServiceLifecycle
import Telemetry
import Testing

/// The server's life, with servers of the tests' own.
@Suite(.serialized) struct EmbeddedPostgresTests {
    private let limit = 20_000

    private func server(_ folder: String) -> EmbeddedPostgres {
        var configuration = EmbeddedPostgresConfiguration(folder: folder)
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
