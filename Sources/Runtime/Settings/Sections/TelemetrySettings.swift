import Bytes

extension Settings {
    /// What a process says of itself.
    package struct Telemetry: Sendable {
        /// Where every role serves probes and metrics; nil = nowhere.
        package internal(set) var metricsListen: SettingAddress?
        /// The least level that is logged.
        package internal(set) var logLevel = SettingLogLevel.info
        /// How a log line looks.
        package internal(set) var logFormat = SettingLogFormat.text
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
            "LOG_LEVEL", .logging, default: "info", .choice, \.telemetry.logLevel, "The least level that is logged."),
        Setting(
            "LOG_FORMAT", .logging, default: "text", .choice, \.telemetry.logFormat,
            "How a log line looks. The log goes to standard error."),
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
