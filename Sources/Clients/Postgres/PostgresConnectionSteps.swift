import CLateLibraries
import CPostgres
import Glibc

/// Field codes of an error report (`PG_DIAG_*` of postgres_ext.h, which are character constants).
enum DiagnosticField {
    static let severity = Int32(UInt8(ascii: "V"))
    static let sqlState = Int32(UInt8(ascii: "C"))
    static let message = Int32(UInt8(ascii: "M"))
    static let detail = Int32(UInt8(ascii: "D"))
    static let hint = Int32(UInt8(ascii: "H"))
}

/// Collects what the server says beside its results. Touched only from within libpq calls of its connection's thread.
final class NoticeBox {
    static let countMax = 100
    var items: [PostgresNotice] = []
}

/// libpq calls this for each notice, on the thread that reads from the connection.
func receiveNotice(context: UnsafeMutableRawPointer?, result: OpaquePointer?) {
    guard let context, let result else { return }
    let box = Unmanaged<NoticeBox>.fromOpaque(context).takeUnretainedValue()
    func field(_ code: Int32) -> String {
        PQresultErrorField(result, code).map { String(cString: $0) } ?? ""
    }
    if box.items.count == NoticeBox.countMax { box.items.removeFirst() }
    box.items.append(
        PostgresNotice(
            severity: field(DiagnosticField.severity), sqlState: field(DiagnosticField.sqlState),
            message: field(DiagnosticField.message)))
}

/// Waiting for a socket with a limit.
enum SocketWait {
    enum Outcome {
        /// An error of the socket counts as well: the next read reports it.
        case ready
        /// The deadline passed first.
        case late
        case interrupted
    }

    static func wait(
        _ socket: Int32, forRead: Bool, forWrite: Bool, deadline: Deadline, interrupt: PostgresInterrupt?
    ) -> Outcome {
        guard socket >= 0 else { return .ready }
        let events = (forRead ? Int16(POLLIN) : 0) | (forWrite ? Int16(POLLOUT) : 0)
        while true {
            // poll leaves out a negative descriptor.
            var both = (
                pollfd(fd: socket, events: events, revents: 0),
                pollfd(fd: interrupt?.descriptor ?? -1, events: Int16(POLLIN), revents: 0)
            )
            let count = withUnsafeMutablePointer(to: &both) { pointer in
                pointer.withMemoryRebound(to: pollfd.self, capacity: 2) { poll($0, 2, deadline.remainingMilliseconds) }
            }
            if count > 0 { return both.0.revents != 0 ? .ready : .interrupted }
            if count == 0 {
                if deadline.remainingMilliseconds == 0 { return .late }
                continue
            }
            if errno != EINTR { return .ready }
        }
    }
}

/// Making a connection, on the bare pointer.
enum ConnectionSteps {
    /// `host:port/database` of a DSN, without its secrets.
    static func describe(dsn: String) throws(PostgresError) -> String {
        let values = try Self.values(dsn: dsn)
        let host = values["host"] ?? values["hostaddr"] ?? "(default host)"
        return "\(host):\(values["port"] ?? "5432")/\(values["dbname"] ?? values["user"] ?? "")"
    }

