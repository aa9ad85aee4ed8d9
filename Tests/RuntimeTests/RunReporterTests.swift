import Synchronization
import Testing

@testable import Telemetry

/// What a run tells of itself.
struct RunReporterTests {
    private final class Sink: RunEventSink {
        let events = Mutex<[RunEvent]>([])
        func send(_ event: RunEvent) { events.withLock { $0.append(event) } }
    }

    private func offsets(_ start: Int64, _ end: Int64, of partition: Int32 = 0) -> RunDataset.Offsets {
        RunDataset.Offsets(topic: "t", partition: partition, start: start, end: end)
    }

    @Test func adjacentOffsetsAreOneRange() {
        let sink = Sink()
        let reporter = RunReporter(
            .init(name: "stream.t", processing: .streaming), inputs: [.topic("t")], outputs: [.folder("/lake")],
            to: sink, now: { 7 })
        reporter.start()
        reporter.report()
        for (start, end) in [(0, 5), (5, 9), (12, 14), (14, 14)] as [(Int64, Int64)] {
            reporter.note(RunDataset(.topic("t"), offsets: [offsets(start, end)]), isInput: true)
            reporter.note(RunDataset(.topic("t"), offsets: [offsets(start, end, of: 1)]), isInput: true)
            reporter.note(RunDataset(.folder("/lake"), rows: Int(end - start), bytes: 10), isInput: false)
        }
        reporter.report()
        reporter.note(RunDataset(.folder("/other"), rows: 2), isInput: false)
        reporter.end()
        let events = sink.events.withLock { $0 }
        #expect(events.map(\.state) == [.start, .running, .complete])
        #expect(events.allSatisfy { $0.timeMilliseconds == 7 && $0.runID == reporter.runID })
        let wanted = [offsets(0, 9), offsets(0, 9, of: 1), offsets(12, 14), offsets(12, 14, of: 1)]
        #expect(events[1].inputs == [RunDataset(.topic("t"), offsets: wanted)])
        #expect(events[1].outputs == [RunDataset(.folder("/lake"), rows: 11, bytes: 40)])
        #expect(events[2].inputs == [RunDataset(.topic("t"))])
        #expect(events[2].outputs == [RunDataset(.folder("/lake")), RunDataset(.folder("/other"), rows: 2)])
    }

    /// A run whose offsets have gaps everywhere.
    @Test func whatIsKeptForAnEventIsBounded() {
        let sink = Sink()
        let reporter = RunReporter(.init(name: "r", processing: .batch), inputs: [], outputs: [], to: sink)
        let count = RunReporter.rangesMax * 2 + 10
        for number in 0..<Int64(count) {
            reporter.note(RunDataset(.topic("t"), offsets: [offsets(number * 2, number * 2 + 1)]), isInput: true)
        }
        reporter.end()
        let events = sink.events.withLock { $0 }
        #expect(events.map(\.state) == [.running, .running, .complete])
        #expect(events.allSatisfy { $0.inputs.allSatisfy { $0.offsets.count <= RunReporter.rangesMax } })
        #expect(events.flatMap(\.inputs).flatMap(\.offsets).count == count)
    }
}
