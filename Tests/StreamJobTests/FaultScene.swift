import Bytes
import CRDKafka
import KafkaAccess
import Lake
import Logic
import PlatformTesting
import Records
import ServiceLifecycle
import Settings
import Synchronization
import Telemetry
import Testing

@testable import Kafka
@testable import StreamJob

/// A stream job between a source topic and a Gold topic of librdkafka's mock cluster of three brokers.
struct FaultScene {
    static let topic = "source"
    static let gold = "gold"
    static let group = "g"
    let cluster: MockCluster
    let folder: TemporaryFolder
    let registry = MetricsRegistry()
    let kafka: KafkaConfiguration

    init() throws {
        cluster = try #require(MockCluster(brokers: 3))
        for topic in [Self.topic, Self.gold] {
            cluster.createTopic(topic, partitions: 2)
            for partition in Int32(0)..<2 { cluster.setLeader(topic: topic, partition: partition, broker: 1) }
        }
        cluster.setCoordinator(group: Self.group, broker: 1)
        folder = try TemporaryFolder()
        let statistics = ClientStatistics(registry, role: "test")
        var kafka = KafkaConfiguration(
            brokers: cluster.brokers, clientID: "test",
            extra: [
                "statistics.interval.ms": "100",
                // Quick to look again after a fault, so that the test waits for the fault and not for the client.
                "reconnect.backoff.max.ms": "500", "fetch.wait.max.ms": "50", "fetch.error.backoff.ms": "50",
                "topic.metadata.refresh.fast.interval.ms": "50", "heartbeat.interval.ms": "500",
                // The mock cluster takes a batch whose predecessor it refused, which no broker does for an idempotent
                // producer.
                "max.in.flight.requests.per.connection": "1",
            ])
        kafka.statisticsHandler = { statistics.note($0) }
        self.kafka = kafka
    }

    func job(_ assignment: TopicPartitionAssignment) throws -> StreamJob {
        var options = StreamJobOptions(
            kafka: kafka, topic: Self.topic, goldTopic: Self.gold, topicPartitions: 2, groupID: Self.group,
            lakeDirectory: folder.file("lake"), commitIntervalMilliseconds: 20,
            logic: .recentChange(TransformSettings(template: try TextTemplate(TextTemplate.standard))))
        // The mock cluster tells no properties of topics.
        options.plans = [Self.topic, Self.gold].map { TopicPlan(name: $0, partitions: 2) }
        options.goldRecordBytesMax = GoldPublisher.recordBytesMaxDefault
        options.assignment = assignment
        options.sessionMilliseconds = 6_000
        return StreamJob(options: options, registry: registry, logger: Logger("stream", level: .error))
    }

    static func payload(_ number: Int) -> [UInt8] {
        Array(change(id: "event-\(number)", ["title": "\"Page \(number)\""]).utf8)
    }

    /// Queues events, the n-th for topic partition n modulo 2.
    func produce(_ range: Range<Int>, _ producer: KafkaProducer) throws {
        for number in range {
            try producer.send(
                topic: Self.topic, partition: Int32(number % 2), key: nil, value: Self.payload(number))
        }
    }

