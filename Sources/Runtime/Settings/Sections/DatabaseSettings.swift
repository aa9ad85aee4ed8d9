package import Bytes

extension Settings {
    /// The database of the index, and how the embedded one runs.
    package struct Database: Sendable {
        /// libpq's connection string; empty = the embedded Postgres.
        package internal(set) var dsn = SecretURL("")
        /// The folder of Postgres' programs; empty = looked for in `.deps`.
        package internal(set) var programsDirectory = ""
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
    ]
}
