import Events
import Files

/// What a log's folder held at the start.
struct RecoveredLog: Sendable {
    var published: PublishedLog
    var producers: ProducerStates
    /// Bytes of a torn tail that were cut off.
    var bytesCut: Int
    /// Segments whose seal was missing or damaged and that were read whole.
    var segmentsRescanned: Int
}

/// Opens a log's folder after a stop of any kind.
///
/// Only the last segment can have a torn tail, because a segment is synced before the next one begins: it is read whole,
/// each batch's sum checked, and cut after the last batch that is whole. Earlier segments are trusted by their
/// seals; one without a seal is read whole too, and anything unsound in it stops the start, because acknowledged
/// records would be missing from the middle.
enum LogRecovery {
    static func open(
        folder: String, settings: LogSettings, disk: DiskCalls = .system
    ) throws -> RecoveredLog {
        try Folder.create(folder)
        var bases: [Int64] = []
        for name in try Folder.list(folder) {
            if let base = SegmentFile.baseOffset(ofName: name) { bases.append(base) }
            if name.hasSuffix(".tmp") { try Folder.removeIfPresent(folder + "/" + name) }
        }
        bases.sort()
        guard let lastBase = bases.last else { return try create(folder, disk) }

        var producers = ProducerStates()
        var sealed: [SealedSegment] = []
        var rescanned = 0
        for (base, next) in zip(bases, bases.dropFirst()) {
            let seal: SegmentSeal
            if let known = try readSeal(folder, base: base, end: next) {
                seal = known
            } else {
                seal = try rescan(folder, base: base, end: next, producers, settings, disk)
                rescanned += 1
            }
            producers = seal.producers
            sealed.append(
                SealedSegment(
                    baseOffset: base, endOffset: next, byteCount: seal.byteCount, timestampMax: seal.timestampMax,
                    entryCount: seal.entries.count))
        }
        let file = try SegmentFile(folder: folder, baseOffset: lastBase, isNew: false, disk: disk)
        let scan = try scan(file, from: producers, settings)
        let size = try file.size()
        if scan.end < size {
            try file.truncate(to: scan.end)
        }
        // Also after a clean scan: what was read may be in the page cache only, and is shown to readers from now on.
        try file.sync()
        try Folder.removeIfPresent(folder + "/" + SegmentFile.name(lastBase, suffix: SegmentSeal.suffix))
        var published = PublishedLog(
            startOffset: bases[0], sealed: sealed, active: file, activeEntries: scan.entries,
            activeTimestampMax: scan.timestampMax, endOffset: scan.nextOffset, endPosition: scan.end)
        if let start = try LogStart.load(folder: folder) {
            // Not beyond the end, where a power cut took records that had been deleted anyway. Said anew, or the next
            // start would hide the records that get these offsets now.
            if start > scan.nextOffset { try LogStart.save(scan.nextOffset, folder: folder) }
            published.startOffset = max(bases[0], min(start, scan.nextOffset))
            for segment in published.dropBelowStart() {
                for suffix in [".log", SegmentSeal.suffix] {
                    try Folder.removeIfPresent(folder + "/" + SegmentFile.name(segment.baseOffset, suffix: suffix))
                }
            }
        }
        return RecoveredLog(
            published: published, producers: scan.producers, bytesCut: size - scan.end, segmentsRescanned: rescanned)
    }

    private static func create(_ folder: String, _ disk: DiskCalls) throws(FileError) -> RecoveredLog {
        let file = try SegmentFile(folder: folder, baseOffset: 0, isNew: true, disk: disk)
        try Folder.sync(folder)
        let published = PublishedLog(
            startOffset: 0, sealed: [], active: file, activeEntries: [], activeTimestampMax: Int64.min, endOffset: 0,
            endPosition: 0)
        return RecoveredLog(published: published, producers: ProducerStates(), bytesCut: 0, segmentsRescanned: 0)
    }

    /// The seal of `[base, end)`, if it is there, sound, and fits the segment's size.
    private static func readSeal(_ folder: String, base: Int64, end: Int64) throws(FileError) -> SegmentSeal? {
        let path = folder + "/" + SegmentFile.name(base, suffix: SegmentSeal.suffix)
        guard Folder.exists(path) else { return nil }
        let size = try SegmentFile(folder: folder, baseOffset: base, isNew: false).size()
        guard let seal = SegmentSeal(decoding: try File.contents(of: path)), seal.baseOffset == base,
            seal.endOffset == end, seal.byteCount == size
        else { return nil }
        return seal
    }

    private static func rescan(
        _ folder: String, base: Int64, end: Int64, _ producers: ProducerStates, _ settings: LogSettings,
        _ disk: DiskCalls
    ) throws -> SegmentSeal {
        let file = try SegmentFile(folder: folder, baseOffset: base, isNew: false, disk: disk)
        let scan = try scan(file, from: producers, settings)
        let size = try file.size()
        guard scan.end == size, scan.nextOffset == end else {
            throw BrokerError(
                operation: "open log segment", subject: file.path,
                reason:
                    "unsound at byte \(scan.end) of \(size) (offset \(scan.nextOffset)), though segment \(end) follows",
                hint: "the disk damaged acknowledged records: restore the file from a backup, or move the whole folder "
                    + "away to begin an empty log")
        }
        let seal = SegmentSeal(
            baseOffset: base, endOffset: end, byteCount: size, timestampMax: scan.timestampMax, entries: scan.entries,
            producers: scan.producers)
        try File.replace(folder + "/" + SegmentFile.name(base, suffix: SegmentSeal.suffix), with: seal.encoded())
        return seal
    }

    /// A segment read from its beginning.
    struct Scan {
        var entries: [IndexEntry] = []
        var timestampMax = Int64.min
        var nextOffset: Int64
        /// The end of the last whole batch.
        var end = 0
        var producers: ProducerStates
    }

    static func scan(
        _ file: SegmentFile, from producers: ProducerStates, _ settings: LogSettings
    ) throws(FileError) -> Scan {
        var scan = Scan(nextOffset: file.baseOffset, producers: producers)
        let scanner = BatchScanner(file: file, limit: try file.size())
        _ = try scanner.checkedBatches(from: 0, expecting: file.baseOffset) { header, position in
            if scan.entries.last.map({ position - Int($0.position) >= settings.indexIntervalBytes }) ?? true {
                scan.entries.append(
                    IndexEntry(
                        relativeOffset: UInt32(truncatingIfNeeded: header.baseOffset - file.baseOffset),
                        position: UInt32(truncatingIfNeeded: position), timestampBefore: scan.timestampMax))
            }
            scan.timestampMax = max(scan.timestampMax, header.maxTimestamp)
            scan.nextOffset = header.lastOffset + 1
            scan.end = position + header.byteCount
            scan.producers.record(
                header, appendTime: header.isLogAppendTime ? header.maxTimestamp : -1, now: header.maxTimestamp)
            return true
        }
        return scan
    }
}
