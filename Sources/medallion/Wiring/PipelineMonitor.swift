import API
import Bytes
import Glibc
import Health
import Indexer
import Ingest
import KafkaAccess
import Records
import ServiceLifecycle
import StreamJob
import Synchronization
import Telemetry

/// Watches the connectors of this process, and makes the line that `up` shows. Reads counters every two seconds.
final class PipelineMonitor: Service {
    let name = "monitor"
    /// Between two looks.
    private static let intervalMilliseconds = 2_000
    /// Between two lines of a log that is not a terminal.
    private static let logEveryLooks = 5

    private let platform: Platform
    private let declarations: Declarations
    private let kind: PipelineStatus.SourceKind
    /// Of a simulator.
    private let simulation: String?
    private let freshness: SourcesFreshness
    private let state = Mutex(State())

    private struct State {
        /// By the source's name.
        var connectors: [String: ConnectorService] = [:]
    }

    init(
        platform: Platform, declarations: Declarations, kind: PipelineStatus.SourceKind, name: String?,
        freshness: SourcesFreshness
    ) {
        self.freshness = freshness
        self.declarations = declarations
        self.platform = platform
        self.kind = kind
        simulation = name
    }

    /// Takes note of what fills a source's topic, whose arrivals the feed shows.
    func follow(_ source: String, _ service: ConnectorService) {
        state.withLock { $0.connectors[source] = service }
    }

    /// Takes away a source that is not declared any more.
    func forget(_ source: String) {
        state.withLock { $0.connectors[source] = nil }
    }

    /// For the API: where a tenant's events come from; nil for a tenant without sources.
    ///
    /// - Parameter tenant: nil for all.
    func status(of tenant: TenantID?) -> PipelineStatus? {
        let sources = declarations.current.sources(of: tenant)
        guard tenant == nil || !sources.isEmpty else { return nil }
        let places = sources.map { $0.connector.members?.place ?? $0.name.text }
        let connectors = state.withLock { $0.connectors }
        let received = sources.compactMap { connectors[$0.name.text]?.status.lastEventArrivalMilliseconds }
        return PipelineStatus(
            kind: kind, name: simulation ?? places.joined(separator: ", "), receivedAtMilliseconds: received.max())
    }

    /// Each source of a tenant, for the API; nil for all.
    func sources(of tenant: TenantID?) -> [SourceStatus] {
        let connectors = state.withLock { $0.connectors }
        return freshness.statuses(
            of: declarations.current, tenant: tenant, wishes: { platform.sourceRequests.wishes(of: $0) },
            connector: { connectors[$0]?.status })
    }

    func run(stop: StopSignal) async throws {
        let logger = platform.context.logger
        let figures = Figures(platform.context.metrics)
        var last = figures.sample()
        var looks = 0
        while await !stop.pause(milliseconds: Self.intervalMilliseconds) {
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
        let connectors = state.withLock { $0.connectors }
        let away = connectors.sorted { $0.key < $1.key }.compactMap { name, service -> String? in
            let status = service.status
            guard !status.isConnected else { return nil }
            return connectors.count == 1 ? status.phase.rawValue : "\(name): \(status.phase.rawValue)"
        }
        let now = freshness.current
        let (behind, version) = (now.eventsBehind, now.indexVersion)
        let source = away.isEmpty ? "" : " (\(away.joined(separator: ", ")))"
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
    private let registry: MetricsRegistry
    private let committed: Counter
    private let gold: Counter

    init(_ registry: MetricsRegistry) {
        index = IndexerMetrics(registry)
        self.registry = registry
        committed = registry.counter(
            "medallion_stream_records_total", help: "Records taken from the source topic into committed Bronze.")
        gold = registry.counter("medallion_stream_gold_lines_total", help: "Committed Gold lines.")
    }

    func sample() -> Sample {
        Sample(
            nanoseconds: SystemClock.monotonicNanoseconds(),
            received: registry.total(of: "medallion_producer_events_acknowledged_total"),
            committed: committed.value,
            gold: gold.value, indexed: index.documents.value, freshness: index.freshnessSeconds.snapshot())
    }
}
