extension BrokerLoop {
    /// What a partition of a Produce request is answered with: an error known at once, or the outcome of a batch.
    private enum Pending {
        case error(ErrorCode, String?)
        case batch(Int)
    }

    func produce(_ header: RequestHeader, _ reader: inout WireReader, _ session: ClientSession) throws(WireError) {
        let request = try ProduceRequest(&reader, version: header.version)
        var budget = Self.unpackedBytesMax(requestBytes: reader.bytes.count)
        var batches: [AppendBatch] = []
        var logs: [PartitionLog?] = []
        let pending = request.topics.map { topic in
            let known = core.tables.topic(topic.name)
            return topic.partitions.map { partition -> Pending in
                logs.append(known?.log(partition.index))
                if let (code, message) = Self.refusal(of: request) { return .error(code, message) }
                return check(partition, known, reader.bytes, &budget, &batches)
            }
        }
        let wantsAnswer = request.acks != 0
        let touched = logs
        let slot = wantsAnswer ? session.reserveSlot() : nil
        let respond: @Sendable ([AppendOutcome]) -> Void = { [self] outcomes in
            let response = Self.response(request, pending, outcomes, touched)
            if let slot {
                answer(slot, header, session) { response.encode(&$0, version: header.version) }
            } else if let code = response.firstError {
                // Nobody waits for an answer; the client notices a closed connection and looks for what is wrong.
                session.close("Produce with acks=0 failed: \(code)")
            }
        }
        guard !batches.isEmpty else { return respond([]) }
        let bytes = reader.memoryBytes
        if !wantsAnswer { session.beginUnanswered() }
        let job = AppendJob(frame: reader.bytes, batches: batches) { [self] outcomes in
            release(bytes)
            if !wantsAnswer { session.endUnanswered() }
            respond(outcomes)
        }
        submit(.append(job), holding: bytes, session)
    }

    /// Bytes that all batches of one request may unpack to, which is work for the network thread: what one batch may, 16
    /// times the request where that is more, and 256 MiB at most.
    static func unpackedBytesMax(requestBytes: Int) -> Int {
        min(max(BatchValidator.unpackedBytesMax, 16 * requestBytes), 256 << 20)
    }

    private static func refusal(of request: ProduceRequest) -> (ErrorCode, String?)? {
        if request.transactionalID != nil { return (Refusals.transactions.code, Refusals.transactions.message) }
        if !(-1...1).contains(request.acks) { return (.invalidRequiredAcks, nil) }
        return nil
    }

    private func check(
        _ partition: ProduceRequest.Partition, _ topic: Topic?, _ frame: [UInt8], _ budget: inout Int,
        _ batches: inout [AppendBatch]
    ) -> Pending {
        guard let topic, let log = topic.log(partition.index) else { return .error(.unknownTopicOrPartition, nil) }
        guard let range = partition.records, !range.isEmpty else {
            return .error(.invalidRecord, "no record batch")
        }
        let bytesMax = topic.configs.batchBytesMax ?? core.configuration.batchBytesMax
        let checked = frame.withUnsafeBytes { bytes -> Result<RecordBatchHeader, ErrorCode> in
            let records = UnsafeRawBufferPointer(rebasing: bytes[range])
            do throws(ErrorCode) {
                return .success(try validator.validate(records, bytesMax: bytesMax, budget: &budget))
            } catch {
                return .failure(error)
            }
        }
        switch checked {
        case .failure(let code):
            core.metrics.refusedBatches.increment()
            return .error(code, nil)
        case .success(let header):
            // Kafka allows one batch per topic partition and request as well.
            guard header.byteCount == range.count else { return .error(.invalidRecord, "more than one record batch") }
            batches.append(AppendBatch(log: log, settings: topic.settings, range: range, header: header))
            return .batch(batches.count - 1)
        }
    }

    private static func response(
        _ request: ProduceRequest, _ pending: [[Pending]], _ outcomes: [AppendOutcome], _ logs: [PartitionLog?]
    ) -> ProduceResponse {
        var logIndex = 0
        var response = ProduceResponse(topics: [])
        for (topic, states) in zip(request.topics, pending) {
            var answers: [ProduceResponse.Partition] = []
            for (partition, state) in zip(topic.partitions, states) {
                var answer = ProduceResponse.Partition(index: partition.index, error: .none)
                switch state {
                case .error(let code, let message):
                    answer.error = code
                    answer.message = message
                case .batch(let index):
                    switch outcomes[index] {
                    case .refused(let code): answer.error = code
                    case .accepted(let baseOffset, _, let appendTime):
                        answer.baseOffset = baseOffset
                        answer.appendTime = appendTime
                        answer.logStartOffset = logs[logIndex]?.published.withLock { $0.startOffset } ?? -1
                    }
                }
                logIndex += 1
                answers.append(answer)
            }
            response.topics.append(ProduceResponse.Topic(name: topic.name, partitions: answers))
        }
        return response
    }
}

extension ProduceResponse {
    var firstError: ErrorCode? {
        for topic in topics {
            for partition in topic.partitions where partition.error != .none { return partition.error }
        }
        return nil
    }
}
