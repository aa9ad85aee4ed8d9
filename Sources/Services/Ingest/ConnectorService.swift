import Bytes
import Concurrency
import Kafka
package import Records
package import ServiceLifecycle
import Synchronization
package import Telemetry

/// Pushes what a connector reads to its topic, byte for byte, and never loses its place.
///
/// Runs on a lane of its own. Delivery is at least once; events that come twice are dropped by the stream job. When the broker is away,
/// at most `queueMaxRecords` or `queueMaxKilobytes` wait in memory and reading stops. Drained means: nothing more is read, and what was
/// read is acknowledged or `drainMilliseconds` have passed; then it is read again after the next start.
///
/// An operator may have it stand still. Then the connector is drained and given up, and made again once it is resumed: a pause is to it
/// as a stop and a start.
package final class ConnectorService: Service {
    package let name: String
    /// Where events come from, for people: an address or a folder, without secrets.
    package let place: String
    private let configuration: ProducerConfiguration
    private let makeConnector: @Sendable () throws -> any SourceConnector
    private let wishes: @Sendable () -> SourceWishes?
    private let wishesFault: @Sendable () -> String?
    private let lagWhilePaused: PausedLag?
    private let report: @Sendable (SourceOutcome) -> Void
    /// The id of the request that was last told to be heeded.
    private let told = Mutex("")
    private let metrics: ProducerMetrics
    private let sourceMetrics: SourceMetrics
    private let logger: Logger
    private let board: StatusBoard
    private let lane: Lane

    /// How soon a pause is noticed, and its end.
    private static let lookMilliseconds = 100

    /// - Parameters:
    ///   - source: the source's name, for logs and metrics.
    ///   - isDeclared: false for the one source that the environment describes: then the producer's metrics have no label, and its
    ///     name is `producer`.
    ///   - wishes: what operators ask of the source; nil as long as that is not known, and until then nothing is read.
    ///   - wishesFault: why that is not known; nil for nothing in particular.
    ///   - lagWhilePaused: bytes that wait in the source while nothing reads it, for those of which that is known. Called on a lane of its
    ///     own: a source that is away keeps neither its resumption nor a stop waiting.
    ///   - report: told what became of a request, once for each time that it is heeded. Does not block.
    ///   - makeConnector: called on the lane, again and again until it makes one.
    package init(
        source: String, isDeclared: Bool = true, place: String = "", configuration: ProducerConfiguration,
        metrics: MetricsRegistry, logger: Logger, wishes: @escaping @Sendable () -> SourceWishes? = { SourceWishes() },
        wishesFault: @escaping @Sendable () -> String? = { nil },
        lagWhilePaused: (@Sendable () throws -> Int64?)? = nil,
        report: @escaping @Sendable (SourceOutcome) -> Void = { _ in },
        makeConnector: @escaping @Sendable () throws -> any SourceConnector
    ) {
        self.wishes = wishes
        self.wishesFault = wishesFault
        self.report = report
        name = isDeclared ? "source \(source)" : "producer"
        self.place = place
        self.configuration = configuration
        self.makeConnector = makeConnector
        self.metrics = ProducerMetrics(metrics, labels: isDeclared ? [("source", source)] : [])
        sourceMetrics = SourceMetrics(metrics, source: source)
        let (board, logger) = (StatusBoard(), logger.scoped(name))
        self.board = board
        self.logger = logger
        lane = Lane(name: name)
        self.lagWhilePaused = lagWhilePaused.map { PausedLag($0, board: board, logger: logger) }
    }

    /// What it is doing at the moment.
    package var status: ProducerStatus { board.current }

    /// - Throws: ``KafkaError`` where a property is wrong; everything else is retried for as long as it takes.
    package func run(stop: StopSignal) async throws {
        defer { board.update { $0.phase = .stopped } }
        while await mayRead(stop) {
            guard try await readUntilPause(stop) else { return }
            metrics.inFlight.set(0)
            sourceMetrics.isReading.set(0)
            board.update { status in
                (status.phase, status.isConnected, status.inFlight) = (.paused, false, 0)
                if status.snapshot?.state == .running {
                    status.snapshot?.state = .waiting
                    status.snapshot?.reason = "the source is paused"
                }
            }
            logger.info("the source is paused; it keeps its place")
        }
    }

    /// Waits until it is known that the source is to be read.
    ///
    /// - Returns: false where a stop was requested.
    private func mayRead(_ stop: StopSignal) async -> Bool {
        var unknown = ""
        defer { lagWhilePaused?.end() }
        while true {
            if stop.isRequested { return false }
            let known = wishes()
            if let known { tell(known) }
            if let known, known.pause == nil {
                metrics.isPaused.set(0)
                return true
            }
            board.update { $0.phase = known == nil ? .starting : .paused }
            if known == nil, let fault = wishesFault(), fault != unknown {
                board.fail("it is not known whether the source is paused, so it is not read: \(fault)")
                unknown = fault
            }
            if known != nil {
                metrics.isPaused.set(1)
                lagWhilePaused?.look()
            }
            if await stop.pause(milliseconds: Self.lookMilliseconds) { return false }
        }
    }

    /// Tells which requests are heeded now, while nothing is read: a pause that holds, and the last resuming where there is none.
    private func tell(_ known: SourceWishes) {
        guard let heeded = known.holding, heeded.outcome == nil, told.withLock({ $0 != heeded.request.id }) else {
            return
        }
        told.withLock { $0 = heeded.request.id }
        report(
            SourceOutcome(
                request: heeded.request.id, source: heeded.request.source, state: .taken,
                atMilliseconds: SystemClock.epochMilliseconds()))
    }

    /// - Returns: whether it ended for a pause.
    private func readUntilPause(_ stop: StopSignal) async throws -> Bool {
        let part = StopSignal()
        return try await withThrowingTaskGroup(of: Bool.self) { [self] group in
            group.addTask { [self] in
                defer { part.request() }
                while !part.isRequested {
                    if wishes()?.pause != nil { return true }
                    if await stop.pause(milliseconds: Self.lookMilliseconds) { return false }
                }
                return false
            }
            defer { part.request() }
            try await lane.run { [self] in
                let run = ConnectorRun(
                    configuration: configuration, metrics: metrics, sourceMetrics: sourceMetrics, logger: logger,
                    board: board, stop: part)
                do { try run.run(makeConnector) } catch is StopRequested {}
            }
            part.request()
            return try await group.next() ?? false
        }
    }
}

