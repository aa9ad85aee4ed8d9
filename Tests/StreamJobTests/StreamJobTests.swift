import Broker
import Bytes
import Concurrency
import Files
import Kafka
import Lake
import Logic
import PlatformTesting
import Records
import ServiceLifecycle
import StreamJob
import Telemetry
import Testing

/// A broker with a source topic, and stream jobs over it.
final class StreamFixture: Sendable {
    let folder: TemporaryFolder
    let broker: BrokerServer
    let kafka: KafkaConfiguration
    let topic = "wikimedia.recentchange"
    let partitions = 2

    init() throws {
        folder = try TemporaryFolder()
        var configuration = BrokerConfiguration(directory: folder.file("broker"))
        configuration.port = 0
        broker = try BrokerServer(
            configuration: configuration, metrics: MetricsRegistry(), logger: Logger("broker", level: .error))
        let port = try broker.start()
        kafka = KafkaConfiguration(brokers: "127.0.0.1:\(port)", clientID: "test")
        try KafkaAdmin(kafka).createTopic(
            topic, partitions: partitions, config: ["message.timestamp.type": "LogAppendTime"],
            timeoutMilliseconds: 10_000)
    }

    deinit { broker.stop() }

    /// Sends payloads, the n-th to topic partition n modulo their number.
    func produce(_ payloads: [[UInt8]]) throws {
        let producer = try KafkaProducer(kafka)
        for (index, payload) in payloads.enumerated() {
            try producer.send(
                topic: topic, partition: Int32(index % partitions), key: Array("k\(index)".utf8), value: payload,
                headers: [("sse_id", Array("[\(index)]".utf8))])
        }
        let reports = producer.flush(timeoutMilliseconds: 20_000)
        #expect(reports.allSatisfy { $0.error == nil })
        #expect(producer.pendingCount == 0)
    }

    func job(
        lake: String, commitIntervalMilliseconds: Int = 20, template: String = TextTemplate.standard,
        duplicates: DuplicateWindow.Limits = .init(), goldTopic: String = "wikimedia.gold",
        stages: DocumentStages = .init()
    ) throws -> StreamJob {
        var settings = TransformSettings(template: try TextTemplate(template), duplicates: duplicates)
        settings.stages = stages
        return StreamJob(
            options: StreamJobOptions(
                kafka: kafka, topic: topic, goldTopic: goldTopic, topicPartitions: partitions, groupID: "test",
                lakeDirectory: folder.file(lake), commitIntervalMilliseconds: commitIntervalMilliseconds,
                logic: .recentChange(settings)),
            registry: MetricsRegistry(), logger: Logger("stream", level: .error))
    }

    func layout(_ lake: String) -> LakeLayout { LakeLayout(root: folder.file(lake)) }

    func source(_ partition: Int) -> TopicPartition { TopicPartition(topic: topic, partition: Int32(partition)) }

    /// Runs a job until its lake holds `count` records of each topic partition, or of the only one that gets any.
    func run(_ job: StreamJob, lake: String, until count: Int64, of only: Int? = nil) async throws {
        let stop = StopSignal()
        async let running: Void = job.run(stop: stop)
        let reader = LakeReader(layout: layout(lake))
        for _ in 0..<12_000 {
            let done = try (only.map { $0..<$0 + 1 } ?? 0..<partitions).allSatisfy {
                try reader.committedRange(source($0))?.end ?? 0 >= count
            }
            if done { break }
            if await stop.pause(milliseconds: 10) { break }
        }
        stop.request()
        try await running
    }

    /// Every line of a layer, in order.
    func lines(_ lake: String, _ layer: Layer, generation: Int64?) throws -> [String] {
        var lines: [String] = []
        for partition in 0..<partitions {
            let reader = LakeReader(layout: layout(lake))
            guard let range = try reader.committedRange(source(partition)) else { continue }
            try reader.forEachLine(layer, generation: generation, source: source(partition), range: range) { _, line in
                lines.append(String(decoding: line, as: UTF8.self))
                return true
            }
        }
        return lines
    }

    /// A Gold topic's records of one topic partition.
    func goldTopic(
        _ partition: Int32, of topic: String = "wikimedia.gold"
    ) throws -> [(kind: String, offset: Int64?, value: String)] {
        let consumer = try KafkaConsumer(kafka)
        let marks = try consumer.watermarks(topic: topic, partition: partition, timeoutMilliseconds: 10_000)
        try consumer.assign([(topic: topic, partition: partition, offset: .beginning)])
        let queue = try #require(consumer.queue(topic: topic, partition: partition))
        var records: [(kind: String, offset: Int64?, value: String)] = []
        for _ in 0..<100 where records.count < Int(marks.high) {
            queue.next(maxRecords: 10_000, timeoutMilliseconds: 200) { batch in
                for index in 0..<batch.count {
                    let record = batch[index]
                    records.append(
                        (
                            record.headerText(GoldTopic.kindHeader) ?? "",
                            record.headerText(GoldTopic.sourceOffsetHeader).flatMap(Int64.init),
                            record.value.map { String(decoding: $0, as: UTF8.self) } ?? ""
                        ))
                }
            }
        }
        return records
    }
}

