import Bytes
package import Kafka
import Records
import ServiceLifecycle
import Synchronization
package import Telemetry

/// What becomes of records that the Gold topic refuses for their size.
///
/// What is known to be too large never gets as far as the broker. Where a broker refuses a batch all the same, because the
/// topic's limit was lowered meanwhile, that says little about each record of it: each goes once more, alone, by a client
/// of its own, and only a document that is refused again is left out. It is tried for as long as the job runs: the marker of
/// its commit may be on the topic already, and then no start publishes it again.
package final class GoldRefusals: Sendable {
    private static let lookMilliseconds = 100

    private let configuration: KafkaConfiguration
    private let count: Counter
    private let logger: Logger
    private let reports = Mutex(ReportLimiter())
    /// Made when first needed, which is hardly ever.
    private let client = Mutex<KafkaProducer?>(nil)
    private let deliveryMilliseconds: Int
    /// Records that are on their way alone, by topic partition of the Gold topic; those that did not come through stay.
    private let unsettled = Mutex<[Int32: Int]>([:])

    /// - Parameters:
    ///   - count: of documents that were left out.
    ///   - deliveryMilliseconds: how long a record may take until that is told of, and how long a stop waits for it.
    package init(
        configuration: KafkaConfiguration, count: Counter, logger: Logger, deliveryMilliseconds: Int = 10_000
    ) {
        self.deliveryMilliseconds = deliveryMilliseconds
        self.configuration = configuration
        self.count = count
        self.logger = logger
    }

    /// Counts and tells of a document that is left out.
    func note(topic: String, topicPartition: String, offset: Int64, generation: Int64, reason: String) {
        count.increment()
        guard let documents = reports.withLock({ $0.admit() }) else { return }
        logger.error(
            "a document is too large for the Gold topic: the lake has it, the index lacks it; raise the topic's "
                + "max.message.bytes",
            [
                "topic": topic, "topic_partition": topicPartition, "offset": "\(offset)", "generation": "\(generation)",
                "why": reason, "documents": "\(documents)",
            ])
    }

    /// Sends a refused record in a batch of its own, or a notice where that is refused, too. Blocks until one of them came
    /// through.
    ///
    /// - Throws: ``KafkaError`` where neither did until a stop was asked for, or where trying again is no use.
    func sendAlone(_ record: UndeliveredRecord, topic: String, partition: Int32, stop: StopSignal) throws {
        unsettled.withLock { $0[partition, default: 0] += 1 }
        try client.withLock { client in
            let producer = try client ?? makeClient()
            client = producer
            let isDocument = Self.header(GoldTopic.kindHeader, of: record) == GoldTopic.Kind.document.rawValue
            var record = record
            // The marker of its commit may be there already.
            if isDocument { record.headers.append((GoldTopic.lateHeader, [UInt8(ascii: "1")])) }
            guard let refusal = try deliver(record, topic, partition, producer, stop) else { return }
            guard isDocument else { throw refusal }
            note(
                topic: topic,
                topicPartition: "\(Self.header(GoldTopic.sourceTopicHeader, of: record))[\(partition)]",
                offset: Int64(Self.header(GoldTopic.sourceOffsetHeader, of: record)) ?? -1,
                generation: Int64(Self.header(GoldTopic.generationHeader, of: record)) ?? -1, reason: refusal.reason)
            let notice = (record.key ?? []).withUnsafeBytes {
                RefusalNotice(id: $0, bytes: record.value?.count ?? 0, reason: refusal.reason).json
            }
            record.key = Array(GoldTopic.refusedKey.utf8)
            record.value = notice
            record.headers.removeAll { $0.0 == GoldTopic.kindHeader }
            record.headers.append((GoldTopic.kindHeader, Array(GoldTopic.Kind.refused.rawValue.utf8)))
            if let refusal = try deliver(record, topic, partition, producer, stop) { throw refusal }
        }
        unsettled.withLock { $0[partition, default: 1] -= 1 }
    }

    /// Whether a record of the Gold topic partition is on its way alone, or did not come through. No marker may pass it.
    func isSettling(_ partition: Int32) -> Bool { unsettled.withLock { $0[partition] ?? 0 > 0 } }

    private func makeClient() throws -> KafkaProducer {
        var options = ProducerOptions()
        options.messageMaxBytes = ProducerOptions.messageMaxBytesLimit
        options.lingerMilliseconds = 0
        options.messageTimeoutMilliseconds = 0
        return try KafkaProducer(configuration, options: options)
    }

    /// - Returns: the broker's error where it refuses the record for its size.
    private func deliver(
        _ record: UndeliveredRecord, _ topic: String, _ partition: Int32, _ producer: KafkaProducer,
        _ stop: StopSignal
    ) throws -> KafkaError? {
        do throws(KafkaError) {
            try producer.send(
                topic: topic, partition: partition, key: record.key, value: record.value, headers: record.headers)
        } catch {
            guard error.kind == .messageTooLarge else { throw error }
            return error
        }
        // The client itself tries again without end.
        var deadline = SystemClock.monotonicNanoseconds() + Int64(deliveryMilliseconds) * 1_000_000
        var isStopping = false
        while true {
            let reports = producer.flush(timeoutMilliseconds: Self.lookMilliseconds)
            if let error = reports.compactMap(\.error).last {
                guard error.kind == .messageTooLarge else { throw error }
                return error
            }
            if producer.pendingCount == 0 { return nil }
            let now = SystemClock.monotonicNanoseconds()
            if !isStopping, stop.isRequested {
                isStopping = true
                deadline = now + Int64(deliveryMilliseconds) * 1_000_000
            }
            guard now >= deadline else { continue }
            if isStopping { break }
            logger.warning(
                "a record that the Gold topic refused together with others is not acknowledged yet; waiting for it",
                ["topic": topic, "partition": "\(partition)"])
            deadline = .max
        }
        producer.purge()
        let error = KafkaError(
            kind: .timedOut, operation: "publish", subject: topic,
            reason: "a record that was refused together with others was not acknowledged before the stop",
            hint: "the lake has the document; `medallion replay` of its offset puts it into a new generation",
            isRetriable: true)
        // Whoever asked for the stop wants no errors any more.
        logger.error(
            "a document may be missing from the index",
            ["error": "\(error)", "offset": Self.header(GoldTopic.sourceOffsetHeader, of: record)])
        throw error
    }

    private static func header(_ name: String, of record: UndeliveredRecord) -> String {
        record.headers.last { $0.0 == name }.map { String(decoding: $0.1, as: UTF8.self) } ?? ""
    }
}
