import Files
import Hashing
import Records
import Zstd

/// The open data files of one topic partition's current hour.
struct HourFiles {
    /// One open file. A class, since an array cannot hold what owns a descriptor; never shared between threads.
    final class OpenFile {
        let name: DataFileName
        /// Bytes that the commit log counts.
        var committed = 0
        /// Bytes written, of which those behind `committed` wait for the commit record.
        var written = 0
        /// Whether anything may stand behind `committed` that no commit record counts.
        var isUncommitted = false
        var file: File?

        init(name: DataFileName) { self.name = name }
    }

    private let layout: LakeLayout
    private let source: TopicPartition
    private(set) var hour = LakeHour(number: 0)
    private(set) var firstOffset: Int64 = 0
    private(set) var isOpen = false
    private(set) var isSealed = false
    /// Whether the log says in which format the hour's files are written.
    private(set) var isFormatNoted = false
    private var files: [OpenFile] = []

    init(layout: LakeLayout, source: TopicPartition) {
        self.layout = layout
        self.source = source
    }

    /// Begins an hour with no files yet.
    mutating func begin(_ hour: LakeHour, firstOffset: Int64) {
        self.hour = hour
        self.firstOffset = firstOffset
        isOpen = true
        isSealed = false
        isFormatNoted = false
        files = []
    }

    /// The first offset that names a generation's files in this hour.
    func firstOffset(of generation: Int64, or offset: Int64) -> Int64 {
        files.first { $0.name.generation == generation }?.name.firstOffset ?? offset
    }

    /// Appends one frame, or nothing, to a layer's file.
    mutating func append(
        _ layer: Layer, _ generation: Int64?, _ frame: [UInt8], lines: Int, first: Int64
    ) throws(LakeError) -> ByteRange {
        let open = openFile(layer, generation, first: first)
        if open.isUncommitted, open.written == open.committed { try cut(open) }
        let start = open.written
        if !frame.isEmpty {
            open.isUncommitted = true
            try prepare(open)
            var failure: FileError?
            frame.withUnsafeBytes { bytes in
                do throws(FileError) { try open.file?.write(bytes, at: start) } catch { failure = error }
            }
            if let failure { throw .file(failure) }
            open.written = start + frame.count
        }
        let checksum = frame.withUnsafeBytes { crc32c($0) }
        return ByteRange(start: start, end: open.written, lines: lines, checksum: checksum)
    }

    /// Makes all that was appended durable.
    func sync() throws(LakeError) {
        for open in files where open.written > open.committed {
            do throws(FileError) {
                try open.file?.sync()
                // A new file's name must be as durable as what the commit record will say of it. A folder that was
                // found may be the work of a process that was killed before its name was durable.
                if open.committed == 0 {
                    try Folder.syncNames(from: layout.folder(of: open.name), upTo: layout.above)
                }
            } catch {
                throw .file(error)
            }
        }
    }

    /// The commit record is durable: what was written counts, and the log tells the hour's format.
    mutating func confirm() {
        for open in files {
            open.committed = open.written
            open.isUncommitted = false
        }
        isFormatNoted = true
    }

    /// The commit failed: takes back what was written. A failure here is repaired by the next start or append.
    func cutBack() {
        for open in files where open.isUncommitted {
            open.written = open.committed
            try? cut(open)
        }
    }

    /// Takes away what no commit record counts. A file of which nothing counts goes: readers by pattern would find it.
    private func cut(_ open: OpenFile) throws(LakeError) {
        let path = layout.dataFile(open.name)
        do throws(FileError) {
            if open.committed == 0 {
                open.file = nil
                try Folder.removeIfPresent(path)
            } else {
                try open.file?.truncate(to: open.committed)
            }
        } catch {
            throw .file(error)
        }
        open.isUncommitted = false
    }

    /// Takes in what a commit record of the log says.
    mutating func replay(_ record: CommitRecord) {
        if !isOpen || record.hour != hour { begin(record.hour, firstOffset: record.firstOffset) }
        note(.bronze, nil, record.bronze, first: record.firstOffset)
        for part in record.parts {
            for layer in Layer.derived { note(layer, part.generation, part.range(layer), first: part.firstOffset) }
        }
    }

