import Bytes
import Synchronization

/// Tells a sink of one run: that it began, from time to time what it did since, and how it ended. May be used on any thread.
package final class RunReporter: Sendable {
    /// What was done with one dataset since the last event.
    private struct Part {
        var isInput: Bool
        var dataset: RunDataset

        /// - Returns: whether there is hardly room for more.
        mutating func add(_ other: RunDataset) -> Bool {
            if let rows = other.rows { dataset.rows = (dataset.rows ?? 0) + rows }
            if let bytes = other.bytes { dataset.bytes = (dataset.bytes ?? 0) + bytes }
            for range in other.offsets where range.end > range.start { dataset.offsets.append(joining: range) }
            return dataset.offsets.count >= RunReporter.rangesMax
        }
    }

    private let sink: any RunEventSink
    private let job: RunEvent.Job
    private let datasets: [(isInput: Bool, place: RunDataset.Place)]
    private let now: @Sendable () -> Int64
    /// Of the run, a UUID.
    package let runID: String
    private let parts = Mutex<[RunDataset.Place: Part]>([:])

    /// Runs of offsets that are kept for one dataset until the next event. Where there are more, the event goes at once.
    static let rangesMax = 256

    /// - Parameters:
    ///   - inputs: what it reads, also where nothing of it was read yet.
    ///   - now: milliseconds since 1970.
    package init(
        _ job: RunEvent.Job, inputs: [RunDataset.Place], outputs: [RunDataset.Place], to sink: any RunEventSink,
        now: @escaping @Sendable () -> Int64 = { SystemClock.epochMilliseconds() }
    ) {
        self.sink = sink
        self.job = job
        self.now = now
        datasets = inputs.map { (true, $0) } + outputs.map { (false, $0) }
        var random = SystemRandomNumberGenerator()
        runID = UUIDText.string(&random)
    }

    /// Tells that the run began.
    package func start() { send(.start) }

    /// Notes what was read or written, for the next event.
    package func note(_ dataset: RunDataset, isInput: Bool) {
        let isFull = parts.withLock { parts in
            parts[dataset.place, default: Part(isInput: isInput, dataset: RunDataset(dataset.place))].add(dataset)
        }
        if isFull { report() }
    }

    /// Tells what was noted since the last event; nothing where nothing was.
    package func report() {
        guard parts.withLock({ !$0.isEmpty }) else { return }
        send(.running)
    }

    /// Tells how the run ended, with what was noted since the last event.
    ///
    /// - Parameter error: what ended it; nil where it ended as it should.
    package func end(_ error: String? = nil) { send(error == nil ? .complete : .fail, error: error) }

    /// Tells that somebody ended the run before it was done.
    package func abort() { send(.abort) }

    private func send(_ state: RunEvent.State, error: String? = nil) {
        let noted = parts.withLock { parts in
            defer { parts = [:] }
            return parts
        }
        func side(_ isInput: Bool) -> [RunDataset] {
            let declared = datasets.filter { $0.isInput == isInput }.map(\.place)
            let others = noted.values.filter { $0.isInput == isInput && !declared.contains($0.dataset.place) }
            return declared.map { noted[$0]?.dataset ?? RunDataset($0) } + others.map(\.dataset)
        }
        sink.send(
            RunEvent(
                state: state, timeMilliseconds: now(), runID: runID, job: job, inputs: side(true), outputs: side(false),
                error: error))
    }
}

extension [RunDataset.Offsets] {
    /// Adds a run of offsets; one that goes on where another of its topic partition ends makes that one longer.
    fileprivate mutating func append(joining range: RunDataset.Offsets) {
        for index in indices.reversed()
        where self[index].topic == range.topic && self[index].partition == range.partition
            && self[index].end == range.start
        {
            self[index].end = range.end
            return
        }
        append(range)
    }
}
