import Glibc

extension Folder {
    /// How much room the file system of a path has, bytes.
    package struct Space: Sendable, Equatable {
        /// For users without rights of their own.
        package var free: Int
        package var size: Int

        package init(free: Int, size: Int) { (self.free, self.size) = (free, size) }
    }

    /// - Throws: ``FileError`` with the system's reason.
    package static func space(at path: String) throws(FileError) -> Space {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { throw FileError("statvfs", path) }
        func bytes(_ blocks: fsblkcnt_t) -> Int {
            let (bytes, overflow) = UInt64(blocks).multipliedReportingOverflow(by: UInt64(status.f_frsize))
            return overflow ? .max : Int(clamping: bytes)
        }
        return Space(free: bytes(status.f_bavail), size: bytes(status.f_blocks))
    }
}
