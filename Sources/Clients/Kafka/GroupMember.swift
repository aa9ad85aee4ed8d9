import CRDKafka
import Synchronization

/// Membership in a consumer group that shares one topic, without reading: it says which topic partitions are this
/// process's, and other clients read them.
///
/// So every topic partition keeps a reader of its own whose start and end nobody else waits for. librdkafka sends the
/// heartbeats from a thread of its own, but takes a member out of the group that does not call ``next(timeoutMilliseconds:)``
/// for `max.poll.interval.ms` (five minutes). Calls block up to their timeout; one thread at a time.
package final class GroupMember: Sendable {
    /// What changed.
    package enum News: Sendable, Equatable {
        /// These topic partitions are this member's from now on.
        case assigned([Int32])
        /// These go to others. They wait until ``letGo()`` was called; with `isLost` they may have others already.
        case revoked([Int32], isLost: Bool)
    }

    private let client: Client
    private let queue: EventQueue
    private let topic: String
    /// The offsets of the group, committed as this member.
    package let offsets: GroupOffsets
    private let hasLeft = Mutex(false)
    private struct Faults {
        var unread: [KafkaError] = []
        var last = ""
    }
    private let faults = Mutex(Faults())

    /// Subscribes.
    ///
    /// - Parameter sessionMilliseconds: of silence after which the group gives this member's topic partitions to others.
    /// - Throws: ``KafkaError`` of kind `configuration` that names the property.
    package init(
        _ configuration: KafkaConfiguration, groupID: String, topic: String, sessionMilliseconds: Int = 10_000
    ) throws(KafkaError) {
        let conf = try Conf(
            configuration,
            properties: [
                ("group.id", groupID), ("enable.auto.commit", "false"), ("enable.auto.offset.store", "false"),
                ("auto.offset.reset", "error"), ("allow.auto.create.topics", "false"),
                // Only what moves is let go of; the others read on.
                ("partition.assignment.strategy", "cooperative-sticky"),
                ("session.timeout.ms", String(sessionMilliseconds)),
                ("heartbeat.interval.ms", String(max(1, sessionMilliseconds / 4))),
                // How soon new topic partitions are noticed.
                ("topic.metadata.refresh.interval.ms", "30000"),
            ], joinsGroup: true)
        client = try Client(conf, type: RD_KAFKA_CONSUMER, configuration: configuration)
        self.topic = topic
        offsets = GroupOffsets(client)
        rd_kafka_poll_set_consumer(client.handle)
        guard let consumerQueue = rd_kafka_queue_get_consumer(client.handle) else {
            throw KafkaError(kind: .other, operation: "join the group", subject: groupID, reason: "no queue for it")
        }
        queue = EventQueue(consumerQueue, client: client)
        let list = TopicPartitionList(capacity: 1)
        list.add(topic: topic, partition: -1, offset: 0)
        let code = rd_kafka_subscribe(client.handle, list.pointer)
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
            throw KafkaError(code, operation: "join the group", subject: groupID)
        }
    }

    deinit { leave() }

    /// Waits up to the timeout for news.
    ///
    /// - Throws: a fault that time does not heal, such as a missing permission.
    package func next(timeoutMilliseconds: Int) throws(KafkaError) -> News? {
        var news: News?
        client.drain(queue.pointer, timeoutMilliseconds: timeoutMilliseconds, limit: 100) { event, type in
            switch type {
            case RD_KAFKA_EVENT_REBALANCE:
                news = self.read(event)
                return false
            case RD_KAFKA_EVENT_ERROR: self.client.record(errorEvent: event)
            default: break
            }
            return true
        }
        guard news == nil else { return news }
        for error in client.takeErrors() {
            if error.kind == .authorization || error.kind == .fatal { throw error }
            faults.withLock { faults in
                guard "\(error)" != faults.last, faults.unread.count < Self.faultsMax else { return }
                faults.last = "\(error)"
                faults.unread.append(error)
            }
        }
        return nil
    }

    private static let faultsMax = 16

    /// What has gone wrong since the last call and heals by itself, such as an absent topic or a broker that is away;
    /// what keeps coming is told once.
    package func takeFaults() -> [KafkaError] {
        faults.withLock { faults in
            defer { faults.unread = [] }
            return faults.unread
        }
    }

    /// Tells the group that nothing of what was revoked is held any more.
    package func letGo() {
        // This client never reads, so there is nothing that it could unassign.
        let nothing = TopicPartitionList(capacity: 0)
        if isCooperative {
            if let error = rd_kafka_incremental_unassign(client.handle, nothing.pointer) {
                client.remember(KafkaError(consuming: error, operation: "let go", subject: topic))
            }
        } else {
            rd_kafka_assign(client.handle, nil)
        }
    }

    /// Leaves the group, so that the others take over at once instead of after a session's time. To be called when
    /// nothing is held any more.
    package func leave() {
        let isFirst = hasLeft.withLock { hasLeft in
            defer { hasLeft = true }
            return !hasLeft
        }
        guard isFirst else { return }
        rd_kafka_unsubscribe(client.handle)
        // The revocation that this causes must be answered, or closing waits for it.
        for _ in 0..<10 {
            if case .revoked = try? next(timeoutMilliseconds: 100) {
                letGo()
                break
            }
        }
        // What has not closed by then leaves the group when its session ends.
        _ = BoundedEnd.run { [client] in _ = rd_kafka_consumer_close(client.handle) }
    }

    private var isCooperative: Bool {
        rd_kafka_rebalance_protocol(client.handle).map { String(cString: $0) } == "COOPERATIVE"
    }

    private func read(_ event: OpaquePointer) -> News? {
        var partitions: [Int32] = []
        if let list = rd_kafka_event_topic_partition_list(event) {
            for index in 0..<Int(list.pointee.cnt) { partitions.append(list.pointee.elems[index].partition) }
        }
        switch rd_kafka_event_error(event) {
        case RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS:
            // Nothing is to be read by this client, so nothing is assigned to it.
            let nothing = TopicPartitionList(capacity: 0)
            if isCooperative {
                if let error = rd_kafka_incremental_assign(client.handle, nothing.pointer) {
                    client.remember(KafkaError(consuming: error, operation: "take over", subject: topic))
                }
            } else {
                rd_kafka_assign(client.handle, nothing.pointer)
            }
            return .assigned(partitions.sorted())
        case RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS:
            return .revoked(partitions.sorted(), isLost: rd_kafka_assignment_lost(client.handle) != 0)
        default:
            // Some fault of the group: librdkafka wants everything let go of, and joins again.
            return .revoked(partitions.sorted(), isLost: true)
        }
    }

    /// The last error that concerned the client as a whole; it may be over by now.
    package var lastError: KafkaError? { client.lastError }
}
