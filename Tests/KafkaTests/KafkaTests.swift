import Bytes
import CRDKafka
import Kafka
import PlatformTesting
import Synchronization
import Testing

/// The clients against librdkafka's mock cluster.
@Suite(.timeLimit(.minutes(1)))
struct KafkaTests {
    let cluster: MockCluster
    let configuration: KafkaConfiguration

    init() throws {
        cluster = try #require(MockCluster())
        configuration = KafkaConfiguration(brokers: cluster.brokers, clientID: "test")
    }

    private func produce(_ values: [[UInt8]?], topic: String, partition: Int32 = 0) throws {
        let producer = try KafkaProducer(configuration)
        for (index, value) in values.enumerated() {
            try producer.send(topic: topic, partition: partition, key: nil, value: value, token: Int64(index))
        }
        let reports = producer.flush(timeoutMilliseconds: 20_000)
        #expect(reports.count == values.count)
        #expect(reports.allSatisfy { $0.error == nil })
    }

    @Test("keys, values, headers, times and tokens come back as they were")
    func roundTrip() throws {
        cluster.createTopic("t", partitions: 1)
        let producer = try KafkaProducer(configuration)
        try producer.send(
            topic: "t", partition: 0, key: Array("key".utf8), value: Array("value".utf8),
            headers: [("a", [1, 0, 2]), ("a", []), ("b", Array("ü".utf8))], timestampMilliseconds: 1_700_000_000_123,
            token: 42)
        try producer.send(topic: "t", partition: 0, key: [], value: [], token: -7)
        try producer.send(topic: "t", partition: 0, key: Array("gone".utf8), value: nil, token: .max)
        let reports = producer.flush(timeoutMilliseconds: 20_000)
        #expect(reports.map(\.token) == [42, -7, .max])
        #expect(reports.map(\.offset) == [0, 1, 2])
        #expect(reports.allSatisfy { $0.error == nil && $0.topic == "t" && $0.partition == 0 })
        #expect(producer.pendingCount == 0)

        let consumer = try KafkaConsumer(configuration)
        try consumer.assign([("t", 0, .beginning)])
        let queue = try #require(consumer.queue(topic: "t", partition: 0))
        var seen = 0
        while seen < 3 {
            queue.next(maxRecords: 10, timeoutMilliseconds: 1_000) { batch in
                #expect(batch.errors.isEmpty)
                for index in 0..<batch.count {
                    check(batch[index])
                    seen += 1
                }
            }
        }
    }

    private func check(_ record: KafkaRecord) {
        switch record.offset {
        case 0:
            #expect(record.topic == "t")
            #expect(record.key.map { Array($0) } == Array("key".utf8))
            #expect(record.value.map { Array($0) } == Array("value".utf8))
            #expect(record.timestamp == (1_700_000_000_123, .createTime))
            #expect(record.headers.map(\.name) == ["a", "a", "b"])
            #expect(record.headers.map(\.value) == [[1, 0, 2], [], Array("ü".utf8)])
            #expect(record.header("a").map { Array($0) } == [])
            #expect(record.headerText("b") == "ü")
            #expect(record.headerText("c") == nil)
        case 1:
            #expect(record.key?.count == 0)
            #expect(record.value?.count == 0)
            #expect(record.headerCount == 0)
        default:
            #expect(record.key?.count == 4)
            #expect(record.value == nil, "a tombstone is data")
        }
    }

