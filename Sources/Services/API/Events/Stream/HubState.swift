import Records
import Synchronization

/// What the reading lane, the watch over the logs and the clients share. Everything under its lock is short: an append, a
/// search by halving, a slice of bounded size.
final class HubState: Sendable {
    private let state = Mutex(State())

    /// A new leader may not know at once how far the one before had come: one answer that is short proves nothing.
    private static let shortLooksMin = 2

    private struct State {
        /// What is to be shown, and how often that was changed.
        var sources: [StreamSource] = []
        var sourcesVersion = 0
        /// The logs whose events are in `recent`.
        var logs: StreamLogs?
        var recent: RecentEvents?
        /// Goes up when `recent` begins anew: because of another log, or other sources.
        var era = 0
        /// Where each log that is shown began, by topic.
        var births: [String: Birth] = [:]
        /// Topics whose logs must begin anew, and why.
        var changes: [String: StreamReset.Reason] = [:]
        /// How often in a row a log ended before what was given out, by topic.
        var shortLooks: [String: Int] = [:]
        /// The last answer about the logs, and when it was asked for.
        var answer: (logs: StreamLogs?, askedAt: Int64)?
        var isLogAskedFor = false
        var clientCount = 0
        var isEnded = false
    }

    private struct Birth {
        /// The first era that shows the log.
        var era: Int
        /// Why it took the place of another one; nil for that of a new source.
        var reason: StreamReset.Reason?
        /// Where showing it began.
        var start: OffsetVector
    }

    /// Where a client stands in the list of recent events.
    struct Place: Sendable {
        var logs: StreamLogs
        var era: Int
        /// The next entry's number; nil where that is to be found out.
        var number: Int?
        /// The vector in front of it, in the order of the list.
        var vector: OffsetVector
    }

    /// What a client finds.
    enum Found: Sendable {
        case slice(RecentEvents.Slice)
        /// What it lacks begins before the list, which begins there.
        case behind(OffsetVector)
        /// The list began anew.
        case otherEra
        case ended
    }

    // MARK: The sources

    /// From now on these are to be shown.
    func follow(_ sources: [StreamSource]) {
        state.withLock { state in
            guard state.sources != sources else { return }
            state.sources = sources
            state.sourcesVersion += 1
        }
    }

    /// What is to be shown, and the number of this answer, which a different one has not.
    var sources: (sources: [StreamSource], version: Int) { state.withLock { ($0.sources, $0.sourcesVersion) } }

    // MARK: The reading lane

    /// The reading begins, for the first time or again.
    ///
    /// - Parameter indexed: up to where the index is.
    /// - Returns: where to read from, the topics of which that is a beginning, and the era.
    func begin(
        _ logs: StreamLogs, from indexed: OffsetVector
    ) -> (start: OffsetVector, anew: [String], era: Int) {
        state.withLock { state in
            var start = OffsetVector()
            var anew: [String] = []
            for log in logs.logs {
                let topic = log.topic
                if let recent = state.recent, state.changes[topic] == nil, state.logs?[topic]?.epoch == log.epoch {
                    start.raise(to: recent.end.only(topic))
                    continue
                }
                var from = indexed.only(topic)
                // An index may still be of the log before.
                for (partition, end) in log.ends ?? [:] {
                    let place = TopicPartition(topic: topic, partition: partition)
                    if from[place] > end { from[place] = end }
                }
                start.raise(to: from)
                anew.append(topic)
                let reason = state.logs?[topic] == nil ? nil : state.changes[topic] ?? .otherLog
                state.births[topic] = Birth(era: state.era + 1, reason: reason, start: from)
            }
            if state.recent == nil || !anew.isEmpty || state.logs?.topics != logs.topics {
                state.era += 1
                state.recent = RecentEvents(from: start)
                state.births = state.births.filter { logs[$0.key] != nil }
                state.shortLooks = [:]
            }
            state.changes = [:]
            state.logs = logs
            return (start, anew, state.era)
        }
    }

    /// Whether the reading is to begin again: a log is another one, or these are not the sources any more.
    func mustBeginAnew(_ sourcesVersion: Int) -> Bool {
        state.withLock { !$0.changes.isEmpty || $0.sourcesVersion != sourcesVersion }
    }

    func append(_ entries: [StreamEntry]) {
        state.withLock { state in
            for entry in entries { state.recent?.append(entry) }
        }
    }

    func end() { state.withLock { $0.isEnded = true } }

