import Bytes
import Console
import Files
import Glibc
import HTTPClient
import Ingest
import JSONScan
import Processes
import ServiceLifecycle
import Simulator
import Synchronization
import Telemetry

/// `medallion simulate` and `medallion up` as processes of their own, in a temporary folder and on free ports.
final class BenchDeployment: Sendable {
    let simulator: String
    let api: String
    let apiPort: UInt16
    private let folder: ScratchFolder
    private let hasSimulator: Bool
    /// The simulator, where it is one of its own, and the platform behind it.
    private let children = Mutex<[Int32]>([])
    private let isStopped = Mutex(false)
    private let settings: [String: String]
    private let logger: Logger

    /// - Parameters:
    ///   - recording: what the simulator plays, again and again; nil for invented events.
    ///   - settings: of the platform, beside those that keep it apart.
    ///   - keepsLog: whether what the platform logs goes to a file, see ``lastWords``.
    ///   - executable: another build of it, which is the platform then; nil for this one.
    ///   - source: URL of a simulator that runs already, such as `http://127.0.0.1:8090`, instead of one of its own.
    init(
        rate: Double, recording: String?, settings more: [String: String] = [:], keepsLog: Bool = false,
        executable: String? = nil, source: String? = nil, logger: Logger
    ) throws {
        self.logger = logger
        let ports = try FreePorts.take(3)
        hasSimulator = source == nil
        simulator = source ?? "http://127.0.0.1:\(ports[0])"
        api = "http://127.0.0.1:\(ports[1])"
        apiPort = ports[1]
        folder = try ScratchFolder()
        // The embedded Postgres drops root's privileges and must still reach its folder.
        chmod(folder.path, 0o755)
        settings = [
            "DATA_DIR": folder.path + "/data", "API_LISTEN": "127.0.0.1:\(ports[1])",
            "BROKER_LISTEN": "127.0.0.1:\(ports[2])", "LOG_LEVEL": "warning",
        ].merging(more) { $1 }
        var simulate = ["simulate", "--listen", "127.0.0.1:\(ports[0])", "--rate", "\(rate)"]
        if let recording { simulate += ["--recording", try Self.absolute(recording), "--loop"] }
        // Ctrl-C reaches this process only: the children have sessions of their own.
        _ = StopRequests.listen { [weak self] _, signal in
            self?.stop()
            exit(128 + signal)
        }
        if hasSimulator { try start(simulate, [:]) }
        let up = Self.up(simulator)
        let path = try executable.map { try Self.absolute($0) }
        if keepsLog {
            try withFile(Self.logName) { try start(up, settings, output: $0, executable: path) }
        } else {
            try start(up, settings, executable: path)
        }
    }

    private static let logName = "up.log"
    private static let commandSeconds = 600

    private static func up(_ simulator: String) -> [String] { ["up", "--url", simulator + Simulator.path] }

    /// Stops the platform in order, runs commands over what it has written, and starts it again.
    ///
    /// - Throws: ``Failure`` where a command fails; then the platform stays as it is.
    func restart(after commands: [[String]]) throws {
        guard let running = children.withLock({ $0.popLast() }) else { return }
        end(running)
        for command in commands {
            _ = try launch(command.joined(separator: "-"), command).output(within: Self.commandSeconds)
        }
        try start(Self.up(simulator), settings)
    }

    /// The end of what the platform has logged; empty unless it is kept.
    var lastWords: String {
        let text = String(decoding: (try? File.contents(of: folder.path + "/" + Self.logName)) ?? [], as: UTF8.self)
        return text.split(separator: "\n").suffix(10).joined(separator: "\n")
    }

    /// Whether the platform has not ended by itself.
    var isUp: Bool { !ProcessTable.isZombie(upProcess) }

    private func withFile(_ name: String, _ body: (Int32) throws -> Void) throws {
        try BenchChild.withFile(folder.path + "/" + name, body)
    }

    /// Starts another subcommand of this executable with the platform's settings; it ends with the benchmark.
    ///
    /// - Parameter name: of the file with what it prints and logs.
    func launch(_ name: String, _ arguments: [String]) throws -> BenchChild {
        try BenchChild(name, arguments, settings, in: folder)
    }

    /// Process id of `medallion up`.
    var upProcess: Int32 { children.withLock { $0.last ?? 0 } }

    /// User and system time of all roles and their database.
    func processorSeconds() -> Double { ProcessTable.processorSeconds(of: [upProcess] + postgresProcesses()) }

