import CRDKafka
import Glibc

/// What a topic should be like.
package struct TopicPlan: Sendable, Equatable {
    package var name: String
    /// Of a new topic.
    package var partitions: Int
    /// Of a new topic; -1 takes the broker's default.
    package var replicationFactor: Int
    /// Properties in Kafka's spelling, such as `retention.ms`.
    package var properties: [String: String]

    package init(name: String, partitions: Int, replicationFactor: Int = -1, properties: [String: String] = [:]) {
        self.name = name
        self.partitions = partitions
        self.replicationFactor = replicationFactor
        self.properties = properties
    }
}

/// What a topic is like, held against its plan.
package struct TopicState: Sendable, Equatable {
    /// The numbers of its topic partitions, ascending.
    package var partitions: [Int32]
    /// Whether it was made just now.
    package var isNew: Bool
    /// Where it differs from the plan, in words for people; empty where it does not, or where the broker does not tell.
    package var differences: [String]

    package init(partitions: [Int32], isNew: Bool, differences: [String]) {
        self.partitions = partitions
        self.isNew = isNew
        self.differences = differences
    }
}

extension KafkaAdmin {
    /// Makes a topic where it is missing; one that is there stays as it is, and its differences are told.
    ///
    /// - Parameter timeoutMilliseconds: of each of the requests, three at most.
    package func ensure(_ plan: TopicPlan, timeoutMilliseconds: Int) throws(KafkaError) -> TopicState {
        if let partitions = try existing(plan.name, timeoutMilliseconds) {
            return TopicState(
                partitions: partitions, isNew: false,
                differences: differences(plan, partitions.count, timeoutMilliseconds))
        }
        let isNew = try createTopic(
            plan.name, partitions: plan.partitions, replicationFactor: plan.replicationFactor, config: plan.properties,
            timeoutMilliseconds: timeoutMilliseconds)
        // A new topic takes a moment to be known to every broker.
        for _ in 0..<50 {
            if let partitions = try existing(plan.name, timeoutMilliseconds) {
                return TopicState(partitions: partitions, isNew: isNew, differences: [])
            }
            usleep(20_000)
        }
        throw KafkaError(
            kind: .unknownTopicOrPartition, operation: "create topic", subject: plan.name,
            reason: "it was created, but the broker does not show it yet", isRetriable: true)
    }

    private func existing(_ topic: String, _ timeoutMilliseconds: Int) throws(KafkaError) -> [Int32]? {
        do throws(KafkaError) {
            let found = try metadata(topic: topic, timeoutMilliseconds: timeoutMilliseconds).topics
            let partitions = found.first { $0.name == topic }?.partitions ?? []
            return partitions.isEmpty ? nil : partitions
        } catch  where error.kind == .unknownTopicOrPartition {
            return nil
        }
    }

    private func differences(_ plan: TopicPlan, _ count: Int, _ timeoutMilliseconds: Int) -> [String] {
        var differences: [String] = []
        if count != plan.partitions { differences.append("\(count) topic partitions, not \(plan.partitions)") }
        // The topic can be used all the same where they are not told.
        differences += propertyDifferences(plan, timeoutMilliseconds: min(timeoutMilliseconds, 3_000)) ?? []
        return differences
    }

    /// Where a topic's properties differ from its plan, in words for people; nil where that is not known, since not every broker
    /// tells, nor tells everybody. Blocks up to the timeout.
    package func propertyDifferences(_ plan: TopicPlan, timeoutMilliseconds: Int) -> [String]? {
        guard !plan.properties.isEmpty else { return [] }
        guard let found = try? properties(ofTopic: plan.name, timeoutMilliseconds: timeoutMilliseconds) else {
            return nil
        }
        return plan.properties.sorted(by: { $0.key < $1.key }).compactMap { name, wanted in
            guard let value = found[name], value != wanted else { return nil }
            return "\(name)=\(value), not \(wanted)"
        }
    }

    /// A topic's properties, defaults included. Blocks up to the timeout.
    package func properties(ofTopic topic: String, timeoutMilliseconds: Int) throws(KafkaError) -> [String: String] {
        guard let resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic) else { return [:] }
        defer { rd_kafka_ConfigResource_destroy(resource) }
        let options = rd_kafka_AdminOptions_new(client.handle, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS)
        defer { rd_kafka_AdminOptions_destroy(options) }
        var reason = [CChar](repeating: 0, count: 512)
        rd_kafka_AdminOptions_set_request_timeout(options, Int32(clamping: timeoutMilliseconds), &reason, reason.count)
        let queue = EventQueue(rd_kafka_queue_new(client.handle), client: client)
        var resources: [OpaquePointer?] = [resource]
        rd_kafka_DescribeConfigs(client.handle, &resources, 1, options, queue.pointer)
        guard let event = rd_kafka_queue_poll(queue.pointer, Int32(clamping: timeoutMilliseconds + 1_000)) else {
            throw KafkaError(
                kind: .timedOut, operation: "describe", subject: topic, reason: "no result", isRetriable: true)
        }
        defer { rd_kafka_event_destroy(event) }
        let failure = rd_kafka_event_error(event)
        guard failure == RD_KAFKA_RESP_ERR_NO_ERROR else {
            throw KafkaError(failure, operation: "describe", subject: topic)
        }
        var count = 0
        let found = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &count)
        var properties: [String: String] = [:]
        for resource in UnsafeBufferPointer(start: found, count: count) {
            let code = rd_kafka_ConfigResource_error(resource)
            guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
                throw KafkaError(code, operation: "describe", subject: topic)
            }
            var entryCount = 0
            let entries = rd_kafka_ConfigResource_configs(resource, &entryCount)
            for entry in UnsafeBufferPointer(start: entries, count: entryCount) {
                guard let name = rd_kafka_ConfigEntry_name(entry) else { continue }
                properties[String(cString: name)] = rd_kafka_ConfigEntry_value(entry).map { String(cString: $0) } ?? ""
            }
        }
        return properties
    }
}
