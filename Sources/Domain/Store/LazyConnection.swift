import Postgres

/// A connection that is made when it is first needed and made anew after it was given up. One thread's.
final class LazyConnection {
    private let configuration: PostgresConfiguration
    private var connection: PostgresConnection?

    init(_ configuration: PostgresConfiguration) {
        self.configuration = configuration
    }

    /// - Throws: ``IndexError`` of kind `database` where no connection can be made.
    func get(timeoutMilliseconds: Int) throws(IndexError) -> PostgresConnection {
        if let connection, connection.isUsable { return connection }
        connection = nil
        do throws(PostgresError) {
            let made = try PostgresConnection(configuration, timeoutMilliseconds: timeoutMilliseconds)
            connection = made
            return made
        } catch {
            throw IndexError(error)
        }
    }

    /// Runs one statement; the client's errors become the index's.
    func run<S: PostgresStatement>(_ statement: S, timeoutMilliseconds: Int) throws(IndexError) -> [S.Row] {
        let connection = try get(timeoutMilliseconds: timeoutMilliseconds)
        do throws(PostgresError) {
            return try connection.run(statement, timeoutMilliseconds: timeoutMilliseconds)
        } catch {
            throw IndexError(error)
        }
    }

    /// Runs statements without parameters; names in them are the server's own, quoted by it, or made of numbers.
    ///
    /// - Parameter operation: what errors call it.
    func script(_ sql: String, operation: String, timeoutMilliseconds: Int) throws(IndexError) {
        let connection = try get(timeoutMilliseconds: timeoutMilliseconds)
        do throws(PostgresError) {
            try connection.script(sql, operation: operation, timeoutMilliseconds: timeoutMilliseconds)
        } catch {
            throw IndexError(error)
        }
    }

    /// Runs `body` in a transaction, which it takes back when it throws.
    func transaction<R>(
        timeoutMilliseconds: Int, _ body: (PostgresConnection) throws(PostgresError) -> R
    ) throws(IndexError) -> R {
        let connection = try get(timeoutMilliseconds: timeoutMilliseconds)
        do {
            return try connection.transaction(timeoutMilliseconds: timeoutMilliseconds) { try body(connection) }
        } catch let error as PostgresError {
            throw IndexError(error)
        } catch {
            throw IndexError(.database, "\(error)")
        }
    }

    /// Runs a batch and gives its results to `body`.
    func run<R>(
        _ batch: PostgresBatch, timeoutMilliseconds: Int, _ body: (PostgresResults) throws(PostgresError) -> R
    ) throws(IndexError) -> R {
        let connection = try get(timeoutMilliseconds: timeoutMilliseconds)
        do throws(PostgresError) {
            return try body(connection.run(batch, timeoutMilliseconds: timeoutMilliseconds))
        } catch {
            throw IndexError(error)
        }
    }
}
