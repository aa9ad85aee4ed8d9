import Concurrency
import Glibc
import Postgres
import PostgresTesting
import Synchronization
import Testing

private struct Sleep: PostgresStatement {
    static let name = "sleep_for_long"
    static let sql = "SELECT pg_sleep(60)"
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
}

private struct Broken: PostgresStatement {
    static let name = "divide_by_zero"
    static let sql = "SELECT 1 / (SELECT 0)"
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
}

private struct One: PostgresStatement {
    static let name = "one"
    static let sql = "SELECT 1::int8"
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

private struct Limit: PostgresStatement {
    static let name = "statement_limit"
    static let sql = "SELECT setting::int8 FROM pg_settings WHERE name = 'statement_timeout'"
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

/// The server has a limit of its own for every statement, and a call can be ended from another thread.
@Suite struct StatementBoundTests {
    private let limit = 30_000

    private func connect(_ dsn: String, _ interrupt: PostgresInterrupt? = nil) throws -> PostgresConnection {
        var configuration = PostgresConfiguration(dsn: dsn)
        configuration.interrupt = interrupt
        return try PostgresConnection(configuration, timeoutMilliseconds: limit)
    }

    private func serverLimit(_ connection: PostgresConnection, _ milliseconds: Int) throws -> Int {
        Int(try connection.run(Limit(), timeoutMilliseconds: milliseconds).first ?? 0)
    }

    @Test func theServersLimitIsALittleAboveTheCalls() throws {
        let connection = try connect(SharedPostgres.freshDatabase())
        for milliseconds in [50, 2_000, 29_000, 30_000, 60_000, 120_000, 3_600_000, 31_000, 100] {
            let found = try serverLimit(connection, milliseconds)
            #expect(found >= milliseconds + 1_000, "\(found) ms for a call of \(milliseconds) ms")
            #expect(found <= 32 * (milliseconds + 1_024), "\(found) ms for a call of \(milliseconds) ms")
        }
        // Scripts too, and after failures, which take settings back.
        #expect(try connection.script("SHOW statement_timeout", timeoutMilliseconds: 600_000) == [["1048576ms"]])
        let small = try serverLimit(connection, 1_000)
        #expect(throws: PostgresError.self) { try connection.run(Broken(), timeoutMilliseconds: 600_000) }
        #expect(try serverLimit(connection, 1_000) == small)
        #expect(try serverLimit(connection, 600_000) >= 601_000)
        let error = #expect(throws: PostgresError.self) {
            try connection.transaction(timeoutMilliseconds: 1_000) {
                try connection.run(Broken(), timeoutMilliseconds: 700_000)
            }
        }
        #expect(error?.sqlState == "22012")
        #expect(try serverLimit(connection, 600_000) >= 601_000)
        #expect(try connection.run(One(), timeoutMilliseconds: 1_000) == [1])
    }

    /// A cancel that does not get through leaves the server alone with the statement.
    @Test func theServerLooksWhetherItsClientIsThere() throws {
        let connection = try connect(SharedPostgres.freshDatabase())
        let found = try connection.script("SHOW client_connection_check_interval", timeoutMilliseconds: limit)
        #expect(found == [["1s"]])
    }

    @Test func aCallEndsWhenAnotherThreadSaysSo() throws {
        let dsn = try SharedPostgres.freshDatabase()
        let interrupt = PostgresInterrupt()
        let connection = try connect(dsn, interrupt)
        let watcher = try connect(dsn)
        let process = connection.backendProcessID
        func isActive() throws -> Bool {
            try !watcher.script(
                "SELECT 1 FROM pg_stat_activity WHERE pid = \(process) AND state = 'active'",
                timeoutMilliseconds: limit
            ).isEmpty
        }
        for round in 0..<3 {
            let lane = Lane(name: "interrupter")
            try lane.post {
                for _ in 0..<1_000 {
                    if (try? isActiveNow(dsn, process)) == true { break }
                    usleep(10_000)
                }
                interrupt.request()
            }
            let error = #expect(throws: PostgresError.self) {
                if round == 1 {
                    try connection.script("SELECT pg_sleep(60)", timeoutMilliseconds: 50_000)
                } else {
                    try connection.run(Sleep(), timeoutMilliseconds: 50_000)
                }
            }
            #expect(error?.kind == .interrupted)
            #expect(error?.isRetriable == false)
            #expect(connection.isUsable, "the server confirmed that the statement has ended")
            #expect(try !isActive())
            interrupt.clear()
            #expect(try connection.run(One(), timeoutMilliseconds: limit) == [1])
            #expect(connection.backendProcessID == process)
        }
    }

    /// One that was made for a call before, and cleared away, ends none; one that was not ends the next.
    @Test func aRequestMeetsTheNextCallUnlessItIsCleared() throws {
        let interrupt = PostgresInterrupt()
        let connection = try connect(SharedPostgres.freshDatabase(), interrupt)
        interrupt.request()
        interrupt.request()
        interrupt.clear()
        #expect(try connection.run(One(), timeoutMilliseconds: limit) == [1])
        interrupt.request()
        let error = #expect(throws: PostgresError.self) { try connection.run(Sleep(), timeoutMilliseconds: limit) }
        #expect(error?.kind == .interrupted)
        interrupt.clear()
        #expect(try connection.run(One(), timeoutMilliseconds: limit) == [1])
    }
}

private func isActiveNow(_ dsn: String, _ process: Int32) throws -> Bool {
    let watcher = try PostgresConnection(PostgresConfiguration(dsn: dsn), timeoutMilliseconds: 10_000)
    return try !watcher.script(
        "SELECT 1 FROM pg_stat_activity WHERE pid = \(process) AND state = 'active'", timeoutMilliseconds: 10_000
    ).isEmpty
}
