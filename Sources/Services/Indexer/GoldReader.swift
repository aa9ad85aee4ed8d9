import Kafka
import KafkaAccess
import Records
import Settings
import Store
import Telemetry

/// What was read from the Gold topic in one go.
struct GoldBatch: Sendable {
    var documents: [PendingDocument] = []
    /// Documents that the topic was too small for.
    var refused: [RefusedDocument] = []
    var moves: [CheckpointMove] = []
    /// Next offset per Gold topic partition after this batch.
    var positions: [TopicPartition: Int64] = [:]
    var skipped = 0
    /// The last of the documents that were skipped, to be held against what the index has.
    var lastSkipped: PendingDocument?
    /// Source offsets whose Gold the topic no longer has.
    var expiredOffsets: Int64 = 0
    var unreadable = 0
    /// Offsets of the Gold topic that it holds but nobody can read.
    var unreadableOffsets: Int64 = 0
    /// Topic partitions that were looked at because their log is ahead and nothing comes; what is known of each.
    var stalls: [TopicPartition: String] = [:]
    /// Those that were looked at and do not stall.
    var settled: Set<TopicPartition> = []
    var gapOffsets: Int64 = 0
    /// Whether there were as many records as may be taken at once, so that more may wait.
    var isFull = false
    /// False when nothing arrived in time.
    var hasRecords: Bool { !positions.isEmpty }
}

/// Reads a Gold topic from where the index stopped. Blocks, and belongs to one lane.
final class GoldReader {
    private var consumer: KafkaConsumer
    private let options: ConsumerOptions
    private let topic: String
    private let logger: Logger
    private let policy: ExpiredOffsets
    private var tracker: CheckpointTracker
    /// Gold topic partitions where records may be missing between what the index has and the position read from.
    private var doubtful: Set<Int32>
    /// Those whose first commit may lack documents in front, because reading began behind the log's first record.
    private var cut: Set<Int32> = []
    private var lastFault = ""
    /// Those that came together with records.
    private var errors: [KafkaError] = []
    private var unreadableReports = ReportLimiter()

    /// Bound of what is fetched ahead per topic partition; the index takes about 1,000 documents/s.
    static let fetchAheadKilobytes = 16_384
    static let fetchAheadRecords = 20_000

    private var reading: SharedReading
    private var isDrained = false
    private let isStopped: @Sendable () -> Bool
    private let admin: KafkaAdmin
    /// The Gold topic's size at the start.
    private let topicPartitions: Int

    /// Assigns topic partitions.
    ///
    /// - Parameters:
    ///   - only: these; nil for all there are.
    ///   - isStopped: asked while the topic's log is examined, which may take a minute.
    /// - Throws: ``KafkaError``; ``IndexerError`` of kind `noTopic` while the topic is absent.
    init(
        configuration: KafkaConfiguration, topic: String, only: [Int32]? = nil, checkpoints: [IndexCheckpoint],
        positions: [TopicPartition: Int64], policy: ExpiredOffsets, logger: Logger,
        stallMilliseconds: Int64 = StallWatch.limitMilliseconds, isStopped: @escaping @Sendable () -> Bool = { false }
    ) throws {
        var options = ConsumerOptions()
        options.hasQueuePerTopicPartition = false
        options.queueMaxKilobytes = Self.fetchAheadKilobytes
        options.queueMinRecords = Self.fetchAheadRecords
        self.options = options
        consumer = try KafkaConsumer(configuration, options: options)
        self.topic = topic
        self.logger = logger
        self.policy = policy
        self.isStopped = isStopped
        reading = SharedReading(topic: topic, starts: [:])
        tracker = CheckpointTracker(checkpoints)
        doubtful = []
        admin = try KafkaAdmin(configuration, requestMilliseconds: SharedReading.requestMilliseconds)
        let partitions = try Self.partitions(topic, admin)
        topicPartitions = partitions.count
        guard !partitions.isEmpty else {
            throw IndexerError(.noTopic, "topic \(topic) does not exist yet", hint: "start the stream job")
        }
        var assignments: [(topic: String, partition: Int32, offset: StartOffset)] = []
        var starts: [Int32: Int64] = [:]
        for partition in only ?? partitions {
            let start = try start(partition, kept: positions[TopicPartition(topic: topic, partition: partition)])
            assignments.append((topic, partition, .at(start)))
            starts[partition] = start
        }
        reading = SharedReading(topic: topic, starts: starts, stallMilliseconds: stallMilliseconds)
        try consumer.assign(assignments)
    }

