import Bytes
import Retrieval
import ServiceLifecycle
import Synchronization
import Telemetry

/// Keeps stored answers within their bounds, whatever the rate at which they come and whoever else runs.
///
/// Whose answer makes a look due waits for it, so writers cannot outrun the removing. A look that fails costs nobody an answer:
/// the next one makes up for it.
final class AnswerKeeper: Sendable {
    private let bounds: AnswerBounds
    /// Of its own, so that removing holds up no search.
    private let stores: LanePool<any RetrievalStore>
    private let logger: Logger
    private let added = Mutex<(rows: Int64, bytes: Int64)>((0, 0))
    private let isFailing = Atomic(false)

    /// Between two looks while nobody asks for answers: the old ones go all the same.
    private static let pauseMilliseconds = 60_000
    private static let stepMillisecondsMax = 10_000

    init(bounds: AnswerBounds, makeStore: @escaping @Sendable () throws -> any RetrievalStore, logger: Logger) {
        self.bounds = bounds
        self.logger = logger
        stores = LanePool(name: "index-answers", count: 1, make: makeStore)
    }

    /// Notes one more answer.
    func kept(bytes: Int) async {
        let isDue = added.withLock { added -> Bool in
            added.rows += 1
            added.bytes += Int64(bytes)
            guard bounds.isLookDue(rowsAdded: added.rows, bytesAdded: added.bytes) else { return false }
            added = (0, 0)
            return true
        }
        if isDue { _ = await step() }
    }

    /// Looks now and then until stopped, and then goes on until nothing is left to remove.
    func run(stop: StopSignal) async {
        guard bounds != AnswerBounds() else { return await stop.wait() }
        repeat {
            while !stop.isRequested, await step() > 0 {}
        } while !(await stop.pause(milliseconds: Self.pauseMilliseconds))
    }

    /// - Returns: answers removed; 0 where that failed.
    private func step() async -> Int64 {
        do {
            let bounds = bounds
            let removed = try await stores.run(deadline: Deadline(milliseconds: Self.stepMillisecondsMax)) {
                store, timeout in
                try store.tidyAnswers(
                    bounds, nowMilliseconds: SystemClock.epochMilliseconds(), timeoutMilliseconds: timeout)
            }
            isFailing.store(false, ordering: .relaxed)
            return removed
        } catch {
            if !isFailing.exchange(true, ordering: .relaxed) {
                logger.warning("kept answers cannot be removed; tried again", ["error": "\(error)"])
            }
            return 0
        }
    }
}
