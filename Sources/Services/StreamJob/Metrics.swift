import Logic
import Records
package import Telemetry

/// What the stream job counts.
package final class StreamJobMetrics: Sendable {
    let records: Counter
    let bytes: Counter
    let silver: Counter
    let gold: Counter
    let duplicates: Counter
    let canaries: Counter
    let skipped: Counter
    let timesAhead: Counter
    let commits: Counter
    let commitFailures: Counter
    let commitSeconds: Histogram
    let published: Counter
    let goldRefused: Counter
    let gapOffsets: Counter
    let expiredOffsets: Counter
    let unreadableOffsets: Counter
    let disordered: Counter
    let lateness: Histogram
    let topicPartitions: Gauge
    let held: Gauge
    let rebalances: Counter
    let restarts: Counter
    let brokerFaults: Counter
    let groupFaults: Counter
    private let rules: [Rule: Counter]
    private let registry: MetricsRegistry

    /// - Parameter source: counters are of all sources of the process; what is set, not counted, is of each its own.
    package init(_ registry: MetricsRegistry, source: String) {
        self.registry = registry
        records = registry.counter(
            "medallion_stream_records_total", help: "Records taken from the source topic into committed Bronze.")
        bytes = registry.counter("medallion_stream_value_bytes_total", help: "Bytes of their values.")
        silver = registry.counter("medallion_stream_silver_lines_total", help: "Committed Silver lines.")
        gold = registry.counter("medallion_stream_gold_lines_total", help: "Committed Gold lines.")
        duplicates = registry.counter("medallion_stream_duplicates_total", help: "Records left out as duplicates.")
        canaries = registry.counter(
            "medallion_stream_canaries_total",
            help: "Events left out that are about no document, such as canaries and tombstones.")
        skipped = registry.counter(
            "medallion_stream_skipped_total", help: "Records delivered again below the checkpoint and skipped.")
        timesAhead = registry.counter(
            "medallion_stream_times_ahead_total",
            help: "Records whose broker time lay too far ahead of this machine's clock to move the lake's hour.")
        commits = registry.counter("medallion_stream_commits_total", help: "Commits to the lake.")
        commitFailures = registry.counter(
            "medallion_stream_commit_failures_total", help: "Commits that failed and are tried again.")
        commitSeconds = registry.histogram(
            "medallion_stream_commit_seconds", help: "Time a commit took, flushes included.")
        published = registry.counter(
            "medallion_stream_published_total", help: "Documents handed to the Gold topic's producer.")
        goldRefused = registry.counter(
            "medallion_stream_gold_refused_total",
            help: "Gold documents too large for the Gold topic; the lake has them, a notice stands in their place.")
        gapOffsets = registry.counter(
            "medallion_stream_gap_offsets_total", help: "Offsets that the broker never delivered.")
        expiredOffsets = registry.counter(
            "medallion_stream_expired_offsets_total",
            help: "Offsets that the topic no longer held when they were wanted; EXPIRED_OFFSETS says what follows.")
        unreadableOffsets = registry.counter(
            "medallion_stream_unreadable_offsets_total",
            help: "Offsets that the topic holds but nobody can read; EXPIRED_OFFSETS says what follows.")
        disordered = registry.counter(
            "medallion_stream_disordered_total",
            help: "Silver lines whose event time lies before the watermark; they are kept.")
        lateness = registry.histogram(
            "medallion_stream_lateness_seconds", help: "How far those event times lie before the watermark.",
            buckets: [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3_600, 21_600, 86_400, 604_800])
        topicPartitions = registry.gauge(
            "medallion_stream_topic_partitions", help: "Topic partitions of the source topic.",
            labels: [("source", source)])
        held = registry.gauge(
            "medallion_stream_topic_partitions_held", help: "Topic partitions that this process writes.")
        rebalances = registry.counter(
            "medallion_stream_rebalances_total", help: "How often the group took topic partitions from this process.")
        restarts = registry.counter(
            "medallion_stream_restarts_total", help: "How often the stream job began anew after a fault.")
        brokerFaults = registry.counter(
            "medallion_stream_broker_faults_total",
            help: "Faults of brokers that showed while reading the source topic.")
        groupFaults = registry.counter(
            "medallion_stream_group_commit_failures_total",
            help: "Offsets that could not be committed to the consumer group; the lake's are the truth.")
        rules = Self.rules(registry)
    }

    private static func rules(_ registry: MetricsRegistry) -> [Rule: Counter] {
        var rules: [Rule: Counter] = [:]
        for rule in Rule.allCases {
            let labels = [("rule", rule.rawValue)]
            rules[rule] =
                switch rule.severity {
                case .reject:
                    registry.counter(
                        "medallion_stream_rejected_total", help: "Records in quarantine, by the rule they broke.",
                        labels: labels)
                case .flag:
                    registry.counter(
                        "medallion_stream_flagged_total",
                        help: "Silver lines with a quality flag, by the rule they broke.", labels: labels)
                case .leaveOut:
                    registry.counter(
                        "medallion_stream_left_out_total",
                        help: "Documents that a stage of their source leaves out of the index, by the rule they broke.",
                        labels: labels)
                }
        }
        return rules
    }

    func note(_ counts: [Rule: RuleCount]) {
        for (rule, count) in counts { rules[rule]?.increment(by: count.count) }
    }

    /// Shows how many records of a topic partition wait for their commit; nil takes the series away.
    func show(lag: Int64?, of source: TopicPartition) {
        let labels = [("topic", source.topic), ("partition", String(source.partition))]
        guard let lag else { return registry.remove("medallion_stream_lag_records", labels: labels) }
        registry.gauge(
            "medallion_stream_lag_records", help: "Records in the source topic partition that are not yet committed.",
            labels: [("topic", source.topic), ("partition", String(source.partition))]
        ).set(Double(lag))
    }

    /// Takes all series of a topic partition away that this process does not read any more.
    func forget(_ source: TopicPartition) {
        for name in [
            "medallion_stream_stalled", "medallion_stream_watermark_seconds", "medallion_stream_rule_sample_offset",
        ] {
            registry.remove(name, labels: [("topic", source.topic), ("partition", String(source.partition))])
        }
    }
}

