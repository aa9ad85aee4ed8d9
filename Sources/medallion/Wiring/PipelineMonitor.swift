import API
import Bytes
import Glibc
import Health
import Indexer
import Ingest
import ServiceLifecycle
import StreamJob
import Synchronization
import Telemetry

/// Watches the whole pipeline: its stages, and the line that `up` shows. Reads counters every two seconds.
final class PipelineMonitor: Service {
    let name = "monitor"
    /// Between two looks.
    private static let intervalMilliseconds = 2_000
    /// Between two lines of a log that is not a terminal.
    private static let logEveryLooks = 5

    private let platform: Platform
    private let kind: PipelineStatus.SourceKind
    private let sourceName: String
    private let freshness: FreshnessBoard
    private let state = Mutex(State())

    private struct State {
        var producer: Producer?
        var stages: [PipelineStage] = []
    }

    init(platform: Platform, kind: PipelineStatus.SourceKind, name: String, freshness: FreshnessBoard) {
        self.freshness = freshness
        self.platform = platform
        self.kind = kind
        sourceName = name
    }

    /// Takes note of the producer, whose arrivals the feed shows.
    func follow(_ producer: Producer) {
        state.withLock { $0.producer = producer }
    }

    /// For the API.
    var status: PipelineStatus {
        let producer = state.withLock { $0.producer }
        return PipelineStatus(
            kind: kind, name: sourceName, receivedAtMilliseconds: producer?.status.lastEventArrivalMilliseconds)
    }

    /// The stages, as of the last look.
    var stages: [PipelineStage] { state.withLock { $0.stages } }

    func run(stop: StopSignal) async throws {
        let logger = platform.context.logger
        let figures = Figures(platform.context.metrics)
        var last = figures.sample()
        var looks = 0
        var window = StageWindow(platform.context.metrics)
        while await !stop.pause(milliseconds: Self.intervalMilliseconds) {
            let behind = freshness.current.eventsBehind
            let received = state.withLock { $0.producer }?.status.lastEventArrivalMilliseconds
            let stages = window.look(receivedAt: received, eventsBehind: behind)
            state.withLock { $0.stages = stages }
            looks += 1
            if platform.context.isTerminal {
                let now = figures.sample()
                platform.context.sink.setStatusLine(Terminal.fitted(line(from: last, to: now)))
                last = now
            } else if looks.isMultiple(of: Self.logEveryLooks) {
                let now = figures.sample()
                logger.info(line(from: last, to: now))
                last = now
            }
        }
        if platform.context.isTerminal { platform.context.sink.setStatusLine("") }
    }

    private func line(from old: Figures.Sample, to new: Figures.Sample) -> String {
        let seconds = max(0.001, Double(new.nanoseconds - old.nanoseconds) / 1e9)
        func rate(_ count: KeyPath<Figures.Sample, Int>) -> String {
            let value = Double(new[keyPath: count] - old[keyPath: count]) / seconds
            return value < 9.95 ? "\((value * 10).rounded() / 10)" : "\(Int(value.rounded()))"
        }
        let window = new.freshness.since(old.freshness)
        func milliseconds(_ q: Double) -> String {
            window.quantile(q).map { "\(Int(($0 * 1_000).rounded()))" } ?? "–"
        }
        let producer = state.withLock { $0.producer }
        let now = freshness.current
        let (behind, version) = (now.eventsBehind, now.indexVersion)
        let source = producer.map { $0.status.isConnected ? "" : " (\($0.status.phase.rawValue))" } ?? ""
        return "in \(rate(\.received))/s\(source) → committed \(rate(\.committed))/s → gold \(rate(\.gold))/s → "
            + "indexed \(rate(\.indexed))/s · \(now.state.rawValue), behind \(behind.map { "\($0)" } ?? "–") · fresh p50 "
            + "\(milliseconds(0.5)) p95 \(milliseconds(0.95)) ms · index \(version.map { "v\($0)" } ?? "–")"
    }
}

/// The terminal that standard error is.
private enum Terminal {
    /// `text` cut to one row: a line that wraps cannot be erased.
    static func fitted(_ text: String) -> String {
        var size = winsize()
        guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 1 else { return text }
        return String(text.prefix(Int(size.ws_col) - 1))
    }
}

/// The counters behind the status line; asking the registry again for a metric gives the same one.
private struct Figures {
    struct Sample {
        var nanoseconds: Int64
        var received: Int
        var committed: Int
        var gold: Int
        var indexed: Int
        var freshness: HistogramSnapshot
    }

    private let index: IndexerMetrics
    private let received: Counter
    private let committed: Counter
    private let gold: Counter

    init(_ registry: MetricsRegistry) {
        index = IndexerMetrics(registry)
        received = registry.counter(
            "medallion_producer_events_acknowledged_total", help: "Events that the broker has acknowledged.")
        committed = registry.counter(
            "medallion_stream_records_total", help: "Records taken from the source topic into committed Bronze.")
        gold = registry.counter("medallion_stream_gold_lines_total", help: "Committed Gold lines.")
    }

    func sample() -> Sample {
        Sample(
            nanoseconds: SystemClock.monotonicNanoseconds(), received: received.value, committed: committed.value,
            gold: gold.value, indexed: index.documents.value, freshness: index.freshnessSeconds.snapshot())
    }
}
