package import Bytes
import Files
import HTTPClient
import Ingest
package import ServiceLifecycle
package import Telemetry
import Zstd

/// What to record, and for how long.
package struct RecorderOptions: Sendable {
    /// An endpoint of server-sent events.
    package var url: SecretURL
    /// Wikimedia refuses vague ones.
    package var userAgent: String
    /// `.sse` (the bytes as they came) or `.jsonl` (one event a line), either with `.zst`. Must not exist yet.
    package var output: String
    /// Ends after so many events; nil: no such limit.
    package var eventsMax: Int?
    /// Ends after so many seconds; nil: no such limit.
    package var secondsMax: Int?
    /// Connecting, and silence of the stream, may take so long, in milliseconds.
    package var timeoutMilliseconds = 30_000

    package init(url: SecretURL, userAgent: String, output: String) {
        self.url = url
        self.userAgent = userAgent
        self.output = output
    }

    /// - Parameter url: the endpoint, in which there may be secrets.
    package init(url: String, userAgent: String, output: String) {
        self.init(url: SecretURL(url), userAgent: userAgent, output: output)
    }
}

/// What was recorded.
package struct RecordingSummary: Sendable, Equatable {
    /// Whole events in the file.
    package var events = 0
    /// Their bytes before compression.
    package var bytes = 0
    /// Connections beyond the first.
    package var reconnects = 0
}

/// Writes the events of an endpoint to a file.
///
/// Only whole events are written, so that a recording stopped at any moment can be played. When the connection ends it
/// goes on with `Last-Event-ID`; an endpoint that ends without sending anything new has come to its end.
package struct Recorder: Sendable {
    /// Failed connections in a row before it gives up.
    static let failuresMax = 8
    private let options: RecorderOptions
    private let logger: Logger

    package init(options: RecorderOptions, logger: Logger) {
        self.options = options
        self.logger = logger
    }

    /// Records until a limit, the stream's end or `stop`. Blocks: for lanes and own threads.
    ///
    /// - Throws: ``SimulatorError`` for what is not worth retrying; what was recorded until then is in the file.
    package func record(stop: StopSignal) throws -> RecordingSummary {
        var file = try RecordingFile(path: options.output)
        defer { logger.debug("recording closed", ["file": options.output]) }
        let deadline = options.secondsMax.map { Self.now() + Int64($0) * 1_000 }
        let client = HTTPClient(HTTPClientConfiguration(userAgent: options.userAgent))
        var parser = EventStreamParser()
        var backoff = Backoff(baseMilliseconds: 500, capMilliseconds: 30_000, floorMilliseconds: 200)
        var summary = RecordingSummary()
        let isOver = { stop.isRequested || deadline.map { Self.now() >= $0 } ?? false }
        while true {
            let before = summary.events
            let outcome = try connect(client, &parser, &file, &summary, isOver)
            if isOver() || isFull(summary) { break }
            if case .ended = outcome, summary.events == before { break }
            if summary.events > before { backoff.reset() }
            if case .failed(let reason) = outcome {
                logger.warning("connection lost", ["reason": reason])
                if backoff.attempts >= Self.failuresMax {
                    try file.finish()
                    throw SimulatorError("record", "\(options.url)", "gave up: \(reason)", isRetriable: true)
                }
            }
            summary.reconnects += 1
            if stop.sleep(milliseconds: min(backoff.next(), deadline.map { Int(max(0, $0 - Self.now())) } ?? .max)) {
                break
            }
        }
        try file.finish()
        return summary
    }

    private enum Outcome {
        case ended
        case failed(String)
    }

    private func connect(
        _ client: HTTPClient, _ parser: inout EventStreamParser, _ file: inout RecordingFile,
        _ summary: inout RecordingSummary, _ isOver: () -> Bool
    ) throws -> Outcome {
        parser.reset()
        var request = HTTPClientRequest(
            url: options.url.revealed, headers: [("Accept", "text/event-stream"), ("Cache-Control", "no-cache")])
        if !parser.lastEventID.isEmpty {
            request.headers.append(("Last-Event-ID", String(decoding: parser.lastEventID, as: UTF8.self)))
        }
        var refusal: Int?
        file.forgetPartialEvent()
        do {
            let end = try client.stream(
                request, connectTimeoutMilliseconds: options.timeoutMilliseconds,
                stallTimeoutMilliseconds: options.timeoutMilliseconds,
                shouldStop: { isOver() || isFull(summary) },
                onHead: { status, _ in
                    if status != 200 { refusal = status }
                    return status == 200
                },
                onBytes: { bytes in try take(bytes, &parser, &file, &summary) })
            if let refusal { throw SimulatorError("record", "\(options.url)", "the server answered \(refusal)") }
            return end == .finished ? .ended : .failed("stopped")
        } catch let error as HTTPClientError {
            guard error.isRetriable else {
                throw SimulatorError("record", "\(options.url)", options.url.scrubbed(error.description))
            }
            return .failed(options.url.scrubbed(error.description))
        }
    }

    /// Line by line, so that it is known which bytes each event is made of.
    private func take(
        _ bytes: UnsafeRawBufferPointer, _ parser: inout EventStreamParser, _ file: inout RecordingFile,
        _ summary: inout RecordingSummary
    ) throws {
        var start = 0
        while start < bytes.count, !isFull(summary) {
            let end = bytes[start...].firstIndex(of: 0x0A).map { $0 + 1 } ?? bytes.count
            let line = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
            file.add(line)
            try parser.push(line) { event in
                summary.bytes += try file.endEvent(data: event.data)
                summary.events += 1
            }
            start = end
        }
    }

    private func isFull(_ summary: RecordingSummary) -> Bool { options.eventsMax.map { summary.events >= $0 } ?? false }

    private static func now() -> Int64 { SystemClock.monotonicNanoseconds() / 1_000_000 }
}

