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
    /// A server that ended the session, since it was idle in its transaction, the transaction was too old, or the server stops.
    private static let endings = ["25P03", "25P04", "57P01"]

    func readTable() throws -> SourceBatch {
        guard let snapshot, let events, let state else { return SourceBatch() }
        var batch = SourceBatch()
        let rows: [CapturedRow]
        let isEnd: Bool
        do throws(PostgresError) {
            (rows, isEnd) = try snapshot.rows(
                after: request.map(\.after) ?? readKey, rowsMax: min(options.rowsMax, handingOver.fitting))
        } catch {
            try stand(after: error, of: snapshot, &batch)
            return batch
        }
        (pageFailures, openWaits, openFault) = (0, 0, "")
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
        if isOver { noteEnd() }
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

    private func noteEnd() {
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
        closeTable()
        // Where all has arrived already, or there was nothing, no acknowledgement follows. The rows at hand are handed over, whatever
        // becomes of that: what could not be noted is noted with the next look at the log.
        do { try pass() } catch {
            logger.warning("the state cannot be written; tried again", ["error": declaration.dsn.scrubbed("\(error)")])
        }
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

    func progress(_ state: SnapshotProgress.State, _ reason: String = "") -> SnapshotProgress {
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
    func waiting() -> [SourceRequest] {
        options.requests().filter { asked in
            asked.id != request?.id && state?.over.contains(asked.id) == false
        }
    }

    /// A page failed: the log is read on, and the page is tried again. Of what was asked for, what the server cannot make sense of is
    /// refused at once, and what fails again and again in the end; what the declaration asks for is waited for.
    private func stand(after error: PostgresError, of failed: TableSnapshot, _ batch: inout SourceBatch) throws {
        closeTable()
        let words = declaration.dsn.scrubbed("\(error)")
        let isEnded = error.kind == .closed || error.sqlState.map { Self.endings.contains($0) } == true
        guard !isEnded || !failed.hasRead else {
            logger.info("the table is read on as of a later moment, since its session ended", ["error": words])
            return
        }
        guard let request else { return putOff(nil, words, &batch) }
        let isSenseless = error.sqlState.map { state in Self.refusals.contains { state.hasPrefix($0) } } ?? false
        // A server that goes away says nothing of the table.
        if error.kind != .closed, error.kind != .connect { pageFailures += 1 }
        guard !isSenseless, pageFailures < options.requestFailuresMax else {
            let reason = isSenseless ? "\(error)" : "\(pageFailures) attempts in a row failed: \(error)"
            return try refuse(request, reason, &batch)
        }
        putOff(request, words, &batch)
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
        (openNotBefore, openFault, openWaits, pageFailures) = (0, "", 0, 0)
        runningBefore = nil
        closeTable()
    }
}