/// The last record that broke each rule in one topic partition: a sample to look at. Gauges are made when needed.
struct RuleSamples {
    private let registry: MetricsRegistry
    private let source: TopicPartition
    private var gauges: [Rule: Gauge] = [:]

    init(_ registry: MetricsRegistry, source: TopicPartition) {
        self.registry = registry
        self.source = source
    }

    mutating func note(_ counts: [Rule: RuleCount]) {
        for (rule, count) in counts {
            let gauge =
                gauges[rule]
                ?? registry.gauge(
                    "medallion_stream_rule_sample_offset",
                    help: "Offset of the last record that broke the rule, for `medallion dlq show` or `lake cat`.",
                    labels: [
                        ("rule", rule.rawValue), ("topic", source.topic), ("partition", String(source.partition)),
                    ])
            gauges[rule] = gauge
            gauge.set(Double(count.sampleOffset))
        }
    }
}

/// Event-time progress of one topic partition.
///
/// The watermark is the largest event time so far, but never ahead of the broker's time: a source's clock may run ahead
/// by a day, and everything behind would count as late. It counts from the start of the process, and only measures:
/// nothing is left out for being late.
struct EventTimeProgress {
    private let watermarkGauge: Gauge
    private let metrics: StreamJobMetrics
    /// Milliseconds since 1970; nil before the first event.
    private(set) var watermark: Int64?

    init(_ registry: MetricsRegistry, _ metrics: StreamJobMetrics, source: TopicPartition) {
        self.metrics = metrics
        watermarkGauge = registry.gauge(
            "medallion_stream_watermark_seconds",
            help: "Event-time watermark: the largest event time so far, at most the broker's; seconds since 1970.",
            labels: [("topic", source.topic), ("partition", String(source.partition))])
    }

    /// Takes in the event times of a commit, in the order of their offsets.
    ///
    /// - Parameter brokerTimeMax: the largest broker time so far, in milliseconds.
    mutating func note(_ eventTimes: [Int64], brokerTimeMax: Int64) {
        for time in eventTimes {
            if let watermark, time < watermark {
                metrics.disordered.increment()
                metrics.lateness.observe(Double(watermark - time) / 1_000)
            } else {
                watermark = max(watermark ?? .min, min(time, brokerTimeMax))
            }
        }
        if let watermark { watermarkGauge.set(Double(watermark) / 1_000) }
    }
}
