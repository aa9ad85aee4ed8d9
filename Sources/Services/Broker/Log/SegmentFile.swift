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

    func write(_ bytes: UnsafeRawBufferPointer, at position: Int) throws(FileError) {
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

    func truncate(to size: Int) throws(FileError) {
        guard ftruncate(descriptor, off_t(size)) == 0 else { throw FileError("truncate", path) }
    }

    /// Content and length durable.
    func sync() throws(FileError) {
        guard disk.sync(descriptor) == 0 else { throw FileError("fdatasync", path) }
    }
}
