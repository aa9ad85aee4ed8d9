import Bytes
import Files
import JSONScan

/// How far one file was read.
struct FileProgress: Equatable, Sendable {
    /// Tells this content of the file from every content that it, or any other file of the folder, had before.
    var incarnation: Int64
    /// As the file was when it was looked at last.
    var facts: FileFacts
    /// The next unpacked byte to be read.
    var offset: Int64 = 0
    /// Of everything before ``offset``.
    var sum = ContentSum()
    /// Where the last line that was read begins, and its sum: a quick look whether a long file was only appended to.
    var lastLine: Int64 = 0
    var lastLineSum = ContentSum()
    /// Where the last row begins, where it was taken without a line feed: it may have been caught in the midst of being written.
    var openRow: OpenRow?
    /// Lines or rows before ``offset`` that were left out.
    var refusedCount = 0
    /// Line feeds before ``offset``, to name lines by; nil where a state has no word of them.
    var lineFeeds: Int64? = 0
    /// Whether all of the file was read, as ``facts`` describe it.
    var isComplete = false
    /// Whether the file changed between a crash and the start after it, so that lines which were sent before the crash may have
    /// stood where others stand now.
    var isDoubtful = false
}

/// What was read before a row that was taken without a line feed.
struct OpenRow: Equatable, Sendable {
    /// Of everything before the row.
    var sum: ContentSum
    /// Line feeds before the row; nil where they were not counted.
    var lineFeeds: Int64?
}

extension FileProgress {
    /// Goes back to the beginning of the last row, which was taken without a line feed.
    mutating func goBack(before row: OpenRow) {
        (offset, sum, lineFeeds) = (lastLine, row.sum, row.lineFeeds)
        // Nothing is known of the line before it: until there is another one, a look compares all.
        (lastLine, lastLineSum, openRow) = (0, ContentSum(), nil)
    }
}

/// The connector's durable memory: how far each file was acknowledged.
///
/// A JSONL file. Its first line has an id that no other state ever had, so that event ids made with it are nobody else's; each
/// further line says how far one file is, and the last one of a file counts. Lines are appended and made durable; from time to
/// time the file is written anew. A torn last line, as a crash may leave it, is cut off. Without a path nothing is durable.
final class FileJournal {
    private static let format: Int64 = 1
    /// Lines that are superseded before the file is written anew.
    private static let staleLinesMax = 10_000
    /// The share of ``bytesMax`` that the file may have before it is written anew for its size, and that it then may have.
    private static let fullShare = 0.5

    /// 16 hexadecimal digits.
    private(set) var id = ""
    private(set) var files: [String: FileProgress] = [:]
    private var nextIncarnation: Int64 = 1
    private let path: String?
    /// A larger file is not read.
    private let bytesMax: Int
    /// Whether the oldest files that were read to their ends are forgotten where there is no room. A folder's may not be: they would
    /// be found, and read again, at once.
    private let forgetsOldest: Bool
    /// How long the file was when it was written anew.
    private var rewrittenLength = 0
    private var length = 0
    private var staleLines = 0

    /// - Throws: `FileError`; ``FilesConnectorError`` where the file is damaged or too large.
    init(path: String?, bytesMax: Int, forgetsOldest: Bool) throws {
        self.path = path
        self.bytesMax = bytesMax
        self.forgetsOldest = forgetsOldest
        if let path, Folder.exists(path) {
            try load(path)
        } else {
            var generator = SystemRandomNumberGenerator()
            id = Hex.text(generator.next())
            try rewrite()
        }
    }

    /// A number that no content had before. It must be noted with its file before an event is made of that.
    func newIncarnation() -> Int64 {
        defer { nextIncarnation += 1 }
        return nextIncarnation
    }

    /// Makes the progress of some files durable.
    func note(_ changes: [String: FileProgress]) throws {
        guard !changes.isEmpty else { return }
        guard let path else { return files.merge(changes) { $1 } }
        var json = JSONWriter(capacity: 256 * changes.count)
        var bytes: [UInt8] = []
        for (name, progress) in changes.sorted(by: { $0.key < $1.key }) {
            json.removeAll()
            Self.append(name, progress, to: &json)
            bytes += json.bytes
            bytes.append(0x0A)
        }
        guard length + bytes.count <= bytesMax else {
            let before = files
            files.merge(changes) { $1 }
            do { try rewrite() } catch {
                files = before
                throw error
            }
            return
        }
        // At its own place, and nothing is left of what failed.
        let file = try File(path, .readWrite)
        if try file.size() > length { try file.truncate(to: length) }
        try bytes.withUnsafeBytes { buffer in try file.write(buffer, at: length) }
        try file.sync()
        length += bytes.count
        for (name, progress) in changes {
            if files.updateValue(progress, forKey: name) != nil { staleLines += 1 }
        }
        let isFull =
            length > Int(Double(bytesMax) * Self.fullShare) && staleLines > 0
            && length > rewrittenLength + rewrittenLength / 4
        if isFull || staleLines > max(Self.staleLinesMax, files.count) { try rewrite() }
    }

    /// Forgets files, to make room for others.
    func forget(_ names: [String]) throws {
        for name in names { files[name] = nil }
        try rewrite()
    }

    private func rewrite() throws {
        guard let path else { return }
        var bytes = text()
        if bytes.count > bytesMax, forgetsOldest {
            forgetOldest(bytes.count)
            bytes = text()
        }
        guard bytes.count <= bytesMax else {
            throw FilesConnectorError(
                "\(path) has no room for more files (\(bytesMax) bytes at most): give them in several sources, or move the "
                    + "file away and every file is read again")
        }
        try File.replace(path, with: bytes)
        length = bytes.count
        rewrittenLength = length
        staleLines = 0
    }

