import Telemetry

/// What the API counts.
struct APIMetrics: Sendable {
    private let registry: MetricsRegistry
    let embedSeconds: Histogram
    let candidateSeconds: Histogram
    let refusals: Counter
    let degraded: Counter

    init(_ registry: MetricsRegistry) {
        self.registry = registry
        embedSeconds = registry.histogram(
            "medallion_api_embed_seconds", help: "Time to embed a query, cached ones included.")
        candidateSeconds = registry.histogram(
            "medallion_api_candidates_seconds", help: "Time to read both arms' candidates, waiting for a lane included."
        )
        refusals = registry.counter(
            "medallion_api_refused_answers_total", help: "Answers refused for want of support.")
        degraded = registry.counter(
            "medallion_api_degraded_searches_total", help: "Hybrid searches served without the vector arm.")
    }

    /// Counts a finished request.
    func count(route: String, status: Int, seconds: Double) {
        registry.counter(
            "medallion_api_requests_total", help: "Requests by route and status.",
            labels: [("route", route), ("status", String(status))]
        ).increment()
        registry.histogram(
            "medallion_api_request_seconds", help: "Time from a request's last byte to its reply's first.",
            labels: [("route", route)]
        ).observe(seconds)
    }
}
