package import Bytes
import Glibc
import Synchronization

/// A thread of its own that runs closures one after the other; the place for C calls that wait.
///
/// Blocking calls on Swift's cooperative pool starve every other task, so clients that wait (librdkafka, libpq, libcurl)
/// are called from here. A hop costs about 22 µs: hop per batch, not per record. The thread ends when the lane is
/// released and its inbox is empty. What runs here may use things that are confined to one thread.
package final class Lane: Sendable {
    /// Also the thread's name (first 15 bytes), as `top -H` shows it.
    package let name: String
    private let inbox: LaneInbox
    private let priority: ThreadPriority

    /// - Parameters:
    ///   - inboxMax: how many closures may wait; one more is refused with ``LaneError/Reason/inboxFull``.
    ///   - priority: of the thread.
    package init(name: String, inboxMax: Int = 1_024, priority: ThreadPriority = .ordinary) {
        self.name = name
        self.priority = priority
        inbox = LaneInbox(limit: inboxMax)
        let inbox = inbox
        if priority != .ordinary { Relay.prepare() }
        let isStarted = Threads.start(name: name, priority: priority) { inbox.drainUntilClosed() }
        if !isStarted { inbox.close() }
    }

    deinit {
        inbox.close()
    }

    /// Runs `body` on the lane's thread and returns what it returns.
    ///
    /// - Throws: what `body` throws; ``LaneError`` when the inbox is full or the thread could not be started. A
    ///   cancelled task still waits for its closure: a C call cannot be interrupted from outside.
    package func run<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
        let standsBack = priority != .ordinary
        return try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<T, any Error>) in
            let refusal = inbox.add {
                let result = Result { try body() }
                guard standsBack else { return continuation.resume(with: result) }
                Relay.perform { continuation.resume(with: result) }
            }
            if let refusal { continuation.resume(throwing: LaneError(lane: name, reason: refusal)) }
        }
    }

    /// Runs `body` on the lane's thread some time later, without waiting for it.
    ///
    /// - Throws: ``LaneError`` when the inbox is full or the thread could not be started.
    package func post(_ body: @escaping @Sendable () -> Void) throws {
        if let refusal = inbox.add(body) { throw LaneError(lane: name, reason: refusal) }
    }
}

/// Why a ``Lane`` did not take a closure.
package struct LaneError: Error, CustomStringConvertible {
    /// The lane's name.
    package let lane: String
    /// What was wrong.
    package let reason: Reason

    /// What can be wrong.
    package enum Reason: Sendable {
        /// As many closures wait as may; trying later helps.
        case inboxFull
        /// The system gave no thread or descriptor for the lane.
        case noThread
    }

    /// Whether trying again later may help.
    package var isRetriable: Bool { reason == .inboxFull }

    package var description: String {
        switch reason {
        case .inboxFull: "lane \(lane) is full: its thread is behind; ask for less at a time or try again later"
        case .noThread: "lane \(lane) has no thread: raise the limits for threads or open files (ulimit -u, -n)"
        }
    }
}

/// The closures that wait for a lane's thread; a pipe wakes it, one byte per closure.
private final class LaneInbox: Sendable {
    private let limit: Int
    private let wake = WakePipe(blocksReader: true)
    private let state: Mutex<State>

    private struct State {
        var jobs: [@Sendable () -> Void] = []
        var isClosed: Bool
    }

    init(limit: Int) {
        // A pipe holds 65,536 bytes; with fewer jobs no wake is ever dropped.
        self.limit = min(max(1, limit), 60_000)
        state = Mutex(State(isClosed: wake == nil))
    }

    func add(_ job: @escaping @Sendable () -> Void) -> LaneError.Reason? {
        let refusal: LaneError.Reason? = state.withLock { state in
            if state.isClosed { return .noThread }
            if state.jobs.count >= limit { return .inboxFull }
            state.jobs.append(job)
            return nil
        }
        if refusal == nil { wake?.write() }
        return refusal
    }

    func close() {
        state.withLock { $0.isClosed = true }
        wake?.write()
    }

    func drainUntilClosed() {
        while wake?.read() != nil {
            let (job, isLast): ((@Sendable () -> Void)?, Bool) = state.withLock { state in
                let job = state.jobs.isEmpty ? nil : state.jobs.removeFirst()
                return (job, state.isClosed && state.jobs.isEmpty)
            }
            job?()
            if isLast { return }
        }
    }
}

/// Starts threads of the system.
package enum Threads {
    /// Runs `body` on a new detached thread.
    ///
    /// - Parameters:
    ///   - name: the thread's name, of which the first 15 bytes count.
    ///   - priority: how far the thread stands back where processors are scarce.
    /// - Returns: false where the system refused (limits of the user or the machine).
    package static func start(
        name: String, priority: ThreadPriority = .ordinary, _ body: @escaping @Sendable () -> Void
    ) -> Bool {
        let box = Unmanaged.passRetained(ThreadBody(name: name, priority: priority, run: body))
        var thread = pthread_t()
        let status = pthread_create(&thread, nil, runThreadBody, box.toOpaque())
        guard status == 0 else {
            box.release()
            return false
        }
        pthread_detach(thread)
        return true
    }
}

extension Threads {
    /// Through /proc, since Swift's Glibc module lacks pthread_setname_np. A thread without its name works as well, so
    /// failures are passed over.
    fileprivate static func nameCurrent(_ name: String) {
        let descriptor = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        let bytes = Array(name.utf8.prefix(15))
        _ = write(descriptor, bytes, bytes.count)
        close(descriptor)
    }
}

private final class ThreadBody: Sendable {
    let name: String
    let priority: ThreadPriority
    let run: @Sendable () -> Void

    init(name: String, priority: ThreadPriority, run: @escaping @Sendable () -> Void) {
        self.name = name
        self.priority = priority
        self.run = run
    }
}

private func runThreadBody(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    let body = Unmanaged<ThreadBody>.fromOpaque(argument).takeRetainedValue()
    Threads.nameCurrent(body.name)
    body.priority.take()
    body.run()
    return nil
}
