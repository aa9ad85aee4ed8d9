import Derivation
import Files
import JSONScan
import Kafka
import Lake
import Logic
import PlatformTesting
import Records
import Replay
import ServiceLifecycle
import StreamJob
import Telemetry
import Testing

/// Records whose clients' clocks are wrong, on a topic that keeps the clients' times.
@Suite(.serialized) struct FutureTimeTests {
    private static let now: Int64 = 1_795_240_800_000
    private static let hour: Int64 = 3_600_000
    private static let far: Int64 = 253_402_300_799_000
    private static let source = TopicPartition(topic: "clients.time", partition: 0)

    private let fixture: StreamFixture

    init() throws {
        fixture = try StreamFixture()
        try KafkaAdmin(fixture.kafka).createTopic(
            Self.source.topic, partitions: 1, config: ["message.timestamp.type": "CreateTime"],
            timeoutMilliseconds: 10_000)
    }

    private func produce(_ times: [Int64], from first: Int) throws {
        let producer = try KafkaProducer(fixture.kafka)
        for (index, time) in times.enumerated() {
            try producer.send(
                topic: Self.source.topic, partition: 0, key: [1],
                value: Array(change(id: "future-\(first + index)", ["title": "\"\(first + index)\""]).utf8),
                timestampMilliseconds: time)
        }
        #expect(producer.flush(timeoutMilliseconds: 20_000).allSatisfy { $0.error == nil })
    }

    private var layout: LakeLayout { fixture.layout("lake") }

    /// Runs a job until the lake holds so many records.
    private func run(
        _ clock: LakeClock, until count: Int64, _ registry: MetricsRegistry = MetricsRegistry()
    ) async throws {
        var options = StreamJobOptions(
            kafka: fixture.kafka, topic: Self.source.topic, goldTopic: "clients.gold", topicPartitions: 1,
            groupID: "test", lakeDirectory: layout.root, commitIntervalMilliseconds: 20,
            logic: .recentChange(TransformSettings(template: try TextTemplate(TextTemplate.standard))))
        options.clock = clock
        let job = StreamJob(options: options, registry: registry, logger: Logger("stream", level: .error))
        let stop = StopSignal()
        async let running: Void = job.run(stop: stop)
        let reader = LakeReader(layout: layout)
        for _ in 0..<3_000 {
            if try reader.committedRange(Self.source)?.end ?? 0 >= count { break }
            if await stop.pause(milliseconds: 10) { break }
        }
        stop.request()
        try await running
    }

    private func hours() throws -> [Int64: Int64] {
        var hours: [Int64: Int64] = [:]
        try LakeReader(layout: layout).forEachHour(Self.source) { hours[$0.firstOffset] = $0.hour.number }
        return hours
    }

    /// What a replay of the generation derives by hour; it must be what the lake has.
    private func replayed() throws -> [Int64: [Int64]] {
        let generation = try #require(try GenerationLog(layout: layout).active())
        let reader = LakeReader(layout: layout)
        let range = try #require(try reader.committedRange(Self.source))
        var found: [Int64: [Int64]] = [:]
        try RangeReplay(reader: reader, source: Self.source, generation: generation, parent: 1).run(range) { chunk in
            for hour in chunk.hours { found[hour.hour.number, default: []] += hour.silver.map(\.offset) }
            #expect(chunk.difference.changed + chunk.difference.added + chunk.difference.removed == 0)
        }
        return found
    }

    @Test func oneWrongClockMovesNoHour() async throws {
        let times = [Self.now, Self.now + 1, Self.far, Self.now + 400 * 86_400_000, Self.now + 2, Self.now + Self.hour]
        try produce(times, from: 0)
        let registry = MetricsRegistry()
        try await run(LakeClock { Self.now }, until: Int64(times.count), registry)
        let first = Self.now / Self.hour
        #expect(try hours() == [0: first, 5: first + 1])
        #expect(registry.counter("medallion_stream_times_ahead_total", help: "").value == 2)
        // The records themselves keep their times.
        var seen: [Int64] = []
        let reader = LakeReader(layout: layout)
        let range = try #require(try reader.committedRange(Self.source))
        try reader.forEachLine(.bronze, generation: nil, source: Self.source, range: range) { _, line in
            seen.append((try? JSONValue.parse(Array(line)))?["timestamp_ms"]?.integer ?? 0)
            return true
        }
        #expect(seen == times)
        #expect(try replayed() == [first: [0, 1, 2, 3, 4], first + 1: [5]])
        #expect(try LakeVerifier(layout: layout) { Issue.record("\($0)") }.run().findings == 0)
    }

    @Test func aLakeThatAWrongClockFrozeGoesOn() async throws {
        try produce([Self.now - Self.hour, Self.far, Self.now - 5, Self.now], from: 0)
        // As a version did that knew no bound.
        try await run(LakeClock { Self.far }, until: 4)
        let first = Self.now / Self.hour
        #expect(try hours() == [0: first - 1, 1: Self.far / Self.hour])
        try produce([Self.now + 1, Self.far, Self.now + 2], from: 4)
        try await run(LakeClock { Self.now }, until: 7)
        #expect(try hours() == [0: first - 1, 1: Self.far / Self.hour, 4: first])
        #expect(try replayed() == [first - 1: [0], Self.far / Self.hour: [1, 2, 3], first: [4, 5, 6]])
        #expect(try LakeVerifier(layout: layout) { Issue.record("\($0)") }.run().findings == 0)
    }
}

/// Offsets that a broker skipped by the thousand million.
@Suite struct WideGapTests {
    @Test func aReplayPassesOverAGapInOneStep() throws {
        let folder = try TemporaryFolder()
        let layout = LakeLayout(root: folder.file("lake"))
        let source = TopicPartition(topic: "t", partition: 0)
        let settings = TransformSettings(template: try TextTemplate(TextTemplate.standard))
        var hasher = try LibraryHasher()
        let generation = try GenerationLog(layout: layout).createFirst(
            .former(
                logicVersion: try settings.logicVersion(hasher: &hasher),
                settings: String(decoding: settings.canonicalJSON, as: UTF8.self)))
        let wide: Int64 = 1 << 31
        do {
            var writer = try PartitionWriter.open(layout: layout, source: source)
            for (start, end) in [(0, 5), (wide, wide + 5)] as [(Int64, Int64)] {
                var bronze = ""
                for offset in start..<end {
                    bronze += #"{"topic":"t","partition":0,"offset":\#(offset),"timestamp_ms":5,"headers":[],"#
                    bronze += #""value":{}}"# + "\n"
                }
                let range = try #require(OffsetRange(start: start, end: end))
                try writer.commit(
                    CommitBatch(
                        range: range, hour: LakeHour(number: 0), brokerTimeMax: 5, lastSHA256: "", duplicates: 0,
                        canaries: 0, bronze: (Array(bronze.utf8), 5), generations: []))
            }
        }
        let range = try #require(OffsetRange(start: 2, end: wide + 5))
        var offsets: [Int64] = []
        var chunks = 0
        let replay = RangeReplay(
            reader: LakeReader(layout: layout), source: source, generation: generation, parent: generation.number)
        try replay.run(range) { chunk in
            chunks += 1
            for hour in chunk.hours { offsets += hour.quarantine.map(\.offset) }
        }
        #expect(offsets == [2, 3, 4] + (wide..<wide + 5))
        #expect(chunks == 1)
    }
}
