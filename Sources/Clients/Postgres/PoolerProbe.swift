import Glibc
import Synchronization

/// Finds out whether something between this process and the server, such as pgbouncer in transaction mode, gives the statements
/// of one connection to different sessions of the server.
///
/// Then what a session has is somebody else's a moment later: its settings (a search runs with the defaults, worse and
/// without an error), its prepared statements, the lock under which migrations run. Such a pooler says nothing of itself
/// to those who connect, so it is told by what it does: two connections set the same setting to values of their own, and
/// look by turns at what they find. Whichever way a pooler picks sessions, one of them finds the other's value or none,
/// or another process than before. A pooler that keeps a session for each connection (session mode) passes, as it should.
enum PoolerProbe {
    /// Connection strings that passed. It is looked at once per process, with the first connection.
    private static let passed = Mutex(Set<String>())
    /// Who looks, in order: twice in a row and by turns, for poolers that hand out the session that was used last, and for
    /// those that go round.
    private static let order = [0, 1, 0, 0, 1, 1, 0, 1]
    /// How long the second connection may take, in milliseconds.
    private static let timeoutMilliseconds = 3_000

    /// - Throws: kind `pooler` where there is one; what `first` throws otherwise.
    static func check(
        _ first: PostgresConnection, _ configuration: PostgresConfiguration, timeoutMilliseconds timeout: Int
    ) throws(PostgresError) {
        if passed.withLock({ $0.contains(configuration.dsn.revealed) }) { return }
        var plain = configuration
        plain.refusesPoolers = false
        plain.sessionSettings = []
        let limit = min(timeout, timeoutMilliseconds)
        // Where the server has no place for a second connection just now, the next one of this process looks again.
        guard let second = try? PostgresConnection(plain, timeoutMilliseconds: limit) else { return }
        defer { second.close() }
        var sides = [Side(first, number: 0), Side(second, number: 1)]
        for index in order {
            do throws(PostgresError) {
                guard let finding = try sides[index].look(timeoutMilliseconds: limit) else { continue }
                throw refusal(first, finding)
            } catch {
                if error.kind == .pooler || index == 0 { throw error }
                // It waits for a session of the server although the first connection is idle: that one keeps its own.
                guard error.kind == .timeout else { return }
                break
            }
        }
        passed.withLock { _ = $0.insert(configuration.dsn.revealed) }
    }

    private static func refusal(_ connection: PostgresConnection, _ finding: String) -> PostgresError {
        // Only a pooler that separates statements refuses this.
        let canBegin = (try? connection.script("BEGIN", timeoutMilliseconds: timeoutMilliseconds)) != nil
        connection.close()
        let mode = canBegin ? "transaction" : "statement"
        return PostgresError(
            kind: .pooler, operation: "connect", server: connection.server,
            message: "a connection pooler (such as pgbouncer) in \(mode) mode stands before the server: \(finding)",
            hint:
                "set pool_mode = session for this database in the pooler, or let POSTGRES_DSN name the Postgres server "
                + "itself; see docs/troubleshooting.md")
    }

    /// One of the two connections.
    private struct Side {
        private let connection: PostgresConnection
        /// Nobody else's: of this process, this moment and this side.
        private let mark: String
        private var process: String?

        init(_ connection: PostgresConnection, number: Int) {
            self.connection = connection
            mark = "\(getpid()).\(UInt64.random(in: 0...UInt64.max)).\(number)"
        }

        /// Sets the mark, at first, or looks whether it is there.
        ///
        /// - Returns: what is wrong; nil for nothing.
        mutating func look(timeoutMilliseconds: Int) throws(PostgresError) -> String? {
            let setting = "medallion.pooler_probe"
            let value =
                process == nil
                ? "set_config('\(setting)', '\(mark)', false)" : "current_setting('\(setting)', true)"
            let rows = try connection.script(
                "SELECT \(value), pg_backend_pid()", operation: "look for a pooler",
                timeoutMilliseconds: timeoutMilliseconds)
            guard let row = rows.first, row.count == 2, let found = row[1] else { return nil }
            defer { process = found }
            if let process, process != found {
                return "one connection was served by the processes \(process) and \(found)"
            }
            return row[0] == mark ? nil : "two connections were served by the one process \(found)"
        }
    }
}
