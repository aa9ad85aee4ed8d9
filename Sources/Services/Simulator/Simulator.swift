import Bytes
import Concurrency
import HTTPServer
import JSONScan
package import ServiceLifecycle
import Synchronization
package import Telemetry

/// How a ``Simulator`` serves.
package struct SimulatorConfiguration: Sendable {
    /// Where it listens.
    package var host: String
    /// 0 for any free port.
    package var port: UInt16
    /// How fast events are sent.
    package var pace: Pace
    /// Whether clients without a descriptive User-Agent get 403, as at stream.wikimedia.org.
    package var requiresUserAgent = false
    /// Whether the connection closes after the last event of a recording; else it stays open with keep-alives.
    package var closesAtEnd = false
    /// Seconds after which every connection is closed, as the real stream does after about 900; nil: never.
    package var closesAfterSeconds: Int?
    /// Seconds of silence after which a comment keeps the connection alive.
    package var keepAliveSeconds = 15
    /// What goes wrong on purpose; nil: nothing.
    package var badManners: BadManners?
    /// Whether ids hold times in place of offsets, as those of stream.wikimedia.org do.
    package var givesTimes = false

    package init(host: String = "127.0.0.1", port: UInt16 = 0, pace: Pace) {
        self.host = host
        self.port = port
        self.pace = pace
    }
}

