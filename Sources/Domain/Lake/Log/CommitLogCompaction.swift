import Files
import Hashing
import Records

/// What keeps a log from growing by an entry for every commit of all times: once the files of an hour are sealed, nobody
/// asks which commit wrote which of their lines.
extension CommitLog {
    /// Entries of sealed files that end in the same stretch of broker time become one: times are found by entries.
    static let mergedMilliseconds: Int64 = 60_000
    private static let pieceBytes = 1 << 20
    private static let temporarySuffix = ".compacting"

    /// Removes what a crash left of a compaction.
    static func removeLeftOver(_ path: String) throws(FileError) {
        if Folder.exists(path + temporarySuffix) { try Folder.removeIfPresent(path + temporarySuffix) }
    }

    /// Merges commit entries, all of which must be of sealed files: those that follow one another within
    /// ``mergedMilliseconds``, for the same files and generations. All other entries stay as they are.
    ///
    /// Does nothing while the log is smaller than `sizeMin` or has not doubled since the last time, so that all
    /// compactions together read and write no more than a few times what was appended. A crash leaves either log.
    mutating func compact(from sizeMin: Int) throws(LakeError) {
        guard size >= max(sizeMin, 2 * compactedSize) else { return }
        let temporary = path + Self.temporarySuffix
        do throws(LakeError) {
            try LakeError.placed(temporary) { try Folder.removeIfPresent(temporary) }
            var target = try LakeError.placed(temporary) { try File(temporary, .create) }
            let newSize = try writeMerged(to: target)
            do throws(FileError) {
                try target.sync()
                try target.rename(to: path)
            } catch {
                throw .file(error)
            }
            // From here on this is the log. Nothing may be appended before its name is durable.
            file = target
            (size, compactedSize, isNameDurable, isCutDue) = (newSize, newSize, false, false)
        } catch {
            try? Folder.removeIfPresent(temporary)
            throw error
        }
        try makeNameDurable()
    }

    /// Puts entries about sealed files behind those of the same files, in a new log that takes this one's place. A crash leaves either.
    mutating func insert(_ entries: [CommitRecord]) throws(LakeError) {
        guard !entries.isEmpty else { return }
        try makeNameDurable()
        var pieces: [(place: Int, line: [UInt8])] = []
        for entry in entries.sorted(by: { $0.firstOffset < $1.firstOffset }) {
            let place = try firstEntry(ofFilesFrom: entry.firstOffset + 1)?.start ?? size
            pieces.append((place, LogLine.encode(entry.json)))
        }
        pieces.append((size, []))
        let temporary = path + Self.temporarySuffix
        do throws(LakeError) {
            try LakeError.placed(temporary) { try Folder.removeIfPresent(temporary) }
            var target = try LakeError.placed(temporary) { try File(temporary, .create) }
            var (written, position) = (0, 0)
            for (place, line) in pieces {
                while position < place {
                    var piece = try read(at: position, count: min(Self.pieceBytes, place - position))
                    guard !piece.isEmpty else {
                        throw LakeError.damaged(path: path, reason: "it ends at byte \(position), before byte \(place)")
                    }
                    position += piece.count
                    written += try flush(&piece, to: target, at: written)
                }
                var line = line
                written += try flush(&line, to: target, at: written)
            }
            do throws(FileError) {
                try target.sync()
                try target.rename(to: path)
            } catch {
                throw .file(error)
            }
            file = target
            (size, isNameDurable, isCutDue) = (written, false, false)
        } catch {
            try? Folder.removeIfPresent(temporary)
            throw error
        }
        try makeNameDurable()
    }

    mutating func makeNameDurable() throws(LakeError) {
        guard !isNameDurable else { return }
        do throws(FileError) { try Folder.sync(Folder.parent(of: path)) } catch { throw .file(error) }
        isNameDurable = true
    }

