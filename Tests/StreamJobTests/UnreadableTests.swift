import Bytes
import Files
import Kafka
import KafkaAccess
import Lake
import Logic
import PlatformTesting
import Records
import ServiceLifecycle
import Settings
import StreamJob
import Synchronization
import Telemetry
import Testing

private func counter(_ name: String, _ registry: MetricsRegistry) -> Int { registry.counter(name, help: "").value }

/// Batches that a broker gives and no client can read.
@Suite(.serialized, .timeLimit(.minutes(4))) struct UnreadableTests {
    @Test(
        "such a batch stops the job aloud, or becomes a gap with its reason", arguments: SpoilingProxy.Damage.allCases)
    func unreadable(damage: SpoilingProxy.Damage) async throws {
        let fixture = try SpoiledFixture()
        try fixture.produce(0..<4, 4..<9, 9..<12, 12..<15)
        fixture.proxy.spoil(SpoiledFixture.topic, at: 4, damage)
        fixture.proxy.spoil(SpoiledFixture.topic, at: 12, damage)
        let registry = MetricsRegistry()
        let stopping = try fixture.job(.stop, registry: registry)
        await #expect { try await stopping.run(stop: StopSignal()) } throws: { error in
            let words = "\(error)"
            return words.contains("offsets [4, ") && words.contains("cannot be read")
                && words.contains("EXPIRED_OFFSETS=continue")
        }
        // What came before is committed; and so it is at every start.
        #expect(try fixture.end() == 4)
        // Of a record whose length lies, those behind can be read.
        let isOne = damage == .recordLength
        let first = try isOne ? 5 : #require(fixture.proxy.spoiled[4])
        #expect(counter("medallion_stream_unreadable_offsets_total", registry) == Int(first - 4))
        let second = try fixture.job(.stop)
        await #expect(throws: StreamJobError.self) { try await second.run(stop: StopSignal()) }
        let lastFirst = try #require(fixture.proxy.spoiled.keys.max().map { max($0, 12) })
        // Nothing lies behind the last one: its gap waits for the next record.
        try await fixture.run(try fixture.job(.goOn, registry: registry), until: isOne ? 15 : lastFirst)
        let last = isOne ? lastFirst + 1 : fixture.proxy.spoiled[lastFirst] ?? 15
        try fixture.produce(15..<18)
        try await fixture.run(try fixture.job(.goOn, registry: registry), until: 18)
        let gaps = try fixture.gaps
        #expect(
            gaps.map(\.range) == [
                try #require(OffsetRange(start: 4, end: first)), try #require(OffsetRange(start: lastFirst, end: last)),
            ])
        #expect(gaps.allSatisfy { $0.reason?.hasPrefix("unreadable: ") == true })
        #expect(try fixture.bronze == (0..<18).filter { !(4..<first).contains($0) && !(lastFirst..<last).contains($0) })
        #expect(try LakeVerifier(layout: fixture.layout) { Issue.record("\($0)") }.run().findings == 0)
        // From here on all is as ever.
        try fixture.produce(18..<20)
        try await fixture.run(try fixture.job(.stop), until: 20)
    }

    @Test("a lake may begin with such a batch, and two may follow one another")
    func theFirstRecords() async throws {
        let fixture = try SpoiledFixture()
        try fixture.produce(0..<1, 1..<2, 2..<3, 3..<4)
        fixture.proxy.spoil(SpoiledFixture.topic, at: 0, .codec)
        fixture.proxy.spoil(SpoiledFixture.topic, at: 1, .recordLength)
        fixture.proxy.spoil(SpoiledFixture.topic, at: 2, .sum)
        let job = try fixture.job(.stop)
        await #expect(throws: StreamJobError.self) { try await job.run(stop: StopSignal()) }
        try await fixture.run(try fixture.job(.goOn), until: 4)
        #expect(try fixture.gaps.map(\.range) == [try #require(OffsetRange(start: 0, end: 3))])
        #expect(try fixture.bronze == [3])
        #expect(try LakeVerifier(layout: fixture.layout) { Issue.record("\($0)") }.run().findings == 0)
    }

    @Test("bytes that can be read the second time stop nothing")
    func aPassingFault() async throws {
        let fixture = try SpoiledFixture()
        try fixture.produce(0..<3, 3..<6)
        fixture.proxy.spoil(SpoiledFixture.topic, at: 3, .sum)
        let job = try fixture.job(.stop)
        let stop = StopSignal()
        let running = Task { try await job.run(stop: stop) }
        defer { stop.request() }
        for _ in 0..<2_000 where fixture.proxy.spoiled.isEmpty { _ = await stop.pause(milliseconds: 1) }
        fixture.proxy.heal()
        // Whether it saw the place healed or not is a matter of luck; what it says is not.
        for _ in 0..<1_000 where try fixture.end() < 6 && job.trouble == nil { _ = await stop.pause(milliseconds: 10) }
        stop.request()
        do { try await running.value } catch is StreamJobError {}
        try await fixture.run(try fixture.job(.stop), until: 6)
        #expect(try fixture.gaps.isEmpty)
    }

    @Test("a record that the lake holds may rot in the topic")
    func theRecordBeforeTheCheckpoint() async throws {
        let fixture = try SpoiledFixture()
        try fixture.produce(0..<1, 1..<2)
        try await fixture.run(try fixture.job(.stop), until: 2)
        fixture.proxy.spoil(SpoiledFixture.topic, at: 1, .codec)
        try fixture.produce(2..<4)
        try await fixture.run(try fixture.job(.stop), until: 4)
        #expect(try fixture.gaps.isEmpty)
    }

    @Test(
        "the end of a large batch is found, also where nothing tells its begin",
        arguments: [
            SpoilingProxy.Damage.codec, .recordLength,
        ])
    func theEndOfABatch(damage: SpoilingProxy.Damage) throws {
        let fixture = try SpoiledFixture()
        try fixture.produce(0..<2, 2..<152, 152..<153)
        fixture.proxy.spoil(SpoiledFixture.topic, at: 130, damage)
        let probe = LogProbe(fixture.kafka, fixture.source) { false }
        #expect(try probe.look(at: 0) == .readable(0))
        #expect(try probe.look(at: 153) == .end(153))
        _ = try probe.look(at: 130)
        let spoiled = try #require(fixture.proxy.spoiled.first { ($0.key..<$0.value).contains(130) })
        // Of a record whose length lies, those behind can be read.
        let isOne = damage == .recordLength
        let start = isOne ? spoiled.key : 130
        guard case .unreadable(let range, _) = try probe.examine(from: start) else {
            Issue.record("all can be read")
            return
        }
        #expect(range == OffsetRange(start: start, end: isOne ? start + 1 : spoiled.value))
        #expect(try probe.examine(from: 0) == .readable)
        #expect(try probe.examine(from: 153) == .end(next: 153, logEnd: 153))
    }

    @Test("a log that stalls shows in the gauge and in the health, until it goes on or nobody reads it any more")
    func theStall() async throws {
        let fixture = try SpoiledFixture()
        try fixture.produce(0..<4)
        fixture.proxy.hold(SpoiledFixture.topic)
        for goesOn in [false, true] {
            let registry = MetricsRegistry()
            let stalled = registry.gauge(
                "medallion_stream_stalled", help: "", labels: [("topic", SpoiledFixture.topic), ("partition", "0")])
            let job = try fixture.job(.stop, registry: registry)
            let stop = StopSignal()
            let running = Task { try await job.run(stop: stop) }
            defer { stop.request() }
            for _ in 0..<2_000 where job.trouble == nil { _ = await stop.pause(milliseconds: 10) }
            #expect(job.trouble?.contains("offset 0") == true)
            #expect(stalled.value == 1)
            if goesOn {
                fixture.proxy.hold(nil)
                for _ in 0..<2_000 where try fixture.end() < 4 || job.trouble != nil {
                    _ = await stop.pause(milliseconds: 10)
                }
                #expect(try fixture.end() == 4)
                #expect(stalled.value == 0)
            }
            stop.request()
            try await running.value
            #expect(stalled.value == 0)
            #expect(job.trouble == nil)
        }
    }

    @Test("a log that is ahead while nothing comes is noticed by time, not by looks after a pause")
    func theWatch() {
        var watch = StallWatch()
        var now: Int64 = 1_000
        func look(_ position: Int64, _ end: Int64?, after milliseconds: Int64) -> Bool {
            now += milliseconds
            return watch.look(position: position, end: end, now: now)
        }
        // Nothing to read, for a day.
        for _ in 0..<24 { #expect(!look(5, 5, after: 3_600_000)) }
        #expect(!look(5, nil, after: 100_000))
        // Ahead since now; it is noticed within 30 s of looks.
        var waited: Int64 = 0
        while !look(5, 6, after: 200) { waited += 200 }
        #expect((10_000...20_000).contains(waited))
        // And again.
        waited = 0
        while !look(5, 6, after: 200) { waited += 200 }
        #expect((10_000...20_000).contains(waited))
        // Progress forgets all.
        for _ in 0..<70 { #expect(!look(5, 9, after: 200)) }
        #expect(!look(6, 9, after: 200))
        for _ in 0..<70 { #expect(!look(6, 9, after: 200)) }
        // A process that was stopped for an hour has looked once.
        watch = StallWatch()
        #expect(!look(6, 9, after: 200))
        for _ in 0..<10 { #expect(!look(6, 9, after: 3_600_000)) }
    }
}
