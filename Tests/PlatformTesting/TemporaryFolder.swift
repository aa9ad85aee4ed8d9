import Files
import Glibc

/// A folder of a test's own, removed with all its content at the end of its life.
package final class TemporaryFolder: Sendable {
    package let path: String

    /// `TEST_FOLDER`, which `make test` puts into memory, where a sync takes no time; else `/tmp`.
    package static let parent = getenv("TEST_FOLDER").map { String(cString: $0) } ?? "/tmp"

    /// - Parameter parent: `/dev/shm` for trials that make files by the thousand and ask nothing of the disk.
    package init(in parent: String = TemporaryFolder.parent) throws {
        var template = Array("\(parent)/medallion-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw FileError("mkdtemp", parent) }
        path = template.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
    }

    deinit { try? Folder.removeTree(path) }

    /// A path in the folder.
    package func file(_ name: String) -> String { path + "/" + name }
}
