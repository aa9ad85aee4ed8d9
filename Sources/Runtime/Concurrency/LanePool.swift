package import Bytes
import Synchronization

/// A few lanes, each with a blocking resource of its own (a database connection), made on the lane when first needed
/// and again after an error.
///
/// The number of lanes bounds the work at once, `waitersMax` the requests that wait for it, and `waitMillisecondsMax` how
/// long; further ones are refused, so that an overload answers quickly instead of queueing without end. A cancelled task
/// waits no longer, does not begin its work, and stops it where the resource can be stopped.
package final class LanePool<Resource>: Sendable {
    private let lanes: [PoolLane<Resource>]
    private let waitersMax: Int
    private let waitMillisecondsMax: Int
    private let name: String
    private let state: Mutex<PoolState>

    /// - Parameters:
    ///   - name: for threads and messages.
    ///   - count: lanes, and so resources.
    ///   - waitersMax: tasks that may wait for a lane.
    ///   - waitMillisecondsMax: how long one may wait before it is refused, if its deadline allows more.
    ///   - niceness: of the lanes' threads, see ``Threads/start(name:niceness:_:)``.
    ///   - make: opens a resource; called on the lane that will own it. May throw, and is then called again at the next
    ///     use.
    ///   - interruption: how a resource's calls are stopped; nil where they cannot be. A resource that was stopped is kept.
    package init(
        name: String, count: Int, waitersMax: Int = 256, waitMillisecondsMax: Int = .max, niceness: Int = 0,
        make: @escaping @Sendable () throws -> Resource,
        interruption: @escaping @Sendable (Resource) -> Interruption? = { _ in nil }
    ) {
        self.name = name
        self.waitersMax = waitersMax
        self.waitMillisecondsMax = waitMillisecondsMax
        lanes = (0..<max(count, 1)).map {
            PoolLane(name: "\(name)-\($0)", niceness: niceness, make: make, interruption: interruption)
        }
        state = Mutex(PoolState(idle: Array((0..<max(count, 1)).reversed())))
    }

    /// Tasks that wait for a lane.
    package var waiting: Int { state.withLock { $0.waiting } }

    /// Runs `body` with a resource on its lane.
    ///
    /// - Parameter waitMillisecondsMax: how long to wait for a lane, where less than the pool allows.
    /// - Throws: ``WaitError`` when too many wait, no lane became free soon, or none by the deadline; `CancellationError` when the task was cancelled before or, for a
    ///   resource that can be stopped, meanwhile; else what `body` throws, after which the resource is given up and made
    ///   anew.
    package func run<T: Sendable>(
        deadline: Deadline, waitMillisecondsMax: Int = .max,
        _ body: @escaping @Sendable (Resource, _ timeoutMilliseconds: Int) throws -> T
    ) async throws -> T {
        try Task.checkCancellation()
        let index = try await acquire(deadline, min(waitMillisecondsMax, self.waitMillisecondsMax))
        defer { release(index) }
        let call = LaneCall()
        let meter = WorkMeter.current
        return try await withTaskCancellationHandler {
            try await lanes[index].run(call) { resource in
                let left = deadline.leftMilliseconds
                guard left > 0 else {
                    throw WaitError.timeout("waiting for \(self.name)", milliseconds: deadline.limitMilliseconds)
                }
                guard let meter else { return try body(resource, left) }
                return try meter.measure { try body(resource, left) }
            }
        } onCancel: {
            call.cancel()
        }
    }

    /// Runs `body` on a lane that nobody wants, and stops it when somebody does. Of several lanes, one always stays free.
    ///
    /// - Returns: nil where no lane was idle, or the call gave way.
    package func runWhileIdle<T: Sendable>(
        timeoutMilliseconds: Int, _ body: @escaping @Sendable (Resource, _ timeoutMilliseconds: Int) throws -> T
    ) async throws -> T? {
        let call = LaneCall()
        guard let index = state.withLock({ $0.borrow(for: call) }) else { return nil }
        defer { release(index) }
        do {
            return try await withTaskCancellationHandler {
                try await lanes[index].run(call) { resource in try body(resource, timeoutMilliseconds) }
            } onCancel: {
                call.cancel()
            }
        } catch is CancellationError {
            return nil
        }
    }

    private func acquire(_ deadline: Deadline, _ waitMillisecondsMax: Int) async throws -> Int {
        let ticket: Int64
        let (taken, borrowed) = state.withLock {
            ($0.take(waitersMax: waitMillisecondsMax > 0 ? waitersMax : 0), $0.borrowed)
        }
        switch taken {
        case .lane(let index): return index
        case .full: throw WaitError.unavailable(name, "too many requests wait for it")
        case .wait(let number): ticket = number
        }
        for call in borrowed.values { call.cancel() }
        // A waiter gives up by itself: release() hands lanes only to tickets that still wait.
        let timer = Task {
            try await Task.sleep(for: .milliseconds(min(deadline.leftMilliseconds, waitMillisecondsMax)))
            state.withLock { $0.giveUp(ticket, .late) }?.resume(returning: .late)
        }
        defer { timer.cancel() }
        let outcome = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let immediate = state.withLock { $0.enqueue(ticket, continuation) }
                if let immediate { continuation.resume(returning: immediate) }
            }
        } onCancel: {
            state.withLock { $0.giveUp(ticket, .cancelled) }?.resume(returning: .cancelled)
        }
        switch outcome {
        case .lane(let index): return index
        case .cancelled: throw CancellationError()
        case .late where deadline.hasPassed:
            throw WaitError.timeout("waiting for \(name)", milliseconds: deadline.limitMilliseconds)
        case .late: throw WaitError.unavailable(name, "all of its \(lanes.count) lanes are busy; try again later")
        }
    }

    private func release(_ index: Int) {
        let next = state.withLock { $0.giveBack(index) }
        next?.resume(returning: .lane(index))
    }
}

