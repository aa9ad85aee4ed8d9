import Bytes
import Health
import Postgres
import Records
import Sources
import Telemetry

/// How reading a table begins and continues as of a later moment, while its log is read.
///
/// Versions of rows are those of the moment that the table is seen at, and the log has every change since the first such moment
/// (``CaptureOrder``). So each range of keys may be of another one.
extension PostgresConnector {
    /// Opens the table where something is to be read of it: what the declaration asks for, or what an operator does. Where that
    /// cannot be now, the log is read on, and it is tried again.
    ///
    /// - Throws: ``CaptureError`` where changes are lost.
    func openTable(_ batch: inout SourceBatch) throws {
        guard let known = state else { return }
        if known.isComplete { return try beginRequest(known, &batch) }
        guard !isSnapshotHandedOver else { return }
        guard isTimeToOpen else {
            batch.fault = tableFault
            return
        }
        do {
            let opened = try view(of: SourceKeyRange(), known, waits: openWaits)
            rowsExpected = try opened.rowsExpected()
            try adopt(opened.catalogue)
            snapshot = opened
            noteOpened()
            batch.snapshot = progress(.running)
            batch.fault = tableFault
            logger.info(
                "reading on in the table",
                [
                    "table": declaration.sqlName, "snapshot": String(declaration.snapshot),
                    "as_of": PostgresText.position(opened.position),
                ])
        } catch {
            try Self.passLoss(error)
            putOff(nil, declaration.dsn.scrubbed("\(error)"), &batch)
        }
    }

    /// No later attempt helps then.
    static func passLoss(_ error: any Error) throws {
        if let found = error as? CaptureError, found.isLoss { throw found }
    }

    func closeTable() {
        snapshot?.close()
        snapshot = nil
    }

    private var isTimeToOpen: Bool { SystemClock.monotonicNanoseconds() / 1_000_000 >= openNotBefore }

    /// What was wrong may be wrong still, until a range was read.
    private func noteOpened() { (openNotBefore, runningBefore) = (0, nil) }

    /// Why what the declaration asks for cannot be read on; nil where it can. The first time is usual where others write.
    private var tableFault: String? { openWaits > 1 && !openFault.isEmpty ? openFault : nil }

    /// Begins what an operator asked for, or continues it.
    private func beginRequest(_ known: CaptureState, _ batch: inout SourceBatch) throws {
        guard !isRequestHandedOver else { return }
        tellEnds(known)
        let isNew = request == nil && known.request == nil
        let asked = isNew ? waiting().first : nil
        guard !isNew || asked != nil, isTimeToOpen else { return }
        let wanted: CaptureRequest
        if let asked, case .snapshot(let range) = asked.action {
            wanted = CaptureRequest(id: asked.id, range: range, version: 0)
        } else if let going = request ?? known.request {
            wanted = going
        } else {
            return
        }
        do {
            try open(wanted, known)
            noteOpened()
            batch.snapshot = progress(.running)
        } catch {
            try Self.passLoss(error)
            putOff(wanted, declaration.dsn.scrubbed("\(error)"), &batch)
        }
    }

    /// Puts off what cannot be read now, for longer each time.
    ///
    /// - Parameter wanted: nil for what the declaration asks for.
    func putOff(_ wanted: CaptureRequest?, _ fault: String, _ batch: inout SourceBatch) {
        let pause = options.requestPauseMilliseconds << Int64(min(openWaits, 16))
        openNotBefore = SystemClock.monotonicNanoseconds() / 1_000_000 + min(pause, options.requestPauseMillisecondsMax)
        if openWaits > 0, fault != openFault {
            let words =
                wanted == nil ? "the table cannot be read on now" : "a snapshot that was asked for cannot be read now"
            logger.warning("\(words); tried again", ["error": fault])
        }
        openWaits += 1
        openFault = fault
        var waits = SnapshotProgress(
            id: wanted?.id, state: .waiting, from: wanted?.range.from, to: wanted?.range.to,
            rows: wanted?.rows ?? rowsRead)
        waits.reason = fault
        batch.snapshot = waits
        if wanted == nil { batch.fault = tableFault }
    }

