import Postgres
import Telemetry

/// A Postgres like a customer's, with a table whose changes are read; its data goes with it.
final class SourceServer: Sendable {
    private let server: IndexBenchServer

    /// Blocks until it runs, with the table `things` of so many rows of about 300 bytes.
    init(rows: Int, logger: Logger) throws {
        server = try IndexBenchServer(
            settings: ["wal_level=logical", "max_wal_senders=10", "max_replication_slots=10"], hasIndex: false,
            logger: logger)
        do {
            try server.script(
                """
                CREATE TABLE things (
                    id bigint PRIMARY KEY, title text NOT NULL, body text NOT NULL, stock int NOT NULL,
                    price double precision, changed_at timestamptz NOT NULL DEFAULT now());
                INSERT INTO things SELECT n, 'Thing ' || n || ' of ' || md5(n::text),
                    concat_ws(' ', 'kettle', md5('a' || n), 'of copper and', md5('b' || n), 'with a lid', md5('c' || n),
                        'made in', md5('d' || n), 'and sold with', md5('e' || n)), n % 100, n / 7.0
                FROM generate_series(1, \(rows)) n;
                ANALYZE things
                """)
        } catch {
            server.stop()
            throw error
        }
    }

    func connect() throws -> PostgresConnection { try server.connect() }

    func stop() { server.stop() }

    /// The declaration of a source that reads the table. The embedded server has no password.
    var declaration: String {
        #"{"name":"things","connector":{"type":"postgres","dsn":"\#(server.configuration.dsn.revealed)","table":"things"},"#
            + #""logic":{"type":"document","envelope":"debezium","fields":{"id":"id","version":"@source.order","#
            + #""title":"title","text":["title","body"],"time":"changed_at"}},"#
            + #""collection":{"attributes":{"stock":{"type":"integer"},"price":{"type":"number"}}}}"#
    }
}
