import Synchronization

/// For whom a task works, where several share what is scarce: the hash of whatever names them. Those who share one by chance
/// take their turns as one.
package enum WorkOwner {
    /// Nil where nobody said; such tasks take their turns as one owner.
    @TaskLocal package static var current: Int?
}

/// A number of things that each can be used by one task at a time, and the line of those who wait for one.
///
/// The owners of tasks (``WorkOwner``) take turns: next is who had a turn the longest ago, and of one owner's tasks the one that
/// came first. So somebody who asks now and then does not wait behind a crowd of another owner's tasks.
///
/// `waitersMax` bounds the tasks that wait, and `waitMillisecondsMax` how long; further ones are refused, so that an overload
/// answers quickly instead of queueing without end. Where the line is full, the last task of the owner who has most in it leaves
/// for one of an owner who has fewer. A cancelled task waits no longer.
package final class Places: Sendable {
    private let name: String
    private let count: Int
    private let waitersMax: Int
    private let waitMillisecondsMax: Int
    private let state: Mutex<PlacesState>

    /// - Parameters:
    ///   - name: for messages.
    ///   - count: at least one.
    ///   - waitersMax: tasks that may wait.
    ///   - waitMillisecondsMax: how long one may wait before it is refused, if its deadline allows more.
    package init(name: String, count: Int, waitersMax: Int = 256, waitMillisecondsMax: Int = .max) {
        self.name = name
        self.count = max(count, 1)
        self.waitersMax = waitersMax
        self.waitMillisecondsMax = waitMillisecondsMax
        state = Mutex(PlacesState(idle: Array((0..<max(count, 1)).reversed())))
    }

    /// Tasks that wait.
    package var waiting: Int { state.withLock { $0.waiting } }

    /// Runs `body` while it has a place.
    ///
    /// - Throws: as ``take(_:waitMillisecondsMax:)`` does, and what `body` throws.
    package func run<T>(deadline: Deadline, _ body: () async throws -> T) async throws -> T {
        let place = try await take(deadline)
        defer { giveBack(place) }
        return try await body()
    }

    /// Waits for a place, which is to be given back.
    ///
    /// - Parameter waitMillisecondsMax: how long to wait, where less than is allowed anyway.
    /// - Throws: ``WaitError`` when too many wait, none became free soon, or none by the deadline; `CancellationError` when the task
    ///   was cancelled.
    /// - Returns: its number, from 0.
    func take(_ deadline: Deadline, waitMillisecondsMax: Int = .max) async throws -> Int {
        try Task.checkCancellation()
        let waitMillisecondsMax = min(waitMillisecondsMax, self.waitMillisecondsMax)
        let owner = WorkOwner.current ?? 0
        let ticket: Int64
        let (taken, borrowed) = state.withLock {
            ($0.take(owner, waitersMax: waitMillisecondsMax > 0 ? waitersMax : 0), $0.borrowed)
        }
        switch taken {
        case .place(let index): return index
        case .full: throw full
        case .wait(let number, let leaving):
            leaving?.resume(returning: .full)
            ticket = number
        }
        for isWanted in borrowed.values { isWanted() }
        // A waiter gives up by itself: giveBack() hands places only to tickets that still wait.
        let timer = Task {
            try await Task.sleep(for: .milliseconds(min(deadline.leftMilliseconds, waitMillisecondsMax)))
            state.withLock { $0.giveUp(ticket, .late) }?.resume(returning: .late)
        }
        defer { timer.cancel() }
        let outcome = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let immediate = state.withLock { $0.enqueue(ticket, owner, continuation) }
                if let immediate { continuation.resume(returning: immediate) }
            }
        } onCancel: {
            state.withLock { $0.giveUp(ticket, .cancelled) }?.resume(returning: .cancelled)
        }
        switch outcome {
        case .place(let index): return index
        case .cancelled: throw CancellationError()
        case .full: throw full
        case .late where deadline.hasPassed:
            throw WaitError.timeout("waiting for \(name)", milliseconds: deadline.limitMilliseconds)
        case .late: throw WaitError.unavailable(name, "all of its \(count) lanes are busy; try again later")
        }
    }

    private var full: WaitError { .unavailable(name, "too many requests wait for it") }

    /// A place that nobody wants, which is to be given back; not the last one, unless there is but one.
    ///
    /// - Parameter whenWanted: called when somebody waits, perhaps more than once, and perhaps after it was given back.
    func borrow(whenWanted: @escaping @Sendable () -> Void) -> Int? {
        state.withLock { $0.borrow(whenWanted) }
    }

    func giveBack(_ index: Int) {
        let next = state.withLock { $0.giveBack(index) }
        next?.resume(returning: .place(index))
    }
}

