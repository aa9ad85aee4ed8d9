extension Settings {
    /// When the index counts as late, stale or unknown.
    package struct Freshness: Sendable {
        /// Events that the index may be behind while the API says that it is ready; 0 = any number.
        package internal(set) var readyLagMax = 0
        /// An event that waits for longer makes the index late, in seconds.
        package internal(set) var lateSeconds = 0.0
        /// An event that waits for longer makes the index stale, in seconds.
        package internal(set) var staleSeconds = 0.0
        /// After so many seconds without an answer nobody knows how fresh the index is.
        package internal(set) var unknownSeconds = 0.0
        /// A source that is silent for longer makes the index late, in seconds; 0 = it may be idle.
        package internal(set) var silentSeconds = 0.0
        /// Whether `/answer` refuses while the index is stale or unknown.
        package internal(set) var answerRequiresFresh = false
    }
}

extension Settings.Freshness: SettingsSection {
    package static let table: [Setting] = [
        Setting(
            "READY_MAX_LAG", .api, default: "10000", .integer(0...1_000_000_000), \.freshness.readyLagMax,
            "Events that the index may be behind; with more it is stale. `/ready` of `serve` and `up` says no while the index "
                + "is stale, or nobody knows; `index` and `stream` while more records wait for them. 0: any number, and "
                + "`/ready` does not ask."),
        Setting(
            "FRESH_LATE_SEC", .api, default: "5", .seconds(0.1...86_400), \.freshness.lateSeconds,
            "When an event has waited for longer to become searchable, the index is late. Replies, page and metrics say so."
        ),
        Setting(
            "FRESH_STALE_SEC", .api, default: "60", .seconds(0.1...86_400), \.freshness.staleSeconds,
            "When an event has waited for longer, the index is stale."),
        Setting(
            "FRESH_UNKNOWN_SEC", .api, default: "10", .seconds(1...3_600), \.freshness.unknownSeconds,
            "When broker or database have not answered for longer, nobody knows how fresh the index is."),
        Setting(
            "FRESH_SILENT_SEC", .api, default: "0", .seconds(0...86_400), \.freshness.silentSeconds,
            "When nothing has come from the source for longer, the index is late; known to the process that reads the "
                + "source. 0: a source may be idle."),
        Setting(
            "ANSWER_REQUIRES_FRESH", .api, default: "false", .bool, \.freshness.answerRequiresFresh,
            "Whether `/answer` answers 503 while the index is stale, or nobody knows. Else it answers and says so."),
    ]
}
