import Files
import Glibc

/// The writer's part of a log: the segment that grows, and what was not shown to readers yet.
struct LogWriter {
    private(set) var file: SegmentFile
    var nextOffset: Int64
    /// Length of the active segment, staged bytes included.
    var position: Int
    var timestampMax: Int64
    var producers: ProducerStates
    var staged: [UInt8] = []
    /// Since the last publication.
    var newEntries: [IndexEntry] = []
    var undo: [(producerID: Int64, earlier: ProducerStates.Producer?)] = []
    /// The topic was deleted; its folder may belong to another of the same name by now.
    var isClosed = false
    /// An empty segment that a failed roll made and could not take away.
    var leftover: String?
    /// First offsets of segments that hold nothing readable and whose files are still to be removed.
    var dropped: [Int64] = []

    /// The offset after the bytes that the kernel has.
    private var flushedOffset: Int64
    /// Bytes of the active segment that are durable, and the offset after them.
    private var synced: (position: Int, offset: Int64)
    /// A sync failed: the kernel may hold pages beyond `synced` as clean that never reached the disk.
    private var mustRewrite = false
    /// A rollback could not cut the file; nothing may be written before that is done.
    private var mustCut = false
    /// Records that readers have seen are lost; nothing may follow them.
    private var damage: FileError?

    init(_ recovered: RecoveredLog) {
        let published = recovered.published
        file = published.active
        nextOffset = published.endOffset
        position = published.endPosition
        timestampMax = published.activeTimestampMax
        producers = recovered.producers
        flushedOffset = published.endOffset
        synced = (published.endPosition, published.endOffset)
    }

    private var flushedPosition: Int { position - staged.count }

    /// Finishes what earlier failures left to be done, before anything is written.
    mutating func settle() throws(FileError) {
        if let damage { throw damage }
        try removeLeftover()
        if mustCut { try cut() }
        // As long as the disk does not take what readers have seen, there is to be no more of it.
        if mustRewrite { try sync() }
    }

    mutating func removeLeftover() throws(FileError) {
        guard let path = leftover else { return }
        try Folder.removeIfPresent(path)
        leftover = nil
    }

    mutating func flush() throws(FileError) {
        guard !staged.isEmpty else { return }
        var failure: FileError?
        staged.withUnsafeBytes { bytes in
            do throws(FileError) {
                try file.write(bytes, at: position - bytes.count)
            } catch { failure = error }
        }
        if let failure { throw failure }
        flushedOffset = nextOffset
        // A large buffer is not kept for the next trickle.
        staged.removeAll(keepingCapacity: staged.count <= 1 << 20)
    }

    mutating func sync() throws(FileError) {
        let end = flushedPosition
        guard end > synced.position else { return }
        if mustRewrite { try rewrite(to: end) }
        do throws(FileError) {
            try file.sync()
        } catch {
            mustRewrite = true
            SyncFailureMark.set(beside: file)
            throw error
        }
        if mustRewrite { SyncFailureMark.clear(beside: file) }
        mustRewrite = false
        synced = (end, flushedOffset)
    }

    /// Writes anew what a failed sync may have lost, from the page cache, which has it as long as memory is not short.
    ///
    /// Only with an interval between syncs: there, readers have seen records that no sync covers yet. Otherwise what a
    /// failed sync leaves is cut off.
    private mutating func rewrite(to end: Int) throws(FileError) {
        try file.rewrite(synced.position..<end)
        // Looked at afterwards: now nothing can drop those pages before they are on the disk.
        let found = try BatchScanner(file: file, limit: end).checkedBatches(
            from: synced.position, expecting: synced.offset
        ) { _, _ in true }
        guard found == .endOfFile else {
            let error = FileError("write anew after a failed sync", file.path, code: EIO)
            damage = error
            throw error
        }
    }

    mutating func rollBack(to published: PublishedLog) throws(FileError) {
        for (producerID, earlier) in undo.reversed() { producers.restore(producerID, earlier) }
        undo = []
        newEntries = []
        staged = []
        nextOffset = published.endOffset
        flushedOffset = published.endOffset
        position = published.endPosition
        timestampMax = published.activeTimestampMax
        mustCut = true
        try cut()
    }

    private mutating func cut() throws(FileError) {
        try file.truncate(to: position)
        mustCut = false
        guard position <= synced.position else { return }
        // What a failed sync may have lost is cut off with the rest.
        synced = (position, nextOffset)
        if mustRewrite { SyncFailureMark.clear(beside: file) }
        mustRewrite = false
    }

    /// Goes on with an empty segment.
    mutating func begin(_ next: SegmentFile) {
        file = next
        position = 0
        timestampMax = Int64.min
        synced = (0, next.baseOffset)
        flushedOffset = next.baseOffset
    }
}

/// A file beside a segment that says: a sync of it failed, and what the sync was to cover was neither cut off nor
/// written anew yet.
///
/// It matters to a process that starts after this one was killed: what it reads from the page cache may not be on the
/// disk, and a sync would say that it is. After a power cut the page cache is empty, and the mark does not matter; so
/// it is never synced, and where the disk does not even take this file, nothing more can be done.
enum SyncFailureMark {
    static let suffix = ".unsynced"

    private static func path(_ file: SegmentFile) -> String { file.path + suffix }

    static func set(beside file: SegmentFile) {
        do { _ = try File(path(file), .readWrite) } catch {}
    }

    static func clear(beside file: SegmentFile) { try? Folder.removeIfPresent(path(file)) }

    static func isSet(beside file: SegmentFile) -> Bool { Folder.exists(path(file)) }
}
