import Bytes
import Health
import Postgres
import Records
import Sources
import Telemetry

/// How the table is read: for the declared snapshot, and for what operators ask for while changes are followed.
extension PostgresConnector {
    /// Classes of errors by which the server says that it makes no sense of a statement: data, constraints, names and rights.
    private static let refusals = ["22", "23", "42"]

    func readTable() throws -> SourceBatch {
        guard let snapshot, let events, let state else { return SourceBatch() }
        var batch = SourceBatch()
        let rows: [CapturedRow]
        let isEnd: Bool
        do throws(PostgresError) {
            (rows, isEnd) = try snapshot.rows(after: request.map(\.after) ?? readKey)
        } catch {
            guard let request else { throw error }
            try stand(request, after: error, &batch)
            return batch
        }
        (requestFailures, requestWaits) = (0, 0)
        let version = CaptureOrder.version(ofSnapshot: declaration.snapshot, at: snapshot.position)
        var origin = ChangeOrigin(
            position: snapshot.position, commit: snapshot.position, milliseconds: SystemClock.epochMilliseconds(),
            isSnapshot: true, version: version)
        // The same wherever it was resumed, and nobody else's: not that of a row of another snapshot either, since what is taken for a
        // copy is left out.
        let prefix = "\(state.snapshot)-\(request?.id ?? String(state.version, radix: 16))"
        var key: [String]?
        for row in rows {
            guard let name = events.key(of: row), let values = row.values(of: events.keys) else { continue }
            key = values.map { String(decoding: $0, as: UTF8.self) }
            let value = events.value("r", before: nil, after: row, origin)
            hand(over: value, key: name, id: "\(prefix)-\(Self.sum(name))", to: &batch)
        }
        note(key, count: batch.events.count)
        let isOver = isEnd || rows.isEmpty
        if isOver {
            // What was in the collection before and was not read now is not in the table any more. Of a part nothing is known of the rest.
            if request?.range.isWhole ?? true {
                origin.version = request?.version ?? state.version
                let end = events.value("t", before: nil, after: nil, origin)
                hand(over: end, key: RowEvents.keyOfTable, id: "\(prefix)-end", to: &batch)
            }
        }
        batch.snapshot = progress(isOver ? .complete : .running)
        if isOver { try noteEnd() }
        return batch
    }

    /// Notes how far the table was read.
    private func note(_ key: [String]?, count: Int) {
        guard let key else { return }
        guard request != nil else {
            (readKey, rowsRead) = (key, rowsRead + count)
            milestones.append(CaptureMilestone(event: handedOver, kind: .row(key, count: rowsRead)))
            return
        }
        request?.after = key
        request?.rows += count
        if let request { milestones.append(CaptureMilestone(event: handedOver, kind: .requested(request))) }
    }

    private func noteEnd() throws {
        if let request {
            isRequestHandedOver = true
            milestones.append(CaptureMilestone(event: handedOver, kind: .requestComplete(request.id)))
        } else {
            milestones.append(CaptureMilestone(event: handedOver, kind: .snapshotComplete))
        }
        logger.info(
            "the table was read",
            [
                "table": declaration.sqlName, "snapshot": String(declaration.snapshot), "request": request?.id ?? "",
                "rows": String(request?.rows ?? rowsRead),
            ])
        snapshot?.close()
        snapshot = nil
        // Where all has arrived already, or there was nothing, no acknowledgement follows.
        try pass()
    }

    private func hand(over value: [UInt8], key: [UInt8], id: String, to batch: inout SourceBatch) {
        handedOver += 1
        batch.events.append(
            SourceEvent(
                value: value, key: key, eventID: Array(id.utf8), mayRepeat: isResumed,
                position: SourcePosition(token: Array("\(handedOver)".utf8))))
    }

    private static func sum(_ key: [UInt8]) -> String {
        var sum = ContentSum()
        key.withUnsafeBytes { sum.add($0) }
        return String(sum.high, radix: 16) + String(sum.low, radix: 16)
    }

    private func progress(_ state: SnapshotProgress.State, _ reason: String = "") -> SnapshotProgress {
        var progress = SnapshotProgress(
            id: request?.id, state: state, from: request?.range.from, to: request?.range.to,
            rows: request?.rows ?? rowsRead)
        progress.rowsExpected = rowsExpected
        progress.reason = reason
        progress.requestsWaiting = waiting().count
        return progress
    }

    // MARK: Requests

    /// What was asked for, and is neither over nor at hand.
    private func waiting() -> [SourceRequest] {
        options.requests().filter { asked in
            asked.id != request?.id && state?.over.contains(asked.id) == false
        }
    }

    /// Tells once what became of a request.
    func tell(_ id: String, _ state: SourceOutcome.State, _ reason: String = "") {
        let word = "\(id)/\(state.rawValue)"
        guard !told.contains(word) else { return }
        told = Array((told + [word]).suffix(4 * SourceWishes.snapshotsMax))
        options.report(id, state, reason)
    }

    /// Tells the end of what an earlier process brought to its end, and could not tell.
    private func tellEnds(_ known: CaptureState) {
        for asked in options.requests() where known.over.contains(asked.id) {
            let isRefused = known.refused.contains(asked.id)
            tell(
                asked.id, isRefused ? .refused : .complete,
                isRefused ? "the reason is in the log of the process that was there then" : "")
        }
    }

