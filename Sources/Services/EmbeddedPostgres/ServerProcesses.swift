import Files
import Glibc

/// Server processes. Those that are left from an earlier run are found by their working folder, which Postgres sets to the data
/// folder in the postmaster and in every backend.
enum ServerProcesses {
    static func running(in dataFolder: String) -> [pid_t] {
        guard let folder = opendir("/proc") else { return [] }
        defer { closedir(folder) }
        var found: [pid_t] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard let pid = pid_t(name), link("/proc/\(name)/cwd") == dataFolder else { continue }
            guard let program = link("/proc/\(name)/exe"), program.contains("/postgres") else { continue }
            found.append(pid)
        }
        return found
    }

    /// The process id in the first line of `postmaster.pid`.
    static func postmaster(in dataFolder: String) -> pid_t? {
        guard let file = fopen(dataFolder + "/postmaster.pid", "re") else { return nil }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 64)
        guard fgets(&line, Int32(line.count), file) != nil else { return nil }
        let bytes = line.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }
        return pid_t(String(decoding: bytes, as: UTF8.self))
    }

    /// Ends what is left: the postmaster by fast shutdown, then immediate shutdown, then by force.
    ///
    /// - Returns: false when something still runs.
    static func end(in dataFolder: String) -> Bool {
        for (signal, milliseconds) in [(SIGINT, 10_000), (SIGQUIT, 5_000), (SIGKILL, 5_000)] {
            let left = running(in: dataFolder)
            if left.isEmpty { return true }
            let postmaster = postmaster(in: dataFolder)
            if let postmaster, left.contains(postmaster), signal != SIGKILL {
                kill(postmaster, signal)
            } else {
                // Backends without a postmaster end by themselves; the last round makes sure.
                for pid in left where signal != SIGINT { kill(pid, signal) }
            }
            for _ in 0..<milliseconds / 20 {
                if running(in: dataFolder).isEmpty { return true }
                usleep(20_000)
            }
        }
        return running(in: dataFolder).isEmpty
    }

    /// The processes that the postmaster started, its sessions among them; none where it has ended.
    static func children(of postmaster: pid_t) -> [pid_t] {
        text("/proc/\(postmaster)/task/\(postmaster)/children").split(separator: " ").compactMap { pid_t($0) }
    }

    /// What a process calls itself; empty where it has ended.
    static func title(_ process: pid_t) -> String {
        String(text("/proc/\(process)/cmdline").prefix { $0 != "\0" })
    }

    /// Of a file whose size the system does not say; empty where it cannot be read.
    private static func text(_ path: String) -> String {
        guard let file = try? File(path, .read), let bytes = try? file.read(at: 0, count: 1 << 16) else { return "" }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func link(_ path: String) -> String? {
        var buffer = [CChar](repeating: 0, count: 4_096)
        let count = readlink(path, &buffer, buffer.count)
        guard count > 0 else { return nil }
        return String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
