import Glibc
package import ServiceLifecycle
package import Settings
package import Telemetry

/// A subcommand: arguments become a value that the rest can trust, then it runs.
package protocol Command: Sendable {
    /// The word after `medallion`.
    static var name: String { get }
    /// One line for the list of subcommands.
    static var summary: String { get }
    /// Options and words; `--help` is everyone's.
    static var table: ArgumentTable { get }
    /// Text below the options in `--help`; empty unless given.
    static var details: String { get }

    /// Checks everything that can be checked before anything is opened.
    init(_ arguments: ParsedArguments) throws

    /// - Throws: what ends the run; ``Failure`` chooses the exit code.
    func run(_ context: Context) async throws
}

extension Command {
    package static var details: String { "" }

    /// What `--help` prints.
    package static var help: String {
        var usage = "usage: medallion \(name)"
        if !table.options.isEmpty { usage += " [options]" }
        for word in table.positionals {
            let name = word.takesRest ? word.name + "…" : word.name
            usage += word.isRequired ? " \(name)" : " [\(name)]"
        }
        var lines = [usage, "", summary]
        let rows =
            table.positionals.map { ($0.name, $0.help) }
            + table.options.map { ($0.name + ($0.value.map { " " + $0 } ?? ""), $0.help) } + [("--help", "This text.")]
        let width = (rows.map { $0.0.count }.max() ?? 0) + 2
        lines.append("")
        for (left, right) in rows {
            lines.append("  " + left + String(repeating: " ", count: width - left.count) + right)
        }
        if !details.isEmpty { lines += ["", details] }
        return lines.joined(separator: "\n") + "\n"
    }
}

/// What every command gets.
package struct Context: Sendable {
    package let settings: Settings
    package let logger: Logger
    package let sink: LogSink
    package let metrics: MetricsRegistry

    /// Whether standard error is a terminal, where a status line makes sense.
    package let isTerminal: Bool

    package init(settings: Settings, logger: Logger, sink: LogSink, metrics: MetricsRegistry, isTerminal: Bool) {
        self.settings = settings
        self.logger = logger
        self.sink = sink
        self.metrics = metrics
        self.isTerminal = isTerminal
    }

    /// Runs services until a signal or a failure.
    package func run(_ services: [any Service], drainLimitSeconds: Int = 20, stop: StopSignal = StopSignal())
        async throws
    {
        try await ServiceGroup(
            services: services, logger: logger, drainLimitSeconds: drainLimitSeconds, stop: stop
        ).run()
    }
}

/// An end that chooses its exit code.
package struct Failure: Error, CustomStringConvertible {
    package let code: ExitCode
    package let description: String

    package init(_ description: String, code: ExitCode = .failure) {
        self.code = code
        self.description = description
    }
}

/// What goes to standard output, and complaints to standard error.
package enum Output {
    /// A text as it is; ``line(_:)`` ends it.
    package static func print(_ text: String) { write(Array(text.utf8)) }

    /// A text and a line feed.
    package static func line(_ text: String) { write(Array((text + "\n").utf8)) }

    /// A text on standard error.
    package static func complain(_ text: String) { write(Array(text.utf8), to: STDERR_FILENO) }

    /// All bytes, or as many as the reader takes before it leaves.
    package static func write(_ bytes: [UInt8], to descriptor: Int32 = STDOUT_FILENO) {
        bytes.withUnsafeBytes { buffer in
            var rest = buffer[...]
            while !rest.isEmpty {
                let piece = UnsafeRawBufferPointer(rebasing: rest)
                let written = Glibc.write(descriptor, piece.baseAddress, piece.count)
                if written > 0 {
                    rest = rest.dropFirst(written)
                } else if written < 0 && errno == EINTR {
                    continue
                } else {
                    return  // The reader left, as `| head` does.
                }
            }
        }
    }
}

/// What comes from standard input.
package enum Input {
    /// Everything up to its end.
    ///
    /// - Throws: ``Failure`` where it is larger than `bytesMax`, or cannot be read.
    package static func all(bytesMax: Int) throws -> [UInt8] {
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(STDIN_FILENO, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw Failure("standard input cannot be read (errno \(errno))") }
            if count == 0 { return content }
            content.append(contentsOf: buffer[..<count])
            guard content.count <= bytesMax else { throw Failure("standard input holds more than \(bytesMax) bytes") }
        }
    }
}
