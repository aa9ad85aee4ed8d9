import CPostgres
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
///
/// It works on bare connections with plain queries: what ``PostgresConnection`` prepares would fail through such a pooler with
/// an error that names something else.
enum PoolerProbe {
    /// Servers that passed, each with its port and database. It is looked at once per process, with the first connection.
    private static let passed = Mutex(Set<String>())
    /// Who looks, in order: twice in a row and by turns, for poolers that hand out the session that was used last, and for
    /// those that go round.
    private static let order = [0, 1, 0, 0, 1, 1, 0, 1]
    /// How long the second connection may take, in milliseconds.
    private static let secondMilliseconds = 3_000

    /// - Parameters:
    ///   - first: connected, and in non-blocking mode. The caller ends it.
    ///   - server: its description.
    /// - Throws: kind `pooler` where there is one; what the connections fail with otherwise.
    static func check(
        _ first: OpaquePointer, server: String, _ configuration: PostgresConfiguration, timeoutMilliseconds: Int
    ) throws(PostgresError) {
        if passed.withLock({ $0.contains(server) }) { return }
        let limit = Deadline(timeoutMilliseconds: min(timeoutMilliseconds, secondMilliseconds))
        let second: OpaquePointer
        do throws(PostgresError) {
            second = try ConnectionSteps.connect(configuration, server: server, deadline: limit)
        } catch {
            // Where the server has no place for a second connection just now, the next one of this process looks again.
            guard error.kind == .timeout || isNoRoom(error.message) else { throw error }
            return
        }
        defer { PQfinish(second) }
        var sides = [Side(first, number: 0), Side(second, number: 1)]
        looking: for index in order {
            switch sides[index].look(timeoutMilliseconds: index == 0 ? timeoutMilliseconds : secondMilliseconds) {
            case .well: continue
            case .strange(let finding): throw refusal(first, server, finding)
            case .failed(let message):
                // A pooler's own limit of the wait below.
                if index == 1, message.contains("query_wait_timeout") { break looking }
                throw PostgresError(kind: .closed, operation: "look for a pooler", server: server, message: message)
            case .late:
                // The second waits for a session of the server although the first is idle: that one keeps its own.
                guard index == 0 else { break looking }
                throw PostgresError(
                    kind: .timeout, operation: "look for a pooler", server: server,
                    message: "no result within \(timeoutMilliseconds) ms")
            }
        }
        passed.withLock { _ = $0.insert(server) }
    }

    /// The words of a server or a pooler for too many connections; libpq tells no code of a connection that did not come about.
    private static func isNoRoom(_ message: String) -> Bool {
        ["too many", "connection slots", "no more connections allowed"].contains { message.contains($0) }
    }

    private static func refusal(_ connection: OpaquePointer, _ server: String, _ finding: String) -> PostgresError {
        // Only a pooler that separates statements refuses this.
        var mode = "transaction"
        if case .failed = query("BEGIN", on: connection, timeoutMilliseconds: secondMilliseconds) { mode = "statement" }
        return PostgresError(
            kind: .pooler, operation: "connect", server: server,
            message: "a connection pooler (such as pgbouncer) in \(mode) mode stands before the server: \(finding)",
            hint:
                "set pool_mode = session for this database in the pooler, or let POSTGRES_DSN name the Postgres server "
                + "itself; see docs/troubleshooting.md")
    }

    // MARK: One of the two connections

    private enum Outcome {
        case well
        /// What a connection of one's own would never see.
        case strange(String)
        case failed(String)
        /// No result in time.
        case late
    }

    private struct Side {
        private let connection: OpaquePointer
        /// Nobody else's: of this process, this moment and this side.
        private let mark: String
        private var process: String?

        init(_ connection: OpaquePointer, number: Int) {
            self.connection = connection
            mark = "\(getpid()).\(UInt64.random(in: 0...UInt64.max)).\(number)"
        }

        /// Sets the mark, at first, or looks whether it is there.
        mutating func look(timeoutMilliseconds: Int) -> Outcome {
            let setting = "medallion.pooler_probe"
            let value =
                process == nil
                ? "set_config('\(setting)', '\(mark)', false)" : "current_setting('\(setting)', true)"
            let answer = query(
                "SELECT \(value), pg_backend_pid()", on: connection, timeoutMilliseconds: timeoutMilliseconds)
            guard case .row(let row) = answer else {
                if case .failed(let message) = answer { return .failed(message) }
                return .late
            }
            guard row.count == 2, let found = row[1] else { return .failed("no row") }
            defer { process = found }
            if let process, process != found {
                return .strange("one connection was served by the processes \(process) and \(found)")
            }
            return row[0] == mark ? .well : .strange("two connections were served by the one process \(found)")
        }
    }

    // MARK: Plain queries

    private enum Answer {
        /// The first row of the last statement; empty for none.
        case row([String?])
        case failed(String)
        case late
    }

    private static func query(_ sql: String, on connection: OpaquePointer, timeoutMilliseconds: Int) -> Answer {
        let deadline = Deadline(timeoutMilliseconds: timeoutMilliseconds)
        var answer = Answer.row([])
        func failure() -> Answer {
            .failed(ConnectionSteps.oneLine(String(cString: PQerrorMessage(connection))))
        }
        guard PQsendQuery(connection, sql) == 1 else { return failure() }
        while true {
            let unsent = PQflush(connection)
            guard unsent >= 0 else { return failure() }
            if PQisBusy(connection) != 0 {
                var descriptor = pollfd(
                    fd: PQsocket(connection), events: Int16(POLLIN) | (unsent == 1 ? Int16(POLLOUT) : 0), revents: 0)
                let ready = poll(&descriptor, 1, deadline.remainingMilliseconds)
                if ready == 0, deadline.remainingMilliseconds == 0 { return .late }
                guard PQconsumeInput(connection) == 1 else { return failure() }
                continue
            }
            guard let result = PQgetResult(connection) else { return answer }
            defer { PQclear(result) }
            switch PQresultStatus(result) {
            case PGRES_TUPLES_OK:
                guard PQntuples(result) > 0 else { continue }
                answer = .row(
                    (0..<PQnfields(result)).map { column in
                        PQgetisnull(result, 0, column) == 1 ? nil : String(cString: PQgetvalue(result, 0, column))
                    })
            case PGRES_COMMAND_OK: continue
            default: answer = failure()
            }
        }
    }
}
