import Files
package import Records

/// Writes the files of a replayed range of one topic partition, already sealed, with a log of their own.
///
/// An interrupted replay resumes after the last hour in its log (``sealedEnd(layout:source:generation:)``): what was written of
/// a later one is written again, to the same bytes. Not thread-safe.
package final class ReplayWriter {
    private let layout: LakeLayout
    private let source: TopicPartition
    private let generation: Int64
    private let logPath: String
    private var hour: LakeHour?
    private var firstOffset: Int64 = 0
    private var writers: [Layer: Slot] = [:]

    /// A box, since a dictionary cannot hold what owns a file.
    private final class Slot {
        var writer: SealedFileWriter?

        init(_ writer: consuming SealedFileWriter) { self.writer = consume writer }
    }

    /// - Throws: where the log's folder cannot be made.
    package init(layout: LakeLayout, source: TopicPartition, generation: Int64) throws(LakeError) {
        self.layout = layout
        self.source = source
        self.generation = generation
        logPath = layout.commitLog(source, replay: generation)
        // Says early where the lake cannot be written.
        try LakeError.placed(logPath) { [logPath] in
            try Folder.create(Folder.parent(of: logPath), isDurable: false)
        }
    }

    /// Where an interrupted replay resumes: after what is sealed; nil where nothing is.
    package static func sealedEnd(
        layout: LakeLayout, source: TopicPartition, generation: Int64
    ) throws(LakeError) -> Int64? {
        let path = layout.commitLog(source, replay: generation)
        guard Folder.exists(path) else { return nil }
        return try CommitLog(reading: path).last()?.range.end
    }

    /// Begins an hour, sealing the one before; nothing when it is the present one.
    ///
    /// - Parameter firstOffset: the first offset of the range in the hour, which names its files.
    package func begin(_ hour: LakeHour, firstOffset: Int64) throws(LakeError) {
        guard hour != self.hour else { return }
        try finishHour(end: firstOffset)
        self.hour = hour
        self.firstOffset = firstOffset
    }

    /// Adds one line of a record of the present hour; a layer's lines come in the order of their offsets.
    package func append(_ layer: Layer, line: [UInt8]) throws(LakeError) {
        guard let hour else { return }
        if writers[layer] == nil {
            writers[layer] = Slot(
                try SealedFileWriter(
                    layout: layout,
                    name: DataFileName(
                        layer: layer, generation: generation, source: source, hour: hour, firstOffset: firstOffset)))
        }
        try writers[layer]?.writer?.append(line: line[...])
    }

    /// Seals the last hour and records the range up to `end`.
    package func finish(end: Int64) throws(LakeError) {
        try finishHour(end: end)
        // A range without a record has a log, too: one that is missing is damage.
        if !Folder.exists(logPath) { _ = try CommitLog.writing(logPath, in: layout) }
    }

    private func finishHour(end: Int64) throws(LakeError) {
        guard let hour, let range = OffsetRange(start: firstOffset, end: end) else { return }
        var record = CommitRecord(kind: .seal, range: range, hour: hour, brokerTimeMax: 0, firstOffset: firstOffset)
        for layer in Layer.derived {
            guard let slot = writers[layer], let writer = slot.writer.take() else { continue }
            record.sealed.append(try writer.finish())
        }
        writers = [:]
        var log = try CommitLog.writing(logPath, in: layout)
        try log.append(record)
        self.hour = nil
    }
}
