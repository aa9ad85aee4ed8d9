import CRDKafka

/// What a cluster says about a topic.
package struct TopicMetadata: Sendable {
    package var name: String
    /// The numbers of its topic partitions, ascending.
    package var partitions: [Int32]
    /// Topic partitions that have no leader at the moment.
    package var leaderless: [Int32]
}

/// What a cluster says about itself.
package struct ClusterMetadata: Sendable {
    /// `host:port` of each broker, by id.
    package var brokers: [(id: Int32, address: String)]
    package var topics: [TopicMetadata]
}

/// Creates topics and asks about them. Every call blocks up to its timeout; any thread may call.
package final class KafkaAdmin: Sendable {
    let client: Client

    /// - Parameter requestMilliseconds: how long a request may go without an answer. librdkafka 2.0 looks at a call's own
    ///   timeout only while it waits for a leader or a connection; behind a broker that takes a request and does not answer,
    ///   this is what ends the call.
    /// - Throws: ``KafkaError`` of kind `configuration` that names the property.
    package init(_ configuration: KafkaConfiguration, requestMilliseconds: Int = 30_000) throws(KafkaError) {
        var configuration = configuration
        // Between its calls nobody empties its queue: what came every few seconds would stay there for ever. What goes
        // wrong is the result of a call.
        configuration.statisticsHandler = nil
        configuration.logHandler = nil
        // As a consumer, because a producer's questions about a topic make some brokers create it.
        let conf = try Conf(
            configuration,
            properties: [
                ("allow.auto.create.topics", "false"), ("socket.timeout.ms", String(requestMilliseconds)),
            ])
        client = try Client(conf, type: RD_KAFKA_CONSUMER, configuration: configuration)
    }

    /// Creates a topic; one that exists already is fine, whatever its configuration.
    ///
    /// - Parameters:
    ///   - config: the topic's properties, like `message.timestamp.type`: `LogAppendTime`.
    ///   - replicationFactor: -1 takes the broker's default.
    /// - Returns: false where it existed.
    @discardableResult
    package func createTopic(
        _ name: String, partitions: Int, replicationFactor: Int = -1, config: [String: String] = [:],
        timeoutMilliseconds: Int
    ) throws(KafkaError) -> Bool {
        var reason = [CChar](repeating: 0, count: 512)
        guard
            let topic = rd_kafka_NewTopic_new(
                name, Int32(clamping: partitions), Int32(clamping: replicationFactor), &reason, reason.count)
        else {
            throw KafkaError(kind: .configuration, operation: "create topic", subject: name, reason: text(reason))
        }
        defer { rd_kafka_NewTopic_destroy(topic) }
        for (key, value) in config.sorted(by: { $0.key < $1.key }) {
            let code = rd_kafka_NewTopic_set_config(topic, key, value)
            guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
                throw KafkaError(code, operation: "create topic", subject: "\(name), property \(key)")
            }
        }
        do throws(KafkaError) {
            try run(.createTopics, subject: name, timeoutMilliseconds: timeoutMilliseconds) { options, queue in
                var topics: [OpaquePointer?] = [topic]
                rd_kafka_CreateTopics(client.handle, &topics, 1, options, queue)
            }
        } catch  where error.kind == .alreadyExists {
            return false
        }
        return true
    }

    /// Deletes a topic with all its records.
    package func deleteTopic(_ name: String, timeoutMilliseconds: Int) throws(KafkaError) {
        guard let topic = rd_kafka_DeleteTopic_new(name) else { return }
        defer { rd_kafka_DeleteTopic_destroy(topic) }
        try run(.deleteTopics, subject: name, timeoutMilliseconds: timeoutMilliseconds) { options, queue in
            var topics: [OpaquePointer?] = [topic]
            rd_kafka_DeleteTopics(client.handle, &topics, 1, options, queue)
        }
    }

    /// Deletes the records of a topic partition that lie before an offset.
    ///
    /// - Returns: the first offset that is left.
    @discardableResult
    package func deleteRecords(
        topic: String, partition: Int32, before offset: Int64, timeoutMilliseconds: Int
    ) throws(KafkaError) -> Int64 {
        let list = TopicPartitionList(capacity: 1)
        list.add(topic: topic, partition: partition, offset: offset)
        let subject = "\(topic)[\(partition)] before \(offset)"
        guard let request = rd_kafka_DeleteRecords_new(list.pointer) else { return offset }
        defer { rd_kafka_DeleteRecords_destroy(request) }
        var left: Int64 = offset
        try run(.deleteRecords, subject: subject, timeoutMilliseconds: timeoutMilliseconds) { options, queue in
            var requests: [OpaquePointer?] = [request]
            rd_kafka_DeleteRecords(client.handle, &requests, 1, options, queue)
        } each: { event throws(KafkaError) in
            let result = rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event))
            guard let result, result.pointee.cnt == 1 else { return }
            let place = result.pointee.elems[0]
            guard place.err == RD_KAFKA_RESP_ERR_NO_ERROR else {
                throw KafkaError(place.err, operation: Request.deleteRecords.rawValue, subject: subject)
            }
            left = place.offset
        }
        return left
    }

    /// Brokers and topics; only `topic` where one is named.
    ///
    /// - Throws: ``KafkaError``; kind `unknownTopicOrPartition` where the named topic does not exist.
    package func metadata(topic: String? = nil, timeoutMilliseconds: Int) throws(KafkaError) -> ClusterMetadata {
        let handle = topic.flatMap { rd_kafka_topic_new(client.handle, $0, nil) }
        defer { if let handle { rd_kafka_topic_destroy(handle) } }
        var result: UnsafePointer<rd_kafka_metadata>?
        let code = rd_kafka_metadata(
            client.handle, topic == nil ? 1 : 0, handle, &result, Int32(clamping: timeoutMilliseconds))
        _ = client.drainErrors()
        let subject = topic ?? client.configuration.brokers
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR, let result else {
            throw KafkaError(
                code, operation: "metadata", subject: subject,
                reason: client.lastError.map { "\(String(cString: rd_kafka_err2str(code))); \($0.reason)" })
        }
        defer { rd_kafka_metadata_destroy(result) }
        let metadata = result.pointee
        var cluster = ClusterMetadata(brokers: [], topics: [])
        for broker in UnsafeBufferPointer(start: metadata.brokers, count: Int(metadata.broker_cnt)) {
            cluster.brokers.append((broker.id, "\(broker.host.map { String(cString: $0) } ?? ""):\(broker.port)"))
        }
        for item in UnsafeBufferPointer(start: metadata.topics, count: Int(metadata.topic_cnt)) {
            if item.err != RD_KAFKA_RESP_ERR_NO_ERROR && topic != nil {
                throw KafkaError(item.err, operation: "metadata", subject: subject)
            }
            let partitions = UnsafeBufferPointer(start: item.partitions, count: Int(item.partition_cnt))
            cluster.topics.append(
                TopicMetadata(
                    name: item.topic.map { String(cString: $0) } ?? "", partitions: partitions.map(\.id).sorted(),
                    leaderless: partitions.filter { $0.leader < 0 }.map(\.id).sorted()))
        }
        return cluster
    }

    /// See ``KafkaConsumer/watermarks(topic:partition:timeoutMilliseconds:)``.
    package func watermarks(
        topic: String, partition: Int32, timeoutMilliseconds: Int
    ) throws(KafkaError) -> Watermarks {
        try client.watermarks(topic: topic, partition: partition, timeoutMilliseconds: timeoutMilliseconds)
    }

    private enum Request: String {
        case createTopics = "create topic"
        case deleteTopics = "delete topic"
        case deleteRecords = "delete records"

        var code: rd_kafka_admin_op_t {
            switch self {
            case .createTopics: RD_KAFKA_ADMIN_OP_CREATETOPICS
            case .deleteTopics: RD_KAFKA_ADMIN_OP_DELETETOPICS
            case .deleteRecords: RD_KAFKA_ADMIN_OP_DELETERECORDS
            }
        }
    }

    /// Starts an admin request and waits for its result event.
    ///
    /// - Parameter each: looks at what the event says of records; topics are looked at here.
    private func run(
        _ request: Request, subject: String, timeoutMilliseconds: Int,
        _ start: (_ options: OpaquePointer?, _ queue: OpaquePointer) -> Void,
        each: (OpaquePointer) throws(KafkaError) -> Void = { _ in }
    ) throws(KafkaError) {
        let operation = request.rawValue
        let options = rd_kafka_AdminOptions_new(client.handle, request.code)
        defer { rd_kafka_AdminOptions_destroy(options) }
        var reason = [CChar](repeating: 0, count: 512)
        let timeout = Int32(clamping: timeoutMilliseconds)
        // The request's own limit, and how long the broker may wait until the topic is there on all its nodes.
        var code = rd_kafka_AdminOptions_set_request_timeout(options, timeout, &reason, reason.count)
        if code == RD_KAFKA_RESP_ERR_NO_ERROR {
            code = rd_kafka_AdminOptions_set_operation_timeout(options, timeout, &reason, reason.count)
        }
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
            throw KafkaError(code, operation: operation, subject: subject, reason: text(reason))
        }
        let queue = EventQueue(rd_kafka_queue_new(client.handle), client: client)
        start(options, queue.pointer)
        guard let event = rd_kafka_queue_poll(queue.pointer, Int32(clamping: timeoutMilliseconds + 1_000)) else {
            throw KafkaError(
                kind: .timedOut, operation: operation, subject: subject,
                reason: "no result within \(timeoutMilliseconds) ms", isRetriable: true)
        }
        defer { rd_kafka_event_destroy(event) }
        _ = client.drainErrors()
        let failure = rd_kafka_event_error(event)
        guard failure == RD_KAFKA_RESP_ERR_NO_ERROR else {
            throw KafkaError(
                failure, operation: operation, subject: subject,
                reason: rd_kafka_event_error_string(event).map { String(cString: $0) })
        }
        guard request != .deleteRecords else { return try each(event) }
        var count = 0
        let results =
            request == .createTopics
            ? rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count)
            : rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count)
        for result in UnsafeBufferPointer(start: results, count: count) {
            let code = rd_kafka_topic_result_error(result)
            guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { continue }
            throw KafkaError(
                code, operation: operation, subject: subject,
                reason: rd_kafka_topic_result_error_string(result).map { String(cString: $0) })
        }
    }
}
