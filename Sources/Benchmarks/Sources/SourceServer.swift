import Console
import EmbeddedPostgres
import Glibc
import Postgres
import Synchronization
import Telemetry

/// A Postgres like a customer's, with a table whose changes are read; its data goes with it.
final class SourceServer: Sendable {
    /// Without a password, as libpq takes it.
    let dsn: String
    private let folder: ScratchFolder
    private let server: EmbeddedPostgres
    private let isStopped = Mutex(false)
    private static let limit = 600_000

    /// Blocks until it runs, with the table `things` of so many rows of about 300 bytes.
    init(rows: Int, logger: Logger) throws {
        folder = try ScratchFolder()
        // The server drops root's privileges and must still reach its folder.
        chmod(folder.path, 0o711)
        var configuration = EmbeddedPostgresConfiguration(folder: folder.path + "/postgres")
        configuration.otherSettings = ["wal_level=logical", "max_wal_senders=10", "max_replication_slots=10"]
        server = EmbeddedPostgres(configuration: configuration, metrics: MetricsRegistry(), logger: logger)
        do {
            try server.start()
            dsn = server.dsn
            let connection = try connect()
            defer { connection.close() }
            try connection.script(
                """
                CREATE TABLE things (
                    id bigint PRIMARY KEY, title text NOT NULL, body text NOT NULL, stock int NOT NULL,
                    price double precision, changed_at timestamptz NOT NULL DEFAULT now());
                INSERT INTO things SELECT n, 'Thing ' || n || ' of ' || md5(n::text),
                    concat_ws(' ', 'kettle', md5('a' || n), 'of copper and', md5('b' || n), 'with a lid', md5('c' || n),
                        'made in', md5('d' || n), 'and sold with', md5('e' || n)), n % 100, n / 7.0
                FROM generate_series(1, \(rows)) n;
                ANALYZE things
                """, operation: "fill", timeoutMilliseconds: Self.limit)
        } catch {
            server.shutDown()
            folder.remove()
            throw error
        }
    }

    deinit { stop() }

    func connect() throws -> PostgresConnection {
        try PostgresConnection(
            PostgresConfiguration(dsn: server.dsn, applicationName: "medallion-bench"), timeoutMilliseconds: 10_000)
    }

    func stop() {
        isStopped.withLock { isStopped in
            guard !isStopped else { return }
            server.shutDown()
            folder.remove()
            isStopped = true
        }
    }

    /// The declaration of a source that reads the table.
    var declaration: String {
        #"{"name":"things","connector":{"type":"postgres","dsn":"\#(dsn)","table":"things"},"#
            + #""logic":{"type":"document","envelope":"debezium","fields":{"id":"id","version":"@source.order","#
            + #""title":"title","text":["title","body"],"time":"changed_at"}},"#
            + #""collection":{"attributes":{"stock":{"type":"integer"},"price":{"type":"number"}}}}"#
    }
}
