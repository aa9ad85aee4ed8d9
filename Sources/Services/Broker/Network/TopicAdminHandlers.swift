import EventLoop
import Files

/// What administrators change and ask beyond creating topics. Changes run on the storage thread.
extension BrokerLoop {
    // MARK: Topics

    func deleteTopics(
        _ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession
    ) throws(WireError) {
        let request = try DeleteTopicsRequest(&reader, version: header.version)
        let core = core
        change(header, reader, session) { state in
            let topics = request.topics.map { name, id in
                var answer = DeleteTopicsResponse.Topic(name: name, id: id)
                guard let topic = name.map(core.tables.topic) ?? core.tables.topic(id) else {
                    answer.error = name == nil ? .unknownTopicID : .unknownTopicOrPartition
                    return answer
                }
                answer.name = topic.name
                answer.id = topic.id
                do throws(FileError) {
                    try state.deleteTopic(topic, logger: core.logger)
                    core.metrics.topics.set(Double(core.tables.topics().count))
                    core.logger.info("deleted a topic", ["topic": topic.name])
                } catch {
                    core.logger.error("cannot delete a topic", ["topic": topic.name, "error": "\(error)"])
                    answer.error = .storageError
                    answer.message = "\(error)"
                }
                return answer
            }
            return { DeleteTopicsResponse(topics: topics).encode(&$0, version: header.version) }
        }
    }

    func createPartitions(
        _ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession
    ) throws(WireError) {
        let request = try CreatePartitionsRequest(&reader)
        let core = core
        change(header, reader, session) { state in
            let topics = request.topics.map { topic -> (name: String, refusal: AdminRefusal?) in
                (topic.name, Self.addPartitions(topic, onlyValidates: request.validatesOnly, core, &state))
            }
            return { CreatePartitionsResponse(topics: topics).encode(&$0) }
        }
    }

    private static func addPartitions(
        _ wanted: CreatePartitionsRequest.Topic, onlyValidates: Bool, _ core: BrokerCore, _ state: inout StorageState
    ) -> AdminRefusal? {
        guard let topic = core.tables.topic(wanted.name) else { return AdminRefusal(code: .unknownTopicOrPartition) }
        let (count, present) = (Int(wanted.count), topic.logs.count)
        guard count > present, count <= TopicCatalog.partitionsMax else {
            return AdminRefusal(
                code: .invalidPartitions,
                message: "the topic has \(present) topic partitions; \(present + 1) to \(TopicCatalog.partitionsMax) "
                    + "can be asked for")
        }
        if let assignments = wanted.assignments {
            guard assignments.count == count - present, assignments.allSatisfy({ $0 == [MetadataResponse.nodeID] })
            else {
                return AdminRefusal(code: .invalidReplicaAssignment, message: "only broker 1, once per new partition")
            }
        }
        if onlyValidates { return nil }
        do {
            try state.addPartitions(to: topic, count: count, logger: core.logger)
            core.logger.info("added topic partitions", ["topic": topic.name, "partitions": "\(count)"])
            return nil
        } catch {
            core.logger.error("cannot add topic partitions", ["topic": topic.name, "error": "\(error)"])
            return AdminRefusal(code: .storageError, message: "\(error)")
        }
    }

    // MARK: Records

    func deleteRecords(
        _ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession
    ) throws(WireError) {
        let request = try DeleteRecordsRequest(&reader)
        let core = core
        change(header, reader, session) { _ in
            let topics = request.topics.map { name, partitions in
                let topic = core.tables.topic(name)
                return (
                    name: name,
                    partitions: partitions.map { Self.deleteRecords($0.index, $0.offset, topic?.log($0.index), core) }
                )
            }
            return { DeleteRecordsResponse(topics: topics).encode(&$0) }
        }
    }

    private static func deleteRecords(
        _ index: Int32, _ offset: Int64, _ log: PartitionLog?, _ core: BrokerCore
    ) -> DeleteRecordsResponse.Partition {
        var answer = DeleteRecordsResponse.Partition(index: index)
        guard let log else {
            answer.error = .unknownTopicOrPartition
            return answer
        }
        let end = log.published.withLock { $0.endOffset }
        let wanted = offset == DeleteRecordsRequest.highWatermark ? end : offset
        guard (0...end).contains(wanted) else {
            answer.error = .offsetOutOfRange
            return answer
        }
        do throws(FileError) {
            answer.startOffset = try log.deleteRecords(before: wanted)
        } catch {
            core.logger.error(
                "cannot delete records", ["log": log.topicPartition.description, "error": "\(error)"])
            answer.error = .storageError
        }
        return answer
    }

    func offsetForLeaderEpoch(
        _ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession
    ) throws(WireError) {
        let request = try OffsetForLeaderEpochRequest(&reader, version: header.version)
        let topics = request.topics.map { name, partitions in
            let topic = core.tables.topic(name)
            return (name: name, partitions: partitions.map { Self.end(of: $0, topic?.log($0.index)) })
        }
        answer(session.reserveSlot(), header, session) {
            OffsetForLeaderEpochResponse(topics: topics).encode(&$0, version: header.version)
        }
    }

