import Bytes
import Concurrency
import Health
import Records
import ServiceLifecycle
import Telemetry

/// The reading of one source's Gold topic within the hub's. A topic that cannot be read is opened again and again, and
/// holds up no other for longer than the attempt takes. Confined to the hub's lane.
struct SourceReading {
    private let source: StreamSource
    /// Documents of it that may wait for the index.
    private let share: Int
    private let topics: any EventTopics
    private let logger: Logger
    private var reader: (any EventReader)?
    private var backoff = Backoff(baseMilliseconds: 200, capMilliseconds: 5_000)
    /// When it is to be opened again, on the monotonic clock.
    private var opensAt: Int64 = 0

    private static let readMax = 1_000

    init(_ source: StreamSource, share: Int, topics: any EventTopics, logger: Logger) {
        self.source = source
        self.share = share
        self.topics = topics
        self.logger = logger
    }

    /// Whether it is to be read now.
    func isReady(_ order: EventOrder) -> Bool {
        guard reader != nil else { return SystemClock.monotonicNanoseconds() >= opensAt }
        return order.waitingCount(source.topic) < share
    }

    /// Tells how far the lake has committed the source's topic; nothing while the Gold topic is not open.
    func tell(_ flow: PipelineFlow, _ order: EventOrder) {
        guard let reader else { return }
        var nextOffsets: [Int32: Int64] = [:]
        for (place, next) in reader.committed.entries where place.topic == source.topic {
            nextOffsets[place.partition] = next
        }
        flow.note(committed: nextOffsets, isHeld: order.waitingCount(source.topic) >= share, topic: source.topic)
    }

    /// Reads the items that have arrived. Opens the topic if it is not open, where `order` has given everything so far.
    mutating func read(
        _ order: inout EventOrder, waitMilliseconds: Int, isStopped: @escaping @Sendable () -> Bool
    ) -> [TopicItem] {
        do {
            let reader: any EventReader
            if let open = self.reader {
                reader = open
            } else {
                // What waits is read again.
                order.forget(source.topic)
                reader = try topics.open(source, from: order.given.only(source.topic), isStopped: isStopped)
                self.reader = reader
            }
            let items = try reader.next(countMax: Self.readMax, timeoutMilliseconds: waitMilliseconds)
            backoff.reset()
            return items
        } catch {
            self.reader = nil
            if isStopped() { return [] }
            let wait = backoff.next()
            opensAt = SystemClock.monotonicNanoseconds() + Int64(wait) * 1_000_000
            logger.warning(
                "the event stream of a source is interrupted",
                ["source": source.name, "error": "\(error)", "wait_ms": "\(wait)"])
            return []
        }
    }
}
