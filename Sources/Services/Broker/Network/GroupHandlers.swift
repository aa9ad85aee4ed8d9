import Bytes
import Files
import Records

extension BrokerLoop {
    func findCoordinator(
        _ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession
    ) throws(WireError) {
        let request = try FindCoordinatorRequest(&reader, version: header.version)
        let isGroup = request.keyType == FindCoordinatorRequest.groupKeyType
        let isTransaction = request.keyType == FindCoordinatorRequest.transactionKeyType
        let response = FindCoordinatorResponse(
            keys: request.keys,
            error: isGroup ? .none : isTransaction ? Refusals.transactions.code : .invalidRequest,
            message: isGroup
                ? nil : isTransaction ? Refusals.transactions.message : "only groups have a coordinator here",
            host: core.configuration.hostForClients, port: port)
        answer(session.reserveSlot(), header, session) { response.encode(&$0, version: header.version) }
    }

    func initProducerID(
        _ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession
    ) throws(WireError) {
        let request = try InitProducerIDRequest(&reader, version: header.version)
        guard request.transactionalID == nil else {
            return answer(session.reserveSlot(), header, session) {
                InitProducerIDResponse(error: Refusals.transactions.code, producerID: -1).encode(&$0)
            }
        }
        let logger = core.logger
        change(header, reader, session) { state in
            let response: InitProducerIDResponse
            do throws(FileError) {
                response = InitProducerIDResponse(error: .none, producerID: try state.takeProducerID())
            } catch {
                logger.error("cannot reserve producer ids", ["error": "\(error)"])
                // The one of the retriable errors that clients expect here.
                response = InitProducerIDResponse(error: .coordinatorNotAvailable, producerID: -1)
            }
            return { response.encode(&$0) }
        }
    }

    // MARK: Offsets

    func offsetCommit(
        _ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession
    ) throws(WireError) {
        let request = try OffsetCommitRequest(&reader, version: header.version)
        let slot = session.reserveSlot()
        let now = SystemClock.epochMilliseconds()
        var refusal = checkGroup(request)
        let wanted = request.topics.flatMap { topic -> [OffsetChange] in
            let id = core.tables.topic(topic.name)?.id
            return topic.partitions.map { partition in
                OffsetChange(
                    group: request.group,
                    topicPartition: TopicPartition(topic: topic.name, partition: partition.index),
                    committed: CommittedOffset(
                        offset: partition.offset, leaderEpoch: partition.leaderEpoch,
                        metadata: partition.metadata ?? "", commitTime: now), topicID: id)
            }
        }
        if refusal == nil, !core.tables.hasRoom(for: request.group, wanted, groups.limits) {
            refusal = .policyViolation
        }
        var changes: [OffsetChange] = []
        let checked = request.topics.map { topic in
            OffsetCommitResponse.Topic(
                name: topic.name, partitions: topic.partitions.map { ($0.index, refusal ?? check(topic.name, $0)) })
        }
        for (change, code) in zip(wanted, checked.flatMap(\.partitions).map(\.error)) where code == .none {
            changes.append(change)
        }
        let respond: @Sendable ([ErrorCode]) -> Void = { [self] codes in
            var response = OffsetCommitResponse(topics: checked)
            response.fill(with: codes)
            answer(slot, header, session) { response.encode(&$0, version: header.version) }
        }
        guard !changes.isEmpty else { return respond([]) }
        let bytes = reader.memoryBytes
        let job = CommitJob(changes: changes) { [self] codes in
            release(bytes)
            respond(codes)
        }
        submit(.commit(job), holding: bytes, session)
    }

    private func checkGroup(_ request: OffsetCommitRequest) -> ErrorCode? {
        guard GroupCoordinator.isValidID(request.group) else { return .invalidGroupID }
        let code = checkCommit(request)
        return code == .none ? nil : code
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
    /// Puts what became of the changes in the place of the successes, in order.
    mutating func fill(with codes: [ErrorCode]) {
        var rest = codes[...]
        for topic in topics.indices {
            for partition in topics[topic].partitions.indices where topics[topic].partitions[partition].error == .none {
                if let code = rest.popFirst() { topics[topic].partitions[partition].error = code }
            }
        }
    }
}