    private func open(_ wanted: CaptureRequest, _ known: CaptureState) throws {
        let opened = try view(of: wanted.range, known, waits: openWaits)
        var begun = wanted
        if try adopt(opened.catalogue) { (begun.after, begun.rows) = (nil, 0) }
        if begun.version == 0 {
            begun.version = CaptureOrder.version(ofSnapshot: declaration.snapshot, at: opened.position)
            var changed = state ?? known
            changed.request = begun
            try changed.write(options.statePath)
            state = changed
        }
        // What this process handed over before is no repeat.
        if request == nil { isResumed = wanted.version != 0 }
        rowsExpected = try opened.rowsExpected()
        (request, snapshot) = (begun, opened)
        tell(begun.id, .taken)
        logger.info(
            wanted.version == 0 ? "reading what was asked for" : "reading on in what was asked for",
            [
                "table": declaration.sqlName, "request": begun.id, "from": begun.range.from ?? "",
                "to": begun.range.to ?? "", "as_of": PostgresText.position(opened.position),
            ])
    }

    /// The table as of now.
    ///
    /// - Parameter waits: in a row, so far. Where transactions follow on one another, it may take as long as several of them.
    func view(of range: SourceKeyRange, _ known: CaptureState, waits: Int) throws -> TableSnapshot {
        let access = try CaptureAccess(declaration, connectMilliseconds: options.connectMilliseconds)
        let connection = try access.connection()
        // What is wrong with the table is said before a slot is made.
        _ = try CaptureCatalogue(connection, declaration, .goingOn(known.identity), idPath: options.idPath)
        let log = try access.log()
        // Not before: what it exports goes with it, and so does its slot.
        defer { log.close() }
        let system = try ServerPlace(log)
        try CaptureContinuity.check(system, log, known, readTo: max(known.confirmed, readTo), declaration)
        try checkRunning(connection)
        let view = try ExportedSnapshot(
            access, log, slot: access.temporarySlot, isTemporary: true,
            limitMilliseconds: min(options.requestSlotMilliseconds << min(waits, 3), options.slotMillisecondsMax))
        guard CaptureOrder.reaches(view.position) else {
            throw CaptureError("the log's place is beyond what versions can hold")
        }
        let opened = try take(view, access, connection, known.identity, range: range)
        describe(opened.catalogue, database: events?.database ?? "")
        return opened
    }

    /// Takes up what was exported, on a session that is in no transaction.
    func take(
        _ view: ExportedSnapshot, _ access: CaptureAccess, _ connection: PostgresConnection,
        _ identity: CaptureIdentity, range: SourceKeyRange = SourceKeyRange()
    ) throws -> TableSnapshot {
        try TableSnapshot(
            view, connection, declaration, range: range, bytesMax: options.rangeBytesMax,
            idleMilliseconds: options.snapshotIdleMilliseconds
        ) {
            // As it is now: what the snapshot shows of the catalogue may be older than the table's definition.
            let present = try access.connection()
            defer { present.close() }
            return try CaptureCatalogue(present, declaration, .goingOn(identity), idPath: options.idPath)
        }
    }

    /// Making a slot waits for the transactions that write, while nothing is read of the log. So those that were there the last time
    /// have to be over.
    private func checkRunning(_ connection: PostgresConnection) throws {
        // Every role may see these, those that are prepared among them. A snapshot's list lacks the newest ones.
        let rows = try connection.script(
            "SELECT transactionid::text FROM pg_locks WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock' AND granted "
                + "ORDER BY transactionid::text::bigint LIMIT \(Self.runningMax)",
            operation: "look for transactions", timeoutMilliseconds: 15_000)
        let running = Set(rows.compactMap { $0.first.flatMap { $0 } })
        let before = runningBefore ?? running
        runningBefore = running
        guard let oldest = before.intersection(running).compactMap({ Int64($0) }).min() else { return }
        throw CaptureError(
            "it waits for transactions that run (the oldest is \(oldest); pg_stat_activity, backend_xid, or pg_prepared_xacts): "
                + "end them, or wait")
    }

    private static let runningMax = 1_000
}
