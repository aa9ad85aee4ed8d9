import Bytes
import Kafka
import Records
import ServiceLifecycle
import Telemetry

/// Thrown out of a read when the service is to stop.
struct StopRequested: Error {}

/// A record on its way to the topic. Its value is lent for the time of the call.
struct OutgoingRecord {
    let value: UnsafeRawBufferPointer
    let key: [UInt8]?
    /// The source's place behind it.
    let place: [UInt8]
    /// See `EventIDHeader`; empty where the event has an id of its own.
    var eventID: [UInt8] = []
    /// Whether it may have been sent before; see ``RepeatMark``.
    let mayRepeat: Bool
    let arrivalMilliseconds: Int64
    /// Whether it goes without its value.
    var isTombstone = false
}

/// Hands events to the broker in order, follows their acknowledgements, and sends again what failed.
///
/// Confined to the producer's lane. Its calls block while the local queue is full or a failed record is not through:
/// that is what stops reading from the source. Nothing is given up but records that are too large for the broker, and
/// those are logged and counted one by one.
final class RecordSender {
    private let configuration: ProducerConfiguration
    private let metrics: ProducerMetrics
    private let logger: Logger
    private let board: StatusBoard
    private let stop: StopSignal
    /// Whether records say where their source stands: the durable position of a connector that has no other.
    private let carriesPositions: Bool
    /// Makes sure that the topic is there; called before a record is sent again.
    private let ensureTopic: () throws -> Void
    private var kafka: KafkaProducer
    private var tracker: AcknowledgementTracker
    private var failed: [Failed] = []
    /// Records that were sent again and are not acknowledged yet.
    private var resent: Set<Int64> = []
    /// The record that was sent in a batch of its own.
    private var alone: Int64?
    private var needsNewClient = false
    private var backoff = Backoff(baseMilliseconds: 200, capMilliseconds: 10_000, floorMilliseconds: 50)
    /// The header of the present acknowledged position.
    private var acknowledgedHeader: (number: Int64, bytes: [UInt8])

    private struct Failed {
        var number: Int64
        var record: UndeliveredRecord
        /// The broker found its whole batch too large, which says little about the record.
        var wasTooLarge: Bool
    }

    init(
        configuration: ProducerConfiguration, recovered: PositionRecovery.Result, metrics: ProducerMetrics,
        logger: Logger, board: StatusBoard, stop: StopSignal, carriesPositions: Bool = true,
        ensureTopic: @escaping () throws -> Void
    ) throws {
        self.configuration = configuration
        self.metrics = metrics
        self.logger = logger
        self.board = board
        self.stop = stop
        self.carriesPositions = carriesPositions
        self.ensureTopic = ensureTopic
        let position = recovered.acknowledged ?? StreamPosition(number: 0, id: [])
        tracker = AcknowledgementTracker(acknowledged: position, nextNumber: recovered.nextNumber)
        acknowledgedHeader = (position.number, PositionRecovery.encode(position))
        kafka = try Self.makeClient(configuration)
    }

    private static func makeClient(_ configuration: ProducerConfiguration) throws -> KafkaProducer {
        var options = ProducerOptions()
        options.queueMaxRecords = configuration.queueMaxRecords
        options.queueMaxKilobytes = configuration.queueMaxKilobytes
        // Waiting for a broker has no end; the bounded queue stops the reading meanwhile.
        options.messageTimeoutMilliseconds = 0
        options.messageMaxBytes = configuration.eventBytesMax + 65_536
        return try KafkaProducer(configuration.kafka, options: options)
    }

    /// Everything that was sent up to here has arrived.
    var acknowledged: StreamPosition { tracker.acknowledged }