    /// Ends the source of events; the platform goes on.
    func stopSource() {
        guard hasSimulator else { return }
        if let simulator = children.withLock({ $0.first }) { kill(simulator, SIGTERM) }
    }

    /// A new folder that goes with the deployment.
    func makeFolder(_ name: String) throws -> String {
        let path = folder.path + "/" + name
        try Folder.create(path)
        return path
    }

    /// Where the embedded Postgres keeps its cluster.
    var postgresFolder: String { folder.path + "/data/postgres" }

    /// Process ids of the embedded Postgres and its children; empty where it cannot be told.
    func postgresProcesses() -> [Int32] {
        guard let bytes = try? File.contents(of: folder.path + "/data/postgres/data/postmaster.pid", bytesMax: 4_096),
            let line = String(decoding: bytes, as: UTF8.self).split(separator: "\n").first, let postmaster = Int32(line)
        else { return [] }
        return [postmaster] + ProcessTable.children(of: postmaster)
    }

    /// Blocks until documents come into the index.
    ///
    /// - Throws: ``Failure`` after two minutes, or when a child ended.
    func waitUntilIndexing() throws {
        let deadline = SystemClock.monotonicNanoseconds() + 120_000_000_000
        while SystemClock.monotonicNanoseconds() < deadline {
            if let count = try? documentsIndexed(), count > 0 { return }
            for child in children.withLock({ $0 }) where kill(child, 0) != 0 || ProcessTable.isZombie(child) {
                throw Failure("a process of the benchmark ended early; its log is above")
            }
            Pause.milliseconds(200)
        }
        throw Failure("no document came into the index within two minutes")
    }

    /// Blocks until the events that came during the start are indexed, two minutes at most.
    ///
    /// - Returns: false where it does not come after.
    func waitUntilCaughtUp(rate: Double) throws -> Bool {
        let deadline = SystemClock.monotonicNanoseconds() + 120_000_000_000
        while SystemClock.monotonicNanoseconds() < deadline {
            if try recordsWaiting() < rate / 2 { return true }
            Pause.milliseconds(500)
        }
        return false
    }

    /// Records that stream job and indexer have before them.
    func recordsWaiting() throws -> Double {
        let page = try metricsPage()
        return Self.value(of: "medallion_stream_lag_records", in: page)
            + Self.value(of: "medallion_index_lag_records", in: page)
    }

    /// Documents indexed since the start.
    func documentsIndexed() throws -> Double {
        Self.value(of: "medallion_index_documents_total", in: try metricsPage())
    }

    /// What `GET /metrics` says.
    func metricsPage() throws -> [UInt8] {
        let reply = try HTTPClient().request(HTTPClientRequest(url: api + "/metrics"), timeoutMilliseconds: 5_000)
        guard reply.status == 200 else { throw Failure("/metrics was answered \(reply.status)") }
        return reply.body
    }

    /// The sum of a metric's samples over its labels.
    static func value(of metric: String, in page: [UInt8]) -> Double {
        var sum = 0.0
        for line in page.split(separator: 0x0A) where line.starts(with: metric.utf8) {
            guard let next = line.dropFirst(metric.utf8.count).first, next == UInt8(ascii: "{") || next == 0x20,
                let blank = line.lastIndex(of: 0x20)
            else { continue }
            sum += Double(String(decoding: line[(blank + 1)...], as: UTF8.self)) ?? 0
        }
        return sum
    }

    /// Stops both and removes the folder. Blocks until they have ended, at most a minute each; also where another thread, such
    /// as that of a signal, has begun with it.
    func stop() {
        isStopped.withLock { isStopped in
            guard !isStopped else { return }
            isStopped = true
            // The last one started reads from the first.
            for child in children.withLock({ $0 }).reversed() { end(child) }
            children.withLock { $0 = [] }
            folder.remove()
        }
    }

    private func end(_ child: Int32) {
        kill(child, SIGTERM)
        for _ in 0..<600 where !ProcessTable.isZombie(child) { Pause.milliseconds(100) }
        if !ProcessTable.isZombie(child) { kill(child, SIGKILL) }
        let ending = ChildProcess.reap(child)
        if !ending.isSuccess { logger.warning("a process of the benchmark \(ending)") }
    }

    private func start(
        _ arguments: [String], _ settings: [String: String], output: Int32 = STDERR_FILENO, executable: String? = nil
    ) throws {
        let child = try Self.spawn(arguments, settings, output: output, executable: executable)
        children.withLock { $0.append(child) }
    }

