import Telemetry

/// The metrics of this module.
enum EmbeddedPostgresMetrics {
    static func restarts(_ registry: MetricsRegistry) -> Counter {
        registry.counter(
            "medallion_embedded_postgres_restarts_total",
            help: "How often the embedded Postgres ended unexpectedly and was started again.")
    }
}
