import Bytes
import Synchronization

/// Hands chunks from the reading lane to the indexing task; holds two at most, so that reading waits for indexing.
final class ChunkQueue: Sendable {
    private struct State: Sendable {
        var chunks: [RangeReplay.Chunk] = []
        var isFinished = false
        var isCancelled = false
    }

    private static let chunksMax = 2
    private let state = Mutex(State())

    /// Called on the lane; blocks it while the queue is full.
    func put(_ chunk: RangeReplay.Chunk) throws {
        while true {
            let isDone = try state.withLock { state in
                if state.isCancelled { throw CancellationError() }
                guard state.chunks.count < Self.chunksMax else { return false }
                state.chunks.append(chunk)
                return true
            }
            if isDone { return }
            Pause.milliseconds(2)
        }
    }

    /// No more will come.
    func finish() { state.withLock { $0.isFinished = true } }

    /// Whoever puts gets an error from now on.
    func cancel() { state.withLock { $0.isCancelled = true } }

    /// The next chunk; nil when finished.
    func next() async throws -> RangeReplay.Chunk? {
        while true {
            let (chunk, isOver) = state.withLock { state in
                state.chunks.isEmpty ? (nil, state.isFinished) : (state.chunks.removeFirst(), false)
            }
            if let chunk { return chunk }
            if isOver { return nil }
            try await Task.sleep(nanoseconds: 2_000_000)
        }
    }
}
