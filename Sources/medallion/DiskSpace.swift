import Glibc

/// Space left on a file system.
enum DiskSpace {
    /// Below this much a lake will soon stop: 1 GiB.
    static let lowBytes: UInt64 = 1 << 30

    /// What an ordinary user may still write at `path`, in bytes; nil where it does not exist.
    static func freeBytes(at path: String) -> UInt64? {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return nil }
        return UInt64(status.f_bavail) * UInt64(status.f_frsize)
    }
}
