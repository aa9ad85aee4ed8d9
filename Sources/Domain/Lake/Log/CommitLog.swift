import Files
import Records

/// Appends to and reads one commit log.
///
/// Entries are ordered by next offset and by the offset that names their files, so an offset is found by bisection on the
/// file, whatever its size. Those of sealed files are merged now and then: see ``compact(from:)``. A log that is open for
/// reading stays what it was.
package struct CommitLog: ~Copyable {
    package let path: String
    var file: File
    /// Of a log that is read: what file it was when it was opened, and how long.
    let openedState: FileState?
    /// Bytes of whole entries.
    package internal(set) var size: Int
    /// After ``compact(from:)``: whether the log's name surely leads to the new file after a crash.
    var isNameDurable = true
    /// The size after the last compaction by this process.
    var compactedSize = 0
    /// Whether something may stand behind ``size`` that a failed append left and that could not be cut off.
    var isCutDue = false

    private static let windowBytes = 1 << 16
    /// The longest entry: a seal of a full hour in 1 MiB frames takes some 20 bytes a frame.
    private static let entryBytesMax = 64 << 20

    /// Opens a log for reading what is there at present; an entry that is being appended is not seen.
    package init(reading path: String) throws(LakeError) {
        let file = try LakeError.placed(path) { try File(path, .read) }
        let state = try LakeError.placed(path) { try file.state() }
        let size = try LakeError.placed(path) { try Self.entriesEnd(of: file, size: state.size) }
        openedState = state
        self.path = path
        self.file = file
        self.size = size
        // What cannot be read is refused where somebody reads it.
        if let end = try? endWithoutLoneFormat() { self.size = end }
    }

    /// Opens a log for appending and makes its name durable, and the names of the folders up to the lake's root. A torn
    /// last line is cut off.
    static func writing(_ path: String, in layout: LakeLayout) throws(LakeError) -> CommitLog {
        let file = try LakeError.placed(path) {
            try Folder.create(Folder.parent(of: path), isDurable: false)
            try removeLeftOver(path)
            let file = try File(path, .readWrite)
            try Folder.syncNames(from: Folder.parent(of: path), upTo: layout.above)
            return file
        }
        // What is there may be the work of a process that was killed before it was durable; from now on it is built upon.
        try LakeError.placed(path) { try file.sync() }
        let size = try LakeError.placed(path) { try file.size() }
        var log = CommitLog(path: path, file: file, size: size)
        try log.cutTornTail()
        try log.cutLoneFormat()
        return log
    }

    private init(path: String, file: consuming File, size: Int) {
        openedState = nil
        self.path = path
        self.file = file
        self.size = size
    }

    /// Where the last line that has its line feed ends.
    private static func wholeEnd(of file: borrowing File, size: Int) throws(FileError) -> Int {
        var end = size
        while end > 0 {
            let start = max(0, end - windowBytes)
            let window = try file.read(at: start, count: end - start)
            if let feed = window.lastIndex(of: 0x0A) { return start + feed + 1 }
            end = start
        }
        return 0
    }

    /// Where the last line ends that was appended as a whole.
    ///
    /// Behind it is the rest of an append that a crash tore, which was never acknowledged; the line feed may have come to the
    /// disk before the rest. A line that has a whole one's shape was altered later: that is damage.
    private static func entriesEnd(of file: borrowing File, size: Int) throws(FileError) -> Int {
        let end = try wholeEnd(of: file, size: size)
        guard end > 0, end == size else { return end }
        let start = try wholeEnd(of: file, size: end - 1)
        let line = try file.read(at: start, count: end - 1 - start)
        return LogLine.decode(line[...]) != nil || LogLine.looksWhole(line[...]) ? end : start
    }

    /// Appends an entry and makes it durable.
    ///
    /// - Parameter format: an entry that goes before it; where it fails, neither was appended.
    package mutating func append(
        _ record: CommitRecord, behind format: CommitRecord? = nil
    ) throws(LakeError) {
        try makeNameDurable()
        let before = size
        do throws(LakeError) {
            // Each is durable before the next one follows: of a write of both, a power loss might tear the first alone.
            if let format { try appendLine(LogLine.encode(format.json)) }
            try appendLine(LogLine.encode(record.json))
        } catch {
            // What was left is cut off, so that a later append does not follow it.
            size = before
            isCutDue = true
            try? cutBack()
            throw error
        }
    }

    private mutating func appendLine(_ line: [UInt8]) throws(LakeError) {
        var failure: FileError?
        line.withUnsafeBytes { bytes in
            do throws(FileError) {
                if isCutDue { try cutBack() }
                isCutDue = true
                try file.write(bytes, at: size)
                try file.sync()
                isCutDue = false
            } catch {
                failure = error
            }
        }
        if let failure { throw .file(failure) }
        size += line.count
    }

    /// Cuts off what stands behind ``size``. Durably, since a later append could be torn into it, and look whole.
    private mutating func cutBack() throws(FileError) {
        try file.truncate(to: size)
        try file.sync()
        isCutDue = false
    }

    /// The last entry, or nil in an empty log.
    package func last() throws(LakeError) -> CommitRecord? {
        try last(before: size)
    }

    private func last(before end: Int) throws(LakeError) -> CommitRecord? {
        var end = end
        while end > 0 {
            let (record, start) = try entry(endingAt: end)
            if record.kind != .unknown { return record }
            end = start
        }
        return nil
    }

    /// The first entry whose next offset lies beyond `offset`, with its place; nil where there is none.
    package func firstEntry(beyond offset: Int64) throws(LakeError) -> (record: CommitRecord, start: Int, end: Int)? {
        try bisect { $0.range.end > offset }
    }

    /// The first entry whose files are named by `firstOffset` or a later one.
    package func firstEntry(
        ofFilesFrom firstOffset: Int64
    ) throws(LakeError) -> (record: CommitRecord, start: Int, end: Int)? {
        try bisect { $0.firstOffset >= firstOffset }
    }

    /// The first entry at which the largest broker time had come to `milliseconds`; nil while it has not.
    ///
    /// Where that time fell back later, since it had lain beyond what the clock allowed, it counts as what it fell back to.
    package func firstEntry(atBrokerTime milliseconds: Int64) throws(LakeError) -> CommitRecord? {
        var found: CommitRecord?
        var end = size
        var newest = try last()
        while let reset = newest?.timeReset, let anew = try firstEntry(beyond: reset), anew.start < end {
            if milliseconds > anew.record.brokerTimeMax {
                return try bisect(in: anew.start..<end) { $0.brokerTimeMax >= milliseconds }?.record ?? found
            }
            found = anew.record
            end = anew.start
            newest = try last(before: end)
        }
        return try bisect(in: 0..<end) { $0.brokerTimeMax >= milliseconds }?.record ?? found
    }

    /// The largest broker time that had been reached and does not lie beyond `limit`; 0 where there is none.
    func brokerTimeMax(upTo limit: Int64) throws(LakeError) -> Int64 {
        guard let newest = try last() else { return 0 }
        var start = 0
        if let reset = newest.timeReset, let anew = try firstEntry(beyond: reset) { start = anew.start }
        guard let beyond = try bisect(in: start..<size, { $0.brokerTimeMax > limit }) else {
            return newest.brokerTimeMax
        }
        return beyond.start > start ? try entry(endingAt: beyond.start).record.brokerTimeMax : 0
    }

    /// From which offset a generation is fed; nil where the log has no handover to it.
    package func handover(of generation: Int64) throws(LakeError) -> Int64? {
        // A new generation's handover is among the last entries: those of the present files are looked at first.
        var start = 0
        if let last = try last(), let first = try firstEntry(ofFilesFrom: last.firstOffset) { start = first.start }
        for begin in start == 0 ? [0] : [start, 0] {
            var found: Int64?
            try forEach(from: begin) { record in
                if record.kind == .handover, record.handover == generation { found = record.range.end }
                return found == nil
            }
            if let found { return found }
        }
        return nil
    }

    /// The seal of the files named by `firstOffset`, with what was rewritten since; nil while they are growing.
    package func seal(ofFiles firstOffset: Int64) throws(LakeError) -> CommitRecord? {
        var end = try firstEntry(ofFilesFrom: firstOffset + 1)?.start ?? size
        var rewrites: [FileRewrite] = []
        while end > 0 {
            let (record, start) = try entry(endingAt: end)
            switch record.kind {
            case .handover, .format, .unknown: break
            case .rewrite:
                if let rewrite = record.rewrite { rewrites.append(rewrite) }
            case .commit: return nil
            case .seal:
                guard record.firstOffset == firstOffset else { return nil }
                var seal = record
                for rewrite in rewrites.reversed() {
                    guard let next = seal.superseded(by: rewrite) else {
                        throw .damaged(path: path, reason: "a rewrite of \(seal.range) supersedes no file of its seal")
                    }
                    seal = next
                }
                return seal
            }
            end = start
        }
        return nil
    }

    /// Calls `body` with each entry from the byte `start` on, in order, until it returns false.
    package func forEach(
        from start: Int = 0, _ body: (CommitRecord) throws(LakeError) -> Bool
    ) throws(LakeError) {
        var position = start
        while position < size {
            let (record, end) = try entry(startingAt: position)
            if record.kind != .unknown { guard try body(record) else { return } }
            position = end
        }
    }

    /// The first entry that fulfils a condition which, once true, stays true; one of an unknown kind is passed over.
    ///
    /// - Parameter bytes: whole entries to look at; nil for all.
    private func bisect(
        in bytes: Range<Int>? = nil, _ condition: (CommitRecord) -> Bool
    ) throws(LakeError) -> (record: CommitRecord, start: Int, end: Int)? {
        // Invariant: entries that start before `low` fail, those that start at or after `high` fulfil it.
        let behind = bytes?.upperBound ?? size
        var low = bytes?.lowerBound ?? 0
        var high = behind
        while high - low > Self.windowBytes {
            let start = try entryStart(atOrAfter: low + (high - low) / 2)
            guard start < high else { break }
            let (record, end) = try entry(startingAt: start)
            if condition(record) { high = start } else { low = end }
        }
        while low < behind {
            let (record, end) = try entry(startingAt: low)
            if condition(record), record.kind != .unknown { return (record, low, end) }
            low = end
        }
        return nil
    }

    /// Where the first entry that starts at `position` or later starts; the log's size where there is none.
    private func entryStart(atOrAfter position: Int) throws(LakeError) -> Int {
        var offset = position - 1
        while offset < size {
            let window = try read(at: offset, count: Self.windowBytes)
            if let feed = window.firstIndex(of: 0x0A) { return offset + feed + 1 }
            offset += window.count
        }
        return size
    }

    func entry(startingAt start: Int) throws(LakeError) -> (record: CommitRecord, end: Int) {
        var count = 2_048
        while true {
            let window = try read(at: start, count: min(count, size - start))
            if let feed = window.firstIndex(of: 0x0A) {
                return (try decode(window[..<feed], at: start), start + feed + 1)
            }
            guard start + window.count < size, count < Self.entryBytesMax else {
                throw .damaged(path: path, reason: "the entry at byte \(start) has no end")
            }
            count *= 8
        }
    }

    private func entry(endingAt end: Int) throws(LakeError) -> (record: CommitRecord, start: Int) {
        var count = 2_048
        while true {
            let start = max(0, end - count)
            let window = try read(at: start, count: end - start)
            if let feed = window.dropLast().lastIndex(of: 0x0A) {
                return (try decode(window[(feed + 1)...].dropLast(), at: start + feed + 1), start + feed + 1)
            }
            if start == 0 { return (try decode(window.dropLast(), at: 0), 0) }
            guard count < Self.entryBytesMax else {
                throw .damaged(path: path, reason: "the entry that ends at byte \(end) has no beginning")
            }
            count *= 8
        }
    }

    private func decode(_ line: ArraySlice<UInt8>, at start: Int) throws(LakeError) -> CommitRecord {
        guard let value = LogLine.decode(line) else {
            throw .damaged(path: path, reason: "the entry at byte \(start) does not match its checksum")
        }
        if let refusal = CommitRecord.refusal(of: value) {
            throw .unsupported(path: path, what: "the entry at byte \(start) \(refusal)")
        }
        guard let record = CommitRecord(value) else {
            throw .damaged(path: path, reason: "the entry at byte \(start) lacks a member")
        }
        return record
    }

    /// Cuts off a last line that is not whole: the rest of an append that a crash interrupted.
    private mutating func cutTornTail() throws(LakeError) {
        let end = try LakeError.placed(path) { try Self.entriesEnd(of: file, size: size) }
        try cut(to: end)
    }

    /// Cuts off a format entry that no commit followed.
    private mutating func cutLoneFormat() throws(LakeError) {
        try cut(to: try endWithoutLoneFormat())
    }

    private mutating func cut(to end: Int) throws(LakeError) {
        guard end < size else { return }
        size = end
        do throws(FileError) { try cutBack() } catch { throw .file(error) }
    }

    /// Where the entries end, without a format entry at the end that no commit followed: a crash came between the two.
    private func endWithoutLoneFormat() throws(LakeError) -> Int {
        guard size > 0 else { return size }
        let (record, start) = try entry(endingAt: size)
        guard record.kind == .format else { return size }
        if start > 0, try entry(endingAt: start).record.firstOffset == record.firstOffset { return size }
        return start
    }

    func read(at offset: Int, count: Int) throws(LakeError) -> [UInt8] {
        do throws(FileError) { return try file.read(at: offset, count: count) } catch { throw .file(error) }
    }
}
