/// The server's own limit of a statement (`statement_timeout`), kept a little above the limit of the calls.
///
/// A call that runs out of time cancels its statement and closes the connection. Where the cancel does not get through, or
/// this process dies, the server's limit ends the statement. Limits are rounded up to powers of two, so that calls with
/// about the same limit, as those of one kind of session are, change the setting once.
struct StatementLimit {
    /// What the session has now, in milliseconds; nil where that is not known: at first, and after a rollback.
    private(set) var milliseconds: Int?

    /// Beyond the caller's limit, so that the caller's own error comes first.
    static let marginMilliseconds = 1_000
    private static let millisecondsMin = 2_048
    /// How many times too large a limit may be before it is set anew; kinds of calls of one session then share one.
    private static let laxity = 16
    /// The setting's greatest value.
    private static let millisecondsMax = Int(Int32.max)

    /// The value that a call needs, if the session's present one is too small for it, or far too large.
    func change(forCallOf timeoutMilliseconds: Int) -> Int? {
        let needed = min(max(0, timeoutMilliseconds), Self.millisecondsMax / 4) + Self.marginMilliseconds
        var wanted = Self.millisecondsMin
        while wanted < needed { wanted *= 2 }
        if let milliseconds, milliseconds >= needed, milliseconds <= Self.laxity * wanted { return nil }
        return wanted
    }

    mutating func set(_ milliseconds: Int) { self.milliseconds = milliseconds }

    /// A rollback took the setting back, perhaps.
    mutating func forget() { milliseconds = nil }
}

/// Has the server look, while a statement runs, whether its client is still there; else a statement whose client has gone
/// runs to its end. Servers before 14 do not know the setting, and those on Windows refuse it.
struct ConnectionWatch: PostgresStatement {
    static let intervalMilliseconds = 1_000
    static let name = "watch_connection"
    static let sql = """
        SELECT set_config(name, '\(intervalMilliseconds)', false) FROM pg_settings
        WHERE name = 'client_connection_check_interval' AND version() !~* 'windows|visual c|mingw'
        """
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
}
