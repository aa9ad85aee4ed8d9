import Bytes
import Derivation
import Files
import Kafka
import KafkaAccess
import Lake
import Logic
import Records
import ServiceLifecycle
import Telemetry

/// Takes one topic partition from the broker into the lake, on a thread of its own.
///
/// Not thread-safe; made and used on that thread.
final class PartitionWorker {
    private let source: TopicPartition
    private let layout: LakeLayout
    private let options: StreamJobOptions
    private let metrics: StreamJobMetrics
    private let logger: Logger
    private let stop: StopSignal
    private let publisher: GoldPublisher
    private let generationLog: GenerationLog
    private var writer: PartitionWriter
    private var processor: RecordProcessor
    private var generationStamp: FileStamp?
    private var erasures: ErasureFollowing
    private let meter: LagMeter
    private let reporter: RunReporter?
    private let tell: (String?) -> Void
    private var samples: RuleSamples
    private var eventTime: EventTimeProgress
    private var headers = RecordHeaderText()
    private var reportedAt: Int64 = 0
    private var reading: SourceReading
    private var aheadReports = ReportLimiter()
    private static let lockWaitMilliseconds = 5_000

    // The batch that waits for its commit.
    private var batchStart: Int64?
    private var batchNext: Int64 = 0
    private var batchTimeMax: Int64 = 0
    private var batchHour = LakeHour(number: 0)
    private var batchResetsTime = false
    private var batchTimesAhead = 0
    private var batchSince: Int64 = 0
    private var batchBytes = 0

    /// - Parameters:
    ///   - meter: is told how far the lake is.
    ///   - reporter: is told what was read and written; nil: nobody wants to know.
    ///   - tell: shows people what this topic partition waits for; nil: nothing.
    init(
        source: TopicPartition, options: StreamJobOptions, registry: MetricsRegistry, metrics: StreamJobMetrics,
        logger: Logger, stop: StopSignal, publisher: GoldPublisher, meter: LagMeter, reporter: RunReporter?,
        tell: @escaping (String?) -> Void
    ) throws {
        self.meter = meter
        self.reporter = reporter
        self.tell = tell
        self.source = source
        self.options = options
        self.metrics = metrics
        self.logger = logger
        self.stop = stop
        self.publisher = publisher
        reading = SourceReading(
            source: source, options: options, registry: registry, metrics: metrics, logger: logger, stop: stop,
            tell: tell)
        layout = LakeLayout(root: options.lakeDirectory, objects: options.objects)
        generationLog = GenerationLog(layout: layout)
        erasures = ErasureFollowing(source, layout: layout, logger: logger)
        // A tool may hold the lock for a moment. Members of a group look again by themselves.
        writer = try PartitionWriter.open(
            layout: layout, source: source, clock: options.clock,
            lockWaitMilliseconds: options.assignment == .all ? Self.lockWaitMilliseconds : 0)
        processor = try RecordProcessor(source: source, writesBronze: true)
        samples = RuleSamples(registry, source: source)
        eventTime = EventTimeProgress(registry, metrics, source: source)
        try followGenerations()
        meter.follow(source.partition, from: writer.nextOffset)
    }

    /// Where to begin reading: the record before the checkpoint if it is still there, to compare its hash.
    func startOffset(_ marks: Watermarks) throws -> StartOffset {
        let start = ReadingStart(nextOffset: writer.nextOffset, marks: marks)
        if case .afterGap(_, let expired) = start { metrics.expiredOffsets.increment(by: Int(clamping: expired.count)) }
        let offset = try start.offset(policy: options.expiredOffsets, source: source)
        reading.position = offset
        if case .afterGap(_, let expired) = start {
            reading.noteGap(from: expired.start, "expired before it was read")
            logger.error(
                "records expired before they were read; going on without them, as EXPIRED_OFFSETS says",
                ["topic_partition": "\(source)", "offsets": "\(expired)"])
        }
        return .at(offset)
    }

    /// Publishes what the last run committed but did not get onto the Gold topic.
    func republish(after marker: Int64?) throws {
        guard let end = writer.nextOffset else { return }
        try CommittedGold(layout: layout, topicPartition: source, logger: logger).publish(
            after: marker, before: end, handovers: writer.handovers, to: publisher)
    }

