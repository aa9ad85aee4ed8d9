import Files
import Glibc

/// A run of whole batches in a segment file, to be sent as it is.
struct LogRegion: Sendable {
    let file: SegmentFile
    let position: Int
    let byteCount: Int
}

/// What a read at an offset found.
struct LogRead: Sendable {
    var startOffset: Int64
    /// The high watermark.
    var endOffset: Int64
    /// nil: nothing there yet.
    var region: LogRegion?
    /// The offset asked for lies outside `[startOffset, endOffset]`.
    var isOutOfRange = false
}

/// An offset found by time.
struct TimedOffset: Equatable, Sendable {
    var offset: Int64
    /// Milliseconds since 1970.
    var timestamp: Int64

    init(offset: Int64, timestamp: Int64) {
        self.offset = offset
        self.timestamp = timestamp
    }

    /// Stands for a record somewhere in a batch: never later than it, and of a time that is in the batch.
    init(batch header: RecordBatchHeader, from start: Int64) {
        self.init(offset: max(header.baseOffset, start), timestamp: header.maxTimestamp)
    }
}

extension PartitionLog {
    /// The whole batches from the one that holds `offset` on, as far as `bytesMax` allows and one segment goes; no
    /// record is looked at.
    ///
    /// - Parameter atLeastOne: give the first batch even when it alone is larger than `bytesMax`.
    func read(from offset: Int64, bytesMax: Int, atLeastOne: Bool) throws(FileError) -> LogRead {
        let view = published.withLock { $0 }
        var result = LogRead(startOffset: view.startOffset, endOffset: view.endOffset)
        guard offset >= view.startOffset, offset <= view.endOffset else {
            result.isOutOfRange = true
            return result
        }
        if offset == view.endOffset { return result }
        let segment = try segment(holding: offset, in: view)
        let relative = IndexEntry.relative(offset, to: segment.file.baseOffset)
        let entry = try segment.index.last { $0.relativeOffset <= relative }
        let scanner = BatchScanner(file: segment.file, limit: segment.byteCount)
        var first: (position: Int, byteCount: Int)?
        try scanner.headers(from: Int(entry?.position ?? 0)) { header, position in
            guard header.lastOffset >= offset else { return true }
            first = (position, header.byteCount)
            return false
        }
        guard let first else {
            throw FileError("find offset \(offset)", segment.file.path, code: EIO)
        }
        let end = try end(of: segment, scanner, first: first, bytesMax: max(bytesMax, 0))
        if end > first.position {
            result.region = LogRegion(file: segment.file, position: first.position, byteCount: end - first.position)
        } else if atLeastOne {
            result.region = LogRegion(file: segment.file, position: first.position, byteCount: first.byteCount)
        }
        return result
    }

    /// Visible bytes from `offset` on, counted roughly (by whole segments and index entries) and never too high by
    /// more than an index interval: enough to decide whether a waiting fetch has its minimum.
    func bytesAvailable(from offset: Int64) -> Int {
        let view = published.withLock { $0 }
        guard offset < view.endOffset else { return 0 }
        guard offset >= view.active.baseOffset else { return view.byteCount }
        let relative = IndexEntry.relative(offset, to: view.active.baseOffset)
        let after = view.activeEntries.partitionPoint { $0.relativeOffset > relative }
        let position = after == 0 ? 0 : Int(view.activeEntries[after - 1].position)
        return max(1, view.endPosition - position)
    }

    /// The first offset whose record is not older than `time` (milliseconds since 1970); nil when all are older.
    ///
    /// - Parameters:
    ///   - validator: unpacks the batch that holds it.
    ///   - budget: bytes of batches that may still be read and unpacked for it. Where that is too little, the answer is
    ///     the batch's first offset: some records too early, never one too late.
    func firstOffset(
        notBefore time: Int64, _ validator: inout BatchValidator, budget: inout Int
    ) throws(FileError) -> TimedOffset? {
        let view = published.withLock { $0 }
        for sealed in view.sealed where sealed.timestampMax >= time && sealed.endOffset > view.startOffset {
            let found = try firstOffset(notBefore: time, in: try open(sealed), view, &validator, &budget)
            if let found { return found }
        }
        guard view.activeTimestampMax >= time, view.endPosition > 0 else { return nil }
        return try firstOffset(notBefore: time, in: active(view), view, &validator, &budget)
    }

    private func firstOffset(
        notBefore time: Int64, in segment: Segment, _ view: PublishedLog, _ validator: inout BatchValidator,
        _ budget: inout Int
    ) throws(FileError) -> TimedOffset? {
        let entry = try segment.index.last { $0.timestampBefore < time }
        let scanner = BatchScanner(file: segment.file, limit: segment.byteCount)
        var next = Int(entry?.position ?? 0)
        while next < segment.byteCount {
            var candidate: (header: RecordBatchHeader, position: Int)?
            try scanner.headers(from: next) { header, position in
                guard header.maxTimestamp >= time, header.lastOffset >= view.startOffset else { return true }
                candidate = (header, position)
                return false
            }
            guard let (header, position) = candidate else { return nil }
            // What is read is counted as well: records that are not packed take their time, too.
            if header.isLogAppendTime || header.byteCount > budget {
                return TimedOffset(batch: header, from: view.startOffset)
            }
            budget -= header.byteCount
            let bytes = try segment.file.bytes(at: position, count: header.byteCount)
            let found = bytes.withUnsafeBytes { batch in
                validator.firstRecord(
                    notBefore: time, from: view.startOffset, in: batch, header, budget: &budget)
            }
            if let found { return found }
            // The batch's late records lie before the log's start.
            next = position + header.byteCount
        }
        return nil
    }

    /// A segment as readers see it.
    struct Segment {
        let file: SegmentFile
        let index: SegmentIndex
        /// Visible bytes.
        let byteCount: Int
    }

    private func active(_ view: PublishedLog) -> Segment {
        Segment(file: view.active, index: .memory(view.activeEntries), byteCount: view.endPosition)
    }

    private func open(_ sealed: SealedSegment) throws(FileError) -> Segment {
        let seal = folder + "/" + SegmentFile.name(sealed.baseOffset, suffix: SegmentSeal.suffix)
        return Segment(
            file: try openSealed.file(folder: folder, baseOffset: sealed.baseOffset),
            index: .seal(path: seal, count: sealed.entryCount), byteCount: sealed.byteCount)
    }

    func segment(holding offset: Int64, in view: PublishedLog) throws(FileError) -> Segment {
        if offset >= view.active.baseOffset { return active(view) }
        let index = view.sealed.partitionPoint { $0.endOffset > offset }
        guard index < view.sealed.count else { return active(view) }
        return try open(view.sealed[index])
    }

    /// The end of the last whole batch within `bytesMax` after `first`, to the precision of the index where the index
    /// reaches beyond the first batch; `first.position` when not even the first batch fits.
    private func end(
        of segment: Segment, _ scanner: BatchScanner, first: (position: Int, byteCount: Int), bytesMax: Int
    ) throws(FileError) -> Int {
        let (limit, overflow) = first.position.addingReportingOverflow(bytesMax)
        if overflow || limit >= segment.byteCount { return segment.byteCount }
        if let entry = try segment.index.last(where: { Int($0.position) <= limit }),
            Int(entry.position) >= first.position + first.byteCount
        {
            return Int(entry.position)
        }
        var end = first.position
        try scanner.headers(from: first.position) { header, position in
            guard position + header.byteCount <= limit else { return false }
            end = position + header.byteCount
            return true
        }
        return end
    }
}
