import CPostgres

/// One session with a Postgres server, over libpq.
///
/// Not thread-safe, because a `PGconn` is not: keep it inside one lane. Every call blocks the calling thread up to its
/// time limit and is therefore never made from Swift's cooperative pool. Name resolution of a TCP host is the one step
/// that the limit does not cover (libpq resolves synchronously).
///
/// A call that runs into its limit cancels the statement on the server and gives the connection up: `isUsable` is
/// false from then on, and the owner makes a new one. An error of the server leaves it usable. The server has a limit of its
/// own a little above the call's (``StatementLimit``), and looks whether the client is still there.
package final class PostgresConnection {
    /// Host or socket folder, port and database; no secrets.
    package let server: String
    private var handle: OpaquePointer?
    private var prepared = PreparedStatements()
    private let notices = NoticeBox()
    private let interrupt: PostgresInterrupt?
    private var statementLimit = StatementLimit()
    /// Of a call that was interrupted and has not ended yet.
    var interruption: CallInterruption?

    /// Connects and sets the session up.
    ///
    /// - Throws: kind `usage` for a DSN that cannot be read, `pooler` where the configuration refuses poolers and there is one,
    ///   `connect` or `timeout` otherwise.
    package init(_ configuration: PostgresConfiguration, timeoutMilliseconds: Int) throws(PostgresError) {
        let deadline = Deadline(timeoutMilliseconds: timeoutMilliseconds)
        server = try ConnectionSteps.describe(dsn: configuration.dsn.revealed)
        interrupt = configuration.interrupt
        let connection = try ConnectionSteps.connect(configuration, server: server, deadline: deadline)
        handle = connection
        PQsetNoticeReceiver(connection, receiveNotice, Unmanaged.passUnretained(notices).toOpaque())
        if configuration.refusesPoolers {
            do throws(PostgresError) {
                try PoolerProbe.check(
                    connection, server: server, configuration, timeoutMilliseconds: Int(deadline.remainingMilliseconds))
            } catch {
                close()
                throw error
            }
        }
        var batch = PostgresBatch()
        batch.add(ConnectionWatch())
        for setting in configuration.sessionSettings {
            batch.add(SetSessionSetting(setting: setting.name, value: setting.value))
        }
        if let role = configuration.role { batch.add(AssumeRole(role: role)) }
        _ = try run(batch, timeoutMilliseconds: Int(deadline.remainingMilliseconds))
    }

    deinit {
        close()
    }

    /// False once the connection broke, timed out or was closed.
    package var isUsable: Bool {
        guard let handle else { return false }
        return PQstatus(handle) == CONNECTION_OK
    }

    /// Version line of the server such as `18.4`.
    package var serverVersion: String {
        guard let handle, let text = PQparameterStatus(handle, "server_version") else { return "unknown" }
        return String(cString: text)
    }

    /// Process id of the session's backend; 0 when closed.
    package var backendProcessID: Int32 {
        handle.map { PQbackendPID($0) } ?? 0
    }

    /// Ends the session; a second call does nothing.
    package func close() {
        if let handle { PQfinish(handle) }
        handle = nil
        prepared = PreparedStatements()
    }

    /// The server's messages since the last call, oldest first; at most the last 100.
    package func takeNotices() -> [PostgresNotice] {
        defer { notices.items = [] }
        return notices.items
    }

    /// Runs one statement in a transaction of its own.
    @discardableResult
    package func run<S: PostgresStatement>(_ statement: S, timeoutMilliseconds: Int) throws(PostgresError) -> [S.Row] {
        var batch = PostgresBatch()
        let slot = batch.add(statement)
        return try run(batch, timeoutMilliseconds: timeoutMilliseconds).rows(slot)
    }

    /// Runs all statements of the batch in one round trip and one transaction: they take effect together or, when one
    /// fails, not at all. Inside ``transaction(timeoutMilliseconds:_:)`` they join that transaction.
    package func run(_ batch: PostgresBatch, timeoutMilliseconds: Int) throws(PostgresError) -> PostgresResults {
        guard batch.count > 0, let limit = statementLimit.change(forCallOf: timeoutMilliseconds) else {
            return try send(batch, timeoutMilliseconds: timeoutMilliseconds)
        }
        var whole = PostgresBatch()
        whole.add(SetSessionSetting(statementMilliseconds: limit))
        whole.add(contentsOf: batch)
        let results = try send(whole, timeoutMilliseconds: timeoutMilliseconds)
        statementLimit.set(limit)
        results.removeFirst()
        return results
    }

    private func send(_ batch: PostgresBatch, timeoutMilliseconds: Int) throws(PostgresError) -> PostgresResults {
        let results = PostgresResults(names: batch.entries.map(\.name), server: server)
        guard batch.count > 0 else { return results }
        let connection = try usable(operation: "batch")
        let deadline = Deadline(timeoutMilliseconds: timeoutMilliseconds)
        defer { settleInterruption() }
        let superfluous = prepared.superfluous(before: Set(batch.entries.map(\.name)))
        try deallocate(superfluous, on: connection, deadline: deadline)
        guard PQenterPipelineMode(connection) == 1 else { throw broken("pipeline") }
        var newlyPrepared: Set<String> = []
        var plan: [Bool] = []
        for entry in batch.entries {
            let prepares = !prepared.contains(entry.name) && newlyPrepared.insert(entry.name).inserted
            plan.append(prepares)
            try send(entry, prepares: prepares, on: connection)
        }
        guard PQpipelineSync(connection) == 1 else { throw broken("pipeline") }
        let failure = try collect(batch: batch, plan: plan, into: results, on: connection, deadline: deadline)
        PQexitPipelineMode(connection)
        if let failure {
            statementLimit.forget()
            throw interruption == nil ? failure : interrupted(failure.operation)
        }
        return results
    }

    /// Runs SQL text that may hold several statements, in one transaction unless it says otherwise; for migrations
    /// and maintenance. It takes no parameters: never build it from input.
    ///
    /// - Returns: the rows of the last statement as text.
    @discardableResult
    package func script(
        _ sql: String, operation: String = "script", timeoutMilliseconds: Int
    ) throws(PostgresError) -> [[String?]] {
        let connection = try usable(operation: operation)
        // A failed transaction takes no setting, and its end needs none.
        if PQtransactionStatus(connection) != PQTRANS_INERROR,
            let limit = statementLimit.change(forCallOf: timeoutMilliseconds)
        {
            var setting = PostgresBatch()
            setting.add(SetSessionSetting(statementMilliseconds: limit))
            _ = try send(setting, timeoutMilliseconds: timeoutMilliseconds)
            statementLimit.set(limit)
        }
        let deadline = Deadline(timeoutMilliseconds: timeoutMilliseconds)
        defer { settleInterruption() }
        guard PQsendQuery(connection, sql) == 1 else { throw broken(operation) }
        var failure: PostgresError?
        var rows: [[String?]] = []
        while let result = try nextResult(connection, operation: operation, deadline: deadline) {
            defer { PQclear(result) }
            switch PQresultStatus(result) {
            case PGRES_COMMAND_OK, PGRES_EMPTY_QUERY: rows = []
            case PGRES_TUPLES_OK: rows = textRows(result)
            case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
                close()
                throw PostgresError(
                    kind: .usage, operation: operation, server: server, message: "COPY is not possible in a script")
            default:
                failure = failure ?? serverError(result, operation: operation)
                if handle == nil, let failure { throw failure }
            }
        }
        if let failure {
            statementLimit.forget()
            throw interruption == nil ? failure : interrupted(operation)
        }
        return rows
    }

    /// Runs `body` between BEGIN and COMMIT; rolls back when it throws.
    ///
    /// - Parameter timeoutMilliseconds: for each of BEGIN, COMMIT and ROLLBACK; the statements have their own.
    @discardableResult
    package func transaction<R>(timeoutMilliseconds: Int, _ body: () throws -> R) throws -> R {
        try script("BEGIN", operation: "begin", timeoutMilliseconds: timeoutMilliseconds)
        do {
            let value = try body()
            try script("COMMIT", operation: "commit", timeoutMilliseconds: timeoutMilliseconds)
            return value
        } catch {
            if isUsable {
                do {
                    try script("ROLLBACK", operation: "rollback", timeoutMilliseconds: timeoutMilliseconds)
                    statementLimit.forget()
                } catch {
                    close()
                }
            }
            throw error
        }
    }

    /// Subscribes to a channel of NOTIFY.
    ///
    /// - Parameter channel: a name of letters, digits and underscores; anything else is refused.
    package func listen(_ channel: StaticString, timeoutMilliseconds: Int) throws(PostgresError) {
        let name = channel.description
        guard name.utf8.allSatisfy({ $0 == 0x5F || (0x30...0x39).contains($0) || (0x61...0x7A).contains($0) }) else {
            throw PostgresError(
                kind: .usage, operation: "listen", server: server,
                message: "a channel's name has lower-case letters, digits and underscores only")
        }
        try script("LISTEN \(name)", operation: "listen", timeoutMilliseconds: timeoutMilliseconds)
    }

    /// Waits until a notification of a channel listened to arrives, or the time limit passes (then empty).
    package func notifications(timeoutMilliseconds: Int) throws(PostgresError) -> [PostgresNotification] {
        let connection = try usable(operation: "notifications")
        let deadline = Deadline(timeoutMilliseconds: timeoutMilliseconds)
        var found: [PostgresNotification] = []
        while true {
            guard PQconsumeInput(connection) == 1 else { throw broken("notifications") }
            while let notify = PQnotifies(connection) {
                found.append(
                    PostgresNotification(
                        channel: String(cString: notify.pointee.relname),
                        payload: String(cString: notify.pointee.extra), processID: notify.pointee.be_pid))
                PQfreemem(notify)
            }
            if !found.isEmpty { return found }
            let outcome = SocketWait.wait(
                PQsocket(connection), forRead: true, forWrite: false, deadline: deadline, interrupt: interrupt)
            guard outcome == .ready else { return [] }
        }
    }
}

