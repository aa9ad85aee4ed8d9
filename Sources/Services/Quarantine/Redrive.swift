import Bytes
package import Kafka
import Lake
package import Records

/// What a redrive or a discard did, or would do.
package struct QuarantineReport: Sendable {
    /// One record that the query means.
    package struct Entry: Sendable {
        package let source: TopicPartition
        package let offset: Int64
        package let rule: String
        package let outcome: Outcome
    }

    /// What became of it.
    package enum Outcome: Sendable, Equatable {
        /// The broker has it at this offset of the same topic partition.
        case redriven(to: Int64)
        case discarded
        /// Only a dry run.
        case planned
        /// Left alone, because of the state it is in; `--force` overrules it.
        case refused(QuarantineState)
        /// The broker did not take it; it is open as before.
        case failed(String)
    }

    /// Records that the broker took.
    package internal(set) var redriven = 0
    /// Records that were given up.
    package internal(set) var discarded = 0
    /// Records that a dry run would have taken.
    package internal(set) var planned = 0
    /// Records that were left alone because of their state.
    package internal(set) var refused = 0
    /// Records that the broker did not take.
    package internal(set) var failed = 0

    mutating func count(_ outcome: Outcome) {
        switch outcome {
        case .redriven: redriven += 1
        case .discarded: discarded += 1
        case .planned: planned += 1
        case .refused: refused += 1
        case .failed: failed += 1
        }
    }
}

