import Files
import Glibc
import Processes

/// What the embedded server is started with.
package struct EmbeddedPostgresConfiguration: Sendable {
    /// Holds the cluster, its log, its lock and, where the path is short enough, its socket. Made when absent.
    package var folder: String
    /// The folder of the server's programs; empty looks into `.deps`.
    package var programsFolder = ""
    /// Bytes of Postgres' own page cache (`PG_MEMORY_BYTES`), from which other sizes follow; 0 for what suits the machine.
    package var memoryBytes = 0
    /// Connections at once: those of the API's lanes, and ``otherConnections``.
    package var connectionsMax = 40
    /// Connections of everything but the API's lanes: roles, replays and commands, each with a few, and the three that Postgres
    /// keeps for its superuser.
    package static let otherConnections = 40
    /// False skips fsync: for tests, whose data may be lost with the machine.
    package var isDurable = true
    /// Settings of the server such as `wal_level=logical`, which win over the others: for tests that need a server like a customer's.
    package var otherSettings: [String] = []

    package init(folder: String) {
        self.folder = folder
    }

    /// What the server starts with, on this machine as it is now.
    package var memory: PostgresMemory {
        PostgresMemory(bytes: memoryBytes, on: .current, connections: connectionsMax)
    }
}

/// The files of one embedded server. Making them is idempotent.
struct PostgresCluster: Sendable {
    /// Longest path of a Unix socket, from `sockaddr_un.sun_path` without the final zero.
    static let socketPathBytesMax = 107
    static let user = "medallion"
    static let database = "medallion"
    static let port = 5432
    /// For each connection, in a table that all share: with one in use, those of some thousand tenants.
    static let locksOfTransaction = 1_024
    /// No PG* variable of ours may change the server's settings.
    static let environment = ["PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"]

    /// Absolute.
    let folder: String
    let programs: PostgresPrograms
    let account: ServerAccount
    let configuration: EmbeddedPostgresConfiguration

    var dataFolder: String { folder + "/data" }
    var logFile: String { folder + "/postgres.log" }
    var lockFile: String { folder + "/lock" }
    var socketFolder: String { Self.socketFolder(folder: folder, userID: account.userID) }

    /// How to reach the server, for libpq.
    func dsn(database: String) -> String {
        let host = socketFolder.replacing("\\", with: "\\\\").replacing("'", with: "\\'")
        return "host='\(host)' port=\(Self.port) user=\(Self.user) dbname=\(database)"
    }

    /// Makes the folder and finds programs and account; fails early, with the way out, where the account cannot get
    /// at them.
    init(_ configuration: EmbeddedPostgresConfiguration) throws {
        let wasThere = Folder.exists(configuration.folder)
        try Folder.create(configuration.folder)
        guard let absolute = Paths.absolute(configuration.folder) else {
            throw FileError("realpath", configuration.folder)
        }
        self.configuration = configuration
        folder = absolute
        programs = try PostgresPrograms(setting: configuration.programsFolder)
        let chosen = try ServerAccount.choose(dataFolder: absolute + "/data")
        if chosen.dropsPrivileges && !wasThere {
            // The server's account has to pass; what is inside has its own, stricter, permissions.
            guard chmod(absolute, 0o711) == 0 else { throw FileError("chmod", absolute) }
        }
        guard let passing = Self.passing(chosen, programs: programs, folder: absolute) else {
            throw EmbeddedPostgresError(
                "start", absolute,
                "user \(chosen.userID), as whom root runs Postgres, cannot reach \(programs.folder) and this folder",
                hint: "move PGDATA_DIR and PG_BIN_DIR below folders that others may enter, or start as their owner")
        }
        account = passing
    }

    /// The socket lies beside the data, or, where that path is too long or has characters that Postgres would read as
    /// a list, in a folder of the account's own under `XDG_RUNTIME_DIR` or `/tmp`, named by a hash of the path.
    static func socketFolder(folder: String, userID: uid_t) -> String {
        let beside = folder + "/run"
        let name = "/.s.PGSQL.\(port)"
        let isPlain = beside.utf8.allSatisfy { $0 > 0x20 && $0 != 0x22 && $0 != 0x27 && $0 != 0x2C && $0 != 0x5C }
        if isPlain && beside.utf8.count + name.utf8.count <= socketPathBytesMax { return beside }
        let short = "medallion-\(userID)-\(Paths.hash(folder))"
        if geteuid() != 0, let runtime = getenv("XDG_RUNTIME_DIR").map({ String(cString: $0) }),
            runtime.hasPrefix("/"), access(runtime, W_OK) == 0,
            runtime.utf8.count + 1 + short.utf8.count + name.utf8.count <= socketPathBytesMax
        {
            return runtime + "/" + short
        }
        return "/tmp/" + short
    }

    /// Makes cluster and socket folder where they are absent.
    func create() throws {
        if !Folder.exists(dataFolder) { try initialise() }
        // A cluster that root made as itself, or that was copied by root.
        try account.own(dataFolder)
        try makePrivate(socketFolder)
        guard Folder.exists(dataFolder + "/PG_VERSION") else {
            throw EmbeddedPostgresError(
                "start", dataFolder, "this is not a Postgres cluster", hint: "set PGDATA_DIR to an empty folder")
        }
    }

