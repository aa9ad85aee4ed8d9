import Bytes
import Synchronization

/// What passes the stages of the pipeline, as a process that serves the index sees it: in the topics, in the index, and by the
/// times that each document carries. The stages themselves may run anywhere, in this process or in others.
///
/// It is told by those who look anyway: the look of each source's ``FreshnessWatch`` tells how far topic and index are, and the
/// reader of the Gold topics how far the lake is and how long documents were on their way. Bounded: some thousand ways of the
/// last minute, and some counts of the last seconds.
package final class PipelineFlow: Sendable {
    /// How much has passed since this process began to look; of the lake and of searches nil until somebody has told of them.
    package struct Counts: Sendable, Equatable {
        /// Source offsets that came into the topics.
        package var received: Int64 = 0
        /// Source offsets that the lake has committed.
        package var committed: Int64?
        /// Source offsets that the index has reached.
        package var indexed: Int64 = 0
        /// Documents that became searchable.
        package var searchable: Int64?
    }

    /// The stages at a moment, and the whole way through them.
    package struct Reading: Sendable, Equatable {
        /// In their order.
        package var stages: [PipelineStage] = []
        /// From the event, or where that is not known from the platform's or the broker's having it, to being searchable.
        package var way: DwellTimes?
    }

    private struct Place {
        var high: Int64
        var committed: Int64?
        var indexed: Int64
    }

    private struct Source {
        var places: [Int32: Place]
        /// Of the look's beginning, on the monotonic clock.
        var lookedAt: Int64
        /// Nil while nobody knows how far the lake is.
        var lakeLag: Int64?
        var indexLag: Int64?
        var behind: Int64
        /// When the topic last grew, milliseconds since 1970.
        var movedAt: Int64?
    }

    private struct Committed {
        var nextOffsets: [Int32: Int64]
        var isHeld: Bool
    }

    private struct Moves {
        var received, committed, indexed, searchable: Int64?
    }

    private struct State {
        var sources: [String: Source] = [:]
        /// By the source's topic.
        var committed: [String: Committed] = [:]
        var counts = Counts()
        var moves = Moves()
        var samples: [(at: Int64, counts: Counts)] = []
        var dwells: [(at: Int64, dwell: EventDwell)] = []
        var reading: (at: Int64, reading: Reading)?
    }

    /// Ways that are kept.
    private static let dwellsMax = 4_096
    private static let dwellNanoseconds: Int64 = 60_000_000_000
    /// Looks that a rate is taken over, about a second apart.
    private static let samplesMax = 9
    private static let sampleNanoseconds: Int64 = 900_000_000
    /// What was seen last counts as long.
    private static let lookNanoseconds: Int64 = 10_000_000_000
    /// So long one reading serves all who ask.
    private static let readingNanoseconds: Int64 = 500_000_000

    private let clock: @Sendable () -> Int64
    private let wallClock: @Sendable () -> Int64
    private let state = Mutex(State())

    /// - Parameters:
    ///   - clock: nanoseconds of a monotonic clock, for tests.
    ///   - wallClock: milliseconds since 1970, for tests.
    package init(
        clock: @escaping @Sendable () -> Int64 = { SystemClock.monotonicNanoseconds() },
        wallClock: @escaping @Sendable () -> Int64 = { SystemClock.epochMilliseconds() }
    ) {
        self.clock = clock
        self.wallClock = wallClock
    }

    // MARK: - Telling

    /// Takes in a look at a source's topic and at the index.
    package func note(_ look: IndexLook, of source: String, topic: String) {
        let (now, wall) = (clock(), wallClock())
        state.withLock { state in
            let known = state.committed[topic]
            let before = state.sources[source]
            var places: [Int32: Place] = [:]
            var (waiting, behind, grown): (Int64, Int64, Int64) = (0, 0, 0)
            for (number, place) in look.places {
                let start = min(place.start, place.high)
                // The lake is never behind the index that is made from it, nor ahead of the topic.
                let committed = known.map { min(place.high, max($0.nextOffsets[number] ?? 0, start)) }
                behind += place.high - start
                waiting += place.high - (committed ?? start)
                if let old = before?.places[number] {
                    grown += max(0, place.high - old.high)
                    state.counts.indexed += max(0, start - old.indexed)
                    if start > old.indexed { state.moves.indexed = wall }
                    if let committed {
                        let more = max(0, committed - (old.committed ?? committed))
                        state.counts.committed = (state.counts.committed ?? 0) + more
                        if more > 0 { state.moves.committed = wall }
                    }
                }
                places[number] = Place(high: place.high, committed: committed, indexed: start)
            }
            state.counts.received += grown
            if grown > 0 { state.moves.received = wall }
            var (lakeLag, indexLag): (Int64?, Int64?)
            if behind == 0 {
                // Also of a source without a topic, of which no reader tells anything.
                (lakeLag, indexLag) = (0, 0)
            } else if let known {
                // A reader that is full of documents that wait for the index does not see how far the lake is.
                lakeLag = known.isHeld ? 0 : waiting
                indexLag = behind - (lakeLag ?? 0)
            }
            state.sources[source] = Source(
                places: places, lookedAt: now, lakeLag: lakeLag, indexLag: indexLag, behind: behind,
                movedAt: grown > 0 ? wall : before?.movedAt)
            if state.samples.last.map({ now - $0.at >= Self.sampleNanoseconds }) ?? true {
                state.samples.append((now, state.counts))
                if state.samples.count > Self.samplesMax { state.samples.removeFirst() }
            }
        }
    }

    /// Takes in how far the lake has committed a source's topic.
    ///
    /// - Parameters:
    ///   - nextOffsets: by topic partition.
    ///   - isHeld: whether the reader that tells it has stopped reading, since what it has read waits for the index.
    package func note(committed nextOffsets: [Int32: Int64], isHeld: Bool, topic: String) {
        state.withLock { $0.committed[topic] = Committed(nextOffsets: nextOffsets, isHeld: isHeld) }
    }

    /// Takes in that documents became searchable.
    ///
    /// - Parameters:
    ///   - dwells: of some of them.
    ///   - count: how many there were.
    package func note(searchable count: Int, _ dwells: [EventDwell]) {
        guard count > 0 else { return }
        let (now, wall) = (clock(), wallClock())
        state.withLock { state in
            state.counts.searchable = (state.counts.searchable ?? 0) + Int64(count)
            state.moves.searchable = wall
            state.dwells += dwells.map { (now, $0) }
            // In large pieces, so that one more costs no moving of all.
            let surplus = state.dwells.count - Self.dwellsMax
            if surplus > 0 { state.dwells.removeFirst(min(state.dwells.count, surplus + Self.dwellsMax / 4)) }
        }
    }

    /// Takes a source away that is not declared any more.
    package func forget(_ source: String) { state.withLock { $0.sources[source] = nil } }

    // MARK: - Reading

    /// The stages as they are now, at most half a second old.
    package var reading: Reading {
        let now = clock()
        let state = state.withLock { $0 }
        if let held = state.reading, now - held.at < Self.readingNanoseconds { return held.reading }
        let made = Self.reading(of: state, now)
        self.state.withLock { $0.reading = (now, made) }
        return made
    }

    /// How much has passed; nil before the first look.
    package var counts: Counts? { state.withLock { $0.sources.isEmpty && $0.samples.isEmpty ? nil : $0.counts } }

    /// How long documents took from the broker to being searchable that became so since a moment of the monotonic clock.
    package func fromBroker(sinceNanoseconds: Int64) -> DwellTimes? {
        let dwells = state.withLock { $0.dwells }
        return DwellTimes(dwells.filter { $0.at >= sinceNanoseconds }.map(\.dwell.fromBroker))
    }

    /// When a source's topic last grew, milliseconds since 1970; nil where that was not seen.
    package func movedAtMilliseconds(_ source: String) -> Int64? { state.withLock { $0.sources[source]?.movedAt } }

    private static func reading(of state: State, _ now: Int64) -> Reading {
        let dwells = state.dwells.filter { now - $0.at <= dwellNanoseconds }.map(\.dwell)
        let isKnown = !state.sources.isEmpty && state.sources.values.allSatisfy { now - $0.lookedAt <= lookNanoseconds }
        func rate(_ count: (Counts) -> Int64?) -> Double? {
            guard let first = state.samples.first, let last = state.samples.last, last.at > first.at,
                now - last.at <= lookNanoseconds, let end = count(last.counts)
            else { return nil }
            // Of what nobody had told of before, nothing had passed.
            return Double(max(0, end - (count(first.counts) ?? 0))) / (Double(last.at - first.at) / 1e9)
        }
        func sum(_ lag: (Source) -> Int64?) -> Int64? {
            guard isKnown else { return nil }
            let lags = state.sources.values.compactMap(lag)
            return lags.count == state.sources.count ? lags.reduce(0, +) : nil
        }
        let (counts, moves) = (state.counts, state.moves)
        let received = isKnown ? counts.received : nil
        let stages = [
            PipelineStage(name: .event),
            PipelineStage(
                name: .received, count: received, ratePerSecond: rate({ $0.received }),
                dwell: DwellTimes(dwells.compactMap(\.received)), lastEventMilliseconds: moves.received),
            // What has come into the topic is all that other processes know of what was received.
            PipelineStage(
                name: .broker, count: received, ratePerSecond: rate({ $0.received }),
                dwell: DwellTimes(dwells.compactMap(\.broker)), lastEventMilliseconds: moves.received),
            PipelineStage(
                name: .committed, count: counts.committed, ratePerSecond: rate({ $0.committed }),
                lag: sum({ $0.lakeLag }),
                dwell: DwellTimes(dwells.map(\.committed)), lastEventMilliseconds: moves.committed),
            PipelineStage(
                name: .indexed, count: isKnown ? counts.indexed : nil, ratePerSecond: rate({ $0.indexed }),
                lag: sum({ $0.indexLag }), dwell: DwellTimes(dwells.map(\.indexed)),
                lastEventMilliseconds: moves.indexed),
            PipelineStage(
                name: .searchable, count: counts.searchable, ratePerSecond: rate({ $0.searchable }),
                lag: sum({ $0.behind }),
                dwell: DwellTimes(dwells.map(\.searchable)), lastEventMilliseconds: moves.searchable),
        ]
        return Reading(stages: stages, way: DwellTimes(dwells.map(\.whole)))
    }
}
