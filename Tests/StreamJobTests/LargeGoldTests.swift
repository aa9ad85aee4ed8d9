import Bytes
import JSONScan
import Kafka
import Lake
import Logic
import Quarantine
import Records
import ServiceLifecycle
import StreamJob
import Telemetry
import Testing

/// Records that a topic is too small for are left out by themselves, with the reason where people find it.
@Suite(.serialized) struct LargeGoldTests {
    private static let gold = "small.gold"

    private func fixture(limit: Int) throws -> StreamFixture {
        let fixture = try StreamFixture()
        try KafkaAdmin(fixture.kafka).createTopic(
            Self.gold, partitions: 2,
            config: ["message.timestamp.type": "LogAppendTime", "max.message.bytes": String(limit)],
            timeoutMilliseconds: 10_000)
        return fixture
    }

    /// A job by the logic before the bounds.
    private func job(_ fixture: StreamFixture, _ registry: MetricsRegistry, goldTopic: String = gold) throws
        -> StreamJob
    {
        StreamJob(
            options: StreamJobOptions(
                kafka: fixture.kafka, topic: fixture.topic, goldTopic: goldTopic, topicPartitions: 2, groupID: "test",
                lakeDirectory: fixture.folder.file("lake"), commitIntervalMilliseconds: 20,
                logic: .recentChange(TransformSettings(codeVersion: .second, template: try TextTemplate("{title}")))),
            registry: registry, logger: Logger("stream", level: .error))
    }

    private func check(_ fixture: StreamFixture, long: Set<Int64>, of count: Int64) throws {
        let records = try fixture.goldTopic(0, of: Self.gold)
        func offsets(_ kind: String) -> [Int64] { records.filter { $0.kind == kind }.compactMap(\.offset) }
        #expect(offsets(GoldTopic.Kind.document.rawValue) == (0..<count).filter { !long.contains($0) })
        #expect(offsets(GoldTopic.Kind.refused.rawValue) == long.sorted())
        // In order: a checkpoint never passes what was not told.
        #expect(records.last?.kind == GoldTopic.Kind.commit.rawValue)
        for record in records where record.kind == GoldTopic.Kind.refused.rawValue {
            let notice = try JSONValue.parse(Array(record.value.utf8))
            #expect(notice["doc_id"]?.string == String(repeating: "i", count: 255))
            #expect(notice["reason"]?.string?.contains("20000") == true)
        }
        #expect(try fixture.lines("lake", .gold, generation: 1).count == Int(count))
    }

    private static func payloads(_ count: Int, long: Set<Int64>) -> [[UInt8]] {
        (0..<Int64(count)).map { number in
            Array(
                change(id: long.contains(number) ? String(repeating: "i", count: 7_000) + "\(number)" : "e\(number)")
                    .utf8)
        }
    }

    @Test func aDocumentThatIsTooLargeIsNamedInItsPlaceAndTheJobGoesOn() async throws {
        let fixture = try fixture(limit: 20_000)
        let long: Set<Int64> = [0, 7, 8, 29]
        let registry = MetricsRegistry()
        try fixture.produce(Self.payloads(30, long: long), to: 0)
        try await fixture.run(try job(fixture, registry), lake: "lake", until: 30, of: 0)
        try check(fixture, long: long, of: 30)
        #expect(registry.counter("medallion_stream_gold_refused_total", help: "").value == long.count)
        // Nothing is owed at the next start, and it goes on.
        try fixture.produce(Self.payloads(1, long: []), to: 0)
        try await fixture.run(try job(fixture, registry), lake: "lake", until: 31, of: 0)
        #expect(registry.counter("medallion_stream_gold_refused_total", help: "").value == long.count)
    }

    /// The same for what an earlier run committed and the topic lacks.
    @Test func whatIsPublishedAgainMayBeTooLargeToo() async throws {
        let fixture = try fixture(limit: 20_000)
        let long: Set<Int64> = [3, 19]
        try fixture.produce(Self.payloads(20, long: long), to: 0)
        try await fixture.run(
            try job(fixture, MetricsRegistry(), goldTopic: "large.gold"), lake: "lake", until: 20, of: 0)
        let registry = MetricsRegistry()
        let stop = StopSignal()
        let again = try job(fixture, registry)
        async let running: Void = again.run(stop: stop)
        for _ in 0..<100 {
            if try fixture.goldTopic(0, of: Self.gold).last?.kind == GoldTopic.Kind.commit.rawValue { break }
            try await Task.sleep(for: .milliseconds(50))
        }
        stop.request()
        try await running
        try check(fixture, long: long, of: 20)
        #expect(registry.counter("medallion_stream_gold_refused_total", help: "").value == long.count)
    }

    /// A topic may take each of some records and not all of them in one batch.
    @Test func redrivenRecordsGoAloneWhereTheirBatchIsTooLarge() async throws {
        let fixture = try StreamFixture()
        let topic = "small.source"
        try KafkaAdmin(fixture.kafka).createTopic(
            topic, partitions: 1,
            config: ["message.timestamp.type": "LogAppendTime", "max.message.bytes": "50000"],
            timeoutMilliseconds: 10_000)
        let producer = try KafkaProducer(fixture.kafka)
        var random = SeededGenerator(seed: 5)
        for _ in 0..<5 {
            let value = (0..<30_000).map { _ in UInt8.random(in: 0x61...0x7A, using: &random) }
            try producer.send(topic: topic, partition: 0, key: nil, value: value)
            #expect(producer.flush(timeoutMilliseconds: 10_000).allSatisfy { $0.error == nil })
        }
        let job = StreamJob(
            options: StreamJobOptions(
                kafka: fixture.kafka, topic: topic, goldTopic: "g", topicPartitions: 1, groupID: "test",
                lakeDirectory: fixture.folder.file("lake"), commitIntervalMilliseconds: 20,
                logic: .recentChange(TransformSettings(template: try TextTemplate("{title}")))),
            registry: MetricsRegistry(), logger: Logger("stream", level: .error))
        let stop = StopSignal()
        async let running: Void = job.run(stop: stop)
        let source = TopicPartition(topic: topic, partition: 0)
        let reader = LakeReader(layout: fixture.layout("lake"))
        for _ in 0..<1_000 {
            if try reader.committedRange(source)?.end ?? 0 >= 5 { break }
            try await Task.sleep(for: .milliseconds(10))
        }
        stop.request()
        try await running
        let desk = QuarantineDesk(try QuarantineReader(layout: fixture.layout("lake")), forces: false, isDryRun: false)
        let report = try desk.redrive(QuarantineQuery(), kafka: fixture.kafka)
        #expect(report.redriven == 5)
        #expect(report.failed == 0)
    }
}
