import CRDKafka

/// The offsets that a group has committed, read and written through one client. Any thread may call.
package final class GroupOffsets: Sendable {
    private let client: Client
    private let queue: EventQueue

    init(_ client: Client) {
        self.client = client
        queue = EventQueue(rd_kafka_queue_new(client.handle), client: client)
    }

    /// Sends offsets to the group's coordinator and returns at once; ``commitResults()`` tells how it went.
    ///
    /// - Parameter offsets: the next offset to read, per topic partition.
    package func commit(_ offsets: [(topic: String, partition: Int32, nextOffset: Int64)]) throws(KafkaError) {
        let list = TopicPartitionList(capacity: offsets.count)
        for (topic, partition, nextOffset) in offsets {
            list.add(topic: topic, partition: partition, offset: nextOffset)
        }
        let code = rd_kafka_commit_queue(client.handle, list.pointer, queue.pointer, nil, nil)
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
            throw KafkaError(code, operation: "commit offsets", subject: list.description)
        }
    }

    /// The failures of commits that ended since the last call, waiting up to the timeout for the first result; and
    /// the number of commits that succeeded.
    package func commitResults(timeoutMilliseconds: Int = 0) -> (succeeded: Int, failures: [KafkaError]) {
        var succeeded = 0
        var failures: [KafkaError] = []
        client.drain(queue.pointer, timeoutMilliseconds: timeoutMilliseconds) { event, type in
            guard type == RD_KAFKA_EVENT_OFFSET_COMMIT else { return true }
            var failure = rd_kafka_event_error(event)
            if let list = rd_kafka_event_topic_partition_list(event) {
                for index in 0..<Int(list.pointee.cnt) where failure == RD_KAFKA_RESP_ERR_NO_ERROR {
                    failure = list.pointee.elems[index].err
                }
            }
            if failure == RD_KAFKA_RESP_ERR_NO_ERROR {
                succeeded += 1
            } else {
                failures.append(KafkaError(failure, operation: "commit offsets", subject: "group"))
            }
            return true
        }
        return (succeeded, failures)
    }

    /// The group's committed next offsets; nil where there is none. Blocks up to the timeout.
    package func committed(
        _ topicPartitions: [(topic: String, partition: Int32)], timeoutMilliseconds: Int
    ) throws(KafkaError) -> [(topic: String, partition: Int32, nextOffset: Int64?)] {
        let list = TopicPartitionList(capacity: topicPartitions.count)
        for (topic, partition) in topicPartitions {
            list.add(topic: topic, partition: partition, offset: Int64(RD_KAFKA_OFFSET_INVALID))
        }
        let code = rd_kafka_committed(client.handle, list.pointer, Int32(clamping: timeoutMilliseconds))
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
            throw KafkaError(code, operation: "read committed offsets", subject: list.description)
        }
        if let failure = list.errors.first {
            throw KafkaError(failure, operation: "read committed offsets", subject: list.description)
        }
        return list.offsets
    }
}
