import Bytes
import Concurrency
package import Lake
package import Postgres
package import ServiceLifecycle
import Store
import Synchronization
package import Telemetry

/// Measures what grows: the lake, the index, and what room is left on the disks. Every minute, each on a thread of its own,
/// so that a file system or a database that hangs holds up nothing else, and no scrape waits for any of them.
///
/// Drained means nothing for it: it only looks, and a stop does not wait for a look that hangs.
package final class SizeMeter: Service {
    package let name = "sizes"

    /// Between two measurements of the same. Less behind a start, where much is just being made.
    static let intervalMilliseconds = 60_000, firstIntervalMilliseconds = 2_000
    /// Names of a lake's files that are looked at in one go, and the pause behind it: a million take some four minutes.
    static let entriesOfAStep = 2_000, pauseMilliseconds = 500
    /// How long the database may take.
    private static let databaseMilliseconds = 20_000

    private let jobs: [Job]
    private let state = Mutex(Sizes())
    private let logger: Logger

    /// What was measured last; nothing before the first time.
    private struct Sizes {
        var lake: LakeSize?
        var index: IndexSize?
        var disks: [(folder: String, space: DiskSpace)] = []
        /// By the monotonic clock.
        var measuredAt: [String: Int64] = [:]
    }

    private enum Job {
        case lake(LakeLayout)
        case index(PostgresConfiguration)
        /// Folders, with the names that people know them by.
        case disks([(name: String, path: String)])

        var name: String {
            switch self {
            case .lake: "lake"
            case .index: "index"
            case .disks: "disk"
            }
        }
    }

    /// - Parameters:
    ///   - lake: nil where this process does not look after one.
    ///   - index: its database; nil likewise.
    ///   - folders: those whose file systems are watched, by name; one that does not exist is left out until it does.
    package init(
        lake: LakeLayout?, index: PostgresConfiguration?, folders: [(name: String, path: String)],
        metrics: MetricsRegistry, logger: Logger
    ) {
        var jobs: [Job] = []
        if let lake { jobs.append(.lake(lake)) }
        if let index { jobs.append(.index(index)) }
        if !folders.isEmpty { jobs.append(.disks(folders)) }
        self.jobs = jobs
        self.logger = logger
        register(in: metrics)
    }

    package func run(stop: StopSignal) async throws {
        for job in jobs {
            let isStarted = Threads.start(name: "size-\(job.name)") { [self] in work(job, stop) }
            if !isStarted { logger.warning("no thread measures sizes", ["what": job.name]) }
        }
        await stop.wait()
    }

    private func work(_ job: Job, _ stop: StopSignal) {
        var reports = ReportLimiter()
        var interval = Self.firstIntervalMilliseconds
        let reader: IndexSizeReader? =
            if case .index(let database) = job { .init(configuration: database) } else { nil }
        repeat {
            let start = SystemClock.monotonicNanoseconds()
            do {
                switch job {
                case .lake(let layout): try measure(layout, stop)
                case .index:
                    let size = try reader?.read(timeoutMilliseconds: Self.databaseMilliseconds)
                    note(job) { $0.index = size }
                case .disks(let folders):
                    let found = folders.compactMap { folder in
                        DiskSpace(at: folder.path).map { (folder: folder.name, space: $0) }
                    }
                    note(job) { $0.disks = found }
                }
            } catch {
                // The age of what was measured last tells of it, too.
                if let failures = reports.admit() {
                    logger.warning(
                        "sizes cannot be measured", ["what": job.name, "error": "\(error)", "failures": "\(failures)"])
                }
            }
            // A lake that takes long to walk is walked less often.
            let took = Int((SystemClock.monotonicNanoseconds() - start) / 1_000_000)
            if stop.sleep(milliseconds: max(interval, took)) { return }
            interval = min(interval * 2, Self.intervalMilliseconds)
        } while true
    }

    private func measure(_ layout: LakeLayout, _ stop: StopSignal) throws {
        var walk = LakeSizeWalk(layout: layout)
        while !stop.isRequested {
            if let size = try walk.step(entriesMax: Self.entriesOfAStep) {
                note(.lake(layout)) { $0.lake = size }
                return
            }
            if stop.sleep(milliseconds: Self.pauseMilliseconds) { return }
        }
    }

    private func note(_ job: Job, _ change: (inout Sizes) -> Void) {
        state.withLock { sizes in
            change(&sizes)
            sizes.measuredAt[job.name] = SystemClock.monotonicNanoseconds()
        }
    }

    private func register(in registry: MetricsRegistry) {
        registry.gauges(
            "medallion_lake_bytes",
            help:
                "Bytes of the lake's files by what they hold, on the disk (local) and in the object storage (tiered).",
            labels: ["layer", "place"]
        ) { [weak self] in
            guard let size = self?.state.withLock({ $0.lake }) else { return [] }
            return LakeSize.Part.allCases.map { ([$0.rawValue, "local"], Double(size.local[$0] ?? 0)) }
                + Layer.allCases.map { ([$0.rawValue, "tiered"], Double(size.tieredBytes($0))) }
        }
        registry.gauges(
            "medallion_index_bytes", help: "Bytes of the index's tables, their own indexes included.", labels: ["table"]
        ) { [weak self] in
            self?.state.withLock { $0.index }?.tables.map { ([$0.name], Double($0.bytes)) } ?? []
        }
        registry.gauges("medallion_index_database_bytes", help: "Bytes of the index's whole database.", labels: []) {
            [weak self] in self?.state.withLock { $0.index }.map { [([], Double($0.databaseBytes))] } ?? []
        }
        registry.gauges(
            "medallion_disk_free_bytes", help: "Bytes that may still be written where a folder of ours lies.",
            labels: ["folder"]
        ) { [weak self] in
            self?.state.withLock { $0.disks }.map { ([$0.folder], Double($0.space.freeBytes)) } ?? []
        }
        registry.gauges(
            "medallion_disk_size_bytes", help: "Bytes of the file system where a folder of ours lies.",
            labels: ["folder"]
        ) { [weak self] in
            self?.state.withLock { $0.disks }.map { ([$0.folder], Double($0.space.sizeBytes)) } ?? []
        }
        registry.gauges(
            "medallion_sizes_age_seconds",
            help: "Time since lake, index or disk were measured last, each once a minute.",
            labels: ["of"]
        ) { [weak self] in
            let now = SystemClock.monotonicNanoseconds()
            let times = self?.state.withLock { $0.measuredAt } ?? [:]
            return times.sorted { $0.key < $1.key }.map { ([$0.key], Double(now - $0.value) / 1e9) }
        }
    }
}

extension LakeSize {
    /// Bytes of a layer in the object storage.
    fileprivate func tieredBytes(_ layer: Layer) -> Int {
        Part(rawValue: layer.rawValue).flatMap { tiered[$0] } ?? 0
    }
}
