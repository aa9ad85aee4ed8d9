import Bytes
import Synchronization

/// What passes the stages of the pipeline, as a process that serves the index sees it: in the topics, in the index, and by the
/// times that each document carries. The stages themselves may run anywhere, in this process or in others.
///
/// It is told by those who look anyway: the look of each source's ``FreshnessWatch`` tells how far topic and index are, and the
/// reader of the Gold topics how far the lake is and how long documents were on their way. Bounded: some ways of each second of
/// the last minute, and some counts of the last seconds.
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
        /// What waits of each source that was looked at lately.
        fileprivate var lags: [String: Lags] = [:]

        /// The stages with what waits of these sources alone. Nothing of that is known where there are none, or one was not looked at.
        package func stages(ofSources names: Set<String>) -> [PipelineStage] {
            let known = names.compactMap { lags[$0] }
            return stages.map { stage in
                var stage = stage
                stage.lag =
                    !known.isEmpty && known.count == names.count
                    ? Lags.sum(known.map { $0.waiting(for: stage.name) }) : nil
                return stage
            }
        }
    }

    /// Events of a source that wait for a stage.
    fileprivate struct Lags: Sendable, Equatable {
        /// Nil while nobody knows how far the lake is.
        var lake: Int64?
        var index: Int64?
        var search: Int64?

        func waiting(for stage: PipelineStage.Name) -> Int64? {
            switch stage {
            case .committed: lake
            case .indexed: index
            case .searchable: search
            case .event, .received, .broker: nil
            }
        }

        static func sum(_ lags: [Int64?]) -> Int64? {
            let known = lags.compactMap { $0 }
            return known.count == lags.count ? known.reduce(0, +) : nil
        }
    }

    private struct Place {
        var high: Int64
        /// Nil where nobody has told how far the lake is.
        var committed: Int64?
        /// Where what waits begins.
        var start: Int64
    }

    private struct Source {
        var topic: String
        var places: [Int32: Place]
        /// Of the look's beginning, on the monotonic clock.
        var lookedAt: Int64
        var lags: Lags
        /// When the topic last grew, milliseconds since 1970.
        var movedAt: Int64?
    }

    private struct Committed {
        var nextOffsets: [Int32: Int64]
        var isHeld: Bool
        /// When it was told, on the monotonic clock.
        var at: Int64
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
        var dwells = DwellWindow()
        var reading: (at: Int64, reading: Reading)?

        /// Counts what passed lake and index. What expired or is no event, as the marks of transactions, passed neither.
        mutating func count(_ place: IndexLook.Place, since old: Place, told: Int64?, at wall: Int64) {
            func passed(_ end: Int64, _ start: Int64) -> Int64 { max(0, min(end, place.high) - max(start, place.low)) }
            let next = place.next ?? 0
            let indexed = passed(next, old.start)
            counts.indexed += indexed
            if indexed > 0 { moves.indexed = wall }
            if let told {
                let committed = passed(max(told, next), old.committed ?? .max)
                counts.committed = (counts.committed ?? 0) + committed
                if committed > 0 { moves.committed = wall }
            }
        }

        mutating func addSample(at now: Int64) {
            var counts = self.counts
            // While nobody tells how far the lake is, nobody knows how fast it is.
            if sources.values.contains(where: { $0.lags.lake == nil }) { counts.committed = nil }
            samples.append((now, counts))
            if samples.count > PipelineFlow.samplesMax { samples.removeFirst() }
        }
    }

    /// Looks that a rate is taken over, about a second apart.
    private static let samplesMax = 9
    private static let sampleNanoseconds: Int64 = 900_000_000
    /// Looks since the lake was first told of before its rate says anything: between two of them it may have committed nothing.
    private static let lakeSamplesMin = 4
    /// What was seen or told last counts as long.
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
            let known = state.committed[topic].flatMap { now - $0.at <= Self.lookNanoseconds ? $0 : nil }
            var before = state.sources[source]
            if let old = before, old.topic != topic {
                state.committed[old.topic] = nil
                before = nil
            }
            var places: [Int32: Place] = [:]
            var (waiting, behind, grown): (Int64, Int64, Int64) = (0, 0, 0)
            for (number, place) in look.places {
                let start = min(place.start, place.high)
                let old = before?.places[number]
                // The lake is never behind the index that is made from it, nor ahead of the topic.
                let told = known.map { $0.nextOffsets[number] ?? 0 } ?? old?.committed
                let committed = told.map { min(place.high, max($0, start)) }
                behind += place.high - start
                waiting += place.high - (committed ?? start)
                if let old {
                    grown += max(0, place.high - old.high)
                    state.count(place, since: old, told: told, at: wall)
                }
                places[number] = Place(high: place.high, committed: committed, start: start)
            }
            state.counts.received += grown
            if grown > 0 { state.moves.received = wall }
            var lags = Lags(search: behind)
            if behind == 0 {
                // Also of a source without a topic, of which no reader tells anything.
                (lags.lake, lags.index) = (0, 0)
            } else if let known {
                // A reader that is full of documents that wait for the index does not see how far the lake is.
                let lake = known.isHeld ? 0 : waiting
                (lags.lake, lags.index) = (lake, behind - lake)
            }
            state.sources[source] = Source(
                topic: topic, places: places, lookedAt: now, lags: lags, movedAt: grown > 0 ? wall : before?.movedAt)
            if state.samples.last.map({ now - $0.at >= Self.sampleNanoseconds }) ?? true { state.addSample(at: now) }
        }
    }

    /// Takes in how far the lake has committed a source's topic, which holds for some seconds.
    ///
    /// - Parameters:
    ///   - nextOffsets: by topic partition.
    ///   - isHeld: whether the reader that tells it has stopped reading, since what it has read waits for the index.
    package func note(committed nextOffsets: [Int32: Int64], isHeld: Bool, topic: String) {
        let now = clock()
        state.withLock { state in
            // Of topics that nobody reads any more.
            if state.committed[topic] == nil {
                state.committed = state.committed.filter { now - $0.value.at <= Self.lookNanoseconds }
            }
            state.committed[topic] = Committed(nextOffsets: nextOffsets, isHeld: isHeld, at: now)
        }
    }

    /// Takes in that documents became searchable.
    ///
    /// - Parameters:
    ///   - count: how many there were.
    ///   - dwells: of some of them.
    ///   - each: how many documents each of these stands for.
    package func note(searchable count: Int, _ dwells: [EventDwell], each: Int = 1) {
        guard count > 0 else { return }
        let (now, wall) = (clock(), wallClock())
        state.withLock { state in
            state.counts.searchable = (state.counts.searchable ?? 0) + Int64(count)
            state.moves.searchable = wall
            state.dwells.add(dwells, each: each, at: now)
        }
    }

    /// Takes a source away that is not declared any more.
    package func forget(_ source: String) {
        state.withLock { state in
            if let gone = state.sources.removeValue(forKey: source) { state.committed[gone.topic] = nil }
        }
    }

    // MARK: - Reading

    /// The stages as they are now, at most half a second old.
    package var reading: Reading {
        let now = clock()
        // What is noted while this is read has the last second's ways copied, and none of the others.
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
        let ways = dwells.weighted(sinceNanoseconds: sinceNanoseconds)
        return DwellTimes(weighted: ways.map { ($0.dwell.fromBroker, $0.weight) })
    }

    /// When a source's topic last grew, milliseconds since 1970; nil where that was not seen.
    package func movedAtMilliseconds(_ source: String) -> Int64? { state.withLock { $0.sources[source]?.movedAt } }

    private static func reading(of state: State, _ now: Int64) -> Reading {
        let dwells = state.dwells.weighted(sinceNanoseconds: now - DwellWindow.nanoseconds)
        func times(_ step: (EventDwell) -> Int64?) -> DwellTimes? {
            DwellTimes(weighted: dwells.compactMap { way in step(way.dwell).map { ($0, way.weight) } })
        }
        let isKnown = !state.sources.isEmpty && state.sources.values.allSatisfy { now - $0.lookedAt <= lookNanoseconds }
        func rate(among samples: [(at: Int64, counts: Counts)], _ count: (Counts) -> Int64?) -> Double? {
            guard let first = samples.first, let last = samples.last, last.at > first.at,
                now - last.at <= lookNanoseconds, let end = count(last.counts)
            else { return nil }
            // Of what nobody had told of before, nothing had passed.
            return Double(max(0, end - (count(first.counts) ?? 0))) / (Double(last.at - first.at) / 1e9)
        }
        func rate(_ count: (Counts) -> Int64?) -> Double? { rate(among: state.samples, count) }
        func lakeRate() -> Double? {
            let told = state.samples.filter { $0.counts.committed != nil }
            return told.count < lakeSamplesMin || state.samples.last?.counts.committed == nil
                ? nil : rate(among: told) { $0.committed }
        }
        func sum(_ lag: (Lags) -> Int64?) -> Int64? {
            isKnown ? Lags.sum(state.sources.values.map { lag($0.lags) }) : nil
        }
        let (counts, moves) = (state.counts, state.moves)
        let received = isKnown ? counts.received : nil
        let stages = [
            PipelineStage(name: .event),
            PipelineStage(
                name: .received, count: received, ratePerSecond: rate({ $0.received }),
                dwell: times(\.received), lastEventMilliseconds: moves.received),
            // What has come into the topic is all that other processes know of what was received.
            PipelineStage(
                name: .broker, count: received, ratePerSecond: rate({ $0.received }),
                dwell: times(\.broker), lastEventMilliseconds: moves.received),
            PipelineStage(
                name: .committed, count: counts.committed, ratePerSecond: lakeRate(),
                lag: sum({ $0.lake }),
                dwell: times(\.committed), lastEventMilliseconds: moves.committed),
            PipelineStage(
                name: .indexed, count: isKnown ? counts.indexed : nil, ratePerSecond: rate({ $0.indexed }),
                lag: sum({ $0.index }), dwell: times(\.indexed),
                lastEventMilliseconds: moves.indexed),
            PipelineStage(
                name: .searchable, count: counts.searchable, ratePerSecond: rate({ $0.searchable }),
                lag: sum({ $0.search }),
                dwell: times(\.searchable), lastEventMilliseconds: moves.searchable),
        ]
        let lags = state.sources.filter { now - $0.value.lookedAt <= lookNanoseconds }.mapValues(\.lags)
        return Reading(stages: stages, way: times(\.whole), lags: lags)
    }
}
