import Events
import Files
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
    private let writer: Mutex<Writer>
    let published: Mutex<PublishedLog>
    let openSealed = OpenSegments()

    /// Takes over what ``LogRecovery`` found.
    init(topicPartition: TopicPartition, folder: String, recovered: RecoveredLog, disk: DiskCalls) {
        self.topicPartition = topicPartition
        self.folder = folder
        self.disk = disk
        published = Mutex(recovered.published)
        writer = Mutex(
            Writer(
                file: recovered.published.active, nextOffset: recovered.published.endOffset,
                position: recovered.published.endPosition, timestampMax: recovered.published.activeTimestampMax,
                producers: recovered.producers))
    }

    private struct Writer {
        var file: SegmentFile
        var nextOffset: Int64
        /// Length of the active segment, staged bytes included.
        var position: Int
        var timestampMax: Int64
        var producers: ProducerStates
        var staged: [UInt8] = []
        /// Since the last publication.
        var newEntries: [IndexEntry] = []
        var undo: [(producerID: Int64, earlier: ProducerStates.Producer?)] = []
        var isUnsynced = false
        /// The topic was deleted; its folder may belong to another of the same name by now.
        var isClosed = false
        /// A rollback could not cut the file; nothing may be written before that is done.
        var mustCut = false
    }

    /// Staged bytes beyond which they are flushed at once.
    private static let stagedBytesMax = 8 << 20

    /// Stages a batch that ``RecordBatch/validate(produced:bytesMax:)`` accepted.
    ///
    /// - Throws: when the disk failed; the caller then rolls back.
    func append(
        _ batch: UnsafeRawBufferPointer, header: RecordBatchHeader, settings: LogSettings, now: Int64
    ) throws(FileError) -> AppendOutcome {
        try withWriter { writer throws(FileError) in
            if writer.isClosed { return .refused(.unknownTopicOrPartition) }
            if writer.mustCut { try cut(&writer) }
            switch writer.producers.decide(header) {
            case .refuse(let code): return .refused(code)
            case .duplicate(let known):
                return .accepted(
                    baseOffset: known.baseOffset, lastOffset: known.lastOffset, appendTime: known.appendTime)
            case .append: break
            }
            if writer.position > 0, writer.position + batch.count > settings.segmentBytesMax {
                try roll(&writer)
            }
            return try stage(batch, header, settings, now, &writer)
        }
    }

    private func stage(
        _ batch: UnsafeRawBufferPointer, _ header: RecordBatchHeader, _ settings: LogSettings, _ now: Int64,
        _ writer: inout Writer
    ) throws(FileError) -> AppendOutcome {
        if writer.staged.count + batch.count > Self.stagedBytesMax { try flush(&writer) }
        var header = header
        header.baseOffset = writer.nextOffset
        if settings.timestampType == .logAppendTime { header.maxTimestamp = now }
        let start = writer.staged.count
        writer.staged.append(contentsOf: batch)
        writer.staged.withUnsafeMutableBytes { staged in
            RecordBatch.stamp(
                UnsafeMutableRawBufferPointer(rebasing: staged[start...]), baseOffset: header.baseOffset,
                leaderEpoch: Self.leaderEpoch, timestampType: settings.timestampType, now: now)
        }
        let lastEntryPosition =
            writer.newEntries.last?.position ?? published.withLock { $0.activeEntries.last?.position }
        if lastEntryPosition.map({ writer.position - Int($0) >= settings.indexIntervalBytes }) ?? true {
            writer.newEntries.append(
                IndexEntry(
                    relativeOffset: UInt32(truncatingIfNeeded: header.baseOffset - writer.file.baseOffset),
                    position: UInt32(truncatingIfNeeded: writer.position), timestampBefore: writer.timestampMax))
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
        try withWriter { writer throws(FileError) in try flush(&writer) }
    }

    private func flush(_ writer: inout Writer) throws(FileError) {
        guard !writer.staged.isEmpty else { return }
        var failure: FileError?
        writer.staged.withUnsafeBytes { bytes in
            do throws(FileError) {
                try writer.file.write(bytes, at: writer.position - bytes.count)
            } catch { failure = error }
        }
        if let failure { throw failure }
        writer.isUnsynced = true
        // A large buffer is not kept for the next trickle.
        writer.staged.removeAll(keepingCapacity: writer.staged.count <= 1 << 20)
    }

    /// Makes durable what was flushed; does nothing when nothing was since the last time.
    func sync() throws(FileError) {
        try withWriter { writer throws(FileError) in try sync(&writer) }
    }

    private func sync(_ writer: inout Writer) throws(FileError) {
        guard writer.isUnsynced else { return }
        try writer.file.sync()
        writer.isUnsynced = false
    }

    /// Shows readers everything that was flushed.
    ///
    /// - Returns: the offset after the last visible record.
    @discardableResult
    func publish() -> Int64 {
        writer.withLock { publish(&$0) }
        return published.withLock { $0.endOffset }
    }

    private func publish(_ writer: inout Writer) {
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
            for (producerID, earlier) in writer.undo.reversed() { writer.producers.restore(producerID, earlier) }
            writer.undo = []
            writer.newEntries = []
            writer.staged = []
            writer.isUnsynced = false
            published.withLock { published in
                writer.nextOffset = published.endOffset
                writer.position = published.endPosition
                writer.timestampMax = published.activeTimestampMax
            }
            writer.mustCut = true
            try cut(&writer)
        }
    }

    private func cut(_ writer: inout Writer) throws(FileError) {
        try writer.file.truncate(to: writer.position)
        writer.mustCut = false
    }

    /// Closes the active segment with its seal and begins the next one.
    private func roll(_ writer: inout Writer) throws(FileError) {
        try flush(&writer)
        try sync(&writer)
        publish(&writer)
        let old = published.withLock { $0 }
        let seal = SegmentSeal(
            baseOffset: old.active.baseOffset, endOffset: old.endOffset, byteCount: old.endPosition,
            timestampMax: old.activeTimestampMax, entries: old.activeEntries, producers: writer.producers)
        try File.replace(
            folder + "/" + SegmentFile.name(seal.baseOffset, suffix: SegmentSeal.suffix), with: seal.encoded())
        // An empty file of that name can only be left from an attempt that failed here.
        try Folder.removeIfPresent(folder + "/" + SegmentFile.name(old.endOffset))
        let next = try SegmentFile(folder: folder, baseOffset: old.endOffset, isNew: true, disk: disk)
        try Folder.sync(folder)
        writer.file = next
        writer.position = 0
        writer.timestampMax = Int64.min
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
            try roll(&writer)
        }
        return try remove(published.withLock { $0.drop(retention, now: now) })
    }

    /// Makes all records before `offset` unreadable, durable when this returns, and drops the segments that hold
    /// nothing else. `offset` is at most the high watermark.
    ///
    /// - Returns: the first offset that is left.
    func deleteRecords(before offset: Int64) throws(FileError) -> Int64 {
        let start = published.withLock { $0.startOffset }
        guard offset > start else { return start }
        try LogStart.save(offset, folder: folder)
        let dropped = published.withLock { published -> [SealedSegment] in
            published.startOffset = offset
            return published.dropBelowStart()
        }
        _ = try remove(dropped)
        return offset
    }

    private func remove(_ dropped: [SealedSegment]) throws(FileError) -> Int {
        // Oldest first: what a crash leaves behind is a row without a hole.
        for segment in dropped {
            try Folder.removeIfPresent(folder + "/" + SegmentFile.name(segment.baseOffset))
            try Folder.removeIfPresent(folder + "/" + SegmentFile.name(segment.baseOffset, suffix: SegmentSeal.suffix))
        }
        return dropped.count
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
        _ body: (inout Writer) throws(FileError) -> Result
    ) throws(FileError) -> Result {
        try writer.withLock { writer throws(FileError) -> Result in try body(&writer) }
    }
}

