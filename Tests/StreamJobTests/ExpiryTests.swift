import Bytes
import Kafka
import Lake
import Logic
import PlatformTesting
import Records
import ServiceLifecycle
import Settings
import StreamJob
import Telemetry
import Testing

/// A topic that lost what the lake wants next, or that is another one by now.
@Suite(.serialized, .timeLimit(.minutes(2))) struct ExpiryTests {
    private func payloads(_ count: Int, from first: Int = 0) -> [[UInt8]] {
        (first..<first + count).map { Array(change(id: "event-\($0)", ["title": "\"Page \($0)\""]).utf8) }
    }

    private func trim(_ fixture: StreamFixture, partition: Int32, before offset: Int64) {
        let fault = TopicTrim.delete(
            brokers: fixture.kafka.brokers, topic: fixture.topic, partition: partition, before: offset)
        #expect(fault == nil)
    }

    private func job(
        _ fixture: StreamFixture, policy: ExpiredOffsets, registry: MetricsRegistry = MetricsRegistry()
    ) throws -> StreamJob {
        var options = StreamJobOptions(
            kafka: fixture.kafka, topic: fixture.topic, goldTopic: "wikimedia.gold", topicPartitions: 2,
            groupID: "test", lakeDirectory: fixture.folder.file("lake"), commitIntervalMilliseconds: 20,
            logic: .recentChange(TransformSettings(template: try TextTemplate(TextTemplate.standard))))
        options.expiredOffsets = policy
        return StreamJob(options: options, registry: registry, logger: Logger("stream", level: .error))
    }

    private func expired(_ registry: MetricsRegistry) -> Int {
        Int(registry.counter("medallion_stream_expired_offsets_total", help: "").value)
    }

    @Test("the log's bounds decide where reading begins")
    func bounds() throws {
        let marks = Watermarks(low: 10, high: 20)
        #expect(ReadingStart(nextOffset: nil, marks: marks) == .at(10))
        #expect(ReadingStart(nextOffset: 10, marks: marks) == .at(10))
        #expect(ReadingStart(nextOffset: 11, marks: marks) == .at(10))
        #expect(ReadingStart(nextOffset: 20, marks: marks) == .at(19))
        #expect(
            ReadingStart(nextOffset: 7, marks: marks)
                == .afterGap(at: 10, expired: try #require(OffsetRange(start: 7, end: 10))))
        #expect(ReadingStart(nextOffset: 21, marks: marks) == .beyondEnd(wanted: 21, end: 20))
    }

    @Test("expired offsets stop the job, or become a gap in the commit log")
    func expiry() async throws {
        let fixture = try StreamFixture()
        try fixture.produce(payloads(40))
        try await fixture.run(try fixture.job(lake: "lake"), lake: "lake", until: 20)
        try fixture.produce(payloads(60, from: 40))
        trim(fixture, partition: 0, before: 35)
        let registry = MetricsRegistry()
        let stopping = try job(fixture, policy: .stop, registry: registry)
        await #expect { try await stopping.run(stop: StopSignal()) } throws: {
            "\($0)".contains("15 offsets have expired") && "\($0)".contains("EXPIRED_OFFSETS=continue")
        }
        #expect(expired(registry) == 15)
        // Told to go on, it takes in the rest; the commit log tells what is missing.
        try await fixture.run(try job(fixture, policy: .goOn, registry: registry), lake: "lake", until: 50)
        #expect(expired(registry) == 30)
        #expect(registry.counter("medallion_stream_gap_offsets_total", help: "").value == 15)
        var gaps: [OffsetRange] = []
        let layout = fixture.layout("lake")
        try CommitLog(reading: layout.commitLog(fixture.source(0))).forEach { record in
            if let gap = record.gap { gaps.append(gap) }
            return true
        }
        #expect(gaps == [try #require(OffsetRange(start: 20, end: 35))])
        #expect(try fixture.lines("lake", .bronze, generation: nil).count == 85)
        #expect(try LakeVerifier(layout: layout) { Issue.record("\($0)") }.run().findings == 0)
        // From here on all is as ever, also for one that would stop.
        try fixture.produce(payloads(10, from: 100))
        try await fixture.run(try job(fixture, policy: .stop), lake: "lake", until: 55)
    }

    @Test("records that go while the job runs are noticed", arguments: [ExpiredOffsets.stop, .goOn])
    func expiryWhileRunning(policy: ExpiredOffsets) async throws {
        let fixture = try StreamFixture()
        try fixture.produce(payloads(40))
        let registry = MetricsRegistry()
        let job = try job(fixture, policy: policy, registry: registry)
        let stop = StopSignal()
        let running = Task { try await job.run(stop: stop) }
        defer { stop.request() }
        let reader = LakeReader(layout: fixture.layout("lake"))
        func wait(for next: Int64) async throws {
            try await waitUntil { try reader.committedRange(fixture.source(0))?.end ?? 0 >= next }
        }
        try await wait(for: 20)
        // The topic is made anew and has less than what is wanted.
        let admin = try KafkaAdmin(fixture.kafka)
        try admin.deleteTopic(fixture.topic, timeoutMilliseconds: 10_000)
        try admin.createTopic(
            fixture.topic, partitions: 2, config: ["message.timestamp.type": "LogAppendTime"],
            timeoutMilliseconds: 10_000)
        try fixture.produce(payloads(4, from: 1_000))
        await #expect { try await running.value } throws: {
            let text = "\($0)"
            return text.contains("made anew") || text.contains("Unknown topic") || text.contains("unknown topic")
        }
    }

    @Test("a topic made anew is noticed by its length, and by the hash of the last record")
    func recreated() async throws {
        let fixture = try StreamFixture()
        try fixture.produce(payloads(40))
        try await fixture.run(try fixture.job(lake: "lake"), lake: "lake", until: 20)
        let admin = try KafkaAdmin(fixture.kafka)
        try admin.deleteTopic(fixture.topic, timeoutMilliseconds: 10_000)
        try admin.createTopic(
            fixture.topic, partitions: 2, config: ["message.timestamp.type": "LogAppendTime"],
            timeoutMilliseconds: 10_000)
        for policy in [ExpiredOffsets.stop, .goOn] {
            let job = try job(fixture, policy: policy)
            await #expect { try await job.run(stop: StopSignal()) } throws: { "\($0)".contains("ends at offset 0") }
        }
        try fixture.produce(payloads(60, from: 1_000))
        for policy in [ExpiredOffsets.stop, .goOn] {
            let job = try job(fixture, policy: policy)
            await #expect { try await job.run(stop: StopSignal()) } throws: {
                "\($0)".contains("made anew") && "\($0)".contains("LAKE_DIR")
            }
        }
    }
}
