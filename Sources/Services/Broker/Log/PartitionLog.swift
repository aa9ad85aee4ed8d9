import Files
import Records
import Synchronization

/// How one topic's logs are kept.
struct LogSettings: Equatable, Sendable {
    /// A segment that would grow beyond is closed and the next one begun. Positions are 32-bit: at most 2 GiB.
    var segmentBytesMax = 128 << 20
    /// Distance between index entries in bytes of log.
    var indexIntervalBytes = 16 << 10
    var timestampType = TimestampType.logAppendTime
}

/// What became of one batch given to ``PartitionLog/append(_:header:settings:now:)``.
enum AppendOutcome: Equatable, Sendable {
    /// Written at these offsets, or there already; to be acknowledged once the log is published beyond `lastOffset`.
    case accepted(baseOffset: Int64, lastOffset: Int64, appendTime: Int64)
    case refused(ErrorCode)
}

/// One topic partition's records on disk: a row of segments, the last of which grows.
///
/// Two parts with a lock each. The writer's part is used by the storage thread: batches are *staged* in memory,
/// *flushed* to the file, *synced*, and then *published*, which is what makes them visible to readers, so a reader
/// never sees what a power cut could take back. What fails before it is published is rolled back to the last
/// published state. The published part is held only for moments, so a slow disk never keeps a reader waiting.
final class PartitionLog: Sendable {
    /// This broker never has another leader than itself.
    static let leaderEpoch: Int32 = 0

    let topicPartition: TopicPartition
    let folder: String
    private let disk: DiskCalls
    private let writer: Mutex<LogWriter>
    let published: Mutex<PublishedLog>
    let openSealed = OpenSegments()

    /// Takes over what ``LogRecovery`` found.
    init(topicPartition: TopicPartition, folder: String, recovered: RecoveredLog, disk: DiskCalls) {
        self.topicPartition = topicPartition
        self.folder = folder
        self.disk = disk
        published = Mutex(recovered.published)
        writer = Mutex(LogWriter(recovered))
    }

    /// Staged bytes beyond which they are flushed at once.
    private static let stagedBytesMax = 8 << 20

    /// Stages a batch that ``BatchValidator`` accepted.
    ///
    /// - Throws: when the disk failed; the caller then rolls back.
    func append(
        _ batch: UnsafeRawBufferPointer, header: RecordBatchHeader, settings: LogSettings, now: Int64
    ) throws(FileError) -> AppendOutcome {
        try withWriter { writer throws(FileError) in
            if writer.isClosed { return .refused(.unknownTopicOrPartition) }
            try writer.settle()
            switch writer.producers.decide(header) {
            case .refuse(let code): return .refused(code)
            case .duplicate(let known):
                return .accepted(
                    baseOffset: known.baseOffset, lastOffset: known.lastOffset, appendTime: known.appendTime)
            case .append: break
            }
            // Index entries hold offsets as 32-bit distances from the segment's first.
            let reach = writer.nextOffset - writer.file.baseOffset + Int64(header.lastOffsetDelta)
            let isFull = writer.position + batch.count > settings.segmentBytesMax || reach > Int64(Int32.max)
            if writer.position > 0, isFull { try roll(&writer) }
            return try stage(batch, header, settings, now, &writer)
        }
    }

    private func stage(
        _ batch: UnsafeRawBufferPointer, _ header: RecordBatchHeader, _ settings: LogSettings, _ now: Int64,
        _ writer: inout LogWriter
    ) throws(FileError) -> AppendOutcome {
        if writer.staged.count + batch.count > Self.stagedBytesMax { try writer.flush() }
        var header = header
        header.baseOffset = writer.nextOffset
        if settings.timestampType == .logAppendTime { header.maxTimestamp = now }
        let start = writer.staged.count
        writer.staged.append(contentsOf: batch)
        writer.staged.withUnsafeMutableBytes { staged in
            RecordBatch.stamp(
                UnsafeMutableRawBufferPointer(rebasing: staged[start...]), baseOffset: header.baseOffset,
                leaderEpoch: Self.leaderEpoch, timestampType: settings.timestampType,
                maxTimestamp: header.maxTimestamp)
        }
        let lastEntryPosition =
            writer.newEntries.last?.position ?? published.withLock { $0.activeEntries.last?.position }
        let isDue = lastEntryPosition.map { writer.position - Int($0) >= settings.indexIntervalBytes } ?? true
        if isDue, let entry = IndexEntry(header, in: writer.file, at: writer.position, after: writer.timestampMax) {
            writer.newEntries.append(entry)
        }
        writer.position += batch.count
        writer.nextOffset = header.lastOffset + 1
        writer.timestampMax = max(writer.timestampMax, header.maxTimestamp)
        let appendTime = settings.timestampType == .logAppendTime ? now : -1
        if header.producerID >= 0 {
            let earlier = writer.producers.record(header, appendTime: appendTime, now: now)
            writer.undo.append((header.producerID, earlier))
        }
        return .accepted(baseOffset: header.baseOffset, lastOffset: header.lastOffset, appendTime: appendTime)
    }

    /// Gives the staged bytes to the kernel.
    func flush() throws(FileError) {
        try withWriter { writer throws(FileError) in try writer.flush() }
    }

    /// Makes durable what was flushed; does nothing when nothing was since the last time.
    func sync() throws(FileError) {
        try withWriter { writer throws(FileError) in try writer.sync() }
    }

    /// Shows readers everything that was flushed.
    ///
    /// - Returns: the offset after the last visible record.
    @discardableResult
    func publish() -> Int64 {
        writer.withLock { publish(&$0) }
        return published.withLock { $0.endOffset }
    }

