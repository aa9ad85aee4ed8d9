package import Bytes

/// Where to connect and how a session starts.
package struct PostgresConfiguration: Sendable {
    /// A connection string or URI as libpq knows them (PostgreSQL manual, 32.1.1).
    package var dsn: SecretURL
    /// In place of the one in the connection string; nil for that.
    package var database: String?
    /// In place of the one in the connection string, if there is one; so that a string may be shown and its password kept elsewhere.
    package var password: PostgresPassword?
    /// Shown in `pg_stat_activity`.
    package var applicationName: String
    /// Server settings of the session, set by `set_config` right after the connection is made.
    package var sessionSettings: [(name: String, value: String)]
    /// A role to act as, where the server has it and the session's user is a member; else the session goes on as its user.
    package var role: String?
    /// Stops calls from other threads; nil where nobody does.
    package var interrupt: PostgresInterrupt?
    /// Whether a connection fails (kind `pooler`) that leads through a pooler which does not keep a session together. It is
    /// found out once per process, with a second connection for a moment.
    package var refusesPoolers = false

    package init(
        dsn: String, applicationName: String = "medallion", sessionSettings: [(name: String, value: String)] = []
    ) {
        self.dsn = SecretURL(dsn)
        self.applicationName = applicationName
        self.sessionSettings = sessionSettings
    }

    /// The database that the connection string names; nil where it leaves that to libpq, or cannot be read.
    package var namedDatabase: String? {
        guard let values = try? ConnectionSteps.values(dsn: dsn.revealed) else { return nil }
        return values["dbname"] ?? values["user"]
    }
}

/// A password, which nothing shows but the client that connects.
package struct PostgresPassword: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    let revealed: String

    package init(_ text: String) { revealed = text }

    package var description: String { "***" }
    package var debugDescription: String { description }

    /// So that dump(_:) shows no more than the rest.
    package var customMirror: Mirror { Mirror(self, children: ["password": description]) }
}

/// A moment after which a call gives up.
struct Deadline {
    private let nanoseconds: Int64
    /// The limit that the caller gave, for messages.
    let timeoutMilliseconds: Int

    init(timeoutMilliseconds: Int) {
        let bounded = max(0, min(timeoutMilliseconds, 86_400_000))
        self.timeoutMilliseconds = bounded
        nanoseconds = SystemClock.monotonicNanoseconds() + Int64(bounded) * 1_000_000
    }

    /// Rounded up, so that a wait does not end just before the deadline; 0 when it has passed.
    var remainingMilliseconds: Int32 {
        let left = nanoseconds - SystemClock.monotonicNanoseconds()
        return left <= 0 ? 0 : Int32(truncatingIfNeeded: (left + 999_999) / 1_000_000)
    }
}

/// Sets one server setting for the rest of the session.
struct SetSessionSetting: PostgresStatement {
    static let name = "set_session_setting"
    static let sql = "SELECT set_config($1, $2, false)"
    static let parameterTypes: [PostgresType] = [.text, .text]
    let setting: String
    let value: String

    init(setting: String, value: String) {
        self.setting = setting
        self.value = value
    }

    init(statementMilliseconds: Int) {
        self.init(setting: "statement_timeout", value: "\(statementMilliseconds)")
    }

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(setting)
        parameters.append(value)
    }
}

/// Acts as a role for the rest of the session, where there is one that the user may take.
struct AssumeRole: PostgresStatement {
    static let name = "assume_role"
    static let sql = """
        SELECT set_config('role', r.rolname, false) FROM pg_roles r
        WHERE r.rolname = $1 AND pg_has_role(session_user, r.oid, 'MEMBER')
        """
    static let parameterTypes: [PostgresType] = [.text]
    let role: String

    func bind(into parameters: inout PostgresParameters) { parameters.append(role) }
}
