import Lake
import Records
import Telemetry

/// What a commit means for the run that made it: what was read, and what was written of it.
struct CommittedRun {
    let layout: LakeLayout
    let source: TopicPartition

    /// Notes one commit.
    ///
    /// - Parameter goldTopic: where its documents were published.
    func note(_ record: CommitRecord, _ goldTopic: String, in reporter: RunReporter) {
        let offsets = [
            RunDataset.Offsets(
                topic: source.topic, partition: source.partition, start: record.range.start, end: record.range.end)
        ]
        reporter.note(RunDataset(.topic(source.topic), offsets: offsets), isInput: true)
        func wrote(_ layer: Layer, _ generation: Int64?, _ range: ByteRange) {
            let folder = layout.folder(of: layer, generation: generation, topic: source.topic)
            reporter.note(
                RunDataset(.folder(folder), offsets: offsets, rows: range.lines, bytes: range.end - range.start),
                isInput: false)
        }
        wrote(.bronze, nil, record.bronze)
        for part in record.parts {
            for layer in [Layer.silver, .gold, .quarantine] { wrote(layer, part.generation, part.range(layer)) }
        }
        reporter.note(
            RunDataset(.topic(goldTopic), offsets: offsets, rows: record.parts.reduce(0) { $0 + $1.gold.lines }),
            isInput: false)
    }
}
