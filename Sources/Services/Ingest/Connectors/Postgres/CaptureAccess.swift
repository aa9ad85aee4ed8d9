import Bytes
import Files
import Glibc
import Postgres
import Sources

/// Sessions with the database of a declaration.
struct CaptureAccess {
    private let configuration: PostgresConfiguration
    private let connectMilliseconds: Int
    private let slot: String
    /// A name for a slot that goes with its session.
    let temporarySlot: String

    /// So that values are written in one way, whatever server and role are set to.
    private static let settings = [
        ("datestyle", "ISO, YMD"), ("timezone", "UTC"), ("intervalstyle", "postgres"), ("extra_float_digits", "1"),
        ("bytea_output", "hex"), ("standard_conforming_strings", "on"), ("search_path", "pg_catalog"),
        ("xmloption", "content"), ("lc_monetary", "C"),
        // Rows that a policy hides are an error then. The log has them, and a snapshot without them would delete their documents.
        ("row_security", "off"),
    ]
    private static let passwordBytesMax = 4_096

    /// - Throws: ``CaptureError`` where there is no password though one is declared.
    init(_ declaration: PostgresDeclaration, connectMilliseconds: Int) throws {
        self.connectMilliseconds = connectMilliseconds
        slot = declaration.slot
        var configuration = PostgresConfiguration(
            dsn: declaration.dsn.revealed, applicationName: "medallion source",
            sessionSettings: Self.settings.map { (name: $0.0, value: $0.1) })
        configuration.password = try Self.password(declaration)
        self.configuration = configuration
        temporarySlot = "\(declaration.slot.prefix(40))_t\(String(UInt64.random(in: 0...UInt64.max), radix: 16))"
    }

    private static func password(_ declaration: PostgresDeclaration) throws -> PostgresPassword? {
        switch declaration.password {
        case .none: return nil
        case .environment(let name):
            guard let value = getenv(name) else {
                throw CaptureError("\(name) is not set in this environment: it is to hold the password (password_env)")
            }
            return PostgresPassword(String(cString: value))
        case .file(let path):
            let bytes = try File.contents(of: path, bytesMax: passwordBytesMax)
            // As editors leave it.
            let line = bytes.prefix { $0 != 0x0A && $0 != 0x0D && $0 != 0 }
            guard !line.isEmpty else {
                throw CaptureError("\(path) is empty: it is to hold the password (password_file)")
            }
            return PostgresPassword(String(decoding: line, as: UTF8.self))
        }
    }

    /// A session for queries.
    ///
    /// - Throws: ``CaptureError`` where the server has no such database; `PostgresError`.
    func connection() throws -> PostgresConnection {
        do throws(PostgresError) {
            return try PostgresConnection(configuration, timeoutMilliseconds: connectMilliseconds)
        } catch {
            guard error.kind == .connect, let missing = missingDatabase() else { throw error }
            throw missing
        }
    }

    /// What is to be said where the server is there and the database is not. libpq tells that in the server's language alone, so
    /// another database is asked.
    private func missingDatabase() -> CaptureError? {
        guard let name = configuration.namedDatabase else { return nil }
        var other = configuration
        other.database = "postgres"
        guard let connection = try? PostgresConnection(other, timeoutMilliseconds: connectMilliseconds) else {
            return nil
        }
        defer { connection.close() }
        let rows = try? connection.script(
            """
            SELECT (SELECT count(*) FROM pg_database WHERE datname = \(PostgresText.literal(name))),
                (SELECT database FROM pg_replication_slots WHERE slot_name = \(PostgresText.literal(slot)))
            """, operation: "look for the database", timeoutMilliseconds: 5_000)
        guard let row = rows?.first, row.count == 2, row[0] == "0" else { return nil }
        if let owner = row[1] {
            return CaptureError(
                "there is no database \(name) on the server, and the slot \(slot) is of the database \(owner): where that is "
                    + "its new name, correct \"dsn\", and nothing is lost")
        }
        return CaptureError(
            "there is no database \(name) on the server, and no slot \(slot): it was dropped, or never was; correct \"dsn\", or "
                + "restore it and set \"snapshot\" to a higher number (docs/sources.md, Postgres)")
    }

    /// Ends a session of this role that waits: its process does not notice that nobody listens any more, and keeps its slot.
    func end(process: Int?) {
        guard let process, let connection = try? self.connection() else { return }
        defer { connection.close() }
        _ = try? connection.script(
            "SELECT pg_terminate_backend(\(process))", operation: "end a session", timeoutMilliseconds: 5_000)
    }

    /// A session for the log.
    func log() throws(PostgresError) -> ReplicationConnection {
        let connection = try ReplicationConnection(configuration, timeoutMilliseconds: connectMilliseconds)
        // One statement: a sender of the log takes no more at once before Postgres 15.
        let settings = Self.settings.map { "set_config('\($0.0)', \(PostgresText.literal($0.1)), false)" }
        try connection.run(
            "SELECT " + settings.joined(separator: ", "), operation: "set up the session",
            timeoutMilliseconds: connectMilliseconds)
        return connection
    }
}

/// Which server it is.
struct ServerPlace {
    let identifier: String
    /// A new one begins with every restore to an earlier place, and with every standby that takes over.
    let timeline: Int64
    /// How far its log is.
    let end: UInt64

    init(_ log: ReplicationConnection) throws {
        let rows = try log.run("IDENTIFY_SYSTEM", operation: "identify the server", timeoutMilliseconds: 15_000)
        guard let row = rows.first, row.count >= 3, let identifier = row[0],
            let timeline = row[1].flatMap({ Int64($0) }), let end = row[2].flatMap({ PostgresText.position($0) })
        else { throw CaptureError("the server did not answer IDENTIFY_SYSTEM as expected") }
        self.identifier = identifier
        self.timeline = timeline
        self.end = end
    }
}

/// A slot that was just made, and the snapshot of all that was committed before its begin; it is there as long as the session runs
/// nothing else.
struct ExportedSnapshot {
    let name: String
    let position: UInt64

    /// - Parameter limitMilliseconds: making one waits for the transactions that run.
    init(
        _ access: CaptureAccess, _ log: ReplicationConnection, slot: String, isTemporary: Bool,
        limitMilliseconds: Int = 60_000
    ) throws {
        let process = try log.run(
            "SELECT pg_backend_pid()", operation: "ask for the process", timeoutMilliseconds: 15_000)
        let rows: [[String?]]
        do throws(PostgresError) {
            rows = try log.run(
                "CREATE_REPLICATION_SLOT \(PostgresText.identifier(slot)) \(isTemporary ? "TEMPORARY " : "")LOGICAL pgoutput "
                    + "EXPORT_SNAPSHOT", operation: "create a slot", timeoutMilliseconds: limitMilliseconds)
        } catch {
            switch error.sqlState {
            case "53400":
                throw CaptureError(
                    "\(error.message): raise max_replication_slots on the server, or drop slots that nobody reads "
                        + "(pg_replication_slots); a snapshot needs one more for a while")
            case nil where error.kind == .timeout:
                access.end(process: process.first?.first.flatMap { $0 }.flatMap { Int($0) })
                throw CaptureError(
                    "no slot could be made within \(limitMilliseconds / 1_000) s: it waits for transactions that run "
                        + "(pg_stat_activity, the oldest xact_start); end them, or wait")
            default: throw error
            }
        }
        guard let row = rows.first, row.count >= 3, let position = row[1].flatMap({ PostgresText.position($0) }),
            let name = row[2]
        else { throw CaptureError("the server did not answer CREATE_REPLICATION_SLOT as expected") }
        self.name = name
        self.position = position
    }
}
