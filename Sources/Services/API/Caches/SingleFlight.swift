import Concurrency
import Synchronization

/// Lets one of several equal requests work while the others wait for what it keeps.
///
/// Where the one that works fails or its client leaves, the next one takes its place; where it kept nothing, all work at once, since
/// the next one may keep nothing either. Each waits for a bounded time, and then works by itself.
final class SingleFlight: Sendable {
    /// What a request is to do.
    enum Turn: Sendable {
        /// Work, and then call ``SingleFlight/leave(_:_:)``.
        case first
        /// Look for what another kept.
        case done
        /// Work; nobody waits for it.
        case alone
    }

    /// What came of the work of the one that was ``Turn/first``.
    enum Outcome: Sendable {
        /// There is something for the others.
        case kept
        /// It was done, and nothing may be kept of it.
        case unkept
        case failed
    }

    private struct Waiter {
        let id: UInt64
        let continuation: CheckedContinuation<Turn, Never>
    }

    private struct State {
        var flights: [String: [Waiter]] = [:]
        var lastID: UInt64 = 0
    }

    private let state = Mutex(State())
    private static let waitersMax = 10_000

    /// - Parameter milliseconds: how long it waits at most.
    /// - Throws: `CancellationError` where the task is cancelled meanwhile.
    func enter(_ key: String, milliseconds: Int) async throws -> Turn {
        let (turn, id) = state.withLock { state -> (Turn?, UInt64) in
            guard let waiters = state.flights[key] else {
                state.flights[key] = []
                return (.first, 0)
            }
            guard waiters.count < Self.waitersMax else { return (.alone, 0) }
            state.lastID += 1
            return (nil, state.lastID)
        }
        if let turn { return turn }
        let alarm = Mutex<Alarms.Alarm?>(nil)
        defer { if let alarm = alarm.withLock({ $0 }) { Alarms.shared.cancel(alarm) } }
        let given = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let early = state.withLock { state -> Turn? in
                    // Before this point a cancellation finds nobody to resume, and the work may have ended.
                    if Task.isCancelled { return .alone }
                    guard state.flights[key] != nil else { return .done }
                    state.flights[key]?.append(Waiter(id: id, continuation: continuation))
                    return nil
                }
                if let early { return continuation.resume(returning: early) }
                // Not before there is somebody whom it finds.
                let set = Alarms.shared.set(milliseconds: max(1, milliseconds)) { self.resume(id, of: key, .alone) }
                alarm.withLock { $0 = set }
                if set == nil { resume(id, of: key, .alone) }
            }
        } onCancel: {
            resume(id, of: key, .alone)
        }
        // One that is first goes on, so that what is thrown lets the next one in.
        if case .first = given { return given }
        try Task.checkCancellation()
        return given
    }

    /// Ends the work of the one that was ``Turn/first``.
    func leave(_ key: String, _ outcome: Outcome) {
        let (resumed, turn) = state.withLock { state -> ([Waiter], Turn) in
            guard outcome == .failed, state.flights[key]?.isEmpty == false, let next = state.flights[key]?.removeFirst()
            else {
                return (state.flights.removeValue(forKey: key) ?? [], outcome == .unkept ? .alone : .done)
            }
            return ([next], .first)
        }
        for waiter in resumed { waiter.continuation.resume(returning: turn) }
    }

    private func resume(_ id: UInt64, of key: String, _ turn: Turn) {
        let waiter = state.withLock { state -> Waiter? in
            guard let place = state.flights[key]?.firstIndex(where: { $0.id == id }) else { return nil }
            return state.flights[key]?.remove(at: place)
        }
        waiter?.continuation.resume(returning: turn)
    }

    /// Requests that wait, and pieces of work, for tests.
    var load: (flights: Int, waiting: Int) {
        state.withLock { state in (state.flights.count, state.flights.values.reduce(0) { $0 + $1.count }) }
    }
}
