import EmbeddedPostgres
import Postgres
import Settings
import Store

/// What `doctor` says of the database.
enum DoctorDatabase {
    private static let limit = 5_000

    static func check(_ platform: Platform) -> DoctorResult {
        let settings = platform.settings
        let kind = platform.isDatabaseEmbedded ? "embedded Postgres" : "Postgres"
        if platform.isDatabaseEmbedded, EmbeddedPostgres.runningDSN(folder: settings.folders.postgres) == nil {
            do {
                let programs = try PostgresPrograms(setting: settings.database.programsDirectory)
                return DoctorResult(
                    kind, .idle,
                    "programs in \(programs.folder); not running; would start with \(platform.embeddedPostgres.memory)",
                    hint: "`medallion up` starts it")
            } catch {
                return DoctorResult(kind, .failed, "\(error)", hint: "run `make setup`")
            }
        }
        do {
            let connection = try PostgresConnection(try platform.database("doctor"), timeoutMilliseconds: limit)
            return try check(connection, platform, kind)
        } catch {
            return DoctorResult(
                kind, .failed, settings.database.dsn.scrubbed("\(error)"),
                hint: "check POSTGRES_DSN and that the server runs")
        }
    }

    private static func check(
        _ connection: PostgresConnection, _ platform: Platform, _ kind: String
    ) throws -> DoctorResult {
        let rows = try connection.script(
            """
            SELECT coalesce(
                (SELECT extversion FROM pg_extension WHERE extname = 'vector'),
                (SELECT default_version || ' (not created)' FROM pg_available_extensions WHERE name = 'vector'), '')
            """, operation: "look for pgvector", timeoutMilliseconds: limit)
        let vector = rows.first?.first.flatMap { $0 } ?? ""
        let detail =
            "version \(connection.serverVersion), pgvector \(vector.isEmpty ? "missing" : vector), "
            + "\(try memory(connection, platform))"
        guard !vector.isEmpty else {
            return DoctorResult(kind, .failed, detail, hint: "install pgvector 0.8 or later on the server")
        }
        return try schema(DatabaseCheck(connection: connection), kind, detail)
    }

    /// Whether the roles could work with the database, were they started now.
    private static func schema(_ check: DatabaseCheck, _ kind: String, _ detail: String) throws -> DoctorResult {
        func refusal(_ state: DoctorResult.State, _ error: IndexError) -> DoctorResult {
            DoctorResult(kind, state, "\(detail); \(error.message)", hint: error.hint ?? "see docs/troubleshooting.md")
        }
        do {
            let missing = try check.missingMigrations()
            guard missing.isEmpty else {
                try check.checkMayCreate()
                return DoctorResult(
                    kind, .warning, "\(detail); \(missing.count) of \(Migration.current.count) migrations are missing",
                    hint: "`medallion migrate`, or a role that starts, applies them")
            }
            try check.checkReady(for: .serving)
        } catch let error as IndexError {
            return refusal(.failed, error)
        }
        do {
            try check.checkRights(for: .writing)
        } catch let error as IndexError {
            // Enough for a server of the API.
            return refusal(.warning, error)
        }
        if let gap = try check.readerRoleGap() ?? check.indexGap() { return refusal(.warning, gap) }
        return DoctorResult(kind, .ok, "\(detail), \(Migration.current.count) migrations")
    }

    /// The server's page cache, and what the embedded one will have after its next start, where that differs.
    private static func memory(_ connection: PostgresConnection, _ platform: Platform) throws -> String {
        let rows = try connection.script(
            "SELECT setting::bigint * current_setting('block_size')::bigint >> 20 FROM pg_settings "
                + "WHERE name = 'shared_buffers'", operation: "ask for shared_buffers", timeoutMilliseconds: limit)
        let present = "shared_buffers=\(rows.first?.first.flatMap { $0 } ?? "?")MB"
        let next = "\(platform.embeddedPostgres.memory)"
        return platform.isDatabaseEmbedded && present != next ? "\(present) (\(next) after its next start)" : present
    }
}
