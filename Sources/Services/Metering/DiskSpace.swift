import Glibc

/// A file system's room, in bytes.
package struct DiskSpace: Sendable, Equatable {
    /// Below this much a lake will soon stop: 1 GiB.
    package static let lowBytes: UInt64 = 1 << 30

    /// What an ordinary user may still write.
    package let freeBytes: UInt64
    /// All of it.
    package let sizeBytes: UInt64

    /// Asks the system, which may wait for a network's file system: for threads of one's own. Nil where the path does not
    /// exist.
    package init?(at path: String) {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return nil }
        freeBytes = UInt64(status.f_bavail) * UInt64(status.f_frsize)
        sizeBytes = UInt64(status.f_blocks) * UInt64(status.f_frsize)
    }

    /// What an ordinary user may still write at `path`, in bytes; nil where it does not exist.
    package static func freeBytes(at path: String) -> UInt64? { DiskSpace(at: path)?.freeBytes }
}
