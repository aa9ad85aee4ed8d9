import Dispatch
import Synchronization

/// Texts of one `embed` call on their way through the worker.
struct EmbeddingJob: Sendable {
    let id: UInt64
    /// Token ids per text.
    let sequences: [[Int32]]
    let continuation: CheckedContinuation<[[Float]], any Error>
}

/// A bounded queue with a fast lane for queries; filled by any task, drained by the one worker thread.
final class EmbeddingQueue: Sendable {
    private struct State {
        var queries: [EmbeddingJob] = []
        var batches: [EmbeddingJob] = []
        var queuedQueryTexts = 0
        var queuedBatchTexts = 0
        var nextID: UInt64 = 0
        var isStopped = false
    }

    private let state = Mutex(State())
    private let arrivals = DispatchSemaphore(value: 0)
    private let queryTextsMax: Int
    private let batchTextsMax: Int

    init(queryTextsMax: Int, batchTextsMax: Int) {
        self.queryTextsMax = queryTextsMax
        self.batchTextsMax = batchTextsMax
    }

    var isStopped: Bool { state.withLock { $0.isStopped } }

    /// Texts that wait, of both priorities.
    var queuedTexts: Int { state.withLock { $0.queuedQueryTexts + $0.queuedBatchTexts } }

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
            switch priority {
            case .query:
                guard state.queries.isEmpty || state.queuedQueryTexts + job.sequences.count <= queryTextsMax else {
                    return EmbeddingError.overloaded(waiting: state.queuedQueryTexts, of: "queries")
                }
                state.queries.append(job)
                state.queuedQueryTexts += job.sequences.count
            case .batch:
                guard state.batches.isEmpty || state.queuedBatchTexts + job.sequences.count <= batchTextsMax else {
                    return EmbeddingError.overloaded(waiting: state.queuedBatchTexts, of: "texts")
                }
                state.batches.append(job)
                state.queuedBatchTexts += job.sequences.count
            }
            return nil
        }
        if let refusal {
            job.continuation.resume(throwing: refusal)
        } else {
            arrivals.signal()
        }
    }

    /// Answers a job that still waits with `CancellationError`; one that is being computed runs to its end.
    func cancel(_ id: UInt64) {
        let job: EmbeddingJob? = state.withLock { state in
            if let index = state.queries.firstIndex(where: { $0.id == id }) {
                let job = state.queries.remove(at: index)
                state.queuedQueryTexts -= job.sequences.count
                return job
            }
            guard let index = state.batches.firstIndex(where: { $0.id == id }) else { return nil }
            let job = state.batches.remove(at: index)
            state.queuedBatchTexts -= job.sequences.count
            return job
        }
        job?.continuation.resume(throwing: CancellationError())
    }

    /// Refuses what comes, and answers what waits with an error.
    func stop() {
        let jobs = state.withLock { state in
            state.isStopped = true
            defer {
                state.queries = []
                state.batches = []
                state.queuedQueryTexts = 0
                state.queuedBatchTexts = 0
            }
            return state.queries + state.batches
        }
        for job in jobs { job.continuation.resume(throwing: EmbeddingError.stopped) }
        arrivals.signal()
    }

    /// All waiting queries; none is also an answer. Does not block.
    func takeQueries() -> [EmbeddingJob] {
        state.withLock { state in
            guard !state.queries.isEmpty else { return [] }
            defer {
                state.queries = []
                state.queuedQueryTexts = 0
            }
            return state.queries
        }
    }

    /// Waiting batch jobs in order of arrival, up to `textsMax` texts but at least one job if any waits.
    func takeBatches(textsMax: Int) -> [EmbeddingJob] {
        state.withLock { state in
            var texts = 0
            var count = 0
            while count < state.batches.count, count == 0 || texts + state.batches[count].sequences.count <= textsMax {
                texts += state.batches[count].sequences.count
                count += 1
            }
            defer { state.batches.removeFirst(count) }
            state.queuedBatchTexts -= texts
            return Array(state.batches[..<count])
        }
    }

    /// Blocks the worker's thread until a job arrived or the queue was stopped; may return without either.
    func waitForArrival() { arrivals.wait() }
}

extension EmbeddingError {
    static let stopped = EmbeddingError(.stopped, "embed", reason: "the embedder was stopped")

    static func overloaded(waiting: Int, of what: String) -> EmbeddingError {
        EmbeddingError(.overloaded, "embed", reason: "\(waiting) \(what) are waiting already", hint: "try again later")
    }
}
