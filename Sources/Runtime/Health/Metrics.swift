package import Telemetry

/// The index's freshness as series; the alerts' one source.
package enum FreshnessMetrics {
    /// Registers them for all sources together and for each.
    package static func register(_ registry: MetricsRegistry, _ board: SourcesFreshness) {
        registry.gauges(
            "medallion_source_freshness_state",
            help: "1 for the state that the index is in for a source, 0 for the others.", labels: ["source", "state"]
        ) {
            board.bySource.flatMap { source, now in
                Freshness.State.allCases.map { ([source, $0.rawValue], now.state == $0 ? 1 : 0) }
            }
        }
        registry.gauges(
            "medallion_source_events_behind",
            help: "Source offsets that the index has not reached, by source; NaN where unknown.", labels: ["source"]
        ) { board.bySource.map { ([$0], $1.eventsBehind.map { Double($0) } ?? .nan) } }
        for state in Freshness.State.allCases {
            registry.gauge(
                "medallion_index_freshness_state",
                help: "1 for the state that the index is in, 0 for the others: fresh, late, stale, unknown.",
                labels: [("state", state.rawValue)]
            ) { board.current.state == state ? 1 : 0 }
        }
        registry.gauge(
            "medallion_index_events_behind",
            help: "Source offsets that the active generation's index has not reached; NaN where unknown."
        ) { board.current.eventsBehind.map { Double($0) } ?? .nan }
        registry.gauge(
            "medallion_index_oldest_wait_seconds",
            help: "How long the oldest event that is not searchable yet has waited, at least; NaN where unknown."
        ) { board.current.waitMilliseconds.map { Double($0) / 1_000 } ?? .nan }
        registry.gauge(
            "medallion_index_indexed_at_seconds",
            help: "When the indexer last brought the active generation forward, seconds since 1970; NaN where unknown."
        ) { board.current.indexedAtMilliseconds.map { Double($0) / 1_000 } ?? .nan }
    }
}
