import Concurrency
import Glibc
import Synchronization

/// The signals that ask this process to end, counted and passed to one listener.
///
/// The handler only writes a byte to a pipe, which is all a signal handler may do (signal-safety(7)); a thread reads it.
/// Children started later get the default handling back by exec, as POSIX says of caught signals.
package enum StopRequests {
    private static let wake = Atomic<Int32>(-1)

    /// Calls `body` on an own thread for every SIGINT and SIGTERM, with 1, 2, … and the signal's number. SIGPIPE is
    /// ignored from now on: writing to a closed socket is an error value. A later call replaces the listener.
    ///
    /// - Returns: false where the system had no descriptor or thread left; the signals then end the process as usual.
    package static func listen(_ body: @escaping @Sendable (_ count: Int, _ signal: Int32) -> Void) -> Bool {
        guard let pipe = WakePipe(blocksReader: true) else { return false }
        let isStarted = Threads.start(name: "signals") {
            var count = 0
            while let byte = pipe.read() {
                count += 1
                body(count, Int32(byte))
            }
        }
        guard isStarted else { return false }
        // The thread keeps its pipe for good, so the handler never writes to a closed or reused descriptor.
        wake.store(pipe.writeEnd, ordering: .sequentiallyConsistent)
        signal(SIGINT, forward)
        signal(SIGTERM, forward)
        signal(SIGPIPE, SIG_IGN)
        return true
    }

    private static let forward: @convention(c) (Int32) -> Void = { number in
        WakePipe.write(UInt8(truncatingIfNeeded: number), to: StopRequests.wake.load(ordering: .relaxed))
    }
}

/// SIGHUP, which asks this process to read its declarations again and never ends it.
///
/// A process whose terminal went away is the exception: nobody sees it any more, so the loss of the terminal that it had at its start
/// is passed on as SIGTERM, and it drains.
package enum ReloadRequests {
    private static let wake = Atomic<Int32>(-1)
    private static let state = Mutex(State())

    private struct State {
        var isCaught = false
        /// A signal came before there was a listener.
        var isPending = false
        var listener: (@Sendable () -> Void)?
    }

    /// From now on SIGHUP does not end this process. What comes before ``listen(_:)`` is kept for it.
    ///
    /// - Returns: false where the system had no descriptor or thread left; the signal is then ignored.
    @discardableResult
    package static func catchSignal() -> Bool {
        state.withLock { state in
            if state.isCaught { return true }
            signal(SIGHUP, SIG_IGN)
            guard let pipe = WakePipe(blocksReader: true) else { return false }
            let hadTerminal = isatty(STDERR_FILENO) == 1
            let isStarted = Threads.start(name: "reloads") {
                while pipe.read() != nil {
                    if hadTerminal, isatty(STDERR_FILENO) != 1 { kill(getpid(), SIGTERM) }
                    deliver()
                }
            }
            guard isStarted else { return false }
            wake.store(pipe.writeEnd, ordering: .sequentiallyConsistent)
            signal(SIGHUP, forward)
            state.isCaught = true
            return true
        }
    }

    /// Calls `body` on an own thread for every SIGHUP. A storm of them may be told as one. A later call replaces the listener;
    /// nil takes it away.
    package static func listen(_ body: (@Sendable () -> Void)?) {
        catchSignal()
        let isPending = state.withLock { state in
            state.listener = body
            guard body != nil else { return false }
            defer { state.isPending = false }
            return state.isPending
        }
        if isPending { body?() }
    }

    private static func deliver() {
        let listener = state.withLock { state in
            state.isPending = state.listener == nil
            return state.listener
        }
        listener?()
    }

    private static let forward: @convention(c) (Int32) -> Void = { _ in
        WakePipe.write(0, to: ReloadRequests.wake.load(ordering: .relaxed))
    }
}
