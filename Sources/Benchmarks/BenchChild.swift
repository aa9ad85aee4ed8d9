import Bytes
import Console
import Files
import Glibc
import Kafka
import Processes

/// A subcommand of this executable as a process of its own; what it prints and logs goes to a file. It ends with the benchmark.
struct BenchChild: Sendable {
    private let name: String
    private let path: String
    private let process: Int32

    /// - Parameter name: of the file, in `folder`.
    init(_ name: String, _ arguments: [String], _ settings: [String: String], in folder: ScratchFolder) throws {
        self.name = name
        path = folder.path + "/" + name
        process = try Self.withFile(path) {
            try BenchDeployment.spawn(arguments, settings, output: $0, deathSignal: "KILL")
        }
    }

    /// A new file, for the output of a process.
    static func withFile<Result>(_ path: String, _ body: (Int32) throws -> Result) throws -> Result {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw FileError("open", path) }
        defer { close(descriptor) }
        return try body(descriptor)
    }

    /// Waits for its end, and gives what it printed and logged.
    ///
    /// - Throws: ``Failure`` where it failed, or took longer; then it is ended.
    func output(within seconds: Int) throws -> String {
        guard let output = try output(within: seconds, until: { false }) else {
            throw Failure("\(name) was ended")
        }
        return output
    }

    /// The same for one that may be ended as it is.
    ///
    /// - Returns: nil where it was.
    func output(within seconds: Int, until isOver: () -> Bool) throws -> String? {
        var isEnded = false
        for _ in 0..<seconds * 200 where !isEnded && !ProcessTable.isZombie(process) {
            isEnded = isOver()
            if !isEnded { Pause.milliseconds(5) }
        }
        if !ProcessTable.isZombie(process) { kill(process, SIGKILL) }
        let ending = ChildProcess.reap(process)
        if isEnded { return nil }
        let output = String(decoding: try File.contents(of: path), as: UTF8.self)
        guard ending.isSuccess else { throw Failure("\(name) \(ending): \(output.suffix(1_000))") }
        return output
    }
}

extension KafkaConfiguration {
    private static let startNanoseconds: Int64 = 60_000_000_000

    /// Blocks until a broker that was just started answers a client.
    ///
    /// - Parameter process: the broker's.
    func waitUntilAnswered(by process: Int32) throws {
        let deadline = SystemClock.monotonicNanoseconds() + Self.startNanoseconds
        // A new client each time: one that was refused waits longer and longer before it connects again.
        while (try? KafkaAdmin(self).metadata(timeoutMilliseconds: 50)) == nil {
            guard SystemClock.monotonicNanoseconds() < deadline, !ProcessTable.isZombie(process) else {
                throw Failure("the broker does not answer; its log is above")
            }
            Pause.milliseconds(5)
        }
    }
}
