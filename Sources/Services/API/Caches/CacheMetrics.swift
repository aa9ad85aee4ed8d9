import Telemetry

/// What every cache of the API counts, under the same names.
struct CacheMetrics: Sendable {
    /// The caches.
    enum Cache: String {
        /// Replies of `/search`.
        case search
        /// Replies of `/answer`.
        case answer
        /// Answers to questions that mean the same.
        case semantic
        /// What servers share in Redis.
        case shared
        /// Vectors of queries.
        case queryEmbeddings = "query_embeddings"
    }

    /// Why something that was kept was of no use.
    enum Drop: String, CaseIterable {
        /// What it shows, or should show, changed.
        case changed
        /// It was kept as long as may be.
        case expired
        /// It could not be told whether it still holds.
        case unknown
    }

    let hits: Counter
    let misses: Counter
    private let age: Histogram
    private let drops: [Drop: Counter]
    private let registry: MetricsRegistry
    private let cache: Cache

    init(_ registry: MetricsRegistry, _ cache: Cache) {
        self.registry = registry
        self.cache = cache
        hits = registry.counter(
            "medallion_cache_hits_total", help: "Requests served from a cache.", labels: [("cache", cache.rawValue)])
        misses = registry.counter(
            "medallion_cache_misses_total", help: "Requests that a cache could have served, and did not.",
            labels: [("cache", cache.rawValue)])
        age = registry.histogram(
            "medallion_cache_age_seconds", help: "Age of what a cache served.", labels: [("cache", cache.rawValue)])
        drops = Dictionary(
            uniqueKeysWithValues: Drop.allCases.map { drop in
                (
                    drop,
                    registry.counter(
                        "medallion_cache_drops_total",
                        help:
                            "What a cache gave up when it was asked for: its documents changed, its time was over, or it "
                            + "could not be told whether it still holds.",
                        labels: [("cache", cache.rawValue), ("reason", drop.rawValue)])
                )
            })
    }

    func count(_ drop: Drop) { drops[drop]?.increment() }

    func served(ageMilliseconds: Int64) {
        hits.increment()
        age.observe(Double(ageMilliseconds) / 1_000)
    }

    /// Shows what a cache holds.
    func show(
        bytes: @escaping @Sendable () -> Int, entries: @escaping @Sendable () -> Int,
        evictions: @escaping @Sendable () -> Int
    ) {
        registry.gauge(
            "medallion_cache_bytes", help: "Memory that a cache takes, roughly.", labels: [("cache", cache.rawValue)]
        ) {
            Double(bytes())
        }
        registry.gauge("medallion_cache_entries", help: "What a cache holds.", labels: [("cache", cache.rawValue)]) {
            Double(entries())
        }
        registry.counter(
            "medallion_cache_evictions_total", help: "What a cache gave up for want of room.",
            labels: [("cache", cache.rawValue)]
        ) { Double(evictions()) }
    }
}
