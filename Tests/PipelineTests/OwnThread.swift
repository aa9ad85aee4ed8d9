import Dispatch
import Testing

/// Runs a test on a thread of its own: these tests wait for processes, and the cooperative pool is the other tests'.
final class OwnThread: TaskExecutor {
    private let queue = DispatchQueue(label: "pipeline-test")

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }

    /// The body may block; expectations in it belong to the test that called.
    static func run(_ body: @escaping @Sendable () async throws -> Void) async throws {
        try await withTaskExecutorPreference(OwnThread()) { try await body() }
    }
}

/// All of them share two cores with everything else, so they run one after the other.
@Suite(.serialized) enum PipelineTests {}
