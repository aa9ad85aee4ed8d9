import Files
import Sources

/// A file that is being read.
final class FileReading {
    let path: String
    let kind: FileKind
    let reader: LineReader
    /// Makes documents of its pieces.
    var documents: FileDocuments
    var progress: FileProgress
    /// As it was when it was opened.
    let facts: FileFacts
    /// The ledger's number of this opening.
    let opening: Int
    /// Whether it is being compared with what was read of it before.
    var isChecking: Bool
    /// Documents that were made of it since it was opened.
    var documentCount = 0
    /// Lines or rows of it that were left out since then.
    var refusalCount = 0

    init(
        path: String, kind: FileKind, reader: LineReader, documents: FileDocuments, progress: FileProgress,
        facts: FileFacts, opening: Int, isChecking: Bool = false
    ) {
        self.path = path
        self.kind = kind
        self.reader = reader
        self.documents = documents
        self.progress = progress
        self.facts = facts
        self.opening = opening
        self.isChecking = isChecking
    }

    /// Whether the file is still the one that was opened, as it was then.
    var isUnchanged: Bool { reader.isStream || (try? reader.file.facts()) == facts && reader.file.bearsItsName }

    /// Takes the line that was read into the progress.
    func passLine() {
        progress.lastLine = progress.offset
        progress.lastLineSum = reader.lastLineSum
        progress.offset = reader.lineStart
        progress.sum = reader.sum
        progress.lineFeeds = reader.lineFeeds
        progress.openRow = nil
    }

    /// The piece that comes next, for people.
    ///
    /// - Parameter path: as people know the file.
    func place(_ path: String) -> String {
        guard !kind.format.isWhole else { return path }
        return progress.lineFeeds.map { "\(path), line \($0 + 1)" } ?? "\(path), byte \(progress.offset)"
    }

    /// Whether the last line that was read still stands where it stood.
    static func hasLastLine(_ known: FileProgress, _ file: borrowing File) throws -> Bool {
        let bytes = try file.read(at: Int(known.lastLine), count: Int(known.offset - known.lastLine))
        var sum = ContentSum()
        bytes.withUnsafeBytes { sum.add($0) }
        return sum == known.lastLineSum
    }

    /// Whether the folders on the way to the file are folders and not links.
    static func hasNoLinks(_ path: String, below root: String) -> Bool {
        var folder = root
        for name in path.split(separator: "/").dropLast() {
            folder += "/" + name
            guard Folder.isFolder(folder) else { return false }
        }
        return true
    }
}
