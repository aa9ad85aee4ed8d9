import Console
import Files
import Glibc
import Processes

/// wrk, the load generator: a closed loop over a fixed number of connections, as a process of its own.
struct WrkLoad {
    /// What one run came to.
    struct Result {
        var requestsPerSecond = 0.0
        var p50Milliseconds = 0.0
        /// 0 unless the script prints it.
        var p95Milliseconds = 0.0
        var p99Milliseconds = 0.0
        /// Replies other than 2xx and 3xx, and errors of sockets.
        var failures = 0
    }

    let folder: String
    let connections: Int
    let seconds: Int

    private static let program = "/usr/bin/wrk"

    /// - Throws: ``Failure`` (69) where wrk is not installed.
    init(folder: String, connections: Int, seconds: Int) throws {
        guard access(Self.program, X_OK) == 0 else {
            throw Failure("wrk is not installed (Debian: apt-get install wrk)", code: .dependencyUnavailable)
        }
        self.folder = folder
        self.connections = connections
        self.seconds = seconds
    }

    /// Asks for `url` again and again; blocks for the time.
    ///
    /// - Parameters:
    ///   - body: sent by POST as JSON; nil for GET.
    ///   - script: in Lua, makes the requests in place of `body`, and may print further quantiles as wrk does.
    func run(_ url: String, body: String? = nil, script lua: String? = nil) throws -> Result {
        var command = [
            Self.program, "--threads", "1", "--connections", "\(connections)", "--duration", "\(seconds)s",
            "--timeout", "10s", "--latency",
        ]
        let post = body.map {
            """
            wrk.method = "POST"
            wrk.headers["Content-Type"] = "application/json"
            wrk.body = [==[\($0)]==]
            """
        }
        if let text = lua ?? post {
            let script = folder + "/post.lua"
            try File.replace(script, with: Array(text.utf8))
            command += ["--script", script]
        }
        let output = folder + "/wrk.txt"
        let descriptor = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw FileError("open", output) }
        defer { close(descriptor) }
        let child = try ChildProcess.spawn(command + [url], environment: ["PATH=/usr/bin:/bin"], output: descriptor)
        ChildProcess.awaitEnd(child)
        let ending = ChildProcess.reap(child)
        let text = String(decoding: try File.contents(of: output), as: UTF8.self)
        guard ending.isSuccess, let result = Self.read(text) else { throw Failure("wrk \(ending): \(text)") }
        return result
    }

    /// wrk's words; nil where they are not there.
    static func read(_ text: String) -> Result? {
        var result = Result()
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard let first = words.first else { continue }
            switch first {
            case "50%": result.p50Milliseconds = milliseconds(words.last) ?? 0
            case "95%": result.p95Milliseconds = milliseconds(words.last) ?? 0
            case "99%": result.p99Milliseconds = milliseconds(words.last) ?? 0
            case "Requests/sec:": result.requestsPerSecond = words.last.flatMap { Double($0) } ?? 0
            case "Non-2xx": result.failures += words.last.flatMap { Int($0) } ?? 0
            case "Socket":
                result.failures += words.compactMap { Int($0.filter { $0 != "," }) }.reduce(0, +)
            default: break
            }
        }
        return result.requestsPerSecond > 0 ? result : nil
    }

    /// `812.00us`, `1.23ms`, `2.5s`.
    private static func milliseconds(_ text: Substring?) -> Double? {
        guard let text else { return nil }
        for (unit, factor) in [("us", 0.001), ("ms", 1), ("s", 1_000)] where text.hasSuffix(unit) {
            return Double(text.dropLast(unit.count)).map { $0 * factor }
        }
        return nil
    }
}
