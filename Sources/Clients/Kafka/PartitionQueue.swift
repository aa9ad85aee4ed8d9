import CRDKafka

/// Owns a reference to one of librdkafka's queues, and keeps the client alive for as long.
final class EventQueue: @unchecked Sendable {
    // librdkafka's queues may be used from any thread, and neither field changes.
    let pointer: OpaquePointer
    let client: Client

    init(_ pointer: OpaquePointer, client: Client) {
        self.pointer = pointer
        self.client = client
    }

    deinit {
        rd_kafka_queue_destroy(pointer)
    }
}

/// The fetched records of one topic partition (or of all, for a shared queue). Read by one thread at a time.
package final class PartitionQueue: Sendable {
    private let queue: EventQueue
    private let subject: String

    init(_ queue: EventQueue, subject: String) {
        self.queue = queue
        self.subject = subject
    }

    /// Waits up to the timeout for a record, then lends all that are there, `maxRecords` at most, and frees them
    /// afterwards. An empty batch after a timeout is normal; faults are values in ``RecordBatch/errors``.
    ///
    /// - Throws: only what `body` throws.
    package func next<Result>(
        maxRecords: Int, timeoutMilliseconds: Int, _ body: (borrowing RecordBatch) throws -> Result
    ) rethrows -> Result {
        let capacity = max(maxRecords, 1)
        return try withUnsafeTemporaryAllocation(
            of: UnsafeMutablePointer<rd_kafka_message_t>?.self, capacity: capacity
        ) { messages in
            let total = fill(messages, timeoutMilliseconds: timeoutMilliseconds)
            var errors = queue.client.drainErrors()
            var ends: [(topic: String, partition: Int32, offset: Int64)] = []
            var unreadable: [UnreadablePlace] = []
            var kept = 0
            for index in 0..<total {
                guard let message = messages[index] else { continue }
                if message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR {
                    messages[kept] = message
                    kept += 1
                } else {
                    note(message, behind: kept, &errors, &ends, &unreadable)
                    rd_kafka_message_destroy(message)
                }
            }
            let records = UnsafeMutableBufferPointer(rebasing: messages[0..<kept])
            defer {
                for message in records { rd_kafka_message_destroy(message) }
            }
            return try body(RecordBatch(messages: records, errors: errors, ends: ends, unreadable: unreadable))
        }
    }

    /// Keeps this topic partition's records out of the client's shared queue.
    func separate() {
        rd_kafka_queue_forward(queue.pointer, nil)
    }

    /// Records that wait in this queue.
    package var readyCount: Int { rd_kafka_queue_length(queue.pointer) }

    /// A batch read of librdkafka waits until the batch is full or the time is over, so the wait is for the first
    /// record alone and the others are taken without waiting.
    private func fill(
        _ messages: UnsafeMutableBufferPointer<UnsafeMutablePointer<rd_kafka_message_t>?>, timeoutMilliseconds: Int
    ) -> Int {
        let timeout = Int32(clamping: timeoutMilliseconds)
        var count = 0
        if timeout > 0 {
            count = max(0, rd_kafka_consume_batch_queue(queue.pointer, timeout, messages.baseAddress, 1))
            guard count == 1 else { return 0 }
        }
        let space = min(messages.count - count, max(readyCount, 1))
        guard space > 0, let start = messages.baseAddress else { return count }
        return count + max(0, rd_kafka_consume_batch_queue(queue.pointer, 0, start + count, space))
    }

    private func note(
        _ message: UnsafeMutablePointer<rd_kafka_message_t>, behind recordCount: Int, _ errors: inout [KafkaError],
        _ ends: inout [(topic: String, partition: Int32, offset: Int64)], _ unreadable: inout [UnreadablePlace]
    ) {
        let record = message.pointee
        let topic = record.rkt.map { String(cString: rd_kafka_topic_name($0)) }
        if record.err == RD_KAFKA_RESP_ERR__PARTITION_EOF {
            ends.append((topic ?? "", record.partition, record.offset))
            return
        }
        var error = KafkaError(
            record.err, operation: "fetch", subject: topic.map { "\($0)[\(record.partition)]" } ?? subject,
            reason: rd_kafka_message_errstr(message).map { String(cString: $0) })
        if let topic, UnreadablePlace.isTold(by: record.err) {
            error.kind = .corrupt
            error.hint = ""
            // What librdkafka makes of the bytes behind the first such place is a guess.
            if !unreadable.contains(where: { $0.topic == topic && $0.partition == record.partition }) {
                unreadable.append(
                    UnreadablePlace(
                        topic: topic, partition: record.partition, baseOffset: record.offset < 0 ? nil : record.offset,
                        recordsBefore: recordCount, error: error))
            }
        }
        queue.client.remember(error)
        errors.append(error)
    }
}

/// A list of topic partitions in librdkafka's form.
struct TopicPartitionList: ~Copyable {
    let pointer: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>

    init(capacity: Int) {
        // librdkafka ends the process itself when memory is short; it never returns null here.
        pointer = rd_kafka_topic_partition_list_new(Int32(clamping: capacity))
    }

    deinit {
        rd_kafka_topic_partition_list_destroy(pointer)
    }

    func add(topic: String, partition: Int32, offset: Int64) {
        rd_kafka_topic_partition_list_add(pointer, topic, partition).pointee.offset = offset
    }

    /// Sets every element's offset and clears its error.
    func setOffset(_ offset: Int64) {
        for index in 0..<Int(pointer.pointee.cnt) {
            pointer.pointee.elems[index].offset = offset
            pointer.pointee.elems[index].err = RD_KAFKA_RESP_ERR_NO_ERROR
        }
    }

    private var elements: UnsafeBufferPointer<rd_kafka_topic_partition_t> {
        UnsafeBufferPointer(start: pointer.pointee.elems, count: Int(pointer.pointee.cnt))
    }

    /// The codes of those that failed.
    var errors: [rd_kafka_resp_err_t] {
        elements.map(\.err).filter { $0 != RD_KAFKA_RESP_ERR_NO_ERROR }
    }

    /// The offsets; logical ones (none, end) are nil.
    var offsets: [(topic: String, partition: Int32, nextOffset: Int64?)] {
        elements.map { ($0.topic.map { String(cString: $0) } ?? "", $0.partition, $0.offset < 0 ? nil : $0.offset) }
    }

    var description: String {
        elements.map { "\($0.topic.map { String(cString: $0) } ?? "")[\($0.partition)]" }.joined(separator: ", ")
    }
}
