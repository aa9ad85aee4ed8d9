import Bytes
import Concurrency
import Kafka
package import ServiceLifecycle
package import Telemetry

/// Pushes what a connector reads to its topic, byte for byte, and tells it what has arrived.
///
/// Runs on a lane of its own. When the broker is away, at most `queueMaxRecords` or `queueMaxKilobytes` wait in memory and reading
/// stops. Drained means: nothing more is read, and what was read is acknowledged or `drainMilliseconds` have passed; then it is read
/// again after the next start.
package final class ConnectorService: Service {
    package let name: String
    private let configuration: ProducerConfiguration
    private let makeConnector: @Sendable () throws -> any SourceConnector
    private let metrics: ProducerMetrics
    private let connectorMetrics: ConnectorMetrics
    private let logger: Logger
    private let board = StatusBoard()
    private let lane: Lane

    /// - Parameters:
    ///   - source: the source's name, for logs and metrics.
    ///   - makeConnector: called on the lane, again and again until it makes one.
    package init(
        source: String, configuration: ProducerConfiguration, metrics: MetricsRegistry, logger: Logger,
        makeConnector: @escaping @Sendable () throws -> any SourceConnector
    ) {
        name = "source \(source)"
        self.configuration = configuration
        self.makeConnector = makeConnector
        self.metrics = ProducerMetrics(metrics)
        connectorMetrics = ConnectorMetrics(metrics, source: source)
        self.logger = logger.scoped("source \(source)")
        lane = Lane(name: "source \(source)")
    }

    /// What it is doing at the moment.
    package var status: ProducerStatus { board.current }

    /// - Throws: ``KafkaError`` where a property is wrong; everything else is retried for as long as it takes.
    package func run(stop: StopSignal) async throws {
        defer { board.update { $0.phase = .stopped } }
        try await lane.run { [self] in
            let run = ConnectorRun(
                configuration: configuration, metrics: metrics, connectorMetrics: connectorMetrics, logger: logger,
                board: board, stop: stop)
            do { try run.run(makeConnector) } catch is StopRequested {}
        }
    }
}

/// One run of a connector; confined to its lane.
private final class ConnectorRun {
    private let configuration: ProducerConfiguration
    private let metrics: ProducerMetrics
    private let connectorMetrics: ConnectorMetrics
    private let logger: Logger
    private let board: StatusBoard
    private let stop: StopSignal
    /// Up to here the connector was told.
    private var told: Int64 = 0
    private var lastFault = ""

    init(
        configuration: ProducerConfiguration, metrics: ProducerMetrics, connectorMetrics: ConnectorMetrics,
        logger: Logger, board: StatusBoard, stop: StopSignal
    ) {
        self.configuration = configuration
        self.metrics = metrics
        self.connectorMetrics = connectorMetrics
        self.logger = logger
        self.board = board
        self.stop = stop
    }

    func run(_ makeConnector: () throws -> any SourceConnector) throws {
        let topic = try TopicSetup(configuration: configuration, logger: logger)
        try retried(as: .starting) { _ = try topic.ensure(timeoutMilliseconds: 5_000) }
        var made: (any SourceConnector)?
        try retried(as: .connecting) { made = try makeConnector() }
        guard let connector = made else { return }
        let sender = try RecordSender(
            configuration: configuration, recovered: PositionRecovery.Result(), metrics: metrics, logger: logger,
            board: board, stop: stop, carriesPositions: false,
            ensureTopic: { _ = try topic.ensure(timeoutMilliseconds: 10_000) })
        defer {
            let left = sender.drain(timeoutMilliseconds: configuration.drainMilliseconds)
            tell(connector, sender)
            if left > 0 {
                logger.warning("stopped before all was acknowledged; the rest is read again", ["events": String(left)])
            }
        }
        try follow(connector, sender)
    }