    /// Sends one record, waiting for room as long as it takes.
    ///
    /// - Throws: ``StopRequested``; the record is not sent then.
    func send(_ record: OutgoingRecord) throws {
        try settle()
        let number = tracker.upcomingNumber
        var headers = [(RecordHeaders.ingestTime, Self.decimal(record.arrivalMilliseconds))]
        if carriesPositions {
            headers.append((RecordHeaders.position, Self.decimal(number)))
            headers.append((RecordHeaders.acknowledged, acknowledgedHeader.bytes))
            if !record.place.isEmpty { headers.append((RecordHeaders.sseID, record.place)) }
        }
        if !record.eventID.isEmpty { headers.append((EventIDHeader.header, record.eventID)) }
        if record.mayRepeat { headers.append((RepeatMark.header, RepeatMark.value)) }
        let value = record.isTombstone ? nil : record.value
        let isQueued: Bool
        if let key = record.key {
            isQueued = try key.withUnsafeBytes { try enqueue(number, key: $0, value: value, headers: headers) }
        } else {
            isQueued = try enqueue(number, key: nil, value: value, headers: headers)
        }
        _ = tracker.add(id: record.place)
        if isQueued {
            metrics.produced.increment()
        } else {
            tracker.acknowledge(number)
        }
    }

    /// Takes what acknowledgements there are, waiting up to the timeout for the first.
    func pump(timeoutMilliseconds: Int) {
        for report in kafka.poll(timeoutMilliseconds: timeoutMilliseconds) { note(report) }
        for error in kafka.takeErrors() {
            metrics.brokerFaults.increment()
            board.fail(error.description)
            if error.kind == .fatal {
                needsNewClient = true
                logger.error("the Kafka client must be made anew", ["error": error.description])
            } else {
                logger.warning("broker trouble", ["error": error.description])
            }
        }
        let position = tracker.acknowledged
        if position.number != acknowledgedHeader.number {
            acknowledgedHeader = (position.number, PositionRecovery.encode(position))
        }
        metrics.inFlight.set(Double(tracker.inFlightCount))
        board.update { status in
            status.acknowledgedPosition = position.number
            status.inFlight = tracker.inFlightCount
        }
    }

    /// Returns when no failed record is waiting and all that were sent again are acknowledged.
    ///
    /// - Throws: ``StopRequested``.
    func settle() throws {
        guard !failed.isEmpty || !resent.isEmpty || needsNewClient else { return }
        board.update { $0.phase = .blocked }
        while !failed.isEmpty || !resent.isEmpty || needsNewClient {
            if stop.isRequested { throw StopRequested() }
            if needsNewClient {
                replaceClient()
            } else if failed.contains(where: \.wasTooLarge) {
                // Others would join its batch.
                if kafka.pendingCount == 0 { try sendNextAlone() }
            } else if resent.isEmpty && !failed.isEmpty {
                try waitPumping(milliseconds: backoff.next())
                sendFailedAgain()
            }
            pump(timeoutMilliseconds: 100)
        }
        backoff.reset()
    }

    /// Waits while acknowledgements are taken.
    ///
    /// - Throws: ``StopRequested``.
    func waitPumping(milliseconds: Int) throws {
        let deadline = SystemClock.monotonicNanoseconds() + Int64(milliseconds) * 1_000_000
        while true {
            if stop.isRequested { throw StopRequested() }
            let left = (deadline - SystemClock.monotonicNanoseconds() + 999_999) / 1_000_000
            guard left > 0 else { return }
            pump(timeoutMilliseconds: Int(min(left, 100)))
        }
    }

    /// Waits for acknowledgements of what is on its way, up to the timeout.
    ///
    /// - Returns: events that are not acknowledged; the next start fetches them again.
    func drain(timeoutMilliseconds: Int) -> Int {
        let deadline = SystemClock.monotonicNanoseconds() + Int64(timeoutMilliseconds) * 1_000_000
        while tracker.inFlightCount > 0 && failed.isEmpty && SystemClock.monotonicNanoseconds() < deadline {
            pump(timeoutMilliseconds: 50)
        }
        return tracker.inFlightCount
    }

    /// False where the record is refused for its size.
    private func enqueue(
        _ number: Int64, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?, headers: [(String, [UInt8])]
    ) throws -> Bool {
        var wasFull = false
        while true {
            if stop.isRequested { throw StopRequested() }
            do throws(KafkaError) {
                try kafka.send(topic: configuration.topic, key: key, value: value, headers: headers, token: number)
                return true
            } catch {
                switch error.kind {
                case .queueFull:
                    if !wasFull {
                        metrics.queueFull.increment()
                        board.update { $0.phase = .blocked }
                    }
                    wasFull = true
                    pump(timeoutMilliseconds: 100)
                case .fatal:
                    needsNewClient = true
                    try settle()
                case .messageTooLarge:
                    refuse(number, bytes: value?.count ?? 0, error)
                    return false
                default:
                    board.fail(error.description)
                    logger.warning("an event could not be queued; trying again", ["error": error.description])
                    try waitPumping(milliseconds: backoff.next())
                }
            }
        }
    }