    /// The log says that the hour was sealed.
    mutating func markSealed() {
        isSealed = true
    }

    /// The log says that the hour's files have the present format.
    mutating func noteFormat() {
        isFormatNoted = true
    }

    /// After a start: cuts growing files to what is committed, undoes a half seal, and finishes one that the log has.
    mutating func repair() throws(LakeError) {
        if isSealed {
            try finishSeal()
            return
        }
        do throws(FileError) {
            for open in files {
                try Folder.removeIfPresent(layout.sealingFile(open.name))
                let path = layout.dataFile(open.name)
                // Formats 1 and 2 gave it another name, and left a half seal under this one. Need not be durable: a crash
                // brings back what the next start does again, and sealing makes the folder's names durable.
                if Folder.exists(layout.formerOpenFile(open.name)) {
                    try Folder.rename(layout.formerOpenFile(open.name), to: path)
                }
                guard open.committed > 0 else {
                    try Folder.removeIfPresent(path)
                    continue
                }
                let file = try File(path, .readWrite)
                let size = try file.size()
                guard size >= open.committed else {
                    throw FileError("read the committed \(open.committed) of \(size) bytes in", path, code: 5)
                }
                // Need not be durable: a crash brings back what the next start cuts off again.
                if size > open.committed { try file.truncate(to: open.committed) }
                open.file = consume file
            }
        } catch {
            throw .file(error)
        }
    }

    /// Writes the sealed form of every file that has lines, under the temporary name.
    func writeSealedFiles() throws(LakeError) -> [SealedFile] {
        var sealed: [SealedFile] = []
        for open in files where open.committed > 0 {
            if open.isUncommitted { try cut(open) }
            var writer = try SealedFileWriter(layout: layout, name: open.name)
            try FrameReader.forEachLine(path: layout.dataFile(open.name), end: open.committed) {
                line throws(LakeError) in
                try writer.append(line: line)
            }
            sealed.append(try writer.prepare())
        }
        return sealed
    }

    /// Puts the sealed files in the growing ones' place, each by one rename, durably: no later start looks at this hour
    /// again.
    mutating func finishSeal() throws(LakeError) {
        do throws(FileError) {
            for open in files {
                open.file = nil
                let sealing = layout.sealingFile(open.name)
                if Folder.exists(sealing) { try Folder.rename(sealing, to: layout.dataFile(open.name)) }
                // Formats 1 and 2 removed it last.
                try Folder.removeIfPresent(layout.formerOpenFile(open.name))
            }
            try Self.sync(Set(files.map { layout.folder(of: $0.name) }))
        } catch {
            throw .file(error)
        }
        files = []
        isOpen = false
    }

    /// Makes the names in folders durable.
    static func sync(_ folders: Set<String>) throws(FileError) {
        for folder in folders.sorted() where Folder.exists(folder) { try Folder.sync(folder) }
    }

    private mutating func note(_ layer: Layer, _ generation: Int64?, _ range: ByteRange, first: Int64) {
        let open = openFile(layer, generation, first: first)
        open.committed = range.end
        open.written = range.end
    }

    private mutating func openFile(_ layer: Layer, _ generation: Int64?, first: Int64) -> OpenFile {
        if let open = files.first(where: { $0.name.layer == layer && $0.name.generation == generation }) { return open }
        let open = OpenFile(
            name: DataFileName(
                layer: layer, generation: generation, source: source, hour: hour,
                firstOffset: generation == nil ? firstOffset : first))
        files.append(open)
        return open
    }

    /// Opens a file that was not written yet; what a crash left there without a commit is cut off.
    private func prepare(_ open: OpenFile) throws(LakeError) {
        guard open.file == nil else { return }
        do throws(FileError) {
            try Folder.create(layout.folder(of: open.name), isDurable: false)
            let file = try File(layout.dataFile(open.name), .readWrite)
            try file.truncate(to: open.committed)
            open.file = consume file
        } catch {
            throw .file(error)
        }
    }
}
