import Bytes
import CPostgres

/// What a server's sender of the log tells.
package enum ReplicationMessage: Sendable {
    /// A piece of what the output plugin made, where it begins in the log, and up to where the server has read its log.
    case data(start: UInt64, walEnd: UInt64, body: [UInt8])
    /// Nothing but how far it has read, and whether it waits for an answer.
    case keepalive(walEnd: UInt64, wantsReply: Bool)
}

/// A session that reads a server's log (PostgreSQL manual, 54.4 "Streaming Replication Protocol").
///
/// Confined to one thread, as ``PostgresConnection`` is; its calls block up to their time limits. It runs commands of the protocol and
/// plain SQL until ``start(_:timeoutMilliseconds:)``; from then on it only receives and confirms. After an error of the stream it is
/// closed.
package final class ReplicationConnection {
    /// Host or socket folder, port and database; no secrets.
    package let server: String
    private var handle: OpaquePointer?

    /// Connects to the database that the connection string names.
    package init(_ configuration: PostgresConfiguration, timeoutMilliseconds: Int) throws(PostgresError) {
        server = try ConnectionSteps.describe(dsn: configuration.dsn.revealed)
        handle = try ConnectionSteps.connect(
            configuration, server: server, deadline: Deadline(timeoutMilliseconds: timeoutMilliseconds),
            more: [("replication", "database")])
    }

    deinit { close() }

    /// False once it broke, timed out or was closed.
    package var isUsable: Bool { handle.map { PQstatus($0) == CONNECTION_OK } ?? false }

    /// Ends the session; a second call does nothing.
    package func close() {
        if let handle { PQfinish(handle) }
        handle = nil
    }

    /// Runs a command of the protocol, or SQL; never build it from input without quoting (``PostgresText``).
    ///
    /// - Returns: the rows of the last statement as text.
    @discardableResult
    package func run(
        _ command: String, operation: String, timeoutMilliseconds: Int
    ) throws(PostgresError) -> [[String?]] {
        let connection = try usable(operation)
        let deadline = Deadline(timeoutMilliseconds: timeoutMilliseconds)
        guard PQsendQuery(connection, command) == 1 else { throw broken(operation) }
        var rows: [[String?]] = []
        var failure: PostgresError?
        while let result = try nextResult(connection, operation, deadline) {
            defer { PQclear(result) }
            switch PQresultStatus(result) {
            case PGRES_COMMAND_OK, PGRES_EMPTY_QUERY: rows = []
            case PGRES_TUPLES_OK:
                rows = (0..<PQntuples(result)).map { row in
                    (0..<PQnfields(result)).map { column in
                        PQgetisnull(result, row, column) == 1 ? nil : String(cString: PQgetvalue(result, row, column))
                    }
                }
            case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
                close()
                throw PostgresError(
                    kind: .usage, operation: operation, server: server, message: "the command begins a stream")
            default: failure = failure ?? serverError(result, operation)
            }
            if handle == nil { break }
        }
        if let failure { throw failure }
        return rows
    }

    /// Begins to stream by a START_REPLICATION.
    package func start(_ command: String, timeoutMilliseconds: Int) throws(PostgresError) {
        let operation = "start replication"
        let connection = try usable(operation)
        let deadline = Deadline(timeoutMilliseconds: timeoutMilliseconds)
        guard PQsendQuery(connection, command) == 1 else { throw broken(operation) }
        guard let result = try nextResult(connection, operation, deadline) else { throw broken(operation) }
        defer { PQclear(result) }
        guard PQresultStatus(result) == PGRES_COPY_BOTH else {
            let failure = serverError(result, operation)
            // Whatever else comes of the command is of no use.
            close()
            throw failure
        }
    }

    /// The next message; nil where none comes within the limit.
    package func next(timeoutMilliseconds: Int) throws(PostgresError) -> ReplicationMessage? {
        let operation = "read the log"
        let connection = try usable(operation)
        let deadline = Deadline(timeoutMilliseconds: timeoutMilliseconds)
        while true {
            var buffer: UnsafeMutablePointer<CChar>?
            let count = PQgetCopyData(connection, &buffer, 1)
            defer { if let buffer { PQfreemem(buffer) } }
            if count > 0, let buffer {
                guard let message = Self.message(UnsafeRawBufferPointer(start: buffer, count: Int(count))) else {
                    close()
                    throw PostgresError(
                        kind: .decode, operation: operation, server: server,
                        message: "a message of \(count) bytes is not of the replication protocol")
                }
                return message
            }
            if count == 0 {
                let outcome = SocketWait.wait(
                    PQsocket(connection), forRead: true, forWrite: false, deadline: deadline, interrupt: nil)
                guard outcome == .ready else { return nil }
                guard PQconsumeInput(connection) == 1 else { throw broken(operation) }
                continue
            }
            throw ending(connection, operation)
        }
    }

    /// Tells the server that everything below `position` is safe, so that it may let go of it.
    ///
    /// - Parameter asksForReply: whether it shall answer with a keepalive at once.
    package func confirm(
        _ position: UInt64, asksForReply: Bool, timeoutMilliseconds: Int
    ) throws(PostgresError) {
        let operation = "confirm"
        let connection = try usable(operation)
        var bytes: [UInt8] = [UInt8(ascii: "r")]
        let time = UInt64(bitPattern: PostgresEpoch.microseconds(SystemClock.epochMilliseconds()))
        for number in [position, position, position, time] {
            withUnsafeBytes(of: number.bigEndian) { bytes.append(contentsOf: $0) }
        }
        bytes.append(asksForReply ? 1 : 0)
        let deadline = Deadline(timeoutMilliseconds: timeoutMilliseconds)
        let queued = bytes.withUnsafeBytes { buffer in
            buffer.withMemoryRebound(to: CChar.self) { PQputCopyData(connection, $0.baseAddress, Int32($0.count)) }
        }
        guard queued == 1 else { throw broken(operation) }
        while true {
            let unsent = PQflush(connection)
            guard unsent >= 0 else { throw broken(operation) }
            if unsent == 0 { return }
            let outcome = SocketWait.wait(
                PQsocket(connection), forRead: true, forWrite: true, deadline: deadline, interrupt: nil)
            guard outcome == .ready else {
                close()
                throw PostgresError(
                    kind: .timeout, operation: operation, server: server,
                    message: "not sent within \(deadline.timeoutMilliseconds) ms")
            }
            // The server may be stuck until somebody takes what it sends.
            guard PQconsumeInput(connection) == 1 else { throw broken(operation) }
        }
    }

    /// - Returns: nil for what is none.
    static func message(_ bytes: UnsafeRawBufferPointer) -> ReplicationMessage? {
        switch bytes.first {
        case UInt8(ascii: "w"):
            guard bytes.count >= 25 else { return nil }
            return .data(
                start: bytes.loadBigEndian(UInt64.self, at: 1), walEnd: bytes.loadBigEndian(UInt64.self, at: 9),
                body: Array(bytes[25...]))
        case UInt8(ascii: "k"):
            guard bytes.count == 18 else { return nil }
            return .keepalive(walEnd: bytes.loadBigEndian(UInt64.self, at: 1), wantsReply: bytes[17] != 0)
        default: return nil
        }
    }

    // MARK: Results and failures

    private func nextResult(
        _ connection: OpaquePointer, _ operation: String, _ deadline: Deadline
    ) throws(PostgresError) -> OpaquePointer? {
        while true {
            let unsent = PQflush(connection)
            guard unsent >= 0 else { throw broken(operation) }
            if PQisBusy(connection) == 0 {
                let result = PQgetResult(connection)
                if result == nil, PQstatus(connection) != CONNECTION_OK { throw broken(operation) }
                return result
            }
            let outcome = SocketWait.wait(
                PQsocket(connection), forRead: true, forWrite: unsent == 1, deadline: deadline, interrupt: nil)
            guard outcome == .ready else {
                close()
                throw PostgresError(
                    kind: .timeout, operation: operation, server: server,
                    message: "no result within \(deadline.timeoutMilliseconds) ms")
            }
            guard PQconsumeInput(connection) == 1 else { throw broken(operation) }
        }
    }

    /// The stream is at its end: by an error of the server, by its shutdown, or because the connection broke.
    private func ending(_ connection: OpaquePointer, _ operation: String) -> PostgresError {
        defer { close() }
        guard PQstatus(connection) == CONNECTION_OK, PQisBusy(connection) == 0, let result = PQgetResult(connection)
        else { return broken(operation) }
        defer { PQclear(result) }
        if PQresultStatus(result) == PGRES_FATAL_ERROR { return serverError(result, operation) }
        return PostgresError(
            kind: .closed, operation: operation, server: server, message: "the server ended the stream")
    }

    private func usable(_ operation: String) throws(PostgresError) -> OpaquePointer {
        guard let handle else {
            throw PostgresError(
                kind: .closed, operation: operation, server: server, message: "the connection was given up before")
        }
        return handle
    }

    private func broken(_ operation: String) -> PostgresError {
        let message = handle.map { String(cString: PQerrorMessage($0)) } ?? "closed"
        close()
        return PostgresError(
            kind: .closed, operation: operation, server: server, message: ConnectionSteps.oneLine(message),
            hint: "the server stopped or closed the session; see its log")
    }

    private func serverError(_ result: OpaquePointer, _ operation: String) -> PostgresError {
        func field(_ code: Int32) -> String? { PQresultErrorField(result, code).map { String(cString: $0) } }
        let sqlState = field(DiagnosticField.sqlState)
        let message =
            field(DiagnosticField.message) ?? ConnectionSteps.oneLine(String(cString: PQresultErrorMessage(result)))
        return PostgresError(
            kind: sqlState == nil ? .closed : .server, sqlState: sqlState, operation: operation, server: server,
            message: message, detail: field(DiagnosticField.detail), hint: field(DiagnosticField.hint))
    }
}

/// Text that becomes a part of SQL where no parameter can be bound: commands of replication, a catalogue's names.
package enum PostgresText {
    /// A name in quotes.
    package static func identifier(_ name: String) -> String {
        "\"" + name.replacing("\"", with: "\"\"") + "\""
    }

    /// A value in quotes, whatever `standard_conforming_strings` is.
    package static func literal(_ value: String) -> String {
        let quoted = "'" + value.replacing("'", with: "''").replacing("\\", with: "\\\\") + "'"
        return value.contains("\\") ? " E" + quoted : quoted
    }

    /// A place in the log as people write it: `16/B374D848`.
    package static func position(_ position: UInt64) -> String {
        String(position >> 32, radix: 16, uppercase: true) + "/"
            + String(position & 0xFFFF_FFFF, radix: 16, uppercase: true)
    }

    /// Reads back ``position(_:)``.
    package static func position(_ text: String) -> UInt64? {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let high = UInt32(parts[0], radix: 16), let low = UInt32(parts[1], radix: 16) else {
            return nil
        }
        return UInt64(high) << 32 | UInt64(low)
    }
}
