package import Records

/// Where a quarantined record is on its way out.
package enum QuarantineState: String, Sendable, CaseIterable {
    /// Nothing was decided.
    case open
    /// A redrive was begun and nobody knows whether the broker took it: the process ended in between.
    case pending
    case redriven
    case discarded
}

/// Which quarantined records are meant; what is nil or empty restricts nothing.
package struct QuarantineQuery: Sendable {
    package var topic: String?
    package var partition: Int32?
    /// Offsets in each topic partition.
    package var offsets: OffsetRange?
    /// The rule's name.
    package var rule: String?
    /// Broker times in milliseconds since 1970, from this one on.
    package var since: Int64?
    /// Broker times before this one.
    package var until: Int64?
    package var states: Set<QuarantineState> = []
    /// At most so many records.
    package var limit = Int.max

    package init() {}

    /// Means only what is open, unless it names states. A change refuses the others, and those of which a redrive was begun would
    /// use up the limit each time that the rest is asked for.
    package mutating func leaveOutWhatIsRefused() {
        if states.isEmpty { states = [.open] }
    }

    func includes(_ source: TopicPartition) -> Bool {
        (topic == nil || topic == source.topic) && (partition == nil || partition == source.partition)
    }

    func includes(_ record: QuarantinedRecord) -> Bool {
        (rule == nil || rule == record.rule) && (since.map { record.timestampMilliseconds >= $0 } ?? true)
            && (until.map { record.timestampMilliseconds < $0 } ?? true)
            && (states.isEmpty || states.contains(record.state))
    }
}

/// One record in quarantine and what was decided about it.
package struct QuarantinedRecord: Sendable {
    package let source: TopicPartition
    package let offset: Int64
    /// The broker's time in milliseconds since 1970.
    package let timestampMilliseconds: Int64
    package let rule: String
    package let reason: String
    /// The field or other detail; empty where the rule says it all.
    package let detail: String
    /// nil where it has no readable one.
    package let eventID: String?
    /// Hexadecimal; empty for a tombstone.
    package let bronzeSHA256: String
    package let logicVersion: String
    package let state: QuarantineState
    /// Of a redriven record: where it is now.
    package let redrivenTo: Int64?
    /// Of a discarded record: why, in the operator's words.
    package let discardReason: String
    /// Bytes of the value; 0 for a tombstone.
    package let valueBytes: Int
    package let key: [UInt8]?
    /// nil for a tombstone.
    package let value: [UInt8]?
}

/// How many records of one rule are where.
package struct QuarantineSummary: Sendable {
    package let rule: String
    package internal(set) var counts: [QuarantineState: Int] = [:]
    /// The first records found, to look at.
    package internal(set) var samples: [(source: TopicPartition, offset: Int64)] = []
    /// The record found last.
    package internal(set) var last: (source: TopicPartition, offset: Int64)?

    static let samplesMax = 3
}

/// What cannot be done with quarantined records: why, and what to do.
package struct QuarantineError: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}
