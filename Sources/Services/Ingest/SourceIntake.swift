import Bytes
import ServiceLifecycle
import Telemetry

/// What a connector hands its events to; confined to the connector's lane.
///
/// Its calls block while the broker takes nothing more, while a failed record is not through, and while `maxEventsPerMinute` is reached:
/// that is what stops the reading. They throw ``StopRequested`` when the service is to stop, which the connector lets pass.
package final class SourceIntake {
    /// What the topic's last records say of the place to go on from; nothing where the connector keeps its place.
    package let resume: PositionRecovery.Result
    let logger: Logger
    let board: StatusBoard
    private let sender: RecordSender
    private let stop: StopSignal
    private let metrics: ProducerMetrics
    private let sourceMetrics: SourceMetrics
    /// Tells the connector what has arrived; nil where nobody wants to know.
    private let told: ((SourcePosition) throws -> Void)?
    private var toldNumber: Int64
    private var rateLimit: RateLimit?
    private var lastFault = ""
    private var faultBackoff = Backoff(baseMilliseconds: 500, capMilliseconds: 30_000, floorMilliseconds: 250)
    /// Events of a connector that does not keep its place which may have been sent before the last start.
    private var repeatsLeft: Int64

    init(
        resume: PositionRecovery.Result, sender: RecordSender, stop: StopSignal, metrics: ProducerMetrics,
        sourceMetrics: SourceMetrics, logger: Logger, board: StatusBoard, maxEventsPerMinute: Int,
        told: ((SourcePosition) throws -> Void)?
    ) {
        self.resume = resume
        self.sender = sender
        self.stop = stop
        self.metrics = metrics
        self.sourceMetrics = sourceMetrics
        self.logger = logger
        self.board = board
        self.told = told
        toldNumber = sender.acknowledged.number
        rateLimit = RateLimit(perMinute: maxEventsPerMinute, now: Self.now())
        repeatsLeft = resume.sentBehind
    }

    private static func now() -> Int64 { SystemClock.monotonicNanoseconds() / 1_000_000 }

    /// Whether the connector is to return.
    package var isStopRequested: Bool { stop.isRequested }

    // MARK: Events

    /// Takes one event, whose bytes are lent for the time of the call. The hot path: nothing is built for an event here.
    ///
    /// - Parameter eventTimeMilliseconds: the event's own time, where the connector knows it.
    func take(_ record: OutgoingRecord, eventTimeMilliseconds: Int64? = nil) throws {
        if record.mayRepeat { metrics.marked.increment() }
        while let wait = rateLimit?.take(now: Self.now()), wait > 0 {
            try sender.waitPumping(milliseconds: min(wait, 1_000))
        }
        if record.key == nil { metrics.withoutKey.increment() }
        try sender.send(record)
        board.update { status in
            status.phase = .streaming
            status.lastEventArrivalMilliseconds = record.arrivalMilliseconds
            if let eventTimeMilliseconds { status.lastEventTimeMilliseconds = eventTimeMilliseconds }
        }
    }

    /// Counts events that arrived; a batch does so itself.
    func noteReceived(_ count: Int = 1) {
        metrics.received.increment(by: count)
        sourceMetrics.events.increment(by: count)
    }

    func noteReceived(bytes: Int) { metrics.receivedBytes.increment(by: bytes) }

    /// Takes a batch, in its order, and reports what it passed by.
    package func take(_ batch: SourceBatch) throws {
        noteReceived(batch.events.count)
        noteReceived(bytes: batch.events.reduce(0) { $0 + $1.value.count })
        for refusal in batch.refusals { refuse(refusal) }
        for remark in batch.remarks { logger.error("left out", ["reason": remark]) }
        if let fault = batch.fault { board.fail(fault) }
        board.update { status in
            status.phase = .streaming
            if let lag = batch.lagBytes { status.lagBytes = lag }
            if let snapshot = batch.snapshot { status.snapshot = snapshot }
        }
        let arrival = SystemClock.epochMilliseconds()
        for event in batch.events {
            let isRepeat = repeatsLeft > 0
            if isRepeat { repeatsLeft -= 1 }
            try event.value.withUnsafeBytes { value in
                try take(
                    OutgoingRecord(
                        value: value, key: event.key, place: event.position.token, eventID: event.eventID,
                        mayRepeat: event.mayRepeat || isRepeat, arrivalMilliseconds: arrival,
                        isTombstone: event.isTombstone))
            }
        }
        try turn()
    }

    /// Reports something that is passed by.
    package func refuse(_ refusal: SourceRefusal) {
        sourceMetrics.refused.increment()
        board.fail(refusal.description)
        if refusal.isLogged { logger.error("left out", ["place": refusal.place, "reason": refusal.reason]) }
    }

    // MARK: Waiting and acknowledgements

    /// Takes acknowledgements; to be called at least once a second while there is nothing to hand over. Waits where a record failed.
    package func turn() throws {
        sender.pump(timeoutMilliseconds: 0)
        try sender.settle()
        tell()
    }

    /// Takes the acknowledgements that are there.
    func pump() {
        sender.pump(timeoutMilliseconds: 0)
        tell()
    }

    /// Waits while acknowledgements are taken.
    package func wait(milliseconds: Int) throws {
        let deadline = Self.now() + Int64(milliseconds)
        while true {
            let left = deadline - Self.now()
            guard left > 0 else { return }
            try sender.waitPumping(milliseconds: Int(min(left, 100)))
            try sender.settle()
            tell()
        }
    }

    /// Takes what acknowledgements still come.
    func drain(timeoutMilliseconds: Int) {
        let left = sender.drain(timeoutMilliseconds: timeoutMilliseconds)
        tell()
        if left > 0 {
            logger.warning("stopped before all was acknowledged; the rest is read again", ["events": String(left)])
        }
    }

    private func tell() {
        guard let told else { return }
        let position = sender.acknowledged
        guard position.number > toldNumber else { return }
        do {
            try told(SourcePosition(token: position.id))
            toldNumber = position.number
        } catch {
            // Kept for later: until then a crash means that more is read again.
            note(fault: "\(error)")
        }
    }

    // MARK: The source's state

    /// Notes that the source is being read.
    package func isReading() {
        faultBackoff.reset()
        note(fault: nil)
    }

    /// Notes that the source cannot be read, and waits before the next attempt: longer each time, half a minute at most.
    package func waitAfter(fault: String) throws {
        note(fault: fault)
        try wait(milliseconds: faultBackoff.next())
    }

    /// Says what is wrong when it begins and when it is over, and not in between.
    func note(fault: String?) {
        set(connected: fault == nil)
        guard let fault else {
            if !lastFault.isEmpty { logger.info("the source is read again") }
            lastFault = ""
            return
        }
        board.fail(fault)
        if fault != lastFault { logger.warning("the source cannot be read; trying again", ["error": fault]) }
        lastFault = fault
    }

    /// Whether the source is there, for a connector that tells its faults itself.
    func set(connected: Bool) {
        sourceMetrics.isReading.set(connected ? 1 : 0)
        board.update { $0.isConnected = connected }
    }
}
