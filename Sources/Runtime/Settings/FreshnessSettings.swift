extension Settings {
    /// When the index counts as late, stale or unknown.
    static let freshness: [Setting] = [
        Setting(
            "READY_MAX_LAG", .api, default: "10000", .integer(0...1_000_000_000), \.readyLagMax,
            "Events that the index may be behind; with more it is stale. `/ready` of `serve` and `up` says no while the index "
                + "is stale, or nobody knows; `index` and `stream` while more records wait for them. 0: any number, and "
                + "`/ready` does not ask."),
        Setting(
            "FRESH_LATE_SEC", .api, default: "5", .seconds(0.1...86_400), \.freshLateSeconds,
            "When an event has waited for longer to become searchable, the index is late. Replies, page and metrics say so."
        ),
        Setting(
            "FRESH_STALE_SEC", .api, default: "60", .seconds(0.1...86_400), \.freshStaleSeconds,
            "When an event has waited for longer, the index is stale."),
        Setting(
            "FRESH_UNKNOWN_SEC", .api, default: "10", .seconds(1...3_600), \.freshUnknownSeconds,
            "When broker or database have not answered for longer, nobody knows how fresh the index is."),
        Setting(
            "FRESH_SILENT_SEC", .api, default: "0", .seconds(0...86_400), \.freshSilentSeconds,
            "When nothing has come from the source for longer, the index is late; known to the process that reads the "
                + "source. 0: a source may be idle."),
        Setting(
            "ANSWER_REQUIRES_FRESH", .api, default: "false", .bool, \.answerRequiresFresh,
            "Whether `/answer` answers 503 while the index is stale, or nobody knows. Else it answers and says so."),
    ]
}
