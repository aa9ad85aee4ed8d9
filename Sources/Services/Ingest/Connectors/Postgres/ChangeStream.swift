import Bytes
import Postgres
import Sources

/// A change of the table, ready for the topic.
struct CapturedChange {
    let value: [UInt8]
    let key: [UInt8]?
    let id: [UInt8]
    let mayRepeat: Bool
}

/// What one message of the server brought.
struct StreamStep {
    var changes: [CapturedChange] = []
    /// A transaction is at its end: where the log goes on behind it.
    var committed: UInt64?
    /// Everything before this place was sent, and no transaction is open.
    var idleAt: UInt64?
    var wantsReply = false
}

/// Follows the log from where the slot stands. Confined to the connector's lane.
final class ChangeStream {
    private let log: ReplicationConnection
    private let declaration: PostgresDeclaration
    private var order: CaptureOrder
    /// Of our table; nil before the log describes it.
    private var relation: LogRelation?
    /// Up to where the log had been written when this began: a process before may have sent what lies before.
    private let repeatedBelow: UInt64
    private var origin = ChangeOrigin(
        position: 0, commit: 0, transaction: nil, milliseconds: 0, isSnapshot: false, version: 1)
    private var isInTransaction = false
    /// Changes of the transaction at hand so far.
    private var count = 0
    private(set) var walEnd: UInt64 = 0
    private var sent: UInt64 = 0
    private var sentAt: Int64 = 0
    private var askedAt: Int64 = 0
    /// Since when an answer is due; nil where none is.
    private var unansweredSince: Int64?

    private static let confirmLimit = 10_000
    private static let confirmMilliseconds: Int64 = 200
    private static let silenceMilliseconds: Int64 = 30_000

    init(_ access: CaptureAccess, _ declaration: PostgresDeclaration) throws {
        self.declaration = declaration
        order = CaptureOrder(snapshot: declaration.snapshot)
        log = try access.log()
        repeatedBelow = try ServerPlace(log).end
        do throws(PostgresError) {
            try log.start(
                "START_REPLICATION SLOT \(PostgresText.identifier(declaration.slot)) LOGICAL 0/0 (proto_version '1', "
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

    // MARK: Confirming

    func confirm(_ position: UInt64, asksForReply: Bool) throws(PostgresError) {
        try log.confirm(position, asksForReply: asksForReply, timeoutMilliseconds: Self.confirmLimit)
        (sent, sentAt) = (position, Self.now())
        guard asksForReply else { return }
        askedAt = sentAt
        if unansweredSince == nil { unansweredSince = sentAt }
    }

    /// Confirms what is new now and then, and asks the server how far it is: its answer shows a quiet database's log, which the slot
    /// else would keep.
    func confirmIfDue(_ position: UInt64, heartbeatMilliseconds: Int64) throws(PostgresError) {
        let now = Self.now()
        let asks = now - askedAt >= heartbeatMilliseconds
        guard asks || (position > sent && now - sentAt >= Self.confirmMilliseconds) else { return }
        try confirm(position, asksForReply: asks)
    }

    // MARK: Reading

    /// - Returns: nil where nothing came within the limit.
    func next(_ events: RowEvents, timeoutMilliseconds: Int) throws -> StreamStep? {
        guard let message = try log.next(timeoutMilliseconds: timeoutMilliseconds) else {
            // A machine that is gone without a word sends nothing, and takes what it is sent for a long while.
            if let since = unansweredSince, Self.now() - since > Self.silenceMilliseconds {
                throw CaptureError(
                    "the server has said nothing for \(Self.silenceMilliseconds / 1_000) s, though it was asked")
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
        case .data(let start, let end, let body):
            walEnd = max(walEnd, end)
            origin.position = start
            try take(try LogMessage.parse(body), events, &step)
        }
        return step
    }

    private func take(_ message: LogMessage, _ events: RowEvents, _ step: inout StreamStep) throws {
        switch message {
        case .begin(let commit, let microseconds, let transaction):
            guard CaptureOrder.reaches(commit) else { throw CaptureError("the log is too long to be followed") }
            order.begin(commit: commit)
            (isInTransaction, count) = (true, 0)
            origin.commit = commit
            origin.transaction = transaction
            // Postgres counts from 2000-01-01.
            origin.milliseconds = microseconds / 1_000 + 946_684_800_000
        case .commit(let end):
            isInTransaction = false
            step.committed = end
            walEnd = max(walEnd, end)
        case .relation(let described):
            if described.schema == declaration.schema, described.table == declaration.table {
                relation = described
            } else if relation?.id == described.id {
                throw CaptureError(
                    "\(declaration.sqlName) is now \(described.schema).\(described.table): declare that table, with a new "
                        + "\"snapshot\", or rename it back")
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
            return add("u", before: old.isKey ? nil : before, after: after, key: newKey, events, &step)
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
        let id = "\(declaration.snapshot)-\(String(origin.commit, radix: 16))-\(count)"
        count += 1
        step.changes.append(
            CapturedChange(
                value: events.value(operation, before: before, after: after, origin), key: key, id: Array(id.utf8),
                mayRepeat: origin.commit < repeatedBelow))
    }
}
