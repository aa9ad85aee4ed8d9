import Files
import Glibc

/// The server's log, which it only ever appends to.
enum LogFile {
    static let bytesMax = 16 << 20

    /// The end of the log on one line, for errors.
    static func lastLines(_ path: String) -> String {
        guard let bytes = try? File.contents(of: path, bytesMax: bytesMax * 2) else { return "no log" }
        let lines = String(decoding: bytes.suffix(600), as: UTF8.self).split(whereSeparator: \.isNewline)
        return lines.suffix(3).joined(separator: " ")
    }

    /// What was logged from `start` on, as a byte offset; of much only the beginning.
    static func text(_ path: String, from start: Int) -> String {
        guard let file = try? File(path, .read), let size = try? file.size(), size > start,
            let bytes = try? file.read(at: start, count: min(size - start, 65_536))
        else { return "" }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Sets a log that has grown past the bound aside, over the one set aside before.
    static func shorten(_ path: String) throws {
        var status = stat()
        guard stat(path, &status) == 0, Int(status.st_size) > bytesMax else { return }
        try Folder.rename(path, to: path + ".1")
    }
}