/// A recording that is being written: whole events only, compressed in frames of about a megabyte.
private struct RecordingFile: ~Copyable {
    private static let frameBytes = 1 << 20
    private let file: File
    private let isRaw: Bool
    private let isCompressed: Bool
    private var compressor: Compressor
    private var position = 0
    /// Whole events that are not in the file yet.
    private var buffer: [UInt8] = []
    /// The bytes since the last whole event, for raw recordings.
    private var partial: [UInt8] = []

    init(path: String) throws {
        let isCompressed = path.hasSuffix(".zst")
        let name = isCompressed ? String(path.dropLast(4)) : path
        guard name.hasSuffix(".sse") || name.hasSuffix(".jsonl") else {
            throw SimulatorError(
                "record into", path, "the name ends in neither .sse nor .jsonl (each possibly with .zst)")
        }
        // Made before `self`, so that nothing is half-owned when one of them throws.
        let compressor = try Compressor(level: 3)
        let file = try File(path, .create)
        self.init(file: file, compressor: compressor, isRaw: name.hasSuffix(".sse"), isCompressed: isCompressed)
    }

    private init(file: consuming File, compressor: consuming Compressor, isRaw: Bool, isCompressed: Bool) {
        self.file = file
        self.compressor = compressor
        self.isRaw = isRaw
        self.isCompressed = isCompressed
    }

    mutating func add(_ bytes: UnsafeRawBufferPointer) {
        if isRaw { partial.append(contentsOf: bytes) }
    }

    mutating func forgetPartialEvent() { partial.removeAll(keepingCapacity: true) }

    /// Takes an event that is now whole; returns its bytes in the recording.
    mutating func endEvent(data: UnsafeRawBufferPointer) throws -> Int {
        let before = buffer.count
        if isRaw {
            buffer.append(contentsOf: partial)
            partial.removeAll(keepingCapacity: true)
        } else {
            // A line end inside JSON is white space; one line an event is what makes the file readable.
            for byte in data { buffer.append(byte == 0x0A || byte == 0x0D ? 0x20 : byte) }
            buffer.append(0x0A)
        }
        let count = buffer.count - before
        if buffer.count >= Self.frameBytes { try flush() }
        return count
    }

    mutating func finish() throws {
        try flush()
        try file.sync()
    }

    private mutating func flush() throws {
        guard !buffer.isEmpty else { return }
        var stored = buffer
        if isCompressed {
            stored = []
            try buffer.withUnsafeBytes { bytes in _ = try compressor.compressFrame(bytes, appendingTo: &stored) }
        }
        try stored.withUnsafeBytes { bytes in try file.write(bytes, at: position) }
        position += stored.count
        buffer.removeAll(keepingCapacity: true)
    }
}