    /// Starts this executable as a process of its own; returns its id.
    ///
    /// - Parameters:
    ///   - output: descriptor for what it prints and logs.
    ///   - deathSignal: what it gets when the thread that calls this has ended.
    ///   - executable: another build's.
    static func spawn(
        _ arguments: [String], _ settings: [String: String], output: Int32 = STDERR_FILENO,
        deathSignal: String = "TERM", executable: String? = nil
    ) throws -> Int32 {
        var environment = Environment.variables()
        // Settings of the caller's deployment must not leak into this one; where the programs and models lie, may.
        let kept: Set = ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "MODEL_DIR", "PG_BIN_DIR", "COMMIT_INTERVAL_MS"]
        environment = environment.filter { kept.contains($0.key) }.merging(settings) { $1 }
        // A killed benchmark takes its children with it, where the system can do that.
        let guardian = "/usr/bin/setpriv"
        let command = access(guardian, X_OK) == 0 ? [guardian, "--pdeathsig=\(deathSignal)", "--"] : []
        return try ChildProcess.spawn(
            command + [try executable ?? ProcessPath.own()] + arguments,
            environment: environment.map { "\($0.key)=\($0.value)" }, output: output)
    }

    private static func absolute(_ path: String) throws -> String {
        guard let resolved = realpath(path, nil) else { throw FileError("find", path) }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}

/// Ports that nobody listens on at the moment.
enum FreePorts {
    static func take(_ count: Int) throws -> [UInt16] {
        var sockets: [Int32] = []
        defer { for socket in sockets { close(socket) } }
        return try (0..<count).map { _ in
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            guard descriptor >= 0 else { throw FileError("open", "a socket") }
            sockets.append(descriptor)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let status = withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, length) | getsockname(descriptor, $0, &length)
                }
            }
            guard status == 0 else { throw FileError("bind", "127.0.0.1") }
            return UInt16(bigEndian: address.sin_port)
        }
    }
}

extension FreePorts {
    /// Below the ports that the system gives to outgoing connections, so that nobody takes one while its process is
    /// down for a moment.
    static func takeBelowOutgoing(_ count: Int) throws -> [UInt16] {
        var sockets: [Int32] = []
        defer { for socket in sockets { close(socket) } }
        var ports: [UInt16] = []
        for _ in 0..<1_000 where ports.count < count {
            let port = UInt16.random(in: 20_000..<32_000)
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            guard descriptor >= 0 else { throw FileError("open", "a socket") }
            sockets.append(descriptor)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = in_port_t(port).bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            let status = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            if status == 0 && !ports.contains(port) { ports.append(port) }
        }
        guard ports.count == count else { throw Failure("no free ports below 32,000") }
        return ports
    }
}

/// Other processes, from /proc.
enum ProcessTable {
    static func children(of parent: Int32) -> [Int32] {
        ((try? Folder.list("/proc")) ?? []).compactMap(Int32.init).filter { fields(of: $0).parent == parent }
    }

    /// Ended, and not reaped yet.
    static func isZombie(_ process: Int32) -> Bool { fields(of: process).state == "Z" }

    /// User and system time of all threads since the processes' start.
    ///
    /// - Parameter withReaped: also of children that have ended, which a server with a process per connection has many of.
    static func processorSeconds(of processes: [Int32], withReaped: Bool = false) -> Double {
        var ticks = 0.0
        for process in processes {
            let found = fields(of: process)
            ticks += found.ticks + (withReaped ? found.reapedTicks : 0)
        }
        return ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    private static func fields(
        of process: Int32
    ) -> (state: String, parent: Int32, ticks: Double, reapedTicks: Double) {
        guard let file = try? File("/proc/\(process)/stat", .read), let bytes = try? file.read(at: 0, count: 1_024),
            let end = bytes.lastIndex(of: UInt8(ascii: ")"))
        else { return ("", 0, 0, 0) }
        // proc(5): state is the third field; user and system time are the 14th and 15th, in clock ticks, and those of reaped
        // children the two behind them.
        let fields = String(decoding: bytes[(end + 1)...], as: UTF8.self).split(separator: " ")
        guard fields.count > 14 else { return ("", 0, 0, 0) }
        let ticks = fields[11...14].map { Double($0) ?? 0 }
        return (String(fields[0]), Int32(fields[1]) ?? 0, ticks[0] + ticks[1], ticks[2] + ticks[3])
    }
}
