import Kafka
import Lake
import PlatformTesting
import Records
import ServiceLifecycle
import StreamJob
import Testing

/// What a start looks for on the Gold topic, where that cannot be read or does not answer.
@Suite(.serialized, .timeLimit(.minutes(4))) struct LastMarkerTests {
    @Test(
        "a marker that cannot be read is one that is not there",
        arguments: [
            SpoilingProxy.Damage.sum, .codec, .recordLength,
        ])
    func theLastMarker(damage: SpoilingProxy.Damage) async throws {
        let fixture = try SpoiledFixture()
        try fixture.produce(0..<3)
        try await fixture.run(try fixture.job(.stop), until: 3)
        let marker = { [fixture] in
            try GoldPublisher.lastMarker(
                configuration: fixture.kafka, topic: SpoiledFixture.gold, topicPartition: fixture.source,
                stop: StopSignal())
        }
        #expect(try marker() == 3)
        try fixture.produce(3..<6)
        try await fixture.run(try fixture.job(.stop), until: 6)
        let end = try KafkaAdmin(fixture.kafka).watermarks(
            topic: SpoiledFixture.gold, partition: 0, timeoutMilliseconds: 10_000
        ).high
        fixture.proxy.spoil(SpoiledFixture.gold, at: end - 1, damage)
        #expect(try marker() ?? 0 < 6)
        // The job starts all the same, and publishes again what lacks its marker.
        try fixture.produce(6..<7)
        try await fixture.run(try fixture.job(.stop), until: 7)
        #expect(try marker() == 7)
    }

    /// A worker that is asked to end in the middle of a wait ends, and the job begins anew.
    @Test("a topic that grows while a worker looks for its last marker does not end the role")
    func growthDuringAWait() async throws {
        let fixture = try SpoiledFixture()
        try fixture.produce(0..<3)
        try await fixture.run(try fixture.job(.stop), until: 3)
        fixture.proxy.hold(SpoiledFixture.gold)
        let job = try fixture.job(.stop, sizeCheckMilliseconds: 50)
        let stop = StopSignal()
        let running = Task { try await job.run(stop: stop) }
        defer { stop.request() }
        for _ in 0..<2_000 where fixture.proxy.heldCount == 0 { _ = await stop.pause(milliseconds: 5) }
        #expect(fixture.proxy.heldCount > 0)
        try fixture.grow()
        try fixture.produce(0..<2, to: 1)
        _ = await stop.pause(milliseconds: 300)
        fixture.proxy.hold(nil)
        let second = TopicPartition(topic: SpoiledFixture.topic, partition: 1)
        let reader = LakeReader(layout: fixture.layout)
        for _ in 0..<2_000 where try reader.committedRange(second)?.end ?? 0 < 2 {
            _ = await stop.pause(milliseconds: 10)
        }
        #expect(try reader.committedRange(second)?.end == 2)
        stop.request()
        try await running.value
    }
}
