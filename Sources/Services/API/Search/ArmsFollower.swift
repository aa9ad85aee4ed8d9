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
    private let files: ArmsFiles?
    private let filesLane = Lane(name: "arms-files")
    private let isStopping = Mutex(false)
    /// When a stop was asked, monotonic nanoseconds.
    private let stoppedAt = Mutex<Int64?>(nil)
    private let metrics: ArmsMetrics
    private let logger: Logger

    /// Between two looks at the index: what is indexed is found so much later at most.
    private static let lookMilliseconds = 25
    private static let retryMilliseconds = 250

    /// Between two looks at whether files are to be written.
    private static let filesMilliseconds = 10_000
    /// What is not written so long after a stop was asked stays as it was.
    private static let lastMilliseconds = 8_000

    /// - Parameters:
    ///   - configuration: of a migrated database.
    ///   - bytesMax: of all arms together (`ARMS_MEMORY_BYTES`).
    ///   - staleMilliseconds: how long searches go on while Postgres cannot be reached (`ARMS_STALE_SECONDS`).
    ///   - filesFolder: where the arms are kept between starts (`ARMS_DIR`); nil: nowhere.
    ///   - tenants: whose documents may be searched, asked before each look.
    package init(
        configuration: PostgresConfiguration, bytesMax: Int, staleMilliseconds: Int = 0,
        filesFolder: String? = nil, tenants: @escaping @Sendable () -> [TenantID],
        registry: MetricsRegistry, logger: Logger
    ) {
        let metrics = ArmsMetrics(registry)
        self.metrics = metrics
        self.tenants = tenants
        self.logger = logger
        let shared = SharedArms(staleMilliseconds: staleMilliseconds) { metrics.count($0) }
        self.shared = shared
        let files = filesFolder.map { folder in ArmsFiles(folder: folder) { Self.tell($0, metrics, logger) } }
        self.files = files
        let keeper = ArmsKeeper(
            configuration: configuration, shared: shared, bytesMax: bytesMax, files: files
        ) { event in Self.tell(event, metrics, logger) }
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
        case .read(let tenant, let size, let milliseconds):
            metrics.count(.read)
            logger.info(
                "searches are done in memory, as it was kept in a file",
                [
                    "tenant": tenant.text, "passages": "\(size.passages)", "bytes": "\(size.bytes)",
                    "ms": "\(milliseconds)",
                ])
        case .fileDropped(let tenant, let why):
            metrics.count(.dropped)
            logger.info(
                "a file of the index in memory is of no use; it is loaded anew",
                ["tenant": tenant.text, "because": why])
        case .filesAreOff(let why):
            logger.warning(
                "the index in memory is not kept in files: it cannot be told which database it is", ["error": why])
        }
    }

    private static func tell(_ event: ArmsFiles.Event, _ metrics: ArmsMetrics, _ logger: Logger) {
        switch event {
        case .written(let tenant, let bytes, let milliseconds):
            metrics.count(.written)
            logger.info(
                "the index in memory was kept in a file",
                ["tenant": tenant.text, "bytes": "\(bytes)", "ms": "\(milliseconds)"])
        case .failed(let tenant, let why):
            metrics.count(.failed)
            logger.warning(
                "the index in memory could not be kept in a file", ["tenant": tenant.text, "error": why])
        case .removed(let names):
            logger.info(
                "files of the index in memory that are of no use were removed", ["files": names.joined(separator: " ")])
        }
    }

    /// Keeps files until stopped.
    private func keepFiles(_ files: ArmsFiles, stop: StopSignal) async {
        while !(await stop.pause(milliseconds: Self.filesMilliseconds)) {
            let tenants = tenants()
            // It does nothing that can fail but what it tells itself.
            try? await filesLane.run { [self] in
                files.tidy(shared, tenants: tenants)
                var worked = SystemClock.monotonicNanoseconds()
                files.write(shared) {
                    // It rests as long as it works.
                    let now = SystemClock.monotonicNanoseconds()
                    Pause.milliseconds(Int(min(max(0, now - worked), 500_000_000) / 1_000_000))
                    worked = SystemClock.monotonicNanoseconds()
                    return !self.isStopping.withLock { $0 }
                }
            }
        }
    }

    /// Writes what has changed before the end.
    private func keepFilesAtLast() async {
        guard let files else { return }
        let stoppedAt = stoppedAt.withLock { $0 } ?? SystemClock.monotonicNanoseconds()
        let until = stoppedAt + Int64(Self.lastMilliseconds) * 1_000_000
        try? await filesLane.run { [shared] in
            files.write(shared, isLast: true) { SystemClock.monotonicNanoseconds() < until }
        }
    }

    /// Follows until stopped, and then writes files for some seconds: requests are to end beside it.
    func run(stop: StopSignal) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [self] in
                await stop.wait()
                stoppedAt.withLock { $0 = SystemClock.monotonicNanoseconds() }
                isStopping.withLock { $0 = true }
                interrupt()
            }
            if let files { group.addTask { [self] in await keepFiles(files, stop: stop) } }
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
        await keepFilesAtLast()
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
    /// What became of a file.
    enum FileOutcome: String, CaseIterable {
        case read
        case written
        /// It was of no use.
        case dropped
        /// It could not be written.
        case failed
    }

    private let outcomes: [ArmsOutcome: Counter]
    private let files: [FileOutcome: Counter]
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
        files = Dictionary(
            uniqueKeysWithValues: FileOutcome.allCases.map { outcome in
                (
                    outcome,
                    registry.counter(
                        "medallion_arms_files_total",
                        help: "Files in which the index in memory is kept between starts, by what became of them.",
                        labels: [("outcome", outcome.rawValue)])
                )
            })
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

    func count(_ outcome: FileOutcome) { files[outcome]?.increment() }
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