    /// - Returns: bytes written.
    private func writeMerged(to target: borrowing File) throws(LakeError) -> Int {
        var piece: [UInt8] = []
        var written = 0
        var merged: CommitRecord?
        // An entry that stays alone goes over byte for byte.
        var single = 0..<0
        var position = 0
        while position < size {
            let (record, end) = try entry(startingAt: position)
            if let before = merged, let both = before.merged(with: record) {
                merged = both
                single = 0..<0
            } else {
                try append(merged, single, to: &piece)
                merged = record
                single = position..<end
            }
            if piece.count >= Self.pieceBytes { written += try flush(&piece, to: target, at: written) }
            position = end
        }
        try append(merged, single, to: &piece)
        written += try flush(&piece, to: target, at: written)
        return written
    }

    private func append(_ record: CommitRecord?, _ single: Range<Int>, to piece: inout [UInt8]) throws(LakeError) {
        guard let record else { return }
        if single.isEmpty {
            piece += LogLine.encode(record.json)
        } else {
            piece += try read(at: single.lowerBound, count: single.count)
        }
    }

    private func flush(_ piece: inout [UInt8], to target: borrowing File, at place: Int) throws(LakeError) -> Int {
        var failure: FileError?
        piece.withUnsafeBytes { bytes in
            do throws(FileError) { try target.write(bytes, at: place) } catch { failure = error }
        }
        if let failure { throw .file(failure) }
        defer { piece.removeAll(keepingCapacity: true) }
        return piece.count
    }
}

extension CommitRecord {
    /// One entry that says what both say; nil where no one entry can.
    fileprivate func merged(with next: CommitRecord) -> CommitRecord? {
        guard kind == .commit, next.kind == .commit, next.gap == nil, next.range.start == range.end,
            next.firstOffset == firstOffset, next.hour == hour, next.timeReset == timeReset,
            next.brokerTimeMax / CommitLog.mergedMilliseconds == brokerTimeMax / CommitLog.mergedMilliseconds,
            next.parts.count == parts.count, Self.areNear(committed, next.committed),
            let range = OffsetRange(start: range.start, end: next.range.end)
        else { return nil }
        var both = next
        both.gap = gap
        both.gapReason = gapReason
        both.range = range
        if let from = committed?.from { both.committed?.from = from }
        both.duplicates += duplicates
        both.canaries += canaries
        both.timesAhead += timesAhead
        guard let bronze = bronze.merged(with: next.bronze) else { return nil }
        both.bronze = bronze
        for (index, part) in parts.enumerated() {
            guard let merged = part.merged(with: next.parts[index]) else { return nil }
            both.parts[index] = merged
        }
        return both
    }

    /// Whether one entry can say when both were taken in: to the minute, as it says their broker time. Entries of former
    /// versions, which do not know it, are merged among themselves.
    private static func areNear(_ first: CommitTime?, _ second: CommitTime?) -> Bool {
        guard let first, let second else { return first == nil && second == nil }
        // The clock may have been set back between them.
        return first.from <= second.at && second.at - first.from < CommitLog.mergedMilliseconds
    }
}

extension GenerationPart {
    fileprivate func merged(with next: GenerationPart) -> GenerationPart? {
        guard next.generation == generation, next.logicVersion == logicVersion, next.firstOffset == firstOffset,
            let silver = silver.merged(with: next.silver), let gold = gold.merged(with: next.gold),
            let quarantine = quarantine.merged(with: next.quarantine)
        else { return nil }
        return GenerationPart(
            generation: generation, logicVersion: logicVersion, firstOffset: firstOffset, silver: silver, gold: gold,
            quarantine: quarantine, rejects: rejects.merging(next.rejects) { $0 + $1 })
    }
}

extension ByteRange {
    fileprivate func merged(with next: ByteRange) -> ByteRange? {
        guard next.start == end else { return nil }
        var sum: UInt32?
        if let checksum, let second = next.checksum {
            sum = crc32c(checksum, followedBy: second, secondCount: next.end - next.start)
        }
        return ByteRange(start: start, end: next.end, lines: lines + next.lines, checksum: sum)
    }
}
