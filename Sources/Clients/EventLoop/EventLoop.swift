import Bytes
import CEvent
import Glibc
import Synchronization

/// One thread that waits for sockets, timers and posted closures, over one libevent 2.1 base.
///
/// It is also a `TaskExecutor`: `Task.immediate(executorPreference: loop)` runs a task's first part at once on the
/// loop's thread and its later parts in the loop's turns. Beware that default actors, `@concurrent` functions and
/// `async let` under that preference run here too, so what blocks or computes for long needs a thread of its own.
///
/// `@unchecked Sendable`, by this proof: the inbox is in a `Mutex`, the thread's identity is atomic, the rest (the
/// libevent base, which is opened with `NOLOCK`, connections, timers, the two local lists) is touched only on the
/// loop's thread, or before `start` has made that thread, or after `stop` has ended it; ``assertInLoop()`` guards each
/// way in. Flags: `EPOLL_USE_CHANGELIST` and `NOLOCK`, with an eventfd for waking, measured at +8 % requests/s.
package final class EventLoop: TaskExecutor, @unchecked Sendable {
    /// Shown as the thread's name (its first 15 bytes).
    package let name: String

    private let base: OpaquePointer
    private let wakeDescriptor: Int32
    private let inbox = Mutex<Inbox>(Inbox())
    private let threadID = Atomic<UInt>(0)
    private let lifecycle = Mutex<Lifecycle>(Lifecycle())

    // Confined to the loop's thread.
    private var wakeEvent: OpaquePointer?
    private var sweepEvent: OpaquePointer?
    private var localJobs: [Job] = []
    private var dirtyConnections: [TCPConnection] = []
    private var connections: [TCPConnection] = []
    private var listeners: [ObjectIdentifier: TCPListener] = [:]
    private var timers: [ObjectIdentifier: TimerEvent] = [:]
    private var isStopping = false
    /// Where every connection of this loop reads into first; lent to `onRead`.
    let readSpace = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1_024, alignment: 16)
    /// How often deadlines are looked at; their resolution.
    package static let sweepMilliseconds = 100
    /// Rounds of jobs that post further jobs, before sockets get their turn again.
    private static let jobRoundsMax = 16

    enum Job {
        case closure(@Sendable () -> Void)
        case task(UnownedJob)
    }

    private struct Inbox {
        var jobs: [Job] = []
        var isWakePending = false
        var isStopRequested = false
        var isClosed = false
    }

    private struct Lifecycle {
        var thread: pthread_t?
        var wasStarted = false
    }

    /// Opens the event base; no thread yet.
    ///
    /// Ignores SIGPIPE for the whole process: sendfile(2) has no flag against it.
    /// - Throws: when the machine is out of descriptors or memory.
    package init(name: String) throws(EventLoopError) {
        self.name = name
        signal(SIGPIPE, SIG_IGN)
        let descriptor = eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC))
        guard descriptor >= 0 else {
            throw EventLoopError(operation: "eventfd", subject: name, code: errno, hint: "raise `ulimit -n`")
        }
        let configuration = event_config_new()
        defer { if let configuration { event_config_free(configuration) } }
        if let configuration {
            let flags = EVENT_BASE_FLAG_NOLOCK.rawValue | EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST.rawValue
            event_config_set_flag(configuration, Int32(flags))
        }
        guard let configuration, let base = event_base_new_with_config(configuration) else {
            close(descriptor)
            throw EventLoopError(operation: "event_base_new", subject: name, code: errno, hint: "raise `ulimit -n`")
        }
        self.base = base
        wakeDescriptor = descriptor
    }

    deinit {
        // The thread holds a reference while it runs, so it is over or was never started.
        if let wakeEvent { event_free(wakeEvent) }
        if let sweepEvent { event_free(sweepEvent) }
        event_base_free(base)
        close(wakeDescriptor)
        readSpace.deallocate()
    }

    /// Starts the loop's thread; does nothing when it was started before. A stopped loop does not start again.
    package func start() throws(EventLoopError) {
        let code = lifecycle.withLock { lifecycle -> Int32 in
            guard !lifecycle.wasStarted else { return 0 }
            var thread = pthread_t()
            let context = Unmanaged.passRetained(self)
            let code = pthread_create(
                &thread, nil,
                { context in
                    guard let context else { return nil }
                    let loop = Unmanaged<EventLoop>.fromOpaque(context).takeRetainedValue()
                    loop.run()
                    return nil
                }, context.toOpaque())
            if code == 0 { lifecycle = Lifecycle(thread: thread, wasStarted: true) } else { context.release() }
            return code
        }
        guard code == 0 else { throw EventLoopError(operation: "pthread_create", subject: name, code: code) }
    }

    /// Closes every connection and timer of the loop, ends its thread and waits for it (except on the loop's own
    /// thread, where it only asks). Closures posted afterwards are dropped; tasks still preferring this executor go
    /// on where they are resumed.
    package func stop() {
        inbox.withLock { $0.isStopRequested = true }
        wake()
        guard !isInLoop else { return }
        let (thread, wasStarted) = lifecycle.withLock { lifecycle -> (pthread_t?, Bool) in
            defer { lifecycle = Lifecycle(thread: nil, wasStarted: true) }
            return (lifecycle.thread, lifecycle.wasStarted)
        }
        if let thread { pthread_join(thread, nil) }
        if !wasStarted { closeInboxUnread() }
    }

    /// The end of a loop that never ran: its posted closures are dropped, tasks go on here.
    private func closeInboxUnread() {
        let jobs = inbox.withLock { inbox -> [Job] in
            inbox.isClosed = true
            defer { inbox.jobs = [] }
            return inbox.jobs
        }
        for case .task(let job) in jobs { job.runSynchronously(on: asUnownedTaskExecutor()) }
    }

    /// Whether the caller runs on the loop's thread.
    package var isInLoop: Bool { threadID.load(ordering: .relaxed) == UInt(pthread_self()) }

    /// Traps anywhere but on the loop's thread: the guard behind every claim of confinement.
    @inline(__always)
    package func assertInLoop(_ function: StaticString = #function) {
        precondition(isInLoop, "used off its loop's thread")
    }

    /// Milliseconds of the monotonic clock, with the kernel tick's resolution (1–4 ms): cheap enough for every read.
    package static func coarseMilliseconds() -> Int64 {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC_COARSE, &now)
        return Int64(now.tv_sec) * 1_000 + Int64(now.tv_nsec) / 1_000_000
    }

    // MARK: Posting

    /// Runs `job` on the loop's thread: later in this turn when called there, else as soon as the loop wakes.
    ///
    /// Jobs of one thread run in the order of their posting. The inbox has no bound of its own: whoever posts on
    /// behalf of a peer bounds that (a stream writer counts its queued bytes).
    /// - Returns: false when the loop has stopped and `job` was dropped.
    @discardableResult
    package func execute(_ job: @escaping @Sendable () -> Void) -> Bool {
        if isInLoop {
            localJobs.append(.closure(job))
            return true
        }
        return post(.closure(job))
    }

    /// `TaskExecutor`'s requirement.
    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        if isInLoop {
            localJobs.append(.task(job))
        } else if !post(.task(job)) {
            // The loop is gone, and dropping the job would leave its task waiting for ever. What a task may still do
            // to the loop's objects goes through `execute`, which drops it.
            job.runSynchronously(on: asUnownedTaskExecutor())
        }
    }

    private func post(_ job: Job) -> Bool {
        let (accepted, mustWake) = inbox.withLock { inbox -> (Bool, Bool) in
            if inbox.isClosed { return (false, false) }
            inbox.jobs.append(job)
            defer { inbox.isWakePending = true }
            return (true, !inbox.isWakePending)
        }
        if mustWake { wake() }
        return accepted
    }

    private func wake() {
        var one: UInt64 = 1
        // Only fails with EAGAIN when the counter is full, and then the loop is awake anyway.
        _ = write(wakeDescriptor, &one, MemoryLayout<UInt64>.size)
    }

    /// Runs `job` on the loop's thread after a delay of whole milliseconds. Any thread.
    @discardableResult
    package func schedule(afterMilliseconds delay: Int, _ job: @escaping @Sendable () -> Void) -> LoopTimer {
        let timer = LoopTimer(loop: self, job: job)
        if isInLoop {
            addTimer(timer, milliseconds: delay)
        } else {
            execute { [self] in addTimer(timer, milliseconds: delay) }
        }
        return timer
    }

    private func addTimer(_ timer: LoopTimer, milliseconds: Int) {
        guard !isStopping, !timer.isOver else { return }
        let event = TimerEvent(timer: timer, loop: self)
        guard event.start(base: base, milliseconds: max(0, milliseconds)) else {
            event.free()
            return
        }
        timers[ObjectIdentifier(timer)] = event
    }

    func fired(_ event: TimerEvent) {
        removeTimer(event.timer)
        event.timer.fire()
    }

    func removeTimer(_ timer: LoopTimer) {
        timers.removeValue(forKey: ObjectIdentifier(timer))?.free()
    }

    // MARK: The thread

    private func run() {
        threadID.store(UInt(pthread_self()), ordering: .relaxed)
        _ = name.withCString { medallion_name_thread($0) }
        addOwnEvents()
        while true {
            takeInbox()
            for _ in 0..<Self.jobRoundsMax where !localJobs.isEmpty { runLocalJobs() }
            flushDirtyConnections()
            if inbox.withLock({ $0.isStopRequested }) { break }
            let mustHurry = !localJobs.isEmpty || !dirtyConnections.isEmpty
            event_base_loop(base, mustHurry ? EVLOOP_NONBLOCK : EVLOOP_ONCE)
        }
        tearDown()
    }

    private func addOwnEvents() {
        let context = Unmanaged.passUnretained(self).toOpaque()
        let drain: event_callback_fn = { descriptor, _, _ in
            var count: UInt64 = 0
            _ = read(descriptor, &count, MemoryLayout<UInt64>.size)
        }
        wakeEvent = event_new(base, wakeDescriptor, Int16(EV_READ | EV_PERSIST), drain, context)
        let sweep: event_callback_fn = { _, _, context in
            guard let context else { return }
            Unmanaged<EventLoop>.fromOpaque(context).takeUnretainedValue().sweep()
        }
        sweepEvent = event_new(base, -1, Int16(EV_PERSIST), sweep, context)
        if let wakeEvent { event_add(wakeEvent, nil) }
    }

    private func takeInbox() {
        let jobs = inbox.withLock { inbox -> [Job] in
            guard inbox.isWakePending else { return [] }
            inbox.isWakePending = false
            defer { inbox.jobs = [] }
            return inbox.jobs
        }
        localJobs.append(contentsOf: jobs)
    }

    private func runLocalJobs() {
        let jobs = localJobs
        localJobs = []
        for job in jobs {
            switch job {
            case .closure(let closure): closure()
            case .task(let job): job.runSynchronously(on: asUnownedTaskExecutor())
            }
        }
    }

    private func tearDown() {
        isStopping = true
        for listener in listeners.values { listener.end() }
        for connection in connections { connection.close(.loopStopped) }
        for timer in timers.values { timer.free() }
        timers = [:]
        // What the closing started, and what came in meanwhile, still runs here; then the inbox closes for good.
        while true {
            takeInbox()
            while !localJobs.isEmpty { runLocalJobs() }
            let isClosed = inbox.withLock { inbox -> Bool in
                if inbox.jobs.isEmpty { inbox.isClosed = true }
                return inbox.isClosed
            }
            if isClosed { break }
        }
        connections = []
        dirtyConnections = []
        threadID.store(0, ordering: .relaxed)
    }

    // MARK: Connections

    /// The loop's connections just now; only on its thread.
    package var connectionCount: Int {
        assertInLoop()
        return connections.count
    }

    func newEvent(
        _ descriptor: Int32, _ flags: Int32, _ callback: event_callback_fn, _ context: UnsafeMutableRawPointer
    ) -> OpaquePointer? {
        event_new(base, descriptor, Int16(flags), callback, context)
    }

    /// Keeps `connection` alive until ``remove(_:)``; false while the loop stops.
    func add(_ connection: TCPConnection) -> Bool {
        assertInLoop()
        guard !isStopping else { return false }
        if connections.isEmpty, let sweepEvent {
            var period = timeval(milliseconds: Self.sweepMilliseconds)
            event_add(sweepEvent, &period)
        }
        connection.slot = connections.count
        connections.append(connection)
        return true
    }

    func remove(_ connection: TCPConnection) {
        let slot = connection.slot
        guard slot >= 0, slot < connections.count, connections[slot] === connection else { return }
        if isStopping { return connection.slot = -1 }
        connections.swapAt(slot, connections.count - 1)
        connections[slot].slot = slot
        connections.removeLast()
        connection.slot = -1
        if connections.isEmpty, let sweepEvent { event_del(sweepEvent) }
    }

    /// Keeps `listener` alive, because libevent holds only a bare pointer, and has it closed when the loop stops.
    func add(_ listener: TCPListener) {
        listeners[ObjectIdentifier(listener)] = listener
    }

    func remove(_ listener: TCPListener) {
        listeners.removeValue(forKey: ObjectIdentifier(listener))
    }

    /// Has `connection.settle()` called at the end of the turn.
    func markDirty(_ connection: TCPConnection) {
        dirtyConnections.append(connection)
    }

    private func flushDirtyConnections() {
        guard !dirtyConnections.isEmpty else { return }
        let dirty = dirtyConnections
        dirtyConnections = []
        for connection in dirty { connection.settle() }
    }

    private func sweep() {
        let now = Self.coarseMilliseconds()
        // From the back, because closing one moves the last into its place.
        var index = connections.count - 1
        while index >= 0 {
            if index < connections.count { connections[index].checkTime(now) }
            index -= 1
        }
    }
}
