import Concurrency
package import Kafka
package import Records
package import ServiceLifecycle
package import Settings
import Synchronization
package import Telemetry

/// A record of a topic of one topic partition that is kept for ever: of what people decide, of which there is little.
package protocol TopicEntry: Sendable {
    /// The same for the same entry, however often it is handed over.
    var id: String { get }
    /// One JSON object.
    var json: [UInt8] { get }
    /// Reads one.
    init(_ bytes: UnsafeRawBufferPointer) throws(RecordFormatError)

    /// What they are, for messages: a plural.
    static var what: String { get }
    /// What is said where the topic has lost its beginning.
    static var wordsOfLostBeginning: String { get }
}

extension TopicPlan {
    /// A topic of entries: one topic partition, so that none comes before one that it answers, and kept for ever.
    package init(entries name: String, _ settings: Settings) {
        var properties = Self.brokerTime
        properties["retention.ms"] = "-1"
        properties["retention.bytes"] = "-1"
        properties["cleanup.policy"] = "delete"
        self.init(
            name: name, partitions: 1,
            replicationFactor: settings.topics.replication == 0 ? -1 : settings.topics.replication,
            properties: properties)
    }
}

/// What bounds reading and writing of such topics.
private enum EntryLimits {
    static let ensureMilliseconds = 5_000
    static let waitMilliseconds = 200
    static let recordsMax = 500
    static let queueKilobytes = 4_096
    static let lookRequestMilliseconds = 3_000
}

