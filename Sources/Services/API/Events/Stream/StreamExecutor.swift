import Bytes
import Concurrency
import ServiceLifecycle
import Synchronization

/// Where the clients of the stream are served: one thread of their own, however many they are.
///
/// Every event wakes every client, and each looks at it with its own filter. On the executor that all requests share, that
/// work would stand in front of searches; here it waits for itself only. What runs here never blocks.
final class StreamExecutor: TaskExecutor {
    /// Behind searches: an event that comes a moment later is still in time.
    private let lane = Lane(name: "stream-clients", priority: .nice(5))
    private let state = Mutex(State())

    private struct State {
        var jobs: [UnownedJob] = []
        /// Whether the lane was asked to run what is there.
        var isPosted = false
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let mustPost = state.withLock { state in
            state.jobs.append(job)
            defer { state.isPosted = true }
            return !state.isPosted
        }
        guard mustPost else { return }
        do {
            // One closure at a time, for all jobs that are there by then.
            try lane.post { [self] in
                drain { $0.runSynchronously(on: asUnownedTaskExecutor()) }
            }
        } catch {
            // The system gave no thread: a job that is dropped would leave its client waiting for ever.
            drain { globalConcurrentExecutor.enqueue(ExecutorJob($0)) }
        }
    }

    private func drain(_ run: (UnownedJob) -> Void) {
        while true {
            let jobs = state.withLock { state in
                if state.jobs.isEmpty { state.isPosted = false }
                defer { state.jobs = [] }
                return state.jobs
            }
            guard !jobs.isEmpty else { return }
            for job in jobs { run(job) }
        }
    }
}
