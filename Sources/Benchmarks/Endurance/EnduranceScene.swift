import Bytes
import Console
import EmbeddedPostgres
import Files
import Glibc
import Processes
import ServiceLifecycle
import Simulator
import Synchronization
import Telemetry

/// A part that is killed and paused.
enum EnduranceRole: String, CaseIterable, Sendable {
    case broker, index, stream, serve, producer
}

/// All roles as processes of their own over one data folder; each is started again when it has ended.
///
/// Used by one thread only, which has to live as long as the processes.
final class EnduranceScene {
    let folder: ScratchFolder
    let dataFolder: String
    let brokers: String
    let api: String
    let logger: Logger
    /// nil where this user cannot have any.
    let disk: EnduranceDisk?
    /// How often which role ended although nobody had killed it, with its last words.
    private(set) var endedByThemselves: [EnduranceRole: Int] = [:]
    private(set) var lastWords: [String] = []
    /// Ends of roles that nothing which was done to them or to others explains.
    private(set) var crashes: [String] = []
    /// Until then, by the monotonic clock, what was taken away may end a role in order.
    private var troubleUntil: Int64 = 0
    private let settings: [String: String]
    private let streamURL: String
    private let simulatorListen: String
    private var states: [EnduranceRole: State] = [:]
    private let children = EnduranceChildren()

    /// How long after it is there again a role may still end for what was away.
    private static let troubleMilliseconds: Int64 = 10_000

    private enum State {
        case running(Int32)
        /// Until then, by the monotonic clock.
        case paused(Int32, until: Int64)
        case down(until: Int64)
    }

    init(isEmbedding: Bool, logger: Logger) throws {
        self.logger = logger
        let ports = try FreePorts.takeBelowOutgoing(3)
        brokers = "127.0.0.1:\(ports[0])"
        api = "http://127.0.0.1:\(ports[1])"
        simulatorListen = "127.0.0.1:\(ports[2])"
        streamURL = "http://127.0.0.1:\(ports[2])" + Simulator.path
        folder = try ScratchFolder()
        // The embedded Postgres drops root's privileges and must still reach its folder.
        chmod(folder.path, 0o755)
        dataFolder = folder.path + "/data"
        try Folder.create(folder.path + "/logs", isDurable: false)
        try Folder.create(dataFolder, mode: 0o755, isDurable: false)
        disk = try EnduranceDisk.mounted(below: dataFolder)
        settings = [
            "DATA_DIR": dataFolder, "BROKER_LISTEN": brokers, "API_LISTEN": "127.0.0.1:\(ports[1])",
            "EMBED_ENABLED": isEmbedding ? "true" : "false", "RECONNECT_SLEEP_SEC": "0.05", "RECONNECT_MAX_SEC": "2",
            "RECONNECT_REFUSED_SEC": "0.2", "LOG_LEVEL": "info",
        ]
        _ = StopRequests.listen { [children] _, signal in
            children.killAll()
            exit(128 + signal)
        }
    }

    var lakeFolder: String { dataFolder + "/lake" }

    /// The embedded server's DSN for one of its databases; nil while it does not run.
    func dsn(database: String = "medallion") -> String? {
        EmbeddedPostgres.runningDSN(folder: dataFolder + "/postgres")?
            .replacing("dbname=medallion", with: "dbname=\(database)")
    }

    /// The embedded server's first process and its children; empty where it does not run.
    var postgresProcesses: [Int32] {
        guard
            let bytes = try? File.contents(of: dataFolder + "/postgres/data/postmaster.pid", bytesMax: 4_096),
            let postmaster = Int32(String(decoding: bytes.prefix { $0 != 0x0A }, as: UTF8.self)), postmaster > 1
        else { return [] }
        return [postmaster] + ProcessTable.children(of: postmaster)
    }

    // MARK: Processes