    /// Waits up to the timeout for records and takes what is there, `recordsMax` at most.
    ///
    /// - Throws: ``IndexerError`` of kind `gap` or `unreadable`; ``KafkaError`` when a topic partition delivers nothing any
    ///   more.
    func next(recordsMax: Int, timeoutMilliseconds: Int) throws -> GoldBatch {
        let waiting = errors
        errors = []
        try check(waiting)
        var batch = GoldBatch()
        for doubt in reading.doubts(consumer, admin, isDrained: isDrained) { try settle(doubt, in: &batch) }
        try consumer.next(maxRecords: recordsMax, timeoutMilliseconds: timeoutMilliseconds) { records in
            // What came before an error is taken first: it may be what the topic has no more.
            let faults = SharedReading.faults(of: records)
            if records.count > 0 { errors = faults } else { try check(faults) }
            isDrained = records.count < recordsMax
            batch.isFull = !isDrained
            try reading.take(records) { record in
                try take(record, into: &batch)
                batch.positions[TopicPartition(topic: topic, partition: record.partition)] = record.offset + 1
            }
        }
        batch.moves = CheckpointTracker.joined(batch.moves)
        return batch
    }

    /// Passes by what cannot be read, if the settings say so. Its documents then count as lost on the way, up to the first
    /// marker behind.
    private func settle(_ doubt: SharedReading.Doubt, in batch: inout GoldBatch) throws {
        let gold = TopicPartition(topic: topic, partition: doubt.partition)
        let position = reading.positions[doubt.partition] ?? 0
        switch try reading.settle(doubt, consumer, isStopped: isStopped) {
        case .unreadable(let range, let reason):
            guard policy == .goOn else {
                throw IndexerError(
                    .unreadable, "offsets \(range) of \(gold) cannot be read: \(reason)",
                    hint:
                        "set EXPIRED_OFFSETS=continue for one start to go on behind them; `medallion replay` takes what "
                        + "is missing then from the lake into a new generation")
            }
            logger.error(
                "records of the Gold topic cannot be read; going on without them, as EXPIRED_OFFSETS says",
                ["topic_partition": "\(gold)", "offsets": "\(range)", "reason": reason])
            batch.unreadableOffsets += range.count
            doubtful.insert(doubt.partition)
            cut.insert(doubt.partition)
            batch.settled.insert(gold)
            consumer = try reading.resume(after: consumer, options: options)
        case .readable where doubt.isTold:
            batch.settled.insert(gold)
            consumer = try reading.resume(after: consumer, options: options)
        case _ where doubt.isTold: consumer = try reading.resume(after: consumer, options: options)
        case .readable:
            throw KafkaError(
                kind: .other, operation: "fetch", subject: "\(gold)",
                reason: "nothing came from offset \(position) on, but the broker has records", isRetriable: true)
        case .end(let next, let end):
            guard next < end else {
                batch.settled.insert(gold)
                return
            }
            stall(
                gold, "an open transaction holds up everything from offset \(next) on; the log ends at \(end)",
                in: &batch)
        case .silent:
            stall(gold, "the broker gives nothing from offset \(position) on, though its log goes on", in: &batch)
        }
    }

    private func stall(_ gold: TopicPartition, _ trouble: String, in batch: inout GoldBatch) {
        batch.stalls[gold] = trouble
        logger.error(
            "the Gold topic is ahead, but nothing of it comes", ["topic_partition": "\(gold)", "why": trouble])
    }

    /// Whether the Gold topic has more topic partitions than at the start; false where the broker does not tell.
    func hasGrown() -> Bool {
        ((try? Self.partitions(topic, admin).count) ?? 0) > topicPartitions
    }

    private static func partitions(_ topic: String, _ admin: KafkaAdmin) throws -> [Int32] {
        try admin.metadata(topic: topic, timeoutMilliseconds: 10_000).topics.first { $0.name == topic }?.partitions
            ?? []
    }

    /// The offset that is to be read next, by topic partition.
    var positions: [Int32: Int64] { reading.positions }

