/// A place in a source, behind one of its events. What it says is its connector's business.
package struct SourcePosition: Hashable, Sendable {
    /// The connector's own text.
    package let token: [UInt8]

    package init(token: [UInt8]) { self.token = token }
}

/// One event that a connector read.
package struct SourceEvent: Sendable {
    /// What goes to the topic, byte for byte as the source had it.
    package let value: [UInt8]
    /// Records of one key keep their order.
    package let key: [UInt8]?
    /// The same for the same event whenever it is read again; see `EventIDHeader`.
    package let eventID: [UInt8]
    /// Whether it may have been sent before an interruption; see `RepeatMark`.
    package let mayRepeat: Bool
    /// The place behind it.
    package let position: SourcePosition

    package init(
        value: [UInt8], key: [UInt8]?, eventID: [UInt8], mayRepeat: Bool, position: SourcePosition
    ) {
        self.value = value
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

    package var description: String { "\(place): \(reason)" }
}

/// What one call of a connector brought.
package struct SourceBatch: Sendable {
    /// In the source's order; may be empty.
    package var events: [SourceEvent] = []
    /// What was passed by.
    package var refusals: [SourceRefusal] = []
    /// How long there will be nothing; 0 where it is worth asking again at once.
    package var pauseMilliseconds = 0

    package init() {}
}

/// Reads a source in batches with a position, and is told what has arrived.
///
/// At least once: what was handed over and not acknowledged when the process ended is handed over again, with the same event
/// ids. Calls come from one lane; none may block for longer than reading a batch takes. A source that is at its end has
/// batches without events, for ever: there is no last batch.
package protocol SourceConnector: AnyObject {
    /// The events behind `position`.
    ///
    /// - Parameter position: of the last event that was handed over; nil at the start, which means behind what was last
    ///   acknowledged durably.
    /// - Throws: where the source cannot be read now; the caller waits and asks again with the same position.
    func next(after position: SourcePosition?) throws -> SourceBatch

    /// Notes durably that everything up to `position` has arrived. Positions come in the order of their events.
    ///
    /// - Throws: where that cannot be kept now; a later call makes up for it, and until then a crash means repeats.
    func acknowledged(_ position: SourcePosition) throws
}
