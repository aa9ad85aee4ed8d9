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
        let unit = Int(status.f_frsize)
        return Space(
            free: Int(clamping: status.f_bavail).multipliedReportingOverflow(by: unit).partialValue,
            size: Int(clamping: status.f_blocks).multipliedReportingOverflow(by: unit).partialValue)
    }
}
