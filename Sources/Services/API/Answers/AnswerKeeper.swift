import Bytes
import Concurrency
import Retrieval
import ServiceLifecycle
import Synchronization
import Telemetry

/// Keeps stored answers within their bounds, at any rate of new answers and beside any number of other processes.
///
/// Whose answer makes a look due waits for it, so writers cannot outrun the removing. A look that fails costs nobody an
/// answer: the next one makes up for it.
final class AnswerKeeper: Sendable {
    private let bounds: AnswerBounds
    /// Of its own, so that removing holds up no search.
    private let stores: LanePool<any RetrievalStore>
    private let logger: Logger
    private let clock: @Sendable () -> Int64
    private let state = Mutex(State())

    private struct State: Sendable {
        /// Since the last look.
        var rows: Int64 = 0
        var bytes: Int64 = 0
        /// After a look that failed, answers that are kept make none due until then.
        var waitsUntilNanoseconds: Int64 = 0
        var isFailing = false
    }

    /// Between two looks while nobody asks for answers: the old ones go all the same.
    private static let pauseMilliseconds = 60_000
    private static let stepMillisecondsMax = 10_000
    private static let pauseAfterFailureNanoseconds: Int64 = 1_000_000_000

    /// - Parameter clock: monotonic nanoseconds.
    init(
        bounds: AnswerBounds, makeStore: @escaping @Sendable () throws -> any RetrievalStore, logger: Logger,
        clock: @escaping @Sendable () -> Int64 = SystemClock.monotonicNanoseconds
    ) {
        self.bounds = bounds
        self.clock = clock
        self.logger = logger
        stores = LanePool(name: "index-answers", count: 1, make: makeStore)
    }

    /// Notes one more answer that may have been kept, and looks where that is due.
    func kept(bytes: Int) async {
        let now = clock()
        let due = state.withLock { state -> (rows: Int64, bytes: Int64)? in
            state.rows += 1
            state.bytes += Int64(bytes)
            guard bounds.isLookDue(rowsAdded: state.rows, bytesAdded: state.bytes), now >= state.waitsUntilNanoseconds
            else { return nil }
            defer { (state.rows, state.bytes) = (0, 0) }
            return (state.rows, state.bytes)
        }
        guard let due else { return }
        // A task of its own: a client that leaves takes no look with it.
        await Task {
            guard await step() == nil else { return }
            state.withLock { state in
                state.rows += due.rows
                state.bytes += due.bytes
                state.waitsUntilNanoseconds = clock() + Self.pauseAfterFailureNanoseconds
            }
        }.value
    }

    /// Checks at intervals until stopped; each check removes answers until the bounds hold.
    func run(stop: StopSignal) async {
        guard bounds != AnswerBounds() else { return await stop.wait() }
        repeat {
            while !stop.isRequested, let removed = await step(), removed > 0 {}
        } while !(await stop.pause(milliseconds: Self.pauseMilliseconds))
    }

    /// - Returns: answers removed; nil where that failed.
    private func step() async -> Int64? {
        do {
            let bounds = bounds
            let removed = try await stores.run(deadline: Deadline(milliseconds: Self.stepMillisecondsMax)) {
                store, timeout in
                try store.tidyAnswers(
                    bounds, nowMilliseconds: SystemClock.epochMilliseconds(), timeoutMilliseconds: timeout)
            }
            state.withLock { $0.isFailing = false }
            return removed
        } catch {
            let wasFailing = state.withLock { state in
                defer { state.isFailing = true }
                return state.isFailing
            }
            if !wasFailing {
                logger.warning("kept answers cannot be removed; tried again", ["error": "\(error)"])
            }
            return nil
        }
    }
}