    var isEnded: Bool { state.withLock { $0.isEnded } }

    // MARK: The logs

    /// Everything below was given out.
    var given: OffsetVector { state.withLock { $0.recent?.end ?? OffsetVector() } }

    /// Whether a client asked since the last call. Called before the logs are read: a request that comes during the reading
    /// cannot use its result, and is found by the next call.
    func takeLogWish() -> Bool {
        state.withLock { state in
            defer { state.isLogAskedFor = false }
            return state.isLogAskedFor
        }
    }

    func askForLog() { state.withLock { $0.isLogAskedFor = true } }

    /// An answer to a question that was asked after that time; the answer itself may be that nobody tells.
    func answer(after time: Int64) -> (logs: StreamLogs?, askedAt: Int64)? {
        state.withLock { state in
            guard let answer = state.answer, answer.askedAt >= time else { return nil }
            return answer
        }
    }

    /// Notes what was found out about the logs.
    ///
    /// - Parameter given: what had been given out before the question.
    /// - Returns: the topics whose logs turned out to be other ones, and why.
    func note(
        _ logs: StreamLogs?, askedAt: Int64, given: OffsetVector
    ) -> [(topic: String, reason: StreamReset.Reason)] {
        state.withLock { state in
            state.answer = (logs, askedAt)
            var found: [(topic: String, reason: StreamReset.Reason)] = []
            for log in logs?.logs ?? [] {
                let topic = log.topic
                guard let known = state.logs?[topic], state.changes[topic] == nil else { continue }
                let isShort = log.ends?.contains { partition, end in
                    given[TopicPartition(topic: topic, partition: partition)] > end
                }
                let shortLooks = isShort == true ? state.shortLooks[topic, default: 0] + 1 : 0
                state.shortLooks[topic] = shortLooks
                if known.epoch != log.epoch {
                    found.append((topic, .otherLog))
                } else if shortLooks >= Self.shortLooksMin {
                    found.append((topic, .ahead))
                }
            }
            for (topic, reason) in found { state.changes[topic] = reason }
            return found
        }
    }

    // MARK: Clients

    /// The end of the list; nil while nothing was read yet, and after the end.
    func atEnd() -> Place? {
        state.withLock { state in
            guard let logs = state.logs, let recent = state.recent, !state.isEnded else { return nil }
            return Place(logs: logs, era: state.era, number: recent.nextNumber, vector: recent.end)
        }
    }

    /// Where a client of an earlier era continues: in a log that is still the same, where it was; in one that replaced another,
    /// at the end of what was shown; in that of a new source, where showing it began.
    ///
    /// - Returns: the topics whose place is lost, by the reason; nil after the end.
    func moved(
        from logs: StreamLogs, era: Int, vector: OffsetVector
    ) -> (place: Place, lost: [StreamReset.Reason: [String]])? {
        state.withLock { state in
            guard let now = state.logs, let recent = state.recent, !state.isEnded else { return nil }
            var place = Place(logs: now, era: state.era, number: nil, vector: OffsetVector())
            var lost: [StreamReset.Reason: [String]] = [:]
            for log in now.logs {
                let birth = state.births[log.topic]
                let isReplaced = birth.map { $0.era > era && $0.reason != nil } ?? false
                guard let before = logs[log.topic] else {
                    place.vector.raise(to: birth?.start ?? OffsetVector())
                    continue
                }
                if before.epoch == log.epoch, !isReplaced {
                    place.vector.raise(to: vector.only(log.topic))
                } else {
                    place.vector.raise(to: recent.end.only(log.topic))
                    lost[birth?.reason ?? .otherLog, default: []].append(log.topic)
                }
            }
            return (place, lost)
        }
    }

    /// The first entry that a client lacks which has seen everything below `seen`.
    func place(after seen: OffsetVector, era: Int) -> (place: Place?, found: Found?) {
        state.withLock { state in
            guard let logs = state.logs, let recent = state.recent else { return (nil, .ended) }
            guard state.era == era else { return (nil, .otherEra) }
            guard let number = recent.number(after: seen) else {
                return (nil, state.isEnded ? .ended : .behind(recent.start))
            }
            return (Place(logs: logs, era: era, number: number, vector: recent.vector(before: number)), nil)
        }
    }

    /// Entries from a number on.
    func slice(from number: Int, era: Int, countMax: Int, bytesMax: Int) -> Found {
        state.withLock { state in
            guard let recent = state.recent else { return .ended }
            guard state.era == era else { return .otherEra }
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
