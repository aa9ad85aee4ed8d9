import Concurrency
package import Kafka
package import Records
package import ServiceLifecycle
package import Settings
import Synchronization
package import Telemetry

extension TopicPlan {
    /// The topic of suppressions: one topic partition, so that a lift never comes before what it lifts, and kept for ever.
    package init(suppressions settings: Settings) {
        var properties = Self.brokerTime
        properties["retention.ms"] = "-1"
        properties["retention.bytes"] = "-1"
        properties["cleanup.policy"] = "delete"
        self.init(
            name: settings.topics.suppressions, partitions: 1,
            replicationFactor: settings.topics.replication == 0 ? -1 : settings.topics.replication,
            properties: properties)
    }
}

/// Hands suppressions and lifts to their topic. Any thread may call; one call works at a time, and blocks.
package final class SuppressionPublisher: Sendable {
    private let kafka: @Sendable () -> KafkaConfiguration
    private let plan: TopicPlan
    private let logger: Logger
    private let producer = Mutex<KafkaProducer?>(nil)

    private static let ensureMilliseconds = 5_000

    /// - Parameter kafka: asked when the first entry is handed over.
    package init(_ kafka: @escaping @Sendable () -> KafkaConfiguration, plan: TopicPlan, logger: Logger) {
        self.kafka = kafka
        self.plan = plan
        self.logger = logger
    }

    /// Returns once all in-sync replicas have the entry.
    ///
    /// - Throws: ``KafkaError``; then the broker may have it all the same. Entries have ids, so that the same one may be handed
    ///   over again.
    package func publish(_ entry: SuppressionEntry, timeoutMilliseconds: Int) throws(KafkaError) {
        let result = producer.withLock { known -> Result<Void, KafkaError> in
            do throws(KafkaError) {
                let producer: KafkaProducer
                if let known { producer = known } else { producer = try make(timeoutMilliseconds) }
                // After a failure a new one begins: nothing of the former may come later.
                known = nil
                try send(entry, by: producer, timeoutMilliseconds)
                known = producer
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }

    private func make(_ timeoutMilliseconds: Int) throws(KafkaError) -> KafkaProducer {
        let configuration = kafka()
        _ = try KafkaAdmin(configuration).ensure(
            plan, logger: logger, timeoutMilliseconds: min(timeoutMilliseconds, Self.ensureMilliseconds))
        var options = ProducerOptions()
        options.lingerMilliseconds = 0
        options.messageTimeoutMilliseconds = max(1_000, timeoutMilliseconds)
        return try KafkaProducer(configuration, options: options)
    }

    private func send(
        _ entry: SuppressionEntry, by producer: KafkaProducer, _ timeoutMilliseconds: Int
    ) throws(KafkaError) {
        try producer.send(topic: plan.name, partition: 0, key: Array(entry.id.utf8), value: entry.json, token: 1)
        let reports = producer.flush(timeoutMilliseconds: timeoutMilliseconds)
        guard let report = reports.last(where: { $0.token == 1 }) else {
            throw KafkaError(
                kind: .timedOut, operation: "produce", subject: plan.name,
                reason: "not acknowledged in \(timeoutMilliseconds) ms", isRetriable: true)
        }
        if let error = report.error { throw error }
    }
}

/// What keeps suppressions from being kept or applied, for `/health`.
package final class SuppressionFaults: Sendable {
    private let reasons = Mutex<[String: String]>([:])

    package init() {}

    /// What is wrong now; nil where nothing is.
    package var current: String? {
        reasons.withLock { reasons in
            reasons.isEmpty ? nil : reasons.sorted { $0.key < $1.key }.map(\.value).joined(separator: "; ")
        }
    }

    /// Takes note of what keeps a service from its work.
    ///
    /// - Returns: whether it is another reason than before.
    package func note(_ reason: String, by service: String) -> Bool {
        reasons.withLock { $0.updateValue(reason, forKey: service) != reason }
    }

    /// Takes it back.
    package func clear(by service: String) {
        reasons.withLock { _ = $0.removeValue(forKey: service) }
    }
}

/// Follows the suppressions' topic, in its order, and hands what comes to one who keeps or applies it.
package struct SuppressionFollower: Sendable {
    /// A record of the topic; nil for one that is no entry.
    package typealias Record = (nextOffset: Int64, entry: SuppressionEntry?)

    private let kafka: @Sendable () -> KafkaConfiguration
    private let plan: TopicPlan
    private let logger: Logger
    private let laneName: String

    private static let ensureMilliseconds = 5_000
    private static let waitMilliseconds = 200
    private static let recordsMax = 500
    private static let queueKilobytes = 4_096

    /// - Parameters:
    ///   - kafka: asked whenever reading begins.
    ///   - laneName: of the thread that reads.
    package init(
        _ kafka: @escaping @Sendable () -> KafkaConfiguration, plan: TopicPlan, laneName: String, logger: Logger
    ) {
        self.kafka = kafka
        self.plan = plan
        self.laneName = laneName
        self.logger = logger
    }

    /// The topic's name.
    package var topic: String { plan.name }

    /// Follows until stopped; what fails is tried again from where `position` says.
    ///
    /// - Parameters:
    ///   - position: called on the lane when reading begins; the next offset, nil for the topic's beginning. What lies outside of the
    ///     topic, as where that was made anew, means its beginning, too: entries have ids.
    ///   - take: called on the lane with some records in a row; they count as taken when it returns.
    package func run(
        stop: StopSignal, position: @escaping @Sendable () throws -> Int64?,
        take: @escaping @Sendable ([Record]) throws -> Void
    ) async {
        let lane = Lane(name: laneName)
        var backoff = Backoff(baseMilliseconds: 100, capMilliseconds: 2_000)
        while !stop.isRequested {
            do {
                try await lane.run { [self] in
                    try follow(isStopped: { stop.isRequested }, untilEnd: false, position: position, take: take)
                }
                backoff.reset()
            } catch {
                if stop.isRequested { return }
                let wait = backoff.next()
                logger.warning(
                    "suppressions are not followed; tried again", ["error": "\(error)", "wait_ms": "\(wait)"])
                if await stop.pause(milliseconds: wait) { return }
            }
        }
    }

    /// Reads on the calling thread up to what the topic holds now, or until `isStopped`.
    package func catchUp(
        isStopped: @escaping @Sendable () -> Bool, position: () throws -> Int64?, take: ([Record]) throws -> Void
    ) throws { try follow(isStopped: isStopped, untilEnd: true, position: position, take: take) }

    private func follow(
        isStopped: () -> Bool, untilEnd: Bool, position: () throws -> Int64?, take: ([Record]) throws -> Void
    ) throws {
        let configuration = kafka()
        let admin = try KafkaAdmin(configuration, requestMilliseconds: Self.ensureMilliseconds)
        _ = try admin.ensure(plan, logger: logger, timeoutMilliseconds: Self.ensureMilliseconds)
        let marks = try admin.watermarks(
            topic: topic, partition: 0, timeoutMilliseconds: Self.ensureMilliseconds)
        let known = try position()
        if known == nil, marks.low > 0 {
            logger.warning(
                "the topic of suppressions has lost its beginning; what stood there is known by the lake's log alone",
                ["topic": topic, "first_offset": "\(marks.low)"])
        }
        var next = known ?? marks.low
        if next < marks.low || next > marks.high { next = marks.low }
        if untilEnd, next >= marks.high { return }
        var options = ConsumerOptions()
        options.hasQueuePerTopicPartition = false
        options.queueMaxKilobytes = Self.queueKilobytes
        options.queueMinRecords = Self.recordsMax
        let consumer = try KafkaConsumer(configuration, options: options)
        try consumer.assign([(topic, 0, .at(next))])
        while !isStopped() {
            let records = try consumer.next(
                maxRecords: Self.recordsMax, timeoutMilliseconds: Self.waitMilliseconds
            ) { batch -> [Record] in
                if let error = batch.errors.first(where: { !$0.isRetriable }) { throw error }
                return (0..<batch.count).map { index in
                    let record = batch[index]
                    return (record.offset + 1, entry(of: record))
                }
            }
            guard let last = records.last else { continue }
            try take(records)
            if untilEnd, last.nextOffset >= marks.high { return }
        }
    }

    private func entry(of record: KafkaRecord) -> SuppressionEntry? {
        guard let value = record.value else { return nil }
        do throws(RecordFormatError) {
            return try SuppressionEntry(value)
        } catch {
            logger.error(
                "a record of the suppressions' topic is no suppression; it is left out",
                ["topic": topic, "offset": "\(record.offset)", "error": "\(error)"])
            return nil
        }
    }
}
