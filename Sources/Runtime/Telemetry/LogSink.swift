import Bytes
import Glibc
import Synchronization

/// How a log line looks.
package enum LogFormat: String, Sendable, CaseIterable {
    /// `2026-11-21T09:03:00.123Z info  broker: message key=value`
    case text
    /// One JSON object: `time`, `level`, `component`, `message`, then the fields.
    case json
}

/// Where log lines go. One call of `output` per entry, under a lock, so that lines never mix.
package final class LogSink: Sendable {
    /// Text lines to standard error.
    package static let standardError = LogSink(format: .text)

    private let format: LogFormat
    private let clock: @Sendable () -> Int64
    private let state: Mutex<State>

    private struct State {
        let output: @Sendable ([UInt8]) -> Void
        /// The line kept at the bottom of a terminal, without a newline; empty when there is none.
        var status: [UInt8] = []
    }

    /// - Parameters:
    ///   - clock: milliseconds since 1970, for the time of entries.
    ///   - output: gets one whole line with its newline; standard error unless given.
    package init(
        format: LogFormat, clock: @escaping @Sendable () -> Int64 = SystemClock.epochMilliseconds,
        output: (@Sendable ([UInt8]) -> Void)? = nil
    ) {
        self.format = format
        self.clock = clock
        state = Mutex(State(output: output ?? { bytes in Self.writeToStandardError(bytes) }))
    }

    /// Shows `line` at the bottom of the terminal, in place of the one shown before; entries are printed above it. Only
    /// for a terminal (`isatty`). An empty line takes it away.
    package func setStatusLine(_ line: String) {
        let safe = LogText.escaped(line)
        state.withLock { state in
            state.status = Array(safe.utf8)
            state.output(Self.eraseLine + state.status)
        }
    }

    func write(_ level: LogLevel, _ component: String, _ message: String, _ fields: KeyValuePairs<String, String>) {
        var line =
            switch format {
            case .text: Self.textLine(clock(), level, component, message, fields)
            case .json: Self.jsonLine(clock(), level, component, message, fields)
            }
        state.withLock { state in
            if !state.status.isEmpty { line = Self.eraseLine + line + state.status }
            state.output(line)
        }
    }

    /// Carriage return, then "erase to the end of the line" (ECMA-48 EL).
    private static let eraseLine = Array("\r\u{1B}[K".utf8)

    private static func textLine(
        _ time: Int64, _ level: LogLevel, _ component: String, _ message: String,
        _ fields: KeyValuePairs<String, String>
    ) -> [UInt8] {
        var line: [UInt8] = []
        line.reserveCapacity(160)
        CivilTime.appendRFC3339(time, to: &line)
        line.append(UInt8(ascii: " "))
        line.append(contentsOf: level.rawValue.utf8)
        for _ in level.rawValue.utf8.count..<8 { line.append(UInt8(ascii: " ")) }
        line.append(contentsOf: LogText.escaped(component).utf8)
        line.append(contentsOf: ": ".utf8)
        line.append(contentsOf: LogText.escaped(message).utf8)
        for (name, value) in fields {
            line.append(UInt8(ascii: " "))
            line.append(contentsOf: LogText.escaped(name).utf8)
            line.append(UInt8(ascii: "="))
            line.append(contentsOf: LogText.quotedIfNeeded(value).utf8)
        }
        line.append(UInt8(ascii: "\n"))
        return line
    }

    private static func jsonLine(
        _ time: Int64, _ level: LogLevel, _ component: String, _ message: String,
        _ fields: KeyValuePairs<String, String>
    ) -> [UInt8] {
        var writer = JSONWriter(capacity: 200)
        writer.beginObject()
        writer.key("time")
        writer.string(CivilTime.rfc3339(time))
        writer.key("level")
        writer.string(level.rawValue)
        writer.key("component")
        writer.string(component)
        writer.key("message")
        writer.string(LogText.cut(message))
        for (name, value) in fields {
            writer.key(dynamic: name)
            writer.string(LogText.cut(value))
        }
        writer.endObject()
        writer.bytes.append(UInt8(ascii: "\n"))
        return writer.bytes
    }

    private static func writeToStandardError(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { buffer in
            var rest = buffer[...]
            while !rest.isEmpty {
                let written = Glibc.write(STDERR_FILENO, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                if written > 0 {
                    rest = rest.dropFirst(written)
                } else if written < 0 && errno == EINTR {
                    continue
                } else {
                    return  // Nobody reads the log any more; there is nowhere left to say so.
                }
            }
        }
    }
}

/// Makes any text safe for a line of a log or a terminal.
package enum LogText {
    /// Characters kept of one message or value.
    package static let lengthMax = 2_000

    /// `text` with everything that could end the line or steer a terminal as `\n`, `\u{1B}` and so on; cut after
    /// ``lengthMax`` characters.
    package static func escaped(_ text: String) -> String {
        let text = cut(text)
        guard text.unicodeScalars.contains(where: isUnsafe) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where isUnsafe(scalar): result += "\\u{\(String(scalar.value, radix: 16, uppercase: true))}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// As ``escaped(_:)``, in quotes where a reader of `key=value` pairs would otherwise see several words.
    static func quotedIfNeeded(_ text: String) -> String {
        let safe = escaped(text)
        let isPlain = !safe.isEmpty && safe.utf8.allSatisfy { $0 > 0x20 && $0 != 0x22 && $0 != 0x3D }
        return isPlain ? safe : "\"\(safe.replacing("\"", with: "\\\""))\""
    }

    static func cut(_ text: String) -> String {
        // The byte count is at hand; counting characters walks the text.
        guard text.utf8.count > lengthMax, text.count > lengthMax else { return text }
        return String(text.prefix(lengthMax)) + "…"
    }

    private static func isUnsafe(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x00...0x1F, 0x7F...0x9F: true  // C0, delete, C1
        case 0x2028, 0x2029: true  // line and paragraph separators
        case 0x061C, 0x200E, 0x200F, 0x202A...0x202E, 0x2066...0x2069: true  // bidirectional controls
        default: false
        }
    }
}
