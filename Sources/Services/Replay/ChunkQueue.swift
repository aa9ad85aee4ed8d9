import Dispatch
import Synchronization

/// Hands chunks from the reading lane to the indexing task. It holds two at most, and few bytes: reading waits for indexing.
final class ChunkQueue: Sendable {
    private typealias Taker = CheckedContinuation<RangeReplay.Chunk?, any Error>

    private struct State: Sendable {
        var chunks: [RangeReplay.Chunk] = []
        var bytes = 0
        var isFinished = false
        var isCancelled = false
        var taker: Taker?
    }

    private static let chunksMax = 2
    /// Bytes of lines; one larger chunk is held alone.
    static let bytesMax = 2 * RangeReplay.chunkBytesMax
    /// Only bounds a wait whose end was missed: it looks once more.
    private static let waitSecondsMax = 60

    private let state = Mutex(State())
    private let room = DispatchSemaphore(value: 0)

    /// Bytes that wait to be taken.
    var bytes: Int { state.withLock { $0.bytes } }

    /// Called on the lane; blocks it while the queue is full.
    ///
    /// - Throws: `CancellationError` after ``cancel()``.
    func put(_ chunk: RangeReplay.Chunk) throws {
        while true {
            let (isDone, taker) = try state.withLock { state throws(CancellationError) -> (Bool, Taker?) in
                if state.isCancelled { throw CancellationError() }
                if let taker = state.taker.take() { return (true, taker) }
                guard
                    state.chunks.isEmpty
                        || state.chunks.count < Self.chunksMax && state.bytes + chunk.bytes <= Self.bytesMax
                else { return (false, nil) }
                state.chunks.append(chunk)
                state.bytes += chunk.bytes
                return (true, nil)
            }
            taker?.resume(returning: chunk)
            if isDone { return }
            _ = room.wait(timeout: .now() + .seconds(Self.waitSecondsMax))
        }
    }

    /// No more will come.
    func finish() {
        let taker = state.withLock { state -> Taker? in
            state.isFinished = true
            return state.taker.take()
        }
        taker?.resume(returning: nil)
    }

    /// From now on both putting and taking throw an error.
    func cancel() {
        let taker = state.withLock { state -> Taker? in
            state.isCancelled = true
            (state.chunks, state.bytes) = ([], 0)
            return state.taker.take()
        }
        room.signal()
        taker?.resume(throwing: CancellationError())
    }

    /// The next chunk; nil when finished. For one task.
    ///
    /// - Throws: `CancellationError` where the queue or the task was cancelled.
    func next() async throws -> RangeReplay.Chunk? {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let answer = state.withLock {
                    state -> Result<RangeReplay.Chunk?, any Error>? in
                    if state.isCancelled { return .failure(CancellationError()) }
                    if !state.chunks.isEmpty {
                        let chunk = state.chunks.removeFirst()
                        state.bytes -= chunk.bytes
                        return .success(chunk)
                    }
                    if state.isFinished { return .success(nil) }
                    state.taker = continuation
                    return nil
                }
                guard let answer else { return }
                room.signal()
                continuation.resume(with: answer)
            }
        } onCancel: {
            cancel()
        }
    }
}
