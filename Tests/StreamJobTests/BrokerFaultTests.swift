import Bytes
import CRDKafka
import Events
import KafkaAccess
import Lake
import PlatformTesting
import ServiceLifecycle
import Settings
import Synchronization
import Telemetry
import Testing
import Transforms

@testable import Kafka
@testable import StreamJob

/// Faults of a cluster of three brokers between producer, stream job and Gold topic, with librdkafka's mock cluster:
/// nothing is lost, nothing is doubled in the lake, and metrics show each.
@Suite(.serialized, .timeLimit(.minutes(4))) struct BrokerFaultTests {
    enum Fault: CaseIterable {
        case brokerDown, leaderChange, slow, notEnoughReplicas, coordinatorMoves, sessionExpires
    }

    private static let topic = "source"
    private static let gold = "gold"
    private static let group = "g"
    private let cluster: MockCluster
    private let folder: TemporaryFolder
    private let registry = MetricsRegistry()
    private let kafka: KafkaConfiguration

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

    private func job(_ assignment: TopicPartitionAssignment) throws -> StreamJob {
        var options = StreamJobOptions(
            kafka: kafka, topic: Self.topic, goldTopic: Self.gold, topicPartitions: 2, groupID: Self.group,
            lakeDirectory: folder.file("lake"), commitIntervalMilliseconds: 20,
            transform: TransformSettings(template: try TextTemplate(TextTemplate.standard)))
        // The mock cluster tells no properties of topics.
        options.plans = [Self.topic, Self.gold].map { TopicPlan(name: $0, partitions: 2) }
        options.goldRecordBytesMax = GoldPublisher.recordBytesMaxDefault
        options.assignment = assignment
        options.sessionMilliseconds = 6_000
        return StreamJob(options: options, registry: registry, logger: Logger("stream", level: .error))
    }

    private static func payload(_ number: Int) -> [UInt8] {
        Array(change(id: "event-\(number)", ["title": "\"Page \(number)\""]).utf8)
    }

    /// Queues events, the n-th for topic partition n modulo 2.
    private func produce(_ range: Range<Int>, _ producer: KafkaProducer) throws {
        for number in range {
            try producer.send(
                topic: Self.topic, partition: Int32(number % 2), key: nil, value: Self.payload(number))
        }
    }

    private func flush(_ producer: KafkaProducer) {
        for report in producer.flush(timeoutMilliseconds: 20_000) { #expect(report.error == nil) }
        #expect(producer.pendingCount == 0)
    }

    private func source(_ partition: Int) -> TopicPartition {
        TopicPartition(topic: Self.topic, partition: Int32(partition))
    }

    private func wait(for what: String, _ condition: () throws -> Bool) async throws {
        for _ in 0..<6_000 {
            if try condition() { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        Issue.record("waited in vain for \(what)")
    }

    private func lakeHolds(_ count: Int64) throws -> Bool {
        let reader = LakeReader(layout: LakeLayout(root: folder.file("lake")))
        return try (0..<2).allSatisfy { try reader.committedRange(source($0))?.end ?? 0 >= count }
    }

    private func count(_ name: String) -> Int {
        let text = String(decoding: registry.render(), as: UTF8.self)
        let values = text.split(separator: "\n").filter { $0.hasPrefix(name + " ") || $0.hasPrefix(name + "{") }
        return values.reduce(0) { $0 + Int((Double($1.split(separator: " ").last ?? "0") ?? 0) * 1_000) } / 1_000
    }

    private var roundTripMilliseconds: Double {
        registry.gauge("medallion_kafka_round_trip_seconds", help: "", labels: [("client", "test")]).value * 1_000
    }

    /// Every event once in Bronze and in its order, and its Gold on the Gold topic, whatever came twice.
    private func check(_ events: Int) throws {
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
    private func goldOffsets(_ partition: Int) throws -> [Int64] {
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

    @Test("a fault between two stretches of events", arguments: Fault.allCases)
    func nothingIsLostOrDoubled(fault: Fault) async throws {
        let isInGroup = fault == .coordinatorMoves || fault == .sessionExpires
        let job = try job(isInGroup ? .group : .all)
        let stop = StopSignal()
        let running = Task { try await job.run(stop: stop) }
        defer { stop.request() }
        var options = ProducerOptions()
        options.messageTimeoutMilliseconds = 0
        let producer = try KafkaProducer(kafka, options: options)
        try produce(0..<200, producer)
        flush(producer)
        try await wait(for: "the first events") { try lakeHolds(100) }
        try await bring(fault) { try produce(200..<400, producer) }
        try produce(400..<600, producer)
        flush(producer)
        try await wait(for: "all events") { try lakeHolds(300) }
        stop.request()
        try await running.value
        try check(600)
    }

    /// Brings a fault about while events are sent, and ends it when metrics show it.
    private func bring(_ fault: Fault, whileSending send: () throws -> Void) async throws {
        switch fault {
        case .brokerDown:
            cluster.setBroker(1, isUp: false)
            try send()
            try await wait(for: "\(fault) in the metrics") {
                count("medallion_kafka_disconnects_total") > 0 && count("medallion_stream_broker_faults_total") > 0
            }
            cluster.setBroker(1, isUp: true)
        case .leaderChange:
            for topic in [Self.topic, Self.gold] {
                cluster.setLeader(topic: topic, partition: 0, broker: 2)
                cluster.setLeader(topic: topic, partition: 1, broker: 3)
            }
            try send()
            try await wait(for: "\(fault) in the metrics") { count("medallion_kafka_leader_changes_total") > 0 }
        case .slow:
            for broker in Int32(1)...3 { cluster.setRoundTrip(broker: broker, milliseconds: 500) }
            try send()
            try await wait(for: "\(fault) in the metrics") { roundTripMilliseconds > 400 }
            for broker in Int32(1)...3 { cluster.setRoundTrip(broker: broker, milliseconds: 0) }
        case .notEnoughReplicas:
            // For a second: librdkafka tries again every tenth of one.
            cluster.failNext(
                apiKey: 0,
                with: (0..<12).map {
                    $0 % 2 == 0
                        ? RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS : RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND
                })
            try send()
            try await wait(for: "\(fault) in the metrics") { count("medallion_kafka_queued_records") > 0 }
        case .coordinatorMoves:
            cluster.setCoordinator(group: Self.group, broker: 2)
            try send()
            try await wait(for: "\(fault) in the metrics") { count("medallion_kafka_coordinator_changes_total") > 0 }
        case .sessionExpires:
            cluster.failNext(apiKey: 12, with: [RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID])
            try send()
            try await wait(for: "\(fault) in the metrics") { count("medallion_stream_rebalances_total") > 0 }
        }
    }

    @Test("a batch that the Gold topic refuses for its size goes record by record, and the job goes on")
    func messageTooLarge() async throws {
        let producer = try KafkaProducer(kafka)
        try produce(0..<20, producer)
        flush(producer)
        cluster.failNext(
            apiKey: 0, with: [RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE])
        let first = try job(.all)
        let stop = StopSignal()
        let running = Task { try await first.run(stop: stop) }
        defer { stop.request() }
        // Sent alone each, those of a refused batch come behind what was sent meanwhile, marked as late; the second refusal
        // may meet such a one, which is then named by a notice.
        func holdsGold(_ count: Int64) throws -> Bool {
            try (0..<2).allSatisfy { Set(try goldRecords($0).compactMap(\.offset)) == Set(0..<count) }
        }
        try await wait(for: "the first events' Gold") { try holdsGold(10) }
        try produce(20..<40, producer)
        flush(producer)
        try await wait(for: "all Gold") { try holdsGold(20) }
        stop.request()
        try await running.value
        let records = try (0..<2).flatMap { try goldRecords($0) }
        let notices = records.count { $0.kind == GoldTopic.refusedKind }
        #expect(notices <= 1)
        #expect(count("medallion_stream_gold_refused_total") == notices)
        #expect(records.contains { $0.isLate })
    }

    @Test("a record that was refused together with others waits for a broker that is away, and no marker passes it")
    func aRefusedRecordOutlastsAnOutage() async throws {
        let refusals = GoldRefusals(
            configuration: kafka, count: registry.counter("medallion_stream_gold_refused_total", help: ""),
            logger: Logger("stream", level: .error), deliveryMilliseconds: 50)
        let record = UndeliveredRecord(
            key: Array("doc".utf8), value: Array("{}".utf8),
            headers: [
                (GoldTopic.kindHeader, Array(GoldTopic.documentKind.utf8)),
                (GoldTopic.sourceOffsetHeader, Array("7".utf8)),
            ])
        let stop = StopSignal()
        @Sendable func send() async throws {
            try await Lane(name: "send").run {
                try refusals.sendAlone(record, topic: Self.gold, partition: 0, stop: stop)
            }
        }
        cluster.setBroker(1, isUp: false)
        async let sending: Void = send()
        try await wait(for: "the record to be on its way") { refusals.isSettling(0) }
        // Ten times as long as one wait for it.
        _ = await stop.pause(milliseconds: 500)
        #expect(refusals.isSettling(0))
        #expect(!refusals.isSettling(1))
        cluster.setBroker(1, isUp: true)
        try await sending
        #expect(!refusals.isSettling(0))
        #expect(try goldRecords(0).contains { $0.offset == 7 && $0.isLate })
        // A stop ends the wait, and says where the document is.
        cluster.setBroker(1, isUp: false)
        stop.request()
        await #expect { try await send() } throws: { "\($0)".contains("medallion replay") }
        #expect(refusals.isSettling(0))
    }

    /// Everything about documents in a topic partition of the Gold topic.
    private func goldRecords(_ partition: Int) throws -> [(kind: String, offset: Int64?, isLate: Bool)] {
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
                    guard kind != GoldTopic.commitKind else { continue }
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
