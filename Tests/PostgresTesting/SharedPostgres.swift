import EmbeddedPostgres
import Files
import Glibc
import PlatformTesting
package import Postgres
import ServiceLifecycle
import Synchronization
import Telemetry

/// One embedded server for all tests of a process, and a database of its own for each test.
///
/// The server is stopped and its folder removed when the process exits.
package final class SharedPostgres: Sendable {
    private static let shared = Mutex<Result<SharedPostgres, any Error>?>(nil)
    private static let databases = Atomic<Int>(0)

    private let folder: TemporaryFolder
    private let server: EmbeddedPostgres

    private init() throws {
        folder = try TemporaryFolder()
        // Root's server runs as another user, who has to pass.
        chmod(folder.path, 0o711)
        var configuration = EmbeddedPostgresConfiguration(folder: folder.file("postgres"))
        configuration.connectionsMax = 100
        configuration.isDurable = false
        configuration.memoryBytes = 128 << 20
        server = EmbeddedPostgres(
            configuration: configuration, metrics: MetricsRegistry(), logger: Logger("postgres", level: .warning))
        try server.start()
        atexit { SharedPostgres.end() }
    }

    /// The DSN of a new, empty database.
    package static func freshDatabase() throws -> String {
        let server = try shared.withLock { shared in
            let result = shared ?? Result { try SharedPostgres() }
            shared = result
            return try result.get().server
        }
        let number = databases.wrappingAdd(1, ordering: .relaxed).newValue
        let connection = try PostgresConnection(PostgresConfiguration(dsn: server.dsn), timeoutMilliseconds: 10_000)
        // Tests make databases at the same time, and each copy needs the template to itself for a moment.
        try connection.script(
            "SELECT pg_advisory_lock(1)", operation: "lock", timeoutMilliseconds: 60_000)
        try connection.script(
            "CREATE DATABASE test\(number) TEMPLATE template0", operation: "create database",
            timeoutMilliseconds: 60_000)
        return server.dsn.replacing("dbname=medallion", with: "dbname=test\(number)")
    }

    /// A connection to a new, empty database.
    package static func connect() throws -> PostgresConnection {
        try PostgresConnection(PostgresConfiguration(dsn: try freshDatabase()), timeoutMilliseconds: 10_000)
    }

    private static func end() {
        shared.withLock { shared in
            if case .success(let postgres) = shared {
                postgres.server.shutDown()
                // The process ends: nobody is left to be told of a folder that stays behind.
                try? Folder.removeTree(postgres.folder.path)
            }
            shared = nil
        }
    }
}
