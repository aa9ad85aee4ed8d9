import CSpawn
import Glibc

/// Starting programs without a shell, with clean signals and no inherited descriptors.
enum ChildProcess {
    /// How a program ended.
    enum Ending: CustomStringConvertible, Equatable {
        case exited(Int32)
        case signalled(Int32)

        var description: String {
            switch self {
            case .exited(let code): "ended with code \(code)"
            case .signalled(let signal): "was ended by signal \(signal)"
            }
        }
    }

    /// Starts a program in a session of its own, so that Ctrl-C at the terminal reaches only this process, which then
    /// stops the server in order.
    ///
    /// The death signal of ``ServerAccount/command(_:)`` is bound to the calling thread: it must outlive the child.
    ///
    /// - Parameter output: descriptor for standard output and standard error.
    static func spawn(_ command: [String], output: Int32) throws(EmbeddedPostgresError) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_adddup2(&actions, output, 2)
        // Sockets and locks of this process must not live on in the server.
        posix_spawn_file_actions_addclosefrom_np(&actions, 3)
        // The server would otherwise keep the working folder's file system busy; "/" always exists.
        posix_spawn_file_actions_addchdir_np(&actions, "/")

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        let setSession: Int32 = 0x80  // POSIX_SPAWN_SETSID, which the importer leaves out
        posix_spawnattr_setflags(
            &attributes, Int16(setSession | Int32(POSIX_SPAWN_SETSIGDEF) | Int32(POSIX_SPAWN_SETSIGMASK)))

        var pid = pid_t()
        // No PG* variable of ours may change the server's settings.
        let environment = ["PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"]
        let status = withCStrings(command) { arguments in
            withCStrings(environment) { variables in
                posix_spawn(&pid, command[0], &actions, &attributes, arguments, variables)
            }
        }
        guard status == 0 else {
            throw EmbeddedPostgresError(
                "run", command[0], String(cString: strerror(status)), isRetriable: status == EAGAIN || status == ENOMEM)
        }
        return pid
    }

    /// Waits for the end of a child and leaves it to be reaped, so that its process id stays taken.
    static func awaitEnd(_ pid: pid_t) {
        var information = siginfo_t()
        while waitid(P_PID, id_t(pid), &information, WEXITED | WNOWAIT) != 0 && errno == EINTR {}
    }

    /// Reaps a child that has ended, or waits for it.
    static func reap(_ pid: pid_t) -> Ending {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        let signal = status & 0x7F
        return signal == 0 ? .exited((status >> 8) & 0xFF) : .signalled(signal)
    }

    private static func withCStrings<R>(
        _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> R
    ) -> R {
        let copies = strings.map { strdup($0) }
        defer { copies.forEach { free($0) } }
        return body(copies + [nil])
    }
}

/// Server processes that are left from an earlier run, found by their working folder, which Postgres sets to the data
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

    private static func link(_ path: String) -> String? {
        var buffer = [CChar](repeating: 0, count: 4_096)
        let count = readlink(path, &buffer, buffer.count)
        guard count > 0 else { return nil }
        return String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
