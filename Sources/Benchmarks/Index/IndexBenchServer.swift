import Bytes
import Console
import EmbeddedPostgres
import Glibc
import Postgres
import ServiceLifecycle
import Store
import Synchronization
import Telemetry

/// A Postgres server of a benchmark's own, with an empty index unless none is wanted; its data goes with it.
final class IndexBenchServer: Sendable {
    private static let limit = 3_600_000

    let configuration: PostgresConfiguration
    private let folder: ScratchFolder
    private let server: EmbeddedPostgres
    private let isStopped = Mutex(false)

    /// A folder that the server may enter, too.
    var path: String { folder.path }

    /// Blocks until it runs.
    ///
    /// - Parameters:
    ///   - settings: of the server, such as `wal_level=logical`.
    ///   - hasIndex: false for a database of somebody else's.
    init(settings: [String] = [], hasIndex: Bool = true, logger: Logger) throws {
        folder = try ScratchFolder()
        // The server drops root's privileges and must still reach its folder.
        chmod(folder.path, 0o711)
        var embedded = EmbeddedPostgresConfiguration(folder: folder.path + "/postgres")
        embedded.otherSettings = settings
        server = EmbeddedPostgres(configuration: embedded, metrics: MetricsRegistry(), logger: logger)
        do {
            try server.start()
            configuration = PostgresConfiguration(dsn: server.dsn, applicationName: "medallion-bench")
            if hasIndex {
                try Migrator(connection: PostgresConnection(configuration, timeoutMilliseconds: 10_000)).migrate()
            }
        } catch {
            server.shutDown()
            folder.remove()
            throw error
        }
        _ = StopRequests.listen { [weak self] _, signal in
            self?.stop()
            exit(128 + signal)
        }
    }

    /// Ends the server and removes its data; a second call waits for the first.
    func stop() {
        isStopped.withLock { isStopped in
            guard !isStopped else { return }
            server.shutDown()
            folder.remove()
            isStopped = true
        }
    }

    /// A session of its own, for statements that take as long as they take.
    func connect(_ settings: [(name: String, value: String)] = []) throws -> PostgresConnection {
        var configuration = configuration
        configuration.sessionSettings = settings
        return try PostgresConnection(configuration, timeoutMilliseconds: 10_000)
    }

    /// Runs SQL in a session of its own, and gives the rows of its last statement.
    @discardableResult
    func script(_ sql: String) throws -> [[String?]] {
        try connect().script(sql, operation: "bench", timeoutMilliseconds: Self.limit)
    }

    /// User and system time of the server and its sessions, those that have ended included.
    func processorSeconds() -> Double {
        guard let postmaster = server.processID else { return 0 }
        return ProcessTable.processorSeconds(of: [postmaster], withReaped: true)
            + ProcessTable.processorSeconds(of: ProcessTable.children(of: postmaster))
    }
}

/// What something took: time, and processor time on both sides.
struct IndexBenchCost: Sendable {
    var seconds = 0.0
    /// Of Postgres.
    var server = 0.0
    /// Of this process.
    var client = 0.0

    /// Measures `body` and adds it.
    mutating func add(_ postgres: IndexBenchServer, _ body: () async throws -> Void) async throws {
        let (server, client) = (postgres.processorSeconds(), ProcessorTime.seconds())
        let began = SystemClock.monotonicNanoseconds()
        try await body()
        seconds += Double(SystemClock.monotonicNanoseconds() - began) / 1e9
        self.client += ProcessorTime.seconds() - client
        // A session that ends at this moment is neither among the children nor counted with those that have ended.
        Pause.milliseconds(100)
        self.server += postgres.processorSeconds() - server
    }

    static func += (left: inout IndexBenchCost, right: IndexBenchCost) {
        left.seconds += right.seconds
        left.server += right.server
        left.client += right.client
    }

    /// - Parameter count: what it was spent on.
    func rate(_ count: Int) -> Double { Double(count) / max(seconds, 1e-9) }

    /// Microseconds of processor time for each.
    func processorFigures(_ name: String, _ count: Int) -> [BenchFigure] {
        [
            BenchFigure("\(name): Postgres' processor time", server / Double(max(1, count)) * 1e6, "µs"),
            BenchFigure("\(name): the client's processor time", client / Double(max(1, count)) * 1e6, "µs"),
        ]
    }
}