    /// Forgets files that were read to their ends, those first that were begun first, until half the room is free.
    private func forgetOldest(_ bytes: Int) {
        let perFile = max(1, bytes / max(1, files.count))
        var left = (bytes - Int(Double(bytesMax) * Self.fullShare)) / perFile + 1
        let complete = files.filter(\.value.isComplete).sorted { $0.value.incarnation < $1.value.incarnation }
        for (name, _) in complete {
            guard left > 0 else { return }
            files[name] = nil
            left -= 1
        }
    }

    /// All of the file.
    private func text() -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.integer("format", Self.format)
        json.string("id", id)
        json.integer("next_incarnation", nextIncarnation)
        json.endObject()
        var bytes = json.bytes + [0x0A]
        for (name, progress) in files.sorted(by: { $0.key < $1.key }) {
            json.removeAll()
            Self.append(name, progress, to: &json)
            bytes += json.bytes
            bytes.append(0x0A)
        }
        return bytes
    }

    private func load(_ path: String) throws {
        let size = try File(path, .read).size()
        guard size <= bytesMax else {
            throw FilesConnectorError(
                "\(path) has \(size) bytes, and \(bytesMax) are read at most: move it away and every file is read again"
            )
        }
        let bytes = try File.contents(of: path, bytesMax: bytesMax)
        let end = (bytes.lastIndex(of: 0x0A) ?? -1) + 1
        var number = 0
        for line in bytes[..<end].split(separator: 0x0A, omittingEmptySubsequences: false).dropLast() {
            number += 1
            guard let value = try? JSONValue.parse(Array(line)),
                number == 1 ? takeHead(value) : takeProgress(value)
            else {
                throw FilesConnectorError(
                    "\(path), line \(number) is damaged: restore it, or move the file away and every file of the folder is "
                        + "read again")
            }
        }
        guard number > 0 else {
            throw FilesConnectorError("\(path) is empty: move it away and every file of the folder is read again")
        }
        length = end
        if end < bytes.count {
            let file = try File(path, .readWrite)
            try file.truncate(to: end)
            try file.sync()
        }
    }

    private func takeHead(_ value: JSONValue) -> Bool {
        guard value["format"]?.integer == Self.format, let id = value["id"]?.string, id.utf8.count == 16,
            let next = value["next_incarnation"]?.integer
        else { return false }
        self.id = id
        nextIncarnation = next
        return true
    }

    private func takeProgress(_ value: JSONValue) -> Bool {
        guard let name = value["file"]?.string, let incarnation = value["incarnation"]?.integer,
            let size = value["size"]?.integer, let device = value["device"]?.string.flatMap({ UInt64($0) }),
            let node = value["node"]?.string.flatMap({ UInt64($0) }),
            let modified = value["modified_ns"]?.integer, let offset = value["offset"]?.integer,
            let sum = ContentSum(value["sum"]), let isComplete = value["complete"]?.bool
        else { return false }
        var openRow: OpenRow?
        if let member = value["row_sum"] {
            guard let sum = ContentSum(member) else { return false }
            openRow = OpenRow(sum: sum, lineFeeds: value["row_line_feeds"]?.integer)
        }
        // One line that is all of the file needs no word of its own.
        let lastLine = value["last_line"]?.integer ?? 0
        guard let lastLineSum = value["last_line_sum"].map(ContentSum.init) ?? sum else { return false }
        let progress = FileProgress(
            incarnation: incarnation,
            facts: FileFacts(size: Int(size), device: device, node: node, modifiedNanoseconds: modified),
            offset: offset, sum: sum, lastLine: lastLine, lastLineSum: lastLineSum, openRow: openRow,
            refusedCount: Int(clamping: value["left_out"]?.integer ?? 0),
            lineFeeds: value["line_feeds"]?.integer, isComplete: isComplete,
            isDoubtful: value["doubtful"]?.bool ?? false)
        if files.updateValue(progress, forKey: name) != nil { staleLines += 1 }
        nextIncarnation = max(nextIncarnation, incarnation + 1)
        return true
    }

    private static func append(_ name: String, _ progress: FileProgress, to json: inout JSONWriter) {
        json.beginObject()
        json.string("file", name)
        json.integer("incarnation", progress.incarnation)
        json.integer("size", progress.facts.size)
        // As texts: they may be larger than what a JSON number keeps everywhere.
        json.string("device", String(progress.facts.device))
        json.string("node", String(progress.facts.node))
        json.integer("modified_ns", progress.facts.modifiedNanoseconds)
        json.integer("offset", progress.offset)
        json.string("sum", progress.sum.text)
        if progress.lastLine != 0 { json.integer("last_line", progress.lastLine) }
        if progress.lastLineSum != progress.sum { json.string("last_line_sum", progress.lastLineSum.text) }
        if let row = progress.openRow {
            json.string("row_sum", row.sum.text)
            if let lineFeeds = row.lineFeeds { json.integer("row_line_feeds", lineFeeds) }
        }
        if let lineFeeds = progress.lineFeeds { json.integer("line_feeds", lineFeeds) }
        json.bool("complete", progress.isComplete)
        if progress.refusedCount > 0 { json.integer("left_out", progress.refusedCount) }
        if progress.isDoubtful { json.bool("doubtful", true) }
        json.endObject()
    }
}

extension ContentSum {
    fileprivate var text: String { Hex.text(high) + Hex.text(low) }

    fileprivate init?(_ value: JSONValue?) {
        guard let text = value?.string, text.utf8.count == 32, let high = UInt64(text.prefix(16), radix: 16),
            let low = UInt64(text.suffix(16), radix: 16)
        else { return nil }
        (self.high, self.low) = (high, low)
    }
}

extension Hex {
    /// 16 digits.
    fileprivate static func text(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }
}
