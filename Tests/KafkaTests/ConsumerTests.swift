import Bytes
import CRDKafka
import Kafka
import PlatformTesting
import Synchronization
import Testing

/// Reading from librdkafka's mock cluster.
@Suite(.timeLimit(.minutes(1)))
struct ConsumerTests {
    let cluster: MockCluster
    let configuration: KafkaConfiguration

    init() throws {
        cluster = try #require(MockCluster())
        configuration = KafkaConfiguration(brokers: cluster.brokers, clientID: "test")
        cluster.createTopic("t", partitions: 3)
    }

    private func fill(partition: Int32, count: Int) throws {
        let producer = try KafkaProducer(configuration)
        for index in 0..<count {
            var value: [UInt8] = []
            Decimal.append(Int64(index), to: &value)
            try producer.send(topic: "t", partition: partition, key: nil, value: value)
        }
        #expect(producer.flush(timeoutMilliseconds: 20_000).allSatisfy { $0.error == nil })
        #expect(producer.pendingCount == 0)
    }

    /// Reads until `count` records came or the queue was silent for long; returns their offsets and the errors.
    private func read(_ queue: PartitionQueue, count: Int) -> (offsets: [Int64], errors: [KafkaError]) {
        var offsets: [Int64] = []
        var errors: [KafkaError] = []
        var silent = 0
        while offsets.count < count && errors.isEmpty && silent < 100 {
            queue.next(maxRecords: 1_000, timeoutMilliseconds: 100) { batch in
                for index in 0..<batch.count { offsets.append(batch[index].offset) }
                errors += batch.errors
                silent = batch.isEmpty ? silent + 1 : 0
            }
        }
        return (offsets, errors)
    }

    @Test("each topic partition has its own queue, read by its own thread")
    func queues() async throws {
        for partition in 0..<3 { try fill(partition: Int32(partition), count: 500 * (partition + 1)) }
        let consumer = try KafkaConsumer(configuration)
        try consumer.assign([("t", 0, .beginning), ("t", 1, .at(10)), ("t", 2, .at(1_499))])
        var expected: [[Int64]] = []
        var read: [[Int64]] = []
        for (partition, start) in [(0, 0), (1, 10), (2, 1_499)] {
            let queue = try #require(consumer.queue(topic: "t", partition: Int32(partition)))
            expected.append(Array(Int64(start)..<Int64(500 * (partition + 1))))
            read.append(self.read(queue, count: expected[partition].count).offsets)
        }
        #expect(read == expected)
        #expect(consumer.queue(topic: "t", partition: 3) == nil)
        #expect(consumer.lastSeenWatermarks(topic: "t", partition: 2) == Watermarks(low: 0, high: 1_500))
    }

    @Test("one shared queue for all, with ends reported")
    func shared() throws {
        try fill(partition: 0, count: 20)
        try fill(partition: 1, count: 30)
        var options = ConsumerOptions()
        options.hasQueuePerTopicPartition = false
        options.reportsEnd = true
        let consumer = try KafkaConsumer(configuration, options: options)
        #expect(throws: KafkaError.self) { try consumer.next(maxRecords: 1, timeoutMilliseconds: 1) { _ in } }
        try consumer.assign([("t", 0, .beginning), ("t", 1, .beginning)])
        var count = 0
        var ends: [Int32: Int64] = [:]
        while ends.count < 2 {
            try consumer.next(maxRecords: 7, timeoutMilliseconds: 500) { batch in
                #expect(batch.count <= 7)
                count += batch.count
                for end in batch.ends { ends[end.partition] = end.offset }
            }
        }
        #expect(count == 50)
        #expect(ends == [0: 20, 1: 30])
    }

    @Test("a record that is there is handed over without waiting for the batch to fill")
    func promptness() throws {
        try fill(partition: 0, count: 1)
        let consumer = try KafkaConsumer(configuration)
        try consumer.assign([("t", 0, .beginning)])
        let queue = try #require(consumer.queue(topic: "t", partition: 0))
        // The time limit of the suite is shorter than this wait.
        let count = queue.next(maxRecords: 1_000, timeoutMilliseconds: 300_000) { batch in batch.count }
        #expect(count == 1)
    }

