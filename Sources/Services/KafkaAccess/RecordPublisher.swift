import Bytes
import Concurrency
package import Kafka
import Records
import Synchronization
package import Telemetry

/// Hands batches of records to topics, and says where each record lies once all in-sync replicas have it.
///
/// One producer for all topics, made with the first batch. A lane sends, another makes topics that are missing, and a
/// thread takes the acknowledgements; no caller blocks, and a topic that cannot be written to holds up no other. Every
/// batch is answered within ``Bounds/messageMilliseconds``
/// and the time that the lane needs for those before it. Callers bound what is under way.
package final class RecordPublisher: Sendable {
    /// What it may take.
    package struct Bounds: Sendable {
        /// After that long without an acknowledgement a record counts as failed.
        package var messageMilliseconds = 8_000
        /// How long making sure of a topic may take.
        package var topicMilliseconds = 5_000
        /// After the broker could not be reached, or one topic not be written to, batches (of that topic) are refused at once for
        /// that long.
        package var pauseMilliseconds = 1_000
        /// Records in librdkafka's queue.
        package var queueMaxRecords = 200_000
        /// Kilobytes in librdkafka's queue.
        package var queueMaxKilobytes = 262_144
        /// The largest record.
        package var recordBytesMax = 1_048_576

        package init() {}
    }

    private let core: PublishingCore

    /// - Parameters:
    ///   - kafka: how to reach the brokers; asked with the first batch.
    ///   - plan: what a topic that is missing is to be like.
    package init(
        _ kafka: @escaping @Sendable () -> KafkaConfiguration, plan: @escaping @Sendable (String) -> TopicPlan,
        bounds: Bounds = Bounds(), logger: Logger
    ) {
        core = PublishingCore(kafka: kafka, plan: plan, bounds: bounds, logger: logger)
    }

    deinit { core.close() }

    /// Returns once all records of the batch are acknowledged, in its order.
    ///
    /// - Throws: ``PublishFault``. A cancelled task waits all the same: what is sent cannot be taken back.
    package func publish(_ batch: PublishedBatch, to topic: String) async throws -> [PublishedPlace] {
        guard !batch.records.isEmpty else { return [] }
        guard batch.records.count <= PublishedBatch.recordsMax else {
            throw PublishFault.notSent("a batch has at most \(PublishedBatch.recordsMax) records")
        }
        return try await withCheckedThrowingContinuation { core.take(batch, topic, $0) }
    }
}

/// What the threads of a publisher share.
private final class PublishingCore: Sendable {
    typealias Continuation = CheckedContinuation<[PublishedPlace], any Error>

    private let kafka: @Sendable () -> KafkaConfiguration
    private let plan: @Sendable (String) -> TopicPlan
    private let bounds: RecordPublisher.Bounds
    private let logger: Logger
    private let lane = Lane(name: "intake")
    /// Makes sure of topics, which may take seconds.
    private let topicLane = Lane(name: "intake-topics")
    private let state = Mutex(State())

    /// Between two looks whether anything is to be done.
    private static let pollMilliseconds = 200
    private static let purgeMilliseconds = 2_000
    /// Between two looks whether a full queue has room again.
    private static let roomMilliseconds = 5

    /// A batch whose records are not all reported yet.
    private struct Pending: Sendable {
        let continuation: Continuation
        var left: Int
        var places: [PublishedPlace]
        var acknowledged = 0
        var failure: (index: Int, error: KafkaError)?

        func answer() {
            guard let failure else { return continuation.resume(returning: places) }
            let fault: PublishFault =
                failure.error.kind == .messageTooLarge
                ? .tooLarge(index: failure.index, failure.error)
                : .unconfirmed(failure.error, acknowledged: acknowledged)
            continuation.resume(throwing: fault)
        }
    }

    private struct State: Sendable {
        var client: KafkaProducer?
        var needsNewClient = false
        var isPolled = false
        var isClosed = false
        /// Topics that are known to be there.
        var topics: Set<String> = []
        /// While the broker is taken to be away, or one topic; nil stands for all topics.
        var away: [String?: (untilNanoseconds: Int64, error: KafkaError)] = [:]
        var batches: [Int64: Pending] = [:]
        var lastNumber: Int64 = 0

        mutating func note(_ number: Int64, _ index: Int, _ place: PublishedPlace, _ error: KafkaError?) {
            if let error {
                if batches[number]?.failure == nil { batches[number]?.failure = (index, error) }
            } else {
                batches[number]?.places[index] = place
                batches[number]?.acknowledged += 1
            }
            batches[number]?.left -= 1
        }

        /// The batch, where all of it is reported; it is gone then.
        mutating func finished(_ number: Int64) -> Pending? {
            batches[number]?.left == 0 ? batches.removeValue(forKey: number) : nil
        }
    }

