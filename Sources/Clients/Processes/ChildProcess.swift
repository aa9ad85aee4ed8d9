import CSpawn
import Glibc

/// Starting programs without a shell, with clean signals and no inherited descriptors.
package enum ChildProcess {
    /// How a program ended.
    package enum Ending: CustomStringConvertible, Equatable, Sendable {
        case exited(Int32)
        case signalled(Int32)

        /// Ended by itself with code 0.
        package var isSuccess: Bool { self == .exited(0) }

        package var description: String {
            switch self {
            case .exited(let code): "ended with code \(code)"
            case .signalled(let signal): "was ended by signal \(signal)"
            }
        }
    }

    /// Starts a program in a session of its own, so that Ctrl-C at the terminal reaches only this process, which then
    /// stops the child in order.
    ///
    /// - Parameters:
    ///   - command: the program's path and its arguments.
    ///   - environment: all of it, as `NAME=value`; nothing is inherited.
    ///   - output: descriptor for standard output and standard error.
    /// - Returns: the process id, to be given to ``reap(_:)`` once.
    package static func spawn(
        _ command: [String], environment: [String], output: Int32
    ) throws(ProcessError) -> Int32 {
        guard let program = command.first else { throw ProcessError(program: "", code: EINVAL) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_adddup2(&actions, output, 2)
        // Sockets and locks of this process must not live on in the child.
        posix_spawn_file_actions_addclosefrom_np(&actions, 3)
        // A child would otherwise keep the working folder's file system busy; "/" always exists.
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
        let status = withCStrings(command) { arguments in
            withCStrings(environment) { variables in
                posix_spawn(&pid, program, &actions, &attributes, arguments, variables)
            }
        }
        guard status == 0 else {
            throw ProcessError(program: program, code: status)
        }
        return pid
    }

    /// Waits for the end of a child and leaves it to be reaped, so that its process id stays taken.
    package static func awaitEnd(_ pid: Int32) {
        var information = siginfo_t()
        while waitid(P_PID, id_t(pid), &information, WEXITED | WNOWAIT) != 0 && errno == EINTR {}
    }

    /// Reaps a child that has ended, or waits for it.
    package static func reap(_ pid: Int32) -> Ending {
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

/// A program that could not be started.
package struct ProcessError: Error, CustomStringConvertible, Sendable {
    /// Path of the program.
    package let program: String
    /// The system's error number.
    package let code: Int32

    /// True where the machine lacked processes or memory at the moment.
    package var isRetriable: Bool { code == EAGAIN || code == ENOMEM }

    package var description: String { "cannot run \(program): \(String(cString: strerror(code)))" }
}
