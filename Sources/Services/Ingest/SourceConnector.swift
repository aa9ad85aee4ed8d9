package import Health

/// A place in a source, behind one of its events. What it says is its connector's business.
package struct SourcePosition: Hashable, Sendable {
    /// The connector's own text.
    package let token: [UInt8]

    package init(token: [UInt8]) { self.token = token }
}

/// Reads a source and hands its events over; ``ConnectorService`` runs it, waits for the broker, limits the rate and follows what has
/// arrived.
///
/// At least once: what was handed over and not acknowledged when the process ended is handed over again. All calls come from one lane.
/// Most sources are best read in batches: ``BatchConnector``. What is pushed to the connector in buffers that are only lent, as
/// server-sent events are, is handed on from within the push, without a copy.
package protocol SourceConnector: AnyObject {
    /// Who keeps the place to go on from: the connector, durably, by what is acknowledged; else every record carries it, and the
    /// topic's last records say where to go on (``SourceIntake/resume``).
    var keepsItsPlace: Bool { get }

    /// Reads until a stop is requested, and hands over to `intake`. A source that cannot be read is waited for.
    ///
    /// - Throws: what `intake` throws.
    func follow(_ intake: SourceIntake) throws

    /// Notes that everything up to `position` has arrived; durably, where it keeps its place. Positions come in the order of their
    /// events.
    ///
    /// - Throws: where that cannot be kept now; a later call makes up for it, and until then a crash means repeats.
    func acknowledged(_ position: SourcePosition) throws
}

/// One event that a connector read.
package struct SourceEvent: Sendable {
    /// What goes to the topic, byte for byte as the source had it; empty for a tombstone.
    package let value: [UInt8]
    /// Whether the record has no value: it says to topics that are compacted that there is nothing of its key any more.
    package let isTombstone: Bool
    /// Records of one key keep their order.
    package let key: [UInt8]?
    /// The same for the same event whenever it is read again; see `EventIDHeader`.
    package let eventID: [UInt8]
    /// Whether it may have been sent before an interruption; see `RepeatMark`.
    package let mayRepeat: Bool
    /// The place behind it.
    package let position: SourcePosition

    package init(
        value: [UInt8], key: [UInt8]?, eventID: [UInt8], mayRepeat: Bool, position: SourcePosition,
        isTombstone: Bool = false
    ) {
        self.value = value
        self.isTombstone = isTombstone
        self.key = key
        self.eventID = eventID
        self.mayRepeat = mayRepeat
        self.position = position
    }
}

/// Something that a connector cannot hand over: it is reported, counted and passed by.
package struct SourceRefusal: Sendable, Equatable, CustomStringConvertible {
    /// Such as `a/b.jsonl, byte 1200`.
    package let place: String
    /// What is wrong with it, and what would help.
    package let reason: String
    /// By what it is counted; nil where only its reason says what it is.
    package var rule: FileFault.Rule?
    /// Whether it has a line of the log.
    package internal(set) var isLogged: Bool

    init(place: String, reason: String, rule: FileFault.Rule? = nil, isLogged: Bool = true) {
        self.place = place
        self.reason = reason
        self.rule = rule
        self.isLogged = isLogged
    }

    package var description: String { "\(place): \(reason)" }
}

/// What one call of a connector brought.
package struct SourceBatch: Sendable {
    /// In the source's order; may be empty.
    package var events: [SourceEvent] = []
    /// What was passed by.
    package var refusals: [SourceRefusal] = []
    /// What is to be said of them in the log beside.
    package var remarks: [String] = []
    /// How long there will be nothing; 0 where it is worth asking again at once.
    package var pauseMilliseconds = 0
    /// Whether it is not clear yet that the source can be read.
    package var isConnecting = false
    /// Bytes that wait in the source; nil where that is not known.
    package var lagBytes: Int64?
    /// What cannot be read while the rest is; nil for nothing.
    package var fault: String?
    /// How far a snapshot is; nil where there is nothing new of it.
    package var snapshot: SnapshotProgress?

    package init() {}
}

/// A connector that is asked for one batch after another. A source that is at its end has batches without events, for ever: there is no
/// last batch.
package protocol BatchConnector: SourceConnector {
    /// The events behind `position`. May not block for longer than reading a batch takes.
    ///
    /// - Parameter position: of the last event that was handed over. At the start nil, which means behind what was last acknowledged
    ///   durably; of a connector that does not keep its place, what the topic's last records say, and nil where they say nothing.
    /// - Throws: where the source cannot be read now; it is asked again with the same position after a wait.
    func next(after position: SourcePosition?) throws -> SourceBatch
}

extension BatchConnector {
    package var keepsItsPlace: Bool { true }

    package func follow(_ intake: SourceIntake) throws {
        var position = keepsItsPlace ? nil : intake.resume.acknowledged.map { SourcePosition(token: $0.id) }
        while !intake.isStopRequested {
            let batch: SourceBatch
            do {
                batch = try next(after: position)
                // From now on a position means going on; none at all would mean starting over.
                position = batch.events.last?.position ?? position ?? SourcePosition(token: [])
                if batch.fault != nil {
                    intake.set(connected: false)
                } else if !batch.isConnecting {
                    intake.isReading()
                }
            } catch {
                try intake.waitAfter(fault: "\(error)")
                continue
            }
            try intake.take(batch)
            try intake.wait(milliseconds: batch.pauseMilliseconds)
        }
    }
}