    private func take(_ record: KafkaRecord, into batch: inout GoldBatch) throws(IndexerError) {
        var gaps: [CheckpointTracker.Gap] = []
        do throws(RecordFormatError) {
            switch try GoldTopic.kind({ record.header($0) }) {
            case .document:
                let document = try Self.document(record)
                if tracker.isNew(document) || GoldTopic.isLate({ record.header($0) }) {
                    batch.documents.append(document)
                } else {
                    batch.skipped += 1
                    batch.lastSkipped = document
                }
            case .refused:
                batch.refused.append(try Self.refused(record))
            case .commit:
                let marker = try CommitMarker(record.value)
                let step = tracker.apply(marker)
                batch.moves += step.moves
                // From the first step on, reading is unbroken.
                if step.gaps.isEmpty && !step.moves.isEmpty { doubtful.remove(record.partition) }
                gaps = step.gaps
                if cut.remove(record.partition) != nil, let move = step.moves.first {
                    gaps = [Self.gap(of: move, startOffset: marker.startOffset)]
                    doubtful.insert(record.partition)
                }
                for gap in gaps { batch.gapOffsets += gap.missing.count }
            }
        } catch {
            batch.unreadable += 1
            if let count = unreadableReports.admit() {
                logger.error(
                    "a Gold record cannot be read and is left out",
                    [
                        "topic": topic, "partition": "\(record.partition)", "offset": "\(record.offset)",
                        "why": "\(error)", "records": "\(count)",
                    ])
            }
        }
        if let gap = gaps.first { try note(gap, of: record.partition, in: &batch) }
    }

    /// A gap in an unbroken reading is the lake's own (the source expired before it was consumed); after a jump it
    /// means that Gold was lost on the way.
    private func note(
        _ gap: CheckpointTracker.Gap, of partition: Int32, in batch: inout GoldBatch
    ) throws(IndexerError) {
        guard doubtful.contains(partition) else {
            logger.warning("the lake has no record of some offsets", ["gap": "\(gap)"])
            return
        }
        guard policy == .goOn else {
            throw IndexerError(
                .gap, "the Gold topic no longer has \(gap), which the index lacks",
                hint: "set EXPIRED_OFFSETS=continue for one start to go on without them; `medallion replay` of the "
                    + "range takes them from the lake into a new generation")
        }
        doubtful.remove(partition)
        batch.expiredOffsets += gap.missing.count
        logger.error(
            "Gold expired before it was indexed; going on without it, as EXPIRED_OFFSETS says; `medallion replay` "
                + "takes it from the lake", ["gap": "\(gap)"])
    }

    /// What a commit may lack whose beginning was not read.
    private static func gap(of move: CheckpointMove, startOffset: Int64) -> CheckpointTracker.Gap {
        let start = move.expected ?? startOffset
        return CheckpointTracker.Gap(
            generation: move.generation, source: move.source,
            missing: OffsetRange(start: start, end: move.next) ?? .empty(at: start))
    }

    private func check(_ errors: [KafkaError]) throws {
        for error in errors {
            guard error.isRetriable else { throw error }
            let text = "\(error)"
            if text != lastFault { logger.warning("Kafka", ["fault": text]) }
            lastFault = text
        }
    }

    /// Where to go on: at the position kept, if the topic still has it, else at its beginning; what the index has
    /// already is skipped by the checkpoints.
    private func start(_ partition: Int32, kept: Int64?) throws -> Int64 {
        let marks = try consumer.watermarks(topic: topic, partition: partition, timeoutMilliseconds: 10_000)
        if let kept, kept >= marks.low, kept <= marks.high { return kept }
        if marks.low > 0 || kept != nil { doubtful.insert(partition) }
        if marks.low > 0 { cut.insert(partition) }
        if let kept {
            logger.warning(
                "the Gold topic no longer has the position that was kept; reading from its beginning",
                [
                    "topic": topic, "partition": "\(partition)", "kept": "\(kept)", "low": "\(marks.low)",
                    "high": "\(marks.high)",
                ])
        }
        return marks.low
    }

    private static func refused(_ record: KafkaRecord) throws(RecordFormatError) -> RefusedDocument {
        let place = try GoldTopic.Place { record.header($0) }
        let notice = RefusalNotice(record.value)
        return RefusedDocument(
            generation: place.generation, source: place.topicPartition, sourceOffset: place.offset,
            docID: notice.docID, code: RefusedDocument.tooLarge, reason: notice.reason, line: nil)
    }

    private static func document(_ record: KafkaRecord) throws(RecordFormatError) -> PendingDocument {
        let place = try GoldTopic.Place { record.header($0) }
        guard let value = record.value else {
            throw RecordFormatError("Gold record", field: "line", reason: "is empty")
        }
        return PendingDocument(
            generation: place.generation, source: place.topicPartition, sourceOffset: place.offset,
            sourceTimestampMilliseconds: place.timestampMilliseconds, document: try GoldLine.decode(value),
            line: Array(value))
    }
}