    private func note(_ report: DeliveryReport) {
        resent.remove(report.token)
        guard let error = report.error else {
            tracker.acknowledge(report.token)
            metrics.acknowledged.increment()
            if let offset = report.clockOffsetMilliseconds { metrics.brokerClock.set(Double(offset) / 1_000) }
            return
        }
        metrics.deliveryFailures.increment()
        board.fail(error.description)
        if error.kind == .messageTooLarge && alone == report.token {
            refuse(report.token, bytes: report.undelivered?.value?.count ?? 0, error)
            tracker.acknowledge(report.token)
            return
        }
        let id = String(decoding: tracker.id(of: report.token) ?? [], as: UTF8.self)
        if error.kind == .fatal { needsNewClient = true }
        logger.warning(
            "a delivery failed; intake waits until it is through", ["sse_id": id, "error": error.description])
        if let record = report.undelivered {
            failed.append(Failed(number: report.token, record: record, wasTooLarge: error.kind == .messageTooLarge))
        }
    }

    /// Says aloud that an event is left out: sending it again can never help, and the stream must go on.
    private func refuse(_ number: Int64, bytes: Int, _ error: KafkaError) {
        metrics.refused.increment()
        board.fail(error.description)
        logger.error(
            "an event is too large for the broker and was left out; raise the topic's max.message.bytes",
            ["position": String(number), "bytes": String(bytes), "error": error.description])
    }

    private func sendFailedAgain() {
        do {
            try ensureTopic()
        } catch {
            board.fail("\(error)")
            logger.warning("the topic cannot be reached", ["error": "\(error)"])
            return
        }
        let batch = failed.sorted { $0.number < $1.number }
        failed = []
        for (index, item) in batch.enumerated() where !sendAgain(item) {
            // The rest waits for the next round.
            failed += batch[index...]
            return
        }
    }

    private func sendNextAlone() throws {
        guard let index = failed.indices.min(by: { failed[$0].number < failed[$1].number }) else { return }
        if sendAgain(failed[index]) {
            alone = failed.remove(at: index).number
        } else {
            try waitPumping(milliseconds: backoff.next())
        }
    }

    /// Queues a failed record once more; false where it was not taken.
    private func sendAgain(_ item: Failed) -> Bool {
        var headers = item.record.headers.filter { $0.0 != RecordHeaders.acknowledged && $0.0 != RepeatMark.header }
        if carriesPositions { headers.append((RecordHeaders.acknowledged, acknowledgedHeader.bytes)) }
        // It may be in the topic already, if only its acknowledgement was lost; and that may be long ago.
        headers.append((RepeatMark.header, RepeatMark.value))
        do throws(KafkaError) {
            try kafka.send(
                topic: configuration.topic, key: item.record.key, value: item.record.value, headers: headers,
                token: item.number)
        } catch {
            board.fail(error.description)
            if error.kind == .fatal { needsNewClient = true }
            return false
        }
        resent.insert(item.number)
        return true
    }

    /// Gives up the client after a fatal fault; what it still had comes back as failed and goes through the new one.
    private func replaceClient() {
        kafka.purge()
        for report in kafka.flush(timeoutMilliseconds: 5_000) { note(report) }
        guard kafka.pendingCount == 0 else { return }
        do {
            kafka = try Self.makeClient(configuration)
            needsNewClient = false
        } catch {
            board.fail("\(error)")
            logger.error("no new Kafka client", ["error": "\(error)"])
            _ = stop.sleep(milliseconds: backoff.next())
        }
    }

    private static func decimal(_ value: Int64) -> [UInt8] {
        var bytes: [UInt8] = []
        Decimal.append(value, to: &bytes)
        return bytes
    }
}
