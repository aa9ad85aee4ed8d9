import Foundation
import PlatformTesting
import Postgres
import PostgresTesting
import Testing

/// Connections through pgbouncer, which is what people put before a Postgres with many clients.
@Suite(.serialized)
struct PoolerTests {
    /// How pgbouncer hands out the server's sessions.
    struct Way: Sendable, CustomTestStringConvertible {
        var mode: String
        var poolSize = 5
        /// Goes round its sessions, where it otherwise takes the one that was used last.
        var goesRound = false
        var testDescription: String { "\(mode), \(poolSize) sessions\(goesRound ? ", going round" : "")" }
    }

    private func failure(_ configuration: PostgresConfiguration) -> PostgresError? {
        do {
            let connection = try PostgresConnection(configuration, timeoutMilliseconds: 10_000)
            connection.close()
            return nil
        } catch {
            return error
        }
    }

    private func strict(_ dsn: String) -> PostgresConfiguration {
        var configuration = PostgresConfiguration(dsn: dsn, sessionSettings: [("hnsw.ef_search", "100")])
        configuration.refusesPoolers = true
        return configuration
    }

    @Test(
        "A pooler that does not keep a session together is refused, and the error says what it does and what to set",
        arguments: [
            Way(mode: "transaction"), Way(mode: "transaction", poolSize: 1), Way(mode: "transaction", goesRound: true),
            Way(mode: "transaction", poolSize: 2, goesRound: true), Way(mode: "statement"),
        ])
    func refused(_ way: Way) throws {
        let pooler = try Pooler(database: try SharedPostgres.freshDatabase(), way)
        // As it is after some use: with several sessions open, and statements of others prepared in them. Each holds its
        // session while the next one asks for another. Some of this fails through such a pooler, as it should.
        let users = (0..<min(way.poolSize, 3)).compactMap { _ in
            try? PostgresConnection(PostgresConfiguration(dsn: pooler.dsn), timeoutMilliseconds: 10_000)
        }
        for user in users { _ = try? user.run(Prepared(), timeoutMilliseconds: 10_000) }
        for user in users { _ = try? user.script("BEGIN", timeoutMilliseconds: 10_000) }
        for user in users { _ = try? user.script("ROLLBACK", timeoutMilliseconds: 10_000) }
        for _ in 0..<3 {
            let error = try #require(failure(strict(pooler.dsn)), "\(way.testDescription)")
            #expect(error.kind == .pooler && !error.isRetriable)
            #expect(error.description.contains("in \(way.mode) mode"), "\(error)")
            #expect(error.description.contains("pool_mode = session"), "\(error)")
            #expect(error.description.contains("process"), "what was found: \(error)")
        }
        for user in users { user.close() }
    }

    /// Leaves a prepared statement behind.
    private struct Prepared: PostgresStatement {
        static let name = "prepared_by_others"
        static let sql = "SELECT 1::bigint"
        static let parameterTypes: [PostgresType] = []
        func bind(into parameters: inout PostgresParameters) {}
        static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
    }

    @Test(
        "A pooler that keeps a session for each connection will do, and so does the server itself",
        arguments: [Way(mode: "session"), Way(mode: "session", poolSize: 1), Way(mode: "session", goesRound: true)])
    func accepted(_ way: Way) throws {
        let direct = try SharedPostgres.freshDatabase()
        let pooler = try Pooler(database: direct, way)
        for dsn in [direct, pooler.dsn] {
            let connection = try PostgresConnection(strict(dsn), timeoutMilliseconds: 10_000)
            // Its settings are there in every statement.
            for _ in 0..<3 {
                let rows = try connection.script(
                    "SELECT current_setting('hnsw.ef_search')", timeoutMilliseconds: 10_000)
                #expect(rows == [["100"]])
            }
            connection.close()
        }
    }

    @Test("Every command that uses the database refuses such a pooler at its start")
    func commands() throws {
        let pooler = try Pooler(database: try SharedPostgres.freshDatabase(), Way(mode: "transaction"))
        let folder = try TemporaryFolder()
        let commands = [
            ["migrate"], ["serve"], ["index"], ["up", "--url", "http://127.0.0.1:9/none"], ["keys", "ls"], ["doctor"],
            ["generations"],
        ]
        for command in commands {
            let process = Process()
            let output = Pipe()
            process.executableURL = URL(fileURLWithPath: PackageRoot.executable)
            process.arguments = command
            process.environment = [
                "POSTGRES_DSN": pooler.dsn, "DATA_DIR": folder.file("data"), "PATH": "/usr/bin:/bin",
                "API_LISTEN": "127.0.0.1:\(try TestPorts.free())", "BROKER_LISTEN": "127.0.0.1:\(try TestPorts.free())",
                "EMBED_ENABLED": "false",
            ]
            process.standardOutput = output
            process.standardError = output
            process.standardInput = FileHandle.nullDevice
            try process.run()
            let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            #expect(process.terminationStatus != 0, "\(command): \(text)")
            #expect(text.contains("pooler") && text.contains("pool_mode = session"), "\(command): \(text)")
        }
    }
}

/// A pgbouncer before a database; it ends with this value.
private final class Pooler {
    struct NoAnswer: Error {
        let settings: String
    }

    let dsn: String
    private let process = Process()
    private let folder: TemporaryFolder

    init(database: String, _ way: PoolerTests.Way) throws {
        folder = try TemporaryFolder()
        // Root's pgbouncer runs as another user, who has to pass: the server's own, whose socket nobody else may use.
        chmod(folder.path, 0o755)
        let port = try TestPorts.free()
        dsn = "host=127.0.0.1 port=\(port) user=medallion dbname=pooled"
        let settings = """
            [databases]
            pooled = \(database)
            [pgbouncer]
            listen_addr = 127.0.0.1
            listen_port = \(port)
            unix_socket_dir =
            auth_type = any
            pool_mode = \(way.mode)
            default_pool_size = \(way.poolSize)
            server_round_robin = \(way.goesRound ? 1 : 0)
            """
        try settings.write(toFile: folder.file("pgbouncer.ini"), atomically: true, encoding: .utf8)
        process.executableURL = URL(fileURLWithPath: "/usr/sbin/pgbouncer")
        process.arguments =
            ["-q"] + (getuid() == 0 ? ["-u", Self.owner(ofSocketIn: database)] : []) + [folder.file("pgbouncer.ini")]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        let end = ContinuousClock.now + .seconds(20)
        while process.isRunning, ContinuousClock.now < end {
            do throws(PostgresError) {
                try PostgresConnection(PostgresConfiguration(dsn: dsn), timeoutMilliseconds: 1_000).close()
                return
            } catch {
                // It answers, if with what such a pooler makes of prepared statements.
                if error.kind == .server { return }
            }
            usleep(10_000)
        }
        throw NoAnswer(settings: settings)
    }

    /// Of a connection string that begins with `host='folder'`.
    private static func owner(ofSocketIn database: String) -> String {
        let parts = database.split(separator: "'", maxSplits: 2)
        var status = stat()
        guard parts.count > 1, stat(String(parts[1]), &status) == 0, let entry = getpwuid(status.st_uid) else {
            return "nobody"
        }
        return String(cString: entry.pointee.pw_name)
    }

    deinit {
        // It has nothing to lose, and where the signals of tests are blocked it would not hear of a polite one.
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }
}
