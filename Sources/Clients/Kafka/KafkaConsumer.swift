import CRDKafka
import Synchronization

/// How a consumer fetches. The sizes bound this process's memory: `queueMaxKilobytes` per assigned topic partition.
package struct ConsumerOptions: Sendable {
    /// Fetched records that are kept ready per topic partition. Once the queue is full, librdkafka 2.0.2 stops
    /// fetching for a whole second, so both limits are far above a second's worth of work.
    package var queueMinRecords = 1_000_000
    /// Kilobytes that are kept ready per topic partition.
    package var queueMaxKilobytes = 131_072
    /// How long a broker may hold a fetch when there is nothing new; not a delay for new records.
    package var fetchWaitMaxMilliseconds = 500
    /// Bytes per topic partition in one fetch reply.
    package var fetchMaxBytesPerTopicPartition = 4_194_304
    /// Bytes in one fetch reply.
    package var fetchMaxBytes = 52_428_800
    /// Verify every batch's CRC.
    package var checksCRC = true
    /// Hide records of open and aborted transactions.
    package var readsCommittedOnly = true
    /// Report in ``RecordBatch/ends`` when the end of a topic partition is reached.
    package var reportsEnd = false
    /// Give every topic partition a queue of its own, for one thread each; else all share one queue.
    package var hasQueuePerTopicPartition = true

    package init() {}
}

/// Where reading starts.
package enum StartOffset: Sendable, Equatable {
    case beginning
    /// Only what is written from now on.
    case end
    case at(Int64)

    var logical: Int64 {
        switch self {
        case .beginning: Int64(RD_KAFKA_OFFSET_BEGINNING)
        case .end: Int64(RD_KAFKA_OFFSET_END)
        case .at(let offset): offset
        }
    }
}

