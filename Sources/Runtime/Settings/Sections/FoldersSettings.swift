extension Settings {
    /// Where everything embedded, and the lake, are kept.
    package struct Folders: Sendable {
        var dataText = ""
        var lakeText = ""
        var brokerText = ""
        var postgresText = ""
        var armsText = ""

        /// The folder that holds everything embedded. Absolute, as all folders here: files are told from others by their paths,
        /// and made durable by walking them up.
        package var data: String { AbsolutePath.of(dataText) }
        /// Where the lake is.
        package var lake: String { lakeText.isEmpty ? data + "/lake" : AbsolutePath.of(lakeText) }
        /// Where the embedded broker keeps its log.
        package var broker: String { brokerText.isEmpty ? data + "/broker" : AbsolutePath.of(brokerText) }
        /// Where the embedded Postgres keeps its cluster.
        package var postgres: String { postgresText.isEmpty ? data + "/postgres" : AbsolutePath.of(postgresText) }
        /// Where a server keeps what it holds of the index in memory between starts.
        package var arms: String { armsText.isEmpty ? data + "/arms" : AbsolutePath.of(armsText) }
    }
}

extension Settings.Folders: SettingsSection {
    package static let table: [Setting] = [
        Setting(
            "DATA_DIR", .storage, default: ".medallion", .text("folder"), \.folders.dataText,
            "The folder that holds everything embedded. A relative path of this and the folders below begins where the "
                + "process was started."),
        Setting(
            "LAKE_DIR", .storage, default: "", .text("folder"), \.folders.lakeText,
            "The lake's folder. Empty: `$DATA_DIR/lake`.",
            production: "Stream jobs, replays and API servers share it: one POSIX file system."),
        Setting(
            "BROKER_DIR", .storage, default: "", .text("folder"), \.folders.brokerText,
            "The embedded broker's folder. Empty: `$DATA_DIR/broker`."),
        Setting(
            "PGDATA_DIR", .storage, default: "", .text("folder"), \.folders.postgresText,
            "The embedded Postgres' folder. Empty: `$DATA_DIR/postgres`."),
        Setting(
            "ARMS_DIR", .storage, default: "", .text("folder"), \.folders.armsText,
            "Where a server keeps what it holds of the index in memory between starts (`ARMS_FILES_ENABLED`): texts of documents are in "
                + "it. Empty: `$DATA_DIR/arms`."),
    ]
}