    @Test("a full local queue is an error that can be retried, and memory stays bounded")
    func queueFull() throws {
        cluster.createTopic("t", partitions: 1)
        cluster.setBroker(1, isUp: false)
        var options = ProducerOptions()
        options.queueMaxRecords = 10
        let producer = try KafkaProducer(configuration, options: options)
        for _ in 0..<10 { try producer.send(topic: "t", partition: 0, key: nil, value: [1]) }
        let error = #expect(throws: KafkaError.self) {
            try producer.send(topic: "t", partition: 0, key: nil, value: [1], headers: [("h", [1])])
        }
        #expect(error?.kind == .queueFull)
        #expect(error?.isRetriable == true)
        cluster.setBroker(1, isUp: true)
        #expect(producer.flush(timeoutMilliseconds: 30_000).filter { $0.error == nil }.count == 10)
        try producer.send(topic: "t", partition: 0, key: nil, value: [1])
        #expect(producer.flush(timeoutMilliseconds: 30_000).map(\.offset) == [10])
    }

    @Test("faults that heal are retried, in order and once; others are reported")
    func deliveryFaults() throws {
        cluster.createTopic("t", partitions: 1)
        cluster.failNext(
            apiKey: 0,
            with: [
                RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
            ])
        let producer = try KafkaProducer(configuration)
        for index in 0..<100 { try producer.send(topic: "t", partition: 0, key: nil, value: [UInt8(index)]) }
        #expect(producer.flush(timeoutMilliseconds: 30_000).map(\.offset) == Array(0..<100))
        cluster.failNext(apiKey: 0, with: [RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED])
        try producer.send(topic: "t", partition: 0, key: [], value: [1, 2], headers: [("h", [3])], token: 9)
        let reports = producer.flush(timeoutMilliseconds: 30_000)
        #expect(reports.map(\.token) == [9])
        #expect(reports.first?.error?.kind == .authorization)
        #expect(reports.first?.error?.isRetriable == false)
        #expect(reports.first?.offset == -1)
        let undelivered = try #require(reports.first?.undelivered)
        #expect(undelivered.key == [])
        #expect(undelivered.value == [1, 2])
        #expect(undelivered.headers.map(\.0) == ["h"])
        #expect(undelivered.headers.map(\.1) == [[3]])
    }

    @Test("a record over the limit is refused at once")
    func tooLarge() throws {
        var options = ProducerOptions()
        options.messageMaxBytes = 1_000
        let producer = try KafkaProducer(configuration, options: options)
        let error = #expect(throws: KafkaError.self) {
            try producer.send(topic: "t", key: nil, value: [UInt8](repeating: 1, count: 2_000))
        }
        #expect(error?.kind == .messageTooLarge)
    }

    @Test("a wrong, unknown or managed property is named")
    func properties() throws {
        for (name, value) in [("no.such", "1"), ("linger.ms", "soon"), ("acks", "0")] {
            var wrong = configuration
            wrong.extra = [name: value]
            let error = #expect(throws: KafkaError.self) { _ = try KafkaProducer(wrong) }
            #expect(error?.kind == .configuration)
            #expect(error?.subject == name)
        }
        let error = #expect(throws: KafkaError.self) { _ = try KafkaAdmin(KafkaConfiguration(brokers: "")) }
        #expect(error?.hint.contains("KAFKA_BROKERS") == true)
        var right = configuration
        right.extra = ["linger.ms": "7"]
        _ = try KafkaProducer(right)
    }

    /// librdkafka cuts its messages at 512 bytes, and with them the values that it repeats.
    @Test("no value of a property is repeated, however long", arguments: [8, 490, 2_000])
    func secretsOfProperties(length: Int) throws {
        let secret = String((0..<length).map { Character(UnicodeScalar(UInt8(97 + $0 * 7 % 26))) })
        for extra in [
            ["security.protocol": secret], ["linger.ms": secret],
            ["security.protocol": "sasl_plaintext", "sasl.mechanisms": secret, "sasl.username": "u"],
            ["security.protocol": "ssl", "ssl.key.pem": secret],
        ] as [[String: String]] {
            let error = #expect(throws: KafkaError.self) {
                _ = try KafkaAdmin(KafkaConfiguration(brokers: "127.0.0.1:1", extra: extra))
            }
            #expect(error?.kind == .configuration)
            #expect(error?.description.contains(secret.prefix(8)) == false, "\(error?.description ?? "")")
        }
    }

    @Test("librdkafka's log goes to the handler")
    func logs() throws {
        let lines = Mutex<[KafkaLogLine]>([])
        let configuration = KafkaConfiguration(
            brokers: "127.0.0.1:1", extra: ["debug": "broker"],
            logHandler: { line in lines.withLock { $0.append(line) } })
        var options = ConsumerOptions()
        options.hasQueuePerTopicPartition = false
        let consumer = try KafkaConsumer(configuration, options: options)
        try consumer.assign([(topic: "any", partition: 0, offset: .beginning)])
        let error = #expect(throws: KafkaError.self) {
            _ = try consumer.watermarks(topic: "any", partition: 0, timeoutMilliseconds: 300)
        }
        #expect(error?.isRetriable == true)
        try consumer.next(maxRecords: 1, timeoutMilliseconds: 300) { _ in }
        #expect(lines.withLock { $0 }.contains { $0.severity == 7 && $0.message.contains("127.0.0.1:1") })
    }

    @Test(
        "TLS and every SASL mechanism are known to this librdkafka; what cannot work is named",
        arguments: ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
    func security(_ mechanism: String) throws {
        var configuration = KafkaConfiguration(brokers: "127.0.0.1:1")
        configuration.extra = [
            "security.protocol": "sasl_ssl", "sasl.mechanisms": mechanism, "sasl.username": "u", "sasl.password": "p",
        ]
        _ = try KafkaAdmin(configuration)
        configuration.extra["ssl.ca.location"] = "/no/such/file.pem"
        let error = #expect(throws: KafkaError.self) { _ = try KafkaAdmin(configuration) }
        #expect(error?.description.contains("ssl.ca.location") == true)
        configuration.extra = ["no.such.property": "1"]
        let unknown = #expect(throws: KafkaError.self) { _ = try KafkaAdmin(configuration) }
        #expect(unknown?.description.contains("no.such.property") == true)
    }

    @Test("metadata and watermarks; a topic that does not exist is named")
    func metadata() throws {
        cluster.createTopic("t", partitions: 3)
        try produce([[1], [2], nil], topic: "t", partition: 2)
        let admin = try KafkaAdmin(configuration)
        let metadata = try admin.metadata(topic: "t", timeoutMilliseconds: 10_000)
        #expect(metadata.brokers.count == 1)
        #expect(metadata.topics.map(\.name) == ["t"])
        #expect(metadata.topics.first?.partitions == [0, 1, 2])
        #expect(metadata.topics.first?.leaderless == [])
        #expect(try admin.watermarks(topic: "t", partition: 2, timeoutMilliseconds: 10_000) == .init(low: 0, high: 3))
        let consumer = try KafkaConsumer(configuration)
        #expect(
            try consumer.watermarks(topic: "t", partition: 0, timeoutMilliseconds: 10_000) == .init(low: 0, high: 0))
    }
}
