import EventLoop
import Files
import Glibc
import Records

/// What consoles and monitors ask beside topics, groups and settings, and what is refused for good.
extension BrokerLoop {
    func answerTools(
        _ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession
    ) throws(WireError) {
        switch header.api {
        case .describeLogDirs: try describeLogDirs(header, &reader, session)
        case .describeProducers: try describeProducers(header, &reader, session)
        case .offsetDelete: try offsetDelete(header, &reader, session)
        case .electLeaders: try electLeaders(header, &reader, session)
        case .alterPartitionReassignments: try alterReassignments(header, &reader, session)
        case .listPartitionReassignments:
            _ = try ListReassignmentsRequest(&reader)
            answer(session.reserveSlot(), header, session) { ListReassignmentsResponse.encode(&$0) }
        default: try incrementalAlterConfigs(header, &reader, session)
        }
    }

    func refuse(_ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession) throws(WireError) {
        let request = try RefusedRequest(header.api, &reader, version: header.version)
        answer(session.reserveSlot(), header, session) { Refusals.encode(request, &$0, header) }
    }

    // MARK: Folders

    private func describeLogDirs(
        _ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession
    ) throws(WireError) {
        let request = try DescribeLogDirsRequest(&reader)
        let core = core
        // On the storage thread: a file system may take its time to say how full it is.
        change(header, reader, session) { _ in
            var topics: [(name: String, partitions: [DescribeLogDirsResponse.Partition])] = []
            for topic in core.tables.topics().sorted(by: { $0.name < $1.name }) {
                let wanted = request.topics.map { $0[topic.name] ?? [] }
                var partitions: [DescribeLogDirsResponse.Partition] = []
                for (index, log) in topic.logs.enumerated() where wanted?.contains(Int32(index)) != false {
                    let bytes = log.published.withLock { $0.byteCount }
                    partitions.append(DescribeLogDirsResponse.Partition(index: Int32(index), byteCount: Int64(bytes)))
                }
                if !partitions.isEmpty { topics.append((topic.name, partitions)) }
            }
            let space = Self.space(core.configuration.directory)
            let found = topics
            let response = DescribeLogDirsResponse(
                folder: core.configuration.directory, topics: found, totalBytes: space.total,
                usableBytes: space.usable)
            return { response.encode(&$0, version: header.version) }
        }
    }

    /// Of the file system that holds `path`, in bytes; -1 where it does not say.
    private static func space(_ path: String) -> (total: Int64, usable: Int64) {
        guard let space = try? Folder.space(at: path) else { return (-1, -1) }
        return (Int64(space.size), Int64(space.free))
    }

    // MARK: Producers and offsets

    /// Producers in one answer; a log may remember many thousands.
    private static let producersMax = 20_000

    private func describeProducers(
        _ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession
    ) throws(WireError) {
        let request = try DescribeProducersRequest(&reader)
        let core = core
        change(header, reader, session) { _ in
            var left = Self.producersMax
            let topics = request.topics.map { name, partitions in
                let topic = core.tables.topic(name)
                return (
                    name: name,
                    partitions: partitions.map { Self.producers($0, topic?.log($0), &left) }
                )
            }
            return { DescribeProducersResponse(topics: topics).encode(&$0) }
        }
    }

    private static func producers(
        _ index: Int32, _ log: PartitionLog?, _ left: inout Int
    ) -> DescribeProducersResponse.Partition {
        var answer = DescribeProducersResponse.Partition(index: index)
        guard let log else {
            answer.error = .unknownTopicOrPartition
            return answer
        }
        guard left > 0 else { return answer }
        // On the storage thread, which the log's writer belongs to.
        let known = log.producers.producers.sorted { $0.value.lastSeen > $1.value.lastSeen }
        answer.producers = known.prefix(left).map { id, producer in
            DescribeProducersResponse.Producer(
                id: id, epoch: Int32(producer.epoch), lastSequence: producer.batches.last?.lastSequence ?? -1,
                lastSeen: producer.lastSeen)
        }
        left -= answer.producers.count
        return answer
    }

    private func offsetDelete(
        _ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession
    ) throws(WireError) {
        let request = try OffsetDeleteRequest(&reader)
        let committed = core.tables.committed(request.group)
        let hasMembers = groups.groups[request.group].map { !$0.isEmpty } ?? false
        guard hasMembers || !committed.isEmpty || groups.groups[request.group] != nil else {
            let code: ErrorCode = GroupCoordinator.isValidID(request.group) ? .groupIDNotFound : .invalidGroupID
            return answer(session.reserveSlot(), header, session) { OffsetDeleteResponse(error: code).encode(&$0) }
        }
        let topics = request.topics.map { name, partitions in
            let topic = core.tables.topic(name)
            return (
                name: name,
                partitions: partitions.map { index -> (index: Int32, error: ErrorCode) in
                    // What its members read is their business; the broker never looks into what they read.
                    if hasMembers { return (index, .groupSubscribedToTopic) }
                    return (index, topic?.log(index) == nil ? .unknownTopicOrPartition : .none)
                }
            )
        }
        var doomed: Set<TopicPartition> = []
        for topic in topics {
            for partition in topic.partitions where partition.error == .none {
                doomed.insert(TopicPartition(topic: topic.name, partition: partition.index))
            }
        }
        let (known, group, logger) = (doomed, request.group, core.logger)
        change(header, reader, session) { state in
            do throws(FileError) {
                try state.forgetOffsets { name, place in name == group && known.contains(place) }
                let response = OffsetDeleteResponse(error: .none, topics: topics)
                return { response.encode(&$0) }
            } catch {
                logger.error("cannot forget offsets of a group", ["group": group, "error": "\(error)"])
                return { OffsetDeleteResponse(error: .coordinatorNotAvailable).encode(&$0) }
            }
        }
    }

    // MARK: Replicas, of which there is one

    private func electLeaders(
        _ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession
    ) throws(WireError) {
        let request = try ElectLeadersRequest(&reader, version: header.version)
        // Asked for all, Kafka tells of those alone where there was something to do.
        let answers = verdicts(request.topics ?? []) {
            $0
        } judge: { _ in
            AdminRefusal(code: .electionNotNeeded, message: "broker 1 leads every topic partition")
        }
        answer(session.reserveSlot(), header, session) { answers.encode(&$0, header) }
    }

    private func alterReassignments(
        _ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession
    ) throws(WireError) {
        let request = try AlterReassignmentsRequest(&reader)
        let answers = verdicts(request.topics) {
            $0.index
        } judge: { partition in
            guard let brokers = partition.brokers else {
                return AdminRefusal(code: .noReassignmentInProgress, message: "nothing is being moved")
            }
            return brokers == [MetadataResponse.nodeID]
                ? nil : AdminRefusal(code: .invalidReplicaAssignment, message: "there is only broker 1")
        }
        answer(session.reserveSlot(), header, session) { answers.encode(&$0, header) }
    }

    private func verdicts<Partition>(
        _ topics: [(name: String, partitions: [Partition])], _ index: (Partition) -> Int32,
        judge: (Partition) -> AdminRefusal?
    ) -> PartitionVerdicts {
        PartitionVerdicts(
            topics: topics.map { name, partitions in
                let topic = core.tables.topic(name)
                return (
                    name: name,
                    partitions: partitions.map { partition in
                        let isKnown = topic?.log(index(partition)) != nil
                        return PartitionVerdicts.Partition(
                            index: index(partition),
                            refusal: isKnown ? judge(partition) : AdminRefusal(code: .unknownTopicOrPartition))
                    }
                )
            })
    }
}
