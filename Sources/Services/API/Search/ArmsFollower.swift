import Arms
import Bytes
import Concurrency
package import Postgres
package import Records
import ServiceLifecycle
package import Store
import Synchronization
package import Telemetry

/// Keeps the arms in memory up to date beside the server: forty times a second, on a thread and a connection of its own.
package final class ArmsFollower: Sendable {
    /// What searches share.
    package let shared: SharedArms
    private let keeper: Mutex<ArmsKeeper>
    private let interrupt: @Sendable () -> Void
    private let tenants: @Sendable () -> [TenantID]
    private let lane = Lane(name: "arms")
    private let isStopping = Mutex(false)
    private let metrics: ArmsMetrics
    private let logger: Logger

    /// Between two looks at the index: what is indexed is found so much later at most.
    private static let lookMilliseconds = 25
    private static let retryMilliseconds = 250

    /// - Parameters:
    ///   - configuration: of a migrated database.
    ///   - bytesMax: of all arms together (`ARMS_MEMORY_BYTES`).
    ///   - staleMilliseconds: how long searches go on while Postgres cannot be reached (`ARMS_STALE_SECONDS`).
    ///   - tenants: whose documents may be searched, asked before each look.
    package init(
        configuration: PostgresConfiguration, bytesMax: Int, staleMilliseconds: Int = 0,
        tenants: @escaping @Sendable () -> [TenantID],
        registry: MetricsRegistry, logger: Logger
    ) {
        let metrics = ArmsMetrics(registry)
        self.metrics = metrics
        self.tenants = tenants
        self.logger = logger
        let shared = SharedArms(staleMilliseconds: staleMilliseconds) { metrics.count($0) }
        self.shared = shared
        let keeper = ArmsKeeper(configuration: configuration, shared: shared, bytesMax: bytesMax) { event in
            Self.tell(event, metrics, logger)
        }
        interrupt = keeper.interruption
        self.keeper = Mutex(keeper)
        metrics.show(shared)
    }

    private static func tell(_ event: ArmsKeeper.Event, _ metrics: ArmsMetrics, _ logger: Logger) {
        switch event {
        case .loaded(let tenant, let size, let milliseconds):
            metrics.loads.increment()
            logger.info(
                "searches are done in memory",
                [
                    "tenant": tenant.text, "passages": "\(size.passages)", "bytes": "\(size.bytes)",
                    "ms": "\(milliseconds)",
                ])
        case .tooLarge(let tenant, let bytes):
            logger.warning(
                "searches are done in Postgres: there is no room for the tenant's index in memory; see ARMS_MEMORY_BYTES",
                ["tenant": tenant.text, "bytes": "\(bytes)"])
        case .dropped(let tenant, let why):
            metrics.drops.increment()
            logger.info("searches are done in Postgres for now", ["tenant": tenant.text, "because": why])
        case .rowsLoaded(let tenant, let size):
            logger.info(
                "what hits show is in memory, too",
                ["tenant": tenant.text, "documents": "\(size.rows)", "bytes": "\(size.rowBytes)"])
        case .rowsGivenUp(let tenant, let bytes):
            metrics.rowDrops.increment()
            logger.warning(
                "what hits show is fetched from Postgres: there is no room for it in memory; see ARMS_MEMORY_BYTES",
                ["tenant": tenant.text, "bytes": "\(bytes)"])
        }
    }

    /// Follows until stopped.
    func run(stop: StopSignal) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [self] in
                await stop.wait()
                isStopping.withLock { $0 = true }
                interrupt()
            }
            var isFailing = false
            repeat {
                do {
                    try await look()
                    if isFailing { logger.info("the index is followed again") }
                    isFailing = false
                } catch {
                    if !isFailing, !isStopping.withLock({ $0 }) {
                        logger.warning(
                            "the index is not followed; searches are done in memory while Postgres is away (ARMS_STALE_SECONDS), and "
                                + "else in Postgres", ["error": "\(error)"])
                    }
                    isFailing = true
                    if !isStopping.withLock({ $0 }) { metrics.failures.increment() }
                }
            } while !(await stop.pause(milliseconds: isFailing ? Self.retryMilliseconds : Self.lookMilliseconds))
        }
    }

    /// One look at the index, and what follows from it.
    func look() async throws {
        let tenants = tenants()
        try await lane.run { [self] in
            try keeper.withLock { keeper in
                try keeper.round(of: tenants) { [self] in isStopping.withLock { $0 } }
            }
        }
    }
}

/// What the arms in memory count.
private struct ArmsMetrics: Sendable {
    let loads: Counter
    let drops: Counter
    let rowDrops: Counter
    let failures: Counter
    private let outcomes: [ArmsOutcome: Counter]
    private let registry: MetricsRegistry

    init(_ registry: MetricsRegistry) {
        self.registry = registry
        loads = registry.counter(
            "medallion_arms_loads_total", help: "Times that a tenant's index was loaded into memory.")
        drops = registry.counter(
            "medallion_arms_drops_total",
            help:
                "Times that a tenant's index in memory was given up, since it was no longer what the index shows or took "
                + "too much room."
        )
        rowDrops = registry.counter(
            "medallion_arms_row_drops_total",
            help: "Times that what hits show of a tenant's index was given up, since it took too much room.")
        failures = registry.counter(
            "medallion_arms_failures_total",
            help: "Looks at the index that failed; tried again after a quarter of a second.")
        outcomes = Dictionary(
            uniqueKeysWithValues: ArmsOutcome.allCases.map { outcome in
                (
                    outcome,
                    registry.counter(
                        "medallion_arms_searches_total",
                        help: "Searches by where they were done: in memory, or in Postgres and why.",
                        labels: [("outcome", outcome.rawValue)])
                )
            })
    }

    func count(_ outcome: ArmsOutcome) { outcomes[outcome]?.increment() }

    func show(_ shared: SharedArms) {
        let parts: [(name: String, of: @Sendable (ArmsSize) -> Int)] = [
            ("vectors", { $0.vectorBytes }), ("words", { $0.wordBytes }), ("tables", { $0.tableBytes }),
            ("rows", { $0.rowBytes }),
        ]
        for part in parts {
            registry.gauge(
                "medallion_arms_bytes", help: "Bytes that arms in memory take, by part.", labels: [("part", part.name)]
            ) { Double(shared.sizes.values.reduce(0) { $0 + part.of($1) }) }
        }
        registry.gauge("medallion_arms_passages", help: "Passages that are searched in memory.") {
            Double(shared.sizes.values.reduce(0) { $0 + $1.passages })
        }
    }
}
