import Bytes
import Files
import Glibc
package import Records
import Zstd

/// The lines of one commit for one generation, not yet compressed.
package struct GenerationLines: Sendable {
    package var generation: Int64
    package var logicVersion: String
    package var silver: (text: [UInt8], lines: Int)
    package var gold: (text: [UInt8], lines: Int)
    package var quarantine: (text: [UInt8], lines: Int)
    package var rejects: [String: Int]

    package init(
        generation: Int64, logicVersion: String, silver: (text: [UInt8], lines: Int),
        gold: (text: [UInt8], lines: Int), quarantine: (text: [UInt8], lines: Int), rejects: [String: Int]
    ) {
        self.generation = generation
        self.logicVersion = logicVersion
        self.silver = silver
        self.gold = gold
        self.quarantine = quarantine
        self.rejects = rejects
    }
}

/// All that one commit takes in. Its records lie in one lake hour.
package struct CommitBatch: Sendable {
    package var range: OffsetRange
    package var hour: LakeHour
    package var brokerTimeMax: Int64
    /// Whether ``brokerTimeMax`` lies before what was reached, because that lay too far ahead (``HourPlace/isReset``).
    package var resetsTime = false
    /// Records whose broker time lay too far ahead to count.
    package var timesAhead = 0
    package var lastSHA256: String
    package var duplicates: Int
    package var canaries: Int
    package var bronze: (text: [UInt8], lines: Int)
    package var generations: [GenerationLines]
    /// Why offsets before ``range`` are missing, if any are.
    package var gapReason: String?

    package init(
        range: OffsetRange, hour: LakeHour, brokerTimeMax: Int64, lastSHA256: String, duplicates: Int, canaries: Int,
        bronze: (text: [UInt8], lines: Int), generations: [GenerationLines]
    ) {
        self.range = range
        self.hour = hour
        self.brokerTimeMax = brokerTimeMax
        self.lastSHA256 = lastSHA256
        self.duplicates = duplicates
        self.canaries = canaries
        self.bronze = bronze
        self.generations = generations
    }
}

