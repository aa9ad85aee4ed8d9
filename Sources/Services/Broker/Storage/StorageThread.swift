import Bytes
import Concurrency
import Dispatch
import Files
import Records
import Synchronization
import Telemetry

/// The only thread that changes what is on disk.
///
/// It works in rounds: takes all jobs that wait, stages and flushes their batches, makes each touched log durable by
/// one fdatasync, publishes, and only then lets the answers go out. While it syncs, the next round's jobs gather, so
/// one sync serves as many producers as there are (group commit), and nobody waits for a timer.
final class StorageThread: Sendable {
    /// What other than appends this thread does: create topics, commit offsets, and so on.
    typealias Task = @Sendable (inout StorageState) -> Void

    enum Job: Sendable {
        case append(AppendJob)
        case commit(CommitJob)
        case task(Task)
    }

    /// With the storage thread itself, four logs are synced side by side.
    private static let syncHelperCount = 3

    private struct Inbox {
        var jobs: [Job] = []
        var isRunning = false
        var isStopping = false
    }

    private let inbox = Mutex(Inbox())
    private let wake = DispatchSemaphore(value: 0)
    private let ended = DispatchSemaphore(value: 0)
    private let durability: BrokerConfiguration.Durability
    private let metrics: BrokerMetrics
    private let logger: Logger
    /// Hands a round's completions and the logs that grew to the network side.
    private let deliver: @Sendable (_ completions: [@Sendable () -> Void], _ grown: [PartitionLog]) -> Void

    init(
        durability: BrokerConfiguration.Durability, metrics: BrokerMetrics, logger: Logger,
        deliver: @escaping @Sendable ([@Sendable () -> Void], [PartitionLog]) -> Void
    ) {
        self.durability = durability
        self.metrics = metrics
        self.logger = logger
        self.deliver = deliver
    }

    func start(_ state: consuming sending StorageState) throws {
        let box = Mutex<StorageState?>(state)
        let handover = Handover(box)
        let isStarted = Threads.start(name: "broker-storage") { [self] in
            if var state = handover.take() { run(&state) }
            ended.signal()
        }
        inbox.withLock { $0.isRunning = isStarted }
        guard isStarted else {
            throw BrokerError(
                operation: "start thread", subject: "broker-storage", reason: "the system refused",
                hint: "raise `ulimit -u`", isRetriable: true)
        }
    }

    /// Adds a job; false when the thread is stopping. What waits here is bounded by the bytes that all requests may hold
    /// together: each counts until its job is done (``BrokerLoop/submit(_:holding:_:)``).
    @discardableResult
    func submit(_ job: Job) -> Bool {
        let (isAccepted, isFirst) = inbox.withLock { inbox -> (Bool, Bool) in
            guard !inbox.isStopping else { return (false, false) }
            inbox.jobs.append(job)
            return (true, inbox.jobs.count == 1)
        }
        if isFirst { wake.signal() }
        return isAccepted
    }

    /// Finishes what was submitted, makes everything durable, and waits for the thread's end.
    func stop() {
        let wasRunning = inbox.withLock { inbox -> Bool in
            defer { inbox.isStopping = true }
            return inbox.isRunning && !inbox.isStopping
        }
        guard wasRunning else { return }
        wake.signal()
        ended.wait()
    }

    // MARK: The thread

    private func run(_ state: inout StorageState) {
        let helpers = SyncHelpers(threadCount: Self.syncHelperCount)
        defer { helpers.close() }
        var rounds = StorageRounds(durability: durability, metrics: metrics, logger: logger, helpers: helpers)
        var nextSync = SystemClock.monotonicNanoseconds()
        while true {
            if case .interval(let milliseconds) = durability {
                _ = wake.wait(timeout: .now() + .milliseconds(milliseconds))
            } else {
                wake.wait()
            }
            let (jobs, isStopping) = inbox.withLock { inbox -> ([Job], Bool) in
                defer { inbox.jobs = [] }
                return (inbox.jobs, inbox.isStopping)
            }
            var mustSync = true
            if case .interval(let milliseconds) = durability {
                let now = SystemClock.monotonicNanoseconds()
                mustSync = isStopping || now >= nextSync
                if mustSync { nextSync = now + Int64(milliseconds) * 1_000_000 }
            }
            let (completions, grown) = rounds.run(jobs, &state, mustSync: mustSync)
            if !completions.isEmpty || !grown.isEmpty { deliver(completions, grown) }
            if isStopping, inbox.withLock({ $0.jobs.isEmpty }) { return }
        }
    }
}

/// Carries a value into a thread's closure, once.
private final class Handover: Sendable {
    private let box: Mutex<StorageState?>

    init(_ box: consuming sending Mutex<StorageState?>) {
        self.box = box
    }

    func take() -> sending StorageState? {
        box.withLock { value in
            let taken = value
            value = nil
            return taken
        }
    }
}
