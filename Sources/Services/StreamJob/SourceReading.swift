import Bytes
import Kafka
import KafkaAccess
import Records
import ServiceLifecycle
import Telemetry

/// Where a worker reads its topic partition, and what it does where reading cannot go on: a batch that no client can read,
/// a log that is ahead while nothing comes.
///
/// Not thread-safe; used on the worker's thread.
struct SourceReading {
    /// The longest reason that goes into a commit log, in bytes.
    private static let reasonBytesMax = 500

    private let source: TopicPartition
    private let options: StreamJobOptions
    private let metrics: StreamJobMetrics
    private let logger: Logger
    private let probe: LogProbe
    private let stalled: Gauge
    /// Shows people what is waited for; nil: nothing.
    private let tell: (String?) -> Void

    /// The offset that is to be read next.
    var position: Int64 = 0
    /// Where the offsets begin that were passed by since the last commit; nil where none were.
    private(set) var gapStart: Int64?
    /// Why they were, for the commit log.
    private(set) var gapReason: String?
    private var watch: StallWatch
    private var isTroubled = false
    /// Up to here there is nothing to read: what lies there belongs to transactions.
    private var emptyUpTo: Int64 = 0
    private var logEnd: Int64?
    private var endAskedAt: Int64 = 0
    /// Made when the log's end is asked for the first time.
    private var asker: KafkaAdmin?

    init(
        source: TopicPartition, options: StreamJobOptions, registry: MetricsRegistry, metrics: StreamJobMetrics,
        logger: Logger, stop: StopSignal, tell: @escaping (String?) -> Void
    ) {
        self.source = source
        self.options = options
        self.metrics = metrics
        self.logger = logger
        self.tell = tell
        watch = StallWatch(limitMilliseconds: options.stallMilliseconds)
        probe = LogProbe(options.kafka, source) { stop.isRequested }
        stalled = registry.gauge(
            "medallion_stream_stalled",
            help: "1 while the log of the source topic partition is ahead and nothing of it comes, else 0.",
            labels: [("topic", source.topic), ("partition", String(source.partition))])
        stalled.set(0)
    }

    /// Notes offsets that are passed by, and why; the next commit records both.
    mutating func noteGap(from start: Int64, _ reason: String) {
        gapStart = gapStart ?? start
        let text = gapReason.map { $0.contains(reason) ? $0 : "\($0); \(reason)" } ?? reason
        gapReason = String(decoding: text.utf8.prefix(Self.reasonBytesMax), as: UTF8.self)
    }

    /// To be called after a commit that recorded the gap.
    mutating func forgetGap() {
        guard gapStart != nil else { return }
        gapStart = nil
        gapReason = nil
    }

    /// To be called after a read that brought records.
    mutating func noteProgress() {
        if isTroubled { noteTrouble(nil) }
    }

    /// To be called when the worker ends: of a topic partition that is not read nobody knows that it stalls.
    mutating func end() { noteTrouble(nil) }

    private mutating func noteTrouble(_ trouble: String?) {
        isTroubled = trouble != nil
        stalled.set(isTroubled ? 1 : 0)
        tell(trouble)
    }

    /// To be called after a read that brought nothing.
    ///
    /// - Returns: whether the log has been ahead for so long that the place must be looked at with ``settle(lakeEnd:after:)``.
    mutating func isStalled(_ consumer: KafkaConsumer) -> Bool {
        let now = SystemClock.monotonicNanoseconds() / 1_000_000
        let seen = consumer.lastSeenWatermarks(topic: source.topic, partition: source.partition)?.high
        if seen ?? 0 <= position, now - endAskedAt > min(StallWatch.askMilliseconds, options.stallMilliseconds) {
            endAskedAt = now
            logEnd = askedLogEnd()
        }
        let end = max(seen ?? 0, logEnd ?? 0)
        guard watch.look(position: max(position, emptyUpTo), end: end, now: now) else { return false }
        if !isTroubled {
            logger.error(
                "the log is ahead, but nothing of it comes; looking for the reason",
                ["topic_partition": "\(source)", "offset": String(position), "log_end": String(end)])
        }
        noteTrouble("\(source): the log ends at offset \(end), but nothing has come since offset \(position)")
        return true
    }

