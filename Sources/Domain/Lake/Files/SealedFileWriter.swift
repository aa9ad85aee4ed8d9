import Files
import Hashing
import ObjectStorage
import Records
import Zstd

/// Writes one sealed data file: large frames whose cut depends on the lines alone, so that the same lines give the
/// same bytes.
package struct SealedFileWriter: ~Copyable {
    /// A frame ends with the first line that brings it to this many bytes of text.
    package static let frameBytes = 1 << 20

    private let layout: LakeLayout
    private let name: DataFileName
    private let temporary: String
    private let file: File
    private var compressor: Compressor
    private var hasher: SHA256Hasher
    private var pending: [UInt8] = []
    private var pendingOffset: Int64?
    private var compressed: [UInt8] = []
    private var size = 0
    private var checksum: UInt32 = 0
    private var lines = 0
    private var frames: [(offset: Int64, start: Int)] = []

    /// Begins the file under its temporary name; what a crash may have left there is replaced.
    ///
    /// - Parameter temporary: that name; nil for ``LakeLayout/sealingFile(_:)``.
    package init(layout: LakeLayout, name: DataFileName, at temporary: String? = nil) throws(LakeError) {
        let path = temporary ?? layout.sealingFile(name)
        try LakeError.placed(path) {
            try Folder.create(layout.folder(of: name), isDurable: false)
            try Folder.removeIfPresent(path)
        }
        // All that can fail happens before anything becomes self.
        let file = try LakeError.placed(path) { try File(path, .create) }
        let compressor = try LakeError.placed(path) { try Compressor() }
        let hasher = try LakeError.placed(path) {
            var hasher = try SHA256Hasher()
            try hasher.begin()
            return hasher
        }
        self.layout = layout
        self.name = name
        self.temporary = path
        self.file = file
        self.compressor = compressor
        self.hasher = hasher
    }

    /// Adds one line, given without its line feed.
    package mutating func append(line: ArraySlice<UInt8>) throws(LakeError) {
        if pendingOffset == nil { pendingOffset = LineScan.offset(of: line, layer: name.layer) }
        pending.append(contentsOf: line)
        pending.append(0x0A)
        lines += 1
        if pending.count >= Self.frameBytes { try flush() }
    }

    /// Makes the file durable under its final name; for files that no growing one precedes.
    package consuming func finish() throws(LakeError) -> SealedFile {
        let (layout, name, temporary) = (layout, name, temporary)
        let sealed = try write()
        try LakeError.placed(temporary) {
            try Folder.rename(temporary, to: layout.dataFile(name))
            try Folder.syncNames(from: layout.folder(of: name), upTo: layout.above)
        }
        return sealed
    }

    /// Makes the file durable under its temporary name.
    consuming func prepare() throws(LakeError) -> SealedFile {
        let (layout, name, temporary) = (layout, name, temporary)
        let sealed = try write()
        // The seal will be true of this name: it must outlast whatever the seal outlasts.
        try LakeError.placed(temporary) { try Folder.sync(layout.folder(of: name)) }
        return sealed
    }

    /// Makes the file durable under the name by which a rewrite finds it. One without a line is a frame of nothing, which every tool
    /// takes for an empty file.
    consuming func prepareRewrite() throws(LakeError) -> SealedFile {
        let (layout, name, temporary) = (layout, name, temporary)
        if lines == 0 { try writeNothing() }
        let sealed = try write()
        try LakeError.placed(temporary) {
            let path = layout.rewrittenFile(name, contentSHA256: sealed.contentSHA256)
            try Folder.rename(temporary, to: path)
            try Folder.syncNames(from: layout.folder(of: name), upTo: layout.above)
        }
        return sealed
    }

    private mutating func writeNothing() throws(LakeError) {
        pendingOffset = name.firstOffset
        try flush()
    }

    private consuming func write() throws(LakeError) -> SealedFile {
        if !pending.isEmpty { try flush() }
        do {
            try file.sync()
            let digest = try hasher.finish()
            return SealedFile(
                layer: name.layer, generation: name.generation, firstOffset: name.firstOffset, bytes: size,
                lines: lines, contentSHA256: digest.hex, checksum: checksum, frames: frames)
        } catch {
            throw LakeError(error, path: temporary)
        }
    }

    private mutating func flush() throws(LakeError) {
        guard let offset = pendingOffset else {
            throw .damaged(path: layout.dataFile(name), reason: "a line tells no source offset")
        }
        compressed.removeAll(keepingCapacity: true)
        frames.append((offset, size))
        do {
            try pending.withUnsafeBytes { bytes in
                try hasher.update(bytes)
                try compressor.compressFrame(bytes, appendingTo: &compressed)
            }
            try compressed.withUnsafeBytes { bytes in try file.write(bytes, at: size) }
        } catch {
            throw LakeError(error, path: temporary)
        }
        checksum = compressed.withUnsafeBytes { crc32c($0, seed: checksum) }
        size += compressed.count
        pending.removeAll(keepingCapacity: true)
        pendingOffset = nil
    }
}

extension LakeError {
    /// Does `body` and gives an error of a client its place in the lake.
    static func placed<Result: ~Copyable>(_ path: String, _ body: () throws -> Result) throws(LakeError) -> Result {
        do { return try body() } catch { throw LakeError(error, path: path) }
    }

    /// Gives an error of a client its place in the lake.
    init(_ error: any Error, path: String) {
        switch error {
        case let error as LakeError: self = error
        case let error as FileError: self = .file(error)
        case let error as ZstdError: self = .zstd(path: path, error)
        case let error as ObjectStorageError: self = .storage(error)
        default: self = .damaged(path: path, reason: "\(error)")
        }
    }
}
