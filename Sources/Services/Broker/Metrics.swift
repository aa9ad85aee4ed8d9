import Telemetry

/// Everything the broker counts.
struct BrokerMetrics: Sendable {
    let bytesIn: Counter
    let batchesIn: Counter
    let recordsIn: Counter
    let duplicateBatches: Counter
    let refusedBatches: Counter
    let bytesOut: Counter
    let syncSeconds: Histogram
    let appendCycleSeconds: Histogram
    let diskFailures: Counter
    let connections: Gauge
    let requestBytes: Gauge
    let malformedRequests: Counter
    let topics: Gauge
    let groups: Gauge
    let groupMembers: Gauge
    let rebalances: Counter
    private let requests: [APIKey: Counter]
    private let registry: MetricsRegistry

    init(_ registry: MetricsRegistry) {
        self.registry = registry
        bytesIn = registry.counter(
            "medallion_broker_produced_bytes_total", help: "Bytes of record batches written to the log.")
        batchesIn = registry.counter(
            "medallion_broker_produced_batches_total", help: "Record batches written to the log.")
        recordsIn = registry.counter("medallion_broker_produced_records_total", help: "Records written to the log.")
        duplicateBatches = registry.counter(
            "medallion_broker_duplicate_batches_total",
            help: "Batches of idempotent producers that were in the log already.")
        refusedBatches = registry.counter(
            "medallion_broker_refused_batches_total", help: "Record batches answered with an error.")
        bytesOut = registry.counter(
            "medallion_broker_fetched_bytes_total", help: "Bytes of record batches sent to consumers.")
        syncSeconds = registry.histogram(
            "medallion_broker_sync_seconds", help: "Duration of making one round of appended batches durable.")
        appendCycleSeconds = registry.histogram(
            "medallion_broker_append_round_seconds",
            help: "Duration of writing, syncing and publishing one round of batches.")
        diskFailures = registry.counter(
            "medallion_broker_disk_failures_total", help: "Failed writes and syncs of the log.")
        connections = registry.gauge("medallion_broker_connections", help: "Open client connections.")
        requestBytes = registry.gauge(
            "medallion_broker_request_bytes",
            help: "Memory that requests hold which are half received or not answered yet.")
        malformedRequests = registry.counter(
            "medallion_broker_malformed_requests_total",
            help: "Requests that could not be decoded; their connection was closed.")
        topics = registry.gauge("medallion_broker_topics", help: "Topics.")
        groups = registry.gauge("medallion_broker_groups", help: "Consumer groups known by their members.")
        groupMembers = registry.gauge("medallion_broker_group_members", help: "Members of all consumer groups.")
        rebalances = registry.counter(
            "medallion_broker_group_rebalances_total", help: "Rebalances begun in consumer groups.")
        requests = Dictionary(
            uniqueKeysWithValues: APIKey.allCases.map { api in
                let counter = registry.counter(
                    "medallion_broker_requests_total", help: "Requests by API.", labels: [("api", api.name)])
                return (api, counter)
            })
    }

    func requests(_ api: APIKey) -> Counter? { requests[api] }

    /// Topics with a series of their own, the largest first: clients may create any number of topics.
    static let topicsMax = 100

    /// Shows what the topics take, as long as there are tables.
    func watch(_ tables: StorageTables) {
        registry.gauges(
            "medallion_broker_topic_bytes",
            help: "Bytes of a topic's log segments; beyond 100 topics the smallest ones stand together as `(others)`.",
            labels: ["topic"]
        ) { [weak tables] in
            let sizes = (tables?.topics() ?? []).map { topic in
                (name: topic.name, bytes: topic.logs.reduce(0) { $0 + $1.published.withLock { $0.byteCount } })
            }.sorted { ($1.bytes, $0.name) < ($0.bytes, $1.name) }
            let others = sizes.dropFirst(Self.topicsMax)
            return sizes.prefix(Self.topicsMax).map { ([$0.name], Double($0.bytes)) }
                + (others.isEmpty ? [] : [(["(others)"], Double(others.reduce(0) { $0 + $1.bytes }))])
        }
    }
}
