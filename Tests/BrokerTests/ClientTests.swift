import Bytes
import Files
import Kafka
import PlatformTesting
import Testing

/// The broker as librdkafka sees it.
struct ClientTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private func configuration(_ broker: TestBroker) -> KafkaConfiguration {
        KafkaConfiguration(brokers: broker.address, clientID: "test")
    }

    /// Sends numbered records and waits for all acknowledgements.
    private func produce(
        _ range: Range<Int>, to broker: TestBroker, partitions: Int32 = 3, compression: String = "none"
    ) throws {
        var options = ProducerOptions()
        options.compression = compression
        let producer = try KafkaProducer(configuration(broker), options: options)
        for number in range {
            try producer.send(
                topic: "events", partition: Int32(number) % partitions, key: Array("key \(number)".utf8),
                value: Array("value \(number)".utf8), headers: [("number", Array("\(number)".utf8))],
                token: Int64(number))
        }
        var acknowledged = 0
        while acknowledged < range.count {
            let reports = producer.poll(timeoutMilliseconds: 10_000)
            try #require(!reports.isEmpty, "no acknowledgement in ten seconds")
            for report in reports { #expect(report.error == nil) }
            acknowledged += reports.count
        }
    }

    /// The values of a topic partition from its beginning.
    private func consume(_ count: Int, partition: Int32, from broker: TestBroker) throws -> [String] {
        let consumer = try KafkaConsumer(configuration(broker))
        try consumer.assign([("events", partition, .beginning)])
        let queue = try #require(consumer.queue(topic: "events", partition: partition))
        var values: [String] = []
        var emptyReads = 0
        while values.count < count, emptyReads < 20 {
            let before = values.count
            queue.next(maxRecords: 1_000, timeoutMilliseconds: 500) { batch in
                for index in 0..<batch.count {
                    let record = batch[index]
                    #expect(record.offset == Int64(values.count))
                    values.append(record.value.map { String(decoding: $0, as: UTF8.self) } ?? "")
                }
            }
            if values.count == before { emptyReads += 1 }
        }
        return values
    }

    /// An administrator's client gives up the front of a log.
    @Test func recordsAreDeletedUpToAnOffset() throws {
        let broker = try TestBroker(folder: folder.path)
        let admin = try KafkaAdmin(configuration(broker))
        try admin.createTopic("events", partitions: 3, timeoutMilliseconds: 10_000)
        try produce(0..<30, to: broker)
        func marks(_ partition: Int32) throws -> Watermarks {
            try admin.watermarks(topic: "events", partition: partition, timeoutMilliseconds: 10_000)
        }
        #expect(try admin.deleteRecords(topic: "events", partition: 1, before: 4, timeoutMilliseconds: 10_000) == 4)
        #expect(try marks(1).low == 4 && marks(1).high == 10 && marks(0).low == 0)
        #expect(throws: KafkaError.self) {
            try admin.deleteRecords(topic: "events", partition: 1, before: 11, timeoutMilliseconds: 10_000)
        }
        #expect(throws: KafkaError.self) {
            try admin.deleteRecords(topic: "nothing", partition: 0, before: 1, timeoutMilliseconds: 3_000)
        }
    }

    @Test("Every compression: produced idempotently, acknowledged, consumed in order, through a restart")
    func roundTrip() throws {
        let path = folder.file("b")
        let codecs = ["none", "gzip", "snappy", "lz4", "zstd"]
        var port: UInt16 = 0
        for (index, codec) in codecs.enumerated() {
            let broker = try TestBroker(folder: path, port: port) { $0.segmentBytesMax = 1 << 16 }
            port = broker.port
            if index == 0 {
                let admin = try KafkaAdmin(configuration(broker))
                #expect(try admin.createTopic("events", partitions: 3, timeoutMilliseconds: 10_000))
                #expect(try !admin.createTopic("events", partitions: 3, timeoutMilliseconds: 10_000))
            }
            try produce(index * 3_000..<(index + 1) * 3_000, to: broker, compression: codec)
        }
        let broker = try TestBroker(folder: path)
        for partition in Int32(0)..<3 {
            let expected = (0..<15_000).filter { $0 % 3 == Int(partition) }.map { "value \($0)" }
            #expect(try consume(5_000, partition: partition, from: broker) == expected)
        }
        let metadata = try KafkaAdmin(configuration(broker)).metadata(timeoutMilliseconds: 10_000)
        #expect(metadata.topics.map(\.name) == ["events"] && metadata.topics[0].partitions == [0, 1, 2])
    }

    @Test("A topic is made as it is planned; one that is there stays, and its differences are told")
    func plannedTopics() throws {
        let broker = try TestBroker(folder: folder.file("b"))
        let admin = try KafkaAdmin(configuration(broker))
        var plan = TopicPlan(
            name: "planned", partitions: 2,
            properties: [
                "retention.ms": "3600000", "message.timestamp.type": "LogAppendTime", "compression.type": "producer",
            ])
        let made = try admin.ensure(plan, timeoutMilliseconds: 10_000)
        #expect(made == TopicState(partitions: [0, 1], isNew: true, differences: []))
        #expect(try admin.ensure(plan, timeoutMilliseconds: 10_000).differences == [])
        plan.partitions = 3
        plan.properties["retention.ms"] = "-1"
        let found = try admin.ensure(plan, timeoutMilliseconds: 10_000)
        #expect(
            found
                == TopicState(
                    partitions: [0, 1], isNew: false,
                    differences: ["2 topic partitions, not 3", "retention.ms=3600000, not -1"]))
        plan.name = "refused"
        plan.properties["compression.type"] = "zstd"
        let error = #expect(throws: KafkaError.self) { try admin.ensure(plan, timeoutMilliseconds: 10_000) }
        #expect(error?.kind == .configuration)
        #expect(error?.reason.contains("compression.type can only be producer") == true)
    }

    @Test("Committed offsets are kept through a restart")
    func commits() throws {
        let path = folder.file("b")
        do {
            let broker = try TestBroker(folder: path) { $0.createsTopics = true }
            try produce(0..<30, to: broker)
            let consumer = try KafkaConsumer(configuration(broker), groupID: "group")
            try consumer.groupOffsets.commit([("events", 1, 7)])
            var succeeded = 0
            for _ in 0..<20 where succeeded == 0 {
                let results = consumer.groupOffsets.commitResults(timeoutMilliseconds: 500)
                #expect(results.failures.isEmpty)
                succeeded += results.succeeded
            }
            #expect(succeeded == 1)
        }
        let broker = try TestBroker(folder: path)
        let consumer = try KafkaConsumer(configuration(broker), groupID: "group")
        let committed = try consumer.groupOffsets.committed(
            [("events", 0), ("events", 1)], timeoutMilliseconds: 10_000)
        #expect(committed.map(\.nextOffset) == [nil, 7])
    }

    @Test("With syncs at intervals records are read and kept all the same")
    func interval() throws {
        let path = folder.file("b")
        do {
            let broker = try TestBroker(folder: path) {
                $0.createsTopics = true
                $0.durability = .interval(milliseconds: 20)
            }
            try produce(0..<300, to: broker)
            #expect(try consume(100, partition: 2, from: broker).count == 100)
        }
        let broker = try TestBroker(folder: path)
        #expect(try consume(100, partition: 0, from: broker).count == 100)
    }
}
