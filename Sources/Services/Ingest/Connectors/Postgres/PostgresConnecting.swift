import Bytes
import Postgres
import Sources
import Telemetry

extension PostgresConnector {
    func connect() throws {
        let access = try CaptureAccess(declaration, connectMilliseconds: options.connectMilliseconds)
        let connection = try access.connection()
        // Without the slot nothing is kept.
        lag.set(try CaptureSlot.lag(connection, declaration) ?? 0)
        if state == nil { state = try CaptureState.read(options.statePath) }
        let known = try state.flatMap { try $0.isOutdated(by: declaration) ? nil : $0 }
        let purpose: CaptureCatalogue.Purpose
        if let known { purpose = .goingOn(known.identity) } else { purpose = .beginning }
        let catalogue = try CaptureCatalogue(connection, declaration, purpose, idPath: options.idPath)
        lookedAt = SystemClock.monotonicNanoseconds() / 1_000_000
        let database = try connection.script(
            "SELECT current_database()", operation: "ask for the database", timeoutMilliseconds: 5_000)
        describe(catalogue, database: database.first?.first.flatMap { $0 } ?? "")
        let log = try access.log()
        // Not before: what it exports goes with it, and so does a slot that is temporary.
        defer { log.close() }
        let system = try ServerPlace(log)
        let slot = try CaptureSlot.read(connection, declaration)
        try slot?.checkFree(declaration)
        var exported: ExportedSnapshot?
        if var known {
            try CaptureContinuity.check(system, log, known, readTo: max(known.confirmed, readTo), declaration)
            try CaptureSlot.check(slot, readTo: known.confirmed, declaration)
            confirmed = max(confirmed, known.confirmed)
            if known.timeline != system.timeline {
                known.timeline = system.timeline
                try known.write(options.statePath)
            }
            state = known
            // The table is read on beside the log, and must not hold that up.
            if !isSnapshotHandedOver, readKey == nil {
                (readKey, rowsRead, isResumed) = (known.after, known.rows, true)
            }
            return try follow()
        }
        if slot?.isLost ?? true {
            if slot != nil {
                try log.run(
                    "DROP_REPLICATION_SLOT \(PostgresText.identifier(declaration.slot))", operation: "drop the slot",
                    timeoutMilliseconds: 15_000)
            }
            exported = try ExportedSnapshot(access, log, slot: declaration.slot, isTemporary: false)
        }
        let view = try exported ?? ExportedSnapshot(access, log, slot: access.temporarySlot, isTemporary: true)
        guard CaptureOrder.reaches(view.position) else {
            throw CaptureError("the log's place is beyond what versions can hold")
        }
        do {
            let opened = try take(view, access, connection, catalogue.identity)
            describe(opened.catalogue, database: events?.database ?? "")
            snapshot = opened
        } catch let error as CaptureError where error.isLoss {
            // Nothing was read of it yet.
            throw CaptureError(
                "\(declaration.sqlName), or its publication, was replaced while it was to be read; tried again")
        }
        try beginSnapshot(system, at: view.position)
    }

    /// Whether all of the snapshot has arrived, or is on its way there.
    var isSnapshotHandedOver: Bool {
        if state?.isComplete == true { return true }
        return milestones.contains { milestone in
            if case .snapshotComplete = milestone.kind { return true }
            return false
        }
    }

    private func beginSnapshot(_ system: ServerPlace, at position: UInt64) throws {
        var begun = CaptureState(
            system: system.identifier, timeline: system.timeline, confirmed: position,
            identity: catalogue?.identity ?? CaptureIdentity(table: 0, publication: 0, membership: 0),
            schema: declaration.schema, table: declaration.table, snapshot: declaration.snapshot,
            version: CaptureOrder.version(ofSnapshot: declaration.snapshot, at: position))
        begun.keyOrder = catalogue?.keyOrder
        // All of the table is read: what was asked for before is in it.
        for request in options.requests() { begun.end(request.id) }
        try begun.write(options.statePath)
        state = begun
        (request, isRequestHandedOver) = (nil, false)
        // The snapshot has what was committed before, so the log is read from there, even where the slot is older.
        confirmed = position
        (readKey, rowsRead, isResumed) = (nil, 0, false)
        rowsExpected = try snapshot?.rowsExpected()
        logger.info(
            "reading the table",
            [
                "table": declaration.sqlName, "snapshot": String(declaration.snapshot),
                "as_of": PostgresText.position(position),
            ])
    }

    func follow() throws {
        guard let state else { return }
        let access = try CaptureAccess(declaration, connectMilliseconds: options.connectMilliseconds)
        let position = max(confirmed, state.confirmed)
        let connection = try access.connection()
        defer { connection.close() }
        // The server does not refuse a place before the slot's: it begins where the slot does, and what lies between is passed by.
        try CaptureSlot.check(try CaptureSlot.read(connection, declaration), readTo: position, declaration)
        let begun = try ChangeStream(access, declaration, state, from: position)
        do {
            // From now on the slot is this session's. It may have been made again since the first look.
            try CaptureSlot.check(try CaptureSlot.read(connection, declaration), readTo: position, declaration)
        } catch {
            begun.close()
            throw error
        }
        stream = begun
    }
}
