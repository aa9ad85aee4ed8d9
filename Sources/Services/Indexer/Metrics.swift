import Records
package import Telemetry

/// What the indexer counts.
package final class IndexerMetrics: Sendable {
    private let registry: MetricsRegistry
    /// Documents written, repeats included.
    package let documents: Counter
    /// Passages that became visible.
    package let passages: Counter
    /// Passages embedded.
    package let embedded: Counter
    /// Passages that shared a vector.
    package let reused: Counter
    /// Vectors that were linked by those who write.
    package let linked: Counter
    let skipped: Counter
    let poison: Counter
    /// Documents kept aside because Postgres or the Gold topic refused them.
    package let refused: Counter
    let transactions: Counter
    let failures: Counter
    let gapOffsets: Counter
    let expiredOffsets: Counter
    let unreadableOffsets: Counter
    let writeSeconds: Histogram
    /// From the broker's time of the event to the end of the transaction that made it searchable.
    package let freshnessSeconds: Histogram

    /// Counters count for all sources of a process.
    package init(_ registry: MetricsRegistry) {
        self.registry = registry
        documents = registry.counter(
            "medallion_index_documents_total", help: "Documents written to the index, repeats included.")
        passages = registry.counter(
            "medallion_index_passages_added_total", help: "Passages that became visible to a generation.")
        let help = "Passages by where their vector came from."
        embedded = registry.counter("medallion_index_vectors_total", help: help, labels: [("from", "computed")])
        reused = registry.counter("medallion_index_vectors_total", help: help, labels: [("from", "reused")])
        linked = Self.linked(registry)
        skipped = registry.counter(
            "medallion_index_skipped_total", help: "Documents below the checkpoint, delivered again and skipped.")
        poison = registry.counter(
            "medallion_index_unreadable_total", help: "Records of the Gold topic that could not be read.")
        refused = registry.counter(
            "medallion_index_refused_documents_total",
            help: "Documents that Postgres or the Gold topic refused; `medallion dlq ls --index` lists them.")
        transactions = registry.counter("medallion_index_transactions_total", help: "Index transactions.")
        failures = registry.counter(
            "medallion_index_failures_total", help: "Failures of the index or the embedder, tried again.")
        gapOffsets = registry.counter(
            "medallion_index_gap_offsets_total", help: "Source offsets that the lake itself has no record of.")
        expiredOffsets = registry.counter(
            "medallion_index_expired_offsets_total",
            help: "Source offsets whose Gold the topic no longer held when it was wanted.")
        unreadableOffsets = registry.counter(
            "medallion_index_unreadable_offsets_total",
            help: "Offsets of the Gold topic that it holds but nobody can read.")
        writeSeconds = registry.histogram(
            "medallion_index_write_seconds", help: "Time of an index transaction.")
        freshnessSeconds = registry.histogram(
            "medallion_index_freshness_seconds", help: "From the event's broker time until it was searchable.")
    }

    /// Of those who apply suppressions.
    static func refusedSuppressions(_ registry: MetricsRegistry) -> Counter {
        registry.counter(
            "medallion_index_refused_suppressions_total",
            help: "Suppressions and lifts that Postgres refused; they are not applied.")
    }

    /// Shared by all who link.
    static func linked(_ registry: MetricsRegistry) -> Counter {
        registry.counter(
            "medallion_index_linked_vectors_total", help: "Vectors that were linked into their graph by this process.")
    }

    /// How many topic partitions of a Gold topic this process holds.
    func held(of goldTopic: String) -> Gauge {
        registry.gauge(
            "medallion_index_topic_partitions_held",
            help: "Topic partitions of the Gold topic that the group has given this process.",
            labels: [("topic", goldTopic)])
    }

    /// Shows how many records of a Gold topic partition wait to be indexed; nil takes the series away.
    func show(lag: Int64?, of gold: TopicPartition) {
        let labels = [("topic", gold.topic), ("partition", String(gold.partition))]
        guard let lag else { return registry.remove("medallion_index_lag_records", labels: labels) }
        registry.gauge(
            "medallion_index_lag_records", help: "Gold records that wait to be indexed.",
            labels: [("topic", gold.topic), ("partition", String(gold.partition))]
        ).set(Double(lag))
    }

    /// Takes the series away of a Gold topic partition that is not this process' any more.
    func forget(_ gold: TopicPartition) {
        registry.remove(
            "medallion_index_stalled", labels: [("topic", gold.topic), ("partition", String(gold.partition))])
    }

    /// Takes the series away of a source topic partition's checkpoints, of all generations.
    func forget(checkpointsOf source: TopicPartition) {
        registry.remove(
            "medallion_index_checkpoint_offset",
            labels: [("topic", source.topic), ("partition", String(source.partition))])
    }

    /// Whether the Gold topic partition gives nothing though its log is ahead.
    func stalled(_ gold: TopicPartition) -> Gauge {
        registry.gauge(
            "medallion_index_stalled",
            help: "1 while the log of the Gold topic partition is ahead and nothing of it comes, else 0.",
            labels: [("topic", gold.topic), ("partition", String(gold.partition))])
    }

    /// Next source offset that the index wants.
    func checkpoint(generation: Int64, source: TopicPartition) -> Gauge {
        registry.gauge(
            "medallion_index_checkpoint_offset", help: "Next source offset of the index.",
            labels: [
                ("generation", String(generation)), ("topic", source.topic), ("partition", String(source.partition)),
            ])
    }
}
