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
