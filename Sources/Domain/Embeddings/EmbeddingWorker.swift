import Bytes
import Dispatch
import Glibc
import Inference
import Synchronization

/// The thread that computes embeddings.
///
/// `@unchecked Sendable`: `model`, which is not thread-safe, is used by the thread that `start` makes and by nothing else;
/// the rest is immutable or behind a mutex.
final class EmbeddingWorker: @unchecked Sendable {
    /// Batch texts that one round sorts together; about half a second of work.
    private static let roundTextsMax = 256

    private let model: EmbeddingModel
    private let queue: EmbeddingQueue
    private let counters = Mutex(EmbedderStatistics())
    private let finished = DispatchSemaphore(value: 0)

    init(model: EmbeddingModel, queue: EmbeddingQueue) {
        self.model = model
        self.queue = queue
    }

    var statistics: EmbedderStatistics { counters.withLock { $0 } }

    /// Makes the thread; call once.
    func start() throws(EmbeddingError) {
        var thread = pthread_t()
        let box = Unmanaged.passRetained(self)
        let code = pthread_create(
            &thread, nil,
            { box in
                if let box { Unmanaged<EmbeddingWorker>.fromOpaque(box).takeRetainedValue().run() }
                return nil
            }, box.toOpaque())
        guard code == 0 else {
            box.release()
            throw EmbeddingError(.model, "start the embedder", reason: String(cString: strerror(code)))
        }
        pthread_detach(thread)
    }

    /// Waits until the thread has ended; may be called more than once.
    func join(timeoutSeconds: Int) {
        if finished.wait(timeout: .now() + .seconds(timeoutSeconds)) == .success { finished.signal() }
    }

    private func run() {
        while !queue.isStopped {
            let queries = queue.takeQueries()
            if !queries.isEmpty {
                compute(queries, priority: .query)
                continue
            }
            let batches = queue.takeBatches(textsMax: Self.roundTextsMax)
            if batches.isEmpty {
                queue.waitForArrival()
            } else {
                compute(batches, priority: .batch)
            }
        }
        finished.signal()
    }

    /// Computes jobs together and answers each as soon as its last text is done.
    private func compute(_ jobs: [EmbeddingJob], priority: EmbeddingPriority) {
        var rows: [(job: Int, text: Int)] = []
        for (job, entry) in jobs.enumerated() { rows += entry.sequences.indices.map { (job, $0) } }
        var results = jobs.map { [[Float]](repeating: [], count: $0.sequences.count) }
        var missing = jobs.map(\.sequences.count)
        let sequence = { (row: Int) in jobs[rows[row].job].sequences[rows[row].text] }
        for batch in MicroBatch.plan(lengths: rows.indices.map { sequence($0).count }) {
            if priority == .batch {
                let queries = queue.takeQueries()
                if !queries.isEmpty { compute(queries, priority: .query) }
            }
            do throws(EmbeddingError) {
                let vectors = try infer(batch, sequences: batch.members.map(sequence), priority: priority)
                for (vector, row) in zip(vectors, batch.members) {
                    let (job, text) = rows[row]
                    results[job][text] = vector
                    missing[job] -= 1
                    if missing[job] == 0 { jobs[job].continuation.resume(returning: results[job]) }
                }
            } catch {
                for job in jobs.indices where missing[job] > 0 { jobs[job].continuation.resume(throwing: error) }
                return
            }
        }
    }

    private func infer(
        _ batch: MicroBatch, sequences: [[Int32]], priority: EmbeddingPriority
    ) throws(EmbeddingError) -> [[Float]] {
        if queue.isStopped { throw EmbeddingError.stopped }
        let start = SystemClock.monotonicNanoseconds()
        let numbers: [Float]
        do {
            numbers = try model.infer(sequences, length: batch.length)
        } catch {
            throw EmbeddingError(.inference, error.operation, reason: error.reason)
        }
        let elapsed = SystemClock.monotonicNanoseconds() - start
        counters.withLock { counters in
            counters.texts += sequences.count
            counters.tokens += sequences.reduce(0) { $0 + $1.count }
            counters.microBatches += 1
            counters.busyNanoseconds += UInt64(clamping: elapsed)
            if priority == .query { counters.queries += sequences.count }
        }
        return sequences.indices.map { Array(numbers[$0 * model.dimensions..<($0 + 1) * model.dimensions]) }
    }
}
