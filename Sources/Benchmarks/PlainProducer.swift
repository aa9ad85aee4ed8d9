import Bytes
import Kafka

/// librdkafka alone: records of one value, dealt out to the partitions of a topic, as fast as the broker takes them.
struct PlainProducer {
    let producer: KafkaProducer
    let topic: String
    let partitions: Int

    /// Text of little repetition, as records are when nothing compresses them.
    static func value(bytes: Int) -> [UInt8] {
        var random = SeededGenerator(seed: 1)
        return (0..<bytes).map { _ in UInt8.random(in: 0x20...0x7e, using: &random) }
    }

    /// Sends so many, and waits until all are acknowledged.
    func send(_ records: Int, of value: [UInt8]) throws {
        for index in 0..<records {
            while try !offer(value, index) { try Self.check(producer.poll(timeoutMilliseconds: 20)) }
        }
        try Self.check(producer.flush(timeoutMilliseconds: 120_000))
    }

    /// Sends one; its token is the time.
    ///
    /// - Returns: false while the producer's queue is full.
    func offer(_ value: [UInt8], _ index: Int) throws -> Bool {
        do throws(KafkaError) {
            try producer.send(
                topic: topic, partition: Int32(index % partitions), key: nil, value: value,
                token: SystemClock.monotonicNanoseconds())
            return true
        } catch {
            guard error.kind == .queueFull else { throw error }
            return false
        }
    }

    static func check(_ reports: [DeliveryReport]) throws {
        for report in reports { if let error = report.error { throw error } }
    }
}
