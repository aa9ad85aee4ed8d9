import Bytes
import Derivation
import Files
import Kafka
import Lake
import Logic
import PlatformTesting
import Records
import Replay
import ServiceLifecycle
import Telemetry
import Testing

@testable import Broker
@testable import StreamJob

@Suite(.serialized) struct DisorderTests {
    /// Copies, redriven copies and disordered times over three runs of the job with a small window: what a job that was
    /// never stopped makes is the same, and so is what a replay makes from any place on, also by a logic with a wider
    /// window that was fed from the middle.
    @Test func duplicatesAreTheSameAfterRestartsAndInReplays() async throws {
        let seed: UInt64 = 11
        var generator = SeededGenerator(seed: seed)
        let fixture = try StreamFixture()
        let narrow = DuplicateWindow.Limits(offsets: 20, milliseconds: 3_600_000)
        var settings = TransformSettings(
            template: try TextTemplate(TextTemplate.standard),
            duplicates: DuplicateWindow.Limits(offsets: 60, milliseconds: 3_600_000))
        settings.types = ["edit"]
        var sent = 0
        for round in 1...3 {
            let payloads = (0..<100).map { _ -> [UInt8] in
                let id = "id-\(Int.random(in: 0..<25, using: &generator))-\(sent / 50)"
                let second = Int.random(in: 10..<60, using: &generator)
                return Array(
                    change(
                        id: id,
                        [
                            "meta": #"{"id":"\#(id)","dt":"2026-11-21T06:30:\#(second)Z","domain":"d","uri":"u"}"#
                        ]
                    ).utf8)
            }
            try fixture.produce(payloads.map { Optional($0) }, to: 0)
            sent += payloads.count
            try await fixture.run(
                try fixture.job(lake: "one", duplicates: narrow), lake: "one", until: Int64(sent), of: 0)
            guard round == 1 else { continue }
            var hasher = try LibraryHasher()
            _ = try GenerationLog(layout: fixture.layout("one")).createChild(
                of: 1,
                logic: .former(
                    logicVersion: try settings.logicVersion(hasher: &hasher),
                    settings: String(decoding: settings.canonicalJSON, as: UTF8.self)))
        }
        try await fixture.run(try fixture.job(lake: "two", duplicates: narrow), lake: "two", until: 300, of: 0)
        let silver = try fixture.lines("one", .silver, generation: 1)
        #expect(silver == (try fixture.lines("two", .silver, generation: 1)))
        // Some were left out, and none for its time.
        #expect(silver.count < 300 && silver.count > 70)
        let generations = try GenerationLog(layout: fixture.layout("one")).read()
        for generation in generations {
            for start in [Int64(100), 121, 177, 250] {
                #expect(
                    try fixture.replayed("one", generation, from: start, to: 300)
                        == fixture.held("one", generation.number, from: start, to: 300),
                    "seed \(seed), generation \(generation.number) from \(start)")
            }
        }
    }

    /// What a producer sends again after a pause that is longer than the window is left out, also by a job that began anew
    /// meanwhile, and by a replay from any place.
    @Test func repeatsAfterALongPauseAreDuplicates() async throws {
        let fixture = try StreamFixture()
        // A window of no time at all: any pause is longer.
        let window = DuplicateWindow.Limits(offsets: 60, milliseconds: 0)
        let events = (0..<50).map { Optional(Array(change(id: "id-\($0)").utf8)) }
        try fixture.produce(events, to: 0)
        try await fixture.run(try fixture.job(lake: "lake", duplicates: window), lake: "lake", until: 50, of: 0)
        try await Task.sleep(for: .milliseconds(20))
        try fixture.produce(events, to: 0, mayRepeat: true)
        try await fixture.run(try fixture.job(lake: "lake", duplicates: window), lake: "lake", until: 100, of: 0)
        try await fixture.run(try fixture.job(lake: "other", duplicates: window), lake: "other", until: 100, of: 0)
        #expect(try fixture.lines("lake", .silver, generation: 1).count == 50)
        #expect(
            try fixture.lines("lake", .silver, generation: 1) == fixture.lines("other", .silver, generation: 1))
        #expect(try fixture.lines("lake", .gold, generation: 1).count == 50)
        let generation = try #require(try GenerationLog(layout: fixture.layout("lake")).active())
        for start in [Int64(0), 49, 50, 75] {
            #expect(
                try fixture.replayed("lake", generation, from: start, to: 100)
                    == fixture.held("lake", 1, from: start, to: 100), "from \(start)")
        }
        // Ten offsets more than the window holds: these are events that came twice.
        try fixture.produce(Array(events.prefix(10)), to: 0)
        try fixture.produce((0..<70).map { Optional(Array(change(id: "more-\($0)").utf8)) }, to: 0)
        try fixture.produce(Array(events.prefix(10)), to: 0, mayRepeat: true)
        try await fixture.run(try fixture.job(lake: "lake", duplicates: window), lake: "lake", until: 190, of: 0)
        #expect(try fixture.lines("lake", .silver, generation: 1).count == 50 + 10 + 70 + 10)
    }

    /// The watermark follows event time, never ahead of the broker; what lies before it is counted and kept.
    @Test func latenessIsMeasured() throws {
        let registry = MetricsRegistry()
        let metrics = StreamJobMetrics(registry, source: "t")
        var progress = EventTimeProgress(registry, metrics, source: TopicPartition(topic: "t", partition: 0))
        progress.note([1_000, 3_000, 2_500, 4_000, 3_000], brokerTimeMax: 10_000)
        #expect(progress.watermark == 4_000)
        #expect(metrics.disordered.value == 2)
        progress.note([90_000, 9_000], brokerTimeMax: 10_000)
        #expect(progress.watermark == 10_000)
        let lateness = metrics.lateness.snapshot()
        #expect(lateness.count == 3)
        #expect(abs(lateness.sum - 2.5) < 1e-9)
        // A clock that steps back moves nothing back.
        progress.note([9_500], brokerTimeMax: 5_000)
        #expect(progress.watermark == 10_000)
    }

    /// Growth while the job runs: recorded with the lake's offsets, and the new topic partition is read.
    @Test func growthOfTheTopicIsNoticedAndRecorded() async throws {
        let folder = try TemporaryFolder()
        let topics = ["grows", "grows.gold"]
        let first = try RunningBroker(folder.file("broker"), port: 0)
        let kafka = KafkaConfiguration(brokers: "127.0.0.1:\(first.port)", clientID: "test")
        for topic in topics { try KafkaAdmin(kafka).createTopic(topic, partitions: 1, timeoutMilliseconds: 10_000) }
        try send(change(id: "a"), to: 0, kafka)
        let layout = LakeLayout(root: folder.file("lake"))
        var options = StreamJobOptions(
            kafka: kafka, topic: "grows", goldTopic: "grows.gold", topicPartitions: 1, groupID: "test",
            lakeDirectory: layout.root, commitIntervalMilliseconds: 20,
            logic: .recentChange(TransformSettings(template: try TextTemplate(TextTemplate.standard))))
        options.sizeCheckMilliseconds = 200
        let job = StreamJob(
            options: options, registry: MetricsRegistry(), logger: Logger("stream", level: .error))
        let stop = StopSignal()
        async let running: Void = job.run(stop: stop)
        try await until("the first topic partition") {
            try LakeReader(layout: layout).committedRange(TopicPartition(topic: "grows", partition: 0))?.end == 1
        }
        // The embedded broker cannot grow a topic while it runs; others can. To its clients this looks the same.
        first.server.stop()
        try grow(folder.file("broker"))
        let second = try RunningBroker(folder.file("broker"), port: first.port)
        try send(change(id: "b"), to: 1, kafka)
        try await until("the second topic partition") {
            try LakeReader(layout: layout).committedRange(TopicPartition(topic: "grows", partition: 1))?.end == 1
        }
        stop.request()
        try await running
        second.server.stop()
        let sizes = try GenerationLog(layout: layout).sizes(of: "grows")
        #expect(sizes.map(\.partitions) == [1, 2])
        #expect(sizes.map(\.offsets) == [[:], [0: 1]])
        #expect(try GenerationLog(layout: layout).read().map(\.number) == [1])
    }

    private func until(_ what: String, _ isDone: () throws -> Bool) async throws {
        for _ in 0..<600 {
            if try isDone() { return }
            try await Task.sleep(nanoseconds: 50_000_000)
        }
        Issue.record("\(what) did not come into the lake")
    }

    private func send(_ payload: String, to partition: Int32, _ kafka: KafkaConfiguration) throws {
        let producer = try KafkaProducer(kafka)
        try producer.send(topic: "grows", partition: partition, key: nil, value: Array(payload.utf8))
        #expect(producer.flush(timeoutMilliseconds: 20_000).allSatisfy { $0.error == nil })
    }

    private func grow(_ folder: String) throws {
        var catalog = try TopicCatalog.open(folder: folder)
        for index in catalog.topics.indices {
            catalog.topics[index].partitionCount = 2
            try Folder.create(folder + "/" + TopicCatalog.logFolder(catalog.topics[index].name, 1))
        }
        try catalog.save(folder: folder)
    }
}

