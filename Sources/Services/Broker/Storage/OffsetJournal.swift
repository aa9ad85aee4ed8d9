import Files
import Records

/// A consumer group's place in one topic partition.
struct CommittedOffset: Equatable, Sendable {
    var offset: Int64
    /// -1: not given.
    var leaderEpoch: Int32
    /// The client's own text.
    var metadata: String
    /// When it was committed, in milliseconds since 1970.
    var commitTime: Int64
}

/// One change of the committed offsets.
struct OffsetChange: Equatable, Sendable {
    var group: String
    var topicPartition: TopicPartition
    /// nil: forgotten.
    var committed: CommittedOffset?
    /// The topic that the request was checked against; another of the same name may stand there when the change is
    /// written. Not kept.
    var topicID: TopicID?
}

/// The committed offsets of all groups, kept in a file that only grows until most of it is outdated and it is
/// written anew. Used by the storage thread alone.
///
/// `offsets.journal` is a row of entries: length of the body (UInt32), the body, its CRC-32C, all little-endian.
///
/// After any failure the file is not trusted: a half-written entry hides what follows it, a failed sync may have lost
/// pages that the kernel takes for clean, and after a failed replacement nobody knows which file bears the name. The
/// table is then written into a new file before anything else counts.
struct OffsetJournal: ~Copyable {
    typealias Table = [String: [TopicPartition: CommittedOffset]]

    static let fileName = "offsets.journal"
    static let metadataBytesMax = 4_096
    /// A journal below this size is never rewritten.
    private static let rewriteBytesMin = 1 << 20

    private let path: String
    private let disk: DiskCalls
    private var file: File
    private(set) var table: Table = [:]
    /// Bytes that the table takes in a journal with nothing outdated; in memory it takes about twice that.
    private(set) var liveBytes = 0
    private var byteCount: Int
    private var isUnsynced = false
    private var mustReplace = false
    /// Bytes of a torn tail that the start cut off.
    let bytesCut: Int

    /// Reads the journal, without an entry that was being written when the process was killed, and writes it anew: what
    /// was read may be in the page cache alone, even after a sync that seemed to succeed.
    init(folder: String, disk: DiskCalls = .system) throws(FileError) {
        let path = folder + "/" + Self.fileName
        let file = try File(path, .readWrite)
        let bytes = try file.read(at: 0, count: try file.size())
        self.path = path
        self.disk = disk
        self.file = file
        var changes: [OffsetChange] = []
        let end = Self.replay(bytes) { changes.append($0) }
        byteCount = end
        bytesCut = bytes.count - end
        for change in changes { _ = apply(change) }
        // A disk that is full still lets consumers go on from where they are.
        do throws(FileError) { try replace() } catch { mustReplace = true }
    }

    /// Writes changes to the file and then to the table; ``sync()`` makes them durable. On failure nothing changed.
    mutating func append(_ changes: [OffsetChange]) throws(FileError) {
        let earlier = changes.map { apply($0) }
        do throws(FileError) {
            if mustReplace { try replace() } else { try write(changes) }
        } catch {
            undo(earlier)
            throw error
        }
    }

    /// Writes changes and makes them durable. On failure nothing changed.
    mutating func commit(_ changes: [OffsetChange]) throws(FileError) {
        let earlier = changes.map { before($0) }
        try append(changes)
        do throws(FileError) {
            try sync()
        } catch {
            undo(earlier)
            throw error
        }
    }

    private mutating func write(_ changes: [OffsetChange]) throws(FileError) {
        var entries = LittleEndianBytes()
        for change in changes { Self.encode(change, to: &entries) }
        do throws(FileError) {
            try write(entries.bytes)
        } catch {
            // Half an entry would hide what is written after it; on a full disk a cut is possible, a new file is not.
            do throws(FileError) { try file.truncate(to: byteCount) } catch { mustReplace = true }
            throw error
        }
        byteCount += entries.bytes.count
        isUnsynced = true
    }