    private func publish(_ writer: inout LogWriter) {
        published.withLock { published in
            published.activeEntries.append(contentsOf: writer.newEntries)
            published.endOffset = writer.nextOffset
            published.endPosition = writer.position
            published.activeTimestampMax = writer.timestampMax
        }
        writer.newEntries.removeAll(keepingCapacity: true)
        writer.undo.removeAll(keepingCapacity: true)
    }

    /// Forgets everything since the last publication, after a failure of the disk.
    ///
    /// After a failed sync the kernel may hold pages as clean that never reached the disk, so they are cut off and
    /// written anew, not synced again.
    /// - Throws: when the file could not be cut; the next append tries again first.
    func rollBack() throws(FileError) {
        try withWriter { writer throws(FileError) in
            let published = published.withLock { $0 }
            try writer.rollBack(to: published)
        }
    }

    /// Closes the active segment with its seal and begins the next one.
    private func roll(_ writer: inout LogWriter) throws(FileError) {
        try writer.flush()
        try writer.sync()
        publish(&writer)
        let old = published.withLock { $0 }
        let seal = SegmentSeal(
            baseOffset: old.active.baseOffset, endOffset: old.endOffset, byteCount: old.endPosition,
            timestampMax: old.activeTimestampMax, entries: old.activeEntries, producers: writer.producers)
        try File.replace(
            folder + "/" + SegmentFile.name(seal.baseOffset, suffix: SegmentSeal.suffix), with: seal.encoded())
        let path = folder + "/" + SegmentFile.name(old.endOffset)
        // An empty file of that name can only be left from an attempt that failed here.
        try Folder.removeIfPresent(path)
        let next: SegmentFile
        do throws(FileError) {
            next = try SegmentFile(folder: folder, baseOffset: old.endOffset, isNew: true, disk: disk)
            try Folder.sync(folder)
        } catch {
            // What comes now goes into the old segment, to offsets behind that name: no start may find it there.
            writer.leftover = path
            try? writer.removeLeftover()
            throw error
        }
        writer.begin(next)
        published.withLock { $0.begin(next, after: seal) }
    }

    /// Ends writing for good, because the topic was deleted.
    func close() {
        writer.withLock { $0.isClosed = true }
    }

    /// Drops old segments from the front. Where all records are too old, the segment that grows is closed and dropped
    /// as well. Readers that are being sent one keep its file open until they are done.
    ///
    /// - Returns: how many were dropped.
    func retain(_ retention: LogRetention, now: Int64) throws(FileError) -> Int {
        try withWriter { writer throws(FileError) in
            guard let limit = retention.milliseconds, writer.position > 0, writer.timestampMax < now - limit else {
                return
            }
            try writer.settle()
            try roll(&writer)
        }
        let view = published.withLock { $0 }
        let start = view.start(keeping: retention, now: now)
        let count = start > view.startOffset ? try moveStart(to: start) : 0
        try removeDropped()
        return count
    }

    /// Makes all records before `offset` unreadable, durable when this returns, and drops the segments that hold
    /// nothing else. `offset` is at most the high watermark.
    ///
    /// - Returns: the first offset that is left.
    func deleteRecords(before offset: Int64) throws(FileError) -> Int64 {
        let start = published.withLock { $0.startOffset }
        guard offset > start else { return start }
        _ = try moveStart(to: offset)
        // The records are gone, whatever becomes of the files: those are tried again, and by the next start.
        try? removeDropped()
        return offset
    }

    /// The start is durable before the first file goes, so that a crash that keeps any of them leaves no hole.
    ///
    /// - Returns: how many segments hold nothing readable any more.
    private func moveStart(to offset: Int64) throws(FileError) -> Int {
        try LogStart.save(offset, folder: folder)
        let dropped = published.withLock { published -> [SealedSegment] in
            published.startOffset = offset
            return published.dropBelowStart()
        }
        writer.withLock { $0.dropped += dropped.map(\.baseOffset) }
        return dropped.count
    }

    /// Removes the files of the segments that hold nothing readable any more; one that stays keeps no other.
    ///
    /// - Throws: the first failure; what could not be removed is tried again next time.
    private func removeDropped() throws(FileError) {
        try withWriter { writer throws(FileError) in
            var failure: FileError?
            var left: [Int64] = []
            for base in writer.dropped {
                do throws(FileError) {
                    try Folder.removeIfPresent(folder + "/" + SegmentFile.name(base))
                    try Folder.removeIfPresent(folder + "/" + SegmentFile.name(base, suffix: SegmentSeal.suffix))
                } catch {
                    left.append(base)
                    if failure == nil { failure = error }
                }
            }
            writer.dropped = left
            if let failure { throw failure }
        }
    }

    /// Forgets producers not heard of since `time` (milliseconds since 1970).
    func forgetProducers(before time: Int64) {
        writer.withLock { if $0.undo.isEmpty { $0.producers.forget(before: time) } }
    }

    /// The offset that the next record gets, as the writer sees it.
    var nextOffset: Int64 { writer.withLock { $0.nextOffset } }

    /// The producers as the writer knows them now.
    var producers: ProducerStates { writer.withLock { $0.producers } }

    /// `Mutex.withLock` with typed throws, whatever the toolchain infers.
    private func withWriter<Result: Sendable>(
        _ body: (inout LogWriter) throws(FileError) -> Result
    ) throws(FileError) -> Result {
        try writer.withLock { writer throws(FileError) -> Result in try body(&writer) }
    }
}
