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

    /// Megabytes of several processes with what they share counted once (PSS); 0 where /proc tells nothing.
    static func proportionalMegabytes(of processes: [Int32]) -> Double {
        var kilobytes = 0.0
        for process in processes {
            guard let file = try? File("/proc/\(process)/smaps_rollup", .read),
                let bytes = try? file.read(at: 0, count: 4_096)
            else { continue }
            for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") where line.hasPrefix("Pss:") {
                kilobytes += line.split(separator: " ").dropFirst().first.flatMap { Double($0) } ?? 0
            }
        }
        return kilobytes / 1_024
    }
}

/// Processor time of this process, all threads, user and system.
enum ProcessorTime {
    static func seconds() -> Double {
        var usage = rusage()
        // Cannot fail for the own process and a valid address.
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }

    /// Processes that wanted to run, averaged over the last minute.
    static func loadAverage() -> Double {
        var averages = [0.0]
        return getloadavg(&averages, 1) == 1 ? averages[0] : 0
    }
}