/// An HTTP server that speaks what stream.wikimedia.org speaks at ``path``, and at the paths of further streams.
///
/// Server-sent events with a JSON array as id, `Last-Event-ID` resume, comments as keep-alive. Every client has its own
/// position: without `Last-Event-ID` it starts at event 0, paced from then on; with one it goes on behind it, and what
/// fell due since the first client connected comes at once, as it does from a live stream after an interruption.
/// `POST /inject` puts an event into the live stream of all clients of recent changes. Drained means: every stream got its end.
package final class Simulator: Service {
    /// Where the stream is.
    package static let path = SimulatedStream.recentChange.path
    package let name = "simulator"

    private let configuration: SimulatorConfiguration
    private let sources: [SimulatedStream: any PlayableSource]
    private let injections = InjectionLog()
    private let manners = MannersLog()
    private let logger: Logger
    private let eventsSent: Counter
    private let clients: Gauge
    private let requests: Counter
    private let earlyRequests: Counter
    private let lane = Lane(name: "simulator")
    private let state = Mutex(State())

    private struct State {
        var server: HTTPServer?
        /// When event 0 of a stream was due, milliseconds of the monotonic clock; set by its first client.
        var origins: [SimulatedStream: Int64] = [:]
    }

    /// - Parameter source: of recent changes.
    package convenience init(
        configuration: SimulatorConfiguration, source: any PlayableSource, metrics: MetricsRegistry, logger: Logger
    ) {
        self.init(configuration: configuration, sources: [.recentChange: source], metrics: metrics, logger: logger)
    }

    /// - Parameter sources: of each stream that is served.
    package init(
        configuration: SimulatorConfiguration, sources: [SimulatedStream: any PlayableSource],
        metrics: MetricsRegistry, logger: Logger
    ) {
        self.configuration = configuration
        self.sources = sources
        self.logger = logger
        eventsSent = metrics.counter("medallion_simulator_events_sent_total", help: "Events written to clients.")
        requests = metrics.counter("medallion_simulator_requests_total", help: "Requests for the stream.")
        earlyRequests = metrics.counter(
            "medallion_simulator_early_requests_total",
            help: "Requests that came before the time that a Retry-After had asked for.")
        clients = metrics.gauge("medallion_simulator_clients", help: "Clients that read the stream now.")
    }

    /// Binds and serves; returns the port.
    package func start() throws -> UInt16 {
        var server = HTTPServerConfiguration(host: configuration.host, port: configuration.port)
        // A client at full speed takes hundreds of megabytes a second; small buffers would make it wait for each.
        server.streamBufferBytes = 512 * 1_024
        server.streamSendBufferBytes = 256 * 1_024
        server.outputStallMillisecondsMax = 120_000
        let http = HTTPServer(configuration: server, router: router())
        let port = try http.start()
        state.withLock { $0.server = http }
        for stream in streams {
            logger.info(
                "simulating the stream",
                [
                    "source": sources[stream]?.summary ?? "",
                    "url": "http://\(configuration.host):\(port)\(stream.path)",
                ])
        }
        return port
    }

    /// What is served.
    package var streams: [SimulatedStream] { SimulatedStream.allCases.filter { sources[$0] != nil } }

    /// The bound port; nil before the start.
    package var port: UInt16? { state.withLock { $0.server }?.port }

    /// Ends every stream. Blocks for at most two seconds.
    package func stop() {
        let server = state.withLock { state in
            defer { state.server = nil }
            return state.server
        }
        server?.stop(drainSeconds: 2)
    }

    package func prepare(stop: StopSignal) async throws {
        _ = try await lane.run { try self.start() }
    }

    package func run(stop: StopSignal) async throws {
        await stop.wait()
        try await lane.run { self.stop() }
    }

    // MARK: Routes

    private func router() -> HTTPRouter {
        var router = HTTPRouter()
        for (stream, source) in sources {
            router.on(
                .get, stream.path,
                stream: { request, writer in try await self.serve(stream, source, request, writer) })
        }
        router.on(.post, "/inject", async: { request in try await self.inject(request) })
        // A page in a browser of this machine could put events into the stream otherwise.
        let isLocal = configuration.host == "localhost" || IPAddress(configuration.host)?.isLoopback == true
        return isLocal ? router.forThisMachine(remedy: "start it with --listen at another address") : router
    }

    private func serve(
        _ stream: SimulatedStream, _ source: any PlayableSource, _ request: HTTPRequest, _ writer: HTTPStreamWriter
    ) async throws {
        if configuration.requiresUserAgent, !Self.isDescriptive(request.headers["User-Agent"]) {
            throw HTTPFault(
                status: 403, type: "forbidden", loc: ["header", "User-Agent"],
                message: "set a User-Agent that says who you are and how to reach you")
        }
        var bad = try misbehave(writer)
        if writer.isStarted { return }
        let injected = stream == .recentChange ? injections.count : 0
        var position = PlaybackPosition(next: 0, injected: injected)
        let lastID = request.headers["Last-Event-ID"]
        if let lastID {
            do throws(PositionError) {
                position = try PlaybackPosition.parse(lastID, source: source, injectedNow: injected)
            } catch {
                throw HTTPFault(
                    status: 400, type: "bad_request", loc: ["header", "Last-Event-ID"], message: error.description)
            }
        }
        if let manners = configuration.badManners, let again = bad?.repeats(manners) {
            position.next = max(0, position.next - again)
        }
        writer.start(
            status: 200, headers: ["Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"])
        try await send(Array(":ok\n\n".utf8), &bad, writer)
        clients.add(1)
        defer { clients.add(-1) }
        let feed = ClientFeed(
            source: source, pace: configuration.pace, position: position,
            origin: origin(of: position, in: stream, source, isResumed: lastID != nil),
            givesTimes: configuration.givesTimes, stream: stream)
        try await play(feed, takesInjections: stream == .recentChange, to: writer, bad)
    }

    /// Counts a request, and answers it where this connection refuses.
    private func misbehave(_ writer: HTTPStreamWriter) throws -> BadConnection? {
        let now = Self.now()
        let (number, isEarly) = manners.open(now: now)
        requests.increment()
        if isEarly {
            earlyRequests.increment()
            logger.warning("a client came back before the time that Retry-After asked for")
        }
        guard let configured = configuration.badManners else { return nil }
        let bad = BadConnection(configured, number: number, now: now)
        if let reply = bad.refusal(configured) {
            if reply.status == 429 { manners.close(until: now + Int64(configured.retryAfterSeconds) * 1_000) }
            writer.respond(reply)
        }
        return bad
    }

    private func send(_ bytes: [UInt8], _ bad: inout BadConnection?, _ writer: HTTPStreamWriter) async throws {
        guard var connection = bad else { return try await writer.write(bytes) }
        try await connection.send(bytes, to: writer)
        bad = connection
    }

    private func play(
        _ start: ClientFeed, takesInjections: Bool, to writer: HTTPStreamWriter, _ manners: BadConnection?
    ) async throws {
        var feed = start
        var bad = manners
        var scratch: [UInt8] = []
        let opened = Self.now()
        var lastWrite = opened
        while !(configuration.closesAfterSeconds.map { Self.now() - opened >= Int64($0) * 1_000 } ?? false) {
            let before = feed.position
            var bytes: [UInt8] = []
            if configuration.pace == .unlimited { bytes.reserveCapacity(ClientFeed.batchBytes + 8_192) }
            let pending = takesInjections ? injections.events(from: before.injected) : (first: 0, payloads: [])
            feed.skipInjections(to: pending.first)
            let time = SystemClock.epochMilliseconds()
            let step = feed.advance(now: Self.now(), injections: pending.payloads, into: &bytes, scratch: &scratch)
            if var connection = bad, connection.isOver(now: Self.now()) {
                return try await connection.end(next: bytes, writer)
            }
            if !bytes.isEmpty {
                lastWrite = Self.now()
                try await send(bytes, &bad, writer)
                injections.noteWritten(from: pending.first, to: feed.position.injected, at: time)
                eventsSent.increment(by: feed.position.next - before.next + pending.payloads.count)
            }
            switch step {
            case .send: break
            case .wait(let milliseconds): try await Self.pause(milliseconds)
            case .end where feed.endsWithCutFrame:
                // The recorded connection broke here, so this one breaks, too; but not before what is queued left. The
                // writer learns of its queue only at the low watermark, so a queue that stays the same counts as sent.
                var queued = -1
                while writer.queuedBytes != queued {
                    queued = writer.queuedBytes
                    try await Task.sleep(for: .milliseconds(300))
                }
                writer.abort()
                return
            case .end where configuration.closesAtEnd: return
            case .end: try await Self.pause(.max)
            }
            if Self.now() - lastWrite >= Int64(configuration.keepAliveSeconds) * 1_000 {
                lastWrite = Self.now()
                try await send(Array(":\n\n".utf8), &bad, writer)
            }
        }
    }

    /// Short enough that injected events and keep-alives do not wait noticeably.
    private static func pause(_ milliseconds: Int64) async throws {
        try await Task.sleep(for: .milliseconds(min(max(1, milliseconds), 10)))
    }

    /// `{"number":…,"written_ms":…}`: when the event was written to the first client that took it.
    private func inject(_ request: HTTPRequest) async throws -> HTTPResponse {
        var parser = try JSONFieldParser(paths: [])
        if let error = request.body.withUnsafeBytes({ parser.parseObject($0) }) {
            throw HTTPFault(status: 422, type: "invalid_event", loc: ["body"], message: error.description)
        }
        let number = injections.add(request.body)
        let deadline = Self.now() + 5_000
        while Self.now() < deadline {
            if let time = injections.writtenAt(number) {
                var json = JSONWriter()
                json.beginObject()
                json.key("number")
                json.integer(number)
                json.key("written_ms")
                json.integer(time)
                json.endObject()
                return .json(json.bytes)
            }
            try await Task.sleep(for: .milliseconds(1))
        }
        throw HTTPFault(status: 503, type: "no_client", message: "no client took the event within 5 s")
    }

    /// The clock of a client: its own from event 0 on; for one that comes back, that of the first client.
    private func origin(
        of position: PlaybackPosition, in stream: SimulatedStream, _ source: any PlayableSource, isResumed: Bool
    ) -> Int64 {
        let now = Self.now()
        let (origin, isFirst) = state.withLock { state -> (Int64, Bool) in
            let known = state.origins[stream]
            let fresh = now - configuration.pace.due(position.next, of: source)
            if known == nil { state.origins[stream] = fresh }
            return (isResumed ? known ?? fresh : now, known == nil)
        }
        if isFirst { source.begin(at: position.next) }
        return origin
    }

    /// Says who and how to reach them: a mail address, a URL or a comment in parentheses.
    private static func isDescriptive(_ userAgent: String?) -> Bool {
        guard let userAgent else { return false }
        return userAgent.contains("@") || userAgent.contains("://") || userAgent.contains("(")
    }

    private static func now() -> Int64 { SystemClock.monotonicNanoseconds() / 1_000_000 }
}
