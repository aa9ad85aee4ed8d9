import Files
import Glibc
import JSONScan

/// What the bytes of a log of checksummed lines come to. All small logs of the lake are read by this, so that all of them
/// heal alike: the rest of an append that a crash tore is left out by readers and cut off by the next writer.
struct RecordLines {
    /// The records, in order.
    let records: [JSONValue]
    /// Where the last whole line ends, in bytes. What stands behind it was never acknowledged.
    let end: Int

    /// - Throws: ``LakeError/damaged(path:reason:)`` where a line was altered, or one that is not the last is torn.
    init(_ bytes: [UInt8], path: String) throws(LakeError) {
        var records: [JSONValue] = []
        var start = 0
        while let feed = bytes[start...].firstIndex(of: 0x0A) {
            let line = bytes[start..<feed]
            guard let value = LogLine.decode(line) else {
                // Of a torn append the line feed may have come to the disk first.
                if feed == bytes.count - 1, !LogLine.looksWhole(line) { break }
                throw .damaged(path: path, reason: "the entry at byte \(start) does not match its checksum")
            }
            records.append(value)
            start = feed + 1
        }
        self.records = records
        end = start
    }
}

extension LogLine {
    private static let beginning = Array("{\"crc32c\":\"".utf8)
    private static let middle = Array("\",\"record\":{".utf8)

    /// Whether a line that cannot be read has a whole one's shape. A tear leaves a piece, or zeros where bytes never came
    /// to the disk; a bit that flipped later leaves the shape.
    static func looksWhole(_ line: ArraySlice<UInt8>) -> Bool {
        line.starts(with: beginning) && line.dropFirst(beginning.count + 8).starts(with: middle)
            && line.suffix(2).elementsEqual("}}".utf8) && !line.contains(0)
    }
}

/// A small log of checksummed lines that is read as a whole. Who appends holds a lock of the log's own.
struct RecordLog {
    let path: String
    /// A larger log is refused.
    var bytesMax = 64 << 20

    /// All records.
    func read() throws(LakeError) -> [JSONValue] {
        guard Folder.exists(path) else { return [] }
        let bytes = try LakeError.placed(path) { try File.contents(of: path, bytesMax: bytesMax) }
        return try RecordLines(bytes, path: path).records
    }

    /// Appends a record and makes it durable, with its name.
    func append(_ record: [UInt8], in layout: LakeLayout) throws(LakeError) {
        var appender = try RecordAppender.open(self, upTo: layout.above)
        try appender.append([record])
    }

    /// Makes the present entries durable, before anything is done because of them: the process that wrote them may have been
    /// killed between its write and its sync.
    ///
    /// The log is written again, since a second sync after one that failed proves nothing.
    func makeDurable(in layout: LakeLayout) throws(LakeError) {
        guard Folder.exists(path) else { return }
        try LakeError.placed(path) {
            let bytes = try File.contents(of: path, bytesMax: bytesMax)
            let whole = try RecordLines(bytes, path: path).end
            _ = try Self.replace(path, with: Array(bytes[..<whole]))
            try Folder.syncNames(from: Folder.parent(of: path), upTo: layout.above)
        }
    }

    /// Puts a new file with this content, which is durable, in the log's place. Its name is durable only when the folder is
    /// synced.
    static func replace(_ path: String, with bytes: [UInt8]) throws(FileError) -> File {
        try File.put(bytes, at: path)
    }
}

/// A log of checksummed lines that its one writer has open.
///
/// An append that fails has not happened: where the sync failed, the log is put back as it was in a new file, since
/// nobody knows what of the old one is on the disk, and another sync of it would prove nothing.
struct RecordAppender: ~Copyable {
    /// What was there at the opening, in order.
    let records: [JSONValue]
    private let path: String
    private var file: File
    private var size: Int
    /// After a log was put back: whether its name surely leads to it after a crash.
    private var isNameDurable = true

    /// Opens a log, cuts off what a crash tore, and makes its name durable, with those of the folders up to `above`.
    static func open(_ log: RecordLog, upTo above: String) throws(LakeError) -> RecordAppender {
        let path = log.path
        return try LakeError.placed(path) {
            try Folder.create(Folder.parent(of: path), isDurable: false)
            var file = try File(path, .readWrite)
            let size = try file.size()
            guard size <= log.bytesMax else { throw FileError("read", path, code: EFBIG) }
            let bytes = try file.read(at: 0, count: size)
            let lines = try RecordLines(bytes, path: path)
            if lines.end < size {
                // In a new file: a later append to the old one could be torn into what was cut off.
                file = try RecordLog.replace(path, with: Array(bytes[..<lines.end]))
            }
            try Folder.syncNames(from: Folder.parent(of: path), upTo: above)
            return RecordAppender(records: lines.records, path: path, file: file, size: lines.end)
        }
    }

    private init(records: [JSONValue], path: String, file: consuming File, size: Int) {
        self.records = records
        self.path = path
        self.file = file
        self.size = size
    }

    /// Appends records and makes them durable, or leaves the log as it was. A crash leaves the first of them, or none.
    ///
    /// Each is durable before the next one follows: of one write of many lines, a power loss might tear one in the middle,
    /// and nobody could tell that from damage.
    mutating func append(_ records: [[UInt8]]) throws(LakeError) {
        guard !records.isEmpty else { return }
        if !isNameDurable {
            do throws(FileError) { try putBack() } catch { throw .file(error) }
        }
        let before = size
        for record in records {
            let line = LogLine.encode(record)
            var failure: FileError?
            line.withUnsafeBytes { bytes in
                do throws(FileError) {
                    try file.write(bytes, at: size)
                    try file.sync()
                } catch {
                    failure = error
                }
            }
            if let failure {
                size = before
                takeBack()
                throw .file(failure)
            }
            size += line.count
        }
    }

    private mutating func takeBack() {
        do throws(FileError) { try putBack() } catch {
            // The disk refuses that, too. At least nobody reads the entry while the machine runs.
            if isNameDurable { try? file.truncate(to: size) }
        }
    }

    private mutating func putBack() throws(FileError) {
        let before = try file.read(at: 0, count: size)
        file = try RecordLog.replace(path, with: before)
        isNameDurable = false
        try Folder.sync(Folder.parent(of: path))
        isNameDurable = true
    }
}
