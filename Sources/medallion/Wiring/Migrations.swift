import Postgres
import ServiceLifecycle
import Store
import Telemetry

/// Applying migrations, with patience for a server that is still starting, and none for a database that this program cannot use.
enum Migrations {
    /// How long the server may take to answer, in milliseconds.
    private static let patienceMilliseconds = 60_000

    /// Blocks until the schema is up to date, or was found so. For lanes.
    ///
    /// - Parameter use: what the database is for: a role that only serves needs no more rights than that, where nothing is to
    ///   be migrated.
    /// - Returns: the names applied now.
    static func apply(
        _ configuration: PostgresConfiguration, for use: DatabaseUse, stop: StopSignal, logger: Logger
    ) throws -> [String] {
        var backoff = Backoff(baseMilliseconds: 200, capMilliseconds: 5_000)
        var waited = 0
        while true {
            do {
                return try apply(configuration, for: use)
            } catch let error as PostgresError where error.isRetriable && waited < patienceMilliseconds {
                logger.warning("the database does not answer yet", ["error": error.description])
                let wait = backoff.next()
                waited += max(wait, 100)
                if stop.sleep(milliseconds: wait) { throw error }
            }
        }
    }

    private static func apply(_ configuration: PostgresConfiguration, for use: DatabaseUse) throws -> [String] {
        let connection = try PostgresConnection(configuration, timeoutMilliseconds: 10_000)
        let check = DatabaseCheck(connection: connection)
        var applied: [String] = []
        if try !check.missingMigrations().isEmpty {
            do {
                applied = try Migrator(connection: connection).migrate()
            } catch let error as PostgresError {
                throw check.explained(error)
            }
        }
        try check.checkReady(for: use)
        return applied
    }

    /// Refuses a database that a command could not work with. One that does not answer is left to the command, which says so.
    static func check(_ configuration: PostgresConfiguration, for use: DatabaseUse) throws {
        do {
            let connection = try PostgresConnection(configuration, timeoutMilliseconds: 10_000)
            try DatabaseCheck(connection: connection).checkReady(for: use)
        } catch let error as PostgresError where error.isRetriable {
            return
        }
    }
}
