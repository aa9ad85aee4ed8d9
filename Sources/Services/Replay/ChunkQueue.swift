import Concurrency
import Dispatch
import Synchronization

/// What one stage of a replay hands to the next.
protocol HandedOver: Sendable {
    /// That it holds, roughly.
    var bytes: Int { get }
}

/// Hands chunks from a lane to a task or to another lane. It holds two at most, and few bytes: who puts waits for who takes.
final class ChunkQueue<Chunk: HandedOver>: Sendable {
    private typealias Taker = CheckedContinuation<Chunk?, any Error>

    private struct State: Sendable {
        var chunks: [Chunk] = []
        var bytes = 0
        var isFinished = false
        var isCancelled = false
        var taker: Taker?
    }

    private static var chunksMax: Int { 2 }
    /// Bytes of lines; one larger chunk is held alone.
    static var bytesMax: Int { 2 * RangeReplay.chunkBytesMax }
    /// Only bounds a wait whose end was missed: it looks once more.
    private static var waitSecondsMax: Int { 60 }

    private let state = Mutex(State())
    private let room = DispatchSemaphore(value: 0)
    /// For ``take()``.
    private let arrivals = DispatchSemaphore(value: 0)

    /// Bytes that wait to be taken.
    var bytes: Int { state.withLock { $0.bytes } }

    /// Called on the lane; blocks it while the queue is full.
    ///
    /// - Throws: `CancellationError` after ``cancel()``.
    func put(_ chunk: Chunk) throws {
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
            Self.wake(taker, .success(chunk))
            if isDone {
                arrivals.signal()
                return
            }
            _ = room.wait(timeout: .now() + .seconds(Self.waitSecondsMax))
        }
    }

    /// By a thread that does not stand back, unlike those that put.
    private static func wake(_ taker: Taker?, _ answer: Result<Chunk?, any Error>) {
        guard let taker else { return }
        Relay.perform { taker.resume(with: answer) }
    }

    /// No more will come.
    func finish() {
        let taker = state.withLock { state -> Taker? in
            state.isFinished = true
            return state.taker.take()
        }
        arrivals.signal()
        Self.wake(taker, .success(nil))
    }

    /// From now on both putting and taking throw an error.
    func cancel() {
        let taker = state.withLock { state -> Taker? in
            state.isCancelled = true
            (state.chunks, state.bytes) = ([], 0)
            return state.taker.take()
        }
        room.signal()
        arrivals.signal()
        Self.wake(taker, .failure(CancellationError()))
    }

    /// The next chunk; nil when finished. Called on one lane, which it blocks while there is none.
    ///
    /// - Throws: `CancellationError` where the queue was cancelled.
    func take() throws -> Chunk? {
        while true {
            if let answer = state.withLock({ Self.next(&$0) }) {
                room.signal()
                return try answer.get()
            }
            _ = arrivals.wait(timeout: .now() + .seconds(Self.waitSecondsMax))
        }
    }

    /// What the taker gets now; nil where it has to wait.
    private static func next(_ state: inout State) -> Result<Chunk?, any Error>? {
        if state.isCancelled { return .failure(CancellationError()) }
        if !state.chunks.isEmpty {
            let chunk = state.chunks.removeFirst()
            state.bytes -= chunk.bytes
            return .success(chunk)
        }
        return state.isFinished ? .success(nil) : nil
    }

    /// The next chunk; nil when finished. For one task.
    ///
    /// - Throws: `CancellationError` where the queue or the task was cancelled.
    func next() async throws -> Chunk? {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let answer = state.withLock { state in
                    let answer = Self.next(&state)
                    if answer == nil { state.taker = continuation }
                    return answer
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
