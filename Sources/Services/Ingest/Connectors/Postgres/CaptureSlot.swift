import Postgres
import Sources
import Telemetry

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
        guard row[0] == "pgoutput" else {
            throw CaptureError(
                "the slot \(declaration.slot) is of \(row[0].map { "the plugin \($0)" } ?? "a standby"): name another slot in "
                    + "the declaration")
        }
        guard row[1] == "t" else {
            throw CaptureError(
                "the slot \(declaration.slot) is of another database: name another slot in the declaration")
        }
        return CaptureSlot(
            isActive: row[2] == "t", process: row[3] ?? "?", isLost: row[4] == "lost",
            confirmed: row[5].flatMap { PostgresText.position($0) } ?? 0)
    }

    /// Refuses a slot that does not hold the log from where it was read to.
    static func check(
        _ slot: CaptureSlot?, readTo position: UInt64, _ declaration: PostgresDeclaration
    ) throws(CaptureError) {
        guard let slot else { throw lost(declaration, "the slot \(declaration.slot) is gone") }
        guard !slot.isLost else { throw invalidated(declaration) }
        guard slot.confirmed <= position else {
            throw lost(
                declaration,
                "the slot \(declaration.slot) begins at \(PostgresText.position(slot.confirmed)), and the log was read up to "
                    + "\(PostgresText.position(position)): it was made again, or moved on")
        }
    }

    static func invalidated(_ declaration: PostgresDeclaration) -> CaptureError {
        lost(declaration, "the server invalidated the slot \(declaration.slot)")
    }

    /// Bytes of the server's log behind what the slot has confirmed; nil without the slot, and for one that keeps nothing any more.
    static func lag(_ connection: PostgresConnection, _ declaration: PostgresDeclaration) throws -> Double? {
        let rows = try connection.script(
            """
            SELECT pg_wal_lsn_diff(
                CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
                confirmed_flush_lsn)
            FROM pg_replication_slots
            WHERE slot_name = \(PostgresText.literal(declaration.slot)) AND wal_status IS DISTINCT FROM 'lost'
            """, operation: "look for the slot's lag", timeoutMilliseconds: 5_000)
        return rows.first?.first.flatMap { $0 }.flatMap { Double($0) }
    }

    /// The same of a source that nobody reads, noted where a reader notes it.
    ///
    /// - Parameter statePath: where the connector keeps what it has read: if there is anything, there has to be a slot that continues it.
    /// - Throws: ``CaptureError`` where the slot is lost, or the server cannot be asked.
    static func lagWhilePaused(
        _ declaration: PostgresDeclaration, source: String, statePath: String, _ metrics: MetricsRegistry
    ) throws -> Int64? {
        do {
            let access = try CaptureAccess(declaration, connectMilliseconds: 5_000)
            let connection = try access.connection()
            defer { connection.close() }
            let (slot, bytes) = (try read(connection, declaration), try lag(connection, declaration))
            // A slot that is not there keeps nothing.
            lagGauge(metrics, source: source).set(bytes ?? 0)
            // There is none before the first start, and a snapshot that is declared and not begun makes a new one.
            if let known = try CaptureState.read(statePath), try !known.isOutdated(by: declaration) {
                try check(slot, readTo: known.confirmed, declaration)
            } else if slot?.isLost == true {
                throw invalidated(declaration)
            }
            lossGauge(metrics, source: source).set(0)
            return bytes.map { Int64($0) }
        } catch {
            let isLoss = (error as? CaptureError)?.isLoss == true
            if isLoss { lossGauge(metrics, source: source).set(1) }
            throw CaptureError(declaration.dsn.scrubbed("\(error)"), isLoss: isLoss)
        }
    }

    static func lossGauge(_ metrics: MetricsRegistry, source: String) -> Gauge {
        metrics.gauge(
            "medallion_source_changes_lost",
            help: "1 while changes of a source's table are lost and it waits for a new snapshot, by source.",
            labels: [("source", source)])
    }

    static func lagGauge(_ metrics: MetricsRegistry, source: String) -> Gauge {
        metrics.gauge(
            "medallion_source_slot_lag_bytes",
            help: "Bytes of a source database's log behind what its replication slot has confirmed, by source.",
            labels: [("source", source)])
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
        guard declaration.snapshot < Int(PostgresDeclaration.Bounds.snapshots.upperBound) else {
            return CaptureError(
                "\(what), so changes since the last one that was read are lost, and \"snapshot\" is at its end: declare the table "
                    + "as a source of another name, and remove this one (docs/sources.md, Postgres)", isLoss: true)
        }
        return CaptureError(
            "\(what), so changes since the last one that was read are lost: set \"snapshot\": \(declaration.snapshot + 1) in the "
                + "declaration, and the table is read anew, which also removes what vanished meanwhile "
                + "(docs/sources.md, Postgres)", isLoss: true)
    }
}
