import Files

/// A file that is being read.
final class FileReading {
    let path: String
    let packing: FilePacking
    let reader: LineReader
    var progress: FileProgress
    /// As it was when it was opened.
    let facts: FileFacts
    /// The ledger's number of this opening.
    let opening: Int
    /// Whether it is being compared with what was read of it before.
    var isChecking: Bool

    init(
        path: String, packing: FilePacking, reader: LineReader, progress: FileProgress, facts: FileFacts,
        opening: Int, isChecking: Bool = false
    ) {
        self.path = path
        self.packing = packing
        self.reader = reader
        self.progress = progress
        self.facts = facts
        self.opening = opening
        self.isChecking = isChecking
    }

    /// Whether the file is still the one that was opened, as it was then.
    var isUnchanged: Bool { (try? reader.file.facts()) == facts && reader.file.bearsItsName }

    /// Takes the line that was read into the progress.
    func passLine() {
        progress.lastLine = progress.offset
        progress.lastLineSum = reader.lastLineSum
        progress.offset = reader.lineStart
        progress.sum = reader.sum
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
