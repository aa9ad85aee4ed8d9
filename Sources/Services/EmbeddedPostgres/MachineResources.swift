import Files
import Glibc

/// What this machine, or the container around this process, has.
package struct MachineResources: Sendable, Equatable {
    /// Memory, in bytes: the machine's, or less where a control group allows less.
    package var memoryBytes: Int
    /// Free bytes in /dev/shm, by which processes share memory.
    package var sharedFilesBytes: Int
    package var processors: Int

    package init(memoryBytes: Int, sharedFilesBytes: Int, processors: Int) {
        self.memoryBytes = memoryBytes
        self.sharedFilesBytes = sharedFilesBytes
        self.processors = processors
    }

    /// Those of now.
    package static var current: MachineResources {
        let machine = max(0, sysconf(Int32(_SC_PHYS_PAGES))) * max(0, sysconf(Int32(_SC_PAGESIZE)))
        return MachineResources(
            memoryBytes: min(machine, ControlGroups().memoryLimit ?? .max),
            sharedFilesBytes: (try? Folder.space(at: "/dev/shm").free) ?? 0,
            processors: max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))))
    }
}

/// The control groups that this process is in, of either version (cgroups(7)).
struct ControlGroups {
    /// The root folder; another in tests.
    var root = ""

    /// The least memory that a group around this process may use, in bytes; nil where none has a limit.
    var memoryLimit: Int? {
        var limits: [Int] = []
        for line in lines("/proc/self/cgroup") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            if parts[0] == "0", parts[1].isEmpty {
                limits += self.limits(below: "/sys/fs/cgroup", group: parts[2], file: "memory.max")
            } else if parts[1].split(separator: ",").contains("memory") {
                limits += self.limits(below: "/sys/fs/cgroup/memory", group: parts[2], file: "memory.limit_in_bytes")
            }
        }
        // Version 1 writes a number near 2^63 for no limit.
        return limits.filter { $0 > 0 && $0 < 1 << 60 }.min()
    }

    /// Limits of the group and of those around it. In a container the group's own folder is often the mount itself.
    private func limits(below mount: String, group: Substring, file: String) -> [Int] {
        var names = group.split(separator: "/")
        var found: [Int] = []
        while true {
            let folder = mount + names.map { "/" + $0 }.joined()
            if let limit = lines("\(folder)/\(file)").first.flatMap({ Int($0) }) { found.append(limit) }
            if names.isEmpty { return found }
            names.removeLast()
        }
    }

    /// These files tell no size, so they are read to their end.
    private func lines(_ path: String) -> [Substring] {
        guard let file = fopen(root + path, "re") else { return [] }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes.prefix(count), as: UTF8.self).split(whereSeparator: \.isNewline)
    }
}
