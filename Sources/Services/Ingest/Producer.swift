import Bytes
import Concurrency
import Kafka
import KafkaAccess
package import ServiceLifecycle
package import Telemetry

/// Pushes the source's events to the topic, byte for byte, and never loses its place.
///
/// Runs on a lane of its own. Delivery is at least once: after a restart it resumes where the topic's last records say,
/// and after a cut where it was; events that come twice are dropped by the stream job. When the broker is away, at most
/// `queueMaxRecords` or `queueMaxKilobytes` wait in memory and reading from the source stops. Drained means: nothing
/// more is read, and what was read is acknowledged (or `drainMilliseconds` have passed; then it is fetched again).
package final class Producer: Service {
    package let name = "producer"
    private let configuration: ProducerConfiguration
    private let source: any EventSource
    private let metrics: ProducerMetrics
    private let logger: Logger
    private let board = StatusBoard()
    private let lane = Lane(name: "producer")

    /// - Parameter source: in place of HTTP, for tests.
    package init(
        configuration: ProducerConfiguration, metrics: MetricsRegistry, logger: Logger,
        source: (any EventSource)? = nil
    ) {
        self.configuration = configuration
        self.source = source ?? HTTPEventSource(configuration)
        self.metrics = ProducerMetrics(metrics)
        self.logger = logger.scoped("producer")
    }

    /// What it is doing at the moment.
    package var status: ProducerStatus { board.current }

    /// - Throws: ``KafkaError`` where a property is wrong; everything else is retried for as long as it takes.
    package func run(stop: StopSignal) async throws {
        defer { board.update { $0.phase = .stopped } }
        try await lane.run { [configuration, source, metrics, logger, board] in
            let run = ProducerRun(
                configuration: configuration, source: source, metrics: metrics, logger: logger, board: board, stop: stop
            )
            do { try run.run() } catch is StopRequested {}
        }
    }
}

/// One run of a producer; confined to its lane.
private final class ProducerRun {
    private let configuration: ProducerConfiguration
    private let source: any EventSource
    private let metrics: ProducerMetrics
    private let logger: Logger
    private let board: StatusBoard
    private let stop: StopSignal
    private var parser: EventStreamParser
    private var repeats = RepeatMarker()
    private var recentIDs = RecentIDs()
    /// How many events may have been sent behind the position that is resumed from.
    private var sentBehind: Int64 = 0
    private var policy: ReconnectPolicy
    private var rateLimit: RateLimit?
    /// Asked of the last reply.
    private var retryAfterMilliseconds: Int?
    private var oversizedSeen = 0

    init(
        configuration: ProducerConfiguration, source: any EventSource, metrics: ProducerMetrics, logger: Logger,
        board: StatusBoard, stop: StopSignal
    ) {
        self.configuration = configuration
        self.source = source
        self.metrics = metrics
        self.logger = logger
        self.board = board
        self.stop = stop
        parser = EventStreamParser(eventBytesMax: configuration.eventBytesMax)
        policy = ReconnectPolicy(configuration)
        rateLimit = RateLimit(perMinute: configuration.maxEventsPerMinute, now: Self.now())
    }

    private static func now() -> Int64 { SystemClock.monotonicNanoseconds() / 1_000_000 }

    func run() throws {
        let topic = try TopicSetup(configuration: configuration, logger: logger)
        let recovered = try recover(topic)
        if let position = recovered.acknowledged {
            parser = EventStreamParser(eventBytesMax: configuration.eventBytesMax, lastEventID: position.id)
            repeats = recovered.sent
            sentBehind = recovered.nextNumber - 1 - position.number
            logger.info(
                "resuming",
                ["position": String(position.number), "sse_id": String(decoding: position.id, as: UTF8.self)])
        } else if recovered.recordCount > 0 {
            logger.warning("the topic's records carry no position; starting with the newest events")
        }
        if !recovered.hasBrokerTimes {
            logger.warning(
                "the topic does not use the broker's time; set message.timestamp.type=LogAppendTime",
                ["topic": configuration.topic])
        }
        let sender = try RecordSender(
            configuration: configuration, recovered: recovered, metrics: metrics, logger: logger, board: board,
            stop: stop, ensureTopic: { _ = try topic.ensure(timeoutMilliseconds: 10_000) })
        defer {
            let left = sender.drain(timeoutMilliseconds: configuration.drainMilliseconds)
            if left > 0 {
                logger.warning(
                    "stopped before all was acknowledged; the rest is fetched again", ["events": String(left)])
            }
        }
        while !stop.isRequested { try connect(sender) }
    }

