import Bytes
import Health
import ServiceLifecycle
import Synchronization
import Telemetry

/// The main figures of the last hour, so that the page shows what happened before it was opened.
///
/// Bounded: 360 points of 15 numbers. Each is made of two looks at what is counted anyway, so nothing is counted twice: at the
/// metrics of this process, and at what it sees pass the stages, wherever they run.
final class MetricsHistory: Sendable {
    /// A line of the history, with its unit.
    enum Series: String, CaseIterable {
        case freshnessP50 = "freshness_p50"
        case freshnessP95 = "freshness_p95"
        case oldestWait = "oldest_wait"
        case eventsBehind = "events_behind"
        case received, committed, searchable
        case searches
        case searchP50 = "search_p50"
        case searchP95 = "search_p95"
        case answerP95 = "answer_p95"
        case cacheHits = "cache_hits"
        case recall
        case processor, memory

        var unit: String {
            switch self {
            case .freshnessP50, .freshnessP95, .oldestWait, .searchP50, .searchP95, .answerP95: "ms"
            case .eventsBehind: "events"
            case .received, .committed, .searchable, .searches: "per_second"
            case .cacheHits, .recall: "share"
            case .processor: "cores"
            case .memory: "bytes"
            }
        }
    }

    /// What the figures were during one step.
    struct Point: Sendable {
        /// The step's end, milliseconds since 1970.
        var atMilliseconds: Int64
        var state: Freshness.State
        /// By ``Series``; a missing one was not measured, or there was nothing to measure.
        var values: [Series: Double] = [:]
    }

    /// Points that are kept.
    static let pointsMax = 360

    let stepMilliseconds: Int
    private let registry: MetricsRegistry
    private let flow: PipelineFlow
    private let freshness: @Sendable () -> Freshness
    private let state = Mutex(State())

    private struct State {
        var last: Look?
        var points: [Point] = []
        /// Replies that a cache was looked at for, and how many of them it gave, in the last steps that had any.
        var replies: [(hits: Double, all: Double)] = []

        /// The share of hits among a step's replies, and among earlier ones where these are few.
        mutating func share(with step: (hits: Double, all: Double)) -> Double {
            replies.append(step)
            if replies.count > MetricsHistory.repliesStepsMax { replies.removeFirst() }
            var (hits, all) = (0.0, 0.0)
            for one in replies.reversed() where all < MetricsHistory.repliesMin {
                hits += one.hits
                all += one.all
            }
            return hits / all
        }
    }

    /// A share of fewer replies says little: those of earlier steps are taken in, of so many steps at most.
    private static let repliesMin = 10.0
    private static let repliesStepsMax = 6

    /// - Parameter freshness: of the whole index; out of memory.
    init(
        _ registry: MetricsRegistry, flow: PipelineFlow, stepMilliseconds: Int,
        freshness: @escaping @Sendable () -> Freshness
    ) {
        self.registry = registry
        self.flow = flow
        self.stepMilliseconds = stepMilliseconds
        self.freshness = freshness
    }

    /// Oldest first.
    var points: [Point] { state.withLock { $0.points } }

    func run(stop: StopSignal) async {
        repeat {
            look(atMilliseconds: SystemClock.epochMilliseconds(), nanoseconds: SystemClock.monotonicNanoseconds())
        } while !(await stop.pause(milliseconds: stepMilliseconds))
    }

    /// Looks at the metrics, and adds the point since the look before.
    ///
    /// - Parameters:
    ///   - milliseconds: since 1970.
    ///   - nanoseconds: of a clock that never steps.
    func look(atMilliseconds milliseconds: Int64, nanoseconds: Int64) {
        let look = Look(registry, flow.counts, nanoseconds: nanoseconds)
        let freshness = self.freshness()
        state.withLock { state in
            defer { state.last = look }
            guard let last = state.last, look.nanoseconds > last.nanoseconds else { return }
            var point = Point(atMilliseconds: milliseconds, state: freshness.state)
            point.values = look.figures(since: last)
            let found = flow.fromBroker(sinceNanoseconds: last.nanoseconds)
            (point.values[.freshnessP50], point.values[.freshnessP95]) = (found?.p50, found?.p95)
            if let replies = look.replies(since: last) { point.values[.cacheHits] = state.share(with: replies) }
            point.values[.oldestWait] = freshness.waitMilliseconds.map { Double($0) }
            point.values[.eventsBehind] = freshness.eventsBehind.map { Double($0) }
            point.values[.memory] = registry.sum(of: "process_resident_memory_bytes")
            state.points.append(point)
            if state.points.count > Self.pointsMax { state.points.removeFirst() }
        }
    }
}

/// What the metrics had counted at one moment.
private struct Look: Sendable {
    let nanoseconds: Int64
    private let search: HistogramSnapshot?
    private let answer: HistogramSnapshot?
    private let recall: HistogramSnapshot?
    private let counts: PipelineFlow.Counts?
    private let hits: Double?
    private let misses: Double?
    private let processor: Double?

    init(_ registry: MetricsRegistry, _ counts: PipelineFlow.Counts?, nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
        self.counts = counts
        search = registry.distribution(of: "medallion_api_request_seconds", labels: [("route", "/search")])
        // To their last word: of a stream the first byte says nothing.
        answer = registry.distribution(of: "medallion_api_answer_seconds")
        recall = registry.distribution(of: "medallion_search_recall_at_10")
        func replies(_ family: String) -> Double? {
            // The others are looked at for the same requests.
            let counts = ["search", "answer"].compactMap { registry.sum(of: family, labels: [("cache", $0)]) }
            return counts.isEmpty ? nil : counts.reduce(0, +)
        }
        hits = replies("medallion_cache_hits_total")
        misses = replies("medallion_cache_misses_total")
        processor = registry.sum(of: "process_cpu_seconds_total")
    }

    /// What there was between a look before and this one.
    func figures(since last: Look) -> [MetricsHistory.Series: Double] {
        let seconds = Double(nanoseconds - last.nanoseconds) / 1e9
        func rate(_ count: (Look) -> Double?) -> Double? {
            count(self).map { max(0, $0 - (count(last) ?? 0)) / seconds }
        }
        func window(_ histogram: KeyPath<Look, HistogramSnapshot?>) -> HistogramSnapshot? {
            guard let now = self[keyPath: histogram] else { return nil }
            return last[keyPath: histogram].map { now.since($0) } ?? now
        }
        func milliseconds(_ histogram: HistogramSnapshot?, _ quantile: Double) -> Double? {
            histogram?.quantile(quantile).map { $0 * 1_000 }
        }
        let (searches, answers) = (window(\.search), window(\.answer))
        var figures: [MetricsHistory.Series: Double] = [:]
        figures[.received] = rate { $0.counts.map { Double($0.received) } }
        figures[.committed] = rate { $0.counts?.committed.map { Double($0) } }
        figures[.searchable] = rate { $0.counts?.searchable.map { Double($0) } }
        figures[.searches] = searches.map { Double($0.count) / seconds }
        figures[.searchP50] = milliseconds(searches, 0.5)
        figures[.searchP95] = milliseconds(searches, 0.95)
        figures[.answerP95] = milliseconds(answers, 0.95)
        figures[.recall] = window(\.recall)?.mean
        figures[.processor] = rate { $0.processor }
        return figures
    }

    /// Replies that a cache was looked at for; nil where there were none.
    func replies(since last: Look) -> (hits: Double, all: Double)? {
        guard let hits, let misses else { return nil }
        let served = max(0, hits - (last.hits ?? 0))
        let all = served + max(0, misses - (last.misses ?? 0))
        return all > 0 ? (served, all) : nil
    }
}
