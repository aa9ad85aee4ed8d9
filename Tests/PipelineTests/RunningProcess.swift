import Concurrency
import Files
import Glibc
import Processes
import ServiceLifecycle
import Synchronization

/// A test could not go on; says what was waited for, and what the processes said last.
struct PipelineFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// A child process that is reaped when it ends, and that the kernel ends with this process, whatever ends that one.
final class RunningProcess: Sendable {
    let name: String
    /// Gets standard output and standard error of all runs of that name.
    let logPath: String
    private let state = Mutex(State())

    private struct State {
        /// Set until the child is reaped, so that a signal never hits a stranger.
        var pid: Int32?
        var ending: ChildProcess.Ending?
        var fault: String?
    }

    /// - Parameter environment: all of it.
    init(name: String, command: [String], environment: [String: String], logPath: String) throws {
        self.name = name
        self.logPath = logPath
        // The death signal is bound to the thread that starts the child, so that thread lives as long as the child.
        let isStarted = Threads.start(name: "child-\(name)") { [self] in
            supervise(["/usr/bin/setpriv", "--pdeathsig=KILL"] + command, environment.map { "\($0.key)=\($0.value)" })
        }
        guard isStarted else { throw PipelineFailure("no thread for \(name)") }
        while true {
            let (isRunning, fault) = state.withLock { ($0.pid != nil || $0.ending != nil, $0.fault) }
            if let fault { throw PipelineFailure("\(name) cannot be started: \(fault)") }
            if isRunning { return }
            usleep(1_000)
        }
    }

    private func supervise(_ command: [String], _ environment: [String]) {
        let log = open(logPath, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
        defer { close(log) }
        do {
            let pid = try ChildProcess.spawn(command, environment: environment, output: log)
            state.withLock { $0.pid = pid }
            ChildProcess.awaitEnd(pid)
            state.withLock { state in
                state.ending = ChildProcess.reap(pid)
                state.pid = nil
            }
        } catch {
            state.withLock { $0.fault = "\(error)" }
        }
    }

    /// How it ended; nil while it runs.
    var ending: ChildProcess.Ending? { state.withLock { $0.ending } }

    func signal(_ number: Int32) {
        state.withLock { state in
            if let pid = state.pid { kill(pid, number) }
        }
    }

    /// `kill -9`, and waits for the end.
    func kill9() throws {
        signal(SIGKILL)
        _ = try awaitEnd(seconds: 10)
    }

    /// Asks it to stop, as Ctrl-C or a service manager does.
    func stop(seconds: Int = 40) throws -> ChildProcess.Ending {
        signal(SIGTERM)
        return try awaitEnd(seconds: seconds)
    }

    func awaitEnd(seconds: Int) throws -> ChildProcess.Ending {
        for _ in 0..<seconds * 200 {
            if let ending { return ending }
            usleep(5_000)
        }
        throw PipelineFailure("\(name) did not end in \(seconds) s")
    }

    /// Everything it said so far.
    var output: String { String(decoding: (try? File.contents(of: logPath)) ?? [], as: UTF8.self) }

    /// The end of it, in short.
    var lastWords: String {
        let lines = output.utf8.split(separator: UInt8(ascii: "\n")).suffix(25)
        return lines.map { "  \(name)| " + String(decoding: $0.prefix(400), as: UTF8.self) }.joined(separator: "\n")
    }
}
