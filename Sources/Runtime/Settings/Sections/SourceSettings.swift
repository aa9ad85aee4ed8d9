package import Bytes

extension Settings {
    /// Where events come from, for the producer and for those who look for the source.
    package struct Source: Sendable {
        var fileText = ""
        /// The stream's URL (SSE).
        package internal(set) var url = SecretURL("")
        /// Sent with every request to the stream; Wikimedia asks for a contact in it.
        package internal(set) var userAgent = ""
        /// Seconds before the first reconnect; doubles with each failure.
        package internal(set) var reconnectSleepSeconds = 0.0
        /// Seconds that the wait before a reconnect grows to.
        package internal(set) var reconnectMaxSeconds = 0.0
        /// Least seconds before a reconnect after the source refused us.
        package internal(set) var reconnectRefusedSeconds = 0.0
        /// Seconds before a request or a silent stream is given up.
        package internal(set) var requestTimeoutSeconds = 0.0
        /// Events that the producer takes in a minute; 0 = no limit.
        package internal(set) var maxEventsPerMinute = 0

        /// The file that declares the sources; empty = looked for, see SOURCES_FILE. Absolute.
        package var file: String { fileText.isEmpty ? "" : AbsolutePath.of(fileText) }
    }
}

extension Settings.Source: SettingsSection {
    package static let table: [Setting] = [
        Setting(
            "SOURCES_FILE", .source, default: "", .text("a path"), \.source.fileText,
            "The file that declares the sources ([sources.md](sources.md)). Empty: `sources.json` in the working folder or in "
                + "DATA_DIR, where there is one; else the settings below and those of logic and broker are the one source."
        ),
        Setting(
            "WIKIMEDIA_SSE_URL", .source, default: "https://stream.wikimedia.org/v2/stream/recentchange", .secretURL,
            \.source.url,
            "The stream of changes that the producer follows (server-sent events). A user, a password and what its query "
                + "holds are never printed.", shown: Redaction.url),
        Setting(
            "WIKIMEDIA_USER_AGENT", .source,
            default: "\(Product.userAgent) (streaming data platform; set WIKIMEDIA_USER_AGENT to your contact)",
            .headerValue,
            \.source.userAgent,
            "Sent with every request to the stream. Wikimedia asks for a contact in it and refuses vague ones.",
            production: "Wikimedia asks for your contact."),
        Setting(
            "RECONNECT_SLEEP_SEC", .source, default: "1", .seconds(0.01...300), \.source.reconnectSleepSeconds,
            "Wait before the first reconnect; it doubles with each failure, with jitter. A Retry-After of the source is "
                + "honoured, up to an hour."),
        Setting(
            "RECONNECT_MAX_SEC", .source, default: "60", .seconds(0.01...3_600), \.source.reconnectMaxSeconds,
            "What that wait grows to."),
        Setting(
            "RECONNECT_REFUSED_SEC", .source, default: "30", .seconds(0.01...3_600), \.source.reconnectRefusedSeconds,
            "The least wait after the source refused us (401, 403, 404, no event stream), which only people can change."
        ),
        Setting(
            "REQUEST_TIMEOUT_SEC", .source, default: "30", .seconds(0.1...600), \.source.requestTimeoutSeconds,
            "How long a request may take, and how long a stream may stay silent, before it is given up."),
        Setting(
            "MAX_EVENTS_PER_MIN", .source, default: "0", .integer(0...1_000_000_000), \.source.maxEventsPerMinute,
            "Events that the producer takes in a minute; further ones wait in the stream. 0: no limit."),
    ]
}
