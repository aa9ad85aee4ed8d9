import EmbeddedPostgres
import Postgres
import Settings

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
        return vector.isEmpty
            ? DoctorResult(kind, .failed, detail, hint: "install pgvector 0.8 or later on the server")
            : DoctorResult(kind, .ok, detail)
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
