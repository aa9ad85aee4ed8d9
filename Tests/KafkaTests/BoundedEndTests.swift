import CRDKafka
import Glibc
import PlatformTesting
import Synchronization
import Testing

@testable import Kafka

/// Ends of clients that librdkafka does not come to.
@Suite(.timeLimit(.minutes(1)))
struct BoundedEndTests {
    @Test func whatDoesNotEndIsLeftBehind() {
        let isEnded = Mutex(false)
        let isFreed = Mutex(false)
        let hasEnded = BoundedEnd.run(millisecondsMax: 50) {
            while !isFreed.withLock({ $0 }) { usleep(1_000) }
            isEnded.withLock { $0 = true }
        }
        #expect(!hasEnded && !isEnded.withLock { $0 })
        // It goes on by itself.
        isFreed.withLock { $0 = true }
        while !isEnded.withLock({ $0 }) { usleep(1_000) }
        #expect(BoundedEnd.run { isEnded.withLock { $0 = false } })
        #expect(!isEnded.withLock { $0 })
    }

    /// A record that nobody gives back holds its topic partition, which the end of a client waits for.
    @Test func aConsumerThatNeverEndsHoldsNobodyUp() throws {
        let cluster = try #require(MockCluster())
        cluster.createTopic("t", partitions: 1)
        let lines = Mutex<[KafkaLogLine]>([])
        var configuration = KafkaConfiguration(brokers: cluster.brokers, clientID: "test")
        let producer = try KafkaProducer(configuration)
        try producer.send(topic: "t", partition: 0, key: nil, value: [1])
        #expect(producer.flush(timeoutMilliseconds: 20_000).allSatisfy { $0.error == nil })
        configuration.logHandler = { line in lines.withLock { $0.append(line) } }
        var held: UnsafeMutablePointer<rd_kafka_message_t>?
        do {
            let consumer = try KafkaConsumer(configuration)
            try consumer.assign([("t", 0, .beginning)])
            let queue = try #require(rd_kafka_queue_get_partition(consumer.client.handle, "t", 0))
            _ = rd_kafka_consume_batch_queue(queue, 20_000, &held, 1)
            rd_kafka_queue_destroy(queue)
        }
        let message = try #require(held)
        #expect(lines.withLock { $0.contains { $0.facility == "DESTROY" } })
        rd_kafka_message_destroy(message)
    }
}