/// One run of a connector; confined to its lane.
private final class ConnectorRun {
    private let configuration: ProducerConfiguration
    private let metrics: ProducerMetrics
    private let sourceMetrics: SourceMetrics
    private let logger: Logger
    private let board: StatusBoard
    private let stop: StopSignal

    init(
        configuration: ProducerConfiguration, metrics: ProducerMetrics, sourceMetrics: SourceMetrics,
        logger: Logger, board: StatusBoard, stop: StopSignal
    ) {
        self.configuration = configuration
        self.metrics = metrics
        self.sourceMetrics = sourceMetrics
        self.logger = logger
        self.board = board
        self.stop = stop
    }

    func run(_ makeConnector: () throws -> any SourceConnector) throws {
        let topic = try TopicSetup(configuration: configuration, logger: logger)
        let connector = try retried(as: .connecting, "the source cannot be read; trying again", makeConnector)
        let resume = try place(of: connector, topic)
        let sender = try RecordSender(
            configuration: configuration, recovered: resume, metrics: metrics, logger: logger, board: board,
            stop: stop, carriesPositions: !connector.keepsItsPlace,
            ensureTopic: { _ = try topic.ensure(timeoutMilliseconds: 10_000) })
        let intake = SourceIntake(
            resume: resume, sender: sender, stop: stop, metrics: metrics, sourceMetrics: sourceMetrics,
            logger: logger, board: board, maxEventsPerMinute: configuration.maxEventsPerMinute,
            told: { try connector.acknowledged($0) })
        defer { intake.drain(timeoutMilliseconds: configuration.drainMilliseconds) }
        try connector.follow(intake)
    }

    /// Waits for the broker, makes the topic where it is missing, and finds out where to go on.
    private func place(of connector: any SourceConnector, _ topic: TopicSetup) throws -> PositionRecovery.Result {
        let result = try retried(as: .starting, "the broker is not ready") { [configuration, stop] in
            let partitions = try topic.ensure(timeoutMilliseconds: 5_000)
            if connector.keepsItsPlace { return PositionRecovery.Result() }
            return try PositionRecovery.run(
                configuration.kafka, topic: configuration.topic, partitions: partitions,
                timeoutMilliseconds: 15_000, isStopped: { stop.isRequested })
        }
        if let position = result.acknowledged {
            logger.info(
                "resuming",
                ["position": String(position.number), "sse_id": String(decoding: position.id, as: UTF8.self)])
        } else if result.recordCount > 0 {
            logger.warning("the topic's records carry no position; starting with the newest events")
        }
        if !result.hasBrokerTimes {
            logger.warning(
                "the topic does not use the broker's time; set message.timestamp.type=LogAppendTime",
                ["topic": configuration.topic])
        }
        return result
    }

    /// As many attempts as it takes.
    private func retried<T>(as phase: ProducerStatus.Phase, _ words: String, _ body: () throws -> T) throws -> T {
        var backoff = Backoff(baseMilliseconds: 200, capMilliseconds: 10_000, floorMilliseconds: 50)
        var said = ""
        while true {
            if stop.isRequested { throw StopRequested() }
            board.update { $0.phase = phase }
            do {
                return try body()
            } catch is CancellationError {
                throw StopRequested()
            } catch let error as KafkaError where error.kind == .configuration {
                throw error
            } catch {
                let fault = "\(error)"
                board.fail(fault)
                if fault != said { logger.warning("\(words)", ["error": fault]) }
                said = fault
            }
            if stop.sleep(milliseconds: backoff.next()) { throw StopRequested() }
        }
    }
}
