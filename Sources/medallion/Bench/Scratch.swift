import Files
import Glibc

/// A folder for one benchmark, in `TMPDIR` or /tmp.
struct ScratchFolder: Sendable {
    let path: String

    init() throws {
        let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(parent)/medallion-bench-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw FileError("mkdtemp", parent) }
        path = template.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
    }

    func remove() { try? Folder.removeTree(path) }
}

/// Memory of processes, from /proc.
enum ProcessMemory {
    /// Resident megabytes of a process; of this one unless told otherwise; 0 where /proc tells nothing.
    static func residentMegabytes(of process: Int32? = nil) -> Double {
        let path = "/proc/\(process.map(String.init) ?? "self")/statm"
        // A file of /proc tells no size, so it is read up to a bound.
        guard let file = try? File(path, .read), let bytes = try? file.read(at: 0, count: 256) else { return 0 }
        let fields = String(decoding: bytes, as: UTF8.self).split(separator: " ")
        guard fields.count > 1, let pages = Double(fields[1]) else { return 0 }
        return pages * Double(sysconf(Int32(_SC_PAGESIZE))) / 1_048_576
    }
}