    /// Where the next commit begins; nil in an empty lake.
    var nextOffset: Int64? { writer.nextOffset }

    /// Reads until stopped; then commits what it holds.
    ///
    /// - Parameter offsets: of the consumer group, in which the lake's progress is shown.
    /// - Returns: where to go on with another client, behind what this one cannot read; nil when stopped.
    func run(_ queue: PartitionQueue, consumer: KafkaConsumer, offsets: GroupOffsets) throws -> Int64? {
        batchNext = writer.nextOffset ?? 0
        while !stop.isRequested {
            let wait = batchStart == nil ? 200 : max(1, options.commitIntervalMilliseconds - batchAgeMilliseconds)
            var place: UnreadablePlace?
            var count = 0
            try queue.next(maxRecords: 8_192, timeoutMilliseconds: wait) { batch in
                place = batch.unreadable.first
                count = place?.recordsBefore ?? batch.count
                // What came before an error is taken first: it may be what the topic has no more.
                for index in 0..<count { try take(batch[index]) }
                if place == nil { for error in batch.errors { try handle(error) } }
            }
            if count > 0 { reading.noteProgress() }
            if place != nil || count == 0 && reading.isStalled(consumer) {
                if place != nil { metrics.brokerFaults.increment() }
                try commit()
                if try reading.settle(lakeEnd: writer.nextOffset, after: place?.error) { return reading.position }
            }
            if batchStart != nil, batchAgeMilliseconds >= options.commitIntervalMilliseconds { try commit() }
            // Without traffic there is no commit after which news would be looked for.
            if batchStart == nil {
                try followGenerations()
                try handOverNothing()
                try publisher.collectReports(timeoutMilliseconds: 0)
            }
            report(offsets)
        }
        try commit()
        reportedAt = 0
        report(offsets)
        return nil
    }

    /// To be called when no more is read: it waits for nothing any more.
    func endReading() { reading.end() }

    /// Once a second shows how far the lake is: to the meter, and as the consumer group's offset for tools to see.
    private func report(_ offsets: GroupOffsets) {
        let now = SystemClock.monotonicNanoseconds()
        guard now - reportedAt >= 1_000_000_000, let next = writer.nextOffset else { return }
        reportedAt = now
        meter.reach(source.partition, max(next, reading.gapStart == nil ? next : reading.position))
        // Informational: a failure changes nothing, and is shown once in the log at debug level.
        do throws(KafkaError) {
            for failure in offsets.commitResults().failures { throw failure }
            try offsets.commit([(topic: source.topic, partition: source.partition, nextOffset: next)])
        } catch {
            metrics.groupFaults.increment()
            logger.debug("group offset not committed", ["error": "\(error)"])
        }
    }

    private var batchAgeMilliseconds: Int {
        Int((SystemClock.monotonicNanoseconds() - batchSince) / 1_000_000)
    }

    private func handle(_ error: KafkaError) throws {
        metrics.brokerFaults.increment()
        if error.kind == .offsetOutOfRange {
            // What is in hand may be gone from the topic, too. The next start looks at the log's bounds and decides.
            try commit()
            throw ReadingInterrupted(source: source, offset: batchNext, cause: error.description)
        }
        guard error.isRetriable || error.kind == .allBrokersDown || error.kind == .transport else { throw error }
        logger.warning("broker trouble, going on when it heals", ["error": "\(error)"])
    }

    private func take(_ record: KafkaRecord) throws {
        let offset = record.offset
        reading.position = offset + 1
        let time = SourceRecord.brokerMilliseconds(record.timestampMilliseconds)
        let expected = batchStart == nil ? writer.nextOffset : batchNext
        if let expected, offset < expected {
            try checkSameTopic(record)
            metrics.skipped.increment()
            return
        }
        let place = try writer.place(time, after: batchStart == nil ? writer.brokerTimeMax : batchTimeMax)
        let hour = place.hour
        // A commit holds one run of offsets within one hour.
        if batchStart != nil,
            hour != batchHour || place.isReset || offset != batchNext || batchBytes >= options.commitBytesMax
        {
            try commit()
        }
        if batchStart == nil {
            if writer.nextOffset == nil { try handOverAll(at: reading.gapStart ?? offset) }
            batchStart = offset
            batchSince = SystemClock.monotonicNanoseconds()
            batchHour = hour
            batchResetsTime = place.isReset
            batchTimesAhead = 0
        }
        if place.isAhead || place.isReset { note(place, of: record) }
        headers.removeAll()
        record.forEachHeader { headers.add($0, $1) }
        let value = record.value
        try headers.json.withUnsafeBytes { json in
            _ = try processor.process(
                SourceRecord(
                    topic: source.topic, partition: source.partition, offset: offset,
                    timestampMilliseconds: record.timestampMilliseconds,
                    key: record.key, headers: json, origin: headers.origin, mayRepeat: headers.mayRepeat,
                    eventID: headers.eventID, receivedMilliseconds: headers.receivedMilliseconds, value: value))
        }
        batchNext = offset + 1
        batchTimeMax = place.time
        batchBytes += value?.count ?? 0
    }

