import Files
import Glibc

/// The user that the server's processes run as; Postgres refuses to run as root.
struct ServerAccount: Sendable, Equatable {
    let userID: uid_t
    let groupID: gid_t
    /// True when this process is root and has to step down for its children.
    let dropsPrivileges: Bool
    /// Set when a folder above the programs or the data admits root only (as below `/root`): the server then keeps the
    /// one capability that lets it walk through, and nothing else of root's.
    var keptCapability: String?
    /// Those that help, the narrower first; containers often lack it and have the wider.
    static let passingCapabilities = ["dac_read_search", "dac_override"]

    static let setpriv = "/usr/bin/setpriv"

    /// An ordinary user runs the server as itself. Root runs it as the owner of the data, if there is some, so that
    /// one cluster can be used by root and by its owner; otherwise as `postgres` where that user exists, or `nobody`.
    static func choose(dataFolder: String) throws(EmbeddedPostgresError) -> ServerAccount {
        guard geteuid() == 0 else {
            return ServerAccount(userID: geteuid(), groupID: getegid(), dropsPrivileges: false)
        }
        guard access(setpriv, X_OK) == 0 else {
            throw EmbeddedPostgresError(
                "start", setpriv, "not found, and root cannot run Postgres without it",
                hint: "install util-linux, or start as an ordinary user, or set POSTGRES_DSN")
        }
        var status = stat()
        if stat(dataFolder, &status) == 0, status.st_uid != 0 {
            return ServerAccount(userID: status.st_uid, groupID: status.st_gid, dropsPrivileges: true)
        }
        for name in ["postgres", "nobody"] {
            if let found = lookUp(name) { return found }
        }
        throw EmbeddedPostgresError(
            "start", dataFolder, "root cannot run Postgres, and neither user postgres nor nobody exists")
    }

    /// The command line that runs `arguments` as this account and, where possible, ends them when the thread that
    /// started them is gone (fast shutdown by SIGINT): posix_spawn itself can do neither.
    func command(_ arguments: [String]) -> [String] {
        guard access(Self.setpriv, X_OK) == 0 else { return arguments }
        var command = [Self.setpriv, "--pdeathsig=INT", "--no-new-privs"]
        if dropsPrivileges {
            command += ["--reuid=\(userID)", "--regid=\(groupID)", "--clear-groups"]
            let capabilities = keptCapability.map { "-all,+\($0)" } ?? "-all"
            command += ["--inh-caps=\(capabilities)", "--ambient-caps=\(capabilities)"]
            // access(2), by which Postgres checks its own program, would otherwise look without the capability.
            if keptCapability != nil { command.append("--securebits=+no_setuid_fixup,+noroot") }
        }
        return command + ["--"] + arguments
    }

    /// Gives a folder to the account, with all that is in it.
    func own(_ path: String) throws(FileError) {
        guard dropsPrivileges else { return }
        var status = stat()
        guard lstat(path, &status) == 0 else { throw FileError("lstat", path) }
        if status.st_uid != userID || status.st_gid != groupID {
            guard lchown(path, userID, groupID) == 0 else { throw FileError("chown", path) }
        }
        if status.st_mode & S_IFMT == S_IFDIR {
            for name in try Folder.list(path) { try own(path + "/" + name) }
        }
    }

    private static func lookUp(_ name: String) -> ServerAccount? {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 4_096)
        guard getpwnam_r(name, &entry, &buffer, buffer.count, &found) == 0, found != nil, entry.pw_uid != 0 else {
            return nil
        }
        return ServerAccount(userID: entry.pw_uid, groupID: entry.pw_gid, dropsPrivileges: true)
    }
}
