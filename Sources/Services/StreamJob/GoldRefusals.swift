import Bytes
import Events
package import Kafka
import Synchronization
package import Telemetry

/// What becomes of records that the Gold topic refuses for their size.
///
/// What is known to be too large never gets as far as the broker. Where a broker refuses a batch all the same, because the
/// topic's limit was lowered meanwhile, that says little about each record of it: each goes once more, alone, by a client
/// of its own, and only a document that is refused again is left out.
package final class GoldRefusals: Sendable {
    private static let deliveryMilliseconds = 10_000
    private static let idCharactersMax = 255

    private let configuration: KafkaConfiguration
    private let count: Counter
    private let logger: Logger
    private let reports = Mutex(ReportLimiter())
    /// Made when first needed, which is hardly ever.
    private let client = Mutex<KafkaProducer?>(nil)

    /// - Parameter count: of documents that were left out.
    package init(configuration: KafkaConfiguration, count: Counter, logger: Logger) {
        self.configuration = configuration
        self.count = count
        self.logger = logger
    }

    /// Counts and tells of a document that is left out.
    func note(topic: String, source: String, offset: Int64, generation: Int64, reason: String) {
        count.increment()
        guard let documents = reports.withLock({ $0.admit() }) else { return }
        logger.error(
            "a document is too large for the Gold topic: the lake has it, the index lacks it; raise the topic's "
                + "max.message.bytes",
            [
                "topic": topic, "topic_partition": source, "offset": "\(offset)", "generation": "\(generation)",
                "why": reason, "documents": "\(documents)",
            ])
    }

    /// The value of a notice.
    static func notice(id: UnsafeRawBufferPointer, bytes: Int, reason: String) -> [UInt8] {
        let id = String(decoding: id.prefix(4 * idCharactersMax), as: UTF8.self)
        var json = JSONWriter()
        json.beginObject()
        json.string("doc_id", String(String.UnicodeScalarView(id.unicodeScalars.prefix(idCharactersMax))))
        json.integer("bytes", bytes)
        json.string("reason", reason)
        json.endObject()
        return json.bytes
    }

    /// Sends a refused record in a batch of its own, or a notice where that is refused, too.
    ///
    /// - Throws: ``KafkaError`` where neither comes through.
    func sendAlone(_ record: UndeliveredRecord, topic: String, partition: Int32) throws {
        try client.withLock { client in
            let producer = try client ?? makeClient()
            client = producer
            let isDocument = Self.header(GoldTopic.kindHeader, of: record) == GoldTopic.documentKind
            var record = record
            // The marker of its commit may be there already.
            if isDocument { record.headers.append((GoldTopic.lateHeader, [UInt8(ascii: "1")])) }
            guard let refusal = try deliver(record, topic, partition, producer) else { return }
            guard isDocument else { throw refusal }
            note(
                topic: topic, source: "\(Self.header(GoldTopic.sourceTopicHeader, of: record))[\(partition)]",
                offset: Int64(Self.header(GoldTopic.sourceOffsetHeader, of: record)) ?? -1,
                generation: Int64(Self.header(GoldTopic.generationHeader, of: record)) ?? -1, reason: refusal.reason)
            let notice = (record.key ?? []).withUnsafeBytes {
                Self.notice(id: $0, bytes: record.value?.count ?? 0, reason: refusal.reason)
            }
            record.key = Array(GoldTopic.refusedKind.utf8)
            record.value = notice
            record.headers.removeAll { $0.0 == GoldTopic.kindHeader }
            record.headers.append((GoldTopic.kindHeader, Array(GoldTopic.refusedKind.utf8)))
            if let refusal = try deliver(record, topic, partition, producer) { throw refusal }
        }
    }

    private func makeClient() throws -> KafkaProducer {
        var options = ProducerOptions()
        options.messageMaxBytes = ProducerOptions.messageMaxBytesLimit
        options.lingerMilliseconds = 0
        return try KafkaProducer(configuration, options: options)
    }

    /// - Returns: the broker's error where it refuses the record for its size.
    private func deliver(
        _ record: UndeliveredRecord, _ topic: String, _ partition: Int32, _ producer: KafkaProducer
    ) throws -> KafkaError? {
        do throws(KafkaError) {
            try producer.send(
                topic: topic, partition: partition, key: record.key, value: record.value, headers: record.headers)
        } catch {
            guard error.kind == .messageTooLarge else { throw error }
            return error
        }
        let reports = producer.flush(timeoutMilliseconds: Self.deliveryMilliseconds)
        if let error = reports.compactMap(\.error).last {
            guard error.kind == .messageTooLarge else { throw error }
            return error
        }
        guard producer.pendingCount == 0 else {
            producer.purge()
            throw KafkaError(
                kind: .timedOut, operation: "publish", subject: topic,
                reason: "a record is not acknowledged after \(Self.deliveryMilliseconds) ms",
                hint: "it is published again at the next start", isRetriable: true)
        }
        return nil
    }

    private static func header(_ name: String, of record: UndeliveredRecord) -> String {
        record.headers.last { $0.0 == name }.map { String(decoding: $0.1, as: UTF8.self) } ?? ""
    }
}
