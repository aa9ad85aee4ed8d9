import Bytes
import Files
import Records

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
struct LogRecovery {
    private let folder: String
    private let settings: LogSettings
    private let disk: DiskCalls

    /// - Parameter now: milliseconds since 1970; producers count as heard of then.
    static func open(
        folder: String, settings: LogSettings, disk: DiskCalls = .system, now: Int64 = SystemClock.epochMilliseconds()
    ) throws -> RecoveredLog {
        var recovered = try LogRecovery(folder: folder, settings: settings, disk: disk).open()
        recovered.producers.hear(at: now)
        return recovered
    }

    private func open() throws -> RecoveredLog {
        try Folder.create(folder)
        var bases = try Folder.list(folder).compactMap { SegmentFile.baseOffset(ofName: $0) }.sorted()
        let start = try LogStart.load(folder: folder)
        try removeDead(&bases, start)
        guard let firstBase = bases.first else { return try create(at: start ?? 0) }

        let (segments, leftovers) = try withoutLeftovers(bases)
        var producers = ProducerStates()
        var sealed: [SealedSegment] = []
        var rescanned = 0
        for (base, next) in zip(segments, segments.dropFirst()) {
            let seal: SegmentSeal
            if let known = try readSeal(base: base, end: next) {
                seal = known
            } else {
                seal = try rescan(base: base, end: next, producers)
                rescanned += 1
            }
            producers = seal.producers
            sealed.append(
                SealedSegment(
                    baseOffset: base, endOffset: next, byteCount: seal.byteCount, timestampMax: seal.timestampMax,
                    entryCount: seal.entries.count))
        }
        let (file, scan, bytesCut) = try openActive(segments.last ?? firstBase, producers, leftovers)
        // The process before may have been killed between making a name and making it durable.
        try Folder.sync(folder)
        // Where one stays, the next start finds it as this one did.
        for base in leftovers { try? Folder.removeIfPresent(path(base)) }
        var published = PublishedLog(
            startOffset: firstBase, sealed: sealed, active: file, activeEntries: scan.entries,
            activeTimestampMax: scan.timestampMax, endOffset: scan.nextOffset, endPosition: scan.end)
        if let start {
            // Not beyond the end, where a power cut took records that had been deleted anyway. Said anew, or the next
            // start would hide the records that get these offsets now.
            if start > scan.nextOffset { try LogStart.save(scan.nextOffset, folder: folder) }
            published.startOffset = max(firstBase, min(start, scan.nextOffset))
        }
        return RecoveredLog(
            published: published, producers: scan.producers, bytesCut: bytesCut, segmentsRescanned: rescanned)
    }

    private func path(_ base: Int64, _ suffix: String = ".log") -> String {
        folder + "/" + SegmentFile.name(base, suffix: suffix)
    }

    private func create(at offset: Int64) throws(FileError) -> RecoveredLog {
        let file = try SegmentFile(folder: folder, baseOffset: offset, isNew: true, disk: disk)
        try Folder.sync(folder)
        let published = PublishedLog(
            startOffset: offset, sealed: [], active: file, activeEntries: [], activeTimestampMax: Int64.min,
            endOffset: offset, endPosition: 0)
        return RecoveredLog(published: published, producers: ProducerStates(), bytesCut: 0, segmentsRescanned: 0)
    }

    /// Removes what nothing can be read from: segments below the log's start, of which a crash may have kept any, and
    /// what belongs to no segment. What cannot be removed is in nobody's way.
    private func removeDead(_ bases: inout [Int64], _ start: Int64?) throws(FileError) {
        if let start {
            let count = zip(bases, bases.dropFirst()).prefix { $1 <= start }.count
            for base in bases.prefix(count) { try? Folder.removeIfPresent(path(base)) }
            bases.removeFirst(count)
        }
        let live = Set(bases.map { SegmentFile.name($0, suffix: "") })
        for name in try Folder.list(folder) {
            let isOurs = name.hasSuffix(SegmentSeal.suffix) || name.hasSuffix(SyncFailureMark.suffix)
            let isDead = isOurs && !live.contains(String(name.prefix { $0 != "." }))
            if isDead || name.hasSuffix(".tmp") { try? Folder.removeIfPresent(folder + "/" + name) }
        }
    }

    // MARK: The last segment