    /// Starts any subcommand; what it says goes to a log of that name.
    func spawn(
        _ name: String, _ arguments: [String], _ environment: [String: String] = [:]
    ) throws -> Int32 {
        let path = logPath(name)
        let log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
        guard log >= 0 else { throw FileError("open", path) }
        defer { close(log) }
        let child = try BenchDeployment.spawn(
            arguments, settings.merging(environment) { $1 }, output: log, deathSignal: "KILL")
        children.insert(child)
        return child
    }

    /// How a child ended; nil while it runs. Asked again after that it is an error of the caller.
    func ending(of child: Int32) -> ChildProcess.Ending? {
        guard ProcessTable.isZombie(child) else { return nil }
        children.remove(child)
        return ChildProcess.reap(child)
    }

    /// Waits for a child's end; kills it after the limit.
    func awaitEnd(_ child: Int32, seconds: Int) -> ChildProcess.Ending {
        let deadline = Self.now() + Int64(seconds) * 1_000
        while true {
            if let ending = ending(of: child) { return ending }
            if Self.now() >= deadline { kill(child, SIGKILL) }
            Pause.milliseconds(20)
        }
    }

    /// Runs a subcommand to its end.
    ///
    /// - Returns: whether it succeeded.
    func runCommand(
        _ arguments: [String], _ environment: [String: String] = [:], seconds: Int = 300
    ) throws -> (isSuccess: Bool, output: String) {
        let name = "command-" + arguments.joined(separator: "-").replacing("/", with: "_")
        try Folder.removeIfPresent(logPath(name))
        let child = try spawn(name, arguments, ["LOG_LEVEL": "error"].merging(environment) { $1 })
        let ending = awaitEnd(child, seconds: seconds)
        return (ending.isSuccess, output(of: name))
    }

    func output(of name: String) -> String {
        String(decoding: (try? File.contents(of: logPath(name))) ?? [], as: UTF8.self)
    }

    func logPath(_ name: String) -> String { "\(folder.path)/logs/\(name).log" }

    // MARK: Roles

    /// The simulator and all roles; waits until the database is there.
    func start(recording: String, rate: Double, seed: UInt64) throws {
        _ = try spawn(
            "simulate",
            [
                "simulate", "--listen", simulatorListen, "--recording", recording, "--rate", "\(rate)",
                "--bad-manners", "\(max(1, seed % 1_000_000))",
            ])
        // The indexer first, so that the database is its.
        for role in [EnduranceRole.broker, .index, .stream, .serve, .producer] {
            try launch(role)
            if role == .index { try wait("the database", seconds: 120) { dsn() != nil } }
        }
    }

    /// Asks again and again, and keeps the roles running meanwhile.
    func wait(_ what: String, seconds: Int, until condition: () throws -> Bool) throws {
        let deadline = Self.now() + Int64(seconds) * 1_000
        var fault: (any Error)?
        while Self.now() < deadline {
            try tick()
            do {
                if try condition() { return }
                fault = nil
            } catch {
                fault = error
            }
            Pause.milliseconds(100)
        }
        throw Failure("waited \(seconds) s for \(what)" + (fault.map { "; \($0)" } ?? "") + "; \(lastWords.suffix(3))")
    }

    /// Starts what is to be started again, and lets go on what was paused for long enough.
    func tick() throws {
        let now = Self.now()
        for (role, state) in states {
            switch state {
            case .running(let child):
                guard let ending = ending(of: child) else { continue }
                noteEnd(of: role, ending)
                states[role] = .down(until: now + 300)
            case .paused(let child, let until) where now >= until:
                kill(child, SIGCONT)
                states[role] = .running(child)
            case .down(let until) where now >= until: try launch(role)
            case .paused, .down: continue
            }
        }
    }

