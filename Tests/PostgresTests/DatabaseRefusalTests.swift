import Foundation
import PlatformTesting
import Postgres
import PostgresTesting
import Testing

/// Every command that uses the database says at its start what is wrong with it and how it is mended, and ends.
@Suite(.serialized) struct DatabaseRefusalTests {
    private let limit = 60_000

    /// Those that migrate, and those that do not.
    private static let commands = [
        ["migrate"], ["serve"], ["index"], ["up", "--url", "http://127.0.0.1:9/none"], ["keys", "ls"], ["generations"],
        ["promote", "1"], ["replay", "--all"], ["dlq", "ls", "--index"], ["doctor", "--only", "postgres"],
    ]

    private func run(
        _ command: [String], dsn: String, _ more: [String: String] = [:]
    ) throws -> (status: Int32, text: String) {
        let folder = try TemporaryFolder()
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: PackageRoot.executable)
        process.arguments = command
        process.environment = [
            "POSTGRES_DSN": dsn, "DATA_DIR": folder.file("data"), "PATH": "/usr/bin:/bin",
            "API_LISTEN": "127.0.0.1:\(try TestPorts.free())", "BROKER_LISTEN": "127.0.0.1:\(try TestPorts.free())",
            "EMBED_ENABLED": "false",
        ].merging(more) { $1 }
        process.standardOutput = output
        process.standardError = output
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, text)
    }

    private func refusals(dsn: String, _ words: [String], commands: [[String]] = commands) throws {
        for command in commands {
            let (status, text) = try run(command, dsn: dsn)
            #expect(status != 0, "\(command): \(text)")
            for word in words { #expect(text.contains(word), "\(command): \(text)") }
            #expect(!text.contains("does not answer yet"), "\(command): \(text)")
        }
    }

    @Test func doctorTellsTheMemoryOfAServerThatDoesNotRun() throws {
        let doctor = try run(["doctor", "--only", "postgres"], dsn: "", ["PG_MEMORY_BYTES": "268435456"])
        #expect(doctor.status == 0 && doctor.text.contains("would start with shared_buffers=256MB"), "\(doctor.text)")
    }

    @Test func aNewerDatabase() throws {
        let dsn = try SharedPostgres.freshDatabase()
        #expect(try run(["migrate"], dsn: dsn).status == 0)
        let connection = try PostgresConnection(PostgresConfiguration(dsn: dsn), timeoutMilliseconds: limit)
        try connection.script(
            "INSERT INTO schema_migrations VALUES ('V9999__future', 'x')", timeoutMilliseconds: limit)
        try refusals(dsn: dsn, ["V9999__future, which this program does not know", "use the newer program"])
    }

    @Test func aDatabaseThatIsHalfThere() throws {
        let dsn = try SharedPostgres.freshDatabase()
        let unready = Self.commands.filter { ["promote", "replay", "dlq", "generations"].contains($0[0]) }
        try refusals(dsn: dsn, ["the database lacks ", "run `medallion migrate`"], commands: unready)
        #expect(try run(["doctor", "--only", "postgres"], dsn: dsn).text.contains("migrations are missing"))
        #expect(try run(["migrate"], dsn: dsn).status == 0)
        let healthy = try run(["doctor", "--only", "postgres"], dsn: dsn)
        #expect(healthy.status == 0 && healthy.text.contains("shared_buffers="), "\(healthy.text)")
        let connection = try PostgresConnection(PostgresConfiguration(dsn: dsn), timeoutMilliseconds: limit)
        try connection.script("DROP TABLE answers CASCADE", timeoutMilliseconds: limit)
        try refusals(dsn: dsn, ["makes table answers, but not the table", "restore all of it"])
    }

    @Test func aRoleWithoutRights() throws {
        let dsn = try SharedPostgres.freshDatabase()
        let connection = try PostgresConnection(PostgresConfiguration(dsn: dsn), timeoutMilliseconds: limit)
        try connection.script("CREATE ROLE refused LOGIN", timeoutMilliseconds: limit)
        let refused = dsn.replacing("user=medallion", with: "user=refused")
        try refusals(
            dsn: refused,
            ["role refused may not create tables in schema public", "GRANT USAGE, CREATE ON SCHEMA public"],
            commands: Self.commands.filter { !["promote", "replay", "dlq", "generations"].contains($0[0]) })
        #expect(try run(["migrate"], dsn: dsn).status == 0)
        try refusals(dsn: refused, ["role refused may not read schema_migrations", "GRANT SELECT ON ALL TABLES"])
        try connection.script(
            """
            GRANT SELECT ON ALL TABLES IN SCHEMA public TO refused; GRANT INSERT, DELETE ON answers TO refused;
            GRANT INSERT ON answer_documents TO refused; GRANT INSERT, UPDATE ON answer_feedback TO refused
            """, timeoutMilliseconds: limit)
        // That much is enough to serve and to look, and not to write.
        #expect(try run(["generations"], dsn: refused).status == 0)
        #expect(try run(["dlq", "ls", "--index"], dsn: refused).status == 0)
        try refusals(
            dsn: refused, ["role refused may not INSERT, UPDATE, DELETE on ", "GRANT INSERT, UPDATE, DELETE ON "],
            commands: Self.commands.filter { ["migrate", "index", "up", "promote", "replay", "keys"].contains($0[0]) })
        let doctor = try run(["doctor", "--only", "postgres"], dsn: refused)
        #expect(doctor.text.contains("may not INSERT, UPDATE, DELETE on "), "\(doctor.text)")
    }
}