    /// Waits for the broker and reads the resume position, with as many attempts as it takes.
    private func recover(_ topic: TopicSetup) throws -> PositionRecovery.Result {
        var backoff = Backoff(baseMilliseconds: 200, capMilliseconds: 10_000, floorMilliseconds: 50)
        while true {
            if stop.isRequested { throw StopRequested() }
            do {
                let partitions = try topic.ensure(timeoutMilliseconds: 5_000)
                return try PositionRecovery.run(
                    configuration.kafka, topic: configuration.topic, partitions: partitions,
                    timeoutMilliseconds: 15_000, isStopped: { [stop] in stop.isRequested })
            } catch is CancellationError {
                throw StopRequested()
            } catch let error as KafkaError {
                if error.kind == .configuration { throw error }
                board.fail(error.description)
                logger.warning("the broker is not ready", ["error": error.description])
            }
            if stop.sleep(milliseconds: backoff.next()) { throw StopRequested() }
        }
    }

    /// One connection and the wait after it.
    private func connect(_ sender: RecordSender) throws {
        parser.reset()
        repeats.note(known: parser.lastEventID)
        for id in recentIDs.ids { repeats.note(known: id) }
        repeats.begin(sentBehind: sentBehind)
        retryAfterMilliseconds = nil
        board.update { $0.phase = .connecting }
        let connection = Connection()
        let failure = stream(sender, connection)
        metrics.isConnected.set(0)
        board.update { $0.isConnected = false }
        if stop.isRequested { return }
        if let failure, !(failure is SourceError) { throw failure }
        let fault = failure as? SourceError ?? SourceError(cause: .ended, message: "the source ended the stream")
        metrics.countReconnect(fault.cause)
        let wait = policy.wait(
            after: fault.cause,
            connectedMilliseconds: connection.openedAt.map { Self.now() - $0 } ?? 0, hadEvents: connection.events > 0,
            retryAfterMilliseconds: retryAfterMilliseconds, serverRetryMilliseconds: parser.retryMilliseconds)
        board.update { status in
            status.phase = .waiting
            status.reconnects += 1
        }
        let fields: KeyValuePairs = [
            "cause": fault.cause.rawValue, "reason": fault.message, "wait_ms": String(wait),
            "events": String(connection.events),
        ]
        if fault.cause == .ended {
            logger.info("reconnecting", fields)
        } else {
            board.fail(fault.message)
            logger.warning("reconnecting", fields)
        }
        try sender.waitPumping(milliseconds: wait)
    }

    /// Facts of one connection.
    private final class Connection {
        var openedAt: Int64?
        var events = 0
        /// Ends the call from within a callback.
        var fault: (any Error)?
    }

    /// Reads until the stream ends; returns the fault, if any.
    private func stream(_ sender: RecordSender, _ connection: Connection) -> (any Error)? {
        let resumeID = ResumeID.rewound(parser.lastEventID, milliseconds: configuration.rewindMilliseconds)
        do {
            try source.stream(
                lastEventID: resumeID,
                shouldStop: { [stop] in
                    if stop.isRequested { return true }
                    sender.pump(timeoutMilliseconds: 0)
                    do { try sender.settle() } catch {
                        connection.fault = error
                        return true
                    }
                    return false
                },
                onHead: { head in self.accept(head, connection) },
                onBytes: { bytes in try self.take(bytes, sender, connection) })
            return connection.fault
        } catch {
            return connection.fault ?? error
        }
    }

    /// Judges a reply's head; false ends the connection.
    private func accept(_ head: SourceHead, _ connection: Connection) -> Bool {
        if let text = head.retryAfter {
            retryAfterMilliseconds = RetryAfter.milliseconds(text, now: SystemClock.epochMilliseconds())
        }
        connection.fault = Self.fault(of: head, configuration)
        guard connection.fault == nil else { return false }
        connection.openedAt = Self.now()
        metrics.isConnected.set(1)
        board.update { status in
            status.isConnected = true
            status.phase = .streaming
        }
        if head.contentEncoding.isEmpty {
            logger.info("connected", ["url": "\(configuration.url)"])
        } else {
            logger.info("connected", ["url": "\(configuration.url)", "content_encoding": head.contentEncoding])
        }
        return true
    }

