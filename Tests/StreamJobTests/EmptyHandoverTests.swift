import Lake
import Logic
import PlatformTesting
import Records
import ServiceLifecycle
import Testing

/// A topic partition that has given nothing yet is handed over all the same: a replay waits for every one.
@Suite struct EmptyHandoverTests {
    @Test func aChildIsHandedOverWhereNothingCame() async throws {
        let fixture = try StreamFixture()
        // One record: to topic partition 0 alone.
        try fixture.produce([Array(change(id: "first", ["title": "\"One\""]).utf8)])
        let layout = fixture.layout("lake")
        let job = try fixture.job(lake: "lake")
        let stop = StopSignal()
        async let running: Void = job.run(stop: stop)
        let reader = LakeReader(layout: layout)
        try await waitUntil { try reader.committedRange(fixture.source(0))?.end == 1 }
        let log = GenerationLog(layout: layout)
        let parent = try #require(try log.active())
        let child = try log.createChild(of: parent.number, logic: parent.logic)
        for partition in 0..<2 {
            let path = layout.commitLog(fixture.source(partition))
            func handover() throws -> Int64? { try CommitLog(reading: path).handover(of: child.number) }
            try await waitUntil { try handover() != nil }
            #expect(try handover() == (partition == 0 ? 1 : 0))
        }
        // What comes then is in both, from the first offset on.
        try fixture.produce([
            Array(change(id: "second", ["title": "\"Two\""]).utf8),
            Array(change(id: "third", ["title": "\"Three\""]).utf8),
        ])
        try await waitUntil { try reader.committedRange(fixture.source(1))?.end == 1 }
        stop.request()
        try await running
        for generation in [parent.number, child.number] {
            var lines = 0
            try reader.forEachLine(
                .gold, generation: generation, source: fixture.source(1),
                range: try #require(OffsetRange(start: 0, end: 1))
            ) { _, _ in
                lines += 1
                return true
            }
            #expect(lines == 1)
        }
        #expect(try CommitLog(reading: layout.commitLog(fixture.source(1))).handover(of: parent.number) == 0)
        // And so it is after a restart, whose records the next commit extends.
        try fixture.produce([[], Array(change(id: "fourth", ["title": "\"Four\""]).utf8)].map { $0 })
        try await fixture.run(try fixture.job(lake: "lake"), lake: "lake", until: 2, of: 1)
        #expect(try fixture.lines("lake", .gold, generation: child.number).count == 3)
    }
}