    init(
        kafka: @escaping @Sendable () -> KafkaConfiguration, plan: @escaping @Sendable (String) -> TopicPlan,
        bounds: RecordPublisher.Bounds, logger: Logger
    ) {
        self.kafka = kafka
        self.plan = plan
        self.bounds = bounds
        self.logger = logger
    }

    func close() {
        let left = state.withLock { state in
            state.isClosed = true
            state.client = nil
            defer { state.batches = [:] }
            return Array(state.batches.values)
        }
        for pending in left {
            pending.continuation.resume(throwing: PublishFault.notSent("the process ends"))
        }
    }

    func take(_ batch: PublishedBatch, _ topic: String, _ continuation: Continuation) {
        let count = batch.records.count
        let number = state.withLock { state in
            state.lastNumber += 1
            state.batches[state.lastNumber] = Pending(
                continuation: continuation, left: count,
                places: Array(repeating: PublishedPlace(partition: -1, offset: -1), count: count))
            return state.lastNumber
        }
        let hasTopic = state.withLock { $0.topics.contains(topic) }
        post(number, to: hasTopic ? lane : topicLane) { [self] in
            guard !hasTopic else { return send(number, batch, topic) }
            do throws(KafkaError) { try make(topic) } catch { return refuse(number, "\(error)") }
            post(number, to: lane) { [self] in send(number, batch, topic) }
        }
    }

    private func post(_ number: Int64, to lane: Lane, _ body: @escaping @Sendable () -> Void) {
        do { try lane.post(body) } catch { refuse(number, "\(error)") }
    }

    /// Answers a batch of which nothing was sent.
    private func refuse(_ number: Int64, _ reason: String) {
        let pending = state.withLock { $0.batches.removeValue(forKey: number) }
        pending?.continuation.resume(throwing: PublishFault.notSent(reason))
    }

    // MARK: On the lane

    private func send(_ number: Int64, _ batch: PublishedBatch, _ topic: String) {
        let client: KafkaProducer
        do throws(KafkaError) { client = try ready(topic) } catch {
            return refuse(number, "\(error)")
        }
        guard let failure = enqueue(number, batch, topic, by: client) else { return }
        if failure.index == 0, failure.error.kind == .queueFull { return refuse(number, "\(failure.error)") }
        if failure.error.kind == .fatal { state.withLock { $0.needsNewClient = true } }
        // Nothing of those behind it was sent.
        let finished = state.withLock { state in
            for index in failure.index..<batch.records.count {
                state.note(number, index, PublishedPlace(partition: -1, offset: -1), failure.error)
            }
            return state.finished(number)
        }
        finished?.answer()
    }

    /// Puts the records of a batch into the client's queue. Once the first is in, it waits for room: half a batch is worse than a
    /// late one.
    ///
    /// - Returns: the first record that is not in it, with what is wrong.
    private func enqueue(
        _ number: Int64, _ batch: PublishedBatch, _ topic: String, by client: KafkaProducer
    ) -> (index: Int, error: KafkaError)? {
        batch.bytes.withUnsafeBytes { bytes -> (index: Int, error: KafkaError)? in
            for (index, record) in batch.records.enumerated() {
                let patience = Deadline(milliseconds: bounds.messageMilliseconds)
                while true {
                    do throws(KafkaError) {
                        try send(
                            record, UnsafeRawBufferPointer(rebasing: bytes[record.range]), batch.arrivalMilliseconds,
                            topic, by: client, token: number << 20 | Int64(index))
                        break
                    } catch {
                        guard error.kind == .queueFull, index > 0, !patience.hasPassed else { return (index, error) }
                        // The other thread takes reports out meanwhile.
                        Pause.milliseconds(Self.roomMilliseconds)
                    }
                }
            }
            return nil
        }
    }

