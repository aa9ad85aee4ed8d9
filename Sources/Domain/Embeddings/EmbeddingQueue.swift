import Dispatch
import Synchronization

/// One micro-batch for a worker to compute.
struct EmbeddingWork: Sendable {
    let round: EmbeddingRound
    let batch: MicroBatch
    let priority: EmbeddingPriority
}

/// A bounded queue with a lane per priority; filled by any task, drained by the workers' threads.
final class EmbeddingQueue: Sendable {
    /// Batch texts that one round sorts together; a quarter of a second of work on two cores.
    static let roundTextsMax = 256
    /// Sentences that one round sorts together: about those of one answer, so that a later answer does not wait for many.
    static let sentenceRoundTextsMax = 64
    /// Tokens of a query beyond which it is computed as sentences are, ahead of them: nobody types so much, and shorter
    /// ones must not wait for it, nor for its share of the processor.
    static let queryTokensMax = 64

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
        var sentences: Lane
        var batches: Lane
        var replays: Lane
        var nextID: UInt64 = 0
        var isStopped = false

        subscript(_ priority: EmbeddingPriority) -> Lane {
            get {
                switch priority {
                case .query: queries
                case .sentence: sentences
                case .batch: batches
                case .replay: replays
                }
            }
            _modify {
                switch priority {
                case .query: yield &queries
                case .sentence: yield &sentences
                case .batch: yield &batches
                case .replay: yield &replays
                }
            }
        }
    }

    private let state: Mutex<State>
    private let queryArrivals = DispatchSemaphore(value: 0)
    private let sentenceArrivals = DispatchSemaphore(value: 0)
    private let batchArrivals = DispatchSemaphore(value: 0)
    /// Workers that an arrival of batch texts wakes.
    private let batchWorkers: Int

    init(queryTextsMax: Int, sentenceTextsMax: Int = 512, batchTextsMax: Int, batchWorkers: Int) {
        state = Mutex(
            State(
                queries: Lane(textsMax: queryTextsMax), sentences: Lane(textsMax: sentenceTextsMax),
                batches: Lane(textsMax: batchTextsMax), replays: Lane(textsMax: batchTextsMax)))
        self.batchWorkers = batchWorkers
    }

    var isStopped: Bool { state.withLock { $0.isStopped } }

    /// Texts that wait, of all priorities.
    var queuedTexts: Int {
        state.withLock { state in EmbeddingPriority.allCases.reduce(0) { $0 + state[$1].queuedTexts } }
    }

    /// Texts of one priority that wait.
    func queuedTexts(_ priority: EmbeddingPriority) -> Int { state.withLock { $0[priority].queuedTexts } }

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
    /// waits. Long queries (``queryTokensMax``) come before all sentences.
    func add(_ job: EmbeddingJob, priority wanted: EmbeddingPriority) {
        let isLong = wanted == .query && job.sequences.contains { $0.count > Self.queryTokensMax }
        let priority = isLong ? .sentence : wanted
        let refusal: EmbeddingError? = state.withLock { state in
            if state.isStopped { return EmbeddingError.stopped }
            let waiting = state[priority].queuedTexts
            guard state[priority].jobs.isEmpty || waiting + job.sequences.count <= state[priority].textsMax else {
                return EmbeddingError.overloaded(waiting: waiting, of: Self.plural(priority))
            }
            if isLong { state[priority].jobs.insert(job, at: 0) } else { state[priority].jobs.append(job) }
            state[priority].queuedTexts += job.sequences.count
            return nil
        }
        if let refusal {
            job.continuation.resume(throwing: refusal)
        } else {
            wake(priority)
        }
    }

    private static func plural(_ priority: EmbeddingPriority) -> String {
        switch priority {
        case .query: "queries"
        case .sentence: "sentences"
        case .batch, .replay: "texts"
        }
    }

    /// Answers a job with `CancellationError` and takes its texts out, also those of a round that has begun. What a worker
    /// computes already, it computes to the end.
    func cancel(_ id: UInt64) {
        var rounds: [EmbeddingRound] = []
        let job: EmbeddingJob? = state.withLock { state in
            for priority in EmbeddingPriority.allCases {
                guard let index = state[priority].jobs.firstIndex(where: { $0.id == id }) else {
                    if let round = state[priority].round { rounds.append(round) }
                    continue
                }
                let job = state[priority].jobs.remove(at: index)
                state[priority].queuedTexts -= job.sequences.count
                return job
            }
            return nil
        }
        if let job { return job.continuation.resume(throwing: CancellationError()) }
        for round in rounds { round.cancel(id) }
    }

    /// Refuses what comes, and answers what waits with an error.
    func stop() {
        var jobs: [EmbeddingJob] = []
        var works: [EmbeddingWork] = []
        state.withLock { state in
            state.isStopped = true
            for priority in EmbeddingPriority.allCases {
                jobs += state[priority].jobs
                state[priority].jobs = []
                state[priority].queuedTexts = 0
                while let work = Self.nextOfRound(&state[priority], priority) { works.append(work) }
            }
        }
        for job in jobs { job.continuation.resume(throwing: EmbeddingError.stopped) }
        for work in works { work.round.fail(work.batch, with: .stopped) }
        for priority in EmbeddingPriority.allCases { wake(priority) }
    }

    /// The next micro-batch of a priority, if there is any. Does not block.
    ///
    /// Waiting jobs become a new round in order of arrival: all queries, or jobs of up to ``sentenceRoundTextsMax`` or
    /// ``roundTextsMax`` texts (at least one job).
    func next(_ priority: EmbeddingPriority) -> EmbeddingWork? {
        state.withLock { state in
            if let work = Self.nextOfRound(&state[priority], priority) { return work }
            let (textsMax, tokensMax) =
                switch priority {
                case .query: (Int.max, MicroBatch.queryTokensMax)
                case .sentence: (Self.sentenceRoundTextsMax, MicroBatch.sentenceTokensMax)
                case .batch, .replay: (Self.roundTextsMax, MicroBatch.tokensMax)
                }
            var texts = 0
            var count = 0
            for job in state[priority].jobs {
                guard count == 0 || texts + job.sequences.count <= textsMax else { break }
                texts += job.sequences.count
                count += 1
            }
            guard count > 0 else { return nil }
            state[priority].round = EmbeddingRound(
                Array(state[priority].jobs.prefix(count)), tokensMax: tokensMax, isExact: priority == .query)
            state[priority].next = 0
            state[priority].jobs.removeFirst(count)
            state[priority].queuedTexts -= texts
            return Self.nextOfRound(&state[priority], priority)
        }
    }

    /// The next micro-batch for a worker of a priority. Those of documents compute a replay's where no others wait: between two
    /// micro-batches, also within a round that a replay has begun.
    func nextForWorker(of priority: EmbeddingPriority) -> EmbeddingWork? {
        next(priority) ?? (priority == .batch ? next(.replay) : nil)
    }

    /// Leaves out micro-batches that nobody waits for any more.
    private static func nextOfRound(_ lane: inout Lane, _ priority: EmbeddingPriority) -> EmbeddingWork? {
        guard let round = lane.round else { return nil }
        var found: EmbeddingWork?
        while found == nil, lane.next < round.batches.count {
            let batch = round.batches[lane.next]
            if round.isWanted(batch) { found = EmbeddingWork(round: round, batch: batch, priority: priority) }
            lane.next += 1
        }
        if lane.next >= round.batches.count { lane.round = nil }
        return found
    }

    /// Blocks a worker's thread until a job arrived or the queue was stopped; may return without either.
    func waitForArrival(_ priority: EmbeddingPriority) {
        switch priority {
        case .query: queryArrivals.wait()
        case .sentence: sentenceArrivals.wait()
        case .batch, .replay: batchArrivals.wait()
        }
    }

    private func wake(_ priority: EmbeddingPriority) {
        switch priority {
        case .query: queryArrivals.signal()
        case .sentence: sentenceArrivals.signal()
        case .batch, .replay: for _ in 0..<batchWorkers { batchArrivals.signal() }
        }
    }
}

extension EmbeddingError {
    static let stopped = EmbeddingError(.stopped, "embed", reason: "the embedder was stopped")

    static func overloaded(waiting: Int, of what: String) -> EmbeddingError {
        EmbeddingError(.overloaded, "embed", reason: "\(waiting) \(what) are waiting already", hint: "try again later")
    }
}
