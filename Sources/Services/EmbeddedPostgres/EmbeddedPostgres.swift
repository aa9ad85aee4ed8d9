import Concurrency
import Files
import Glibc
import Postgres
package import ServiceLifecycle
import Synchronization
package import Telemetry

/// A Postgres server of our own, on a Unix socket only: a child process from the wheel's programs.
///
/// Run by root it drops privileges; only its account and root can reach it. It survives the death of either side: when
/// this process is killed the server shuts down by itself (and what still runs at the next start is ended first); when
/// the server dies it is started again with back-off. Drained means: the server has shut down in order.
///
/// One process owns a folder at a time, by a lock that lasts as long as the process; others reach the running server by
/// ``runningDSN(folder:)``.
package final class EmbeddedPostgres: Service {
    package let name = "postgres"
    private let configuration: EmbeddedPostgresConfiguration
    private let logger: Logger
    private let restarts: Counter
    private let state = Mutex(State())
    private let lane = Lane(name: "postgres-start")

    private struct State {
        var dsn = ""
        var supervisor: PostgresSupervisor?
        var lock: OwnedDescriptor?
    }

    package init(configuration: EmbeddedPostgresConfiguration, metrics: MetricsRegistry, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        restarts = EmbeddedPostgresMetrics.restarts(metrics)
    }

    /// How to reach the database, for libpq; empty before the start.
    package var dsn: String { state.withLock { $0.dsn } }

    /// The server's process id while it runs.
    package var processID: Int32? { state.withLock { $0.supervisor }?.processID }

    package func prepare(stop: StopSignal) async throws {
        try await lane.run { try self.start(stop: stop) }
    }

    package func run(stop: StopSignal) async throws {
        await stop.wait()
        try await lane.run { self.shutDown() }
    }

    /// Starts the server and blocks until it takes connections, which after a crash includes its recovery.
    ///
    /// - Parameter timeoutSeconds: how long recovery may take.
    /// - Throws: ``EmbeddedPostgresError`` or ``FileError``; nothing runs then.
    package func start(stop: StopSignal = StopSignal(), timeoutSeconds: Int = 300) throws {
        let cluster = try PostgresCluster(configuration)
        let lock = try OwnedDescriptor(locking: cluster.lockFile)
        // First, because a server that is ending removes files from under everything else.
        try PostgresSupervisor.clear(cluster)
        try cluster.create()
        try LogFile.shorten(cluster.logFile)
        let supervisor = PostgresSupervisor(
            cluster: cluster, memory: configuration.memory, logger: logger, restarts: restarts)
        let restartsMax = restarts.value + Self.restartsMax
        try supervisor.start()
        do {
            let version = try awaitReady(
                cluster, supervisor, stop: stop, timeoutSeconds: timeoutSeconds, restartsMax: restartsMax)
            logger.info(
                "Postgres is ready",
                [
                    "version": version, "folder": cluster.folder, "socket": cluster.socketFolder,
                    "memory": "\(supervisor.memory)",
                ])
        } catch {
            supervisor.stop()
            throw error
        }
        state.withLock { state in
            state.dsn = cluster.dsn(database: PostgresCluster.database)
            state.supervisor = supervisor
            state.lock = lock
        }
    }

    /// Stops the server and blocks until it is gone; does nothing when it does not run.
    package func shutDown() {
        let supervisor = state.withLock { state in
            defer { state.supervisor = nil }
            return state.supervisor
        }
        supervisor?.stop()
        state.withLock { $0.lock = nil }
    }

    /// The DSN of a server that runs on this folder now, in whatever process started it; nil when none does.
    package static func runningDSN(folder: String) -> String? {
        guard let absolute = Paths.absolute(folder) else { return nil }
        guard let pid = ServerProcesses.postmaster(in: absolute + "/data"), kill(pid, 0) == 0 || errno == EPERM else {
            return nil
        }
        var status = stat()
        guard stat(absolute + "/data", &status) == 0 else { return nil }
        let socket = PostgresCluster.socketFolder(folder: absolute, userID: status.st_uid)
        let host = socket.replacing("\\", with: "\\\\").replacing("'", with: "\\'")
        return "host='\(host)' port=\(PostgresCluster.port) user=\(PostgresCluster.user) "
            + "dbname=\(PostgresCluster.database)"
    }

    /// A server that ends right away so many times has a fault that waiting does not heal.
    private static let restartsMax = 3

    /// Connects until it works, and makes the database where it is absent.
    private func awaitReady(
        _ cluster: PostgresCluster, _ supervisor: PostgresSupervisor, stop: StopSignal, timeoutSeconds: Int,
        restartsMax: Int
    ) throws -> String {
        let configuration = PostgresConfiguration(
            dsn: cluster.dsn(database: "postgres"), applicationName: "medallion-start")
        let deadline = time(nil) + timeoutSeconds
        while true {
            do {
                let connection = try PostgresConnection(configuration, timeoutMilliseconds: 5_000)
                let known = try connection.script(
                    "SELECT 1 FROM pg_database WHERE datname = '\(PostgresCluster.database)'",
                    timeoutMilliseconds: 10_000)
                if known.isEmpty {
                    try connection.script(
                        "CREATE DATABASE \(PostgresCluster.database)", operation: "create database",
                        timeoutMilliseconds: 60_000)
                }
                return connection.serverVersion
            } catch {
                guard error.isRetriable else { throw error }
                if stop.isRequested {
                    throw EmbeddedPostgresError("start", cluster.folder, "stopped before it was ready")
                }
                if restarts.value >= restartsMax || time(nil) > deadline {
                    throw EmbeddedPostgresError(
                        "start", cluster.folder,
                        "no connection: \(error.message); the server \(supervisor.lastEnding ?? "still starts"): "
                            + LogFile.lastLines(cluster.logFile),
                        hint: "see \(cluster.logFile)")
                }
                if stop.sleep(milliseconds: 20) { continue }
            }
        }
    }
}

/// An open file whose lock lasts as long as this object.
private final class OwnedDescriptor: Sendable {
    private let descriptor: Int32

    init(locking path: String) throws {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw FileError("open", path) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw EmbeddedPostgresError(
                "start", path, "another process runs the embedded Postgres of this folder",
                hint: "stop it, or give this one another DATA_DIR, or its server by POSTGRES_DSN; see "
                    + "docs/troubleshooting.md")
        }
        self.descriptor = descriptor
    }

    deinit {
        // Closing alone would leave the lock for a moment with a child that is just being started.
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }
}
