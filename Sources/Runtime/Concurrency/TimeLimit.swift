import Glibc
import Synchronization

/// Runs `body`, but waits for it no longer than the limit; it is then cancelled, and what it returns is dropped.
///
/// - Parameters:
///   - timeout: what is thrown when the time has passed.
///   - isLight: whether `body` does little beside waiting. It is then begun on the calling thread and ended on the one that
///     ends its wait, so that no other thread is woken for it; what it does once it is cancelled is left to other threads.
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
        InPlaceExecutor.cancel(work)
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
        race.finish(.failure(CancellationError()))
        InPlaceExecutor.cancel(work)
    }
}

/// Runs the parts of a task on whatever thread resumes it. Only for tasks that do next to nothing between their waits: they hold
/// up that thread.
private final class InPlaceExecutor: TaskExecutor {
    static let shared = InPlaceExecutor()

    /// Of the thread's own value: not nil while it cancels a task. Nil where the system has no room for one more.
    private static let key: pthread_key_t? = {
        var key = pthread_key_t()
        return pthread_key_create(&key, nil) == 0 ? key : nil
    }()

    func enqueue(_ job: consuming ExecutorJob) {
        guard let key = Self.key, pthread_getspecific(key) == nil else {
            return globalConcurrentExecutor.enqueue(job)
        }
        UnownedJob(job).runSynchronously(on: asUnownedTaskExecutor())
    }

    /// Cancels a task that may be of this executor.
    ///
    /// Its handlers are called on this thread while the runtime holds the lock of the task's state, and end its wait: what comes
    /// after that wait must not run within them.
    static func cancel(_ task: Task<Void, Never>) {
        guard let key else { return task.cancel() }
        let before = pthread_getspecific(key)
        // Any address but null will do: nothing is read from it.
        pthread_setspecific(key, UnsafeRawPointer(bitPattern: 1))
        defer { pthread_setspecific(key, before) }
        task.cancel()
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
