/// What went wrong between this process and a Postgres server.
///
/// `description` is safe to show and to log: it names the statement and the server, never a parameter's value or the
/// DSN's password. SQLSTATE codes: PostgreSQL manual, appendix A.
package struct PostgresError: Error, CustomStringConvertible, Sendable {
    /// The sort of failure, which decides what the caller can do.
    package enum Kind: String, Sendable {
        /// No connection could be made.
        case connect
        /// The time limit passed; the connection was given up.
        case timeout
        /// Another thread ended the call; the statement was cancelled.
        case interrupted
        /// The connection broke, or was closed before.
        case closed
        /// The server refused the statement; see `sqlState`.
        case server
        /// A connection pooler stands between, which does not keep a session together.
        case pooler
        /// A value did not have the type that the statement's row expects.
        case decode
        /// The program asked for something that cannot be.
        case usage
    }

    /// What sort of failure it is.
    package var kind: Kind
    /// Five characters such as `23505`; nil where the failure is not the server's.
    package var sqlState: String?
    /// Name of the statement, or of the step (`connect`, `listen`).
    package var operation: String
    /// Where to: host or socket folder, port and database.
    package var server: String
    package var message: String
    package var detail: String?
    package var hint: String?

    package init(
        kind: Kind, sqlState: String? = nil, operation: String, server: String, message: String,
        detail: String? = nil, hint: String? = nil
    ) {
        self.kind = kind
        self.sqlState = sqlState
        self.operation = operation
        self.server = server
        self.message = message
        self.detail = detail
        self.hint = hint
    }

    /// True when the same work may succeed later, on this connection or a new one: lost connections, serialisation
    /// failures and deadlocks, a server that starts, stops, is full or is a read-only standby. A refused connection
    /// counts too, also for a wrong password: libpq reports no SQLSTATE for it, and a role may be created later.
    package var isRetriable: Bool {
        switch kind {
        case .connect, .timeout, .closed: return true
        case .decode, .usage, .interrupted, .pooler: return false
        case .server:
            guard let sqlState else { return false }
            if Self.retriableCodes.contains(sqlState) { return true }
            return sqlState.hasPrefix("08") || sqlState.hasPrefix("53")
        }
    }

    /// True when the server refused the data themselves, which no repeat and no other server would change: a value that its
    /// type cannot hold, a broken constraint, a row or an index entry past a fixed bound.
    package var isDataRefusal: Bool {
        guard kind == .server, let sqlState else { return false }
        return Self.dataClasses.contains { sqlState.hasPrefix($0) }
    }

    /// Cardinality violation, data exception, integrity constraint violation, WITH CHECK OPTION violation, program limit
    /// exceeded.
    private static let dataClasses = ["21", "22", "23", "44", "54"]

    /// True when the server ended the statement at its time limit, or because it was asked to (query_canceled).
    package var isStatementCancelled: Bool { sqlState == "57014" }

    /// True when the row or table was there already (unique_violation).
    package var isUniqueViolation: Bool { sqlState == "23505" }

    /// serialization_failure, deadlock_detected, lock_not_available, query_canceled (a time limit), admin_shutdown,
    /// crash_shutdown, cannot_connect_now, read_only_sql_transaction, io_error.
    private static let retriableCodes: Set<String> = [
        "40001", "40P01", "55P03", "57014", "57P01", "57P02", "57P03", "25006", "58030",
    ]

    package var description: String {
        var text = "Postgres \(operation) at \(server): \(message)"
        if let sqlState { text += " (SQLSTATE \(sqlState))" }
        if let detail, !detail.isEmpty { text += "; \(detail)" }
        if let hint, !hint.isEmpty { text += "; hint: \(hint)" }
        return text
    }
}

/// A message that the server sent beside its results: a warning, a notice, a RAISE.
package struct PostgresNotice: Sendable, CustomStringConvertible {
    /// `WARNING`, `NOTICE`, `INFO`, `LOG`, `DEBUG`; never translated.
    package var severity: String
    package var sqlState: String
    package var message: String

    package var description: String { "\(severity) \(sqlState): \(message)" }
}

/// What a NOTIFY of some session told those who listen.
package struct PostgresNotification: Sendable, Equatable {
    package var channel: String
    package var payload: String
    /// Process id of the session that notified.
    package var processID: Int32
}
