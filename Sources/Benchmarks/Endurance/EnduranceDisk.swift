import Files
import Glibc
import Processes

/// Small file systems in memory that can be full, one for each part that writes. Only root can have them.
///
/// They are mounted in a namespace of this process and its children, so that they end with it however it ends.
struct EnduranceDisk {
    /// A part whose folder has a disk of its own.
    enum Part: String, CaseIterable, Sendable {
        case lake, broker, postgres
    }

    private static let unshareProgram = "/usr/bin/unshare"
    private static let mountProgram = "/usr/bin/mount"
    private static let umountProgram = "/usr/bin/umount"
    private static let trialProgram = "/usr/bin/true"
    /// Names the namespace that this program was started in first.
    private static let mark = "MEDALLION_ENDURE_NAMESPACE"
    private static let bytes = 6 << 30

    private let root: String

    /// Starts this program again in a mount namespace of its own, once, unless it cannot have one.
    static func enterOwnNamespace() {
        guard isPossible, getenv(mark) == nil, let program = try? ProcessPath.own(),
            let namespace = namespace(of: "self")
        else { return }
        let unshare = [unshareProgram, "--mount", "--propagation", "private", "--"]
        // Root may lack the right to it, and what takes this program's place must not fail.
        guard run(unshare + [trialProgram]), setenv(mark, namespace, 1) == 0 else { return }
        let command: [String] = unshare + [program] + CommandLine.arguments.dropFirst()
        var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) }
        arguments.append(nil)
        // Returns only where it fails, and then the disks are left out.
        execv(unshareProgram, arguments)
        for argument in arguments { free(argument) }
    }

    /// Mounts a disk for each part below `root`; nil where this process cannot.
    static func mounted(below root: String) throws -> EnduranceDisk? {
        guard isPossible, isInOwnNamespace else { return nil }
        let disk = EnduranceDisk(root: root)
        for part in Part.allCases {
            try Folder.create(disk.path(part), isDurable: false)
            let options = "size=\(bytes),mode=0755"
            guard run([mountProgram, "-t", "tmpfs", "-o", options, "tmpfs", disk.path(part)]) else { return nil }
        }
        return disk
    }

    /// From now on nothing more can be written.
    func fill(_ part: Part) -> Bool {
        var status = statvfs()
        guard statvfs(path(part), &status) == 0 else { return false }
        let used = Int(status.f_blocks - status.f_bfree) * Int(status.f_frsize)
        // What is written meanwhile must fit, or the kernel refuses.
        return resize(part, to: max(used + 256 << 10, 1 << 20))
    }

    func heal(_ part: Part) -> Bool { resize(part, to: Self.bytes) }

    /// Before the folder is removed.
    func unmount() {
        for part in Part.allCases { _ = Self.run([Self.umountProgram, "--lazy", path(part)]) }
    }

    private func path(_ part: Part) -> String { root + "/" + part.rawValue }

    private func resize(_ part: Part, to bytes: Int) -> Bool {
        Self.run([Self.mountProgram, "-o", "remount,size=\(bytes)", path(part)])
    }

    private static var isPossible: Bool {
        let programs: [String] = [unshareProgram, mountProgram, umountProgram, trialProgram]
        return geteuid() == 0 && programs.allSatisfy { access($0, X_OK) == 0 }
    }

    /// Whether this is the second start, and in another one than the first.
    private static var isInOwnNamespace: Bool {
        guard let first = getenv(mark), let own = namespace(of: "self") else { return false }
        return own != String(cString: first)
    }

    private static func namespace(of process: String) -> String? {
        var buffer = [CChar](repeating: 0, count: 128)
        guard readlink("/proc/\(process)/ns/mnt", &buffer, buffer.count - 1) > 0 else { return nil }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func run(_ command: [String]) -> Bool {
        guard let child = try? ChildProcess.spawn(command, environment: ["PATH=/usr/bin:/bin"], output: STDERR_FILENO)
        else { return false }
        ChildProcess.awaitEnd(child)
        return ChildProcess.reap(child).isSuccess
    }
}
