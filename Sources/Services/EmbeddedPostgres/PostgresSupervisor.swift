import Concurrency
import Files
import Glibc
import Processes
import ServiceLifecycle
import Synchronization
import Telemetry

/// Keeps one server process running: a thread that starts it, waits for its end, and starts it again. Beside it another one lets
/// the server's maintenance stand back (``MaintenancePriority``).
///
/// The thread outlives the server, because the server's death signal is bound to the thread that started it.
final class PostgresSupervisor: Sendable {
    private let cluster: PostgresCluster
    private let logger: Logger
    private let restarts: Counter
    private let stopping = StopSignal()
    private let state: Mutex<State>

    private struct State {
        /// Set from the start until the child is reaped, so that a signal never hits a stranger.
        var pid: pid_t?
        var isDone = false
        var memory: PostgresMemory
        /// How the last process ended, for messages.
        var lastEnding: String?
    }

    init(cluster: PostgresCluster, memory: PostgresMemory, logger: Logger, restarts: Counter) {
        self.cluster = cluster
        state = Mutex(State(memory: memory))
        self.logger = logger
        self.restarts = restarts
    }

    /// The server's process id while it runs.
    var processID: pid_t? { state.withLock { $0.pid } }
    var lastEnding: String? { state.withLock { $0.lastEnding } }
    /// What the server runs with, or is started with next.
    var memory: PostgresMemory { state.withLock { $0.memory } }

    func start() throws(EmbeddedPostgresError) {
        let isStarted = Threads.start(name: "postgres") { [self] in
            supervise()
            state.withLock { $0.isDone = true }
        }
        guard isStarted else {
            throw EmbeddedPostgresError("start", cluster.folder, "no thread could be started", isRetriable: true)
        }
        let isPaced = Threads.start(name: "postgres-pace") { [self] in pace() }
        if !isPaced { logger.warning("no thread could be started: index builds take as much processor as searches") }
    }

    /// Returns once the server is to stop.
    private func pace() {
        var priority = MaintenancePriority()
        while !stopping.sleep(milliseconds: MaintenancePriority.intervalMilliseconds) {
            if let processID { priority.look(at: ServerProcesses.children(of: processID)) }
        }
    }

    /// Stops the server and blocks until it is gone: fast shutdown (sessions are ended, data written), after 20 s
    /// immediate shutdown (recovery at the next start), after 5 s more by force.
    func stop() {
        stopping.request()
        for (signal, milliseconds) in [(SIGINT, 20_000), (SIGQUIT, 5_000), (SIGKILL, 5_000)] {
            send(signal)
            for _ in 0..<milliseconds / 10 {
                if state.withLock({ $0.isDone }) { return }
                usleep(10_000)
            }
            logger.warning("the server did not stop in time", ["signal": "\(signal)"])
        }
    }

    private func send(_ signal: Int32) {
        state.withLock { state in
            if let pid = state.pid { kill(pid, signal) }
        }
    }

    private func supervise() {
        var backoff = Backoff(baseMilliseconds: 100, capMilliseconds: 10_000)
        var isFirst = true
        while !stopping.isRequested {
            if !isFirst { restarts.increment() }
            isFirst = false
            let startedAt = time(nil)
            do {
                try runOnce()
            } catch {
                logger.error("the server cannot be started", ["error": "\(error)"])
            }
            if stopping.isRequested { return }
            if time(nil) - startedAt > 30 { backoff.reset() }
            let wait = backoff.next()
            logger.error(
                "the server ended; starting it again",
                ["how": lastEnding ?? "not started", "wait_ms": "\(wait)", "log": cluster.logFile])
            if stopping.sleep(milliseconds: wait) { return }
        }
    }

    /// Starts the server and returns when it has ended.
    private func runOnce() throws {
        try Self.clear(cluster)
        let log = open(cluster.logFile, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
        guard log >= 0 else { throw FileError("open", cluster.logFile) }
        defer { close(log) }
        let logStart = Int(lseek(log, 0, SEEK_END))
        let pid = try state.withLock { state in
            let pid = try ChildProcess.spawn(
                cluster.account.command(cluster.serverCommand(state.memory)), environment: PostgresCluster.environment,
                output: log)
            state.pid = pid
            return pid
        }
        if stopping.isRequested { send(SIGINT) }
        ChildProcess.awaitEnd(pid)
        state.withLock { state in
            state.lastEnding = ChildProcess.reap(pid).description
            state.pid = nil
        }
        reduceMemory(ifRefusedIn: LogFile.text(cluster.logFile, from: logStart))
    }

    /// Has the next start take less memory where the log says that the machine refused what this one wanted.
    private func reduceMemory(ifRefusedIn log: String) {
        guard let complaint = PostgresMemory.complaint(in: log) else { return }
        let change = state.withLock { state -> (from: PostgresMemory, to: PostgresMemory)? in
            guard let reduced = state.memory.reduced else { return nil }
            defer { state.memory = reduced }
            return (state.memory, reduced)
        }
        guard let change else { return }
        logger.warning(
            "the machine refused the server's memory; starting it with less (PG_MEMORY_BYTES)",
            ["refused": "\(change.from)", "now": "\(change.to)", "why": complaint])
    }

    /// Ends what an earlier run left, and removes its files. Done before the first start is announced too: a connection
    /// made meanwhile would reach the old server.
    static func clear(_ cluster: PostgresCluster) throws {
        guard ServerProcesses.end(in: cluster.dataFolder) else {
            throw EmbeddedPostgresError("start", cluster.dataFolder, "processes of an earlier run do not end")
        }
        // Nothing runs on this data: files that still name a process name a stranger with a reused number, or one that
        // ended and was never reaped.
        try Folder.removeIfPresent(cluster.dataFolder + "/postmaster.pid")
        for name in ["", ".lock"] {
            try Folder.removeIfPresent("\(cluster.socketFolder)/.s.PGSQL.\(PostgresCluster.port)\(name)")
        }
    }
}
