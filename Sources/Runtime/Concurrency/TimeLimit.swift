import Synchronization

/// Runs `body`, but waits for it no longer than the limit; it is then cancelled, and what it returns is dropped.
///
/// - Parameters:
///   - timeout: what is thrown when the time has passed.
///   - isLight: whether `body` does little beside waiting. It is then begun on the calling thread and ended on the one that
///     ends its wait, so that no other thread is woken for it.
/// - Throws: what `body` throws; `CancellationError` at once when the task is cancelled.
package func withTimeLimit<T: Sendable>(
    milliseconds: Int, timeout: @escaping @Sendable () -> any Error, isLight: Bool = false,
    _ body: @escaping @Sendable () async throws -> T
) async throws -> T {
    let race = Race<T>()
    @Sendable func run() async {
        do { race.finish(.success(try await body())) } catch { race.finish(.failure(error)) }
    }
    let work =
        isLight ? Task.immediate(executorPreference: InPlaceExecutor.shared) { await run() } : Task { await run() }
    let end = { @Sendable in
        race.finish(.failure(timeout()))
        work.cancel()
    }
    let alarm = Alarms.shared.set(milliseconds: milliseconds, end)
    // Where there is no thread for alarms.
    let timer =
        alarm == nil
        ? Task {
            try await Task.sleep(for: .milliseconds(milliseconds))
            end()
        } : nil
    defer {
        if let alarm { Alarms.shared.cancel(alarm) }
        timer?.cancel()
    }
    return try await withTaskCancellationHandler {
        try await withCheckedThrowingContinuation { continuation in race.start(continuation) }
    } onCancel: {
        work.cancel()
        race.finish(.failure(CancellationError()))
    }
}

/// Runs the parts of a task on whatever thread resumes it. Only for tasks that do next to nothing between their waits: they hold
/// up that thread.
private final class InPlaceExecutor: TaskExecutor {
    static let shared = InPlaceExecutor()

    func enqueue(_ job: consuming ExecutorJob) {
        UnownedJob(job).runSynchronously(on: asUnownedTaskExecutor())
    }
}

/// The first of several results wins; the continuation is resumed once.
private final class Race<T: Sendable>: Sendable {
    private enum State {
        case empty
        case waiting(CheckedContinuation<T, any Error>)
        case early(Result<T, any Error>)
        case done
    }

    private let state = Mutex<State>(.empty)

    func start(_ continuation: CheckedContinuation<T, any Error>) {
        let early = state.withLock { state -> Result<T, any Error>? in
            guard case .early(let result) = state else {
                state = .waiting(continuation)
                return nil
            }
            state = .done
            return result
        }
        if let early { continuation.resume(with: early) }
    }

    func finish(_ result: Result<T, any Error>) {
        let waiting = state.withLock { state -> CheckedContinuation<T, any Error>? in
            switch state {
            case .empty:
                state = .early(result)
                return nil
            case .waiting(let continuation):
                state = .done
                return continuation
            case .early, .done: return nil
            }
        }
        waiting?.resume(with: result)
    }
}
