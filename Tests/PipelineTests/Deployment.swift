import EmbeddedPostgres
import Files
import Glibc
import Kafka
import PlatformTesting
import Processes
import Settings
import Synchronization

/// The real executable as an operator runs it: processes over one data folder, on ports of their own.
///
/// Everything ends with ``tearDown()``, or with the test process.
final class Deployment: Sendable {
    private let folder: TemporaryFolder
    let brokerPort: Int
    let apiPort: Int
    let simulatorPort: Int
    /// Variables of every process, beside those that keep deployments apart.
    private let shared: [String: String]
    private let processes = Mutex<[RunningProcess]>([])

    /// `MEDALLION_EXECUTABLE`, such as a release build for the long trials, or what was built beside the test bundle.
    static let executable: String = {
        if let named = getenv("MEDALLION_EXECUTABLE") { return String(cString: named) }
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let length = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        let path = String(decoding: buffer.prefix(max(0, length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let beside = Folder.parent(of: path) + "/medallion"
        return access(beside, X_OK) == 0 ? beside : PackageRoot.path + "/.build/debug/medallion"
    }()

    init(environment: [String: String] = [:]) throws {
        shared = environment
        folder = try TemporaryFolder()
        // Root's Postgres runs as another user, who has to pass.
        chmod(folder.path, 0o711)
        brokerPort = try TestPorts.free()
        apiPort = try TestPorts.free()
        simulatorPort = try TestPorts.free()
    }

    /// Runs a test over a deployment that is gone afterwards, whatever happens.
    ///
    /// - Parameter environment: of every process.
    static func run(
        environment: [String: String] = [:], _ body: @escaping @Sendable (Deployment) async throws -> Void
    ) async throws {
        try await OwnThread.run {
            let deployment = try Deployment(environment: environment)
            defer { deployment.tearDown() }
            do {
                try await body(deployment)
            } catch {
                // A log is kept: the keys that commands made are left out of it.
                let words = "\(error)\n\(deployment.lastWords)"
                throw PipelineFailure(words.replacing(/mdl_[\w\-]+/, with: "mdl_…"))
            }
        }
    }

    // MARK: Places

    func file(_ name: String) -> String { folder.file(name) }
    var dataFolder: String { folder.file("data") }
    var lakeFolder: String { dataFolder + "/lake" }
    /// The brokers of a broker given to the tests, else this deployment's own.
    var brokers: String { shared["KAFKA_BROKERS"] ?? "127.0.0.1:\(brokerPort)" }
    var topic: String { shared["KAFKA_TOPIC"] ?? "wikimedia.recentchange" }
    /// As the processes reach the brokers.
    func kafka() throws -> KafkaConfiguration {
        KafkaConfiguration(
            brokers: brokers, clientID: "test", extra: try Settings(environment: shared).kafkaProperties)
    }
    var api: API { API(port: apiPort) }
    var streamURL: String { "http://127.0.0.1:\(simulatorPort)/v2/stream/recentchange" }

    /// The embedded server's DSN for another database of it; nil while it does not run.
    func dsn(database: String = "medallion") -> String? {
        EmbeddedPostgres.runningDSN(folder: dataFolder + "/postgres")?
            .replacing("dbname=medallion", with: "dbname=\(database)")
    }

    /// The embedded server's first process.
    var postmaster: Int32? {
        guard let bytes = try? File.contents(of: dataFolder + "/postgres/data/postmaster.pid") else { return nil }
        return Int32(String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self))
    }

    // MARK: Processes

    /// Starts a role, or starts it again.
    ///
    /// - Parameter name: of the process and its log; the role's unless given.
    @discardableResult
    func start(
        _ command: String, _ arguments: [String] = [], name: String? = nil, environment: [String: String] = [:]
    ) throws -> RunningProcess {
        let name = name ?? command
        let process = try RunningProcess(
            name: name, command: [Self.executable, command] + arguments, environment: variables(environment),
            logPath: folder.file("\(name).log"))
        processes.withLock { $0.append(process) }
        return process
    }

    @discardableResult
    func startSimulator(_ recording: String, _ arguments: [String] = ["--full-speed"]) throws -> RunningProcess {
        try start("simulate", ["--listen", "127.0.0.1:\(simulatorPort)", "--recording", recording] + arguments)
    }

    /// Runs a command to its end.
    ///
    /// - Returns: what it printed.
    /// - Throws: where it does not end with 0.
    @discardableResult
    func command(_ arguments: [String], environment: [String: String] = [:], seconds: Int = 60) throws -> String {
        let log = folder.file("command.log")
        try Folder.removeIfPresent(log)
        let variables = variables(["LOG_LEVEL": "error"].merging(environment) { $1 })
        let process = try RunningProcess(
            name: arguments.joined(separator: " "), command: [Self.executable] + arguments, environment: variables,
            logPath: log)
        processes.withLock { $0.append(process) }
        let ending = try process.awaitEnd(seconds: seconds)
        let output = String(decoding: try File.contents(of: log), as: UTF8.self)
        guard ending.isSuccess else { throw PipelineFailure("\(process.name) \(ending): \(output)") }
        return output
    }

    /// Runs a command that is to be refused.
    ///
    /// - Returns: what it printed.
    /// - Throws: where it ends with 0.
    func refusal(_ arguments: [String], environment: [String: String] = [:], seconds: Int = 60) throws -> String {
        let log = folder.file("refusal.log")
        try Folder.removeIfPresent(log)
        let process = try RunningProcess(
            name: arguments.joined(separator: " "), command: [Self.executable] + arguments,
            environment: variables(environment), logPath: log)
        let ending = try process.awaitEnd(seconds: seconds)
        guard !ending.isSuccess else { throw PipelineFailure("\(process.name) was not refused: \(process.output)") }
        return process.output
    }

    /// Lines for a shell, run in a folder as somebody types them there: `medallion` is the executable.
    ///
    /// - Parameter isRole: whether it is to run until the end of the test.
    func shell(_ lines: String, in folder: String, name: String, isRole: Bool = false) throws -> RunningProcess {
        var variables = variables(isRole ? [:] : ["LOG_LEVEL": "error"])
        variables["PATH"] = Folder.parent(of: Self.executable) + ":/usr/bin:/bin"
        let process = try RunningProcess(
            name: name, command: ["/bin/bash", "-euo", "pipefail", "-c", "cd '\(folder)'\n" + lines],
            environment: variables, logPath: self.folder.file("\(name).log"))
        if isRole { processes.withLock { $0.append(process) } }
        return process
    }

    /// Takes a process, which has ended as it should have, out of those whose end is a failure.
    func forget(_ process: RunningProcess) {
        processes.withLock { $0.removeAll { $0 === process } }
    }

    /// Asks again and again; fails at once when a process that should run has ended.
    func wait(for what: String, seconds: Int = 90, _ condition: () throws -> Bool) throws {
        let deadline = time(nil) + seconds
        var fault: (any Error)?
        while time(nil) <= deadline {
            do {
                if try condition() { return }
                fault = nil
            } catch {
                fault = error
            }
            if let gone = processes.withLock({ $0 }).first(where: { $0.isDead }) {
                throw PipelineFailure("waiting for \(what), but \(gone.name) \(gone.ending.map { "\($0)" } ?? "")")
            }
            usleep(100_000)
        }
        throw PipelineFailure("waited \(seconds) s for \(what)" + (fault.map { "; \($0)" } ?? ""))
    }

    /// The end of every log, for a failure.
    private var lastWords: String {
        var seen: Set<String> = []
        return processes.withLock { $0 }.filter { seen.insert($0.logPath).inserted }.map(\.lastWords)
            .joined(separator: "\n")
    }

    private func tearDown() {
        let all = processes.withLock { $0 }
        for process in all { process.signal(SIGKILL) }
        for process in all { _ = try? process.awaitEnd(seconds: 10) }
        // Its own death signal ends it in order; this is faster, and nobody needs the data any more.
        for _ in 0..<200 {
            guard let postmaster, kill(postmaster, SIGQUIT) == 0 else { return }
            usleep(20_000)
        }
    }

    private func variables(_ more: [String: String]) -> [String: String] {
        var variables = [
            "PATH": "/usr/bin:/bin", "DATA_DIR": dataFolder, "BROKER_LISTEN": "127.0.0.1:\(brokerPort)",
            "API_LISTEN": "127.0.0.1:\(apiPort)", "TMPDIR": folder.path,
            // Several servers run at once here, beside others' tests.
            "PG_MEMORY_BYTES": "134217728",
        ]
        for name in ["MODEL_DIR", "PG_BIN_DIR"] {
            if let value = getenv(name) { variables[name] = String(cString: value) }
        }
        return variables.merging(shared) { $1 }.merging(more) { $1 }
    }
}

extension RunningProcess {
    /// Ended by itself with a failure, as no role may.
    fileprivate var isDead: Bool {
        guard let ending else { return false }
        return !ending.isSuccess && ending != .signalled(SIGKILL)
    }
}