@Suite(.serialized) struct StreamJobTests {
    private func payloads(_ count: Int, from first: Int = 0) -> [[UInt8]] {
        (first..<first + count).map { index in
            if index % 50 == 7 { return Array("not json \(index)".utf8) }
            let type = index % 4 == 0 ? "log" : "edit"
            return Array(change(id: "event-\(index)", ["type": "\"\(type)\"", "title": "\"Page \(index)\""]).utf8)
        }
    }

    @Test func aTopicBecomesLayersAndAGoldTopic() async throws {
        let fixture = try StreamFixture()
        try fixture.produce(payloads(400))
        try await fixture.run(try fixture.job(lake: "lake"), lake: "lake", until: 200)
        #expect(try fixture.lines("lake", .bronze, generation: nil).count == 400)
        #expect(try fixture.lines("lake", .quarantine, generation: 1).count == 8)
        #expect(try fixture.lines("lake", .silver, generation: 1).count == 392)
        let gold = try fixture.lines("lake", .gold, generation: 1)
        var published: [String] = []
        for partition in 0..<Int32(fixture.partitions) {
            let records = try fixture.goldTopic(partition)
            #expect(records.last?.kind == GoldTopic.Kind.commit.rawValue)
            #expect(records.last?.value.contains(#""next_offset":200"#) == true)
            published += records.filter { $0.kind == GoldTopic.Kind.document.rawValue }.map(\.value)
        }
        #expect(published == gold)
    }

