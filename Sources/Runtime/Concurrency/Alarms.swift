import Bytes
import Dispatch
import Synchronization

/// Closures that are called when their time has come, unless they are called off before, as nearly all are.
///
/// One thread serves all. It wakes for the first alarm of a row and not for each: limits are seldom reached, and a timer of
/// the system for every search woke a thread three times.
package final class Alarms: Sendable {
    /// Those of the process.
    package static let shared = Alarms()

    /// Names an alarm, so that it can be called off.
    package struct Alarm: Sendable {
        fileprivate let id: UInt64
    }

    private struct Entry {
        let dueNanoseconds: Int64
        let ring: @Sendable () -> Void
    }

    private struct State {
        var entries: [UInt64: Entry] = [:]
        var lastID: UInt64 = 0
        /// When the thread looks next, at the latest.
        var wakeNanoseconds = Int64.max
        /// Nil before it was tried to make the thread.
        var hasThread: Bool?
    }

    private let state = Mutex(State())
    private let bell = DispatchSemaphore(value: 0)

    /// Its thread begins with the first alarm, and lasts as long as the process.
    package init() {}

    /// Sets an alarm.
    ///
    /// - Parameters:
    ///   - milliseconds: from now; ten years at most.
    ///   - ring: called once on a thread that serves all alarms, so it must be quick.
    /// - Returns: nil where the system gives no thread.
    package func set(milliseconds: Int, _ ring: @escaping @Sendable () -> Void) -> Alarm? {
        let due =
            SystemClock.monotonicNanoseconds() + Int64(min(max(0, milliseconds), Self.millisecondsMax)) * 1_000_000
        let (alarm, isSooner): (Alarm?, Bool) = state.withLock { state in
            guard startIfNeeded(&state) else { return (nil, false) }
            state.lastID += 1
            state.entries[state.lastID] = Entry(dueNanoseconds: due, ring: ring)
            let isSooner = due < state.wakeNanoseconds
            if isSooner { state.wakeNanoseconds = due }
            return (Alarm(id: state.lastID), isSooner)
        }
        if isSooner { bell.signal() }
        return alarm
    }

    /// Calls an alarm off; one that rings just now may ring to its end.
    package func cancel(_ alarm: Alarm) {
        state.withLock { _ = $0.entries.removeValue(forKey: alarm.id) }
    }

    /// Alarms that were neither called off nor have rung.
    package var waiting: Int { state.withLock { $0.entries.count } }

    private func startIfNeeded(_ state: inout State) -> Bool {
        if let hasThread = state.hasThread { return hasThread }
        let isStarted = Threads.start(name: "alarms") { [self] in run() }
        state.hasThread = isStarted
        return isStarted
    }

    private func run() {
        while true {
            let now = SystemClock.monotonicNanoseconds()
            let (due, pause) = state.withLock { state in
                guard now >= state.wakeNanoseconds else { return ([Entry](), state.wakeNanoseconds - now) }
                let due = state.entries.filter { $0.value.dueNanoseconds <= now }
                for id in due.keys { state.entries[id] = nil }
                state.wakeNanoseconds = state.entries.values.map(\.dueNanoseconds).min() ?? .max
                return (
                    due.values.sorted { $0.dueNanoseconds < $1.dueNanoseconds }, state.wakeNanoseconds - now
                )
            }
            for entry in due { entry.ring() }
            // A long pause is cut, so that no sum of times can run over.
            if due.isEmpty { _ = bell.wait(timeout: .now() + .nanoseconds(Int(min(pause, Self.pauseMax)))) }
        }
    }

    private static let pauseMax: Int64 = 60_000_000_000
    /// Ten years, so that nanoseconds since the machine's start do not run over.
    private static let millisecondsMax = 10 * 366 * 24 * 3_600_000
}
