import Bytes
import Postgres
import Sources

/// A change of the table, ready for the topic.
struct CapturedChange {
    let value: [UInt8]
    let key: [UInt8]?
    let id: [UInt8]
    let mayRepeat: Bool
    var isTombstone = false
}

/// What one message of the server brought.
struct StreamStep {
    var changes: [CapturedChange] = []
    /// A transaction is at its end: the place in the log right behind it.
    var committed: UInt64?
    /// Everything before this place was sent, and no transaction is open.
    var idleAt: UInt64?
    var wantsReply = false
    /// The columns, where the log tells them.
    var described: [LogRelation.Column]?
    /// What was passed by.
    var refusal: SourceRefusal?
}

/// Follows the log from where the slot stands. Confined to the connector's lane.
final class ChangeStream {
    private let log: ReplicationConnection
    private let declaration: PostgresDeclaration
    private var order: CaptureOrder
    private let table: UInt32
    /// The version of the snapshot's first rows: what was committed before is in them.
    private let since: Int64
    /// What of a transaction has arrived already.
    private let part: CapturePart?
    /// Of our table; nil before the log describes it.
    private var relation: LogRelation?
    /// Up to where the log had been written when this began: a process before may have sent what lies before.
    private let repeatedBelow: UInt64
    private var origin = ChangeOrigin(
        position: 0, commit: 0, transaction: nil, milliseconds: 0, isSnapshot: false, version: 1)
    private var isInTransaction = false
    /// Changes of the transaction at hand so far.
    private var count = 0
    /// Whether the log was read as far as it was written at the beginning, or for a while, or a transaction was.
    private(set) var isSettled = false
    private let begun = ChangeStream.now()
    private(set) var walEnd: UInt64 = 0
    private var sent: UInt64 = 0
    private var sentAt: Int64 = 0
    private var askedAt: Int64 = 0
    /// Since when an answer is due; nil where none is.
    private var unansweredSince: Int64?

    private static let confirmLimit = 10_000
    private static let confirmMilliseconds: Int64 = 200
    private static let silenceMilliseconds: Int64 = 30_000
    private static let settleMilliseconds: Int64 = 5_000
    /// Of one change in the log. Far more than a broker takes.
    private static let changeBytesMax = 64 << 20

    /// - Parameter position: transactions that were committed before are not sent.
    init(
        _ access: CaptureAccess, _ declaration: PostgresDeclaration, _ state: CaptureState, from position: UInt64
    ) throws {
        self.declaration = declaration
        table = state.identity.table
        since = state.version
        part = state.part
        order = CaptureOrder(snapshot: declaration.snapshot)
        log = try access.log()
        let place = try ServerPlace(log)
        repeatedBelow = place.end
        // Behind one name there may be several servers.
        try CaptureContinuity.check(place, log, state, readTo: position, declaration)
        do throws(PostgresError) {
            try log.start(
                "START_REPLICATION SLOT \(PostgresText.identifier(declaration.slot)) LOGICAL "
                    + "\(PostgresText.position(position)) (proto_version '1', "
                    + "publication_names '\(PostgresText.identifier(declaration.publication))')",
                timeoutMilliseconds: 30_000)
        } catch {
            // Somebody was quicker; the server names the process.
            guard error.sqlState == "55006" else { throw error }
            let process = error.message.matches(of: /[0-9]+/).last.map { String($0.output) } ?? "?"
            throw CaptureSlot.inUse(declaration, by: process)
        }
        (sentAt, askedAt) = (Self.now(), Self.now())
    }

    private static func now() -> Int64 { SystemClock.monotonicNanoseconds() / 1_000_000 }

    func close() { log.close() }

    /// How far the transaction at hand was read; nil between two.
    var readPart: CapturePart? {
        guard isInTransaction, count > 0 else { return nil }
        let arrived = part?.commit == origin.commit ? part?.count ?? 0 : 0
        return CapturePart(commit: origin.commit, count: max(count, arrived))
    }

    // MARK: Confirming