    @Test("an offset outside of the log is an error, not a jump; seeking heals it")
    func offsetOutOfRange() throws {
        try fill(partition: 0, count: 5)
        let consumer = try KafkaConsumer(configuration)
        try consumer.assign([("t", 0, .at(1_000))])
        let queue = try #require(consumer.queue(topic: "t", partition: 0))
        let (offsets, errors) = read(queue, count: 1)
        #expect(offsets.isEmpty)
        #expect(errors.first?.kind == .offsetOutOfRange)
        #expect(errors.first?.isRetriable == false)
        #expect(errors.first?.subject == "t[0]")
        try consumer.seek(topic: "t", partition: 0, to: .at(3), timeoutMilliseconds: 10_000)
        #expect(read(queue, count: 2).offsets == [3, 4])
    }

    @Test("a topic or topic partition that does not exist is an error of the read")
    func unknownTopic() throws {
        var configuration = configuration
        // Else librdkafka waits half a minute for a topic that may still be on its way to all brokers.
        configuration.extra = ["topic.metadata.propagation.max.ms": "100", "topic.metadata.refresh.interval.ms": "200"]
        let consumer = try KafkaConsumer(configuration)
        try consumer.assign([("t", 77, .beginning)])
        let queue = try #require(consumer.queue(topic: "t", partition: 77))
        let (offsets, errors) = read(queue, count: 1)
        #expect(offsets.isEmpty)
        #expect(errors.first?.kind == .unknownTopicOrPartition)
        #expect(errors.first?.description.contains("t [77]") == true)
    }

    @Test("a broker that goes away shows as an error, and reading goes on where it stopped")
    func brokerDown() throws {
        try fill(partition: 0, count: 5)
        let consumer = try KafkaConsumer(configuration)
        try consumer.assign([("t", 0, .beginning)])
        let queue = try #require(consumer.queue(topic: "t", partition: 0))
        #expect(read(queue, count: 5).offsets == [0, 1, 2, 3, 4])
        cluster.setBroker(1, isUp: false)
        var errors: [KafkaError] = []
        while !errors.contains(where: { $0.kind == .allBrokersDown }) {
            errors += read(queue, count: 1).errors
        }
        #expect(errors.allSatisfy { $0.isRetriable })
        #expect(consumer.lastError != nil)
        cluster.setBroker(1, isUp: true)
        try fill(partition: 0, count: 3)
        var offsets: [Int64] = []
        while offsets.count < 3 { offsets += read(queue, count: 3 - offsets.count).offsets }
        #expect(offsets == [5, 6, 7])
    }

    @Test("offsets are committed on demand and read back; a failure is a value")
    func commits() throws {
        let consumer = try KafkaConsumer(configuration, groupID: "g")
        #expect(
            try consumer.groupOffsets.committed([("t", 0)], timeoutMilliseconds: 20_000).map(\.nextOffset) == [nil])
        try consumer.groupOffsets.commit([("t", 0, 12), ("t", 2, 7)])
        var outcome = consumer.groupOffsets.commitResults(timeoutMilliseconds: 20_000)
        #expect(outcome.succeeded == 1)
        #expect(outcome.failures.isEmpty)
        let committed = try consumer.groupOffsets.committed(
            [("t", 0), ("t", 1), ("t", 2)], timeoutMilliseconds: 20_000)
        #expect(committed.map(\.nextOffset) == [12, nil, 7])
        cluster.failNext(apiKey: 8, with: [RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED])
        try consumer.groupOffsets.commit([("t", 0, 13)])
        outcome = consumer.groupOffsets.commitResults(timeoutMilliseconds: 20_000)
        #expect(outcome.succeeded == 0)
        #expect(outcome.failures.first?.kind == .authorization)
    }

    @Test("what the body throws reaches the caller")
    func bodyThrows() throws {
        struct Stop: Error {}
        try fill(partition: 0, count: 5)
        let consumer = try KafkaConsumer(configuration)
        try consumer.assign([("t", 0, .beginning)])
        let queue = try #require(consumer.queue(topic: "t", partition: 0))
        #expect(throws: Stop.self) {
            try queue.next(maxRecords: 2, timeoutMilliseconds: 20_000) { _ in throw Stop() }
        }
    }
}
