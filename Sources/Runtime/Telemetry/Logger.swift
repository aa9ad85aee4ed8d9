import Bytes

/// How much a log entry matters; entries below a logger's level are not written.
package enum LogLevel: String, Sendable, CaseIterable, Comparable {
    case debug, info, warning, error

    package static func < (left: LogLevel, right: LogLevel) -> Bool { left.rank < right.rank }

    private var rank: Int {
        switch self {
        case .debug: 0
        case .info: 1
        case .warning: 2
        case .error: 3
        }
    }
}

/// Writes entries of one component, each as a single line, whatever the text holds.
///
/// Text may come from the stream or the network: control characters, line separators and bidirectional overrides are
/// escaped, so that no entry can forge another or rearrange a terminal; long text is cut.
package struct Logger: Sendable {
    /// Which part of the program speaks, such as `broker`.
    package let component: String
    /// Entries below it are dropped.
    package let level: LogLevel
    private let sink: LogSink

    /// - Parameter sink: where lines go; standard error as text unless given.
    package init(_ component: String, level: LogLevel = .info, sink: LogSink = .standardError) {
        self.component = component
        self.level = level
        self.sink = sink
    }

    /// The same level and sink for another component.
    package func scoped(_ component: String) -> Logger {
        Logger(component, level: level, sink: sink)
    }

    /// For following one record or request; off by default.
    package func debug(_ message: @autoclosure () -> String, _ fields: KeyValuePairs<String, String> = [:]) {
        if level <= .debug { sink.write(.debug, component, message(), fields) }
    }

    /// For what an operator expects to see once.
    package func info(_ message: String, _ fields: KeyValuePairs<String, String> = [:]) {
        if level <= .info { sink.write(.info, component, message, fields) }
    }

    /// For what heals by itself or can wait.
    package func warning(_ message: String, _ fields: KeyValuePairs<String, String> = [:]) {
        if level <= .warning { sink.write(.warning, component, message, fields) }
    }

    /// For what needs someone.
    package func error(_ message: String, _ fields: KeyValuePairs<String, String> = [:]) {
        sink.write(.error, component, message, fields)
    }
}
