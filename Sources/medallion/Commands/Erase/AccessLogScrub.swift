import Bytes
import Files
import Glibc
import JSONScan
import Records

/// Takes lines out of an access log while a server appends to it. The server opens the file for each write, so a renamed one is soon left
/// alone, and what comes meanwhile goes to a new file of the old name.
struct AccessLogScrub {
    enum Outcome {
        case lines(Int)
        /// Nothing, or not all, was done, and why.
        case remains(String)
    }

    let path: String
    /// A larger one is for a log's own rotation.
    private static let bytesMax = 1 << 30
    private static let roundsMax = 20
    /// How long a server may take from opening the file to the end of its write.
    private static let settleMilliseconds = 300

    /// How many lines mention a name in their path or user agent.
    func count(_ name: String) throws -> Outcome {
        guard Folder.exists(path) else { return .lines(0) }
        guard try File(path, .read).size() <= Self.bytesMax else { return .remains(Self.tooLarge) }
        return .lines(Self.split(try File.contents(of: path, bytesMax: Self.bytesMax), name).removed)
    }

    /// Removes those lines; owner and mode of the file stay.
    func remove(_ name: String) throws -> Outcome {
        let away = path + ".erasing"
        // What a killed one left is put back, too.
        if !Folder.exists(away) {
            switch try count(name) {
            case .lines(0): return .lines(0)
            case .remains(let why): return .remains(why)
            case .lines: try Folder.rename(path, to: away)
            }
            Pause.milliseconds(Self.settleMilliseconds)
        }
        guard try File(away, .read).size() <= Self.bytesMax else {
            return .remains("\(away): \(Self.tooLarge)")
        }
        let clean = path + ".erased"
        let old = try File.contents(of: away, bytesMax: Self.bytesMax)
        let scrubbed = Self.split(old, name)
        var removed = scrubbed.removed
        _ = try File.put(scrubbed.left, at: clean)
        try Self.takeOver(from: away, to: clean)
        for _ in 0..<Self.roundsMax {
            // Never over a file that a server has begun.
            if link(clean, path) == 0 {
                try Folder.remove(clean)
                try Folder.remove(away)
                try Folder.sync(Folder.parent(of: path))
                return .lines(removed)
            }
            guard errno == EEXIST else { throw FileError("link", clean) }
            let more = path + ".erasing.more"
            try Folder.rename(path, to: more)
            Pause.milliseconds(1)
            let news = Self.split(try File.contents(of: more, bytesMax: Self.bytesMax), name)
            try File(clean, .append).append(news.left)
            try Folder.remove(more)
            removed += news.removed
        }
        try Folder.remove(away)
        return .remains(
            "\(removed) lines are gone; what servers logged before lies in \(clean), which is to be put before it")
    }

    private static let tooLarge =
        "it is larger than \(bytesMax >> 20) MiB: rotate it, and remove what mentions the name"

    private static func takeOver(from old: String, to new: String) throws {
        var info = stat()
        guard stat(old, &info) == 0 else { throw FileError("stat", old) }
        guard chmod(new, info.st_mode & 0o7777) == 0 else { throw FileError("chmod", new) }
        // Who is not root may not give a file away, and owns it then, as a rule.
        if chown(new, info.st_uid, info.st_gid) != 0, errno != EPERM { throw FileError("chown", new) }
    }

    private static func split(_ bytes: [UInt8], _ name: String) -> (left: [UInt8], removed: Int) {
        var left: [UInt8] = []
        left.reserveCapacity(bytes.count)
        var removed = 0
        for line in bytes.split(separator: 0x0A, omittingEmptySubsequences: true) {
            if mentions(name, line) { removed += 1 } else { left += line + [0x0A] }
        }
        return (left, removed)
    }

    private static func mentions(_ name: String, _ line: ArraySlice<UInt8>) -> Bool {
        guard let value = try? JSONValue.parse(Array(line)) else { return false }
        let path = value["path"]?.string ?? ""
        return [path, percentDecoded(path), value["user_agent"]?.string ?? ""].contains {
            NamePattern.isFound(name, in: $0)
        }
    }

    /// As an address means it (RFC 3986).
    static func percentDecoded(_ text: String) -> String {
        let bytes = Array(text.utf8)
        var result: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "%"), index + 2 < bytes.count,
                let byte = Hex.bytes(bytes[(index + 1)...(index + 2)])?.first
            {
                result.append(byte)
                index += 3
            } else {
                result.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: result, as: UTF8.self)
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
