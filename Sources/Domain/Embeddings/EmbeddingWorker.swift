import Bytes
import Dispatch
import Glibc
import Inference
import Synchronization

/// A thread that computes embeddings of one priority.
///
/// `@unchecked Sendable`: `request`, which is not thread-safe, is used by the thread that `start` makes and by nothing
/// else; the rest is immutable or behind a mutex.
final class EmbeddingWorker: @unchecked Sendable {
    private let request: InferenceRequest
    private let priority: EmbeddingPriority
    private let queue: EmbeddingQueue
    private let counters = Mutex(EmbedderStatistics())
    private let finished = DispatchSemaphore(value: 0)

    init(
        request: InferenceRequest, priority: EmbeddingPriority, queue: EmbeddingQueue
    ) {
        self.request = request
        self.priority = priority
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
        // OpenVINO computes on threads of its own, which stand back, where there are several streams; this one wakes tasks.
        while !queue.isStopped {
            guard let work = queue.nextForWorker(of: priority) else {
                queue.waitForArrival(priority)
                continue
            }
            do throws(EmbeddingError) {
                work.round.deliver(try infer(work), of: work.batch)
            } catch {
                work.round.fail(work.batch, with: error)
            }
        }
        finished.signal()
    }

    private func infer(_ work: EmbeddingWork) throws(EmbeddingError) -> [[Float]] {
        let sequences = work.round.sequences(of: work.batch)
        let start = SystemClock.monotonicNanoseconds()
        let numbers: [Float]
        do {
            numbers = try request.infer(sequences, length: work.batch.length)
        } catch {
            throw EmbeddingError(.inference, error.operation, reason: error.reason)
        }
        let elapsed = SystemClock.monotonicNanoseconds() - start
        counters.withLock { counters in
            counters.texts += sequences.count
            counters.tokens += sequences.reduce(0) { $0 + $1.count }
            counters.microBatches += 1
            counters.busyNanoseconds += UInt64(clamping: elapsed)
            if work.priority == .query { counters.queries += sequences.count }
        }
        let width = request.dimensions
        return sequences.indices.map { Array(numbers[$0 * width..<($0 + 1) * width]) }
    }
}
