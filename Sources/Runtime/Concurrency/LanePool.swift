package import Bytes
import Synchronization

/// A few lanes, each with a blocking resource of its own (a database connection), made on the lane when first needed
/// and again after an error.
///
/// Tasks wait for a lane as for any of ``Places``. A cancelled task waits no longer, does not begin its work, and stops it
/// where the resource can be stopped.
package final class LanePool<Resource>: Sendable {
    private let lanes: [PoolLane<Resource>]
    private let name: String
    private let places: Places

    /// - Parameters:
    ///   - name: for threads and messages.
    ///   - count: lanes, and so resources.
    ///   - waitersMax: tasks that may wait for a lane.
    ///   - waitMillisecondsMax: how long one may wait before it is refused, if its deadline allows more.
    ///   - priority: of the lanes' threads.
    ///   - make: opens a resource; called on the lane that will own it. May throw, and is then called again at the next
    ///     use.
    ///   - interruption: how a resource's calls are stopped; nil where they cannot be. A resource that was stopped is kept.
    package init(
        name: String, count: Int, waitersMax: Int = 256, waitMillisecondsMax: Int = .max,
        priority: ThreadPriority = .ordinary,
        make: @escaping @Sendable () throws -> Resource,
        interruption: @escaping @Sendable (Resource) -> Interruption? = { _ in nil }
    ) {
        self.name = name
        lanes = (0..<max(count, 1)).map {
            PoolLane(name: "\(name)-\($0)", priority: priority, make: make, interruption: interruption)
        }
        places = Places(
            name: name, count: lanes.count, waitersMax: waitersMax, waitMillisecondsMax: waitMillisecondsMax)
    }

    /// Tasks that wait for a lane.
    package var waiting: Int { places.waiting }

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
        let index = try await places.take(deadline, waitMillisecondsMax: waitMillisecondsMax)
        defer { places.giveBack(index) }
        return try await run(at: index, deadline, body)
    }

    private func run<T: Sendable>(
        at index: Int, _ deadline: Deadline,
        _ body: @escaping @Sendable (Resource, _ timeoutMilliseconds: Int) throws -> T
    ) async throws -> T {
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

    /// Runs `first` on the calling thread, in the place of a lane that is left alone meanwhile, and where that gives nil `body` on
    /// the lane. It takes its turn once, like all who use lanes.
    ///
    /// - Parameter first: takes some milliseconds at most, waits for nothing, and needs no resource of a lane.
    /// - Throws: as ``run(deadline:waitMillisecondsMax:_:)`` does, but what `first` throws costs no resource.
    package func run<T: Sendable>(
        deadline: Deadline, inPlace first: () throws -> T?,
        else body: @escaping @Sendable (Resource, _ timeoutMilliseconds: Int) throws -> T
    ) async throws -> T {
        let index = try await places.take(deadline)
        defer { places.giveBack(index) }
        let found: T?
        if let meter = WorkMeter.current { found = try meter.measure(first) } else { found = try first() }
        if let found { return found }
        return try await run(at: index, deadline, body)
    }

    /// Runs `body` on a lane that nobody wants, and stops it when somebody does. Of several lanes, one always stays free.
    ///
    /// - Returns: nil where no lane was idle, or the call gave way.
    package func runWhileIdle<T: Sendable>(
        timeoutMilliseconds: Int, _ body: @escaping @Sendable (Resource, _ timeoutMilliseconds: Int) throws -> T
    ) async throws -> T? {
        let call = LaneCall()
        guard let index = places.borrow(whenWanted: { call.cancel() }) else { return nil }
        defer { places.giveBack(index) }
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
        name: String, priority: ThreadPriority, make: @escaping @Sendable () throws -> Resource,
        interruption: @escaping @Sendable (Resource) -> Interruption?
    ) {
        lane = Lane(name: name, priority: priority)
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
