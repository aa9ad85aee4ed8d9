import Files
import Zstd

/// The recorded events that lie beside a checkout; they are no part of the repository.
package enum Recordings {
    /// Where the recordings are, or nil where there are none: tests that need them are skipped then.
    package static let folder: String? = {
        var parts = #filePath.split(separator: "/").dropLast(3)
        while true {
            for candidate in ["/" + (parts + ["shared", "data"]).joined(separator: "/")] where Folder.exists(candidate)
            {
                return candidate
            }
            guard !parts.isEmpty else { return nil }
            parts = parts.dropLast()
        }
    }()

    /// Why a test is skipped where the recordings are absent.
    package static let absence = "the recordings folder shared/data is not beside this checkout"

    /// The bytes of one recording, decompressed when its name ends in `.zst`.
    package static func bytes(_ name: String) throws -> [UInt8] {
        let path = (folder ?? "") + "/" + name
        let content = try File.contents(of: path)
        guard name.hasSuffix(".zst") else { return content }
        var decompressor = try Decompressor()
        return try content.withUnsafeBytes { buffer in try decompressor.decompress(buffer) }
    }
}
