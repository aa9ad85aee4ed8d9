import Synchronization

/// What the reading lane, the watch over the log and the clients share. Everything under its lock is short: an append, a
/// search by halving, a slice of bounded size.
final class HubState: Sendable {
    private let state = Mutex(State())

    /// A new leader may not know at once how far the one before had come: one answer that is short proves nothing.
    private static let shortLooksMin = 2

    private struct State {
        /// The log whose events are in `recent`.
        var log: StreamLog?
        var recent: RecentEvents?
        /// Goes up when `recent` begins anew.
        var era = 0
        var eraReason = StreamReset.Reason.otherLog
        /// Why all must begin anew; nil while they need not.
        var change: StreamReset.Reason?
        /// How often in a row the log ended before what was given out.
        var shortLooks = 0
        /// The last answer about the log, and when it was asked for.
        var answer: (log: StreamLog?, askedAt: Int64)?
        var isLogAskedFor = false
        var clientCount = 0
        var isEnded = false
    }

    /// Where a client stands in the list of recent events.
    struct Place: Sendable {
        var log: StreamLog
        var era: Int
        /// The next entry's number.
        var number: Int
        /// The vector in front of it, in the order of the list.
        var vector: OffsetVector
    }

    /// What a client finds.
    enum Found: Sendable {
        case slice(RecentEvents.Slice)
        /// What it lacks begins before the list, which begins there.
        case behind(OffsetVector)
        /// The list is of another log than before.
        case otherLog(StreamReset.Reason)
        case ended
    }

    // MARK: The reading lane

    /// The reading begins, for the first time or again.
    ///
    /// - Parameter start: up to where the index is.
    /// - Returns: where to read from, and whether that is a beginning: what was seen before is of another log, if there was any.
    func begin(_ log: StreamLog, from start: OffsetVector) -> (start: OffsetVector, isAnew: Bool) {
        state.withLock { state in
            if let recent = state.recent, let known = state.log, known.epoch == log.epoch, state.change == nil {
                return (recent.end, false)
            }
            var start = start
            // An index may still be of the log before.
            for (partition, end) in log.ends ?? [:] where start[partition] > end { start[partition] = end }
            if state.recent != nil {
                state.era += 1
                state.eraReason = state.change ?? .otherLog
            }
            state.change = nil
            state.shortLooks = 0
            state.log = log
            state.recent = RecentEvents(from: start)
            return (start, true)
        }
    }

    var mustBeginAnew: Bool { state.withLock { $0.change != nil } }

    func append(_ entries: [StreamEntry]) {
        state.withLock { state in
            for entry in entries { state.recent?.append(entry) }
        }
    }

    func end() { state.withLock { $0.isEnded = true } }

    var isEnded: Bool { state.withLock { $0.isEnded } }

    // MARK: The log

    /// Everything below was given out.
    var given: OffsetVector { state.withLock { $0.recent?.end ?? OffsetVector() } }

    /// Whether a client asked since the last call. Called before the log is read: a request that comes during the reading
    /// cannot use its result, and is found by the next call.
    func takeLogWish() -> Bool {
        state.withLock { state in
            defer { state.isLogAskedFor = false }
            return state.isLogAskedFor
        }
    }

    func askForLog() { state.withLock { $0.isLogAskedFor = true } }

    /// An answer to a question that was asked after that time; the answer itself may be that nobody tells.
    func answer(after time: Int64) -> (log: StreamLog?, askedAt: Int64)? {
        state.withLock { state in
            guard let answer = state.answer, answer.askedAt >= time else { return nil }
            return answer
        }
    }

    /// Notes what was found out about the log.
    ///
    /// - Parameter given: what had been given out before the question.
    /// - Returns: why it is another one, if it is.
    func note(_ log: StreamLog?, askedAt: Int64, given: OffsetVector) -> StreamReset.Reason? {
        state.withLock { state in
            state.answer = (log, askedAt)
            guard let log, let known = state.log, state.change == nil else { return nil }
            let isShort = log.ends?.contains { given[$0.key] > $0.value } ?? false
            state.shortLooks = isShort ? state.shortLooks + 1 : 0
            if known.epoch != log.epoch {
                state.change = .otherLog
            } else if state.shortLooks >= Self.shortLooksMin {
                state.change = .ahead
            }
            return state.change
        }
    }

    // MARK: Clients

    /// The end of the list; nil while nothing was read yet, and after the end.
    func atEnd() -> Place? {
        state.withLock { state in
            guard let log = state.log, let recent = state.recent, !state.isEnded else { return nil }
            return Place(log: log, era: state.era, number: recent.nextNumber, vector: recent.end)
        }
    }

    /// The first entry that a client lacks which has seen everything below `seen`.
    func place(after seen: OffsetVector, era: Int) -> (place: Place?, found: Found?) {
        state.withLock { state in
            guard let log = state.log, let recent = state.recent else { return (nil, .ended) }
            guard state.era == era else { return (nil, .otherLog(state.eraReason)) }
            guard let number = recent.number(after: seen) else {
                return (nil, state.isEnded ? .ended : .behind(recent.start))
            }
            return (Place(log: log, era: era, number: number, vector: recent.vector(before: number)), nil)
        }
    }

    /// Entries from a number on.
    func slice(from number: Int, era: Int, countMax: Int, bytesMax: Int) -> Found {
        state.withLock { state in
            guard let recent = state.recent else { return .ended }
            guard state.era == era else { return .otherLog(state.eraReason) }
            guard let slice = recent.slice(from: number, countMax: countMax, bytesMax: bytesMax) else {
                return state.isEnded ? .ended : .behind(recent.start)
            }
            // What was given out before the end is everybody's.
            return slice.entries.isEmpty && state.isEnded ? .ended : .slice(slice)
        }
    }

    var clientCount: Int { state.withLock { $0.clientCount } }

    func enter() { state.withLock { $0.clientCount += 1 } }

    func leave() { state.withLock { $0.clientCount -= 1 } }
}