    private func send(
        _ record: PublishedBatch.Record, _ value: UnsafeRawBufferPointer, _ arrivalMilliseconds: Int64, _ topic: String,
        by client: KafkaProducer, token: Int64
    ) throws(KafkaError) {
        let hasID = !record.eventID.isEmpty
        func enqueue(_ key: UnsafeRawBufferPointer?) throws(KafkaError) {
            try client.send(
                topic: topic, key: key, value: value, headerCount: hasID ? 3 : 1, token: token
            ) { headers in
                headers.add(IngestTimeHeader.header, decimal: arrivalMilliseconds)
                guard hasID else { return }
                record.eventID.withUnsafeBytes { headers.add(EventIDHeader.header, $0) }
                // The sender may repeat it much later.
                RepeatMark.value.withUnsafeBytes { headers.add(RepeatMark.header, $0) }
            }
        }
        guard let key = record.key else { return try enqueue(nil) }
        var failure: KafkaError?
        key.withUnsafeBytes { bytes in
            do throws(KafkaError) { try enqueue(bytes) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// The client.
    private func ready(_ topic: String) throws(KafkaError) -> KafkaProducer {
        replaceWhereNeeded()
        try checkAway(topic)
        if let known = state.withLock({ $0.client }) { return known }
        do throws(KafkaError) {
            let client = try KafkaProducer(kafka(), options: options)
            state.withLock { $0.client = $0.isClosed ? nil : client }
            guard startPolling() else {
                throw KafkaError(
                    kind: .other, operation: "produce", subject: topic,
                    reason: "there is no thread for acknowledgements", hint: "raise the limit for threads (ulimit -u)",
                    isRetriable: true)
            }
            return client
        } catch {
            noteAway(error, topic)
            throw error
        }
    }

    /// Makes sure of a topic. On its own lane.
    private func make(_ topic: String) throws(KafkaError) {
        try checkAway(topic)
        // One that waited before us may have made it.
        guard !state.withLock({ $0.topics.contains(topic) }) else { return }
        do throws(KafkaError) {
            let admin = try KafkaAdmin(kafka(), requestMilliseconds: bounds.topicMilliseconds)
            _ = try admin.ensure(plan(topic), logger: logger, timeoutMilliseconds: bounds.topicMilliseconds)
            state.withLock { state in
                state.away[topic] = nil
                state.topics.insert(topic)
            }
        } catch {
            noteAway(error, topic)
            throw error
        }
    }

    private func checkAway(_ topic: String) throws(KafkaError) {
        let now = SystemClock.monotonicNanoseconds()
        let error = state.withLock { state -> KafkaError? in
            for key in [nil, topic] as [String?] {
                if let away = state.away[key], now < away.untilNanoseconds { return away.error }
            }
            return nil
        }
        if let error { throw error }
    }

    private var options: ProducerOptions {
        var options = ProducerOptions()
        options.queueMaxRecords = bounds.queueMaxRecords
        options.queueMaxKilobytes = bounds.queueMaxKilobytes
        options.lingerMilliseconds = 2
        options.messageTimeoutMilliseconds = bounds.messageMilliseconds
        options.messageMaxBytes = bounds.recordBytesMax + 65_536
        return options
    }

    /// What concerns the connections concerns all topics, anything else that one alone.
    private func noteAway(_ error: KafkaError, _ topic: String) {
        let until = SystemClock.monotonicNanoseconds() + Int64(bounds.pauseMilliseconds) * 1_000_000
        let isOfAll = error.kind == .transport || error.kind == .allBrokersDown
        state.withLock { $0.away[isOfAll ? nil : topic] = (until, error) }
        logger.warning(
            "documents cannot be handed to the broker", ["topic": topic, "error": error.description])
    }

    /// Gives up a client after a fatal fault. What it still had is reported as failed.
    private func replaceWhereNeeded() {
        let old = state.withLock { state -> KafkaProducer? in
            guard state.needsNewClient else { return nil }
            state.needsNewClient = false
            defer { state.client = nil }
            return state.client
        }
        guard let old else { return }
        logger.warning("the Kafka client is replaced after a fatal error")
        old.purge()
        take(old.flush(timeoutMilliseconds: Self.purgeMilliseconds))
    }

    // MARK: On the thread of acknowledgements

    /// False where the system gives no thread.
    private func startPolling() -> Bool {
        let isNew = state.withLock { state in
            defer { state.isPolled = true }
            return !state.isPolled
        }
        guard isNew else { return true }
        let isStarted = Threads.start(name: "intake-acks") { [self] in
            var lastError = ""
            while true {
                let (client, isClosed) = state.withLock { ($0.client, $0.isClosed) }
                if isClosed { return }
                guard let client else {
                    Pause.milliseconds(Self.pollMilliseconds / 10)
                    continue
                }
                take(client.poll(timeoutMilliseconds: Self.pollMilliseconds))
                for error in client.takeErrors() {
                    if error.kind == .fatal { state.withLock { $0.needsNewClient = true } }
                    if error.description != lastError { logger.warning("broker trouble", ["error": error.description]) }
                    lastError = error.description
                }
            }
        }
        if !isStarted { state.withLock { $0.isPolled = false } }
        return isStarted
    }

    private func take(_ reports: [DeliveryReport]) {
        guard !reports.isEmpty else { return }
        var finished: [Pending] = []
        var away: [String: KafkaError] = [:]
        state.withLock { state in
            for report in reports {
                let (number, index) = (report.token >> 20, Int(report.token & 0xF_FFFF))
                state.note(
                    number, index, PublishedPlace(partition: report.partition, offset: report.offset), report.error)
                switch report.error?.kind {
                case .unknownTopicOrPartition: state.topics.remove(report.topic)
                case .fatal: state.needsNewClient = true
                case .timedOut, .transport, .allBrokersDown: away[report.topic] = report.error
                default: break
                }
                if let done = state.finished(number) { finished.append(done) }
            }
        }
        for (topic, error) in away { noteAway(error, topic) }
        for pending in finished { pending.answer() }
    }
}
