import Postgres
import ServiceLifecycle
import Store
import Telemetry

/// Applying migrations, with patience for a server that is still starting.
enum Migrations {
    /// How long the server may take to answer, in milliseconds.
    private static let patienceMilliseconds = 60_000

    /// Blocks until the schema is up to date. For lanes.
    static func apply(_ configuration: PostgresConfiguration, stop: StopSignal, logger: Logger) throws -> [String] {
        var backoff = Backoff(baseMilliseconds: 200, capMilliseconds: 5_000)
        var waited = 0
        while true {
            do {
                let connection = try PostgresConnection(configuration, timeoutMilliseconds: 10_000)
                return try Migrator(connection: connection).migrate()
            } catch let error as PostgresError where error.isRetriable && waited < patienceMilliseconds {
                logger.warning("the database does not answer yet", ["error": error.description])
                let wait = backoff.next()
                waited += max(wait, 100)
                if stop.sleep(milliseconds: wait) { throw error }
            }
        }
    }
}