    func confirm(_ position: UInt64, asksForReply: Bool) throws(PostgresError) {
        try log.confirm(position, asksForReply: asksForReply, timeoutMilliseconds: Self.confirmLimit)
        (sent, sentAt) = (position, Self.now())
        guard asksForReply else { return }
        askedAt = sentAt
        if unansweredSince == nil { unansweredSince = sentAt }
    }

    /// Whether it is time to confirm: what is new now and then, and whenever the server is to be asked.
    func isToConfirm(_ position: UInt64, heartbeatMilliseconds: Int64) -> Bool {
        isToAsk(heartbeatMilliseconds) || (position > sent && Self.now() - sentAt >= Self.confirmMilliseconds)
    }

    /// Whether it is time to ask the server how far it is: its answer shows a quiet database's log, which the slot else would keep.
    func isToAsk(_ heartbeatMilliseconds: Int64) -> Bool { Self.now() - askedAt >= heartbeatMilliseconds }

    // MARK: Reading

    /// - Returns: nil where nothing came within the limit.
    func next(_ events: RowEvents, timeoutMilliseconds: Int) throws -> StreamStep? {
        let received: ReplicationMessage?
        do throws(PostgresError) { received = try log.next(timeoutMilliseconds: timeoutMilliseconds) } catch {
            guard error.sqlState == "42704" else { throw error }
            throw CaptureError(
                "\(error.message): the log holds changes from before the publication was made; set \"snapshot\" to a higher "
                    + "number, and they are passed by and the table is read anew")
        }
        if Self.now() - begun > Self.settleMilliseconds { isSettled = true }
        guard let message = received else {
            // A machine that is gone without a word sends nothing, and takes what it is sent for a long while.
            if let since = unansweredSince, Self.now() - since > Self.silenceMilliseconds {
                throw CaptureError(
                    "the server has not answered for \(Self.silenceMilliseconds / 1_000) s")
            }
            return nil
        }
        unansweredSince = nil
        var step = StreamStep()
        switch message {
        case .keepalive(let end, let wantsReply):
            walEnd = max(walEnd, end)
            step.wantsReply = wantsReply
            if !isInTransaction { step.idleAt = end }
            if end >= repeatedBelow { isSettled = true }
        case .data(let start, let end, let body):
            walEnd = max(walEnd, end)
            origin.position = start
            guard body.count <= Self.changeBytesMax else {
                // A table's number is behind the letter.
                let number = body.dropFirst().prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
                guard number == table else { return step }
                // It has a number as all changes have, so that those behind it keep theirs.
                count += 1
                step.refusal = SourceRefusal(
                    place: "\(declaration.sqlName), log \(PostgresText.position(start))",
                    reason: "a change of \(body.count) bytes, at most \(Self.changeBytesMax); its document stays as "
                        + "it was")
                return step
            }
            try take(try LogMessage.parse(body), events, &step)
        }
        return step
    }

    private func take(_ message: LogMessage, _ events: RowEvents, _ step: inout StreamStep) throws {
        switch message {
        case .begin(let commit, let microseconds, let transaction):
            guard CaptureOrder.reaches(commit) else {
                throw CaptureError("the log's place is beyond what versions can hold")
            }
            order.begin(commit: commit)
            (isInTransaction, count) = (true, 0)
            origin.commit = commit
            origin.transaction = transaction
            // Postgres counts from 2000-01-01.
            origin.milliseconds = microseconds / 1_000 + 946_684_800_000
        case .commit(let end):
            isInTransaction = false
            step.committed = end
            isSettled = true
            walEnd = max(walEnd, end)
        case .relation(let described):
            let isNamed = described.schema == declaration.schema && described.table == declaration.table
            // What was committed before the snapshot is in it, whatever it was called then.
            let isLate = CaptureOrder.version(ofSnapshot: declaration.snapshot, at: origin.commit) > since
            if described.id == table {
                guard isNamed || !isLate else {
                    throw CaptureError(
                        "the table \(declaration.sqlName) that was read before is now \(described.schema).\(described.table): "
                            + "rename it back, or declare the one that is to be read, with a higher \"snapshot\"")
                }
                relation = described
                step.described = described.columns
            } else if isNamed, isLate {
                throw CaptureSlot.lost(
                    declaration, "\(declaration.sqlName) is another table than the one that was read before")
            }
        case .insert(let id, let new):
            guard let row = try row(id, new) else { return }
            add("c", before: nil, after: row, key: events.key(of: row), events, &step)
        case .update(let id, let old, let new):
            guard let row = try row(id, new) else { return }
            try update(row, old, events, &step)
        case .delete(let id, let old):
            guard let row = try row(id, old.values) else { return }
            add("d", before: identity(row, old), after: nil, key: events.key(of: row), events, &step)
        case .truncate(let relations):
            guard let relation, relations.contains(relation.id) else { return }
            origin.version = order.versionOfTruncation()
            append("t", before: nil, after: nil, key: RowEvents.keyOfTable, events, &step)
        case .other: return
        }
    }