    /// The log's end, asked over a connection of its own, since a fetch without an answer holds up what the consumer asks
    /// behind it; nil where no answer comes. That is noticed by others; here it only means that nothing is known.
    private mutating func askedLogEnd() -> Int64? {
        do throws(KafkaError) {
            if asker == nil { asker = try KafkaAdmin(options.kafka, requestMilliseconds: 2_000) }
            return try asker?.watermarks(
                topic: source.topic, partition: source.partition, timeoutMilliseconds: 1_000
            ).high
        } catch {
            asker = nil
            return nil
        }
    }

    /// Finds out what lies at the position, and passes it by if it cannot be read and the settings say so. All that was
    /// read before must be committed.
    ///
    /// - Parameters:
    ///   - lakeEnd: the next offset that the lake wants; nil for an empty lake.
    ///   - fault: what was said about the place; nil where nothing came at all.
    /// - Returns: whether the place was passed by. Then reading goes on at ``position`` with a new client: what the old one
    ///   still has in its queue is about the old place, and librdkafka does not take its errors back.
    /// - Throws: ``StreamJobError`` with the way out where the role is to stop; ``ReadingInterrupted`` where a new start
    ///   helps.
    mutating func settle(lakeEnd: Int64?, after fault: KafkaError?) throws -> Bool {
        let finding: LogProbe.Finding
        do { finding = try probe.examine(from: position) } catch let error as KafkaError {
            throw interrupted(error.description)
        }
        switch finding {
        case .unreadable(let range, let reason):
            try pass(range, reason, lakeEnd)
            return true
        case .readable: throw interrupted(fault?.description ?? "nothing came, but the broker has records")
        case .end(let next, let end):
            if let fault { throw interrupted(fault.description) }
            emptyUpTo = next
            noteTrouble(
                next < end
                    ? "\(source): an open transaction holds up everything from offset \(next) on; the log ends at \(end)"
                    : nil)
        case .silent:
            if let fault { throw interrupted(fault.description) }
            noteTrouble(
                "\(source): the broker gives nothing from offset \(position) on, though its log goes on; look at the broker"
            )
        }
        return false
    }

    private func interrupted(_ cause: String) -> ReadingInterrupted {
        ReadingInterrupted(source: source, offset: position, cause: cause)
    }

    private mutating func pass(
        _ range: OffsetRange, _ reason: String, _ lakeEnd: Int64?
    ) throws {
        if let lost = OffsetRange(start: max(range.start, lakeEnd ?? range.start), end: range.end), !lost.isEmpty {
            metrics.unreadableOffsets.increment(by: Int(clamping: lost.count))
            guard options.expiredOffsets == .goOn else {
                throw StreamJobError(
                    "\(source): offsets \(lost) of the topic cannot be read: \(reason). All before them is committed. "
                        + "Restore the topic, or set EXPIRED_OFFSETS=continue for one start: it goes on at \(lost.end), and "
                        + "the commit log records the gap")
            }
            logger.error(
                "records cannot be read; going on without them, as EXPIRED_OFFSETS says",
                ["topic_partition": "\(source)", "offsets": "\(lost)", "reason": reason])
            noteGap(from: lost.start, "unreadable: \(reason)")
        } else {
            logger.warning(
                "records that the lake holds can no longer be read from the topic",
                ["topic_partition": "\(source)", "offsets": "\(range)", "reason": reason])
        }
        position = range.end
        watch = StallWatch(limitMilliseconds: options.stallMilliseconds)
        if isTroubled { noteTrouble(nil) }
    }
}
