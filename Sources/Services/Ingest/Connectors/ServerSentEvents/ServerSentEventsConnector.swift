import Bytes
package import Telemetry

/// Follows an event stream, of which every record carries the place.
///
/// After a restart it resumes where the topic's last records say, and after a cut where it was. It is no ``BatchConnector``: libcurl
/// pushes bytes, the parser lends each event out of them, and it goes on to the broker's client from there. A batch would copy every
/// event, and hold up an acknowledgement for as long as it is being filled.
package final class ServerSentEventsConnector: SourceConnector {
    package let keepsItsPlace = false
    private let configuration: ProducerConfiguration
    private let source: any EventSource
    /// Nil where events are recent changes.
    private let scan: DocumentEventScan?
    private let metrics: EventStreamMetrics
    private var parser: EventStreamParser
    private var repeats = RepeatMarker()
    private var recentIDs = RecentIDs()
    /// How many events may have been sent behind the position that is resumed from.
    private var sentBehind: Int64 = 0
    private var policy: ReconnectPolicy
    /// Asked of the last reply.
    private var retryAfterMilliseconds: Int?
    private var oversizedSeen = 0

    /// - Parameters:
    ///   - labels: of its metrics.
    ///   - scan: looks into events that are documents; nil where they are recent changes.
    ///   - source: in place of HTTP, for tests.
    package init(
        _ configuration: ProducerConfiguration, metrics: MetricsRegistry, labels: [(String, String)] = [],
        scan: DocumentEventScan? = nil, source: (any EventSource)? = nil
    ) {
        self.configuration = configuration
        self.scan = scan
        self.source = source ?? HTTPEventSource(configuration)
        self.metrics = EventStreamMetrics(metrics, labels: labels)
        parser = EventStreamParser(eventBytesMax: configuration.eventBytesMax)
        policy = ReconnectPolicy(configuration)
    }

    private static func now() -> Int64 { SystemClock.monotonicNanoseconds() / 1_000_000 }

    package func follow(_ intake: SourceIntake) throws {
        if let position = intake.resume.acknowledged {
            parser = EventStreamParser(eventBytesMax: configuration.eventBytesMax, lastEventID: position.id)
            repeats = intake.resume.sent
            sentBehind = intake.resume.sentBehind
        }
        while !intake.isStopRequested { try connect(intake) }
    }

    /// The records carry it.
    package func acknowledged(_ position: SourcePosition) {}

    /// One connection and the wait after it.
    private func connect(_ intake: SourceIntake) throws {
        parser.reset()
        repeats.note(known: parser.lastEventID)
        for id in recentIDs.ids { repeats.note(known: id) }
        repeats.begin(sentBehind: sentBehind)
        retryAfterMilliseconds = nil
        intake.board.update { $0.phase = .connecting }
        let connection = Connection()
        let failure = stream(intake, connection)
        metrics.isConnected.set(0)
        intake.set(connected: false)
        if intake.isStopRequested { return }
        if let failure, !(failure is SourceError) { throw failure }
        let fault = failure as? SourceError ?? SourceError(cause: .ended, message: "the source ended the stream")
        metrics.countReconnect(fault.cause)
        let wait = policy.wait(
            after: fault.cause,
            connectedMilliseconds: connection.openedAt.map { Self.now() - $0 } ?? 0, hadEvents: connection.events > 0,
            retryAfterMilliseconds: retryAfterMilliseconds, serverRetryMilliseconds: parser.retryMilliseconds)
        intake.board.update { status in
            status.phase = .waiting
            status.reconnects += 1
        }
        let fields: KeyValuePairs = [
            "cause": fault.cause.rawValue, "reason": fault.message, "wait_ms": String(wait),
            "events": String(connection.events),
        ]
        if fault.cause == .ended {
            intake.logger.info("reconnecting", fields)
        } else {
            intake.board.fail(fault.message)
            intake.logger.warning("reconnecting", fields)
        }
        try intake.wait(milliseconds: wait)
    }

    /// Facts of one connection.
    private final class Connection {
        var openedAt: Int64?
        var events = 0
        /// Ends the call from within a callback.
        var fault: (any Error)?
    }

    /// Reads until the stream ends; returns the fault, if any.
    private func stream(_ intake: SourceIntake, _ connection: Connection) -> (any Error)? {
        let resumeID = ResumeID.rewound(parser.lastEventID, milliseconds: configuration.rewindMilliseconds)
        do {
            try source.stream(
                lastEventID: resumeID,
                shouldStop: {
                    if intake.isStopRequested { return true }
                    do { try intake.turn() } catch {
                        connection.fault = error
                        return true
                    }
                    return false
                },
                onHead: { head in self.accept(head, connection, intake) },
                onBytes: { bytes in try self.take(bytes, intake, connection) })
            return connection.fault
        } catch {
            return connection.fault ?? error
        }
    }

    /// Judges a reply's head; false ends the connection.
    private func accept(_ head: SourceHead, _ connection: Connection, _ intake: SourceIntake) -> Bool {
        if let text = head.retryAfter {
            retryAfterMilliseconds = RetryAfter.milliseconds(text, now: SystemClock.epochMilliseconds())
        }
        connection.fault = Self.fault(of: head, configuration)
        guard connection.fault == nil else { return false }
        connection.openedAt = Self.now()
        metrics.isConnected.set(1)
        intake.set(connected: true)
        intake.board.update { $0.phase = .streaming }
        if head.contentEncoding.isEmpty {
            intake.logger.info("connected", ["url": "\(configuration.url)"])
        } else {
            intake.logger.info(
                "connected", ["url": "\(configuration.url)", "content_encoding": head.contentEncoding])
        }
        return true
    }

    private static func fault(of head: SourceHead, _ configuration: ProducerConfiguration) -> SourceError? {
        switch head.status {
        case 200 where head.contentType == "text/event-stream": nil
        case 200:
            SourceError(
                cause: .notAStream,
                message:
                    "\(configuration.url) is not an event stream but \(head.contentType); check WIKIMEDIA_SSE_URL, "
                    + "or its url where it is declared")
        case 401, 403:
            SourceError(
                cause: .forbidden,
                message: "the source refused us (\(head.status)) with the User-Agent \"\(configuration.userAgent)\"; "
                    + "set WIKIMEDIA_USER_AGENT to a descriptive one with a contact (docs/troubleshooting.md)")
        case 429: SourceError(cause: .tooManyRequests, message: "the source asks for fewer connections (429)")
        case 500...599: SourceError(cause: .serverError, message: "the source is in trouble (\(head.status))")
        default:
            SourceError(
                cause: .notAStream,
                message: "the source answered with status \(head.status); check WIKIMEDIA_SSE_URL, "
                    + "or its url where it is declared")
        }
    }

    private func take(_ bytes: UnsafeRawBufferPointer, _ intake: SourceIntake, _ connection: Connection) throws {
        intake.noteReceived(bytes: bytes.count)
        let arrival = SystemClock.epochMilliseconds()
        do {
            try parser.push(bytes) { event in
                connection.events += 1
                try self.handle(event, intake, arrival)
            }
        } catch {
            connection.fault = error
            throw error
        }
        if parser.oversizedCount > oversizedSeen {
            metrics.oversized.increment(by: parser.oversizedCount - oversizedSeen)
            oversizedSeen = parser.oversizedCount
            let message = "an event over \(configuration.eventBytesMax) bytes was left out"
            intake.board.fail(message)
            intake.logger.error(message, ["before_sse_id": String(decoding: parser.lastEventID, as: UTF8.self)])
        }
        intake.pump()
    }

    /// Whether there is nothing in it but blanks.
    private static func isBlank(_ data: UnsafeRawBufferPointer) -> Bool {
        data.allSatisfy { $0 == 0x20 || $0 == 0x09 || $0 == 0x0A || $0 == 0x0D }
    }

    private func handle(_ event: ServerSentEvent, _ intake: SourceIntake, _ arrival: Int64) throws {
        if event.type.elementsEqual("error".utf8) {
            metrics.sourceErrors.increment()
            // Some servers repeat what they were asked.
            let text = configuration.url.scrubbed(String(decoding: event.data.prefix(1_000), as: UTF8.self))
            intake.board.fail("the source reports: \(text)")
            intake.logger.warning("the source reports an error", ["data": text])
            return
        }
        intake.noteReceived()
        guard !Self.isBlank(event.data) else {
            // What some servers send to keep a connection alive.
            metrics.blank.increment()
            return
        }
        let mayRepeat =
            repeats.isWatching
            && repeats.mayRepeat(event.id, marginMilliseconds: configuration.rewindMilliseconds)
        if sentBehind > 0 { sentBehind -= 1 }
        let facts = facts(of: event)
        if let time = facts.timeMilliseconds { metrics.lag.set(Double(arrival - time) / 1_000) }
        try intake.take(
            OutgoingRecord(
                value: event.data, key: facts.key, place: event.id, eventID: facts.eventID, mayRepeat: mayRepeat,
                arrivalMilliseconds: arrival),
            eventTimeMilliseconds: facts.timeMilliseconds)
        recentIDs.add(event.id)
    }

    private func facts(of event: ServerSentEvent) -> EventFacts {
        if let scan { return scan.scan(event) }
        let found = PayloadScan(event.data)
        return EventFacts(key: found.key, timeMilliseconds: found.eventTimeMilliseconds)
    }
}
