import Postgres
import Sources

/// A replication slot as the server has it.
struct CaptureSlot {
    let isActive: Bool
    let process: String
    /// Whether the server threw away what it was to keep.
    let isLost: Bool
    /// Up to where everything is confirmed.
    let confirmed: UInt64

    /// - Returns: nil where there is none.
    /// - Throws: ``CaptureError`` for one that is somebody else's; `PostgresError`.
    static func read(_ connection: PostgresConnection, _ declaration: PostgresDeclaration) throws -> CaptureSlot? {
        let rows = try connection.script(
            """
            SELECT plugin, database = current_database(), active, active_pid, wal_status, confirmed_flush_lsn
            FROM pg_replication_slots WHERE slot_name = \(PostgresText.literal(declaration.slot))
            """, operation: "look for the slot", timeoutMilliseconds: 15_000)
        guard let row = rows.first, row.count == 6 else { return nil }
        guard row[0] == "pgoutput", row[1] == "t" else {
            throw CaptureError(
                "the slot \(declaration.slot) is of \(row[0] ?? "a standby"), or of another database: name another slot in the "
                    + "declaration")
        }
        return CaptureSlot(
            isActive: row[2] == "t", process: row[3] ?? "?", isLost: row[4] == "lost",
            confirmed: row[5].flatMap { PostgresText.position($0) } ?? 0)
    }

    /// Refuses a slot that another process reads.
    func checkFree(_ declaration: PostgresDeclaration) throws(CaptureError) {
        guard isActive else { return }
        throw Self.inUse(declaration, by: process)
    }

    static func inUse(_ declaration: PostgresDeclaration, by process: String) -> CaptureError {
        CaptureError(
            "the slot \(declaration.slot) is being read by the server's process \(process): another instance follows it; stop "
                + "that one, or name another slot in the declaration")
    }

    /// What is said where changes were lost.
    static func lost(_ declaration: PostgresDeclaration, _ what: String) -> CaptureError {
        CaptureError(
            "\(what), so changes since the last one that was read are lost: set \"snapshot\": \(declaration.snapshot + 1) in the "
                + "declaration, and the table is read anew, which also removes what vanished meanwhile "
                + "(docs/sources.md, Postgres)")
    }
}
