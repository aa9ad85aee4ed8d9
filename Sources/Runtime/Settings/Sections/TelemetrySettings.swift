package import Bytes

extension Settings {
    /// What a process says of itself.
    package struct Telemetry: Sendable {
        /// Where every role serves probes and metrics; nil = nowhere.
        package internal(set) var metricsListen: SettingAddress?
        /// Between two points of the figures' history, in seconds.
        package internal(set) var historySeconds = 0
        /// The least level that is logged.
        package internal(set) var logLevel = SettingLogLevel.info
        /// How a log line looks.
        package internal(set) var logFormat = SettingLogFormat.text
        /// The server that run events of OpenLineage go to; empty = none.
        package internal(set) var lineageURL = SecretURL("")
        /// The path below it.
        package internal(set) var lineageEndpoint = ""
        /// A secret: never print it.
        package internal(set) var lineageKey = ""
        /// The file that holds the key; empty = given by the variable.
        package internal(set) var lineageKeyFile = ""
        /// The file that run events are added to; empty = none.
        package internal(set) var lineageFile = ""
        /// Of jobs.
        package internal(set) var lineageNamespace = ""
        /// How often a running job reports what it did, in seconds.
        package internal(set) var lineageSeconds = 0
    }
}

extension Settings.Telemetry: SettingsSection {
    package static let table: [Setting] = [
        Setting(
            "METRICS_LISTEN", .logging, default: "", .optionalAddress, \.telemetry.metricsListen,
            "Where every role serves `/live`, `/ready`, `/health` and `/metrics`; one address per process. It asks for no key; "
                + "who is not on this machine gets the states without details. Empty: nowhere. `up` and `serve` have "
                + "them at `API_LISTEN`, too.", shown: Redaction.url),
        Setting(
            "HISTORY_STEP_SEC", .logging, default: "10", .integer(1...600), \.telemetry.historySeconds,
            "Seconds between two points of `GET /history`, which keeps 360 of them in memory: an hour, unless set."),
        Setting(
            "LOG_LEVEL", .logging, default: "info", .choice, \.telemetry.logLevel, "The least level that is logged."),
        Setting(
            "LOG_FORMAT", .logging, default: "text", .choice, \.telemetry.logFormat,
            "How a log line looks. The log goes to standard error."),
        Setting(
            "OPENLINEAGE_URL", .logging, default: "", .optionalSecretURL, \.telemetry.lineageURL,
            "The server that takes run events of [OpenLineage](https://openlineage.io): what stream job, replays and tiering read and "
                + "wrote, with offsets. Empty: none.", shown: Redaction.url),
        Setting(
            "OPENLINEAGE_ENDPOINT", .logging, default: "api/v1/lineage", .text("path"), \.telemetry.lineageEndpoint,
            "The path below `OPENLINEAGE_URL`."),
        Setting(
            "OPENLINEAGE_API_KEY", .logging, default: "", .text("key"), \.telemetry.lineageKey,
            "Sent to that server as a bearer token. Never printed.", shown: Redaction.secret),
        Setting(
            "OPENLINEAGE_API_KEY_FILE", .logging, default: "", .text("file"), \.telemetry.lineageKeyFile,
            "A file that holds the key, in place of `OPENLINEAGE_API_KEY`."),
        Setting(
            "OPENLINEAGE_FILE", .logging, default: "", .text("file"), \.telemetry.lineageFile,
            "A file that run events are added to, a line each; beside the server or in place of it. Nothing rotates it. Empty: none."
        ),
        Setting(
            "OPENLINEAGE_NAMESPACE", .logging, default: "medallion", .text("namespace"), \.telemetry.lineageNamespace,
            "The namespace of the jobs."),
        Setting(
            "OPENLINEAGE_INTERVAL_SEC", .logging, default: "60", .integer(1...86_400), \.telemetry.lineageSeconds,
            "How often a run that goes on tells what it did since, in seconds."),
    ]
}

/// Levels of the log, as `LOG_LEVEL` names them.
package enum SettingLogLevel: String, Sendable, CaseIterable {
    case debug, info, warning, error
}

/// Looks of a log line, as `LOG_FORMAT` names them.
package enum SettingLogFormat: String, Sendable, CaseIterable {
    case text, json
}
