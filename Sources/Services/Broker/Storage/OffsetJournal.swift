import Events
import Files

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
}

/// The committed offsets of all groups, kept in a file that only grows until most of it is outdated and it is
/// written anew. Used by the storage thread alone.
///
/// `offsets.journal` is a row of entries: length of the body (UInt32), the body, its CRC-32C, all little-endian.
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
    private var byteCount = 0
    private var isUnsynced = false
    /// Bytes of a torn tail that the start cut off.
    let bytesCut: Int

    /// Reads the journal, cutting off an entry that was being written when the process was killed.
    init(folder: String, disk: DiskCalls = .system) throws(FileError) {
        let path = folder + "/" + Self.fileName
        let isNew = !Folder.exists(path)
        let file = try File(path, .readWrite)
        if isNew { try Folder.sync(folder) }
        let bytes = try file.read(at: 0, count: try file.size())
        var table: Table = [:]
        let end = Self.replay(bytes) { Self.apply($0, to: &table) }
        if end < bytes.count {
            try file.truncate(to: end)
            try file.sync()
        }
        self.path = path
        self.disk = disk
        self.file = file
        self.table = table
        byteCount = end
        bytesCut = bytes.count - end
    }

    /// Writes changes to the file and then to the table; ``sync()`` makes them durable. On failure nothing changed.
    mutating func append(_ changes: [OffsetChange]) throws(FileError) {
        var entries = LittleEndianBytes()
        for change in changes { Self.encode(change, to: &entries) }
        try write(entries.bytes)
        for change in changes { Self.apply(change, to: &table) }
    }

    private mutating func write(_ bytes: [UInt8]) throws(FileError) {
        var failure: FileError?
        bytes.withUnsafeBytes { buffer in
            do throws(FileError) {
                try file.write(buffer, at: byteCount)
            } catch {
                failure = error
            }
        }
        if let failure {
            // Half an entry would hide what is written after it.
            try file.truncate(to: byteCount)
            throw failure
        }
        byteCount += bytes.count
        isUnsynced = true
    }

    mutating func sync() throws(FileError) {
        guard isUnsynced else { return }
        guard disk.sync(file.descriptor) == 0 else { throw FileError("fdatasync", path) }
        isUnsynced = false
        try rewriteIfWorthwhile()
    }

    /// Writes the journal anew when three quarters of it are outdated.
    private mutating func rewriteIfWorthwhile() throws(FileError) {
        guard byteCount > Self.rewriteBytesMin else { return }
        var live = LittleEndianBytes()
        for (group, offsets) in table {
            for (topicPartition, committed) in offsets {
                Self.encode(
                    OffsetChange(group: group, topicPartition: topicPartition, committed: committed), to: &live)
            }
        }
        guard live.bytes.count < byteCount / 4 else { return }
        try File.replace(path, with: live.bytes)
        file = try File(path, .readWrite)
        byteCount = live.bytes.count
    }

    private static func apply(_ change: OffsetChange, to table: inout Table) {
        table[change.group, default: [:]][change.topicPartition] = change.committed
        if table[change.group]?.isEmpty == true { table[change.group] = nil }
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
