import Bytes
import Telemetry

/// One batch to be appended.
struct AppendBatch: Sendable {
    let log: PartitionLog
    let settings: LogSettings
    /// Where it lies in the request's frame.
    let range: Range<Int>
    let header: RecordBatchHeader
}

/// The batches of one Produce request. The frame stays alive until they are written.
struct AppendJob: Sendable {
    let frame: [UInt8]
    let batches: [AppendBatch]
    /// Called once everything accepted is durable, as the durability setting understands it; see
    /// ``StorageThread/deliver``. One outcome per batch.
    let completion: @Sendable ([AppendOutcome]) -> Void
}

/// The offsets of one OffsetCommit request.
struct CommitJob: Sendable {
    let changes: [OffsetChange]
    /// Called like an append's. One code per change.
    let completion: @Sendable ([ErrorCode]) -> Void
}

/// What the storage thread does with the jobs that wait: one round after the other.
struct StorageRounds {
    private var round: AppendRound
    private let durability: BrokerConfiguration.Durability
    private let metrics: BrokerMetrics
    private let logger: Logger

    init(
        durability: BrokerConfiguration.Durability, metrics: BrokerMetrics, logger: Logger, helpers: SyncHelpers
    ) {
        self.durability = durability
        self.metrics = metrics
        self.logger = logger
        round = AppendRound(metrics: metrics, logger: logger, helpers: helpers)
    }

    /// - Returns: the completions that are due, and the logs that have more to show.
    mutating func run(
        _ jobs: [StorageThread.Job], _ state: inout StorageState, mustSync: Bool
    ) -> (completions: [@Sendable () -> Void], grown: [PartitionLog]) {
        let started = SystemClock.monotonicNanoseconds()
        var appends: [(job: AppendJob, tickets: [AppendRound.Ticket])] = []
        var commits: [CommitJob] = []
        var completions: [@Sendable () -> Void] = []
        state.settle(logger)
        for job in jobs {
            switch job {
            case .append(let append): appends.append((append, round.stage(append, isUnsure: state.isUnsure)))
            case .commit(let commit): commits.append(commit)
            case .task(let task):
                // In order: what a task forgets must not be committed after it because it came before.
                finish(&commits, &state, mustSync: mustSync, &completions)
                task(&state)
            }
        }
        round.flush()
        if mustSync, durability == .always { round.sync(isPublished: false) }
        let grown = round.publish()
        if mustSync, durability != .always { round.sync(isPublished: true) }
        finish(&commits, &state, mustSync: mustSync, &completions)
        for (job, tickets) in appends {
            let outcomes = tickets.map { round.outcome($0) }
            completions.append { job.completion(outcomes) }
        }
        round.finish()
        if !appends.isEmpty {
            metrics.appendCycleSeconds.observe(Double(SystemClock.monotonicNanoseconds() - started) / 1e9)
        }
        return (completions, grown)
    }

    /// Writes the commits gathered so far with one write and one sync.
    private func finish(
        _ commits: inout [CommitJob], _ state: inout StorageState, mustSync: Bool,
        _ completions: inout [@Sendable () -> Void]
    ) {
        var codes = state.commit(commits.flatMap(\.changes), mustSync: mustSync, logger: logger)[...]
        for commit in commits {
            let own = Array(codes.prefix(commit.changes.count))
            codes = codes.dropFirst(commit.changes.count)
            completions.append { commit.completion(own) }
        }
        commits = []
    }
}