    @Test func aStoppedJobGoesOnWhereItsLakeEnds() async throws {
        let fixture = try StreamFixture()
        try fixture.produce(payloads(200))
        try await fixture.run(try fixture.job(lake: "one"), lake: "one", until: 50)
        try fixture.produce(payloads(300, from: 200))
        try await fixture.run(try fixture.job(lake: "one"), lake: "one", until: 250)
        // An undisturbed job over the same topic, with other commits.
        try await fixture.run(
            try fixture.job(lake: "two", commitIntervalMilliseconds: 500), lake: "two", until: 250)
        for (layer, generation) in [(Layer.bronze, nil), (.silver, 1), (.gold, 1), (.quarantine, Int64?(1))] {
            #expect(
                try fixture.lines("one", layer, generation: generation)
                    == fixture.lines("two", layer, generation: generation))
        }
    }

    @Test func aJobStartsThoughAToolHoldsALockForAMoment() async throws {
        let fixture = try StreamFixture()
        try fixture.produce((0..<4).map { Array(change(id: "lock-\($0)").utf8) })
        let path = fixture.layout("lake").lock(fixture.source(1))
        try Folder.create(Folder.parent(of: path))
        let held = StopSignal()
        async let holding: Void = Lane(name: "holder").run {
            var lock = try File(path, .readWrite)
            #expect(try lock.tryLock())
            held.request()
            Pause.milliseconds(300)
        }
        await held.wait()
        try await fixture.run(try fixture.job(lake: "lake"), lake: "lake", until: 2)
        try await holding
        #expect(try fixture.lines("lake", .bronze, generation: nil).count == 4)
    }

    @Test func sealedFilesOfADisturbedAndAnUndisturbedJobHaveTheSameBytes() async throws {
        let fixture = try StreamFixture()
        try fixture.produce(payloads(100))
        try await fixture.run(try fixture.job(lake: "one", commitIntervalMilliseconds: 1), lake: "one", until: 20)
        try fixture.produce(payloads(100, from: 100))
        try await fixture.run(try fixture.job(lake: "one"), lake: "one", until: 100)
        try await fixture.run(try fixture.job(lake: "two"), lake: "two", until: 100)
        var contents: [[String: [UInt8]]] = []
        for lake in ["one", "two"] {
            for partition in 0..<fixture.partitions {
                var writer = try PartitionWriter.open(layout: fixture.layout(lake), source: fixture.source(partition))
                try writer.seal()
            }
            contents.append(try Self.dataFiles(fixture.folder.file(lake)))
        }
        // Bronze, Silver and Gold of two topic partitions, and quarantine of one.
        #expect(contents[0].count == 7)
        #expect(contents[0] == contents[1])
    }

    @Test func whatWasNotPublishedIsPublishedAtTheNextStart() async throws {
        let fixture = try StreamFixture()
        try fixture.produce(payloads(100))
        try await fixture.run(try fixture.job(lake: "lake"), lake: "lake", until: 50)
        // As if the process had died between commit and publication: a Gold topic that lacks everything.
        try KafkaAdmin(fixture.kafka).createTopic("other.gold", partitions: 2, timeoutMilliseconds: 10_000)
        let job = try fixture.job(lake: "lake", goldTopic: "other.gold")
        try fixture.produce(payloads(10, from: 100))
        try await fixture.run(job, lake: "lake", until: 55)
        let gold = try fixture.lines("lake", .gold, generation: 1)
        let published = try (0..<Int32(2)).flatMap { try fixture.goldTopic($0, of: "other.gold") }
        #expect(published.filter { $0.kind == GoldTopic.Kind.document.rawValue }.map(\.value).sorted() == gold.sorted())
    }

    /// The last marker may lie in the middle of an entry that many commits were merged to.
    @Test func publishingAgainBeginsAtTheLastMarkerThoughItsCommitWasMerged() async throws {
        let fixture = try StreamFixture()
        for first in stride(from: 0, to: 100, by: 20) {
            try fixture.produce(payloads(20, from: first))
            try await fixture.run(
                try fixture.job(lake: "lake", commitIntervalMilliseconds: 1), lake: "lake", until: Int64(first / 2 + 10)
            )
        }
        try KafkaAdmin(fixture.kafka).createTopic("other.gold", partitions: 2, timeoutMilliseconds: 10_000)
        let publisher = GoldPublisher(
            producer: try KafkaProducer(fixture.kafka), topic: "other.gold", stop: StopSignal())
        for partition in 0..<2 {
            var writer = try PartitionWriter.open(
                layout: fixture.layout("lake"), source: fixture.source(partition), logBytesMin: 0)
            try writer.seal()
            let log = try CommitLog(reading: fixture.layout("lake").commitLog(fixture.source(partition)))
            let entry = try #require(try log.firstEntry(beyond: 25))
            #expect(entry.record.range.start < 25)
            try publisher.publish(
                CommitMarker(
                    generations: [1], topicPartition: fixture.source(partition),
                    range: try #require(OffsetRange(start: 0, end: 25)), handovers: [:]))
        }
        try publisher.flush(timeoutMilliseconds: 10_000)
        try fixture.produce(payloads(10, from: 100))
        try await fixture.run(try fixture.job(lake: "lake", goldTopic: "other.gold"), lake: "lake", until: 55)
        for partition in 0..<Int32(2) {
            let records = try fixture.goldTopic(partition, of: "other.gold")
            let documents = records.filter { $0.kind == GoldTopic.Kind.document.rawValue }.compactMap(\.offset)
            #expect(!documents.isEmpty)
            #expect(documents.allSatisfy { $0 >= 25 })
            let markers = records.filter { $0.kind == GoldTopic.Kind.commit.rawValue }.map(\.value)
            #expect(markers.dropFirst().first?.contains(#""start_offset":25"#) == true)
            #expect(markers.last?.contains(#""next_offset":55"#) == true)
        }
    }

    /// What a generation stores runs, whatever is declared by now: its lines go on as they were.
    @Test func theActiveGenerationsLogicRuns() async throws {
        let fixture = try StreamFixture()
        try fixture.produce(payloads(10))
        try await fixture.run(try fixture.job(lake: "lake"), lake: "lake", until: 5)
        let list = try File.contents(of: fixture.layout("lake").generationLog)
        try fixture.produce(payloads(10, from: 10))
        try await fixture.run(try fixture.job(lake: "lake", template: "{title}"), lake: "lake", until: 10)
        try await fixture.run(
            try fixture.job(lake: "undisturbed", goldTopic: "undisturbed.gold"), lake: "undisturbed", until: 10)
        for layer in [Layer.silver, .gold] {
            let lines = try fixture.lines("lake", layer, generation: 1)
            #expect(lines.count == (layer == .gold ? 14 : 19))
            #expect(try lines == fixture.lines("undisturbed", layer, generation: 1))
        }
        #expect(try File.contents(of: fixture.layout("lake").generationLog) == list)
    }

    @Test func aTopicMadeAnewIsNoticed() async throws {
        let fixture = try StreamFixture()
        try fixture.produce(payloads(40))
        try await fixture.run(try fixture.job(lake: "lake"), lake: "lake", until: 20)
        let second = try StreamFixture()
        try second.produce(payloads(60, from: 1_000))
        let job = StreamJob(
            options: StreamJobOptions(
                kafka: second.kafka, topic: second.topic, goldTopic: "wikimedia.gold", topicPartitions: 2,
                groupID: "test", lakeDirectory: fixture.folder.file("lake"), commitIntervalMilliseconds: 20,
                logic: .recentChange(TransformSettings(template: try TextTemplate(TextTemplate.standard)))),
            registry: MetricsRegistry(), logger: Logger("stream", level: .error))
        await #expect { try await job.run(stop: StopSignal()) } throws: { "\($0)".contains("made anew") }
    }

    private static func dataFiles(_ path: String, below root: String? = nil) throws -> [String: [UInt8]] {
        var files: [String: [UInt8]] = [:]
        for name in try Folder.list(path) {
            let child = path + "/" + name
            if name.hasSuffix(".jsonl.zst") {
                files[String(child.dropFirst((root ?? path).count))] = try File.contents(of: child)
            } else if (try? Folder.list(child)) != nil {
                files.merge(try dataFiles(child, below: root ?? path)) { $1 }
            }
        }
        return files
    }
}
