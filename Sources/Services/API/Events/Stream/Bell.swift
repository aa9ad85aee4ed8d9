import Synchronization

/// Wakes tasks that wait for news. A task reads ``count`` before it looks, and waits for a later count, so that no news is
/// missed in between.
final class Bell: Sendable {
    private let state = Mutex(State())

    private struct State {
        var count = 0
        var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
        var lastTicket = 0
    }

    /// How often it rang.
    var count: Int { state.withLock { $0.count } }

    /// Wakes all who wait.
    func ring() {
        let waiters = state.withLock { state in
            state.count += 1
            defer { state.waiters = [:] }
            return state.waiters
        }
        for waiter in waiters.values { waiter.resume() }
    }

    /// Returns once it rang more often than `count`, or when the task is cancelled.
    func wait(after count: Int) async {
        let ticket = state.withLock { state in
            state.lastTicket += 1
            return state.lastTicket
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isNow = state.withLock { state in
                    if state.count > count || Task.isCancelled { return true }
                    state.waiters[ticket] = continuation
                    return false
                }
                if isNow { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: ticket) }?.resume()
        }
    }
}
