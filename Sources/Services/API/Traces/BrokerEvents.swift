import Bytes
import Kafka
import Records

/// A record as the broker gives it.
struct BrokerEvent {
    let timestampMilliseconds: Int64
    let key: [UInt8]?
    let headers: [(name: String, value: [UInt8]?)]
    let value: [UInt8]?
}

/// Reads single records by their offsets. Blocks; confined to one thread, and keeps its client from one record to the next.
final class BrokerEvents {
    /// What the broker has at an offset.
    enum Found {
        case record(BrokerEvent)
        /// It keeps records from `first` on alone.
        case deleted(first: Int64)
        /// Nothing, though earlier and later ones may be there: compaction, or another topic of the same name.
        case nothing
    }

    private let configuration: @Sendable () -> KafkaConfiguration
    private var consumer: KafkaConsumer?

    /// One record is wanted, not what follows it.
    private static let aheadKilobytes = 1_024
    private static let pollMilliseconds = 100

    init(_ configuration: @escaping @Sendable () -> KafkaConfiguration) { self.configuration = configuration }

    /// - Parameter timeoutMilliseconds: for all of it.
    /// - Throws: ``KafkaError``, also where the record does not come in time.
    func record(_ source: TopicPartition, offset: Int64, timeoutMilliseconds: Int) throws -> Found {
        do {
            let consumer = try consumer ?? open()
            self.consumer = consumer
            return try read(source, offset, consumer, timeoutMilliseconds)
        } catch {
            // The next one begins with a client that owes nobody an answer.
            consumer = nil
            throw error
        }
    }

    private func open() throws -> KafkaConsumer {
        var configuration = configuration()
        configuration.statisticsHandler = nil
        var options = ConsumerOptions()
        options.queueMinRecords = 1
        options.queueMaxKilobytes = Self.aheadKilobytes
        options.reportsEnd = true
        return try KafkaConsumer(configuration, options: options)
    }

    private func read(
        _ source: TopicPartition, _ offset: Int64, _ consumer: KafkaConsumer, _ timeoutMilliseconds: Int
    ) throws -> Found {
        let until = SystemClock.monotonicNanoseconds() + Int64(timeoutMilliseconds) * 1_000_000
        func left() -> Int { Int(max(0, until - SystemClock.monotonicNanoseconds()) / 1_000_000) }
        let marks = try consumer.watermarks(
            topic: source.topic, partition: source.partition, timeoutMilliseconds: max(1, left()))
        guard offset >= marks.low else { return .deleted(first: marks.low) }
        guard offset < marks.high else { return .nothing }
        try consumer.assign([(topic: source.topic, partition: source.partition, offset: .at(offset))])
        defer { try? consumer.assign([]) }
        guard let queue = consumer.queue(topic: source.topic, partition: source.partition) else { return .nothing }
        while left() > 0 {
            let found = try queue.next(maxRecords: 1, timeoutMilliseconds: min(Self.pollMilliseconds, left())) {
                batch -> Found? in
                if batch.count > 0 { return batch[0].offset == offset ? .record(Self.copy(batch[0])) : .nothing }
                if let place = batch.unreadable.first { throw place.error }
                if let error = batch.errors.first(where: { !$0.isRetriable }) { throw error }
                return batch.ends.isEmpty ? nil : .nothing
            }
            if let found { return found }
        }
        throw KafkaError(
            kind: .timedOut, operation: "read", subject: "\(source) offset \(offset)",
            reason: "it did not come within \(timeoutMilliseconds) ms", isRetriable: true)
    }

    private static func copy(_ record: KafkaRecord) -> BrokerEvent {
        BrokerEvent(
            timestampMilliseconds: record.timestampMilliseconds, key: record.key.map { Array($0) },
            headers: record.headers, value: record.value.map { Array($0) })
    }
}
