import Broker
import Bytes
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

@testable import Replay

/// A second source beside recent changes, in one lake.
@Suite struct DocumentStreamTests {
    private static let source = TopicPartition(topic: DocumentSource.topic, partition: 0)

    private func job(_ fixture: StreamFixture, lake: String, title: String = "name") throws -> StreamJob {
        var options = StreamJobOptions(
            kafka: fixture.kafka, topic: DocumentSource.topic, goldTopic: "products.gold", topicPartitions: 1,
            groupID: "test", lakeDirectory: fixture.folder.file(lake), commitIntervalMilliseconds: 20,
            logic: .document(try DocumentSource.settings(title: title)))
        options.collection = "shop"
        return StreamJob(options: options, registry: MetricsRegistry(), logger: Logger("stream", level: .error))
    }

    /// - Parameter repeats: how many of them are sent a second time.
    private func produce(_ fixture: StreamFixture, _ numbers: Range<Int>, repeats: Int = 0) throws {
        let producer = try KafkaProducer(fixture.kafka)
        for number in Array(numbers) + Array(numbers.prefix(repeats)) {
            let text = number % 7 == 3 ? "no JSON" : DocumentSource.document("d\(number % 10)", text: "Text \(number)")
            try producer.send(
                topic: DocumentSource.topic, partition: 0, key: Array("d\(number % 10)".utf8), value: Array(text.utf8),
                headers: [(EventIDHeader.header, Array("s-\(number)".utf8))])
        }
        #expect(producer.flush(timeoutMilliseconds: 20_000).allSatisfy { $0.error == nil })
    }

    private func run(_ job: StreamJob, _ layout: LakeLayout, until end: Int64) async throws {
        let stop = StopSignal()
        async let running: Void = job.run(stop: stop)
        let reader = LakeReader(layout: layout)
        for _ in 0..<6_000 {
            if try reader.committedRange(Self.source)?.end ?? 0 >= end { break }
            if await stop.pause(milliseconds: 10) { break }
        }
        stop.request()
        try await running
    }

    private func lines(_ layer: Layer, _ generation: Int64, _ layout: LakeLayout) throws -> [String] {
        var lines: [String] = []
        let reader = LakeReader(layout: layout)
        let range = try #require(try reader.committedRange(Self.source))
        try reader.forEachLine(layer, generation: generation, source: Self.source, range: range) { _, line in
            lines.append(String(decoding: line, as: UTF8.self))
            return true
        }
        return lines
    }

    private static func text(_ lines: [RangeReplay.Line]) -> [String] {
        lines.map { String(decoding: $0.bytes, as: UTF8.self) }
    }

    @Test func aSourceOfDocumentsThatCameLater() async throws {
        let fixture = try StreamFixture()
        let layout = fixture.layout("lake")
        try KafkaAdmin(fixture.kafka).createTopic(
            DocumentSource.topic, partitions: 1, config: ["message.timestamp.type": "LogAppendTime"],
            timeoutMilliseconds: 10_000)
        try fixture.produce((0..<4).map { Array(change(id: "event-\($0)").utf8) })
        try await fixture.run(try fixture.job(lake: "lake"), lake: "lake", until: 2)
        let log = GenerationLog(layout: layout)
        let changes = try log.read()[0].logic
        let before = try fixture.lines("lake", .gold, generation: 1)

        try produce(fixture, 0..<20, repeats: 5)
        try await run(try job(fixture, lake: "lake"), layout, until: 25)
        let both = try log.read()[0].logic
        #expect(both.topics.map(\.topic) == [DocumentSource.topic, fixture.topic])
        #expect(both.logic(of: fixture.topic) == changes.logic(of: fixture.topic))
        #expect(both.logic(of: DocumentSource.topic)?.collection == "shop")
        // The first goes on as if nothing had been.
        try await fixture.run(try fixture.job(lake: "lake"), lake: "lake", until: 2)
        #expect(try fixture.lines("lake", .gold, generation: 1) == before)

        // A start with the window from Bronze, and with another declaration.
        try produce(fixture, 15..<30)
        try await run(try job(fixture, lake: "lake", title: "text"), layout, until: 40)
        let (silver, gold) = (try lines(.silver, 1, layout), try lines(.gold, 1, layout))
        let quarantine = try lines(.quarantine, 1, layout)
        #expect(silver.count == 26 && gold.count == 26 && quarantine.count == 4)
        #expect(gold.allSatisfy { $0.contains(#""collection":"shop""#) && $0.contains(#""title":"Lamp""#) })
        try replay(layout, silver, gold, quarantine)
        let report = try LakeVerifier(layout: layout) { Issue.record("\($0.place): \($0.problem)") }.run()
        #expect(report.lines > 65)
    }

    /// By the stored logic a replay makes the same bytes, also from the middle; by another one it makes others.
    private func replay(
        _ layout: LakeLayout, _ silver: [String], _ gold: [String], _ quarantine: [String]
    ) throws {
        let reader = LakeReader(layout: layout)
        let generation = try #require(try GenerationLog(layout: layout).active())
        func chunks(_ generation: LakeGeneration, from start: Int64) throws -> [RangeReplay.Chunk] {
            var chunks: [RangeReplay.Chunk] = []
            let range = try #require(OffsetRange(start: start, end: 40))
            try RangeReplay(reader: reader, source: Self.source, generation: generation, parent: 1).run(range) {
                chunks.append($0)
            }
            return chunks
        }
        let hours = try chunks(generation, from: 0).flatMap(\.hours)
        #expect(Self.text(hours.flatMap(\.silver)) == silver)
        #expect(Self.text(hours.flatMap(\.gold)) == gold)
        #expect(Self.text(hours.flatMap(\.quarantine)) == quarantine)
        // All from offset 20 on were sent before but ten.
        let late = try chunks(generation, from: 20).flatMap(\.hours).flatMap(\.gold)
        #expect(Self.text(late) == Array(gold.suffix(late.count)) && late.count == 9)
    }
}