    /// Begins what an operator asked for, or continues it. Its versions are those of a snapshot (``CaptureOrder``), so the log may be
    /// read meanwhile. Where it cannot begin, the log is read on, and it is tried again.
    func beginRequest(_ batch: inout SourceBatch) {
        guard let known = state, known.isComplete, !isRequestHandedOver else { return }
        tellEnds(known)
        let isNew = request == nil && known.request == nil
        let asked = isNew ? waiting().first : nil
        guard !isNew || asked != nil else { return }
        let now = SystemClock.monotonicNanoseconds() / 1_000_000
        guard now >= requestNotBefore else { return }
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
            (requestNotBefore, requestFault, runningBefore) = (0, "", nil)
            batch.snapshot = progress(.running)
        } catch {
            wait(wanted, declaration.dsn.scrubbed("\(error)"), &batch)
        }
    }

    /// Puts off what cannot be read now, for longer each time.
    private func wait(_ wanted: CaptureRequest, _ fault: String, _ batch: inout SourceBatch) {
        let pause = options.requestPauseMilliseconds << Int64(min(requestWaits, 16))
        requestNotBefore =
            SystemClock.monotonicNanoseconds() / 1_000_000 + min(pause, options.requestPauseMillisecondsMax)
        // The first time is usual on a server on which others write.
        if requestWaits > 0, fault != requestFault {
            logger.warning("a snapshot that was asked for cannot be read now; tried again", ["error": fault])
        }
        requestWaits += 1
        requestFault = fault
        var waits = SnapshotProgress(
            id: wanted.id, state: .waiting, from: wanted.range.from, to: wanted.range.to, rows: wanted.rows)
        waits.reason = fault
        batch.snapshot = waits
    }

    /// A page of what was asked for failed: the log is read on, and the page is tried again. What the server cannot make sense of is
    /// refused at once, and what fails again and again in the end.
    private func stand(
        _ wanted: CaptureRequest, after error: PostgresError, _ batch: inout SourceBatch
    ) throws {
        let isSenseless = error.sqlState.map { state in Self.refusals.contains { state.hasPrefix($0) } } ?? false
        // A server that goes away says nothing of the table.
        if error.kind != .closed, error.kind != .connect { requestFailures += 1 }
        guard !isSenseless, requestFailures < options.requestFailuresMax else {
            let words = isSenseless ? "\(error)" : "\(requestFailures) attempts in a row failed: \(error)"
            return try refuse(wanted, words, &batch)
        }
        snapshot?.close()
        snapshot = nil
        wait(wanted, declaration.dsn.scrubbed("\(error)"), &batch)
    }

    /// Ends what is at hand where an operator does not want it any more.
    ///
    /// - Returns: what says so; nil where there is nothing to end.
    func giveUp() throws -> SourceBatch? {
        guard let unwanted = request ?? state?.request, options.isGivenUp(unwanted.id) else { return nil }
        guard state?.over.contains(unwanted.id) == false, !isRequestHandedOver else { return nil }
        var batch = SourceBatch()
        batch.isConnecting = stream == nil
        try end(unwanted, "an operator gave it up", &batch)
        logger.info("a snapshot was given up", ["request": unwanted.id, "rows": String(unwanted.rows)])
        return batch
    }

    private func open(_ wanted: CaptureRequest, _ known: CaptureState) throws {
        let access = try CaptureAccess(declaration, connectMilliseconds: options.connectMilliseconds)
        let connection = try access.connection()
        let catalogue = try CaptureCatalogue(connection, declaration, .goingOn(known.identity), idPath: options.idPath)
        let log = try access.log()
        defer { log.close() }
        let system = try ServerPlace(log)
        try CaptureContinuity.check(system, log, known, readTo: max(known.confirmed, readTo), declaration)
        try checkRunning(connection)
        let view = try ExportedSnapshot(
            access, log, slot: access.temporarySlot, isTemporary: true,
            limitMilliseconds: options.requestSlotMilliseconds)
        guard CaptureOrder.reaches(view.position) else {
            throw CaptureError("the log's place is beyond what versions can hold")
        }
        describe(catalogue, database: events?.database ?? "")
        let opened = try TableSnapshot(
            view.name, at: view.position, connection, declaration, catalogue, range: wanted.range,
            rowsMax: options.rowsMax, bytesMax: options.rangeBytesMax)
        var begun = wanted
        if begun.version == 0 {
            begun.version = CaptureOrder.version(ofSnapshot: declaration.snapshot, at: view.position)
            var changed = known
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
                "to": begun.range.to ?? "", "as_of": PostgresText.position(view.position),
            ])
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

    /// Gives up what the database cannot make sense of.
    private func refuse(_ refused: CaptureRequest, _ reason: String, _ batch: inout SourceBatch) throws {
        let words = declaration.dsn.scrubbed(reason)
        try end(refused, words, &batch, isRefused: true)
        tell(refused.id, .refused, words)
        batch.refusals.append(SourceRefusal(place: "the snapshot \(refused.id)", reason: words))
    }

    /// Ends a request before its end. What was read of it is on its way.
    private func end(
        _ refused: CaptureRequest, _ words: String, _ batch: inout SourceBatch, isRefused: Bool = false
    ) throws {
        request = refused
        batch.snapshot = progress(.refused, words)
        if var changed = state {
            changed.end(refused.id, isRefused: isRefused)
            try changed.write(options.statePath)
            state = changed
        }
        (request, isRequestHandedOver) = (nil, false)
        (requestNotBefore, requestFault, requestWaits, requestFailures) = (0, "", 0, 0)
        runningBefore = nil
        snapshot?.close()
        snapshot = nil
    }
}
