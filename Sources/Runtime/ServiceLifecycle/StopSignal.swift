import Concurrency
import Glibc
import Synchronization

/// Tells running work to drain: set once, seen by tasks (`wait`) and by blocking threads (`sleep`).
///
/// Threads wait on a pipe that becomes readable for good, so that a loop of poll(2) may include it.
package final class StopSignal: Sendable {
    private let state = Mutex(State())
    /// Readable from the moment a stop is requested; -1 where the system had no descriptor left, and then
    /// ``sleep(milliseconds:)`` looks every 50 ms instead.
    package var fileDescriptor: Int32 { pipe?.readEnd ?? -1 }
    private let pipe = WakePipe(blocksReader: false)

    private struct State {
        var isRequested = false
        var nextWaiter = 0
        var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
    }

    package init() {}

    /// Whether a stop was requested.
    package var isRequested: Bool { state.withLock { $0.isRequested } }

    /// Requests the stop; any number of times, from any thread.
    package func request() {
        let waiters = state.withLock { state in
            state.isRequested = true
            defer { state.waiters = [:] }
            return state.waiters.values.map { $0 }
        }
        pipe?.write()
        for waiter in waiters { waiter.resume() }
    }

    /// Returns when a stop is requested or the task is cancelled.
    package func wait() async {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isDone = state.withLock { state in
                    // A cancellation before this point finds no waiter to resume, so it is looked for here.
                    if state.isRequested || Task.isCancelled { return true }
                    state.waiters[id] = continuation
                    return false
                }
                if isDone { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
        }
    }

    /// Blocks the calling thread for at most `milliseconds`; true as soon as a stop was requested. For lanes and own
    /// threads, never for tasks.
    package func sleep(milliseconds: Int) -> Bool {
        let deadline = Monotonic.milliseconds() + Int64(max(0, milliseconds))
        while !isRequested {
            let left = deadline - Monotonic.milliseconds()
            if left <= 0 { return false }
            if fileDescriptor >= 0 {
                var descriptor = pollfd(fd: fileDescriptor, events: Int16(POLLIN), revents: 0)
                poll(&descriptor, 1, Int32(clamping: left))
            } else {
                usleep(useconds_t(min(left, 50) * 1_000))
            }
        }
        return true
    }

    /// Suspends the task for at most `milliseconds`; true as soon as a stop was requested or the task was cancelled.
    package func pause(milliseconds: Int) async -> Bool {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.wait() }
            group.addTask { try? await Task.sleep(for: .milliseconds(milliseconds)) }
            await group.next()
            group.cancelAll()
        }
        return isRequested || Task.isCancelled
    }
}