/// Takes records out of quarantine: publishes them to their topic again, or gives them up; each decision is durable.
///
/// A redriven record goes to its own topic partition, with its key and headers, and two headers more that name the
/// quarantined one (``RedriveOrigin``). A decision is logged before it is carried out, and its result afterwards, so a
/// crash in between leaves it `pending`. Blocks: for lanes.
package struct QuarantineDesk {
    /// Records that are under way together; also bounded by ``batchBytesMax``.
    private static let batchRecordsMax = 500
    private static let batchBytesMax = 16 << 20
    private static let deliveryMilliseconds = 60_000

    private let quarantine: QuarantineReader
    private let forces: Bool
    private let isDryRun: Bool
    private let note: (QuarantineReport.Entry) -> Void

    /// - Parameters:
    ///   - forces: also takes records that were redriven or discarded before.
    ///   - isDryRun: decides nothing and publishes nothing.
    ///   - note: told of each record, in order.
    package init(
        _ quarantine: QuarantineReader, forces: Bool, isDryRun: Bool,
        note: @escaping (QuarantineReport.Entry) -> Void = { _ in }
    ) {
        self.quarantine = quarantine
        self.forces = forces
        self.isDryRun = isDryRun
        self.note = note
    }

    /// Publishes what the query means again.
    ///
    /// - Parameter correction: the value to publish in place of the quarantined one; only for a single record.
    /// - Throws: ``QuarantineError`` where a correction meets more or less than one record; ``LakeError``, ``KafkaError``.
    package func redrive(
        _ query: QuarantineQuery, correction: [UInt8]? = nil, kafka: KafkaConfiguration
    ) throws -> QuarantineReport {
        if correction != nil { try checkSingle(query) }
        var options = ProducerOptions()
        options.messageTimeoutMilliseconds = Self.deliveryMilliseconds
        // What the topic took once: whether it takes it again, with its headers, is the broker's to say.
        options.messageMaxBytes = ProducerOptions.messageMaxBytesLimit
        let producer = try KafkaProducer(kafka, options: options)
        return try work(query) { batch, session in
            let now = SystemClock.epochMilliseconds()
            try session.append(batch.map { Self.decision(.redrive, $0, now, correction) })
            let sent = try publish(batch, correction, producer)
            let results = zip(batch, sent).map { record, result in
                switch result {
                case .success(let offset):
                    var decision = Self.decision(.redriven, record, now, correction)
                    decision.redrivenTo = offset
                    return decision
                case .failure(let error):
                    var decision = Self.decision(.failed, record, now, nil)
                    decision.reason = "\(error)"
                    return decision
                }
            }
            try session.append(results)
            return sent.map { result in
                switch result {
                case .success(let offset): .redriven(to: offset)
                case .failure(let error): .failed("\(error)")
                }
            }
        }
    }

    /// Gives up what the query means.
    ///
    /// - Parameter reason: why, for whoever looks later.
    package func discard(_ query: QuarantineQuery, reason: String) throws -> QuarantineReport {
        try work(query) { batch, session in
            let now = SystemClock.epochMilliseconds()
            try session.append(
                batch.map { record in
                    var decision = Self.decision(.discard, record, now, nil)
                    decision.reason = reason
                    return decision
                })
            return batch.map { _ in .discarded }
        }
    }

    private func checkSingle(_ query: QuarantineQuery) throws {
        // An offset of a topic partition is one record or none, and none is shown by the report.
        if query.topic != nil, query.partition != nil, query.offsets?.count == 1 { return }
        var found = 0
        try quarantine.forEach(query) { _ in
            found += 1
            return found < 2
        }
        guard found == 1 else {
            throw QuarantineError(
                "a corrected value stands for one record, but the selection holds "
                    + (found == 0 ? "none" : "more") + ": name it by --partition and --offset")
        }
    }

    /// Goes through what the query means, batch by batch, holding the log of one topic partition at a time.
    private func work(
        _ query: QuarantineQuery,
        _ carryOut: ([QuarantinedRecord], inout QuarantineLog.Session) throws -> [QuarantineReport.Outcome]
    ) throws -> QuarantineReport {
        var report = QuarantineReport()
        var left = query.limit
        for source in try quarantine.reader.sources() where query.includes(source) && left > 0 {
            if isDryRun {
                let decisions = try QuarantineLog(layout: quarantine.reader.layout, source: source).read()
                try quarantine.forEach(query, source, decisions) { record in
                    tell(record, isFree(record) ? .planned : .refused(record.state), &report)
                    left -= 1
                    return left > 0
                }
                continue
            }
            try QuarantineLog(layout: quarantine.reader.layout, source: source).update { session in
                var batch: [QuarantinedRecord] = []
                var bytes = 0
                func flush() throws {
                    guard !batch.isEmpty else { return }
                    for (record, outcome) in zip(batch, try carryOut(batch, &session)) {
                        tell(record, outcome, &report)
                    }
                    batch.removeAll(keepingCapacity: true)
                    bytes = 0
                }
                try quarantine.forEach(query, source, session.decisions) { record in
                    left -= 1
                    if isFree(record) {
                        batch.append(record)
                        bytes += record.valueBytes
                        if batch.count >= Self.batchRecordsMax || bytes >= Self.batchBytesMax { try flush() }
                    } else {
                        tell(record, .refused(record.state), &report)
                    }
                    return left > 0
                }
                try flush()
            }
        }
        return report
    }

    private func isFree(_ record: QuarantinedRecord) -> Bool { forces || record.state == .open }

    private func tell(
        _ record: QuarantinedRecord, _ outcome: QuarantineReport.Outcome, _ report: inout QuarantineReport
    ) {
        report.count(outcome)
        note(.init(source: record.source, offset: record.offset, rule: record.rule, outcome: outcome))
    }

    private static func decision(
        _ kind: QuarantineDecision.Kind, _ record: QuarantinedRecord, _ now: Int64, _ correction: [UInt8]?
    ) -> QuarantineDecision {
        QuarantineDecision(
            kind: kind, offset: record.offset, timeMilliseconds: now, rule: record.rule,
            bronzeSHA256: record.bronzeSHA256, isCorrected: correction != nil)
    }

    // MARK: - Publishing

    /// - Returns: for each record its new offset, or what the broker said.
    private func publish(
        _ batch: [QuarantinedRecord], _ correction: [UInt8]?, _ producer: KafkaProducer
    ) throws -> [Result<Int64, KafkaError>] {
        var results = batch.map { record in
            Result<Int64, KafkaError>.failure(
                KafkaError(
                    kind: .timedOut, operation: "redrive", subject: "\(record.source) offset \(record.offset)",
                    reason: "not acknowledged in \(Self.deliveryMilliseconds) ms", isRetriable: true))
        }
        // All of them before the first is sent: Bronze that cannot be read must not leave half a batch on its way.
        let allHeaders = try batch.map { record in try headers(record) }
        func send(_ index: Int) {
            let record = batch[index]
            do throws(KafkaError) {
                try producer.send(
                    topic: record.source.topic, partition: record.source.partition, key: record.key,
                    value: correction ?? record.value, headers: allHeaders[index], token: Int64(index))
            } catch {
                results[index] = .failure(error)
            }
        }
        func collect() {
            for report in producer.flush(timeoutMilliseconds: Self.deliveryMilliseconds + 5_000) {
                guard results.indices.contains(Int(report.token)) else { continue }
                results[Int(report.token)] = report.error.map { .failure($0) } ?? .success(report.offset)
            }
        }
        for index in batch.indices { send(index) }
        collect()
        // That a batch is too large says little about each of its records: once more, each alone.
        for index in batch.indices where batch.count > 1 {
            guard case .failure(let error) = results[index], error.kind == .messageTooLarge else { continue }
            send(index)
            collect()
        }
        return results
    }

    /// Those that it came with, and where it was redriven from.
    private func headers(_ record: QuarantinedRecord) throws(LakeError) -> [(String, [UInt8])] {
        var line: [UInt8]?
        do throws(LakeError) {
            line = try quarantine.reader.bronze(record.source, offset: record.offset).line
        } catch {
            // The hour's Bronze may have been given up; the quarantine line has all but the headers.
            guard case .expired = error else { throw error }
        }
        var headers = line.map { BronzeLine.headers(of: $0[...]) } ?? []
        headers.removeAll { $0.name == RedriveOrigin.header || $0.name == RedriveOrigin.hashHeader }
        let origin = RedriveOrigin(
            topic: record.source.topic, partition: record.source.partition, offset: record.offset,
            bronzeSHA256: record.bronzeSHA256)
        var result = headers.map { ($0.name, $0.value ?? []) }
        result.append((RedriveOrigin.header, Array(origin.text.utf8)))
        if !origin.bronzeSHA256.isEmpty { result.append((RedriveOrigin.hashHeader, Array(origin.bronzeSHA256.utf8))) }
        return result
    }
}
