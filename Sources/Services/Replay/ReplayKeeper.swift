import Concurrency
import Postgres
import Records
import Store
import Synchronization
import Telemetry

/// Keeps a replay's state in the database while it runs, and hears there what is asked of it.
final class ReplayKeeper: Sendable {
    private let store: Mutex<ReplayStore>
    private let lane = Lane(name: "replay-state")
    /// Of the beat: it waits for no other statement.
    private let beats: Mutex<ReplayStore>
    private let beatLane = Lane(name: "replay-beat")
    private let logger: Logger
    private static let statementMilliseconds = 30_000
    private static let beatNanoseconds: UInt64 = 1_000_000_000

    init(_ database: PostgresConfiguration, logger: Logger) {
        store = Mutex(ReplayStore(configuration: database))
        beats = Mutex(ReplayStore(configuration: database))
        self.logger = logger
    }

    func run<T: Sendable>(_ body: @escaping @Sendable (ReplayStore, Int) throws -> T) async throws -> T {
        try await lane.run { [self] in try store.withLock { try body($0, Self.statementMilliseconds) } }
    }

    /// Notes what is in lake and index; durable when it returns.
    func note(
        _ monitor: ReplayMonitor, of generation: Int64, position: (source: TopicPartition, nextOffset: Int64)? = nil
    ) async throws {
        let progress = monitor.progress
        let wish = try await run { store, limit in
            try store.note(
                progress.figures, phase: progress.phase.rawValue, of: generation, position: position,
                timeoutMilliseconds: limit)
        }
        if let wish { monitor.set(wish) }
    }

    /// Says each second that this process makes the generation, and hears what is asked of it; until the task is cancelled.
    func beat(_ monitor: ReplayMonitor, of generation: Int64) async {
        while !Task.isCancelled {
            let phase = monitor.progress.phase.rawValue
            do {
                let wish = try await beatLane.run { [self] in
                    try beats.withLock { store in
                        try store.touch(generation, phase: phase, timeoutMilliseconds: KeptReplay.beatMillisecondsMax)
                    }
                }
                if let wish { monitor.set(wish) }
            } catch {
                logger.debug("the state of a replay was not kept", ["error": "\(error)"])
            }
            try? await Task.sleep(nanoseconds: Self.beatNanoseconds)
        }
    }

    /// Notes how it ended; where that fails, it looks as if it had been cut short.
    func end(_ generation: Int64, _ state: KeptReplay.State, error: String = "") async {
        do {
            try await run { store, limit in
                try store.end(generation, state, error: error, timeoutMilliseconds: limit)
            }
        } catch {
            logger.warning("how a replay ended was not kept", ["error": "\(error)"])
        }
    }
}
