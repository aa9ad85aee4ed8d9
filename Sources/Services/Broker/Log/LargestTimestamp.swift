import Files

extension PartitionLog {
    /// The first record with the largest timestamp, as exactly as `budget` allows; nil for an empty log.
    func offsetOfLargestTimestamp(
        _ validator: inout BatchValidator, budget: inout Int
    ) throws(FileError) -> TimedOffset? {
        let view = published.withLock { $0 }
        let largest = view.sealed.map(\.timestampMax).reduce(view.activeTimestampMax, max)
        guard largest > Int64.min else { return nil }
        if let found = try firstOffset(notBefore: largest, &validator, budget: &budget) { return found }
        // The record of that time lies before the log's start, which DeleteRecords may have put into the middle of a segment.
        guard view.startOffset < view.endOffset else { return nil }
        let kept = try largestKept(view, &validator, &budget)
        return try firstOffset(notBefore: kept, &validator, budget: &budget)
    }

    /// The largest timestamp from the log's start on. What is looked at in the start's segment counts against `budget`.
    private func largestKept(
        _ view: PublishedLog, _ validator: inout BatchValidator, _ budget: inout Int
    ) throws(FileError) -> Int64 {
        let start = view.startOffset
        let first = try segment(holding: start, in: view)
        var largest = Int64.min
        for sealed in view.sealed where sealed.baseOffset > first.file.baseOffset {
            largest = max(largest, sealed.timestampMax)
        }
        if view.active.baseOffset > first.file.baseOffset { largest = max(largest, view.activeTimestampMax) }
        let relative = IndexEntry.relative(start, to: first.file.baseOffset)
        let entry = try first.index.last { $0.relativeOffset <= relative }
        let scanner = BatchScanner(file: first.file, limit: first.byteCount)
        var cut: (header: RecordBatchHeader, position: Int)?
        var left = budget
        try scanner.headers(from: Int(entry?.position ?? 0)) { header, position in
            left -= RecordBatchHeader.byteCount
            if header.baseOffset >= start || header.lastOffset >= start && header.isLogAppendTime {
                largest = max(largest, header.maxTimestamp)
            } else if header.lastOffset >= start {
                cut = (header, position)
            }
            return left > 0
        }
        budget = max(0, left)
        guard let (header, position) = cut, header.byteCount <= budget else { return largest }
        budget -= header.byteCount
        let bytes = try first.file.bytes(at: position, count: header.byteCount)
        let kept = bytes.withUnsafeBytes { batch in
            validator.largestTimestamp(from: start, in: batch, header, budget: &budget)
        }
        return max(largest, kept ?? Int64.min)
    }
}