    /// Says that a broker's clock, or this machine's, is wrong.
    private func note(_ place: HourPlace, of record: KafkaRecord) {
        if place.isReset {
            logger.warning(
                "the lake's hour lay too far ahead of this machine's clock; it is sealed, and the record begins an hour "
                    + "of its own",
                ["topic_partition": "\(source)", "offset": String(record.offset), "hour": "\(place.hour)"])
            return
        }
        batchTimesAhead += 1
        metrics.timesAhead.increment()
        guard let count = aheadReports.admit() else { return }
        logger.warning(
            "broker times lie too far ahead of this machine's clock and do not move the lake's hour; are both clocks "
                + "right? LAKE_CLOCK_AHEAD_MAX_SEC is the bound",
            [
                "topic_partition": "\(source)", "offset": String(record.offset),
                "broker_time_ms": String(record.timestampMilliseconds), "records": String(count),
            ])
    }

    /// The record before the checkpoint must be the one that was committed; else the topic was made anew.
    private func checkSameTopic(_ record: KafkaRecord) throws {
        guard batchStart == nil, record.offset + 1 == writer.nextOffset else { return }
        var digest: [UInt8] = []
        if let value = record.value {
            var hasher = try LibraryHasher()
            try hasher.appendHexDigest(of: value, to: &digest)
        }
        let found = String(decoding: digest, as: UTF8.self)
        guard found == writer.lastSHA256 else {
            throw StreamJobError(
                "\(source): offset \(record.offset) is not the record that the lake holds (SHA-256 \(found), expected "
                    + "\(writer.lastSHA256)): the topic was made anew. Use another LAKE_DIR for the new topic "
                    + "(docs/troubleshooting.md)")
        }
    }

    /// Commits the batch, trying again while the disk is full or the like; intake waits meanwhile.
    private func commit() throws {
        guard let start = batchStart, let range = OffsetRange(start: start, end: batchNext) else { return }
        let began = SystemClock.monotonicNanoseconds()
        var batch = processor.batch(
            range, hour: batchHour, brokerTimeMax: batchTimeMax, gapReason: reading.gapReason)
        batch.resetsTime = batchResetsTime
        batch.timesAhead = batchTimesAhead
        let record = try commitWithRetries(batch)
        reading.forgetGap()
        metrics.commitSeconds.observe(Double(SystemClock.monotonicNanoseconds() - began) / 1e9)
        note(record)
        try publish(range)
        if let reporter { CommittedRun(layout: layout, source: source).note(record, options.goldTopic, in: reporter) }
        batchStart = nil
        batchBytes = 0
        processor.removeLines()
        try followGenerations()
    }

    private func commitWithRetries(_ batch: CommitBatch) throws -> CommitRecord {
        var backoff = Backoff(baseMilliseconds: 100, capMilliseconds: 5_000)
        var isTroubled = false
        defer { if isTroubled { tell(nil) } }
        while true {
            do throws(LakeError) {
                return try writer.commit(batch)
            } catch {
                guard error.isRetriable, !stop.isRequested else { throw error }
                isTroubled = true
                tell("\(source): commits to the lake fail and are tried again: \(error)")
                metrics.commitFailures.increment()
                logger.error("commit failed, trying again", ["topic_partition": "\(source)", "error": "\(error)"])
            }
            if stop.sleep(milliseconds: backoff.next()) { throw CancellationError() }
        }
    }

