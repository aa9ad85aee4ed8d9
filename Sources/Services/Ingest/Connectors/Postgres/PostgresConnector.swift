import Bytes
import Files
import Postgres
import Records
package import Sources
package import Telemetry

/// Reads a table: as it is, by ranges of its primary key, and then every change of it from the log, by logical replication.
///
/// **Order.** A slot is made, which keeps the log from there on. Then the table is read as of that moment, and between its ranges the
/// log. Versions are in the order of commits (``CaptureOrder``), so it makes no difference which of a row and its change arrives
/// first. A snapshot that was interrupted resumes as of a later moment: the one exported before ended with its session. So does
/// one whose transaction has been open for some minutes, since changes of the table's definition wait for it.
///
/// **Position.** Of the log the slot keeps the place; what is confirmed to it has arrived in the topic. Of a snapshot the last key that has
/// arrived is kept in a file. After a crash transactions and rows are sent again under the same event ids.
///
/// **Memory.** A transaction is handed on in pieces as it comes, however long it is; the server sends it once it is committed.
package final class PostgresConnector: BatchConnector {
    let declaration: PostgresDeclaration
    private let source: String
    let options: Options
    let lag: Gauge
    private let loss: Gauge
    let logger: Logger
    /// Held for as long as this lives.
    private let lock: File
    var state: CaptureState?
    var snapshot: TableSnapshot?
    var stream: ChangeStream?
    var events: RowEvents?
    var catalogue: CaptureCatalogue?
    var lookedAt: Int64 = 0
    /// When the log may be tried again while the table is read.
    private var followNotBefore: Int64 = 0
    private var faultBeside = ""
    /// That changes are lost, found beside rows that had to be handed over first.
    private var lossBeside: CaptureError?
    private static let followPauseNanoseconds: Int64 = 1_000_000_000
    /// Whether rows of the snapshot at hand may have been sent by a process before.
    var isResumed = false
    var readKey: [String]?
    var rowsRead = 0
    var rowsExpected: Int?
    /// What an operator asked for, as this process has read it: its last rows may be on their way.
    var request: CaptureRequest?
    /// Whether all of it is on its way.
    var isRequestHandedOver = false
    /// When a table that could not be opened, or read, may be tried again.
    var openNotBefore: Int64 = 0
    var openFault = ""
    /// Waits in a row of what is at hand, and pages of it in a row that failed.
    var openWaits = 0
    var pageFailures = 0
    /// The same of the transaction that is to follow an open one.
    var renewNotBefore: Int64 = 0
    var renewWaits = 0
    var renewFault = ""
    /// How fast rows are taken.
    var handingOver = HandingOver()
    /// What this process told of requests.
    var told: [String] = []
    /// The transactions that ran when the table was to be opened.
    var runningBefore: Set<String>?

    /// Events are numbered as they are handed over; numbers are this process's alone.
    var handedOver: Int64 = 0
    var arrived: Int64 = 0
    var milestones: [CaptureMilestone] = []
    var milestoneCount: Int { milestones.count }
    var confirmed: UInt64 = 0
    /// Up to where this process has read the log; what lies before is in the topic, or on its way there.
    var readTo: UInt64 = 0

    /// - Throws: `FileError`; ``CaptureError`` where the state is in use.
    package init(
        _ declaration: PostgresDeclaration, source: String, options: Options, metrics: MetricsRegistry, logger: Logger
    ) throws {
        self.declaration = declaration
        self.source = source
        self.options = options
        self.logger = logger
        lag = CaptureSlot.lagGauge(metrics, source: source)
        loss = CaptureSlot.lossGauge(metrics, source: source)
        try Folder.create(Folder.parent(of: options.statePath))
        var lock = try File(options.statePath + ".lock", .readWrite)
        guard try lock.tryLock() else {
            throw CaptureError(
                "another process follows \(declaration.place) with \(options.statePath): stop one of them")
        }
        self.lock = lock
    }

    /// As a source declares it.
    convenience init(
        _ declaration: PostgresDeclaration, _ context: ConnectorContext, metrics: MetricsRegistry, logger: Logger
    ) throws {
        var options = Options(statePath: context.statePath)
        options.idPath = context.idPath
        options.requests = { context.wishes()?.snapshots ?? [] }
        options.isGivenUp = { context.wishes()?.givenUp.contains($0) ?? false }
        options.report = { id, state, reason in
            context.report(
                SourceOutcome(
                    request: id, source: context.source.name.text, state: state, reason: reason,
                    atMilliseconds: SystemClock.epochMilliseconds()))
        }
        try self.init(
            declaration, source: context.source.name.text, options: options, metrics: metrics, logger: logger)
    }

    // MARK: Reading

    package func next(after position: SourcePosition?) throws -> SourceBatch {
        do {
            if let found = lossBeside {
                lossBeside = nil
                throw found
            }
            handingOver.resume()
            if let batch = try giveUp() { return batch }
            try renewTable()
            if let snapshot {
                var batch = try readTable()
                readLogBeside(&batch)
                handingOver.begin(batch.events.count, idleMilliseconds: snapshot.idleMilliseconds)
                return batch
            }
            if stream != nil {
                var batch = SourceBatch()
                try openTable(&batch)
                // Its first range comes with the next call: its transaction must not wait until much of the log is handed over.
                if snapshot != nil { return batch }
                let read = try readLog(waitMilliseconds: options.waitMilliseconds, eventsMax: options.eventsMax)
                (batch.events, batch.isConnecting, batch.lagBytes) = (read.events, read.isConnecting, read.lagBytes)
                batch.refusals += read.refusals
                return batch
            }
            try connect()
            loss.set(0)
            var batch = SourceBatch()
            batch.isConnecting = true
            return batch
        } catch {
            disconnect()
            // The server's words may repeat parts of the connection string.
            let isLoss = (error as? CaptureError)?.isLoss == true
            if isLoss { loss.set(1) }
            throw CaptureError(declaration.dsn.scrubbed("\(error)"), isLoss: isLoss)
        }
    }

    private func disconnect() {
        closeTable()
        loseStream()
    }

    private func loseStream() {
        stream?.close()
        stream = nil
    }

    /// Reads on in the log between two ranges of the table, so that changes need not wait for its end. Where the log cannot be read, it
    /// waits for that.
    private func readLogBeside(_ batch: inout SourceBatch) {
        defer {
            if !faultBeside.isEmpty { batch.fault = "the log cannot be read while the table is: \(faultBeside)" }
        }
        do {
            if stream == nil {
                guard SystemClock.monotonicNanoseconds() >= followNotBefore else { return }
                followNotBefore = SystemClock.monotonicNanoseconds() + Self.followPauseNanoseconds
                try follow()
            }
            // Together they have to be taken before the server ends the table's transaction.
            let left = max(1, handingOver.fitting - batch.events.count)
            let beside = try readLog(waitMilliseconds: 1, eventsMax: min(options.eventsMax, left))
            batch.events += beside.events
            batch.refusals += beside.refusals
            batch.lagBytes = beside.lagBytes
            if !beside.isConnecting { faultBeside = "" }
        } catch {
            loseStream()
            let fault = declaration.dsn.scrubbed("\(error)")
            // Reading on in the table helps nothing then. Its rows of this batch are handed over first.
            if let found = error as? CaptureError, found.isLoss {
                loss.set(1)
                lossBeside = found
            }
            guard fault != faultBeside else { return }
            faultBeside = fault
            logger.warning("the log cannot be read while the table is", ["error": fault])
        }
    }

    private func readLog(waitMilliseconds: Int, eventsMax: Int) throws -> SourceBatch {
        guard let stream else { return SourceBatch() }
        var batch = SourceBatch()
        var bytes = 0
        let end = SystemClock.monotonicNanoseconds() / 1_000_000 + Int64(waitMilliseconds)
        do {
            try look()
            try pass()
            // Not for longer, whatever comes of other tables: acknowledgements are to be taken in between.
            while batch.events.count < eventsMax, bytes < options.bytesMax {
                let left = end - SystemClock.monotonicNanoseconds() / 1_000_000
                guard left > 0 else { break }
                let wait = batch.events.isEmpty ? Int(left) : 0
                guard let events, let step = try stream.next(events, timeoutMilliseconds: wait) else { break }
                for change in step.changes {
                    handedOver += 1
                    bytes += change.value.count
                    batch.events.append(
                        SourceEvent(
                            value: change.value, key: change.key, eventID: change.id, mayRepeat: change.mayRepeat,
                            position: SourcePosition(token: Array("\(handedOver)".utf8)),
                            isTombstone: change.isTombstone))
                }
                if let refusal = step.refusal { batch.refusals.append(refusal) }
                if let columns = step.described, isNew(columns) { try look(isForced: true) }
                if let end = step.committed { note(commit: end) }
                if let end = step.idleAt { note(idle: end) }
                try pass()
                if step.wantsReply { try confirm(stream, asksForReply: false) }
            }
            if !batch.events.isEmpty, let part = stream.readPart {
                milestones.append(CaptureMilestone(event: handedOver, kind: .part(part)))
            }
            if stream.isToConfirm(confirmed, heartbeatMilliseconds: options.heartbeatMilliseconds) {
                try confirm(stream, asksForReply: stream.isToAsk(options.heartbeatMilliseconds))
            }
            let behind = stream.walEnd > confirmed ? stream.walEnd - confirmed : 0
            lag.set(Double(behind))
            batch.lagBytes = Int64(clamping: behind)
        } catch {
            // What was read before the fault is handed on; the next look finds the same fault, or none.
            guard !batch.events.isEmpty || !batch.refusals.isEmpty else { throw error }
            loseStream()
        }
        batch.isConnecting = batch.events.isEmpty && !stream.isSettled
        return batch
    }

    /// Notes that a transaction is at its end. Those without a change of the table do not add up while an event is on its way.
    private func note(commit end: UInt64) {
        readTo = max(readTo, end)
        if let last = milestones.last, last.event == handedOver, case .commit = last.kind { milestones.removeLast() }
        milestones.append(CaptureMilestone(event: handedOver, kind: .commit(end)))
    }

    /// Notes that nothing is open before a place in the log. Where rows of the table are on their way, it is confirmed once they have
    /// arrived: a table that is quiet must not keep the log while all of it is read.
    private func note(idle end: UInt64) {
        guard end > confirmed else { return }
        if milestones.isEmpty { confirmed = end } else { note(commit: end) }
    }

    /// Whether the log tells of other columns than the catalogue did.
    private func isNew(_ columns: [LogRelation.Column]) -> Bool {
        guard let known = catalogue?.columns else { return true }
        return columns.map(\.name) != known.map(\.name) || columns.map(\.type) != known.map(\.type)
    }

    /// Looks at the catalogue again when it is time: for what was replaced, and for columns.
    private func look(isForced: Bool = false) throws {
        let now = SystemClock.monotonicNanoseconds() / 1_000_000
        guard let state, isForced || now - lookedAt >= options.lookMilliseconds else { return }
        lookedAt = now
        let access = try CaptureAccess(declaration, connectMilliseconds: options.connectMilliseconds)
        do {
            let connection = try access.connection()
            defer { connection.close() }
            describe(
                try CaptureCatalogue(connection, declaration, .goingOn(state.identity), idPath: options.idPath),
                database: events?.database ?? "")
        } catch let error as PostgresError {
            // The log tells whether the server is there.
            logger.info("the catalogue cannot be read", ["error": declaration.dsn.scrubbed("\(error)")])
        }
    }

    func describe(_ found: CaptureCatalogue, database: String) {
        if let catalogue, let changes = found.columnChanges(since: catalogue) {
            logger.info("the table's columns changed", ["table": declaration.sqlName, "columns": changes])
        }
        catalogue = found
        // The log may still hold values of types that no column has any more.
        let kinds = (events?.kinds ?? [:]).merging(found.kinds) { _, new in new }
        events = RowEvents(
            source: source, database: database, schema: declaration.schema, table: declaration.table, keys: found.keys,
            kinds: kinds)
    }

    // MARK: Acknowledgement

    package func acknowledged(_ position: SourcePosition) throws {
        guard let number = Int64(String(decoding: position.token, as: UTF8.self)) else { return }
        arrived = max(arrived, number)
        let before = confirmed
        try pass()
        // At once: this may be the last word before the process ends. A session that broke is noticed by the next look.
        if confirmed > before, let stream { try? confirm(stream, asksForReply: false) }
    }

    /// Tells the slot what has arrived, once it is noted here: a slot that is further on then was moved by somebody else.
    private func confirm(_ stream: ChangeStream, asksForReply: Bool) throws {
        if var changed = state, confirmed > changed.confirmed {
            changed.confirmed = confirmed
            try changed.write(options.statePath)
            state = changed
        }
        try stream.confirm(confirmed, asksForReply: asksForReply)
    }

    /// Notes what has arrived. What fails is done with the next call.
    func pass() throws {
        var count = 0
        var changed = state
        while count < milestones.count, milestones[count].event <= arrived {
            defer { count += 1 }
            switch milestones[count].kind {
            case .commit(let end):
                confirmed = max(confirmed, end)
                // What lies before a place where nothing was open may be older than the transaction at hand.
                if let part = changed?.part, part.commit < end { changed?.part = nil }
            case .part(let part): changed?.part = part
            case .row(let key, let count):
                changed?.after = key
                changed?.rows = count
            case .snapshotComplete: changed?.isComplete = true
            case .requested(let request):
                if changed?.over.contains(request.id) == false { changed?.request = request }
            case .requestComplete(let id): changed?.end(id)
            }
        }
        guard count > 0 else { return }
        if var changed, changed != state {
            changed.confirmed = max(changed.confirmed, confirmed)
            try changed.write(options.statePath)
            state = changed
        }
        for case .requestComplete(let id) in milestones.prefix(count).map(\.kind) { tell(id, .complete) }
        milestones.removeFirst(count)
        if isRequestHandedOver, let request, state?.over.contains(request.id) == true {
            (self.request, isRequestHandedOver) = (nil, false)
        }
    }
}