    private static func fault(of head: SourceHead, _ configuration: ProducerConfiguration) -> SourceError? {
        switch head.status {
        case 200 where head.contentType == "text/event-stream": nil
        case 200:
            SourceError(
                cause: .notAStream,
                message: "\(configuration.url) is not an event stream but \(head.contentType); check WIKIMEDIA_SSE_URL")
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
                message: "the source answered with status \(head.status); check WIKIMEDIA_SSE_URL")
        }
    }

    private func take(_ bytes: UnsafeRawBufferPointer, _ sender: RecordSender, _ connection: Connection) throws {
        metrics.receivedBytes.increment(by: bytes.count)
        let arrival = SystemClock.epochMilliseconds()
        do {
            try parser.push(bytes) { event in
                connection.events += 1
                try self.handle(event, sender, arrival)
            }
        } catch {
            connection.fault = error
            throw error
        }
        if parser.oversizedCount > oversizedSeen {
            metrics.oversized.increment(by: parser.oversizedCount - oversizedSeen)
            oversizedSeen = parser.oversizedCount
            let message = "an event over \(configuration.eventBytesMax) bytes was left out"
            board.fail(message)
            logger.error(message, ["before_sse_id": String(decoding: parser.lastEventID, as: UTF8.self)])
        }
        sender.pump(timeoutMilliseconds: 0)
    }

    /// Whether there is nothing in it but blanks.
    private static func isBlank(_ data: UnsafeRawBufferPointer) -> Bool {
        data.allSatisfy { $0 == 0x20 || $0 == 0x09 || $0 == 0x0A || $0 == 0x0D }
    }

    private func handle(_ event: ServerSentEvent, _ sender: RecordSender, _ arrival: Int64) throws {
        if event.type.elementsEqual("error".utf8) {
            metrics.sourceErrors.increment()
            // Some servers repeat what they were asked.
            let text = configuration.url.scrubbed(String(decoding: event.data.prefix(1_000), as: UTF8.self))
            board.fail("the source reports: \(text)")
            logger.warning("the source reports an error", ["data": text])
            return
        }
        metrics.received.increment()
        guard !Self.isBlank(event.data) else {
            // What some servers send to keep a connection alive.
            metrics.blank.increment()
            return
        }
        let mayRepeat =
            repeats.isWatching
            && repeats.mayRepeat(event.id, marginMilliseconds: configuration.rewindMilliseconds)
        if mayRepeat { metrics.marked.increment() }
        if sentBehind > 0 { sentBehind -= 1 }
        while let wait = rateLimit?.take(now: Self.now()), wait > 0 {
            try sender.waitPumping(milliseconds: min(wait, 1_000))
        }
        let scan = PayloadScan(event.data)
        if scan.key == nil { metrics.withoutKey.increment() }
        if let time = scan.eventTimeMilliseconds { metrics.lag.set(Double(arrival - time) / 1_000) }
        try sender.send(event, key: scan.key, mayRepeat: mayRepeat, arrivalMilliseconds: arrival)
        recentIDs.add(event.id)
        board.update { status in
            status.phase = .streaming
            status.lastEventArrivalMilliseconds = arrival
            if let time = scan.eventTimeMilliseconds { status.lastEventTimeMilliseconds = time }
        }
    }
}

/// Makes sure that the topic is there.
final class TopicSetup {
    private let configuration: ProducerConfiguration
    private let logger: Logger
    private let admin: KafkaAdmin
    private var wasCompared = false

    init(configuration: ProducerConfiguration, logger: Logger) throws {
        self.configuration = configuration
        self.logger = logger
        admin = try KafkaAdmin(configuration.kafka)
    }

    /// The numbers of the topic's topic partitions; creates it where it is missing. In what it differs from its
    /// declaration is asked and told once.
    func ensure(timeoutMilliseconds: Int) throws(KafkaError) -> [Int32] {
        if wasCompared {
            let found = try admin.metadata(topic: configuration.topic, timeoutMilliseconds: timeoutMilliseconds).topics
            if let topic = found.first(where: { $0.name == configuration.topic }), !topic.partitions.isEmpty {
                return topic.partitions
            }
        }
        let partitions = try admin.ensure(
            TopicPlan(
                name: configuration.topic, partitions: configuration.topicPartitions,
                replicationFactor: configuration.replicationFactor, properties: configuration.topicProperties),
            logger: logger, timeoutMilliseconds: timeoutMilliseconds)
        wasCompared = true
        return partitions
    }
}
