import Bytes
import Events
package import Kafka

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

    /// Reads the end of every topic partition, and more of it while no record tells a position. Blocks up to the timeout.
    ///
    /// - Throws: ``KafkaError``; retriable where time ran out.
    package static func run(
        _ kafka: KafkaConfiguration, topic: String, partitions: [Int32], timeoutMilliseconds: Int
    ) throws -> Result {
        let deadline = SystemClock.monotonicNanoseconds() / 1_000_000 + Int64(timeoutMilliseconds)
        var depth = recordsPerTopicPartition
        while true {
            let (result, hasMore) = try read(
                kafka, topic, partitions, depth: depth, timeoutMilliseconds: timeoutMilliseconds, deadline: deadline)
            guard result.acknowledged == nil, hasMore, depth < recordsPerTopicPartitionMax else { return result }
            depth *= 20
        }
    }

    /// - Parameter deadline: in milliseconds of the monotonic clock.
    /// - Returns: also whether there are older records.
    private static func read(
        _ kafka: KafkaConfiguration, _ topic: String, _ partitions: [Int32], depth: Int64, timeoutMilliseconds: Int,
        deadline: Int64
    ) throws -> (result: Result, hasMore: Bool) {
        var options = ConsumerOptions()
        options.hasQueuePerTopicPartition = false
        options.queueMinRecords = 1_000
        options.queueMaxKilobytes = 8_192
        options.reportsEnd = true
        let consumer = try KafkaConsumer(kafka, options: options)
        var result = Result()
        var assignments: [(topic: String, partition: Int32, offset: StartOffset)] = []
        var open: [Int32: Int64] = [:]
        var hasMore = false
        for partition in partitions {
            let marks = try consumer.watermarks(
                topic: topic, partition: partition, timeoutMilliseconds: timeoutMilliseconds)
            guard marks.high > marks.low else { continue }
            open[partition] = marks.high
            let start = max(marks.low, marks.high - depth)
            if start > marks.low { hasMore = true }
            assignments.append((topic, partition, .at(start)))
        }
        guard !open.isEmpty else { return (result, hasMore) }
        try consumer.assign(assignments)
        while !open.isEmpty {
            let left = deadline - SystemClock.monotonicNanoseconds() / 1_000_000
            guard left > 0 else {
                throw KafkaError(
                    kind: .timedOut, operation: "read the resume position", subject: topic,
                    reason: "topic partitions \(open.keys.sorted()) did not answer in \(timeoutMilliseconds) ms",
                    isRetriable: true)
            }
            try consumer.next(maxRecords: 1_000, timeoutMilliseconds: Int(min(left, 1_000))) { batch in
                if let error = batch.errors.first(where: { !$0.isRetriable }) { throw error }
                for index in 0..<batch.count {
                    let record = batch[index]
                    note(record, in: &result)
                    if let high = open[record.partition], record.offset >= high - 1 { open[record.partition] = nil }
                }
                for end in batch.ends where end.offset >= open[end.partition] ?? .max { open[end.partition] = nil }
            }
        }
        return (result, hasMore)
    }

    private static func note(_ record: KafkaRecord, in result: inout Result) {
        result.recordCount += 1
        if record.timestamp.type != .logAppendTime { result.hasBrokerTimes = false }
        if let number = record.headerText(RecordHeaders.position).flatMap({ Int64($0) }), number > 0, number < numberMax
        {
            result.nextNumber = max(result.nextNumber, number + 1)
        }
        // What a redriven record carries was true when it was first sent.
        guard record.header(RedriveOrigin.header) == nil else { return }
        guard let position = record.header(RecordHeaders.acknowledged).flatMap({ decode($0) }) else { return }
        result.nextNumber = max(result.nextNumber, position.number + 1)
        if position.number > result.acknowledged?.number ?? -1 { result.acknowledged = position }
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