    private func note(_ record: CommitRecord) {
        metrics.commits.increment()
        metrics.records.increment(by: processor.bronzeCount)
        metrics.bytes.increment(by: batchBytes)
        metrics.duplicates.increment(by: processor.duplicateCount)
        metrics.canaries.increment(by: processor.canaryCount)
        if let gap = record.gap { metrics.gapOffsets.increment(by: Int(gap.count)) }
        guard let first = processor.generations.first else { return }
        metrics.silver.increment(by: first.lines.silverCount)
        metrics.gold.increment(by: first.lines.goldCount)
        metrics.note(first.lines.rules)
        samples.note(first.lines.rules)
        eventTime.note(first.lines.eventTimes, brokerTimeMax: record.brokerTimeMax)
    }

    private func publish(_ range: OffsetRange) throws {
        try processor.goldIDs.withUnsafeBytes { ids in
            for entry in processor.gold {
                try processor.generations[entry.generationIndex].lines.gold.withUnsafeBytes { text in
                    let place = GoldTopic.Place(
                        entry, of: source, generation: processor.generations[entry.generationIndex].number)
                    try publisher.publish(
                        GoldPublisher.Document(
                            place: place, id: UnsafeRawBufferPointer(rebasing: ids[entry.documentID]),
                            line: UnsafeRawBufferPointer(rebasing: text[entry.line])))
                }
            }
        }
        metrics.published.increment(by: processor.gold.count)
        try publisher.publish(
            CommitMarker(
                generations: processor.generations.map(\.number), topicPartition: source, range: range,
                handovers: writer.handovers))
    }

    // MARK: - Generations

    /// Feeds new generations from the next commit on, and gives pruned ones up; takes out what is erased. Cheap when nothing changed.
    private func followGenerations() throws {
        if erasures.follow(&writer, stop), processor.hasTexts {
            // What is gone hides nothing any more, as after a start.
            processor.forgetTexts()
            try forEachWindowRecord { $0.warmTexts($1) }
        }
        let stamp = generationLog.stamp()
        guard stamp == nil || stamp != generationStamp else { return }
        let known = try generationLog.read()
        guard !known.isEmpty else {
            throw StreamJobError("\(generationLog.path) lists no generation any more: put it back")
        }
        let changes = GenerationChanges(
            known: known, source: source, handovers: writer.handovers,
            feeding: processor.generations.map(\.number), nextOffset: writer.nextOffset)
        for number in changes.stopped {
            writer.stopFeeding(number)
            processor.remove(number)
        }
        for text in changes.complaints { logger.error(text, ["topic_partition": "\(source)"]) }
        for generation in changes.fed {
            if let next = writer.nextOffset { try writer.handOver(to: generation.number, at: next) }
            guard !processor.generations.contains(where: { $0.number == generation.number }) else { continue }
            // Between two commits all that was taken in is in Bronze.
            if try processor.add(generation) { try warmWindows() }
            logger.info(
                "feeding generation \(generation.number)",
                [
                    "topic_partition": "\(source)",
                    "logic_version": generation.logic.logic(of: source.topic)?.logicVersion ?? "",
                    "from": String(writer.nextOffset ?? 0),
                ])
        }
        generationStamp = stamp
    }

    /// In an empty lake every generation is fed from the first record.
    private func handOverAll(at offset: Int64) throws {
        for generation in processor.generations { try writer.handOver(to: generation.number, at: offset) }
    }

    /// Where the topic partition has given nothing yet, a child is handed over before anything comes: its replay waits for that.
    private func handOverNothing() throws {
        guard writer.nextOffset == nil, processor.generations.count > 1 else { return }
        try handOverAll(at: reading.gapStart ?? reading.position)
    }

    private func warmWindows() throws { try forEachWindowRecord { $0.warm($1) } }

    /// Reads the records that windows reach back to.
    private func forEachWindowRecord(_ take: (inout RecordProcessor, BronzeRecord) -> Void) throws {
        let reader = LakeReader(layout: layout)
        // What retention gave up is older than the window.
        guard let next = writer.nextOffset, let held = try reader.heldRange(source),
            let range = OffsetRange(start: max(held.start, next - processor.windowOffsets), end: next)
        else { return }
        try reader.forEachLine(.bronze, generation: nil, source: source, range: range) { _, line in
            if let record = BronzeLine.readSealed(line) { take(&processor, record) }
            return true
        }
    }
}