    /// A signal is always a crash, since whom this kills is reaped by ``take(_:milliseconds:)``.
    private func noteEnd(of role: EnduranceRole, _ ending: ChildProcess.Ending) {
        endedByThemselves[role, default: 0] += 1
        let words = output(of: role.rawValue).split(separator: "\n").suffix(3).joined(separator: " | ")
        let line = "\(role.rawValue) \(ending): \(words.suffix(600))"
        lastWords.append(line)
        logger.warning("\(role.rawValue) \(ending), starting it again", ["last_words": String(words.suffix(600))])
        if Self.isCrash(ending, isInTrouble: Self.now() < troubleUntil) { crashes.append(line) }
    }

    /// Whether a role that nobody asked to end must not have ended so.
    static func isCrash(_ ending: ChildProcess.Ending, isInTrouble: Bool) -> Bool {
        switch ending {
        case .signalled: true
        case .exited(let code): code != 0 && !isInTrouble
        }
    }

    /// Something is taken away for so long; roles may end for it until a while after that.
    func expectTrouble(milliseconds: Int) {
        troubleUntil = max(troubleUntil, Self.now() + Int64(milliseconds) + Self.troubleMilliseconds)
    }

    /// Kills a role; it is started again after so long. False where it is not running now.
    func take(_ role: EnduranceRole, milliseconds: Int) -> Bool {
        guard case .running(let child) = states[role] else { return false }
        kill(child, SIGKILL)
        ChildProcess.awaitEnd(child)
        // It may have ended before.
        if let ending = ending(of: child), ending != .signalled(SIGKILL) { noteEnd(of: role, ending) }
        expectTrouble(milliseconds: milliseconds)
        states[role] = .down(until: Self.now() + Int64(milliseconds))
        return true
    }

    /// Stops a role in the middle of whatever it does, for so long.
    func pause(_ role: EnduranceRole, milliseconds: Int) -> Bool {
        guard case .running(let child) = states[role], kill(child, SIGSTOP) == 0 else { return false }
        expectTrouble(milliseconds: milliseconds)
        states[role] = .paused(child, until: Self.now() + Int64(milliseconds))
        return true
    }

    /// Lets everything go on at once.
    func calm() throws {
        for (role, state) in states {
            switch state {
            case .running: continue
            case .paused(let child, _): states[role] = .paused(child, until: 0)
            case .down: states[role] = .down(until: 0)
            }
        }
        try tick()
    }

    /// Ends a role as a trap of its own would.
    func crash(_ role: EnduranceRole) {
        if case .running(let child) = states[role] { kill(child, SIGILL) }
    }

    /// Asks a role to stop, for good.
    func end(_ role: EnduranceRole) -> ChildProcess.Ending? {
        guard case .running(let child) = states.removeValue(forKey: role) else { return nil }
        kill(child, SIGTERM)
        return awaitEnd(child, seconds: 60)
    }

    private func launch(_ role: EnduranceRole) throws {
        let arguments = [role.rawValue] + (role == .producer ? ["--url", streamURL] : [])
        states[role] = .running(try spawn(role.rawValue, arguments))
    }

    // MARK: The end

    /// Kills what runs; the folder goes where `keeps` is false.
    func tearDown(keepsLogs: Bool) {
        children.killAll()
        for child in postgresProcesses.prefix(1) { kill(child, SIGQUIT) }
        Pause.milliseconds(500)
        disk?.unmount()
        if keepsLogs {
            try? Folder.removeTree(dataFolder)
        } else {
            folder.remove()
        }
    }

    /// Milliseconds of the monotonic clock.
    static func now() -> Int64 { SystemClock.monotonicNanoseconds() / 1_000_000 }
}

/// Every child that is not reaped.
private final class EnduranceChildren: Sendable {
    private let processes = Mutex<Set<Int32>>([])

    func insert(_ process: Int32) { processes.withLock { _ = $0.insert(process) } }

    func remove(_ process: Int32) { processes.withLock { _ = $0.remove(process) } }

    func killAll() { processes.withLock { for process in $0 { kill(process, SIGKILL) } } }
}
