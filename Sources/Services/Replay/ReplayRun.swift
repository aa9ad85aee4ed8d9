import Lake
import Records
import Telemetry

/// What a replay reads and writes, as it is told to others.
struct ReplayRun: Sendable {
    private let layout: LakeLayout
    private let generation: Int64
    private let reporter: RunReporter

    /// Tells that it begins; nil where nobody wants to know.
    init?(_ sink: (any RunEventSink)?, layout: LakeLayout, generation: Int64, topics: [String]) {
        guard let sink else { return nil }
        self.layout = layout
        self.generation = generation
        reporter = RunReporter(
            RunEvent.Job(name: "replay", processing: .batch),
            inputs: topics.map { .folder(layout.folder(of: .bronze, generation: nil, topic: $0)) },
            outputs: topics.flatMap { topic in
                [Layer.silver, .gold].map { .folder(layout.folder(of: $0, generation: generation, topic: topic)) }
            }, to: sink)
        reporter.start()
    }

    /// Notes a chunk whose lines were written.
    func note(_ chunk: RangeReplay.Chunk, of source: TopicPartition) {
        let offsets = [
            RunDataset.Offsets(
                topic: source.topic, partition: source.partition, start: chunk.range.start, end: chunk.range.end)
        ]
        let bronze = layout.folder(of: .bronze, generation: nil, topic: source.topic)
        reporter.note(RunDataset(.folder(bronze), offsets: offsets), isInput: true)
        let rows: [(Layer, Int)] = [
            (.silver, chunk.hours.reduce(0) { $0 + $1.silver.count }),
            (.gold, chunk.hours.reduce(0) { $0 + $1.gold.count }),
            (.quarantine, chunk.hours.reduce(0) { $0 + $1.quarantine.count }),
        ]
        for (layer, count) in rows {
            let folder = layout.folder(of: layer, generation: generation, topic: source.topic)
            reporter.note(RunDataset(.folder(folder), offsets: offsets, rows: count), isInput: false)
        }
    }

    /// Tells how it ended.
    ///
    /// - Parameters:
    ///   - error: nil where it was done.
    ///   - isCutShort: whether it may go on later.
    func end(_ error: (any Error)?, isCutShort: Bool) {
        if isCutShort { reporter.abort() } else { reporter.end(error.map { "\($0)" }) }
    }
}
