import Bytes
package import Events
import JSONScan
package import Kafka
import Synchronization

/// Finds out what a topic partition's log gives at an offset, and where records can be read again behind a place that
/// cannot be. Blocks.
///
/// Each look is a client of its own, so that it begins at exactly that offset and nothing of an earlier fetch is in the way.
package struct LogProbe: Sendable {
    /// What came from an offset on.
    package enum Sight: Equatable, Sendable {
        /// A record; this is its offset.
        case readable(Int64)
        /// Nothing, up to this offset: the end of the log, or of what is not part of an open transaction.
        case end(Int64)
        /// Bytes that cannot be read, in a batch that begins at `base`; nil where librdkafka does not tell.
        case unreadable(base: Int64?, reason: String)
        /// Nothing in time, though more is there.
        case silent
    }

    /// What became of an examination.
    package enum Finding: Equatable, Sendable {
        /// The records can be read.
        case readable
        /// There is nothing to read up to `next`, which lies before `logEnd` while a transaction is open.
        case end(next: Int64, logEnd: Int64)
        /// These offsets cannot be read; those behind can.
        case unreadable(OffsetRange, reason: String)
        /// Nothing came, and nothing says why.
        case silent
    }

    private let plain: KafkaConfiguration
    private let kafka: KafkaConfiguration
    private let source: TopicPartition
    private let lookMilliseconds: Int64
    private let isStopped: @Sendable () -> Bool

    /// Batches that end early are looked for one offset at a time up to here, then in growing steps: nothing tells where
    /// such a batch begins.
    private static let singleSteps: Int64 = 64
    private static let looksMax = 2_000
    private static let milliseconds: Int64 = 120_000
    /// A reply may be cut off once, when the log grows while it is sent.
    private static let earlyEndsMin = 3

    /// - Parameters:
    ///   - lookMilliseconds: how long one look waits.
    ///   - isStopped: asked between steps; then the call throws `CancellationError`.
    package init(
        _ kafka: KafkaConfiguration, _ source: TopicPartition, lookMilliseconds: Int64 = 5_000,
        isStopped: @escaping @Sendable () -> Bool
    ) {
        var kafka = kafka
        kafka.logHandler = nil
        kafka.statisticsHandler = nil
        plain = kafka
        kafka.extra["fetch.error.backoff.ms"] = "10"
        kafka.extra["statistics.interval.ms"] = "50"
        self.kafka = kafka
        self.source = source
        self.lookMilliseconds = lookMilliseconds
        self.isStopped = isStopped
    }

    /// Looks at what lies from `start` on.
    ///
    /// - Throws: ``KafkaError``; retriable where the broker does not answer or time ran out.
    package func examine(from start: Int64) throws -> Finding {
        let marks = try KafkaAdmin(plain).watermarks(
            topic: source.topic, partition: source.partition, timeoutMilliseconds: 10_000)
        var budget = Budget()
        var next = max(start, marks.low)
        guard next < marks.high else { return .end(next: next, logEnd: marks.high) }
        var reasons: [String] = []
        while next < marks.high {
            let sight = try look(at: next, &budget)
            if case .unreadable(let base, let reason) = sight {
                if reasons.count < 3, !reasons.contains(reason) { reasons.append(reason) }
                next = try end(ofBatchAt: next, base: base, before: marks.high, &budget)
                continue
            }
            if !reasons.isEmpty {
                if sight == .silent { throw outOfTime(next) }
                break
            }
            return switch sight {
            case .readable, .unreadable: .readable
            case .end(let offset): .end(next: offset, logEnd: marks.high)
            case .silent: .silent
            }
        }
        let range = OffsetRange(start: start, end: next) ?? .empty(at: start)
        return .unreadable(range, reason: reasons.joined(separator: "; "))
    }

    private struct Budget {
        var looks = 0
        let deadline = SystemClock.monotonicNanoseconds() / 1_000_000 + LogProbe.milliseconds
    }

    /// The first offset behind the batch that `start` lies in, `high` at most.
    private func end(ofBatchAt start: Int64, base: Int64?, before high: Int64, _ budget: inout Budget) throws -> Int64 {
        var (inside, outside) = (start, high)
        var step: Int64 = 1
        while inside + step < outside {
            let place = inside + step
            if let begin = try beginOfOther(than: start, base: base, at: place, &budget) {
                outside = begin
                break
            }
            inside = place
            if base != nil || place - start >= Self.singleSteps { step *= 2 }
        }
        while outside - inside > 1 {
            let middle = inside + (outside - inside) / 2
            if let begin = try beginOfOther(than: start, base: base, at: middle, &budget) {
                outside = begin
            } else {
                inside = middle
            }
        }
        return outside
    }

    /// Where at or before `place` something else than the batch at `start` begins; nil where `place` lies in that one.
    private func beginOfOther(
        than start: Int64, base: Int64?, at place: Int64, _ budget: inout Budget
    ) throws -> Int64? {
        switch try look(at: place, &budget) {
        case .readable, .end: return place
        case .silent: throw outOfTime(place)
        case .unreadable(let other?, _): return base != nil && other <= start ? nil : min(max(other, start + 1), place)
        case .unreadable(nil, _): return base == nil ? nil : place
        }
    }

    private func outOfTime(_ offset: Int64) -> KafkaError {
        KafkaError(
            kind: .timedOut, operation: "find the next readable record", subject: "\(source)",
            reason: "the broker gave nothing at offset \(offset) in time", isRetriable: true)
    }

    private func look(at offset: Int64, _ budget: inout Budget) throws -> Sight {
        budget.looks += 1
        guard budget.looks <= Self.looksMax, SystemClock.monotonicNanoseconds() / 1_000_000 < budget.deadline else {
            throw outOfTime(offset)
        }
        return try look(at: offset)
    }

    /// What the broker gives from `offset` on, which must lie within the log.
    ///
    /// - Throws: ``KafkaError``; `CancellationError` when stopped.
    package func look(at offset: Int64) throws -> Sight {
        let earlyEnds = EarlyEnds()
        var kafka = kafka
        kafka.statisticsHandler = { earlyEnds.note($0) }
        var options = ConsumerOptions()
        options.reportsEnd = true
        options.queueMinRecords = 1
        options.queueMaxKilobytes = 1_024
        let consumer = try KafkaConsumer(kafka, options: options)
        try consumer.assign([(topic: source.topic, partition: source.partition, offset: .at(offset))])
        guard let queue = consumer.queue(topic: source.topic, partition: source.partition) else { return .silent }
        let deadline = SystemClock.monotonicNanoseconds() + lookMilliseconds * 1_000_000
        repeat {
            if isStopped() { throw CancellationError() }
            let sight = try queue.next(maxRecords: 100, timeoutMilliseconds: 25) { batch in try Self.sight(batch) }
            if let sight { return sight }
            if earlyEnds.count >= Self.earlyEndsMin {
                return .unreadable(base: nil, reason: "the broker gives a batch whose records end before their time")
            }
        } while SystemClock.monotonicNanoseconds() < deadline
        return .silent
    }

    private static func sight(_ batch: borrowing RecordBatch) throws -> Sight? {
        if let place = batch.unreadable.first, place.recordsBefore == 0 {
            return .unreadable(base: place.baseOffset, reason: place.error.reason)
        }
        if batch.count > 0 { return .readable(batch[0].offset) }
        if let end = batch.ends.first { return .end(end.offset) }
        if let error = batch.errors.first(where: { !$0.isRetriable }) { throw error }
        return nil
    }

    /// Batches whose bytes ended in the middle of a record, of which librdkafka says nothing but this count: it takes them
    /// for the cut-off end of a reply and asks again, without end.
    private final class EarlyEnds: Sendable {
        private let total = Mutex<Int64>(0)

        var count: Int64 { total.withLock { $0 } }

        func note(_ statistics: [UInt8]) {
            guard let value = try? JSONValue.parse(statistics) else { return }
            let count = (value["brokers"]?.object ?? []).reduce(Int64(0)) { $0 + ($1.value["rxpartial"]?.integer ?? 0) }
            total.withLock { $0 = count }
        }
    }
}
