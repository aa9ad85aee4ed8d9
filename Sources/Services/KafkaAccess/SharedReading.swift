import Bytes
package import Kafka
import Records

/// Follows topic partitions that share one queue, and notices those in which reading cannot go on.
///
/// What becomes of such a place is for the reader to decide: ``settle(_:_:isStopped:)`` says what lies there, ``resume(after:options:)``
/// goes on behind it. A value of one thread.
package struct SharedReading {
    /// A topic partition to be looked at.
    package struct Doubt: Sendable {
        package let partition: Int32
        /// Whether bytes came that cannot be read; else nothing came for long, though the log is ahead.
        package let isTold: Bool
    }

    private static let lookMilliseconds: Int64 = 200
    /// How long the one who asks for logs' ends may wait for an answer, so that a leader that gives none delays little.
    package static let requestMilliseconds = 5_000
    private let topic: String
    /// The offset that is to be read next, by topic partition.
    package private(set) var positions: [Int32: Int64]
    private var told: Set<Int32> = []
    private var watches: [Int32: StallWatch] = [:]
    /// Up to here there is nothing to read: what lies there belongs to transactions.
    private var emptyUpTo: [Int32: Int64] = [:]
    private var lookedAt: Int64 = 0
    /// Ends of logs that were asked for because no fetch told that they are ahead, and when.
    private var asked: [Int32: (end: Int64?, at: Int64)] = [:]
    private var askedInVainAt: Int64?
    private var contradictions = Contradictions()
    private let stallMilliseconds: Int64

    /// - Parameters:
    ///   - starts: where reading begins, by topic partition.
    ///   - stallMilliseconds: how long a log may be ahead while nothing comes.
    package init(
        topic: String, starts: [Int32: Int64], stallMilliseconds: Int64 = StallWatch.limitMilliseconds
    ) {
        self.stallMilliseconds = stallMilliseconds
        self.topic = topic
        positions = starts
    }

    /// Hands over the records that lie before any place that cannot be read.
    package mutating func take(_ batch: borrowing RecordBatch, _ body: (KafkaRecord) throws -> Void) rethrows {
        let places = batch.unreadable
        for place in places { told.insert(place.partition) }
        for index in 0..<batch.count {
            let record = batch[index]
            let partition = record.partition
            guard places.allSatisfy({ $0.partition != partition || index < $0.recordsBefore }) else { continue }
            positions[partition] = record.offset + 1
            try body(record)
        }
    }

    /// The faults of a read but for those of topic partitions with a place that cannot be read.
    package static func faults(of batch: borrowing RecordBatch) -> [KafkaError] {
        let places = batch.unreadable
        guard !places.isEmpty else { return batch.errors }
        return batch.errors.filter { error in
            places.allSatisfy { "\($0.topic)[\($0.partition)]" != error.subject }
        }
    }

    /// The topic partitions that have to be looked at before the next read.
    ///
    /// - Parameters:
    ///   - admin: asks for the ends of logs over a connection that no fetch holds up.
    ///   - isDrained: whether the last read took all that was there.
    package mutating func doubts(_ consumer: KafkaConsumer, _ admin: KafkaAdmin, isDrained: Bool) -> [Doubt] {
        var doubts = told.sorted().map { Doubt(partition: $0, isTold: true) }
        let now = SystemClock.monotonicNanoseconds() / 1_000_000
        guard isDrained, now - lookedAt >= Self.lookMilliseconds else { return doubts }
        lookedAt = now
        ask(admin, consumer, now)
        for (partition, position) in positions where !told.contains(partition) {
            let place = max(position, emptyUpTo[partition] ?? 0)
            let end = knownEnd(of: partition, consumer)
            var watch = watches[partition] ?? StallWatch(limitMilliseconds: stallMilliseconds)
            if watch.look(position: place, end: end, now: now) {
                doubts.append(Doubt(partition: partition, isTold: false))
            }
            watches[partition] = watch
        }
        return doubts
    }

    /// The log's end as far as it is known.
    private func knownEnd(of partition: Int32, _ consumer: KafkaConsumer) -> Int64? {
        let seen = consumer.lastSeenWatermarks(topic: topic, partition: partition)?.high
        return [seen, asked[partition]?.end].compactMap { $0 }.max()
    }

    /// Asks for the end of one log of which no fetch tells that it is ahead: fetches may fail.
    private mutating func ask(_ admin: KafkaAdmin, _ consumer: KafkaConsumer, _ now: Int64) {
        let pause = min(StallWatch.askMilliseconds, stallMilliseconds)
        func isDue(_ before: Int64?) -> Bool { before.map { now - $0 > pause } ?? true }
        // A leader that does not answer must not hold up the other topic partitions time and again.
        guard isDue(askedInVainAt) else { return }
        let due = positions.filter { partition, position in
            let seen = consumer.lastSeenWatermarks(topic: topic, partition: partition)?.high
            return !told.contains(partition) && isDue(asked[partition]?.at) && seen ?? 0 <= position
        }
        guard let partition = due.keys.min(by: { asked[$0]?.at ?? .min < asked[$1]?.at ?? .min }) else { return }
        let marks = try? admin.watermarks(topic: topic, partition: partition, timeoutMilliseconds: 1_000)
        asked[partition] = (marks?.high, now)
        askedInVainAt = marks == nil ? now : nil
    }

    /// Finds out what lies where reading cannot go on. Where it cannot be read, the position then lies behind it.
    ///
    /// - Throws: ``KafkaError``, mostly retriable; `CancellationError` when stopped.
    package mutating func settle(
        _ doubt: Doubt, _ consumer: KafkaConsumer, isStopped: @escaping @Sendable () -> Bool
    ) throws -> LogProbe.Finding {
        let source = TopicPartition(topic: topic, partition: doubt.partition)
        let position = positions[doubt.partition] ?? 0
        let finding = try LogProbe(consumer.configuration, source, isStopped: isStopped).examine(from: position)
        switch finding {
        case .unreadable(let range, _): positions[doubt.partition] = range.end
        case .end(let next, _): emptyUpTo[doubt.partition] = next
        case .readable, .silent: break
        }
        if case .unreadable = finding { return finding }
        if doubt.isTold { try contradictions.note(source, at: position) }
        return finding
    }

    /// A client that reads on at the positions, in place of `consumer`, whose queue may hold more about the old places:
    /// librdkafka does not take its errors back.
    package mutating func resume(
        after consumer: KafkaConsumer, options: ConsumerOptions
    ) throws(KafkaError) -> KafkaConsumer {
        told = []
        watches = [:]
        let fresh = try KafkaConsumer(consumer.configuration, options: options)
        var assignments: [(topic: String, partition: Int32, offset: StartOffset)] = []
        for (partition, position) in positions { assignments.append((topic, partition, .at(position))) }
        try fresh.assign(assignments)
        return fresh
    }
}
