extension BrokerLoop {
    // MARK: Metadata

    func metadata(_ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession) throws(WireError) {
        let core = core
        let request = try MetadataRequest(&reader, version: header.version)
        let missing = (request.topics ?? []).compactMap { topic -> String? in
            guard let name = topic.name, Topic.isValidName(name), core.tables.topic(name) == nil else { return nil }
            return name
        }
        guard core.configuration.createsTopics, request.allowsAutoCreation, !missing.isEmpty else {
            return answer(session.reserveSlot(), header, session) {
                response(to: request).encode(&$0, version: header.version)
            }
        }
        change(header, reader, session) { [self] state in
            for name in Set(missing).sorted() {
                _ = Self.create(name, core.configuration.partitionsDefault, TopicConfigs(), core, &state)
            }
            return { [self] in response(to: request).encode(&$0, version: header.version) }
        }
    }

    private func response(to request: MetadataRequest) -> MetadataResponse {
        let topics: [MetadataResponse.Topic]
        if let wanted = request.topics {
            topics = wanted.map(describe)
        } else {
            topics = core.tables.topics().sorted { $0.name < $1.name }.map(describe)
        }
        return MetadataResponse(
            host: core.configuration.hostForClients, port: port, clusterID: core.tables.clusterID, topics: topics)
    }

    private func describe(_ wanted: MetadataRequest.Topic) -> MetadataResponse.Topic {
        guard let name = wanted.name else {
            guard let topic = core.tables.topic(wanted.id) else {
                return MetadataResponse.Topic(error: .unknownTopicID, name: nil, id: wanted.id)
            }
            return describe(topic)
        }
        guard let topic = core.tables.topic(name) else {
            let error: ErrorCode = Topic.isValidName(name) ? .unknownTopicOrPartition : .invalidTopic
            return MetadataResponse.Topic(error: error, name: name)
        }
        return describe(topic)
    }

    private func describe(_ topic: Topic) -> MetadataResponse.Topic {
        MetadataResponse.Topic(name: topic.name, id: topic.id, partitionCount: Int32(topic.logs.count))
    }

    // MARK: CreateTopics

    func createTopics(
        _ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession
    ) throws(WireError) {
        let request = try CreateTopicsRequest(&reader, version: header.version)
        let core = core
        let names = request.topics.map(\.name)
        change(header, reader, session) { state in
            let topics = request.topics.map { topic -> CreateTopicsResponse.Topic in
                guard names.count(where: { $0 == topic.name }) == 1 else {
                    return Self.failure(topic.name, .invalidRequest, "named twice in one request")
                }
                return Self.create(topic, onlyValidates: request.validatesOnly, core, &state)
            }
            return { CreateTopicsResponse(topics: topics).encode(&$0, version: header.version) }
        }
    }

    private static func create(
        _ topic: CreateTopicsRequest.Topic, onlyValidates: Bool, _ core: BrokerCore, _ state: inout StorageState
    ) -> CreateTopicsResponse.Topic {
        guard Topic.isValidName(topic.name) else {
            return failure(topic.name, .invalidTopic, "1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-'")
        }
        guard core.tables.topic(topic.name) == nil else {
            return failure(topic.name, .topicAlreadyExists, "topic '\(topic.name)' already exists")
        }
        var count = Int(topic.partitionCount)
        if topic.assignments.isEmpty {
            if count == -1 { count = core.configuration.partitionsDefault }
            guard topic.replicationFactor == -1 || topic.replicationFactor == 1 else {
                return failure(topic.name, .invalidReplicationFactor, "this broker is alone: only 1 is possible")
            }
        } else {
            guard count == -1, topic.replicationFactor == -1,
                topic.assignments.map(\.partition).sorted() == Array(0..<Int32(topic.assignments.count)),
                topic.assignments.allSatisfy({ $0.brokers == [MetadataResponse.nodeID] })
            else { return failure(topic.name, .invalidReplicaAssignment, "partitions 0, 1, … on broker 1 only") }
            count = topic.assignments.count
        }
        guard (1...TopicCatalog.partitionsMax).contains(count) else {
            return failure(topic.name, .invalidPartitions, "1 to \(TopicCatalog.partitionsMax) topic partitions")
        }
        var configs = TopicConfigs()
        for (name, value) in topic.configs {
            do throws(TopicConfigs.Refusal) {
                try configs.set(name, value)
            } catch {
                return failure(topic.name, .invalidConfig, error.message)
            }
        }
        if onlyValidates { return success(topic.name, .zero, count, configs, core) }
        return create(topic.name, count, configs, core, &state)
    }

    /// Makes a topic on the storage thread.
    private static func create(
        _ name: String, _ count: Int, _ configs: TopicConfigs, _ core: BrokerCore, _ state: inout StorageState
    ) -> CreateTopicsResponse.Topic {
        do {
            let topic = try state.createTopic(name, partitionCount: count, configs: configs, logger: core.logger)
            core.metrics.topics.set(Double(core.tables.topics().count))
            core.logger.info("created a topic", ["topic": name, "partitions": "\(count)"])
            return success(name, topic.id, count, configs, core)
        } catch let code as ErrorCode {
            return failure(name, code, nil)
        } catch {
            core.logger.error("cannot create a topic", ["topic": name, "error": "\(error)"])
            return failure(name, .storageError, "\(error)")
        }
    }

    private static func success(
        _ name: String, _ id: TopicID, _ count: Int, _ configs: TopicConfigs, _ core: BrokerCore
    ) -> CreateTopicsResponse.Topic {
        CreateTopicsResponse.Topic(
            name: name, id: id, partitionCount: Int32(count),
            configs: configs.entries(
                defaults: core.configuration.logDefaults, batchBytesMax: core.configuration.batchBytesMax))
    }

    private static func failure(_ name: String, _ code: ErrorCode, _ message: String?) -> CreateTopicsResponse.Topic {
        CreateTopicsResponse.Topic(name: name, error: code, message: message)
    }

    // MARK: ListOffsets

    func listOffsets(
        _ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession
    ) throws(WireError) {
        let request = try ListOffsetsRequest(&reader, version: header.version)
        let slot = session.reserveSlot()
        var search = OffsetSearch()
        let topics = request.topics.map { topic in
            let known = core.tables.topic(topic.name)
            return ListOffsetsResponse.Topic(
                name: topic.name, partitions: topic.partitions.map { find($0, known?.log($0.index), &search) })
        }
        answer(slot, header, session) { ListOffsetsResponse(topics: topics).encode(&$0, version: header.version) }
    }

    private func find(
        _ partition: ListOffsetsRequest.Partition, _ log: PartitionLog?, _ search: inout OffsetSearch
    ) -> ListOffsetsResponse.Partition {
        guard let log else {
            return ListOffsetsResponse.Partition(index: partition.index, error: .unknownTopicOrPartition)
        }
        return search.answer(partition, log, &validator, core.logger)
    }
}