/// What readers see of a log; a value, copied out in moments.
struct PublishedLog: Sendable {
    /// The first offset that may be read.
    var startOffset: Int64
    /// Oldest first.
    var sealed: [SealedSegment]
    var active: SegmentFile
    var activeEntries: [IndexEntry]
    /// The largest broker time in the active segment (milliseconds since 1970), Int64.min when it is empty.
    var activeTimestampMax: Int64
    /// The offset after the last visible record: the high watermark.
    var endOffset: Int64
    /// Where in the active segment the visible records end.
    var endPosition: Int

    /// Visible bytes of all segments.
    var byteCount: Int { sealed.reduce(endPosition) { $0 + $1.byteCount } }

    /// Takes out the segments that hold nothing readable any more.
    mutating func dropBelowStart() -> [SealedSegment] {
        let count = sealed.partitionPoint { $0.endOffset > startOffset }
        defer { sealed.removeFirst(count) }
        return Array(sealed.prefix(count))
    }

    /// Takes out the segments that `retention` no longer keeps.
    mutating func drop(_ retention: LogRetention, now: Int64) -> [SealedSegment] {
        var bytesLeft = Int64(byteCount)
        var count = 0
        for segment in sealed {
            let isOld = retention.milliseconds.map { segment.timestampMax < now - $0 } ?? false
            let isTooMuch = retention.bytes.map { bytesLeft - Int64(segment.byteCount) >= $0 } ?? false
            guard isOld || isTooMuch else { break }
            bytesLeft -= Int64(segment.byteCount)
            count += 1
        }
        let dropped = Array(sealed.prefix(count))
        sealed.removeFirst(count)
        startOffset = max(startOffset, sealed.first?.baseOffset ?? active.baseOffset)
        return dropped
    }

    mutating func begin(_ next: SegmentFile, after seal: SegmentSeal) {
        sealed.append(
            SealedSegment(
                baseOffset: seal.baseOffset, endOffset: seal.endOffset, byteCount: seal.byteCount,
                timestampMax: seal.timestampMax, entryCount: seal.entries.count))
        active = next
        activeEntries = []
        activeTimestampMax = Int64.min
        endPosition = 0
    }
}