// MARK: - Sending and receiving

extension PostgresConnection {
    private func send(
        _ entry: PostgresBatch.Entry, prepares: Bool, on connection: OpaquePointer
    ) throws(PostgresError) {
        guard entry.types.count == entry.parameters.count else {
            close()
            throw PostgresError(
                kind: .usage, operation: entry.name, server: server,
                message: "\(entry.parameters.count) values bound for \(entry.types.count) parameters")
        }
        if prepares {
            let types = entry.types.map(\.rawValue)
            guard PQsendPrepare(connection, entry.name, entry.sql, Int32(types.count), types) == 1 else {
                throw broken(entry.name)
            }
        }
        let parameters = entry.parameters
        let sent = parameters.bytes.withUnsafeBytes { buffer in
            let base = buffer.baseAddress?.assumingMemoryBound(to: CChar.self)
            let values = (0..<parameters.count).map { index in
                parameters.lengths[index] < 0 ? nil : base.map { $0 + parameters.starts[index] }
            }
            let lengths = parameters.lengths.map { max(0, $0) }
            let formats = [Int32](repeating: 1, count: parameters.count)
            return PQsendQueryPrepared(connection, entry.name, Int32(values.count), values, lengths, formats, 1)
        }
        guard sent == 1 else { throw broken(entry.name) }
    }

