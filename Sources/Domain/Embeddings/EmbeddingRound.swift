import Synchronization

/// Texts of one `embed` call.
struct EmbeddingJob: Sendable {
    let id: UInt64
    /// Token ids per text.
    let sequences: [[Int32]]
    let continuation: CheckedContinuation<[[Float]], any Error>
}

/// Jobs whose texts are sorted together into micro-batches; each job is answered as soon as its last text is done.
final class EmbeddingRound: Sendable {
    private struct State {
        /// Per job; nil once it was answered.
        var results: [[[Float]]?]
        /// Texts per job that are not computed yet.
        var missing: [Int]
    }

    let batches: [MicroBatch]
    private let jobs: [EmbeddingJob]
    private let rows: [(job: Int, text: Int)]
    private let state: Mutex<State>

    /// - Parameters:
    ///   - tokensMax: of one micro-batch, padding included.
    ///   - isExact: see ``MicroBatch/plan(lengths:tokensMax:isExact:)``.
    init(_ jobs: [EmbeddingJob], tokensMax: Int = MicroBatch.tokensMax, isExact: Bool = false) {
        self.jobs = jobs
        let rows = jobs.indices.flatMap { job in jobs[job].sequences.indices.map { (job: job, text: $0) } }
        self.rows = rows
        batches = MicroBatch.plan(
            lengths: rows.map { jobs[$0.job].sequences[$0.text].count }, tokensMax: tokensMax, isExact: isExact)
        state = Mutex(
            State(
                results: jobs.map { [[Float]](repeating: [], count: $0.sequences.count) },
                missing: jobs.map(\.sequences.count)))
    }

    /// Token ids of a micro-batch's texts.
    func sequences(of batch: MicroBatch) -> [[Int32]] {
        batch.members.map { jobs[rows[$0].job].sequences[rows[$0].text] }
    }

    /// Takes the vectors of a micro-batch, and answers the jobs that are complete by it.
    func deliver(_ vectors: [[Float]], of batch: MicroBatch) {
        var complete: [(EmbeddingJob, [[Float]])] = []
        state.withLock { state in
            for (vector, member) in zip(vectors, batch.members) {
                let (job, text) = rows[member]
                state.results[job]?[text] = vector
                state.missing[job] -= 1
                if state.missing[job] == 0, let result = state.results[job].take() {
                    complete.append((jobs[job], result))
                }
            }
        }
        for (job, result) in complete { job.continuation.resume(returning: result) }
    }

    /// Answers a job with `CancellationError`, if it is one of this round and was not answered.
    func cancel(_ id: UInt64) {
        let cancelled = state.withLock { state in
            jobs.indices.first { jobs[$0].id == id }.flatMap { state.results[$0].take() == nil ? nil : $0 }
        }
        if let cancelled { jobs[cancelled].continuation.resume(throwing: CancellationError()) }
    }

    /// Whether a job that waits has texts in a micro-batch.
    func isWanted(_ batch: MicroBatch) -> Bool {
        state.withLock { state in batch.members.contains { state.results[rows[$0].job] != nil } }
    }

    /// Answers the jobs that have texts in a micro-batch with an error; later calls for them change nothing.
    func fail(_ batch: MicroBatch, with error: EmbeddingError) {
        let failed = state.withLock { state in
            Set(batch.members.map { rows[$0].job }).filter { state.results[$0].take() != nil }
        }
        for job in failed { jobs[job].continuation.resume(throwing: error) }
    }
}
