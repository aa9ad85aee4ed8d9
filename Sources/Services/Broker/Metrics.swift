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

    init(_ registry: MetricsRegistry) {
        bytesIn = registry.counter("broker_produced_bytes_total", help: "Bytes of record batches written to the log.")
        batchesIn = registry.counter("broker_produced_batches_total", help: "Record batches written to the log.")
        recordsIn = registry.counter("broker_produced_records_total", help: "Records written to the log.")
        duplicateBatches = registry.counter(
            "broker_duplicate_batches_total", help: "Batches of idempotent producers that were in the log already.")
        refusedBatches = registry.counter(
            "broker_refused_batches_total", help: "Record batches answered with an error.")
        bytesOut = registry.counter("broker_fetched_bytes_total", help: "Bytes of record batches sent to consumers.")
        syncSeconds = registry.histogram(
            "broker_sync_seconds", help: "Duration of making one round of appended batches durable.")
        appendCycleSeconds = registry.histogram(
            "broker_append_round_seconds", help: "Duration of writing, syncing and publishing one round of batches.")
        diskFailures = registry.counter("broker_disk_failures_total", help: "Failed writes and syncs of the log.")
        connections = registry.gauge("broker_connections", help: "Open client connections.")
        requestBytes = registry.gauge(
            "broker_request_bytes", help: "Memory that requests hold which are half received or not answered yet.")
        malformedRequests = registry.counter(
            "broker_malformed_requests_total", help: "Requests that could not be decoded; their connection was closed.")
        topics = registry.gauge("broker_topics", help: "Topics.")
        groups = registry.gauge("broker_groups", help: "Consumer groups known by their members.")
        groupMembers = registry.gauge("broker_group_members", help: "Members of all consumer groups.")
        rebalances = registry.counter("broker_group_rebalances_total", help: "Rebalances begun in consumer groups.")
        requests = Dictionary(
            uniqueKeysWithValues: APIKey.allCases.map { api in
                let counter = registry.counter(
                    "broker_requests_total", help: "Requests by API.", labels: [("api", api.name)])
                return (api, counter)
            })
    }

    func requests(_ api: APIKey) -> Counter? { requests[api] }
}
