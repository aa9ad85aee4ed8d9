import Foundation

/// A real Redis server of a test's own, on a socket in a folder. It ends with this value.
package final class RedisServer: Sendable {
    /// Where it listens.
    package let socket: String
    private let process: Process
    private static let program = "/usr/bin/redis-server"

    /// Set-up installs it for tests; elsewhere it may be missing.
    package static var isInstalled: Bool { FileManager.default.isExecutableFile(atPath: program) }

    package init(in folder: String) throws {
        socket = folder + "/redis.sock"
        process = Process()
        process.executableURL = URL(fileURLWithPath: Self.program)
        process.arguments = ["--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        for _ in 0..<6_000 where !FileManager.default.fileExists(atPath: socket) { usleep(10_000) }
    }

    deinit { kill() }

    /// Ends it at once.
    package func kill() {
        guard process.isRunning else { return }
        Foundation.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    /// How many values it holds whose keys fit a pattern.
    package func keys(_ pattern: String = "*") throws -> Int {
        try command(["--scan", "--pattern", pattern]).split(separator: "\n").count
    }

    /// Serves nobody for a while.
    package func pause(milliseconds: Int) throws { _ = try command(["CLIENT", "PAUSE", "\(milliseconds)", "ALL"]) }

    private func command(_ words: [String]) throws -> String {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/redis-cli")
        process.arguments = ["-s", socket] + words
        process.standardOutput = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return text
    }
}