    /// Tells apart the segments and the empty files of rolls that failed at their last step: behind such a name the
    /// segment before went on growing, so that its seal, if there is one, does not fit it.
    private func withoutLeftovers(_ bases: [Int64]) throws(FileError) -> (segments: [Int64], leftovers: [Int64]) {
        var segments: [Int64] = []
        var leftovers: [Int64] = []
        for base in bases {
            let file = try SegmentFile(folder: folder, baseOffset: base, isNew: false)
            if let last = segments.last, try file.size() == 0, try readSeal(base: last, end: base) == nil {
                leftovers.append(base)
            } else {
                segments.append(base)
            }
        }
        return (segments, leftovers)
    }

    /// The end of the growing segment that each start writes anew.
    private static let alwaysRewrittenBytes = 1 << 20

    private func openActive(
        _ base: Int64, _ producers: ProducerStates, _ leftovers: [Int64]
    ) throws -> (file: SegmentFile, scan: Scan, bytesCut: Int) {
        let file = try SegmentFile(folder: folder, baseOffset: base, isNew: false, disk: disk)
        let size = try file.size()
        let mustRewrite = SyncFailureMark.isSet(beside: file)
        // The process before may have been killed after a failed sync: what is read now is then in memory only, and the next
        // sync succeeds without it. With the mark that is known; between the failure and the mark lies the end of one
        // round. Written first and looked at then, because nothing can drop it in between.
        let suspect = mustRewrite ? 0 : max(0, size - Self.alwaysRewrittenBytes)
        if size > 0 { try file.rewrite(suspect..<size) }
        let scan = try scan(file, from: producers)
        if let next = leftovers.last, next > scan.nextOffset {
            throw Self.unsound(file, scan, size, next: next)
        }
        if scan.end < size { try file.truncate(to: scan.end) }
        // Also after a clean scan: what was read may be in the page cache only, and is shown to readers from now on.
        try file.sync()
        if mustRewrite { SyncFailureMark.clear(beside: file) }
        try? Folder.removeIfPresent(path(base, SegmentSeal.suffix))
        return (file, scan, size - scan.end)
    }

    // MARK: Sealed segments

    /// The seal of `[base, end)`, if it is there, sound, and fits the segment's size.
    private func readSeal(base: Int64, end: Int64) throws(FileError) -> SegmentSeal? {
        let path = path(base, SegmentSeal.suffix)
        guard Folder.exists(path) else { return nil }
        let size = try SegmentFile(folder: folder, baseOffset: base, isNew: false).size()
        guard let seal = SegmentSeal(decoding: try File.contents(of: path)), seal.baseOffset == base,
            seal.endOffset == end, seal.byteCount == size
        else { return nil }
        return seal
    }

    private func rescan(base: Int64, end: Int64, _ producers: ProducerStates) throws -> SegmentSeal {
        let file = try SegmentFile(folder: folder, baseOffset: base, isNew: false, disk: disk)
        let scan = try scan(file, from: producers)
        let size = try file.size()
        guard scan.end == size, scan.nextOffset == end else { throw Self.unsound(file, scan, size, next: end) }
        let seal = SegmentSeal(
            baseOffset: base, endOffset: end, byteCount: size, timestampMax: scan.timestampMax, entries: scan.entries,
            producers: scan.producers)
        try File.replace(path(base, SegmentSeal.suffix), with: seal.encoded())
        return seal
    }

    private static func unsound(_ file: SegmentFile, _ scan: Scan, _ size: Int, next: Int64) -> BrokerError {
        BrokerError(
            operation: "open log segment", subject: file.path,
            reason:
                "unsound at byte \(scan.end) of \(size) (offset \(scan.nextOffset)), though segment \(next) follows",
            hint: "the disk damaged acknowledged records: restore the file from a backup, or move the whole folder "
                + "away to begin an empty log")
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

    private func scan(_ file: SegmentFile, from producers: ProducerStates) throws(FileError) -> Scan {
        var scan = Scan(nextOffset: file.baseOffset, producers: producers)
        let scanner = BatchScanner(file: file, limit: try file.size())
        _ = try scanner.checkedBatches(from: 0, expecting: file.baseOffset) { header, position in
            let isDue = scan.entries.last.map { position - Int($0.position) >= settings.indexIntervalBytes } ?? true
            if isDue, let entry = IndexEntry(header, in: file, at: position, after: scan.timestampMax) {
                scan.entries.append(entry)
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
