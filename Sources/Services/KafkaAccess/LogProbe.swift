import Bytes
import JSONScan
package import Kafka
package import Records
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
    private let looksMax: Int
    private let isStopped: @Sendable () -> Bool

    private static let milliseconds: Int64 = 120_000
    /// A reply may be cut off once, when the log grows while it is sent.
    private static let earlyEndsMin = 3

    /// - Parameters:
    ///   - lookMilliseconds: how long one look waits.
    ///   - looksMax: how many looks one examination makes.
    ///   - isStopped: asked between steps; then the call throws `CancellationError`.
    package init(
        _ kafka: KafkaConfiguration, _ source: TopicPartition, lookMilliseconds: Int64 = 5_000,
        looksMax: Int = 2_000, isStopped: @escaping @Sendable () -> Bool
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
        self.looksMax = looksMax
        self.isStopped = isStopped
    }

    /// Looks at what lies from `start` on. Of a long run of unreadable batches it finds as much as its bounds allow; the rest
    /// is found from there.
    ///
    /// - Throws: ``KafkaError``; retriable where the broker does not answer or time ran out.
    package func examine(from start: Int64) throws -> Finding {
        let marks = try KafkaAdmin(plain, requestMilliseconds: 5_000).watermarks(
            topic: source.topic, partition: source.partition, timeoutMilliseconds: 10_000)
        let deadline = SystemClock.monotonicNanoseconds() / 1_000_000 + Self.milliseconds
        var search = UnreadableSearch(
            log: OffsetRange(start: marks.low, end: marks.high) ?? .empty(at: marks.high), looksMax: looksMax,
            isOutOfTime: { SystemClock.monotonicNanoseconds() / 1_000_000 >= deadline },
            look: { offset in try look(at: offset) })
        if let finding = try search.run(from: start) { return finding }
        throw KafkaError(
            kind: .timedOut, operation: "find the next readable record", subject: "\(source)",
            reason: "there was no time to look at offset \(start)", isRetriable: true)
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
            // An error that the broker itself sent bears the offset that was asked for, not that of a batch.
            let isFromBroker = place.error.code > 0
            return .unreadable(base: isFromBroker ? nil : place.baseOffset, reason: place.error.reason)
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
