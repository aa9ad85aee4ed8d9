import API
import Bytes
import Concurrency
import Console
import Lake
import Postgres
import Replay
import Store
import Synchronization

/// Runs replays that are asked for over HTTP, one at a time, and remembers how the last ones ended. What it runs when the
/// process ends is cut short: it stays as it is, and may go on later.
final class ReplayRunner: Sendable {
    /// One that this process runs or ran.
    struct Run: Sendable {
        let id: String
        let isDryRun: Bool
        let topics: [String]
        let keyID: String
        let startedAtMilliseconds: Int64
        let monitor: ReplayMonitor
        var report: ReplayReport?
        /// Why it failed; nil while it runs and where it did not.
        var error: String?
        var isOver = false
        fileprivate var task: Task<Void, Never>?
    }

    private struct State: Sendable {
        var current: Run?
        var ended: [Run] = []
        var dryRuns = 0
    }

    /// How many that are over are remembered.
    private static let endedMax = 20
    private let state = Mutex(State())

    /// Those that this process knows, the newest first.
    var runs: [Run] { state.withLock { ($0.current.map { [$0] } ?? []) + $0.ended } }

    func run(_ id: String) -> Run? { runs.first { $0.id == id || Self.name(of: $0) == id } }

    /// Begins a dry run.
    ///
    /// - Returns: its id.
    func begin(
        topics: [String], keyID: String, monitor: ReplayMonitor,
        _ body: @escaping @Sendable () async throws -> ReplayReport
    ) throws -> String {
        try begin(id: nil, topics: topics, keyID: keyID, monitor, body)
    }

    /// Begins, or goes on with, a replay; its id is its generation's number, which is known once it is made.
    func begin(
        generation: Int64?, topics: [String], keyID: String, monitor: ReplayMonitor,
        _ body: @escaping @Sendable () async throws -> ReplayReport
    ) async throws -> String {
        let placeholder = generation.map { "\($0)" } ?? "new"
        _ = try begin(id: placeholder, topics: topics, keyID: keyID, monitor, body)
        // It waits for a lock of the lake at most; longer than that nobody waits for a reply.
        for _ in 0..<1_000 {
            if let number = monitor.progress.generation { return "\(number)" }
            if let ended = run(placeholder), ended.isOver {
                throw APIError(status: 409, type: "replay_refused", message: ended.error ?? "it ended at once")
            }
            try await Task.sleep(nanoseconds: 20_000_000)
        }
        throw APIError.unavailable(
            "the replay", "its generation could not be made in time; GET /replays shows it later")
    }

    private func begin(
        id: String?, topics: [String], keyID: String, _ monitor: ReplayMonitor,
        _ body: @escaping @Sendable () async throws -> ReplayReport
    ) throws -> String {
        let started: Run = try state.withLock { state in
            if let current = state.current {
                throw APIError(
                    status: 409, type: "replay_running",
                    message:
                        "the replay \(Self.name(of: current)) runs here, and one runs at a time; pause or end it first")
            }
            if id == nil { state.dryRuns += 1 }
            let run = Run(
                id: id ?? "dry-\(state.dryRuns)", isDryRun: id == nil, topics: topics, keyID: keyID,
                startedAtMilliseconds: SystemClock.epochMilliseconds(), monitor: monitor)
            state.current = run
            return run
        }
        let task = Task {
            let outcome: Result<ReplayReport, any Error>
            do { outcome = .success(try await body()) } catch { outcome = .failure(error) }
            self.end(outcome)
        }
        state.withLock { $0.current?.task = task }
        return started.id
    }

    private static func name(of run: Run) -> String { run.monitor.progress.generation.map { "\($0)" } ?? run.id }

    private func end(_ outcome: Result<ReplayReport, any Error>) {
        state.withLock { state in
            guard var run = state.current else { return }
            switch outcome {
            case .success(let report): run.report = report
            case .failure(let error): run.error = error is CancellationError ? "it was ended" : "\(error)"
            }
            run.isOver = true
            run.task = nil
            let number = run.monitor.progress.generation
            let ended = Run(
                id: run.isDryRun ? run.id : number.map { "\($0)" } ?? run.id, isDryRun: run.isDryRun,
                topics: run.topics, keyID: run.keyID, startedAtMilliseconds: run.startedAtMilliseconds,
                monitor: run.monitor, report: run.report, error: run.error, isOver: true)
            state.current = nil
            state.ended.removeAll { $0.id == ended.id }
            state.ended.insert(ended, at: 0)
            if state.ended.count > Self.endedMax { state.ended.removeLast() }
        }
    }

    /// Ends one that runs here: a dry run for good, a replay so that it may go on.
    func cancel(_ id: String) {
        state.withLock { state in
            guard let current = state.current, current.id == id || Self.name(of: current) == id else { return }
            current.monitor.cancel()
            current.task?.cancel()
        }
    }
}
