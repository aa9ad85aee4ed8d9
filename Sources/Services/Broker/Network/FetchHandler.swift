import EventLoop
import Files

extension BrokerLoop {
    /// Bytes of records in one answer; librdkafka refuses answers above 100 MB.
    private static let answerBytesMax = 64 << 20
    private static let waitMillisecondsMax = 300_000

    func fetch(_ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession) throws(WireError) {
        let request = try FetchRequest(&reader, version: header.version)
        let slot = session.reserveSlot(requestBytes: reader.memoryBytes)
        if request.sessionID != 0 {
            // No sessions here: the client starts over with a full fetch.
            let response = FetchResponse(error: .fetchSessionIDNotFound, topics: [])
            return send(response, slot, header, session)
        }
        let result = collect(request)
        let wait = min(Int(request.waitMillisecondsMax), Self.waitMillisecondsMax)
        guard wait > 0, !result.hasError, result.byteCount < Int(request.bytesMin), !result.logs.isEmpty else {
            return send(result.response, slot, header, session)
        }
        let id = waiters.reserveID()
        let timer = loop.schedule(afterMilliseconds: wait) { [self] in fetchTimedOut(id) }
        waiters.add(
            id,
            FetchWaiters.Waiter(
                request: request, header: header, session: session, slot: slot, logs: result.logs, timer: timer))
        session.waitingFetches.insert(id)
    }

    func wakeFetches(of log: PartitionLog) {
        for (id, waiter) in waiters.takeSatisfied(by: log) {
            waiter.timer.cancel()
            finish(id, waiter)
        }
    }

    private func fetchTimedOut(_ id: Int) {
        if let waiter = waiters.remove(id) { finish(id, waiter) }
    }

    private func finish(_ id: Int, _ waiter: FetchWaiters.Waiter) {
        waiter.session.waitingFetches.remove(id)
        send(collect(waiter.request).response, waiter.slot, waiter.header, waiter.session)
    }

    private func send(_ response: FetchResponse, _ slot: Int, _ header: RequestHeader, _ session: ClientSession) {
        var parts: [ResponsePart] = []
        var writer = WireWriter(isFlexible: header.isFlexible)
        response.encode(&writer, version: header.version, into: &parts)
        for case .region(let region) in parts { core.metrics.bytesOut.increment(by: region.byteCount) }
        session.answer(slot, header, parts)
    }

    private struct Collected {
        var response = FetchResponse(topics: [])
        var byteCount = 0
        var hasError = false
        /// What the fetch would wait for.
        var logs: [(log: PartitionLog, offset: Int64)] = []
    }

    /// Finds the regions that answer a fetch as things are.
    private func collect(_ request: FetchRequest) -> Collected {
        var result = Collected()
        let bytesMax = min(max(Int(request.bytesMax), 0), Self.answerBytesMax)
        for topic in request.topics {
            let known = core.tables.topic(topic.name)
            let partitions = topic.partitions.map { partition in
                let budget = min(bytesMax - result.byteCount, max(Int(partition.bytesMax), 0))
                return read(partition, known?.log(partition.index), budget, &result)
            }
            result.response.topics.append(FetchResponse.Topic(name: topic.name, partitions: partitions))
        }
        return result
    }

    private func read(
        _ partition: FetchRequest.Partition, _ log: PartitionLog?, _ budget: Int, _ result: inout Collected
    ) -> FetchResponse.Partition {
        guard let log else {
            result.hasError = true
            return FetchResponse.Partition(index: partition.index, error: .unknownTopicOrPartition)
        }
        if partition.leaderEpoch > PartitionLog.leaderEpoch {
            result.hasError = true
            return FetchResponse.Partition(index: partition.index, error: .unknownLeaderEpoch)
        }
        do throws(FileError) {
            // The first batch of an answer goes out however large it is, or its reader would be stuck for ever.
            let read = try log.read(
                from: partition.offset, bytesMax: max(budget, 0), atLeastOne: result.byteCount == 0)
            guard !read.isOutOfRange else {
                result.hasError = true
                return FetchResponse.Partition(
                    index: partition.index, error: .offsetOutOfRange, endOffset: read.endOffset,
                    startOffset: read.startOffset)
            }
            result.logs.append((log, partition.offset))
            result.byteCount += read.region?.byteCount ?? 0
            return FetchResponse.Partition(
                index: partition.index, error: .none, endOffset: read.endOffset, startOffset: read.startOffset,
                region: read.region)
        } catch {
            result.hasError = true
            core.logger.error(
                "cannot read a log", ["log": log.topicPartition.description, "error": "\(error)"])
            return FetchResponse.Partition(index: partition.index, error: .storageError)
        }
    }
}
