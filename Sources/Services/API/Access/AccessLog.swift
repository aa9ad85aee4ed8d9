import Bytes
import Concurrency
import Files
import Glibc
import HTTPServer
import ServiceLifecycle
import Synchronization
import Telemetry

/// One JSON line per finished request, for collectors. Holds no secret: no header but the user agent, no query, no body,
/// and of a key only its id.
///
/// Lines wait in a bounded buffer and are written by a thread of their own, so that a slow disk holds up no request; what
/// the buffer cannot take is counted and left out. The file is opened for each write, so it may be renamed at any time.
/// Drained means: all lines are written.
final class AccessLog: Sendable {
    /// Nil for standard output.
    private let path: String?
    private let logger: Logger
    private let waiting = Mutex<[UInt8]>([])
    private let lost: Counter

    /// Lines that may wait, bytes.
    static let waitingBytesMax = 4 << 20
    private static let pauseMilliseconds = 200
    private static let pathCharactersMax = 512
    private static let agentCharactersMax = 256

    /// - Parameter path: a file; `-` for standard output.
    init(path: String, metrics: MetricsRegistry, logger: Logger) {
        self.path = path == "-" ? nil : path
        self.logger = logger
        lost = metrics.counter(
            "medallion_api_access_log_lost_total",
            help: "Requests left out of the access log, which could not be written.")
    }

    /// Adds a line. Quick: called on event loops.
    ///
    /// - Parameters:
    ///   - key: the id of the key that was used, nil for none.
    ///   - tenant: the key's, or the one that an administrator named; nil for none.
    func note(
        _ exchange: HTTPExchange, key: String?, tenant: String? = nil,
        nowMilliseconds: Int64 = SystemClock.epochMilliseconds()
    ) {
        let line = Self.line(exchange, key: key, tenant: tenant, nowMilliseconds: nowMilliseconds)
        let isTaken = waiting.withLock { waiting in
            guard waiting.count + line.count <= Self.waitingBytesMax else { return false }
            waiting += line
            return true
        }
        if !isTaken { lost.increment() }
    }

    static func line(
        _ exchange: HTTPExchange, key: String?, tenant: String? = nil, nowMilliseconds: Int64
    ) -> [UInt8] {
        var writer = JSONWriter(capacity: 400)
        writer.beginObject()
        writer.key("time")
        writer.time(nowMilliseconds)
        writer.key("request_id")
        writer.string(exchange.requestID)
        writer.key("client")
        writer.optional(exchange.client?.description)
        writer.key("key")
        writer.optional(key)
        writer.key("tenant")
        writer.optional(tenant)
        writer.key("method")
        writer.string(safe(exchange.method.name, 32))
        writer.key("path")
        writer.string(safe(exchange.path, pathCharactersMax))
        writer.key("route")
        writer.optional(exchange.pattern)
        writer.key("status")
        writer.integer(exchange.status)
        writer.key("duration_ms")
        writer.milliseconds(nanoseconds: exchange.nanoseconds)
        writer.key("request_bytes")
        writer.integer(exchange.requestBytes)
        writer.key("reply_bytes")
        writer.integer(exchange.replyBytes)
        writer.key("user_agent")
        writer.optional(exchange.headers["user-agent"].map { safe($0, agentCharactersMax) })
        writer.endObject()
        writer.bytes.append(UInt8(ascii: "\n"))
        return writer.bytes
    }

    /// Cut, and with everything that steers a terminal shown as text.
    private static func safe(_ text: String, _ charactersMax: Int) -> String {
        let isLong = text.unicodeScalars.count > charactersMax
        return LogText.escaped(isLong ? String(text.unicodeScalars.prefix(charactersMax)) + "…" : text)
    }

    /// Writes what waits until stopped, and then the rest.
    func run(stop: StopSignal) async {
        let lane = Lane(name: "access-log")
        var isFailing = false
        while true {
            let isOver = await stop.pause(milliseconds: Self.pauseMilliseconds)
            do {
                try await lane.run { [self] in try write() }
                isFailing = false
            } catch {
                // The lines wait on; the bound drops and counts what comes beyond it.
                if !isFailing { logger.warning("the access log cannot be written", ["error": "\(error)"]) }
                isFailing = true
            }
            if isOver { return }
        }
    }

    private func write() throws {
        let lines = waiting.withLock { $0 }
        guard !lines.isEmpty else { return }
        if let path {
            try File(path, .append).append(lines)
        } else {
            // It may be a socket, as under systemd, which cannot be opened by a name.
            try File(copyOf: STDOUT_FILENO, name: "standard output").append(lines)
        }
        waiting.withLock { $0.removeFirst(lines.count) }
    }
}
