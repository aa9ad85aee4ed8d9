import Files
import Glibc
import Zstd

/// Recorded events and a collection of questions with judged answers, which are too large for the repository.
package enum Recordings {
    /// The folder that `MEDALLION_RECORDINGS` names; nil where it is unset: tests that need it are skipped then.
    package static let folder: String? = {
        guard let value = getenv("MEDALLION_RECORDINGS") else { return nil }
        let path = String(cString: value)
        return path.isEmpty ? nil : path
    }()

    /// Why a test is skipped where there are no recordings. One that is named but not there fails the tests.
    package static let absence = "MEDALLION_RECORDINGS names no folder with recordings"

    /// The bytes of one recording, decompressed when its name ends in `.zst`.
    package static func bytes(_ name: String) throws -> [UInt8] {
        let path = (folder ?? "") + "/" + name
        let content = try File.contents(of: path)
        guard name.hasSuffix(".zst") else { return content }
        var decompressor = try Decompressor()
        return try content.withUnsafeBytes { buffer in try decompressor.decompress(buffer) }
    }
}
