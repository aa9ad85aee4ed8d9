import Bytes
import Files
import Glibc

/// Takes lines out of an access log while a server appends to it: the server opens the file for each write.
struct AccessLogScrub {
    let path: String
    /// A larger one is for a log's own rotation.
    private static let bytesMax = 1 << 30

    /// Removes the lines in which one of some texts stands, as it is or as an address has it.
    ///
    /// - Returns: how many.
    func remove(_ texts: [String]) throws -> Int {
        guard Folder.exists(path) else { return 0 }
        let wanted = texts + texts.map { Self.percentEncoded($0) }
        // What was appended while the file was looked through is looked through again.
        for _ in 0..<10 {
            let bytes = try File.contents(of: path, bytesMax: Self.bytesMax)
            var left: [UInt8] = []
            left.reserveCapacity(bytes.count)
            var removed = 0
            for line in bytes.split(separator: 0x0A, omittingEmptySubsequences: true) {
                let isOne = line.withUnsafeBytes { bytes in wanted.contains { ByteSearch.contains($0, in: bytes) } }
                if isOne { removed += 1 } else { left += line + [0x0A] }
            }
            guard removed > 0 else { return 0 }
            guard try File(path, .read).size() == bytes.count else { continue }
            try File.replace(path, with: left)
            return removed
        }
        throw FileError("rewrite, while it grows,", path, code: EBUSY)
    }

    /// As the query of an address has it (RFC 3986).
    static func percentEncoded(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            let isPlain =
                byte < 0x80 && (isalnum(Int32(byte)) != 0 || "-._~".utf8.contains(byte))
            result += isPlain ? String(UnicodeScalar(byte)) : "%" + Hex.string([byte]).uppercased()
        }
        return result
    }
}

/// Looks for a text in bytes.
enum ByteSearch {
    static func contains(_ text: String, in bytes: UnsafeRawBufferPointer) -> Bool {
        var text = text
        return text.withUTF8 { wanted in
            guard let base = bytes.baseAddress, let start = wanted.baseAddress, !wanted.isEmpty else { return false }
            var next = 0
            while next + wanted.count <= bytes.count,
                let found = memchr(base + next, Int32(start[0]), bytes.count - wanted.count + 1 - next)
            {
                if memcmp(found, start, wanted.count) == 0 { return true }
                next = base.distance(to: UnsafeRawPointer(found)) + 1
            }
            return false
        }
    }
}