    /// - Returns: nil for a row of another table.
    private func row(_ id: UInt32, _ values: [LogValue]) throws(CaptureError) -> CapturedRow? {
        guard let relation, relation.id == id else { return nil }
        guard relation.columns.count == values.count else {
            throw CaptureError("the log holds a row of \(values.count) values for \(relation.columns.count) columns")
        }
        return CapturedRow(columns: relation.columns, values: values)
    }

    private func update(
        _ row: CapturedRow, _ old: LogOldRow?, _ events: RowEvents, _ step: inout StreamStep
    ) throws(CaptureError) {
        guard let old else {
            return add("u", before: nil, after: row, key: events.key(of: row), events, &step)
        }
        guard let before = try self.row(relation?.id ?? 0, old.values) else { return }
        var after = row
        if !old.isKey {
            for (index, value) in after.values.enumerated() where value == .unchanged {
                after.values[index] = before.values[index]
            }
        }
        let (oldKey, newKey) = (events.key(of: before), events.key(of: after))
        guard let oldKey, oldKey != newKey else {
            // Without the old row: nobody here looks at it, and it would double the change.
            return add("u", before: nil, after: after, key: newKey, events, &step)
        }
        // A changed key is another document.
        add("d", before: identity(before, old), after: nil, key: oldKey, events, &step)
        add("c", before: nil, after: after, key: newKey, events, &step)
    }

    /// The old row without the columns that are null only because they were not sent.
    private func identity(_ row: CapturedRow, _ old: LogOldRow) -> CapturedRow {
        guard old.isKey else { return row }
        let kept = row.columns.indices.filter { row.columns[$0].isKey }
        return CapturedRow(columns: kept.map { row.columns[$0] }, values: kept.map { row.values[$0] })
    }

    private func add(
        _ operation: String, before: CapturedRow?, after: CapturedRow?, key: [UInt8]?, _ events: RowEvents,
        _ step: inout StreamStep
    ) {
        origin.version = order.version(of: key ?? [])
        append(operation, before: before, after: after, key: key, events, &step)
    }

    private func append(
        _ operation: String, before: CapturedRow?, after: CapturedRow?, key: [UInt8]?, _ events: RowEvents,
        _ step: inout StreamStep
    ) {
        let number = count
        count += 1
        if let part, part.commit == origin.commit, number < part.count { return }
        let id = "\(declaration.snapshot)-\(String(origin.commit, radix: 16))-\(number)"
        step.changes.append(
            CapturedChange(
                value: events.value(operation, before: before, after: after, origin), key: key, id: Array(id.utf8),
                mayRepeat: origin.commit < repeatedBelow))
        // Not counted: it comes and goes with its deletion.
        guard operation == "d", declaration.writesTombstones, key != nil else { return }
        step.changes.append(
            CapturedChange(
                value: [], key: key, id: Array("\(id)-t".utf8), mayRepeat: origin.commit < repeatedBelow,
                isTombstone: true))
    }
}
