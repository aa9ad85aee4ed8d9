package import Bytes
import Concurrency
import Files
import HTTPClient
package import ServiceLifecycle
import Synchronization
package import Telemetry

/// Where events go.
package enum LineageTarget: Sendable {
    /// A file that a line is added to for each event.
    case file(String)
    /// An address that takes each event by POST.
    ///
    /// - Parameter key: sent as a bearer token; nil: none.
    case server(url: SecretURL, key: String?)
}

/// Sends events to one target, in their order, on a thread of its own.
///
/// Who sends never waits: events stand in a queue, and the oldest go where it is full. What fails is tried again, unless the target
/// refuses the event itself. Drained means: what waits is sent, or the target did not take it within ``drainMillisecondsMax``.
package final class LineageEmitter: Service, RunEventSink {
    package let name = "openlineage"
    private let target: LineageTarget
    private let names: @Sendable () -> LineageNames
    private let logger: Logger
    private let client: HTTPClient
    private let counts: Counts
    private let queue = Mutex(Queue())
    private let lane = Lane(name: "openlineage")

    private struct Queue {
        var events: [RunEvent] = []
        /// Of the first of them: it was tried in vain.
        var isTroubled = false
        var reportedDropped = false
    }

    private struct Counts {
        let sent: Counter
        let refused: Counter
        let dropped: Counter
        let waiting: Gauge
    }

    /// Events that wait at most.
    static let waitingMax = 1_000
    /// How long a stop waits for the target.
    package static let drainMillisecondsMax = 5_000
    private static let pollMilliseconds = 200
    private static let requestMillisecondsMax = 5_000

    /// - Parameter names: asked for each event: an embedded broker has its address once it runs.
    package init(
        _ target: LineageTarget, names: @escaping @Sendable () -> LineageNames, metrics: MetricsRegistry, logger: Logger
    ) {
        self.target = target
        self.names = names
        self.logger = logger
        client = HTTPClient(HTTPClientConfiguration(userAgent: Product.userAgent))
        let label: String
        switch target {
        case .file: label = "file"
        case .server: label = "server"
        }
        func counter(_ outcome: String) -> Counter {
            metrics.counter(
                "medallion_openlineage_events_total",
                help: "Run events of OpenLineage: sent, refused by the target, or dropped because too many waited.",
                labels: [("target", label), ("outcome", outcome)])
        }
        counts = Counts(
            sent: counter("sent"), refused: counter("refused"), dropped: counter("dropped"),
            waiting: metrics.gauge(
                "medallion_openlineage_waiting_events", help: "Run events of OpenLineage that wait to be sent.",
                labels: [("target", label)]))
    }

    /// See ``RunEventSink/send(_:)``.
    package func send(_ event: RunEvent) {
        let (waiting, isNews) = queue.withLock { queue in
            queue.events.append(event)
            guard queue.events.count > Self.waitingMax else { return (queue.events.count, false) }
            // The first may be on its way.
            queue.events.remove(at: 1)
            counts.dropped.increment()
            defer { queue.reportedDropped = true }
            return (queue.events.count, !queue.reportedDropped)
        }
        counts.waiting.set(Double(waiting))
        if isNews {
            logger.error(
                "too many run events wait for OpenLineage; the oldest are dropped",
                ["waiting": String(waiting), "target": described])
        }
    }

    package func run(stop: StopSignal) async throws {
        try await lane.run { [self] in
            var backoff = Backoff(baseMilliseconds: 200, capMilliseconds: 30_000)
            while !stop.isRequested {
                let wait = sendWaiting(until: nil) { stop.isRequested } ? Self.pollMilliseconds : backoff.next()
                if wait == Self.pollMilliseconds { backoff.reset() }
                if stop.sleep(milliseconds: wait) { break }
            }
            drain()
        }
    }

    /// Blocks until what waits is sent, at most ``drainMillisecondsMax``.
    package func drain() {
        let end = SystemClock.monotonicNanoseconds() + Int64(Self.drainMillisecondsMax) * 1_000_000
        while !sendWaiting(until: end, shouldStop: { SystemClock.monotonicNanoseconds() >= end }),
            SystemClock.monotonicNanoseconds() < end
        {
            Pause.milliseconds(100)
        }
        let left = queue.withLock { $0.events.count }
        if left > 0 {
            logger.error("run events did not reach OpenLineage", ["events": String(left), "target": described])
        }
    }

    /// - Parameter end: of the time that may be spent, on the monotonic clock.
    /// - Returns: whether nothing waits any more.
    private func sendWaiting(until end: Int64?, shouldStop: () -> Bool) -> Bool {
        while let event = queue.withLock({ $0.events.first }) {
            guard !shouldStop() else { return false }
            let left = end.map { Int(($0 - SystemClock.monotonicNanoseconds()) / 1_000_000) }
            let limit = min(Self.requestMillisecondsMax, max(1, left ?? .max))
            switch attempt(event, timeoutMilliseconds: limit, shouldStop) {
            case .taken: counts.sent.increment()
            case .refused(let why):
                counts.refused.increment()
                logger.error("OpenLineage refuses a run event", ["target": described, "why": why])
            case .failed(let why):
                tellTrouble(why)
                return false
            }
            let waiting = queue.withLock { queue in
                queue.events.removeFirst()
                queue.isTroubled = false
                if queue.events.isEmpty { queue.reportedDropped = false }
                return queue.events.count
            }
            counts.waiting.set(Double(waiting))
        }
        return true
    }

    private func tellTrouble(_ why: String) {
        let isNews = queue.withLock { queue in
            defer { queue.isTroubled = true }
            return !queue.isTroubled
        }
        if isNews { logger.warning("run events wait for OpenLineage", ["target": described, "why": why]) }
    }

    private enum Outcome {
        case taken
        /// For good.
        case refused(String)
        case failed(String)
    }

    private func attempt(_ event: RunEvent, timeoutMilliseconds: Int, _ shouldStop: () -> Bool) -> Outcome {
        let bytes = LineageJSON(names: names()).bytes(event)
        switch target {
        case .file(let path):
            do throws(FileError) {
                let file = try File(path, .append)
                try file.append(bytes + [0x0A])
                return .taken
            } catch {
                return .failed("\(error)")
            }
        case .server(let url, let key):
            var headers = [("Content-Type", "application/json")]
            if let key { headers.append(("Authorization", "Bearer \(key)")) }
            do throws(HTTPClientError) {
                let request = HTTPClientRequest(method: "POST", url: url.revealed, headers: headers, body: bytes)
                let reply = try client.request(
                    request, timeoutMilliseconds: timeoutMilliseconds, shouldStop: shouldStop)
                return Self.outcome(status: reply.status)
            } catch {
                return .failed(url.scrubbed("\(error)"))
            }
        }
    }

    /// What a status says of the event (RFC 9110, section 15): 408, 425, 429 and those of the server may pass.
    private static func outcome(status: Int) -> Outcome {
        switch status {
        case 200..<300: .taken
        case 408, 425, 429, 500...: .failed("status \(status)")
        default: .refused("status \(status)")
        }
    }

    private var described: String {
        switch target {
        case .file(let path): path
        case .server(let url, _): url.description
        }
    }
}

/// Several sinks as one.
package struct RunEventSinks: RunEventSink {
    private let sinks: [any RunEventSink]

    package init(_ sinks: [any RunEventSink]) { self.sinks = sinks }

    package func send(_ event: RunEvent) {
        for sink in sinks { sink.send(event) }
    }
}
