import Files
import Glibc

/// Tests that take minutes; `make test` leaves them out.
enum LongTests {
    static let areWanted = getenv("MEDALLION_LONG_TESTS").map { String(cString: $0) == "1" } ?? false
    static let reason = "set MEDALLION_LONG_TESTS=1 for it"

    /// `TEST_SEED`, else the seed that the test names.
    static func seed(_ named: UInt64) -> UInt64 {
        getenv("TEST_SEED").flatMap { UInt64(String(cString: $0)) } ?? named
    }
}

extension Folder {
    /// Every file below a folder, by its path from there.
    static func allFiles(_ root: String) throws -> [String] {
        var files: [String] = []
        var folders = [""]
        while let folder = folders.popLast() {
            for name in try list(root + "/" + folder) {
                let path = folder.isEmpty ? name : folder + "/" + name
                var status = stat()
                guard lstat(root + "/" + path, &status) == 0 else { continue }
                if status.st_mode & S_IFMT == S_IFDIR { folders.append(path) } else { files.append(path) }
            }
        }
        return files.sorted()
    }
}