/// Reads assigned topic partitions. Membership in a group is not needed; a group's name only serves for committing
/// offsets as information for others. Nothing is committed automatically, and an offset that does not exist is an
/// error, never a silent jump.
///
/// Calls block up to their timeout: use a thread of one's own. Any thread may call, but one queue is read by one
/// thread at a time.
package final class KafkaConsumer: Sendable {
    let client: Client
    private let options: ConsumerOptions
    /// What it was made with.
    package var configuration: KafkaConfiguration { client.configuration }
    /// The offsets under the group's name.
    package let groupOffsets: GroupOffsets
    private let state = Mutex(State())

    private struct State {
        var queues: [Assigned: PartitionQueue] = [:]
        var shared: PartitionQueue?
    }

    private struct Assigned: Hashable {
        var topic: String
        var partition: Int32
    }

    /// - Parameter groupID: under which offsets are committed; nil where none will be.
    /// - Throws: ``KafkaError`` of kind `configuration` that names the property.
    package init(
        _ configuration: KafkaConfiguration, groupID: String? = nil, options: ConsumerOptions = ConsumerOptions()
    ) throws(KafkaError) {
        let conf = try Conf(
            configuration,
            properties: [
                // librdkafka assigns topic partitions only with some group id; nothing is ever sent under this one.
                ("group.id", groupID ?? "\(configuration.clientID)-without-group"),
                ("enable.auto.commit", "false"), ("enable.auto.offset.store", "false"),
                ("auto.offset.reset", "error"), ("allow.auto.create.topics", "false"),
                ("queued.min.messages", String(options.queueMinRecords)),
                ("queued.max.messages.kbytes", String(options.queueMaxKilobytes)),
                ("fetch.wait.max.ms", String(options.fetchWaitMaxMilliseconds)),
                // Must be at least fetch.wait.max.ms plus some slack.
                ("socket.timeout.ms", String(max(60_000, options.fetchWaitMaxMilliseconds + 10_000))),
                ("fetch.error.backoff.ms", "100"),
                ("max.partition.fetch.bytes", String(options.fetchMaxBytesPerTopicPartition)),
                ("fetch.max.bytes", String(options.fetchMaxBytes)),
                ("check.crcs", options.checksCRC ? "true" : "false"),
                ("isolation.level", options.readsCommittedOnly ? "read_committed" : "read_uncommitted"),
                ("enable.partition.eof", options.reportsEnd ? "true" : "false"),
            ])
        let client = try Client(conf, type: RD_KAFKA_CONSUMER, configuration: configuration)
        self.client = client
        self.options = options
        groupOffsets = GroupOffsets(client)
    }

    /// Replaces the assignment: reading starts at the given offsets. Does not block on the network; a topic partition
    /// that does not exist shows as an error of a later read.
    package func assign(_ assignments: [(topic: String, partition: Int32, offset: StartOffset)]) throws(KafkaError) {
        let list = TopicPartitionList(capacity: assignments.count)
        var queues: [Assigned: PartitionQueue] = [:]
        for (topic, partition, offset) in assignments {
            list.add(topic: topic, partition: partition, offset: offset.logical)
            guard options.hasQueuePerTopicPartition else { continue }
            guard let queue = rd_kafka_queue_get_partition(client.handle, topic, partition) else {
                throw KafkaError(
                    kind: .other, operation: "assign", subject: "\(topic)[\(partition)]", reason: "no queue for it")
            }
            // Before the assignment, so that no record ends up in the shared queue.
            rd_kafka_queue_forward(queue, nil)
            queues[Assigned(topic: topic, partition: partition)] = PartitionQueue(
                EventQueue(queue, client: client), subject: "\(topic)[\(partition)]")
        }
        let code = rd_kafka_assign(client.handle, list.pointer)
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
            throw KafkaError(code, operation: "assign", subject: list.description)
        }
        var shared: PartitionQueue?
        if !options.hasQueuePerTopicPartition, let queue = rd_kafka_queue_get_consumer(client.handle) {
            shared = PartitionQueue(EventQueue(queue, client: client), subject: "all")
        }
        state.withLock { [queues, shared] in $0 = State(queues: queues, shared: shared) }
    }

    /// The queue of one assigned topic partition; nil where it is not assigned or
    /// ``ConsumerOptions/hasQueuePerTopicPartition`` is false.
    package func queue(topic: String, partition: Int32) -> PartitionQueue? {
        state.withLock { $0.queues[Assigned(topic: topic, partition: partition)] }
    }

    /// Reads from all assigned topic partitions; only where ``ConsumerOptions/hasQueuePerTopicPartition`` is false.
    /// See ``PartitionQueue/next(maxRecords:timeoutMilliseconds:_:)``.
    package func next<Result>(
        maxRecords: Int, timeoutMilliseconds: Int, _ body: (borrowing RecordBatch) throws -> Result
    ) throws -> Result {
        guard let queue = state.withLock({ $0.shared }) else {
            throw KafkaError(
                kind: .configuration, operation: "fetch", subject: "all",
                reason: "nothing is assigned, or every topic partition has its own queue")
        }
        return try queue.next(maxRecords: maxRecords, timeoutMilliseconds: timeoutMilliseconds, body)
    }

    /// Moves an assigned topic partition to another offset, also after an error that stopped it. Blocks up to the
    /// timeout. Records that were fetched already are dropped.
    package func seek(
        topic: String, partition: Int32, to offset: StartOffset, timeoutMilliseconds: Int
    ) throws(KafkaError) {
        let list = TopicPartitionList(capacity: 1)
        list.add(topic: topic, partition: partition, offset: offset.logical)
        let subject = "\(topic)[\(partition)]"
        if let error = rd_kafka_seek_partitions(client.handle, list.pointer, Int32(clamping: timeoutMilliseconds)) {
            throw KafkaError(consuming: error, operation: "seek", subject: subject)
        }
        guard let code = list.errors.first else { return }
        // A topic partition that an error stopped cannot seek, only start again.
        guard code == RD_KAFKA_RESP_ERR__STATE else {
            throw KafkaError(code, operation: "seek", subject: subject)
        }
        if let error = rd_kafka_incremental_unassign(client.handle, list.pointer) {
            throw KafkaError(consuming: error, operation: "seek", subject: subject)
        }
        list.setOffset(offset.logical)
        // Stopping has let go of the redirection.
        if let queue = queue(topic: topic, partition: partition) { queue.separate() }
        if let error = rd_kafka_incremental_assign(client.handle, list.pointer) {
            throw KafkaError(consuming: error, operation: "seek", subject: subject)
        }
    }

    /// Asks the leader for the first and the next offset of a topic partition. Blocks up to the timeout.
    package func watermarks(
        topic: String, partition: Int32, timeoutMilliseconds: Int
    ) throws(KafkaError) -> Watermarks {
        try client.watermarks(topic: topic, partition: partition, timeoutMilliseconds: timeoutMilliseconds)
    }

    /// The watermarks that came with the last fetch reply, without a request; nil before the first.
    package func lastSeenWatermarks(topic: String, partition: Int32) -> Watermarks? {
        var low = Int64(RD_KAFKA_OFFSET_INVALID)
        var high = Int64(RD_KAFKA_OFFSET_INVALID)
        let code = rd_kafka_get_watermark_offsets(client.handle, topic, partition, &low, &high)
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR, high >= 0 else { return nil }
        return Watermarks(low: max(low, 0), high: high)
    }

    /// The first offset of each topic partition whose record's time is at or after the given one; nil where there is
    /// none. Blocks up to the timeout.
    package func offsets(
        atOrAfter epochMilliseconds: Int64, _ topicPartitions: [(topic: String, partition: Int32)],
        timeoutMilliseconds: Int
    ) throws(KafkaError) -> [(topic: String, partition: Int32, nextOffset: Int64?)] {
        let list = TopicPartitionList(capacity: topicPartitions.count)
        for (topic, partition) in topicPartitions {
            list.add(topic: topic, partition: partition, offset: epochMilliseconds)
        }
        let code = rd_kafka_offsets_for_times(client.handle, list.pointer, Int32(clamping: timeoutMilliseconds))
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR, list.errors.isEmpty else {
            throw KafkaError(list.errors.first ?? code, operation: "offsets for time", subject: list.description)
        }
        return list.offsets
    }

    /// The last error that concerned the client as a whole, seen while reading; it may be over by now.
    package var lastError: KafkaError? { client.lastError }
}
