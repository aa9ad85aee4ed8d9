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
    /// Line feeds before ``offset``, to name lines by; nil where a state has no word of them.
    var lineFeeds: Int64? = 0
    /// Whether all of the file was read, as ``facts`` describe it.
    var isComplete = false
    /// Whether the file changed between a crash and the start after it, so that lines which were sent before the crash may have
    /// stood where others stand now.
    var isDoubtful = false
}

/// The connector's durable memory: how far each file was acknowledged.
///
/// A JSONL file. Its first line has an id that no other state ever had, so that event ids made with it are nobody else's; each
/// further line says how far one file is, and the last one of a file counts. Lines are appended and made durable; from time to
/// time the file is written anew. A torn last line, as a crash may leave it, is cut off.
final class FileJournal {
    private static let bytesMax = 1 << 29
    private static let format: Int64 = 1
    /// Lines that are superseded before the file is written anew.
    private static let staleLinesMax = 10_000

    /// 16 hexadecimal digits.
    private(set) var id = ""
    private(set) var files: [String: FileProgress] = [:]
    private var nextIncarnation: Int64 = 1
    private let path: String
    private var length = 0
    private var staleLines = 0

    /// - Throws: `FileError`; ``FilesConnectorError`` where the file is damaged.
    init(path: String) throws {
        self.path = path
        if Folder.exists(path) {
            try load()
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
        var json = JSONWriter(capacity: 256 * changes.count)
        var bytes: [UInt8] = []
        for (name, progress) in changes.sorted(by: { $0.key < $1.key }) {
            json.removeAll()
            Self.append(name, progress, to: &json)
            bytes += json.bytes
            bytes.append(0x0A)
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
        if staleLines > max(Self.staleLinesMax, files.count) { try rewrite() }
    }

    /// Forgets files, to make room for others.
    func forget(_ names: [String]) throws {
        for name in names { files[name] = nil }
        try rewrite()
    }

    private func rewrite() throws {
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
        try File.replace(path, with: bytes)
        length = bytes.count
        staleLines = 0
    }

    private func load() throws {
        let bytes = try File.contents(of: path, bytesMax: Self.bytesMax)
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
            let sum = ContentSum(value["sum"]), let lastLine = value["last_line"]?.integer,
            let lastLineSum = ContentSum(value["last_line_sum"]), let isComplete = value["complete"]?.bool,
            let isDoubtful = value["doubtful"]?.bool
        else { return false }
        let progress = FileProgress(
            incarnation: incarnation,
            facts: FileFacts(size: Int(size), device: device, node: node, modifiedNanoseconds: modified),
            offset: offset, sum: sum, lastLine: lastLine, lastLineSum: lastLineSum,
            lineFeeds: value["line_feeds"]?.integer, isComplete: isComplete, isDoubtful: isDoubtful)
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
        json.integer("last_line", progress.lastLine)
        json.string("last_line_sum", progress.lastLineSum.text)
        if let lineFeeds = progress.lineFeeds { json.integer("line_feeds", lineFeeds) }
        json.bool("complete", progress.isComplete)
        json.bool("doubtful", progress.isDoubtful)
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
