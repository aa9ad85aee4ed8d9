import Bytes
package import Kafka
import KafkaAccess
import Records

/// Finds out from the topic itself where to resume.
///
/// Every record says up to which position everything was acknowledged when it was sent. The highest such position in
/// the last records of all topic partitions is safe: all before it is in the topic, and what came after is fetched
/// again. Repeats are dropped by the stream job.
package enum PositionRecovery {
    /// What the topic's last records say.
    package struct Result: Sendable {
        /// The position to resume from; nil where no record carries one.
        package var acknowledged: StreamPosition?
        /// Above every number that was seen.
        package var nextNumber: Int64 = 1
        /// How many events may have been sent behind the position to resume from.
        package var sentBehind: Int64 { acknowledged.map { nextNumber - 1 - $0.number } ?? 0 }
        /// What was sent before, as far as the records say.
        var sent = RepeatMarker()
        /// Records that were read.
        package var recordCount = 0
        /// Whether the broker sets the records' times, as the lake expects.
        package var hasBrokerTimes = true
    }

    /// Records looked at per topic partition at first. One would do, but for records that were sent a second time or by
    /// others.
    static let recordsPerTopicPartition: Int64 = 100
    /// As far as is looked back where others, such as `medallion dlq redrive`, wrote last.
    private static let recordsPerTopicPartitionMax: Int64 = 40_000
    /// Numbers above are nobody's: so many events never come, and from there on counting would overflow.
    private static let numberMax: Int64 = 1 << 62

    /// Reads the end of every topic partition, and more of it while no record of a producer shows there. Blocks up to the
    /// timeout.
    ///
    /// - Throws: ``KafkaError``; retriable where time ran out. `CancellationError` when stopped.
    package static func run(
        _ kafka: KafkaConfiguration, topic: String, partitions: [Int32], timeoutMilliseconds: Int,
        isStopped: @escaping @Sendable () -> Bool = { false }
    ) throws -> Result {
        let deadline = SystemClock.monotonicNanoseconds() / 1_000_000 + Int64(timeoutMilliseconds)
        var depth = recordsPerTopicPartition
        while true {
            let tail = try Tail(
                kafka, topic, partitions, depth: depth, timeoutMilliseconds: timeoutMilliseconds, isStopped: isStopped)
            try tail.read(until: deadline)
            // Others may have written last in some of them.
            guard tail.hasMoreToTell, depth < recordsPerTopicPartitionMax else { return tail.result }
            depth *= 20
        }
    }

    /// The last records of all topic partitions.
    private final class Tail {
        private(set) var result = Result()
        private let kafka: KafkaConfiguration
        private let topic: String
        private let timeoutMilliseconds: Int
        private let isStopped: @Sendable () -> Bool
        private var consumer: KafkaConsumer
        private let options: ConsumerOptions
        /// Topic partitions that are not read to their end yet, with that end.
        private var open: [Int32: Int64] = [:]
        private var positions: [Int32: Int64] = [:]
        /// Those with older records.
        private var cut: Set<Int32> = []
        /// Those in which a producer's record was seen.
        private var own: Set<Int32> = []
        private var contradictions = Contradictions()

        /// Looked into when nothing came for so long.
        private static let idleMilliseconds: Int64 = 3_000

        init(
            _ kafka: KafkaConfiguration, _ topic: String, _ partitions: [Int32], depth: Int64,
            timeoutMilliseconds: Int, isStopped: @escaping @Sendable () -> Bool
        ) throws {
            self.kafka = kafka
            self.topic = topic
            self.timeoutMilliseconds = timeoutMilliseconds
            self.isStopped = isStopped
            var options = ConsumerOptions()
            options.hasQueuePerTopicPartition = false
            options.queueMinRecords = 1_000
            options.queueMaxKilobytes = 8_192
            options.reportsEnd = true
            self.options = options
            consumer = try KafkaConsumer(kafka, options: options)
            for partition in partitions {
                let marks = try consumer.watermarks(
                    topic: topic, partition: partition, timeoutMilliseconds: timeoutMilliseconds)
                guard marks.high > marks.low else { continue }
                open[partition] = marks.high
                let start = max(marks.low, marks.high - depth)
                positions[partition] = start
                if start > marks.low { cut.insert(partition) }
            }
            guard !open.isEmpty else { return }
            try assign()
        }

        private func assign() throws(KafkaError) {
            var assignments: [(topic: String, partition: Int32, offset: StartOffset)] = []
            for partition in open.keys { assignments.append((topic, partition, .at(positions[partition] ?? 0))) }
            try consumer.assign(assignments)
        }

        /// Whether older records may hold what these do not.
        var hasMoreToTell: Bool { !cut.subtracting(own).isEmpty }

        /// - Parameter deadline: in milliseconds of the monotonic clock.
        func read(until deadline: Int64) throws {
            var deadline = deadline
            var heardAt = SystemClock.monotonicNanoseconds() / 1_000_000
            while !open.isEmpty {
                if isStopped() { throw CancellationError() }
                let now = SystemClock.monotonicNanoseconds() / 1_000_000
                guard now < deadline else {
                    throw KafkaError(
                        kind: .timedOut, operation: "read the resume position", subject: topic,
                        reason: "topic partitions \(open.keys.sorted()) did not answer in \(timeoutMilliseconds) ms",
                        isRetriable: true)
                }
                var places: [UnreadablePlace] = []
                let count = try consumer.next(
                    maxRecords: 1_000, timeoutMilliseconds: Int(min(deadline - now, 500))
                ) { batch in
                    places = batch.unreadable
                    try take(batch)
                    return batch.count
                }
                if count > 0 { heardAt = now }
                let told = Set(places.map(\.partition)).filter { open[$0] != nil }
                var doubtful = told.sorted()
                if now - heardAt > Self.idleMilliseconds { doubtful = open.keys.sorted() }
                guard !doubtful.isEmpty else { continue }
                let began = SystemClock.monotonicNanoseconds() / 1_000_000
                for partition in doubtful { try pass(partition, isTold: told.contains(partition)) }
                // With another client: this one's queue may hold more about the old places.
                consumer = try KafkaConsumer(kafka, options: options)
                try assign()
                heardAt = SystemClock.monotonicNanoseconds() / 1_000_000
                // It has limits of its own, and must not be for nothing.
                deadline += heardAt - began
            }
        }

        private func take(_ batch: borrowing RecordBatch) throws {
            let places = batch.unreadable
            func isReadable(_ partition: Int32, _ index: Int) -> Bool {
                places.allSatisfy { $0.partition != partition || index < $0.recordsBefore }
            }
            let error = batch.errors.first { error in
                !error.isRetriable && places.allSatisfy { "\($0.topic)[\($0.partition)]" != error.subject }
            }
            if let error { throw error }
            for index in 0..<batch.count {
                let record = batch[index]
                guard isReadable(record.partition, index) else { continue }
                positions[record.partition] = record.offset + 1
                if PositionRecovery.note(record, in: &result) { own.insert(record.partition) }
                if let high = open[record.partition], record.offset >= high - 1 { open[record.partition] = nil }
            }
            for end in batch.ends where end.offset >= open[end.partition] ?? .max { open[end.partition] = nil }
        }

        /// Goes on behind what cannot be read. A position that is lost with it means that more events are fetched again.
        private func pass(_ partition: Int32, isTold: Bool) throws {
            let source = TopicPartition(topic: topic, partition: partition)
            let position = positions[partition] ?? 0
            let high = open[partition] ?? position
            switch try LogProbe(kafka, source, isStopped: isStopped).examine(from: position) {
            case .unreadable(let range, _): positions[partition] = range.end
            case .end: positions[partition] = high
            case .readable, .silent: if isTold { try contradictions.note(source, at: position) }
            }
            if positions[partition] ?? high >= high { open[partition] = nil }
        }
    }

    /// - Returns: whether it is a record that a producer sent for the first time, with its position.
    private static func note(_ record: KafkaRecord, in result: inout Result) -> Bool {
        result.recordCount += 1
        if record.timestamp.type != .logAppendTime { result.hasBrokerTimes = false }
        if let number = record.headerText(RecordHeaders.position).flatMap({ Int64($0) }), number > 0, number < numberMax
        {
            result.nextNumber = max(result.nextNumber, number + 1)
        }
        // What a redriven record carries was true when it was first sent.
        guard record.header(RedriveOrigin.header) == nil else { return false }
        guard let position = record.header(RecordHeaders.acknowledged).flatMap({ decode($0) }) else { return false }
        result.nextNumber = max(result.nextNumber, position.number + 1)
        if position.number > result.acknowledged?.number ?? -1 { result.acknowledged = position }
        if let id = record.header(RecordHeaders.sseID) { result.sent.note(known: Array(id)) }
        return true
    }

    /// The header's form of a position.
    package static func encode(_ position: StreamPosition) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(position.id.count + 20)
        Decimal.append(position.number, to: &bytes)
        bytes.append(UInt8(ascii: " "))
        bytes.append(contentsOf: position.id)
        return bytes
    }

    /// The position that a header holds; nil where it is not one.
    package static func decode(_ bytes: some Collection<UInt8>) -> StreamPosition? {
        let parts = bytes.split(separator: UInt8(ascii: " "), maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let number = Int64(String(decoding: parts[0], as: UTF8.self)), number >= 0,
            number < numberMax
        else { return nil }
        return StreamPosition(number: number, id: Array(parts[1]))
    }
}