/// Writes one topic partition of the lake; there is one writer at a time, held by a file lock.
///
/// A commit appends one frame to each layer's open file, makes them durable, then appends the commit record and makes
/// that durable. What a crash leaves behind the last record is cut off at the next start. Not thread-safe.
package struct PartitionWriter: ~Copyable {
    /// From this size on the commit log's entries about sealed files are merged.
    package static let logBytesMin = 1 << 20

    /// What it writes.
    package let source: TopicPartition
    let layout: LakeLayout
    private static let lockPollMilliseconds = 20
    private let logBytesMin: Int
    private let lock: File
    private var clock: LakeClock
    var log: CommitLog
    private var compressor: Compressor
    private var compressed: [UInt8] = []
    private var hour: HourFiles
    /// Where the next commit must begin; nil in an empty lake.
    package private(set) var nextOffset: Int64?
    /// The largest broker time so far that counts, in milliseconds.
    package private(set) var brokerTimeMax: Int64 = 0
    private var timeReset: Int64?
    /// SHA-256 of the value at `nextOffset - 1`; empty where there is none.
    package private(set) var lastSHA256 = ""
    /// The generations that are written, with the offset each is fed from.
    package private(set) var handovers: [Int64: Int64] = [:]

    /// Takes the lock, and brings the files to where the commit log says they are.
    ///
    /// - Parameters:
    ///   - clock: what bounds how far broker times may run ahead.
    ///   - lockWaitMilliseconds: how long to wait for the lock where another process holds it.
    /// - Throws: ``LakeError/locked(source:path:holder:)`` where it does so to the end.
    package static func open(
        layout: LakeLayout, source: TopicPartition, logBytesMin: Int = logBytesMin, clock: LakeClock = LakeClock(),
        lockWaitMilliseconds: Int = 0
    ) throws(LakeError) -> PartitionWriter {
        let lockPath = layout.lock(source)
        let logPath = layout.commitLog(source)
        try LakeError.placed(lockPath) { try Folder.create(Folder.parent(of: logPath), isDurable: false) }
        let lock = try LakeError.placed(lockPath) {
            var lock = try File(lockPath, .readWrite)
            let deadline = SystemClock.monotonicNanoseconds() + Int64(lockWaitMilliseconds) * 1_000_000
            while try !lock.tryLock() {
                guard SystemClock.monotonicNanoseconds() < deadline else {
                    let holder = String(decoding: try lock.read(at: 0, count: 64), as: UTF8.self)
                    throw LakeError.locked(source: source, path: lockPath, holder: holder)
                }
                Pause.milliseconds(lockPollMilliseconds)
            }
            try lock.truncate(to: 0)
            try Array("pid \(getpid())".utf8).withUnsafeBytes { bytes in try lock.write(bytes, at: 0) }
            return lock
        }
        let compressor = try LakeError.placed(lockPath) { try Compressor() }
        let log = try CommitLog.writing(logPath, in: layout)
        var writer = PartitionWriter(
            layout: layout, source: source, logBytesMin: logBytesMin, clock: clock, lock: lock, log: log,
            compressor: compressor)
        try writer.recover()
        return writer
    }

    private init(
        layout: LakeLayout, source: TopicPartition, logBytesMin: Int, clock: LakeClock, lock: consuming File,
        log: consuming CommitLog, compressor: consuming Compressor
    ) {
        self.clock = clock
        self.logBytesMin = logBytesMin
        self.layout = layout
        self.source = source
        self.lock = lock
        self.log = log
        self.compressor = compressor
        hour = HourFiles(layout: layout, source: source)
    }

    /// The hour in which a record of this broker time belongs: that of the largest time so far.
    package func hour(for brokerMilliseconds: Int64) -> LakeHour {
        LakeHour(containing: max(brokerTimeMax, brokerMilliseconds))
    }

    /// Where a record belongs, whose broker time may lie too far ahead to count.
    ///
    /// - Parameter maximum: the largest broker time before it that counted, of what was committed and what waits for it.
    package mutating func place(_ brokerMilliseconds: Int64, after maximum: Int64) throws(LakeError) -> HourPlace {
        switch clock.verdict(on: brokerMilliseconds, after: maximum) {
        case .ordinary: return HourPlace(time: max(brokerMilliseconds, maximum), isAhead: false, isReset: false)
        // An empty lake has no time of its own.
        case .ahead(let now): return HourPlace(time: maximum > 0 ? maximum : now, isAhead: true, isReset: false)
        case .reset(let limit):
            let before = try log.brokerTimeMax(upTo: limit)
            return HourPlace(time: max(brokerMilliseconds, before), isAhead: false, isReset: true)
        }
    }

    /// Records that `generation` is written from the next commit on, and makes that durable.
    ///
    /// - Parameter offset: where the next commit begins; given for an empty lake, which does not know.
    package mutating func handOver(to generation: Int64, at offset: Int64) throws(LakeError) {
        guard handovers[generation] == nil else { return }
        let place = nextOffset ?? offset
        guard let range = OffsetRange(start: place, end: place) else { return }
        var record = CommitRecord(
            kind: .handover, range: range, hour: hour.hour, brokerTimeMax: brokerTimeMax, firstOffset: hour.firstOffset)
        record.handover = generation
        record.timeReset = timeReset
        try log.append(record)
        handovers[generation] = place
        nextOffset = place
    }

    /// No longer writes `generation`.
    package mutating func stopFeeding(_ generation: Int64) {
        handovers[generation] = nil
    }

    /// Commits a batch, durably, or changes nothing that the commit log counts.
    ///
    /// A batch of a later hour first seals the hour before.
    ///
    /// - Throws: ``LakeError/overlap(source:nextOffset:range:)`` if it does not extend what is there.
    @discardableResult
    package mutating func commit(_ batch: borrowing CommitBatch) throws(LakeError) -> CommitRecord {
        var checkpoint = Checkpoint(nextOffset: nextOffset ?? batch.range.start)
        var gap: OffsetRange?
        switch checkpoint.apply(batch.range) {
        case .extended: break
        case .extendedAfterGap(let missing): gap = missing
        case .refusedOverlap:
            throw .overlap(source: source, nextOffset: nextOffset ?? 0, range: batch.range)
        }
        // A seal whose renames failed is finished first: nothing may follow in its files.
        if !hour.isOpen || hour.isSealed || batch.hour > hour.hour || batch.resetsTime {
            try sealIfOpen()
            hour.begin(batch.hour, firstOffset: batch.range.start)
        }
        var record = CommitRecord(
            kind: .commit, range: batch.range, hour: hour.hour,
            brokerTimeMax: batch.resetsTime ? batch.brokerTimeMax : max(brokerTimeMax, batch.brokerTimeMax),
            firstOffset: hour.firstOffset)
        record.timeReset = batch.resetsTime ? batch.range.start : timeReset
        record.timesAhead = batch.timesAhead
        record.gap = gap
        record.gapReason = gap == nil ? nil : batch.gapReason
        record.duplicates = batch.duplicates
        record.canaries = batch.canaries
        record.lastSHA256 = batch.lastSHA256
        do throws(LakeError) {
            record.bronze = try append(.bronze, nil, batch.bronze, first: batch.range.start)
            for lines in batch.generations {
                record.parts.append(try append(lines, first: batch.range.start))
            }
            try hour.sync()
            // The lines are durable, and the entry makes them count.
            record.committed = CommitTime(at: clock.milliseconds())
            try log.append(record, behind: hour.isFormatNoted ? nil : formatRecord(at: nextOffset ?? batch.range.start))
        } catch {
            hour.cutBack()
            throw error
        }
        hour.confirm()
        nextOffset = batch.range.end
        brokerTimeMax = record.brokerTimeMax
        timeReset = record.timeReset
        lastSHA256 = batch.lastSHA256
        return record
    }

    /// Says that the hour's files have the present format. A version that knows only an earlier one does not know this
    /// kind of entry, and so never touches the files.
    private func formatRecord(at offset: Int64) -> CommitRecord {
        var record = CommitRecord(
            kind: .format, range: .empty(at: offset), hour: hour.hour, brokerTimeMax: brokerTimeMax,
            firstOffset: hour.firstOffset)
        record.timeReset = timeReset
        record.format = CommitRecord.formatVersion
        return record
    }

    /// Seals the open files without waiting for a record of a later hour; for operators. Later commits of the same
    /// hour go to files of their own.
    package mutating func seal() throws(LakeError) {
        try sealIfOpen()
    }

    private mutating func append(_ lines: GenerationLines, first: Int64) throws(LakeError) -> GenerationPart {
        let generation = lines.generation
        let firstOffset = hour.firstOffset(of: generation, or: first)
        return GenerationPart(
            generation: generation, logicVersion: lines.logicVersion, firstOffset: firstOffset,
            silver: try append(.silver, generation, lines.silver, first: firstOffset),
            gold: try append(.gold, generation, lines.gold, first: firstOffset),
            quarantine: try append(.quarantine, generation, lines.quarantine, first: firstOffset),
            rejects: lines.rejects)
    }

    private mutating func append(
        _ layer: Layer, _ generation: Int64?, _ content: (text: [UInt8], lines: Int), first: Int64
    ) throws(LakeError) -> ByteRange {
        compressed.removeAll(keepingCapacity: true)
        if content.lines > 0 {
            do {
                try content.text.withUnsafeBytes { bytes in
                    _ = try compressor.compressFrame(bytes, appendingTo: &compressed)
                }
            } catch {
                throw LakeError(error, path: layout.commitLog(source))
            }
        }
        return try hour.append(layer, generation, compressed, lines: content.lines, first: first)
    }

    private mutating func sealIfOpen() throws(LakeError) {
        guard hour.isOpen, let end = nextOffset, end > hour.firstOffset,
            let range = OffsetRange(start: hour.firstOffset, end: end)
        else { return }
        var record = CommitRecord(
            kind: .seal, range: range, hour: hour.hour, brokerTimeMax: brokerTimeMax, firstOffset: hour.firstOffset)
        record.timeReset = timeReset
        if !hour.isSealed {
            record.sealed = try hour.writeSealedFiles()
            try log.append(record)
            // From here on only the renames are left to do, however often that has to be tried.
            hour.markSealed()
        }
        try hour.finishSeal()
        // Now every entry is about sealed files.
        try log.compact(from: logBytesMin)
    }

    /// Reads the state from the log's last hour and makes the files fit it.
    private mutating func recover() throws(LakeError) {
        guard let last = try log.last() else { return }
        nextOffset = last.range.end
        brokerTimeMax = last.brokerTimeMax
        timeReset = last.timeReset
        guard let first = try log.firstEntry(ofFilesFrom: last.firstOffset) else { return }
        var files = HourFiles(layout: layout, source: source)
        var handedOver: [Int64: Int64] = [:]
        var sha = ""
        var isFormatNoted = false
        try log.forEach(from: first.start) { record throws(LakeError) in
            switch record.kind {
            case .commit:
                files.replay(record)
                sha = record.lastSHA256
                // The last commit names all that are fed; a generation that was given up is missing there.
                let before = handedOver
                handedOver = [:]
                for part in record.parts { handedOver[part.generation] = before[part.generation] ?? record.range.start }
            case .handover: handedOver[record.handover ?? 0] = record.range.end
            case .seal: files.markSealed()
            case .format: isFormatNoted = true
            case .rewrite, .unknown: break
            }
            return true
        }
        if isFormatNoted { files.noteFormat() }
        hour = files
        lastSHA256 = sha
        handovers = handedOver
        // Before the first file has its new name: an earlier version would take that for a half seal.
        if hour.isOpen, !hour.isSealed, !hour.isFormatNoted {
            try log.append(formatRecord(at: last.range.end))
            hour.noteFormat()
        }
        try hour.repair()
        let leftOver = UncommittedFiles(layout: layout, source: source, nextOffset: last.range.end)
        // Where time was about to begin anew, the hour that was being begun may be any.
        let from = last.brokerTimeMax > clock.limit() ? LakeHour(number: 0) : last.hour
        do throws(FileError) { try leftOver.remove(from: from) } catch { throw .file(error) }
    }
}
