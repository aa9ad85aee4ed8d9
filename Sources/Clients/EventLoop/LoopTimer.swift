import CEvent
import Synchronization

/// A closure that a loop will run once, unless it is cancelled.
package final class LoopTimer: Sendable {
    private let loop: EventLoop
    private let state = Mutex<State>(State(job: nil, isOver: false))

    private struct State {
        var job: (@Sendable () -> Void)?
        var isOver: Bool
    }

    init(loop: EventLoop, job: @escaping @Sendable () -> Void) {
        self.loop = loop
        state.withLock { $0.job = job }
    }

    /// Makes sure that the closure does not start any more. Any thread; on the loop's own thread it never runs after
    /// this returns, elsewhere it may be running just now.
    package func cancel() {
        let wasPending = state.withLock { state -> Bool in
            defer { state = State(job: nil, isOver: true) }
            return !state.isOver
        }
        if wasPending { loop.execute { [self] in loop.removeTimer(self) } }
    }

    /// Runs the closure if nobody cancelled it; called by the loop.
    func fire() {
        let job = state.withLock { state -> (@Sendable () -> Void)? in
            defer { state = State(job: nil, isOver: true) }
            return state.job
        }
        job?()
    }

    var isOver: Bool { state.withLock { $0.isOver } }
}

/// The loop's side of a timer: the libevent event and who it belongs to. Only touched on the loop's thread.
final class TimerEvent {
    let timer: LoopTimer
    unowned let loop: EventLoop
    private var event: OpaquePointer?

    init(timer: LoopTimer, loop: EventLoop) {
        self.timer = timer
        self.loop = loop
    }

    /// False where libevent has no memory for another event.
    func start(base: OpaquePointer, milliseconds: Int) -> Bool {
        let callback: event_callback_fn = { _, _, context in
            guard let context else { return }
            let box = Unmanaged<TimerEvent>.fromOpaque(context).takeUnretainedValue()
            box.loop.fired(box)
        }
        event = event_new(base, -1, 0, callback, Unmanaged.passUnretained(self).toOpaque())
        guard let event else { return false }
        var delay = timeval(milliseconds: milliseconds)
        return event_add(event, &delay) == 0
    }

    func free() {
        if let event { event_free(event) }
        event = nil
    }
}

extension timeval {
    init(milliseconds: Int) {
        self.init(tv_sec: milliseconds / 1_000, tv_usec: milliseconds % 1_000 * 1_000)
    }
}
