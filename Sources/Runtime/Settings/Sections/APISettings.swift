import Bytes

extension Settings {
    /// Where the HTTP API listens, and how many it serves.
    package struct API: Sendable {
        /// Where the HTTP API listens.
        package internal(set) var listen = SettingAddress(host: "", port: 0)
        /// Event loops of the API, one thread each; 0 = one per core.
        package internal(set) var loops = 0
        /// Open connections of the API at once.
        package internal(set) var connectionsMax = 0
        /// Origins whose pages may read the API; `*` for all.
        package internal(set) var corsOrigins: [String] = []
    }
}

extension Settings.API: SettingsSection {
    package static let table: [Setting] = [
        Setting(
            "API_LISTEN", .api, default: "127.0.0.1:8080", .address, \.api.listen,
            "Where the HTTP API and the page listen; also where `medallion search`, `answer` and `trace` ask.",
            shown: Redaction.url),
        Setting(
            "API_LOOPS", .api, default: "0", .integer(0...256), \.api.loops,
            "Event loops of the API, one thread each. 0: one per core."),
        Setting(
            "API_MAX_CONNECTIONS", .api, default: "10000", .integer(1...1_000_000), \.api.connectionsMax,
            "Open connections at once. For further ones, those that have waited longest for a request are closed. Four "
                + "fifths may be clients of the stream."),
        Setting(
            "API_CORS_ORIGINS", .api, default: "", .words, \.api.corsOrigins,
            "Origins such as `https://example.org` whose pages may read the API, or `*`. Empty: none but its own."),
    ]
}
