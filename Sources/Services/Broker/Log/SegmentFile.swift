import Files
import Glibc
import Synchronization

/// The two calls through which record bytes become durable, replaceable so that tests can make the disk fail.
struct DiskCalls: Sendable {
    /// pwrite(2): bytes written, or -1 with errno.
    var write: @Sendable (_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, _ offset: Int) -> Int
    /// fdatasync(2): 0, or -1 with errno.
    var sync: @Sendable (_ descriptor: Int32) -> Int32

    static let system = DiskCalls(
        write: { pwrite($0, $1.baseAddress, $1.count, off_t($2)) },
        sync: { fdatasync($0) })
}

/// Old segments that are being read just now: thousands of them hold no descriptors, and a reader that asks without
/// ever reading the answers holds one per segment and not one per answer.
final class OpenSegments: Sendable {
    private struct Entry {
        weak var file: SegmentFile?
    }

    private let entries = Mutex<[Int64: Entry]>([:])
    /// Entries of closed files are thrown out above this number.
    private static let entriesMax = 64

    func file(folder: String, baseOffset: Int64) throws(FileError) -> SegmentFile {
        if let open = entries.withLock({ $0[baseOffset]?.file }) { return open }
        let file = try SegmentFile(folder: folder, baseOffset: baseOffset, isNew: false)
        entries.withLock { entries in
            if entries.count > Self.entriesMax { entries = entries.filter { $0.value.file != nil } }
            entries[baseOffset] = Entry(file: file)
        }
        return file
    }
}

/// An open log segment. Closed when its last user (the log, or a response being sent from it) lets go.
///
/// Only the storage thread writes; any thread may read at a position, which the kernel allows beside a writer.
final class SegmentFile: Sendable {
    let baseOffset: Int64
    let path: String
    let descriptor: Int32
    private let disk: DiskCalls

    /// - Parameter isNew: the file must not be there yet.
    init(folder: String, baseOffset: Int64, isNew: Bool, disk: DiskCalls = .system) throws(FileError) {
        self.baseOffset = baseOffset
        self.disk = disk
        path = folder + "/" + Self.name(baseOffset)
        if isNew { try FileWatch.witness?.willMake(.create(path: path)) }
        descriptor = open(path, O_RDWR | O_CLOEXEC | (isNew ? O_CREAT | O_EXCL : 0), 0o640)
        guard descriptor >= 0 else { throw FileError("open", path) }
    }

    deinit { close(descriptor) }

    /// `00000000000000001000.log`
    static func name(_ baseOffset: Int64, suffix: String = ".log") -> String {
        let digits = String(baseOffset)
        return String(repeating: "0", count: max(0, 20 - digits.count)) + digits + suffix
    }

    /// The base offset in a segment's file name; nil for other files.
    static func baseOffset(ofName name: String) -> Int64? {
        guard name.hasSuffix(".log"), name.utf8.count == 24, let offset = Int64(name.dropLast(4)), offset >= 0 else {
            return nil
        }
        return offset
    }

    func size() throws(FileError) -> Int {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw FileError("stat", path) }
        return Int(status.st_size)
    }

    /// Fills `buffer` from `position` on; fewer bytes at the end of the file.
    func read(into buffer: UnsafeMutableRawBufferPointer, at position: Int) throws(FileError) -> Int {
        var done = 0
        while done < buffer.count {
            let got = pread(
                descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done, off_t(position + done))
            if got < 0 {
                if errno == EINTR { continue }
                throw FileError("read", path)
            }
            if got == 0 { break }
            done += got
        }
        return done
    }

    /// Up to `count` bytes from `position` on; fewer at the end of the file.
    func bytes(at position: Int, count: Int) throws(FileError) -> [UInt8] {
        var failure: FileError?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            do throws(FileError) {
                initialized = try read(into: UnsafeMutableRawBufferPointer(buffer), at: position)
            } catch {
                failure = error
                initialized = 0
            }
        }
        if let failure { throw failure }
        return bytes
    }

    func write(_ bytes: UnsafeRawBufferPointer, at position: Int) throws(FileError) {
        try FileWatch.witness?.willMake(.write(path: path, bytes: Array(bytes), offset: position))
        var done = 0
        while done < bytes.count {
            let written = disk.write(descriptor, UnsafeRawBufferPointer(rebasing: bytes[done...]), position + done)
            if written < 0 {
                if errno == EINTR { continue }
                throw FileError("write", path)
            }
            guard written > 0 else { throw FileError("write", path, code: ENOSPC) }
            done += written
        }
    }

    /// Writes the bytes in `range` over themselves, so that the next sync covers them.
    func rewrite(_ range: Range<Int>) throws(FileError) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: min(range.count, 1 << 20), alignment: 16)
        defer { buffer.deallocate() }
        var position = range.lowerBound
        while position < range.upperBound {
            let piece = UnsafeMutableRawBufferPointer(
                rebasing: buffer[..<min(buffer.count, range.upperBound - position)])
            guard try read(into: piece, at: position) == piece.count else {
                throw FileError("read", path, code: EIO)
            }
            try write(UnsafeRawBufferPointer(piece), at: position)
            position += piece.count
        }
    }

    func truncate(to size: Int) throws(FileError) {
        try FileWatch.witness?.willMake(.truncate(path: path, size: size))
        guard ftruncate(descriptor, off_t(size)) == 0 else { throw FileError("truncate", path) }
    }

    /// Content and length durable.
    func sync(file: StaticString = #fileID, line: UInt = #line) throws(FileError) {
        try FileWatch.witness?.willMake(.sync(path: path, site: "\(file):\(line)"))
        guard disk.sync(descriptor) == 0 else { throw FileError("fdatasync", path) }
    }
}
