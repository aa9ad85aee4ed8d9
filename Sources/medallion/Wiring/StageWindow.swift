import Bytes
import Health
import Indexer
import Telemetry

/// The stages of this process over the last seconds, out of the counters that every stage keeps anyway.
struct StageWindow {
    /// One stage's counter and, where its work is timed, its histogram.
    private struct Probe {
        let name: String
        let count: () -> Int
        let latency: Histogram?
        var samples: [(nanoseconds: Int64, count: Int, latency: HistogramSnapshot?)] = []
        /// When the count was last seen to grow, milliseconds since 1970.
        var movedAt: Int64?
    }

    private var probes: [Probe]
    private let registry: MetricsRegistry
    /// Families of what waits for a stage, by topic partition.
    private static let lags = [
        "committed": "medallion_stream_lag_records", "embedded": "medallion_index_lag_records",
    ]
    /// Looks that a figure is taken over.
    private static let samplesMax = 6

    init(_ registry: MetricsRegistry) {
        self.registry = registry
        let index = IndexerMetrics(registry)
        // Of all sources together.
        let received = { registry.total(of: "medallion_producer_events_received_total") }
        let acknowledged = { registry.total(of: "medallion_producer_events_acknowledged_total") }
        let committed = registry.counter(
            "medallion_stream_records_total", help: "Records taken from the source topic into committed Bronze.")
        let append = registry.histogram(
            "medallion_broker_append_round_seconds",
            help: "Duration of writing, syncing and publishing one round of batches.")
        let commit = registry.histogram(
            "medallion_stream_commit_seconds", help: "Time a commit took, flushes included.")
        probes = [
            Probe(name: "received", count: received, latency: nil),
            Probe(name: "broker", count: acknowledged, latency: append),
            Probe(name: "committed", count: { committed.value }, latency: commit),
            Probe(
                name: "embedded", count: { index.embedded.value + index.reused.value },
                latency: registry.histogram(
                    "medallion_index_write_seconds", help: "Time of an index transaction.")),
            Probe(name: "searchable", count: { index.documents.value }, latency: index.freshnessSeconds),
        ]
    }

    /// Takes a sample of every stage.
    ///
    /// - Parameters:
    ///   - receivedAt: when the last event came, where it is known better.
    ///   - eventsBehind: source offsets that the index has not reached.
    mutating func look(receivedAt: Int64?, eventsBehind: Int64?) -> [PipelineStage] {
        let (now, wall) = (SystemClock.monotonicNanoseconds(), SystemClock.epochMilliseconds())
        var stages = [PipelineStage(name: "event", lastEventMilliseconds: receivedAt)]
        var before: Int?
        for place in probes.indices {
            let count = probes[place].count()
            let latency = probes[place].latency?.snapshot()
            if count > probes[place].samples.last?.count ?? 0 { probes[place].movedAt = wall }
            probes[place].samples.append((now, count, latency))
            if probes[place].samples.count > Self.samplesMax { probes[place].samples.removeFirst() }
            var stage = PipelineStage(name: probes[place].name, count: Int64(count))
            if let first = probes[place].samples.first, now > first.nanoseconds {
                stage.ratePerSecond = Double(count - first.count) / (Double(now - first.nanoseconds) / 1e9)
                if let latency, let old = first.latency { stage.latency = latency.since(old) }
            }
            stage.lastEventMilliseconds = place == 0 ? receivedAt ?? probes[place].movedAt : probes[place].movedAt
            // Counts of one process compare as far as the lake takes every record; then comes the filter.
            if place == 1, let before { stage.lag = Int64(max(0, before - count)) }
            if let family = Self.lags[stage.name] { stage.lag = registry.sum(of: family).map { Int64($0) } }
            before = count
            stages.append(stage)
        }
        stages[stages.count - 1].lag = eventsBehind
        return stages
    }
}
