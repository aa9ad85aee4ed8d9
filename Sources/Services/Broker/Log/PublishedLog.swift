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

    /// The first offset that `retention` still keeps.
    func start(keeping retention: LogRetention, now: Int64) -> Int64 {
        var bytesLeft = Int64(byteCount)
        for segment in sealed {
            let isOld = retention.milliseconds.map { segment.timestampMax < now - $0 } ?? false
            let isTooMuch = retention.bytes.map { bytesLeft - Int64(segment.byteCount) >= $0 } ?? false
            guard isOld || isTooMuch else { return max(startOffset, segment.baseOffset) }
            bytesLeft -= Int64(segment.byteCount)
        }
        return max(startOffset, active.baseOffset)
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
