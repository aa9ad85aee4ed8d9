import Records

/// The lines that one logic made of some records.
package struct DerivedLines: Sendable {
    package var silver: [UInt8] = []
    package var gold: [UInt8] = []
    package var quarantine: [UInt8] = []
    package var silverCount = 0
    package var goldCount = 0
    package var quarantineCount = 0
    /// Records that are about nothing and leave no line, such as a tombstone behind the deletion that says the same.
    package var passedOverCount = 0
    private var rejected: [Rule: RuleCount] = [:]
    /// By the combination of flags, so that counting takes no look-up.
    private var flagged = [RuleCount](repeating: RuleCount(), count: QualityFlags.combinations)
    private var hasFlags = false
    /// Event times of the Silver lines in their order, in milliseconds since 1970.
    package var eventTimes: [Int64] = []

    /// Records in quarantine by the rule they broke.
    package var rejects: [Rule: Int] { rejected.mapValues(\.count) }

    /// Records by the rule they broke, be it for quarantine or as a flag.
    package var rules: [Rule: RuleCount] {
        var rules = rejected
        for (number, count) in flagged.enumerated() where count.count > 0 {
            QualityFlags(rawValue: UInt8(number)).forEach { rules[$0, default: RuleCount()].add(count) }
        }
        return rules
    }

    package init() {}

    mutating func count(_ flags: QualityFlags, offset: Int64) {
        guard !flags.isEmpty else { return }
        flagged[Int(flags.rawValue)].add(offset: offset)
        hasFlags = true
    }

    private mutating func count(_ rejection: Rejection, offset: Int64) {
        rejected[rejection.rule, default: RuleCount()].add(offset: offset)
    }

    /// Appends the quarantine line of a record that broke a rule, and counts it.
    mutating func reject(
        _ record: borrowing SourceRecord, _ rejection: Rejection, eventID: UnsafeBufferPointer<UInt8>?,
        bronzeSHA256: [UInt8]?, logicVersion: String, embedsValue: Bool
    ) {
        QuarantineLine.append(
            record, rule: rejection.rule.rawValue, reason: rejection.rule.reason, detail: rejection.detail,
            eventID: eventID, bronzeSHA256: bronzeSHA256, logicVersion: logicVersion, embedsValue: embedsValue,
            to: &quarantine)
        quarantineCount += 1
        count(rejection, offset: record.offset)
    }

    /// Forgets the lines and keeps the storage.
    package mutating func removeAll() {
        silver.removeAll(keepingCapacity: true)
        gold.removeAll(keepingCapacity: true)
        quarantine.removeAll(keepingCapacity: true)
        (silverCount, goldCount, quarantineCount, passedOverCount) = (0, 0, 0, 0)
        rejected.removeAll(keepingCapacity: true)
        if hasFlags {
            for number in flagged.indices { flagged[number] = RuleCount() }
            hasFlags = false
        }
        eventTimes.removeAll(keepingCapacity: true)
    }
}