/// Hands entries to their topic. Any thread may call; one call works at a time, and blocks.
package final class EntryPublisher<Entry: TopicEntry>: Sendable {
    private let kafka: @Sendable () -> KafkaConfiguration
    private let plan: TopicPlan
    private let logger: Logger
    private let producer = Mutex<KafkaProducer?>(nil)

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
    package func publish(_ entry: Entry, timeoutMilliseconds: Int) throws(KafkaError) {
        let deadline = Deadline(milliseconds: timeoutMilliseconds)
        let result = producer.withLock { known -> Result<Void, KafkaError> in
            do throws(KafkaError) {
                let producer: KafkaProducer
                if let known { producer = known } else { producer = try make(timeoutMilliseconds) }
                // Others, and the making, took of the time: who asked may have been refused, and then nothing may come later.
                let left = deadline.leftMilliseconds
                guard left > 0 else { throw late(timeoutMilliseconds) }
                // After a failure a new one begins: nothing of the former may come later.
                known = nil
                try send(entry, by: producer, left)
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
            plan, logger: logger, timeoutMilliseconds: min(timeoutMilliseconds, EntryLimits.ensureMilliseconds))
        var options = ProducerOptions()
        options.lingerMilliseconds = 0
        options.messageTimeoutMilliseconds = max(1_000, timeoutMilliseconds)
        return try KafkaProducer(configuration, options: options)
    }

    private func send(
        _ entry: Entry, by producer: KafkaProducer, _ timeoutMilliseconds: Int
    ) throws(KafkaError) {
        try producer.send(topic: plan.name, partition: 0, key: Array(entry.id.utf8), value: entry.json, token: 1)
        let reports = producer.flush(timeoutMilliseconds: timeoutMilliseconds)
        guard let report = reports.last(where: { $0.token == 1 }) else {
            throw late(timeoutMilliseconds)
        }
        if let error = report.error { throw error }
    }

    private func late(_ timeoutMilliseconds: Int) -> KafkaError {
        KafkaError(
            kind: .timedOut, operation: "produce", subject: plan.name,
            reason: "not acknowledged in \(timeoutMilliseconds) ms", isRetriable: true)
    }
}

/// Follows a topic of entries, in its order, and hands what comes to one who keeps or applies it.
package struct EntryFollower<Entry: TopicEntry>: Sendable {
    /// A record of the topic; nil for one that is no entry.
    package typealias Record = (nextOffset: Int64, entry: Entry?)

    private let kafka: @Sendable () -> KafkaConfiguration
    private let plan: TopicPlan
    private let logger: Logger
    private let laneName: String
    private let lookMilliseconds: Int

    /// - Parameters:
    ///   - kafka: asked whenever reading begins, and whenever the topic's properties are looked at.
    ///   - laneName: of the thread that reads.
    ///   - lookMilliseconds: how long a look at the topic's properties holds.
    package init(
        _ kafka: @escaping @Sendable () -> KafkaConfiguration, plan: TopicPlan, laneName: String, logger: Logger,
        lookMilliseconds: Int = 60_000
    ) {
        self.kafka = kafka
        self.plan = plan
        self.laneName = laneName
        self.lookMilliseconds = lookMilliseconds
        self.logger = logger
    }

    /// The topic's name.
    package var topic: String { plan.name }

    /// Follows until stopped; what fails is tried again from where `position` says.
    ///
    /// - Parameters:
    ///   - position: called on the lane when reading begins; the next offset, nil for the topic's beginning. An offset outside of the
    ///     topic, which may have been deleted and created again, means the beginning, too: entries are known by their ids.
    ///   - caughtUp: called on the lane once all has been taken that was there when reading began.
    ///   - failed: called with what keeps the topic from being read, and with nil once it is read again.
    ///   - doubted: called on the lane with why the topic will not keep what it holds, and with nil where it does: when reading
    ///     begins, and once a minute from then on.
    ///   - take: called on the lane with some records in a row; they count as taken when it returns.
    package func run(
        stop: StopSignal, position: @escaping @Sendable () throws -> Int64?,
        caughtUp: @escaping @Sendable () -> Void = {}, failed: @escaping @Sendable (String?) -> Void = { _ in },
        doubted: @escaping @Sendable (String?) -> Void = { _ in },
        take: @escaping @Sendable ([Record]) throws -> Void
    ) async {
        let lane = Lane(name: laneName)
        var backoff = Backoff(baseMilliseconds: 100, capMilliseconds: 2_000)
        var said = ""
        let wasRead = Mutex(false)
        while !stop.isRequested {
            do {
                try await lane.run { [self] in
                    try follow(
                        isStopped: { stop.isRequested }, untilEnd: false, position: position, doubted: doubted,
                        caughtUp: {
                            failed(nil)
                            caughtUp()
                        }, wasRead: { wasRead.withLock { $0 = true } }, take: take)
                }
            } catch {
                if stop.isRequested { return }
                // Between this fault and the one before it the topic was read, perhaps for weeks.
                let isNew = wasRead.withLock { wasRead in
                    defer { wasRead = false }
                    return wasRead
                }
                if isNew {
                    backoff.reset()
                    said = ""
                }
                let fault = "\(error)"
                failed("the topic \(topic) of \(Entry.what) cannot be read: \(fault)")
                let wait = backoff.next()
                // It may stay so for days.
                if fault != said {
                    logger.warning(
                        "\(Entry.what) are not followed; tried again", ["error": fault, "wait_ms": "\(wait)"])
                }
                said = fault
                if await stop.pause(milliseconds: wait) { return }
            }
        }
    }

    /// Reads on the calling thread up to what the topic holds now, or until `isStopped`.
    package func catchUp(
        isStopped: @escaping @Sendable () -> Bool, position: () throws -> Int64?, take: ([Record]) throws -> Void
    ) throws {
        try follow(
            isStopped: isStopped, untilEnd: true, position: position, doubted: { _ in }, caughtUp: {}, wasRead: {},
            take: take)
    }

    /// - Parameter wasRead: called whenever the broker has given what there was, and it was taken.
    private func follow(
        isStopped: () -> Bool, untilEnd: Bool, position: () throws -> Int64?, doubted: (String?) -> Void,
        caughtUp: () -> Void, wasRead: () -> Void, take: ([Record]) throws -> Void
    ) throws {
        let configuration = kafka()
        let admin = try KafkaAdmin(configuration, requestMilliseconds: EntryLimits.ensureMilliseconds)
        let state = try admin.ensured(plan, logger: logger, timeoutMilliseconds: EntryLimits.ensureMilliseconds)
        doubted(forgetting(state.differences))
        var look = Deadline(milliseconds: lookMilliseconds)
        let marks = try admin.watermarks(
            topic: topic, partition: 0, timeoutMilliseconds: EntryLimits.ensureMilliseconds)
        let known = try position()
        if known == nil, marks.low > 0 {
            logger.warning(
                "the topic of \(Entry.what) has lost its beginning; \(Entry.wordsOfLostBeginning)",
                ["topic": topic, "first_offset": "\(marks.low)"])
        }
        var next = known ?? marks.low
        if next < marks.low || next > marks.high { next = marks.low }
        var isBehind = next < marks.high
        if !isBehind { caughtUp() }
        if untilEnd, !isBehind { return }
        var options = ConsumerOptions()
        options.hasQueuePerTopicPartition = false
        options.queueMaxKilobytes = EntryLimits.queueKilobytes
        options.queueMinRecords = EntryLimits.recordsMax
        // Records may be gone by the time that they are fetched, and not each offset is one of a record.
        options.reportsEnd = true
        let consumer = try KafkaConsumer(configuration, options: options)
        try consumer.assign([(topic, 0, .at(next))])
        while !isStopped() {
            let (records, isAtEnd) = try consumer.next(
                maxRecords: EntryLimits.recordsMax, timeoutMilliseconds: EntryLimits.waitMilliseconds
            ) { batch -> ([Record], Bool) in
                if let error = batch.errors.first(where: { !$0.isRetriable }) { throw error }
                let records = (0..<batch.count).map { index -> Record in
                    let record = batch[index]
                    return (record.offset + 1, entry(of: record))
                }
                return (records, !batch.ends.isEmpty)
            }
            if !records.isEmpty { try take(records) }
            if !records.isEmpty || isAtEnd { wasRead() }
            if !untilEnd, look.hasPassed {
                if let differences = differences() { doubted(forgetting(differences)) }
                look = Deadline(milliseconds: lookMilliseconds)
            }
            guard isBehind, isAtEnd || records.last.map({ $0.nextOffset >= marks.high }) ?? false else { continue }
            isBehind = false
            caughtUp()
            if untilEnd { return }
        }
    }

    /// Why a topic that somebody else made does not keep entries for ever; nil where it does.
    private func forgetting(_ differences: [String]) -> String? {
        let names = ["retention.", "cleanup.policy"]
        let differences = differences.filter { difference in names.contains { difference.hasPrefix($0) } }
        guard !differences.isEmpty else { return nil }
        return
            "the topic \(topic) of \(Entry.what) loses what it holds (\(differences.joined(separator: "; "))): change its properties "
            + "(kafka-configs --alter)"
    }

    /// What the topic's properties are by now, held against the plan; nil where the broker does not tell.
    private func differences() -> [String]? {
        // One for each look: between its calls nobody would empty its queue.
        let admin = try? KafkaAdmin(kafka(), requestMilliseconds: EntryLimits.lookRequestMilliseconds)
        return admin?.propertyDifferences(plan, timeoutMilliseconds: EntryLimits.lookRequestMilliseconds)
    }

    private func entry(of record: KafkaRecord) -> Entry? {
        guard let value = record.value else { return nil }
        do throws(RecordFormatError) {
            return try Entry(value)
        } catch {
            logger.error(
                "a record of the topic of \(Entry.what) is none; it is left out",
                ["topic": topic, "offset": "\(record.offset)", "error": "\(error)"])
            return nil
        }
    }
}
