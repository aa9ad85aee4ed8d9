package import Bytes

extension Settings {
    /// The database of the index, and how the embedded one runs.
    package struct Database: Sendable {
        /// libpq's connection string; empty = the embedded Postgres.
        package internal(set) var dsn = SecretURL("")
        /// The folder of Postgres' programs; empty = looked for in `.deps`.
        package internal(set) var programsDirectory = ""
        /// Bytes of the embedded Postgres' page cache; 0 = what suits the machine.
        package internal(set) var memoryBytes = 0
    }
}

extension Settings.Database: SettingsSection {
    package static let table: [Setting] = [
        Setting(
            "POSTGRES_DSN", .database, default: "", .dsn, \.database.dsn,
            "A Postgres with pgvector 0.8 or later. Empty: the embedded one. The password is never printed; it may also come by "
                + "`PGPASSWORD` or `PGPASSFILE`, where no character of it needs escaping.",
            shown: Redaction.dsn, aliases: ["DATABASE_URL"],
            production: "The embedded Postgres belongs to one machine."),
        Setting(
            "PG_BIN_DIR", .database, default: "", .text("folder"), \.database.programsDirectory,
            "The folder of the embedded Postgres' programs. Empty: looked for in `.deps`."),
        Setting(
            "PG_MEMORY_BYTES", .database, default: "0", .integer(0...4_398_046_511_104), \.database.memoryBytes,
            "The embedded Postgres' page cache (`shared_buffers`), at least 32 MiB. How much memory index builds and sorts take, "
                + "what the planner takes for cached, and how large the write-ahead log grows follow from it. Takes effect "
                + "when the server starts. 0: a quarter of the memory of the machine, or of its container, at most 16 GiB."
        ),
    ]
}