/// How waiting for a lane ended.
private enum WaitOutcome {
    case lane(Int)
    case late
    case cancelled
}

/// Which lanes are free and who waits for one.
private struct PoolState {
    enum Taken {
        case lane(Int)
        case wait(ticket: Int64)
        case full
    }

    var idle: [Int]
    /// Calls on lanes that give way.
    private(set) var borrowed: [Int: LaneCall] = [:]
    private let count: Int
    private var waiters: [(ticket: Int64, continuation: CheckedContinuation<WaitOutcome, Never>)] = []
    /// Tickets that are not lined up yet; those given up already with how.
    private var reserved: [Int64: WaitOutcome?] = [:]
    private var lastTicket: Int64 = 0

    init(idle: [Int]) {
        self.idle = idle
        count = idle.count
    }

    var waiting: Int { waiters.count + reserved.count }

    mutating func take(waitersMax: Int) -> Taken {
        if let index = idle.popLast() { return .lane(index) }
        guard waiting < waitersMax else { return .full }
        lastTicket += 1
        reserved.updateValue(nil, forKey: lastTicket)
        return .wait(ticket: lastTicket)
    }

    /// An idle lane for a call that gives way; not the last one, unless there is but one.
    mutating func borrow(for call: LaneCall) -> Int? {
        guard waiting == 0, idle.count > (count > 1 ? 1 : 0), let index = idle.popLast() else { return nil }
        borrowed[index] = call
        return index
    }

    /// Lines a waiter up, unless it has given up, or a lane became free between ``take(waitersMax:)`` and now.
    mutating func enqueue(
        _ ticket: Int64, _ continuation: CheckedContinuation<WaitOutcome, Never>
    ) -> WaitOutcome? {
        if let given = reserved.removeValue(forKey: ticket), let outcome = given { return outcome }
        if let index = idle.popLast() { return .lane(index) }
        waiters.append((ticket, continuation))
        return nil
    }

    /// Takes a waiter out; one that has not lined up yet learns of it when it does.
    mutating func giveUp(_ ticket: Int64, _ outcome: WaitOutcome) -> CheckedContinuation<WaitOutcome, Never>? {
        if reserved[ticket] != nil {
            reserved.updateValue(outcome, forKey: ticket)
            return nil
        }
        guard let place = waiters.firstIndex(where: { $0.ticket == ticket }) else { return nil }
        return waiters.remove(at: place).continuation
    }

    /// The waiter that gets the lane, first come first served; without one the lane is idle.
    mutating func giveBack(_ index: Int) -> CheckedContinuation<WaitOutcome, Never>? {
        borrowed[index] = nil
        guard !waiters.isEmpty else {
            idle.append(index)
            return nil
        }
        return waiters.removeFirst().continuation
    }
}

/// One task's use of a lane, so that a cancellation meets that use and no later one.
private final class LaneCall: Sendable {
    private enum State {
        case waiting
        case running(Interruption?)
        case cancelled
        case over
    }

    private let state = Mutex(State.waiting)

    var isCancelled: Bool {
        state.withLock { if case .cancelled = $0 { true } else { false } }
    }

    /// From any thread.
    func cancel() {
        state.withLock { state in
            switch state {
            case .waiting: break
            // Under the lock: the call may not end before the request is made, or it would meet the next one.
            case .running(let interruption): interruption?.request()
            case .cancelled, .over: return
            }
            state = .cancelled
        }
    }

    /// False where it was cancelled before.
    func begin(_ interruption: Interruption?) -> Bool {
        state.withLock { state in
            guard case .waiting = state else { return false }
            state = .running(interruption)
            return true
        }
    }

    /// Whether it was cancelled meanwhile; nothing is requested afterwards.
    func end() -> Bool {
        state.withLock { state in
            defer { state = .over }
            if case .cancelled = state { return true }
            return false
        }
    }
}

/// One lane and the resource that lives on it.
///
/// `@unchecked Sendable` holds because `resource` is read and written only inside closures that the lane runs one after
/// the other on its single thread.
private final class PoolLane<Resource>: @unchecked Sendable {
    private let lane: Lane
    private let make: @Sendable () throws -> Resource
    private let interruption: @Sendable (Resource) -> Interruption?
    private var resource: Resource?

    init(
        name: String, niceness: Int, make: @escaping @Sendable () throws -> Resource,
        interruption: @escaping @Sendable (Resource) -> Interruption?
    ) {
        lane = Lane(name: name, niceness: niceness)
        self.make = make
        self.interruption = interruption
    }

    func run<T: Sendable>(_ call: LaneCall, _ body: @escaping @Sendable (Resource) throws -> T) async throws -> T {
        try await lane.run { [self] in
            guard !call.isCancelled else { throw CancellationError() }
            let current = try resource ?? make()
            let stopper = self.interruption(current)
            stopper?.clear()
            guard call.begin(stopper) else {
                resource = current
                throw CancellationError()
            }
            do {
                let result = try body(current)
                _ = call.end()
                resource = current
                return result
            } catch {
                let wasCancelled = call.end()
                // A resource after an error or a time-out may hold half a reply: give it up. One that knows how to stop
                // knows in what state it is.
                resource = wasCancelled && stopper != nil ? current : nil
                throw wasCancelled ? CancellationError() : error
            }
        }
    }
}