    private static func end(
        of partition: OffsetForLeaderEpochRequest.Partition, _ log: PartitionLog?
    ) -> OffsetForLeaderEpochResponse.Partition {
        var answer = OffsetForLeaderEpochResponse.Partition(index: partition.index)
        guard let log else {
            answer.error = .unknownTopicOrPartition
            return answer
        }
        if partition.currentEpoch > PartitionLog.leaderEpoch {
            answer.error = .unknownLeaderEpoch
        } else if partition.epoch == PartitionLog.leaderEpoch {
            answer.epoch = PartitionLog.leaderEpoch
            answer.endOffset = log.published.withLock { $0.endOffset }
        }
        return answer
    }

    // MARK: Configurations

    func describeConfigs(
        _ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession
    ) throws(WireError) {
        let request = try DescribeConfigsRequest(&reader, version: header.version)
        let results = request.resources.map { resource, names in
            var result = DescribeConfigsResponse.Result(resource: resource)
            switch resource.type {
            case ConfigResource.topicType:
                guard let topic = core.tables.topic(resource.name) else {
                    result.refusal = AdminRefusal(code: .unknownTopicOrPartition)
                    return result
                }
                result.entries = topic.configs.entries(
                    defaults: core.configuration.logDefaults, batchBytesMax: core.configuration.batchBytesMax)
            case ConfigResource.brokerType where [String(MetadataResponse.nodeID), ""].contains(resource.name):
                result.entries = core.configuration.entries
            default:
                result.refusal = AdminRefusal(
                    code: .invalidRequest, message: "only topics and broker \(MetadataResponse.nodeID) have settings")
            }
            if let names { result.entries.removeAll { !names.contains($0.name) } }
            return result
        }
        answer(session.reserveSlot(), header, session) {
            DescribeConfigsResponse(results: results).encode(&$0, version: header.version)
        }
    }

    func incrementalAlterConfigs(
        _ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession
    ) throws(WireError) {
        // AlterConfigs sets a topic's settings to those given, all others to their defaults.
        let isIncremental = header.api == .incrementalAlterConfigs
        let request = try AlterConfigsRequest(&reader, isIncremental: isIncremental)
        let core = core
        change(header, reader, session) { state in
            let results = request.resources.map { resource, changes -> (ConfigResource, AdminRefusal?) in
                do throws(AdminRefusal) {
                    try Self.alter(
                        resource, changes, keepsOthers: isIncremental, onlyValidates: request.validatesOnly, core,
                        &state)
                    return (resource, nil)
                } catch {
                    return (resource, error)
                }
            }
            return { AlterConfigsResponse(results: results).encode(&$0) }
        }
    }

    private static func alter(
        _ resource: ConfigResource, _ changes: [AlterConfigsRequest.Change], keepsOthers: Bool, onlyValidates: Bool,
        _ core: BrokerCore, _ state: inout StorageState
    ) throws(AdminRefusal) {
        guard resource.type == ConfigResource.topicType else {
            throw AdminRefusal(
                code: .invalidRequest, message: "only settings of topics can be changed; the broker's are its start's")
        }
        guard let topic = core.tables.topic(resource.name) else { throw AdminRefusal(code: .unknownTopicOrPartition) }
        var configs = keepsOthers ? topic.configs : TopicConfigs()
        for change in changes {
            guard change.operation == .set || change.operation == .delete else {
                throw AdminRefusal(code: .invalidRequest, message: "\(change.name): no list, so only set and delete")
            }
            // In AlterConfigs no value stands for the default.
            if !keepsOthers, change.value == nil { continue }
            guard change.operation == .delete || change.value != nil else {
                throw AdminRefusal(code: .invalidRequest, message: "\(change.name): no value")
            }
            do throws(TopicConfigs.Refusal) {
                try configs.set(change.name, change.operation == .set ? change.value : nil)
            } catch {
                throw AdminRefusal(code: .invalidConfig, message: error.message)
            }
        }
        if onlyValidates { return }
        do throws(FileError) {
            try state.alter(topic, configs, logger: core.logger)
            core.logger.info("changed the settings of a topic", ["topic": topic.name])
        } catch {
            core.logger.error("cannot change a topic's settings", ["topic": topic.name, "error": "\(error)"])
            throw AdminRefusal(code: .storageError, message: "\(error)")
        }
    }

    // MARK: Cluster

    func describeCluster(
        _ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession
    ) throws(WireError) {
        let request = try DescribeClusterRequest(&reader, version: header.version)
        let response = DescribeClusterResponse(
            clusterID: core.tables.clusterID, host: core.configuration.hostForClients, port: port,
            endpointType: request.endpointType)
        answer(session.reserveSlot(), header, session) { response.encode(&$0, version: header.version) }
    }
}
