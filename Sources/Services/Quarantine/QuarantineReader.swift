package import Lake
import Records

/// Finds quarantined records of one generation, with what was decided about them. Blocks on the disk: for lanes.
package struct QuarantineReader: Sendable {
    package let reader: LakeReader
    /// Whose quarantine is read.
    package let generation: Int64
    private let shouldStop: @Sendable () -> Bool

    /// - Parameters:
    ///   - generation: nil for the active one.
    ///   - shouldStop: asked for each line, also of records that no query means; true ends each reading as if nothing came after.
    /// - Throws: ``QuarantineError`` in a lake without generations; ``LakeError``.
    package init(
        layout: LakeLayout, generation: Int64? = nil, shouldStop: @escaping @Sendable () -> Bool = { false }
    ) throws {
        self.shouldStop = shouldStop
        reader = LakeReader(layout: layout)
        let log = GenerationLog(layout: layout)
        if let generation {
            guard try log.read().contains(where: { $0.number == generation }) else {
                throw QuarantineError("the lake has no generation \(generation); `medallion generations` lists them")
            }
            self.generation = generation
        } else {
            guard let active = try log.active() else {
                throw QuarantineError("the lake \(layout.root) has no generation yet; run the stream job first")
            }
            self.generation = active.number
        }
    }

    /// Calls `body` with each record that the query means, by topic partition and offset, until it returns false.
    package func forEach(_ query: QuarantineQuery, _ body: (QuarantinedRecord) throws -> Bool) throws {
        var left = query.limit
        for source in try reader.sources() where query.includes(source) && left > 0 {
            let decisions = try QuarantineLog(layout: reader.layout, source: source).read()
            try forEach(query, source, decisions) { record in
                left -= 1
                guard try body(record) else {
                    left = 0
                    return false
                }
                return left > 0
            }
        }
    }

    /// The same for one topic partition, under decisions that the caller has read.
    ///
    /// - Returns: false where reading had to stop.
    @discardableResult
    func forEach(
        _ query: QuarantineQuery, _ source: TopicPartition, _ decisions: [Int64: QuarantineDecision],
        _ body: (QuarantinedRecord) throws -> Bool
    ) throws -> Bool {
        guard let range = try range(query, source) else { return true }
        var isWhole = true
        var failure: (any Error)?
        try reader.forEachLine(.quarantine, generation: generation, source: source, range: range) { offset, line in
            guard !shouldStop() else {
                isWhole = false
                return false
            }
            do {
                guard let record = QuarantinedRecord(line, source, decisions[offset]) else {
                    throw LakeError.damaged(
                        path: reader.layout.commitLog(source),
                        reason: "the quarantine line of offset \(offset) cannot be read")
                }
                return query.includes(record) ? try body(record) : true
            } catch {
                failure = error
                return false
            }
        }
        if let failure { throw failure }
        return isWhole
    }

    /// The offsets to look at. Broker times may step back, so a time bounds only from below, by the largest so far.
    func range(_ query: QuarantineQuery, _ source: TopicPartition) throws -> OffsetRange? {
        guard let held = try reader.committedRange(source) else { return nil }
        var start = max(held.start, query.offsets?.start ?? 0)
        if let since = query.since {
            let log = try CommitLog(reading: reader.layout.commitLog(source))
            guard let first = try log.firstEntry(atBrokerTime: since) else { return nil }
            start = max(start, first.range.start)
        }
        guard let range = OffsetRange(start: start, end: min(held.end, query.offsets?.end ?? .max)), !range.isEmpty
        else { return nil }
        return range
    }

    /// How many records of each rule are where, by rule.
    package func summaries(_ query: QuarantineQuery) throws -> [QuarantineSummary] {
        var found: [String: QuarantineSummary] = [:]
        try forEach(query) { record in
            var summary = found[record.rule] ?? QuarantineSummary(rule: record.rule)
            summary.counts[record.state, default: 0] += 1
            if summary.samples.count < QuarantineSummary.samplesMax {
                summary.samples.append((record.source, record.offset))
            }
            summary.last = (record.source, record.offset)
            found[record.rule] = summary
            return true
        }
        return found.values.sorted { $0.rule < $1.rule }
    }
}

extension QuarantinedRecord {
    /// - Returns: nil where it is not a quarantine line.
    init?(_ line: ArraySlice<UInt8>, _ source: TopicPartition, _ decision: QuarantineDecision?) {
        guard let read = QuarantineLine.read(line) else { return nil }
        self.init(
            source: source, offset: read.raw.offset, timestampMilliseconds: read.raw.timestampMilliseconds,
            rule: read.rule, reason: read.reason, detail: read.detail, eventID: read.eventID,
            bronzeSHA256: read.bronzeSHA256, logicVersion: read.logicVersion, state: Self.state(decision),
            redrivenTo: decision?.redrivenTo,
            discardReason: decision?.kind == .discard ? decision?.reason ?? "" : "",
            valueBytes: read.raw.value?.count ?? 0, key: read.raw.key, value: read.raw.value)
    }

    private static func state(_ decision: QuarantineDecision?) -> QuarantineState {
        switch decision?.kind {
        case nil, .failed: .open
        case .redrive: .pending
        case .redriven: .redriven
        case .discard: .discarded
        }
    }
}