    /// A round trip of its own, which searches of many kinds need now and then. Names are those of statements' texts.
    private func deallocate(
        _ names: [String], on connection: OpaquePointer, deadline: Deadline
    ) throws(PostgresError) {
        guard !names.isEmpty else { return }
        let sql = names.map { "DEALLOCATE \"\($0)\"" }.joined(separator: "; ")
        guard PQsendQuery(connection, sql) == 1 else { throw broken("deallocate") }
        var failure: PostgresError?
        while let result = try nextResult(connection, operation: "deallocate", deadline: deadline) {
            defer { PQclear(result) }
            if PQresultStatus(result) != PGRES_COMMAND_OK {
                failure = failure ?? serverError(result, operation: "deallocate")
            }
        }
        if let failure { throw failure }
        for name in names { prepared.remove(name) }
    }

    /// Reads everything up to the batch's end, so that the connection is in step again whatever happened.
    private func collect(
        batch: PostgresBatch, plan: [Bool], into results: PostgresResults, on connection: OpaquePointer,
        deadline: Deadline
    ) throws(PostgresError) -> PostgresError? {
        var failure: PostgresError?
        for (entry, prepares) in zip(batch.entries, plan) {
            for isPrepare in prepares ? [true, false] : [false] {
                while let result = try nextResult(connection, operation: entry.name, deadline: deadline) {
                    switch PQresultStatus(result) {
                    case PGRES_COMMAND_OK where isPrepare:
                        prepared.noteUse(of: entry.name)
                        PQclear(result)
                    case PGRES_COMMAND_OK, PGRES_TUPLES_OK:
                        prepared.noteUse(of: entry.name)
                        results.append(result)
                    case PGRES_PIPELINE_ABORTED:
                        PQclear(result)
                    default:
                        failure = failure ?? serverError(result, operation: entry.name)
                        PQclear(result)
                        if handle == nil, let failure { throw failure }
                    }
                }
            }
        }
        // The mark of the end, or an error of the commit itself before it.
        while true {
            guard let result = try nextResult(connection, operation: "commit", deadline: deadline) else {
                if PQstatus(connection) != CONNECTION_OK { throw broken("commit") }
                continue
            }
            let status = PQresultStatus(result)
            if status == PGRES_FATAL_ERROR { failure = failure ?? serverError(result, operation: "commit") }
            PQclear(result)
            if status == PGRES_PIPELINE_SYNC { return failure }
        }
    }

