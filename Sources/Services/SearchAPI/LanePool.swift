import Bytes
import HTTPEndpoints
import ServiceLifecycle
import Synchronization

/// Until when something must be done.
package struct Deadline: Sendable {
    private let nanoseconds: Int64
    /// The whole time that was given.
    package let limitMilliseconds: Int

    package init(milliseconds: Int) {
        limitMilliseconds = milliseconds
        nanoseconds = SystemClock.monotonicNanoseconds() + Int64(milliseconds) * 1_000_000
    }

    /// Milliseconds left; 0 when it has passed.
    package var leftMilliseconds: Int {
        Int(max(0, (nanoseconds - SystemClock.monotonicNanoseconds()) / 1_000_000))
    }

    /// Whether no time is left.
    package var hasPassed: Bool { leftMilliseconds == 0 }
}

/// A few lanes, each with a blocking resource of its own (a database connection), made on the lane when first needed
/// and again after an error.
///
/// The number of lanes bounds the work at once, `waitersMax` the requests that wait for it; further ones are refused, so
/// that an overload answers quickly instead of queueing without end.
package final class LanePool<Resource>: Sendable {
    private let lanes: [PoolLane<Resource>]
    private let waitersMax: Int
    private let name: String
    private let state: Mutex<PoolState>

    /// - Parameters:
    ///   - name: for threads and messages.
    ///   - count: lanes, and so resources.
    ///   - make: opens a resource; called on the lane that will own it. May throw, and is then called again at the next
    ///     use.
    package init(
        name: String, count: Int, waitersMax: Int = 256, make: @escaping @Sendable () throws -> Resource
    ) {
        self.name = name
        self.waitersMax = waitersMax
        lanes = (0..<max(count, 1)).map { PoolLane(name: "\(name)-\($0)", make: make) }
        state = Mutex(PoolState(idle: Array((0..<max(count, 1)).reversed())))
    }

    /// Runs `body` with a resource on its lane.
    ///
    /// - Throws: ``APIError`` with 503 when too many wait or the resource cannot be opened, with 504 when no lane became
    ///   free in time; else what `body` throws, after which the resource is given up and made anew.
    package func run<T: Sendable>(
        deadline: Deadline, _ body: @escaping @Sendable (Resource, _ timeoutMilliseconds: Int) throws -> T
    ) async throws -> T {
        let index = try await acquire(deadline)
        defer { release(index) }
        return try await lanes[index].run { resource in
            let left = deadline.leftMilliseconds
            guard left > 0 else {
                throw APIError.timeout("waiting for \(self.name)", milliseconds: deadline.limitMilliseconds)
            }
            return try body(resource, left)
        }
    }

    private func acquire(_ deadline: Deadline) async throws -> Int {
        let ticket: Int64
        switch state.withLock({ $0.take(waitersMax: waitersMax) }) {
        case .lane(let index): return index
        case .full: throw APIError.unavailable(name, "too many requests wait for it")
        case .wait(let number): ticket = number
        }
        // The waiter gives up by itself: release() hands lanes only to tickets that still wait.
        let timer = Task {
            try await Task.sleep(for: .milliseconds(deadline.leftMilliseconds))
            state.withLock { $0.removeWaiter(ticket) }?.resume(returning: nil)
        }
        defer { timer.cancel() }
        let index: Int? = await withCheckedContinuation { continuation in
            let immediate = state.withLock { $0.enqueue(ticket, continuation) }
            if let immediate { continuation.resume(returning: immediate) }
        }
        guard let index else {
            throw APIError.timeout("waiting for \(name)", milliseconds: deadline.limitMilliseconds)
        }
        return index
    }

    private func release(_ index: Int) {
        let next = state.withLock { $0.giveBack(index) }
        next?.resume(returning: index)
    }
}

/// Which lanes are free and who waits for one.
private struct PoolState {
    enum Taken {
        case lane(Int)
        case wait(ticket: Int64)
        case full
    }

    var idle: [Int]
    private var waiters: [(ticket: Int64, continuation: CheckedContinuation<Int?, Never>)] = []
    private var reserved = 0
    private var lastTicket: Int64 = 0

    init(idle: [Int]) {
        self.idle = idle
    }

    mutating func take(waitersMax: Int) -> Taken {
        if let index = idle.popLast() { return .lane(index) }
        guard waiters.count + reserved < waitersMax else { return .full }
        reserved += 1
        lastTicket += 1
        return .wait(ticket: lastTicket)
    }

    /// Lines a waiter up, or gives it a lane that became free between ``take(waitersMax:)`` and now.
    mutating func enqueue(_ ticket: Int64, _ continuation: CheckedContinuation<Int?, Never>) -> Int? {
        reserved -= 1
        if let index = idle.popLast() { return index }
        waiters.append((ticket, continuation))
        return nil
    }

    mutating func removeWaiter(_ ticket: Int64) -> CheckedContinuation<Int?, Never>? {
        guard let place = waiters.firstIndex(where: { $0.ticket == ticket }) else { return nil }
        return waiters.remove(at: place).continuation
    }

    /// The waiter that gets the lane, first come first served; without one the lane is idle.
    mutating func giveBack(_ index: Int) -> CheckedContinuation<Int?, Never>? {
        guard !waiters.isEmpty else {
            idle.append(index)
            return nil
        }
        return waiters.removeFirst().continuation
    }
}

/// One lane and the resource that lives on it.
///
/// `@unchecked Sendable` holds because `resource` is read and written only inside closures that the lane runs one after
/// the other on its single thread.
private final class PoolLane<Resource>: @unchecked Sendable {
    private let lane: Lane
    private let make: @Sendable () throws -> Resource
    private var resource: Resource?

    init(name: String, make: @escaping @Sendable () throws -> Resource) {
        lane = Lane(name: name)
        self.make = make
    }

    func run<T: Sendable>(_ body: @escaping @Sendable (Resource) throws -> T) async throws -> T {
        try await lane.run { [self] in
            let current = try resource ?? make()
            do {
                let result = try body(current)
                resource = current
                return result
            } catch {
                // A connection after an error or a time-out may hold half a reply: give it up.
                resource = nil
                throw error
            }
        }
    }
}
