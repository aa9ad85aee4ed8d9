import Files
import Glibc

/// A folder of a test's own, removed with all its content at the end of its life.
package final class TemporaryFolder: Sendable {
    package let path: String

    package init() throws {
        var template = Array("/tmp/medallion-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw FileError("mkdtemp", "/tmp") }
        path = template.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
    }

    deinit { try? Folder.removeTree(path) }

    /// A path in the folder.
    package func file(_ name: String) -> String { path + "/" + name }
}