    /// The next result, or nil at the end of one statement's; sends what still waits to be sent meanwhile.
    private func nextResult(
        _ connection: OpaquePointer, operation: String, deadline: Deadline
    ) throws(PostgresError) -> OpaquePointer? {
        while true {
            // An error that was libpq's own has closed it: `connection` is no more.
            guard handle != nil else {
                throw PostgresError(
                    kind: .closed, operation: operation, server: server, message: "the connection has failed")
            }
            let unsent = PQflush(connection)
            guard unsent >= 0 else { throw broken(operation) }
            if PQisBusy(connection) == 0 {
                let result = PQgetResult(connection)
                if result == nil && PQstatus(connection) != CONNECTION_OK { throw broken(operation) }
                return result
            }
            let outcome = SocketWait.wait(
                PQsocket(connection), forRead: true, forWrite: unsent == 1, deadline: interruption?.next ?? deadline,
                interrupt: interruption == nil ? interrupt : nil)
            switch outcome {
            case .ready: break
            case .late where interruption == nil: throw timedOut(operation, deadline: deadline)
            case .late, .interrupted: try cancelInterrupted(connection, operation)
            }
            guard PQconsumeInput(connection) == 1 else { throw broken(operation) }
        }
    }

    private func textRows(_ result: OpaquePointer) -> [[String?]] {
        (0..<PQntuples(result)).map { row in
            (0..<PQnfields(result)).map { column in
                PQgetisnull(result, row, column) == 1 ? nil : String(cString: PQgetvalue(result, row, column))
            }
        }
    }

    private func usable(operation: String) throws(PostgresError) -> OpaquePointer {
        guard let handle else {
            throw PostgresError(
                kind: .closed, operation: operation, server: server, message: "the connection was given up before")
        }
        return handle
    }

    /// The connection failed: says why and gives it up.
    private func broken(_ operation: String) -> PostgresError {
        let message = handle.map { String(cString: PQerrorMessage($0)) } ?? "closed"
        close()
        return PostgresError(
            kind: .closed, operation: operation, server: server, message: ConnectionSteps.oneLine(message),
            hint: "the server stopped or closed the session; see its log")
    }

    private func timedOut(_ operation: String, deadline: Deadline) -> PostgresError {
        if let handle, let cancel = PQgetCancel(handle) { Cancellations.send(cancel) }
        close()
        return PostgresError(
            kind: .timeout, operation: operation, server: server,
            message: "no result within \(deadline.timeoutMilliseconds) ms; cancelled")
    }

    private func serverError(_ result: OpaquePointer, operation: String) -> PostgresError {
        func field(_ code: Int32) -> String? {
            PQresultErrorField(result, code).map { String(cString: $0) }
        }
        // An error without a SQLSTATE is libpq's own: the connection is gone.
        let sqlState = field(DiagnosticField.sqlState)
        if sqlState == nil { close() }
        return PostgresError(
            kind: sqlState == nil ? .closed : .server, sqlState: sqlState, operation: operation, server: server,
            message: field(DiagnosticField.message)
                ?? ConnectionSteps.oneLine(String(cString: PQresultErrorMessage(result))),
            detail: field(DiagnosticField.detail), hint: field(DiagnosticField.hint))
    }
}