    func flush(_ producer: KafkaProducer) {
        var reports = producer.flush(timeoutMilliseconds: 20_000)
        // What the client tells of itself, such as a lost connection, counts as pending, too, until it is polled.
        for _ in 0..<300 where producer.pendingCount > 0 { reports += producer.poll(timeoutMilliseconds: 100) }
        for report in reports { #expect(report.error == nil) }
        #expect(producer.pendingCount == 0)
    }

    func source(_ partition: Int) -> TopicPartition {
        TopicPartition(topic: Self.topic, partition: Int32(partition))
    }

    func wait(for what: String, _ condition: () throws -> Bool) async throws {
        for _ in 0..<6_000 {
            if try condition() { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        Issue.record("waited in vain for \(what)")
    }

    func lakeHolds(_ count: Int64) throws -> Bool {
        let reader = LakeReader(layout: LakeLayout(root: folder.file("lake")))
        return try (0..<2).allSatisfy { try reader.committedRange(source($0))?.end ?? 0 >= count }
    }

    func count(_ name: String) -> Int {
        let text = String(decoding: registry.render(), as: UTF8.self)
        let values = text.split(separator: "\n").filter { $0.hasPrefix(name + " ") || $0.hasPrefix(name + "{") }
        return values.reduce(0) { $0 + Int((Double($1.split(separator: " ").last ?? "0") ?? 0) * 1_000) } / 1_000
    }

    var roundTripMilliseconds: Double {
        registry.gauge("medallion_kafka_round_trip_seconds", help: "", labels: [("client", "test")]).value * 1_000
    }

    /// Every event once in Bronze and in its order, and its Gold on the Gold topic, whatever came twice.
    func check(_ events: Int) throws {
        let layout = LakeLayout(root: folder.file("lake"))
        let reader = LakeReader(layout: layout)
        #expect(try LakeVerifier(layout: layout) { Issue.record("\($0)") }.run().findings == 0)
        for partition in 0..<2 {
            let expected = (0..<events).filter { $0 % 2 == partition }
            let range = try #require(OffsetRange(start: 0, end: Int64(expected.count)))
            #expect(try reader.committedRange(source(partition)) == range)
            var bronze: [String] = []
            try reader.forEachLine(.bronze, generation: nil, source: source(partition), range: range) { _, line in
                bronze.append(String(decoding: line, as: UTF8.self))
                return true
            }
            let isInOrder = zip(bronze, expected).allSatisfy { $0.contains("\"Page \($1)\"") }
            #expect(bronze.count == expected.count && isInOrder)
            #expect(try goldOffsets(partition) == Array(0..<Int64(expected.count)))
        }
    }

    /// The source offsets of the Gold documents in a topic partition, without repeats.
    func goldOffsets(_ partition: Int) throws -> [Int64] {
        var options = ConsumerOptions()
        options.reportsEnd = true
        let consumer = try KafkaConsumer(kafka, options: options)
        try consumer.assign([(topic: Self.gold, partition: Int32(partition), offset: .beginning)])
        let queue = try #require(consumer.queue(topic: Self.gold, partition: Int32(partition)))
        var offsets: [Int64] = []
        var isAtEnd = false
        for _ in 0..<200 where !isAtEnd {
            queue.next(maxRecords: 10_000, timeoutMilliseconds: 100) { batch in
                for index in 0..<batch.count {
                    let offset = batch[index].headerText(GoldTopic.sourceOffsetHeader).flatMap { Int64($0) }
                    if let offset, offset > offsets.last ?? -1 { offsets.append(offset) }
                }
                isAtEnd = !batch.ends.isEmpty
            }
        }
        return offsets
    }

    /// Everything about documents in a topic partition of the Gold topic.
    func goldRecords(_ partition: Int) throws -> [(kind: String, offset: Int64?, isLate: Bool)] {
        var options = ConsumerOptions()
        options.reportsEnd = true
        let consumer = try KafkaConsumer(kafka, options: options)
        try consumer.assign([(topic: Self.gold, partition: Int32(partition), offset: .beginning)])
        let queue = try #require(consumer.queue(topic: Self.gold, partition: Int32(partition)))
        var records: [(kind: String, offset: Int64?, isLate: Bool)] = []
        var isAtEnd = false
        for _ in 0..<200 where !isAtEnd {
            queue.next(maxRecords: 10_000, timeoutMilliseconds: 100) { batch in
                for index in 0..<batch.count {
                    let record = batch[index]
                    let kind = record.headerText(GoldTopic.kindHeader) ?? ""
                    guard kind != GoldTopic.Kind.commit.rawValue else { continue }
                    records.append(
                        (
                            kind, record.headerText(GoldTopic.sourceOffsetHeader).flatMap { Int64($0) },
                            record.headerText(GoldTopic.lateHeader) != nil
                        ))
                }
                isAtEnd = !batch.ends.isEmpty
            }
        }
        return records
    }
}
