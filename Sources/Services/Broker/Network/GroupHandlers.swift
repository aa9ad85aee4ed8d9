import Bytes
import Events
import Files

extension BrokerLoop {
    func findCoordinator(
        _ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession
    ) throws(WireError) {
        let request = try FindCoordinatorRequest(&reader, version: header.version)
        let isGroup = request.keyType == FindCoordinatorRequest.groupKeyType
        let response = FindCoordinatorResponse(
            keys: request.keys, error: isGroup ? .none : .invalidRequest,
            message: isGroup ? nil : "this broker has no transactions", host: core.configuration.hostForClients,
            port: port)
        answer(session.reserveSlot(), header, session) { response.encode(&$0, version: header.version) }
    }

    func initProducerID(
        _ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession
    ) throws(WireError) {
        let request = try InitProducerIDRequest(&reader, version: header.version)
        let slot = session.reserveSlot()
        guard request.transactionalID == nil else {
            return answer(slot, header, session) {
                InitProducerIDResponse(error: .invalidRequest, producerID: -1).encode(&$0)
            }
        }
        let logger = core.logger
        let isAccepted = core.storage.submit(
            .task { [self] state in
                let response: InitProducerIDResponse
                do throws(FileError) {
                    response = InitProducerIDResponse(error: .none, producerID: try state.takeProducerID())
                } catch {
                    logger.error("cannot reserve producer ids", ["error": "\(error)"])
                    // The one of the retriable errors that clients expect here.
                    response = InitProducerIDResponse(error: .coordinatorNotAvailable, producerID: -1)
                }
                loop.execute { [self] in answer(slot, header, session) { response.encode(&$0) } }
            })
        if !isAccepted { session.connection.close() }
    }

    // MARK: Offsets

    func offsetCommit(
        _ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession
    ) throws(WireError) {
        let request = try OffsetCommitRequest(&reader, version: header.version)
        let slot = session.reserveSlot()
        let now = SystemClock.epochMilliseconds()
        let refusal = checkGroup(request)
        var changes: [OffsetChange] = []
        let checked = request.topics.map { topic in
            OffsetCommitResponse.Topic(
                name: topic.name,
                partitions: topic.partitions.map { partition in
                    let code = refusal ?? check(topic.name, partition)
                    if code == .none {
                        changes.append(
                            OffsetChange(
                                group: request.group,
                                topicPartition: TopicPartition(topic: topic.name, partition: partition.index),
                                committed: CommittedOffset(
                                    offset: partition.offset, leaderEpoch: partition.leaderEpoch,
                                    metadata: partition.metadata ?? "", commitTime: now)))
                    }
                    return (partition.index, code)
                })
        }
        let completion: @Sendable (Bool) -> Void = { [self] isWritten in
            var response = OffsetCommitResponse(topics: checked)
            if !isWritten { response.failAll(with: .coordinatorNotAvailable) }
            answer(slot, header, session) { response.encode(&$0, version: header.version) }
        }
        guard !changes.isEmpty else { return completion(true) }
        if !core.storage.submit(.commit(changes, completion: completion)) { session.connection.close() }
    }

    /// Groups that may have committed offsets; more are refused, so that made-up names cannot fill the memory.
    private static let groupsWithOffsetsMax = 100_000

    private func checkGroup(_ request: OffsetCommitRequest) -> ErrorCode? {
        guard GroupCoordinator.isValidID(request.group) else { return .invalidGroupID }
        let code = checkCommit(request)
        guard code == .none else { return code }
        return core.tables.hasRoom(for: request.group, groupsMax: Self.groupsWithOffsetsMax) ? nil : .policyViolation
    }

    private func check(_ topic: String, _ partition: OffsetCommitRequest.Partition) -> ErrorCode {
        if (partition.metadata?.utf8.count ?? 0) > OffsetJournal.metadataBytesMax { return .offsetMetadataTooLarge }
        if core.tables.topic(topic)?.log(partition.index) == nil { return .unknownTopicOrPartition }
        return .none
    }

    func offsetFetch(
        _ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession
    ) throws(WireError) {
        let request = try OffsetFetchRequest(&reader, version: header.version)
        let committed = core.tables.committed(request.group)
        var wanted: [(name: String, partitions: [Int32])]
        if let topics = request.topics {
            wanted = topics
        } else {
            let byTopic = Dictionary(grouping: committed.keys, by: \.topic)
            wanted = byTopic.keys.sorted().map { topic in (topic, (byTopic[topic] ?? []).map(\.partition).sorted()) }
        }
        let topics = wanted.map { topic in
            (
                name: topic.name,
                partitions: topic.partitions.map { index in
                    OffsetFetchResponse.Partition(
                        index: index, committed: committed[TopicPartition(topic: topic.name, partition: index)])
                }
            )
        }
        answer(session.reserveSlot(), header, session) {
            OffsetFetchResponse(topics: topics).encode(&$0, version: header.version)
        }
    }
}

extension OffsetCommitResponse {
    /// Turns every success into `code`.
    mutating func failAll(with code: ErrorCode) {
        for topic in topics.indices {
            for partition in topics[topic].partitions.indices where topics[topic].partitions[partition].error == .none {
                topics[topic].partitions[partition].error = code
            }
        }
    }
}