    /// The server's command line: no TCP, no just-in-time compilation (it costs more than it saves on queries of a
    /// millisecond), no parallel workers of queries. So a changed setting counts from the next start on.
    func serverCommand(_ memory: PostgresMemory) -> [String] {
        var settings = [
            "listen_addresses=", "unix_socket_permissions=0700", "port=\(Self.port)",
            "max_connections=\(configuration.connectionsMax)",
            // A statement that is planned for any tenant takes a lock on each partition and index of all tenants.
            "max_locks_per_transaction=\(Self.locksOfTransaction)", "synchronous_commit=on", "jit=off",
            // Whole pages as they are: the wheel's only way of compressing them, pglz, takes a fifth of the time of a write after a
            // checkpoint, and saves a twentieth of the log.
            "max_parallel_workers_per_gather=0", "max_wal_senders=0", "wal_level=minimal", "wal_compression=off",
            "checkpoint_timeout=15min", "autovacuum_naptime=15s", "random_page_cost=1.1", "log_checkpoints=off",
            "log_min_messages=warning", "log_line_prefix=%m [%p] ", "timezone=UTC",
        ]
        settings += memory.settings
        if !configuration.isDurable { settings += ["fsync=off", "full_page_writes=off"] }
        settings += configuration.otherSettings
        return [programs.server, "-D", dataFolder, "-k", socketFolder] + settings.flatMap { ["-c", $0] }
    }

    /// initdb into a folder beside, renamed when complete: a crash in between leaves no half cluster.
    private func initialise() throws {
        let fresh = folder + "/data.new"
        if Folder.exists(fresh) { try Folder.removeTree(fresh) }
        try makePrivate(fresh)
        let output = folder + "/initdb.log"
        let log = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o640)
        guard log >= 0 else { throw FileError("open", output) }
        defer { close(log) }
        var command = [
            programs.initdb, "-D", fresh, "--username=\(Self.user)", "--encoding=UTF8", "--auth-local=trust",
            "--auth-host=reject",
        ]
        command += PostgresPrograms.localeOptions(version: try version(log, output))
        if !configuration.isDurable { command.append("--no-sync") }
        let ending = ChildProcess.reap(
            try ChildProcess.spawn(
                account.command(command), environment: Self.environment, output: log))
        guard ending.isSuccess else {
            let tail = (try? File.contents(of: output)).map { String(decoding: $0.suffix(400), as: UTF8.self) } ?? ""
            let reason = tail.split(whereSeparator: \.isNewline).suffix(3).joined(separator: " ")
            throw EmbeddedPostgresError("initdb", fresh, "\(ending): \(reason)", hint: "see \(output)")
        }
        try Folder.rename(fresh, to: dataFolder)
        try Folder.sync(folder)
    }

    /// What the server says of its version, which becomes the first line of initdb's log.
    private func version(_ log: Int32, _ output: String) throws -> String {
        let ending = ChildProcess.reap(
            try ChildProcess.spawn([programs.server, "--version"], environment: Self.environment, output: log))
        let said = String(decoding: try File.contents(of: output), as: UTF8.self)
        guard ending.isSuccess else {
            throw EmbeddedPostgresError(
                "initdb", programs.server, "--version: \(ending): \(said)",
                hint: "set PG_BIN_DIR to the folder of programs that run here")
        }
        return said
    }

    /// A folder that only the account can enter. One that someone else made under the same name is refused.
    private func makePrivate(_ path: String) throws {
        if mkdir(path, 0o700) != 0 && errno != EEXIST { throw FileError("mkdir", path) }
        var status = stat()
        guard lstat(path, &status) == 0 else { throw FileError("lstat", path) }
        let isOurs = status.st_uid == account.userID || status.st_uid == geteuid()
        guard status.st_mode & S_IFMT == S_IFDIR, isOurs else {
            throw EmbeddedPostgresError(
                "start", path, "exists and belongs to someone else", hint: "remove it, or choose another PGDATA_DIR")
        }
        guard chmod(path, 0o700) == 0 else { throw FileError("chmod", path) }
        if account.dropsPrivileges, lchown(path, account.userID, account.groupID) != 0 {
            throw FileError("chown", path)
        }
    }

    /// The account with the least capability that lets it in.
    private static func passing(
        _ account: ServerAccount, programs: PostgresPrograms, folder: String
    ) -> ServerAccount? {
        guard account.dropsPrivileges else { return account }
        for capability in [nil] + ServerAccount.passingCapabilities.map({ Optional($0) }) {
            var candidate = account
            candidate.keptCapability = capability
            if canReach(candidate, programs: programs, folder: folder) { return candidate }
        }
        return nil
    }

    /// Whether the account can run the server and enter the folder, tried out as the account.
    private static func canReach(_ account: ServerAccount, programs: PostgresPrograms, folder: String) -> Bool {
        let null = open("/dev/null", O_WRONLY | O_CLOEXEC)
        guard null >= 0 else { return false }
        defer { close(null) }
        let test = account.command(["/usr/bin/test", "-x", programs.server, "-a", "-x", folder])
        guard let pid = try? ChildProcess.spawn(test, environment: environment, output: null) else { return false }
        return ChildProcess.reap(pid).isSuccess
    }
}