/// How waiting for a place ended.
private enum WaitOutcome {
    case place(Int)
    case late
    case cancelled
    case full
}

/// Which places are free and who waits for one.
private struct PlacesState {
    enum Taken {
        case place(Int)
        /// - Parameter leaving: who left the line for it.
        case wait(ticket: Int64, leaving: CheckedContinuation<WaitOutcome, Never>?)
        case full
    }

    private struct Waiter {
        let ticket: Int64
        let owner: Int
        let continuation: CheckedContinuation<WaitOutcome, Never>
    }

    var idle: [Int]
    private let count: Int
    /// What tells those who gave way that somebody waits, by their places.
    private(set) var borrowed: [Int: @Sendable () -> Void] = [:]
    /// In order of arrival.
    private var waiters: [Waiter] = []
    /// Tickets that are not lined up yet; those given up already with how.
    private var reserved: [Int64: WaitOutcome?] = [:]
    private var lastTicket: Int64 = 0
    /// The number of each owner's last turn while others waited.
    private var turns: [Int: Int64] = [:]
    private var lastTurn: Int64 = 0

    /// Owners whose turns are remembered.
    private static let ownersMax = 4_096

    init(idle: [Int]) {
        self.idle = idle
        count = idle.count
    }

    var waiting: Int { waiters.count + reserved.count }

    mutating func take(_ owner: Int, waitersMax: Int) -> Taken {
        if let index = idle.popLast() { return .place(index) }
        var leaving: CheckedContinuation<WaitOutcome, Never>?
        if waiting >= waitersMax {
            guard waitersMax > 0, let waiter = makeRoom(for: owner) else { return .full }
            leaving = waiter
        }
        lastTicket += 1
        reserved.updateValue(nil, forKey: lastTicket)
        return .wait(ticket: lastTicket, leaving: leaving)
    }

    mutating func borrow(_ whenWanted: @escaping @Sendable () -> Void) -> Int? {
        guard waiting == 0, idle.count > (count > 1 ? 1 : 0), let index = idle.popLast() else { return nil }
        borrowed[index] = whenWanted
        return index
    }

    /// Takes the last waiter out of the owner who has most of them; nil where that would not be fairer.
    private mutating func makeRoom(for owner: Int) -> CheckedContinuation<WaitOutcome, Never>? {
        var counts: [Int: Int] = [:]
        for waiter in waiters { counts[waiter.owner, default: 0] += 1 }
        guard let most = counts.max(by: { ($0.value, $0.key) < ($1.value, $1.key) }),
            most.value > counts[owner, default: 0] + 1,
            let place = waiters.lastIndex(where: { $0.owner == most.key })
        else { return nil }
        return waiters.remove(at: place).continuation
    }

    /// Lines a waiter up, unless it has given up, or a place became free between ``take(_:waitersMax:)`` and now.
    mutating func enqueue(
        _ ticket: Int64, _ owner: Int, _ continuation: CheckedContinuation<WaitOutcome, Never>
    ) -> WaitOutcome? {
        if let given = reserved.removeValue(forKey: ticket), let outcome = given { return outcome }
        if let index = idle.popLast() { return .place(index) }
        waiters.append(Waiter(ticket: ticket, owner: owner, continuation: continuation))
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

    /// The waiter that gets the place; without one it is idle.
    mutating func giveBack(_ index: Int) -> CheckedContinuation<WaitOutcome, Never>? {
        borrowed[index] = nil
        guard let next = waiters.indices.min(by: { turn(of: $0) < turn(of: $1) }) else {
            idle.append(index)
            turns.removeAll(keepingCapacity: true)
            return nil
        }
        let waiter = waiters.remove(at: next)
        if turns.count >= Self.ownersMax {
            let waiting = Set(waiters.map(\.owner))
            turns = turns.filter { waiting.contains($0.key) }
        }
        lastTurn += 1
        turns[waiter.owner] = lastTurn
        return waiter.continuation
    }

    /// Smaller is sooner: who never had a turn, in order of arrival.
    private func turn(of place: Int) -> (Int64, Int) { (turns[waiters[place].owner] ?? 0, place) }
}
