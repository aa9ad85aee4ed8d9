import Bytes
import Postgres
import Records
import Sources
import Telemetry

/// How one transaction by which a table is read follows another, and what may have changed between them.
extension PostgresConnector {
    /// Opens the next transaction of a table whose present one has been open for long: vacuum keeps what it sees. As long as there is
    /// no next one, the present one is read on, since it may be long until there is. But where others wait for the table, they go first.
    ///
    /// - Throws: ``CaptureError`` where changes are lost.
    func renewTable() throws {
        guard let present = snapshot, let known = state, present.hasRead,
            present.ageMilliseconds >= options.snapshotMilliseconds
        else { return }
        do throws(PostgresError) {
            if try present.isWaitedFor() {
                logger.info(
                    "somebody waits for the table, so it is read on as of a later moment",
                    ["table": declaration.sqlName])
                return closeTable()
            }
        } catch {
            // A session that is gone is found by the next page, and said there.
            return
        }
        guard SystemClock.monotonicNanoseconds() / 1_000_000 >= renewNotBefore else { return }
        do {
            let next = try view(of: request?.range ?? SourceKeyRange(), known, waits: renewWaits)
            try adopt(next.catalogue)
            closeTable()
            snapshot = next
            (renewNotBefore, renewWaits, renewFault) = (0, 0, "")
            runningBefore = nil
        } catch {
            try Self.passLoss(error)
            let pause = min(
                options.requestPauseMilliseconds << Int64(min(renewWaits, 16)), options.requestPauseMillisecondsMax)
            renewNotBefore = SystemClock.monotonicNanoseconds() / 1_000_000 + pause
            renewWaits += 1
            let fault = declaration.dsn.scrubbed("\(error)")
            // The first time is usual where others write.
            guard renewWaits > 1, fault != renewFault else { return }
            renewFault = fault
            logger.warning(
                "the table's transaction stays open, since there is no later one; tried again", ["error": fault])
        }
    }

    /// Begins the reading at hand again where keys have another order than when its last key was read: what lies behind that key is
    /// other rows then. Versions only grow, so what is read twice does no harm.
    ///
    /// - Returns: whether it begins again.
    @discardableResult
    func adopt(_ found: CaptureCatalogue) throws -> Bool {
        guard var changed = state, changed.keyOrder != found.keyOrder else { return false }
        // A state of an earlier version does not say.
        let isOther = changed.keyOrder != nil
        let hasRead = changed.request?.after != nil || request?.after != nil || (!changed.isComplete && readKey != nil)
        changed.keyOrder = found.keyOrder
        if isOther {
            changed.after = nil
            changed.request?.after = nil
            changed.request?.rows = 0
            if !changed.isComplete { changed.rows = 0 }
        }
        try changed.write(options.statePath)
        state = changed
        guard isOther else { return false }
        // The keys of rows on their way are of the order before.
        milestones.removeAll { milestone in
            switch milestone.kind {
            case .row, .requested: true
            case .commit, .part, .snapshotComplete, .requestComplete: false
            }
        }
        readKey = nil
        request?.after = nil
        request?.rows = 0
        guard hasRead else { return true }
        if !changed.isComplete { rowsRead = 0 }
        isResumed = true
        logger.warning(
            "the order of the table's keys changed, so it is read again from its beginning",
            ["table": declaration.sqlName])
        return true
    }
}

/// How fast what is read of a table is taken, as by a broker or under a limit of events: the server ends a transaction that is idle
/// for too long, and each next one takes a slot.
struct HandingOver {
    /// So many events are taken well before that.
    private(set) var fitting = Int.max
    private var last: (begun: Int64, count: Int, idleMilliseconds: Int)?

    private static let fittingMax = 1 << 20

    private static func now() -> Int64 { SystemClock.monotonicNanoseconds() / 1_000_000 }

    /// What was read is handed over from now on.
    mutating func begin(_ count: Int, idleMilliseconds: Int) { last = (Self.now(), count, idleMilliseconds) }

    /// It was taken.
    mutating func resume() {
        guard let (begun, count, idleMilliseconds) = last else { return }
        last = nil
        note(count, milliseconds: Self.now() - begun, idleMilliseconds: idleMilliseconds)
    }

    /// Notes how long so many events took.
    mutating func note(_ count: Int, milliseconds: Int64, idleMilliseconds: Int) {
        guard count > 0 else { return }
        let share = Int64(max(1, idleMilliseconds / 4))
        if milliseconds > share {
            fitting = max(1, Int(clamping: Int64(count) * share / milliseconds))
        } else {
            fitting = fitting > Self.fittingMax ? Int.max : fitting * 2
        }
    }
}
