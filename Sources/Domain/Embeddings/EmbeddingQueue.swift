import Dispatch
import Synchronization

/// One micro-batch for a worker to compute.
struct EmbeddingWork: Sendable {
    let round: EmbeddingRound
    let batch: MicroBatch
}

/// A bounded queue with a lane per priority; filled by any task, drained by the workers' threads.
final class EmbeddingQueue: Sendable {
    /// Batch texts that one round sorts together; a quarter of a second of work on two cores.
    static let roundTextsMax = 256

    private struct Lane {
        var jobs: [EmbeddingJob] = []
        var queuedTexts = 0
        let textsMax: Int
        /// What was taken from `jobs` last, and the next of its micro-batches.
        var round: EmbeddingRound?
        var next = 0
    }

    private struct State {
        var queries: Lane
        var batches: Lane
        var nextID: UInt64 = 0
        var isStopped = false

        subscript(_ priority: EmbeddingPriority) -> Lane {
            get { priority == .query ? queries : batches }
            _modify {
                if priority == .query { yield &queries } else { yield &batches }
            }
        }
    }

    private let state: Mutex<State>
    private let queryArrivals = DispatchSemaphore(value: 0)
    private let batchArrivals = DispatchSemaphore(value: 0)
    /// Workers that an arrival of batch texts wakes.
    private let batchWorkers: Int

    init(queryTextsMax: Int, batchTextsMax: Int, batchWorkers: Int) {
        state = Mutex(State(queries: Lane(textsMax: queryTextsMax), batches: Lane(textsMax: batchTextsMax)))
        self.batchWorkers = batchWorkers
    }

    var isStopped: Bool { state.withLock { $0.isStopped } }

    /// Texts that wait, of both priorities.
    var queuedTexts: Int { state.withLock { $0.queries.queuedTexts + $0.batches.queuedTexts } }

    /// A number that identifies a job for `cancel`.
    func makeID() -> UInt64 {
        state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
    }

    /// Takes a job in, or answers it with an error at once.
    ///
    /// A job is refused when it would push what waits past the bound; a job larger than the bound is taken when nothing
    /// waits.
    func add(_ job: EmbeddingJob, priority: EmbeddingPriority) {
        let refusal: EmbeddingError? = state.withLock { state in
            if state.isStopped { return EmbeddingError.stopped }
            let waiting = state[priority].queuedTexts
            guard state[priority].jobs.isEmpty || waiting + job.sequences.count <= state[priority].textsMax else {
                return EmbeddingError.overloaded(waiting: waiting, of: priority == .query ? "queries" : "texts")
            }
            state[priority].jobs.append(job)
            state[priority].queuedTexts += job.sequences.count
            return nil
        }
        if let refusal {
            job.continuation.resume(throwing: refusal)
        } else {
            wake(priority)
        }
    }

    /// Answers a job that still waits with `CancellationError`; one that is being computed runs to its end.
    func cancel(_ id: UInt64) {
        let job: EmbeddingJob? = state.withLock { state in
            for priority in [EmbeddingPriority.query, .batch] {
                guard let index = state[priority].jobs.firstIndex(where: { $0.id == id }) else { continue }
                let job = state[priority].jobs.remove(at: index)
                state[priority].queuedTexts -= job.sequences.count
                return job
            }
            return nil
        }
        job?.continuation.resume(throwing: CancellationError())
    }

    /// Refuses what comes, and answers what waits with an error.
    func stop() {
        var jobs: [EmbeddingJob] = []
        var works: [EmbeddingWork] = []
        state.withLock { state in
            state.isStopped = true
            for priority in [EmbeddingPriority.query, .batch] {
                jobs += state[priority].jobs
                state[priority].jobs = []
                state[priority].queuedTexts = 0
                while let work = Self.nextOfRound(&state[priority]) { works.append(work) }
            }
        }
        for job in jobs { job.continuation.resume(throwing: EmbeddingError.stopped) }
        for work in works { work.round.fail(work.batch, with: .stopped) }
        wake(.query)
        wake(.batch)
    }

    /// The next micro-batch of a priority, if there is any. Does not block.
    ///
    /// Waiting jobs become a new round in order of arrival: all queries, or batch jobs of up to ``roundTextsMax`` texts
    /// (at least one job).
    func next(_ priority: EmbeddingPriority) -> EmbeddingWork? {
        state.withLock { state in
            if let work = Self.nextOfRound(&state[priority]) { return work }
            let textsMax = priority == .query ? Int.max : Self.roundTextsMax
            var texts = 0
            var count = 0
            for job in state[priority].jobs {
                guard count == 0 || texts + job.sequences.count <= textsMax else { break }
                texts += job.sequences.count
                count += 1
            }
            guard count > 0 else { return nil }
            state[priority].round = EmbeddingRound(Array(state[priority].jobs.prefix(count)))
            state[priority].next = 0
            state[priority].jobs.removeFirst(count)
            state[priority].queuedTexts -= texts
            return Self.nextOfRound(&state[priority])
        }
    }

    private static func nextOfRound(_ lane: inout Lane) -> EmbeddingWork? {
        guard let round = lane.round else { return nil }
        defer {
            lane.next += 1
            if lane.next >= round.batches.count { lane.round = nil }
        }
        return lane.next < round.batches.count ? EmbeddingWork(round: round, batch: round.batches[lane.next]) : nil
    }

    /// Blocks a worker's thread until a job arrived or the queue was stopped; may return without either.
    func waitForArrival(_ priority: EmbeddingPriority) {
        switch priority {
        case .query: queryArrivals.wait()
        case .batch: batchArrivals.wait()
        }
    }

    private func wake(_ priority: EmbeddingPriority) {
        switch priority {
        case .query: queryArrivals.signal()
        case .batch: for _ in 0..<batchWorkers { batchArrivals.signal() }
        }
    }
}

extension EmbeddingError {
    static let stopped = EmbeddingError(.stopped, "embed", reason: "the embedder was stopped")

    static func overloaded(waiting: Int, of what: String) -> EmbeddingError {
        EmbeddingError(.overloaded, "embed", reason: "\(waiting) \(what) are waiting already", hint: "try again later")
    }
}