    /// What a DSN says, by libpq's keywords, its secrets among it.
    static func values(dsn: String) throws(PostgresError) -> [String: String] {
        // libpq's own message may quote the DSN, password and all: it is not passed on.
        if let fault = libpq_fault() {
            throw PostgresError(
                kind: .usage, operation: "connect", server: "(no client library)", message: String(cString: fault),
                hint: "install libpq5")
        }
        guard !isAmbiguous(dsn) else {
            throw PostgresError(
                kind: .usage, operation: "connect", server: "(unreadable DSN)",
                message: "user or password of the URI hold one of the characters @ / ? #",
                hint: "write them %40 %2F %3F %23, or leave the password out and set PGPASSWORD or PGPASSFILE")
        }
        guard let options = PQconninfoParse(dsn, nil) else {
            throw PostgresError(
                kind: .usage, operation: "connect", server: "(unreadable DSN)",
                message: "the connection string cannot be read",
                hint: "write it like postgresql://user:password@host:5432/database or host=… dbname=…")
        }
        defer { PQconninfoFree(options) }
        var values: [String: String] = [:]
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { values[String(cString: keyword)] = String(cString: value) }
            option += 1
        }
        return values
    }

    /// Whether libpq would take a part of the password of a URI for the host, and name it in errors: an `@`, `/`, `?` or `#` that
    /// is not escaped.
    static func isAmbiguous(_ dsn: String) -> Bool {
        guard dsn.hasPrefix("postgresql://") || dsn.hasPrefix("postgres://"), let scheme = dsn.firstRange(of: "://")
        else { return false }
        let rest = dsn[scheme.upperBound...]
        let authority = rest.prefix { $0 != "/" }
        let path = rest[authority.endIndex...].prefix { $0 != "?" }
        let parts = authority.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count <= 2, !path.contains("@"), !parts[0].contains("#"),
            parts.count == 1 || !parts[0].contains("?")
        else { return true }
        let hosts = (parts.last ?? "").prefix { $0 != "?" }
        return !hosts.split(separator: ",").allSatisfy(isHostAndPort)
    }

    private static func isHostAndPort(_ text: Substring) -> Bool {
        let rest = text.hasPrefix("[") ? text.drop { $0 != "]" }.dropFirst() : text.drop { $0 != ":" }
        return rest.isEmpty || (rest.first == ":" && rest.dropFirst().utf8.allSatisfy { $0 &- UInt8(ascii: "0") < 10 })
    }

    /// Connects without blocking beyond the deadline; the returned connection is in non-blocking mode.
    ///
    /// - Parameter more: further keywords of libpq, which win over those of the connection string.
    static func connect(
        _ configuration: PostgresConfiguration, server: String, deadline: Deadline, more: [(String, String)] = []
    ) throws(PostgresError) -> OpaquePointer {
        var pairs = [
            ("dbname", configuration.dsn.revealed), ("fallback_application_name", configuration.applicationName),
            ("client_encoding", "UTF8"),
        ]
        // Of a keyword that is given twice the later one counts, behind the string's own; a second name of a database is no string.
        if let database = configuration.database { pairs.append(("dbname", database)) }
        if let password = configuration.password { pairs.append(("password", password.revealed)) }
        pairs += more
        guard let connection = start(pairs) else {
            throw PostgresError(kind: .connect, operation: "connect", server: server, message: "out of memory")
        }
        var phase = PGRES_POLLING_WRITING
        while PQstatus(connection) != CONNECTION_BAD && phase != PGRES_POLLING_OK && phase != PGRES_POLLING_FAILED {
            let outcome = SocketWait.wait(
                PQsocket(connection), forRead: phase == PGRES_POLLING_READING,
                forWrite: phase == PGRES_POLLING_WRITING, deadline: deadline, interrupt: configuration.interrupt)
            guard outcome == .ready else {
                PQfinish(connection)
                if outcome == .interrupted {
                    throw PostgresError(
                        kind: .interrupted, operation: "connect", server: server,
                        message: "given up, because nobody waits for it any more")
                }
                throw PostgresError(
                    kind: .timeout, operation: "connect", server: server,
                    message: "no connection within \(deadline.timeoutMilliseconds) ms",
                    hint: "is the server running and reachable? See docs/troubleshooting.md")
            }
            phase = PQconnectPoll(connection)
        }
        guard PQstatus(connection) == CONNECTION_OK, PQsetnonblocking(connection, 1) == 0 else {
            // It may repeat parts of the DSN.
            let message = configuration.dsn.scrubbed(oneLine(String(cString: PQerrorMessage(connection))))
            PQfinish(connection)
            throw PostgresError(
                kind: .connect, operation: "connect", server: server, message: message,
                hint: "is the server running, and are user, password and database right? See docs/troubleshooting.md")
        }
        return connection
    }

    private static func start(_ pairs: [(String, String)]) -> OpaquePointer? {
        var keywords = pairs.map { UnsafePointer<CChar>(strdup($0.0)) }
        var values = pairs.map { UnsafePointer<CChar>(strdup($0.1)) }
        defer {
            for text in keywords + values { free(UnsafeMutablePointer(mutating: text)) }
        }
        keywords.append(nil)
        values.append(nil)
        return PQconnectStartParams(keywords, values, 1)
    }

    /// libpq's messages end in a newline and may have several lines.
    static func oneLine(_ message: String) -> String {
        message.split(whereSeparator: \.isNewline).joined(separator: " ")
    }
}
