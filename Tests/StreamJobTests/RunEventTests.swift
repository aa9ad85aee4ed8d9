import Lake
import Records
import Synchronization
import Telemetry
import Testing

@testable import StreamJob

/// What a stream job tells of its run agrees with its lake.
struct RunEventTests {
    private final class Sink: RunEventSink {
        let events = Mutex<[RunEvent]>([])
        func send(_ event: RunEvent) { events.withLock { $0.append(event) } }
    }

    @Test func everyOffsetIsToldOnceAndEveryLineCounted() async throws {
        let fixture = try StreamFixture()
        try fixture.produce(
            (0..<400).map { Array(($0 % 50 == 7 ? "no JSON" : change(id: "event-\($0)")).utf8) })
        let sink = Sink()
        var options = try fixture.job(lake: "lake").options
        options.runs = sink
        options.runReportMilliseconds = 50
        let job = StreamJob(options: options, registry: MetricsRegistry(), logger: Logger("stream", level: .error))
        try await fixture.run(job, lake: "lake", until: 200)

        let events = sink.events.withLock { $0 }
        #expect(events.first?.state == .start && events.last?.state == .complete)
        #expect(events.dropFirst().dropLast().allSatisfy { $0.state == .running })
        #expect(Set(events.map(\.runID)).count == 1)
        let read = events.flatMap(\.inputs).flatMap(\.offsets)
        for partition in 0..<Int32(fixture.partitions) {
            // Each begins where the one before ended.
            var next: Int64 = 0
            for range in read where range.partition == partition {
                #expect(range.topic == fixture.topic && range.start == next)
                next = range.end
            }
            #expect(next == 200)
        }
        let layout = fixture.layout("lake")
        let parts: [(Layer, Int64?)] = [(.bronze, nil), (.silver, 1), (.gold, 1), (.quarantine, 1)]
        for (layer, generation) in parts {
            let folder = RunDataset.Place.folder(
                layout.folder(of: layer, generation: generation, topic: fixture.topic))
            let rows = events.flatMap(\.outputs).filter { $0.place == folder }.compactMap(\.rows).reduce(0, +)
            #expect(rows == (try fixture.lines("lake", layer, generation: generation).count), "\(layer)")
        }
        let published = events.flatMap(\.outputs).filter { $0.place == .topic(options.goldTopic) }
        #expect(
            published.compactMap(\.rows).reduce(0, +) == (try fixture.lines("lake", .gold, generation: 1).count))
    }
}