    private func write(_ bytes: [UInt8]) throws(FileError) {
        var failure: FileError?
        bytes.withUnsafeBytes { buffer in
            do throws(FileError) { try file.write(buffer, at: byteCount) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    mutating func sync() throws(FileError) {
        if mustReplace { return try replace() }
        guard isUnsynced else { return }
        do throws(FileError) {
            try FileWatch.witness?.willMake(.sync(path: path, site: "Broker/OffsetJournal"))
            guard disk.sync(file.descriptor) == 0 else { throw FileError("fdatasync", path) }
        } catch {
            mustReplace = true
            throw error
        }
        isUnsynced = false
        // What was synced is durable whether or not this succeeds; the next change tries again.
        if byteCount > Self.rewriteBytesMin, liveBytes < byteCount / 4 { try? replace() }
    }

    /// Writes the table into a new file, durable when this returns.
    private mutating func replace() throws(FileError) {
        var live = LittleEndianBytes()
        for (group, offsets) in table {
            for (topicPartition, committed) in offsets {
                Self.encode(
                    OffsetChange(group: group, topicPartition: topicPartition, committed: committed), to: &live)
            }
        }
        do throws(FileError) {
            try File.replace(path, with: live.bytes)
            file = try File(path, .readWrite)
        } catch {
            // As long as the old file bears the name it is as good as it was.
            if !file.bearsItsName { mustReplace = true }
            throw error
        }
        byteCount = live.bytes.count
        isUnsynced = false
        mustReplace = false
    }

    // MARK: Table

    /// The change that would undo `change`.
    private func before(_ change: OffsetChange) -> OffsetChange {
        var earlier = change
        earlier.committed = table[change.group]?[change.topicPartition]
        return earlier
    }

    /// - Returns: the change that undoes it.
    private mutating func apply(_ change: OffsetChange) -> OffsetChange {
        let earlier = before(change)
        if earlier.committed != nil { liveBytes -= Self.byteCount(of: earlier) }
        if change.committed != nil { liveBytes += Self.byteCount(of: change) }
        table[change.group, default: [:]][change.topicPartition] = change.committed
        if table[change.group]?.isEmpty == true { table[change.group] = nil }
        return earlier
    }

    private mutating func undo(_ earlier: [OffsetChange]) {
        for change in earlier.reversed() { _ = apply(change) }
    }

    // MARK: Entries

    /// Bytes of an entry that commits an offset.
    static func byteCount(of change: OffsetChange) -> Int {
        let texts = change.group.utf8.count + change.topicPartition.topic.utf8.count
        return 39 + texts + (change.committed?.metadata.utf8.count ?? 0)
    }

    private static func encode(_ change: OffsetChange, to bytes: inout LittleEndianBytes) {
        var body = LittleEndianBytes()
        body.append(UInt8(change.committed == nil ? 2 : 1))
        body.append(change.group)
        body.append(change.topicPartition.topic)
        body.append(change.topicPartition.partition)
        if let committed = change.committed {
            body.append(committed.offset)
            body.append(committed.leaderEpoch)
            body.append(committed.commitTime)
            body.append(committed.metadata)
        }
        let bodyCount = UInt32(body.bytes.count)
        body.appendSum()
        bytes.append(bodyCount)
        bytes.append(contentsOf: body.bytes)
    }

    /// Calls `body` with each whole entry; returns where they end.
    static func replay(_ bytes: [UInt8], _ body: (OffsetChange) -> Void) -> Int {
        var position = 0
        while true {
            var reader = LittleEndianReader(bytes, from: position)
            guard let count: UInt32 = reader.next(), reader.remaining >= Int(count) + 4 else { return position }
            let end = reader.position + Int(count) + 4
            guard LittleEndianReader.hasSoundSum(Array(bytes[reader.position..<end])),
                let change = decode(&reader)
            else { return position }
            body(change)
            position = end
        }
    }

    private static func decode(_ reader: inout LittleEndianReader) -> OffsetChange? {
        guard let kind: UInt8 = reader.next(), let group = reader.nextText(), let topic = reader.nextText(),
            let partition: Int32 = reader.next()
        else { return nil }
        var change = OffsetChange(
            group: group, topicPartition: TopicPartition(topic: topic, partition: partition), committed: nil)
        guard kind != 2 else { return change }
        guard kind == 1, let offset: Int64 = reader.next(), let epoch: Int32 = reader.next(),
            let time: Int64 = reader.next(), let metadata = reader.nextText()
        else { return nil }
        change.committed = CommittedOffset(
            offset: offset, leaderEpoch: epoch, metadata: metadata, commitTime: time)
        return change
    }
}
