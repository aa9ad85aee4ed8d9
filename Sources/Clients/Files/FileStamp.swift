import Glibc

/// Tells whether a path still holds what it held, without reading it: a file that was written to or replaced has another
/// stamp. The times have the kernel's grain of some milliseconds; the file's number and length cover what lies within.
package struct FileStamp: Equatable, Sendable {
    private let device: UInt64
    private let number: UInt64
    private let size: Int64
    private let modifiedNanoseconds: Int64
    private let changedNanoseconds: Int64

    /// - Returns: nil where the path names nothing.
    package init?(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        device = UInt64(status.st_dev)
        number = UInt64(status.st_ino)
        size = Int64(status.st_size)
        modifiedNanoseconds = Int64(status.st_mtim.tv_sec) &* 1_000_000_000 &+ Int64(status.st_mtim.tv_nsec)
        changedNanoseconds = Int64(status.st_ctim.tv_sec) &* 1_000_000_000 &+ Int64(status.st_ctim.tv_nsec)
    }
}