/// The embedded broker over a folder.
private struct RunningBroker {
    let server: BrokerServer
    let port: UInt16

    init(_ folder: String, port: UInt16) throws {
        var configuration = BrokerConfiguration(directory: folder)
        configuration.port = port
        server = try BrokerServer(
            configuration: configuration, metrics: MetricsRegistry(), logger: Logger("broker", level: .error))
        self.port = try server.start()
    }
}

extension StreamFixture {
    /// What a replay of a generation's logic makes of a range of topic partition 0, by layer.
    func replayed(
        _ lake: String, _ generation: LakeGeneration, from start: Int64, to end: Int64
    ) throws -> [Layer: [[UInt8]]] {
        guard let range = OffsetRange(start: start, end: end) else { return [:] }
        var made: [Layer: [[UInt8]]] = [.silver: [], .gold: [], .quarantine: []]
        let reader = LakeReader(layout: layout(lake))
        try RangeReplay(reader: reader, source: source(0), generation: generation, parent: 1).run(range) { chunk in
            for hour in chunk.hours {
                made[.silver, default: []] += hour.silver.map(\.bytes)
                made[.gold, default: []] += hour.gold.map(\.bytes)
                made[.quarantine, default: []] += hour.quarantine.map(\.bytes)
            }
        }
        return made
    }

    /// What the lake holds of it.
    func held(_ lake: String, _ generation: Int64, from start: Int64, to end: Int64) throws -> [Layer: [[UInt8]]] {
        guard let range = OffsetRange(start: start, end: end) else { return [:] }
        var held: [Layer: [[UInt8]]] = [.silver: [], .gold: [], .quarantine: []]
        for layer in Layer.derived {
            try LakeReader(layout: layout(lake)).forEachLine(
                layer, generation: generation, source: source(0), range: range
            ) { _, line in
                held[layer, default: []].append(Array(line))
                return true
            }
        }
        return held
    }
}
