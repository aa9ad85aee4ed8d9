import Bytes
import Glibc
import Indexer
import Kafka
import Producer
import SearchAPI
import ServiceLifecycle
import StreamJob
import Synchronization
import Telemetry
import VectorIndex

/// Watches the whole pipeline: how far the index is behind the source, and the line that `up` shows.
///
/// Reads counters and asks broker and index every two seconds, on a lane of its own; a failure of either leaves the
/// figures empty and nothing else.
final class PipelineMonitor: Service {
    let name = "monitor"
    /// Between two looks.
    private static let intervalMilliseconds = 2_000
    /// Between two lines of a log that is not a terminal.
    private static let logEveryLooks = 5

    private let platform: Platform
    private let kind: PipelineStatus.SourceKind
    private let sourceName: String
    private let state = Mutex(State())
    private let lane = Lane(name: "monitor")

    private struct State {
        var producer: Producer?
        var eventsBehind: Int64?
        var indexVersion: Int64?
        var stages: [PipelineStage] = []
    }

    init(platform: Platform, kind: PipelineStatus.SourceKind, name: String) {
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
        let (producer, behind) = state.withLock { ($0.producer, $0.eventsBehind) }
        return PipelineStatus(
            kind: kind, name: sourceName, receivedAtMilliseconds: producer?.status.lastEventArrivalMilliseconds,
            eventsBehind: behind)
    }

    /// The stages, as of the last look.
    var stages: [PipelineStage] { state.withLock { $0.stages } }

    func run(stop: StopSignal) async throws {
        let logger = platform.context.logger
        let figures = Figures(platform.context.metrics)
        let probe = LagProbe(platform: platform)
        var last = figures.sample()
        var looks = 0
        var window = StageWindow(platform.context.metrics)
        while await !stop.pause(milliseconds: Self.intervalMilliseconds) {
            let lag = try? await lane.run { try probe.look() }
            state.withLock { state in
                state.eventsBehind = lag?.eventsBehind
                state.indexVersion = lag?.indexVersion
                state.stages = window.look(
                    receivedAt: state.producer?.status.lastEventArrivalMilliseconds, eventsBehind: lag?.eventsBehind)
            }
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
        let (producer, behind, version) = state.withLock { ($0.producer, $0.eventsBehind, $0.indexVersion) }
        let source = producer.map { $0.status.isConnected ? "" : " (\($0.status.phase.rawValue))" } ?? ""
        return "in \(rate(\.received))/s\(source) → committed \(rate(\.committed))/s → gold \(rate(\.gold))/s → "
            + "indexed \(rate(\.indexed))/s · behind \(behind.map { "\($0)" } ?? "–") · fresh p50 "
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

/// How far the index is behind the source topic. Blocks, and is confined to the monitor's lane by its mutex.
private final class LagProbe: Sendable {
    struct Result {
        var eventsBehind: Int64?
        var indexVersion: Int64
    }

    private let platform: Platform
    private let clients = Mutex<(admin: KafkaAdmin, store: SearchStore)?>(nil)

    init(platform: Platform) {
        self.platform = platform
    }

    func look() throws -> Result {
        try clients.withLock { clients in
            let open =
                try clients
                ?? (
                    admin: KafkaAdmin(platform.kafka("monitor")),
                    store: SearchStore(configuration: try platform.database("monitor"))
                )
            clients = open
            let status = try open.store.status(timeoutMilliseconds: 1_000)
            return Result(eventsBehind: try behind(open.admin, status.generation), indexVersion: status.indexVersion)
        }
    }

    private func behind(_ admin: KafkaAdmin, _ generation: Int64) throws -> Int64? {
        let topic = platform.settings.kafkaTopic
        let partitions = try admin.metadata(topic: topic, timeoutMilliseconds: 1_000).topics.first?.partitions ?? []
        var total: Int64 = 0
        for partition in partitions {
            let high = try admin.watermarks(topic: topic, partition: partition, timeoutMilliseconds: 1_000).high
            let gauge = platform.context.metrics.gauge(
                "medallion_index_checkpoint_offset", help: "Next source offset of the index.",
                labels: [("generation", "\(generation)"), ("topic", topic), ("partition", "\(partition)")])
            // 0 until the indexer of this process has read its checkpoint: then nothing is known.
            if gauge.value == 0 && high > 0 { return nil }
            total += max(0, high - Int64(gauge.value))
        }
        return total
    }
}
