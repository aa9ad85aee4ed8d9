import Bytes
import Concurrency
import HTTPEndpoints
import Retrieval
import Synchronization

/// Lets requests wait until an index version is visible. However many wait, the database is looked at 25 times a second at most,
/// and while they wait they hold no lane.
final class IndexVersionWatch: Sendable {
    private struct State {
        /// The newest version that was seen; versions only grow.
        var reached: Int64 = -1
        var lookedAt: Int64?
        var isLooking = false
        var waiting = 0
        var byCaller: [StreamSeats.Caller?: Int] = [:]
    }

    private let stores: StoreLanes
    private let state = Mutex(State())
    /// How long a request waits at most.
    let millisecondsMax: Int

    private static let lookNanoseconds: Int64 = 40_000_000
    private static let lookMillisecondsMax = 2_000
    /// Less is not enough to look, and what is left by rounding.
    private static let lookMillisecondsMin = 10
    private static let pauseMilliseconds = 50
    private static let waitersMax = 512
    private static let waitersPerCallerMax = 32

    init(stores: StoreLanes, millisecondsMax: Int) {
        self.stores = stores
        self.millisecondsMax = millisecondsMax
    }

    /// Waits until a version is visible, or the time is over.
    ///
    /// - Parameter caller: whose requests are counted together.
    /// - Throws: ``APIError`` with 409 where it does not come in time, 429 or 503 where too many wait; what looking throws.
    func wait(for version: Int64, by caller: StreamSeats.Caller?, deadline: Deadline) async throws {
        guard state.withLock({ $0.reached }) < version else { return }
        try enter(caller)
        defer { leave(caller) }
        let patience = Deadline(milliseconds: min(millisecondsMax, deadline.leftMilliseconds))
        while true {
            do {
                try await look(within: patience)
            } catch let error
                where patience.leftMilliseconds < Self.lookMillisecondsMin && !(error is CancellationError)
            {
                throw Self.late(version, state.withLock { $0.reached }, patience)
            }
            let reached = state.withLock { $0.reached }
            if reached >= version { return }
            guard !patience.hasPassed else { throw Self.late(version, reached, patience) }
            try await Task.sleep(for: .milliseconds(min(Self.pauseMilliseconds, max(1, patience.leftMilliseconds))))
        }
    }

    /// Looks at the database, unless somebody does, or has just done so.
    ///
    /// - Parameter patience: of the request that looks; others that wait look themselves when its time is over.
    private func look(within patience: Deadline) async throws {
        let isDue = state.withLock { state -> Bool in
            let now = SystemClock.monotonicNanoseconds()
            guard !state.isLooking, state.lookedAt.map({ now - $0 >= Self.lookNanoseconds }) ?? true else {
                return false
            }
            state.isLooking = true
            return true
        }
        guard isDue else { return }
        defer {
            state.withLock { state in
                state.isLooking = false
                state.lookedAt = SystemClock.monotonicNanoseconds()
            }
        }
        let limit = Deadline(milliseconds: min(Self.lookMillisecondsMax, patience.leftMilliseconds))
        let status = try await stores.run(deadline: limit) { store, timeout in
            try store.status(timeoutMilliseconds: timeout)
        }
        state.withLock { $0.reached = max($0.reached, status.indexVersion) }
    }

    private func enter(_ caller: StreamSeats.Caller?) throws {
        let refusal = state.withLock { state -> APIError? in
            guard state.waiting < Self.waitersMax else {
                return .unavailable("waiting for an index version", "as many requests wait as may")
            }
            let count = state.byCaller[caller] ?? 0
            guard count < Self.waitersPerCallerMax else {
                return APIError(
                    status: 429, type: "too_many_at_once",
                    message: "\(count) requests of this caller wait for an index version already, as many as may",
                    headers: ["Retry-After": "1"])
            }
            state.byCaller[caller] = count + 1
            state.waiting += 1
            return nil
        }
        if let refusal { throw refusal }
    }

    private func leave(_ caller: StreamSeats.Caller?) {
        state.withLock { state in
            state.waiting -= 1
            let left = (state.byCaller[caller] ?? 0) - 1
            state.byCaller[caller] = left > 0 ? left : nil
        }
    }

    private static func late(_ version: Int64, _ reached: Int64, _ patience: Deadline) -> APIError {
        APIError(
            status: 409, type: "index_version_not_reached",
            message: "the index is at version \(reached) and did not reach \(version) (min_index_version) within "
                + "\(patience.limitMilliseconds) ms; ask again later, ask for a version that a reply has named, or look whether "
                + "the indexer runs (GET /pipeline/status)")
    }
}