    private func follow(_ connector: any SourceConnector, _ sender: RecordSender) throws {
        var position: SourcePosition?
        var backoff = Backoff(baseMilliseconds: 500, capMilliseconds: 30_000, floorMilliseconds: 250)
        while !stop.isRequested {
            let batch: SourceBatch
            do {
                batch = try connector.next(after: position)
                // From now on a position means going on; none at all would mean starting over.
                position = batch.events.last?.position ?? position ?? SourcePosition(token: [])
                backoff.reset()
                note(fault: nil)
            } catch {
                note(fault: "\(error)")
                try wait(backoff.next(), connector, sender)
                continue
            }
            report(batch)
            let arrival = SystemClock.epochMilliseconds()
            for event in batch.events {
                try event.value.withUnsafeBytes { value in
                    try sender.send(
                        OutgoingRecord(
                            value: value, key: event.key, place: event.position.token, eventID: event.eventID,
                            mayRepeat: event.mayRepeat, arrivalMilliseconds: arrival))
                }
            }
            try sender.settle()
            sender.pump(timeoutMilliseconds: 0)
            tell(connector, sender)
            try wait(batch.pauseMilliseconds, connector, sender)
        }
    }

    /// Takes acknowledgements while there is nothing to read.
    private func wait(_ milliseconds: Int, _ connector: any SourceConnector, _ sender: RecordSender) throws {
        let deadline = SystemClock.monotonicNanoseconds() + Int64(milliseconds) * 1_000_000
        while true {
            let left = (deadline - SystemClock.monotonicNanoseconds()) / 1_000_000
            guard left > 0 else { return }
            try sender.waitPumping(milliseconds: Int(min(left, 100)))
            try sender.settle()
            tell(connector, sender)
        }
    }

    private func tell(_ connector: any SourceConnector, _ sender: RecordSender) {
        let position = sender.acknowledged
        guard position.number > told else { return }
        do {
            try connector.acknowledged(SourcePosition(token: position.id))
            told = position.number
        } catch {
            // Kept for later: until then a crash means that more is read again.
            note(fault: "\(error)")
        }
    }

    private func report(_ batch: SourceBatch) {
        metrics.received.increment(by: batch.events.count)
        metrics.receivedBytes.increment(by: batch.events.reduce(0) { $0 + $1.value.count })
        metrics.marked.increment(by: batch.events.count { $0.mayRepeat })
        metrics.withoutKey.increment(by: batch.events.count { $0.key == nil })
        connectorMetrics.events.increment(by: batch.events.count)
        connectorMetrics.refused.increment(by: batch.refusals.count)
        for refusal in batch.refusals {
            board.fail(refusal.description)
            logger.error("left out", ["place": refusal.place, "reason": refusal.reason])
        }
        board.update { status in
            status.phase = .streaming
            if !batch.events.isEmpty { status.lastEventArrivalMilliseconds = SystemClock.epochMilliseconds() }
        }
    }

    /// Says what is wrong when it begins and when it is over, and not in between.
    private func note(fault: String?) {
        board.update { $0.isConnected = fault == nil }
        connectorMetrics.isReading.set(fault == nil ? 1 : 0)
        guard let fault else {
            if !lastFault.isEmpty { logger.info("the source is read again") }
            lastFault = ""
            return
        }
        board.fail(fault)
        if fault != lastFault { logger.warning("the source cannot be read; trying again", ["error": fault]) }
        lastFault = fault
    }

    private func retried(as phase: ProducerStatus.Phase, _ body: () throws -> Void) throws {
        var backoff = Backoff(baseMilliseconds: 200, capMilliseconds: 10_000, floorMilliseconds: 50)
        while true {
            if stop.isRequested { throw StopRequested() }
            board.update { $0.phase = phase }
            do {
                try body()
                return note(fault: nil)
            } catch let error as KafkaError where error.kind == .configuration {
                throw error
            } catch {
                note(fault: "\(error)")
            }
            if stop.sleep(milliseconds: backoff.next()) { throw StopRequested() }
        }
    }
}
