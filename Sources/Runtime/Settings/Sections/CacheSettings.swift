extension Settings {
    /// Replies that a server keeps.
    package struct Caches: Sendable {
        /// Bytes of the replies that a server keeps; 0 = none.
        package internal(set) var bytes = 0
        /// How long each is kept at most, in seconds.
        package internal(set) var seconds = 0.0
    }
}

extension Settings.Caches: SettingsSection {
    package static let table: [Setting] = [
        Setting(
            "CACHE_BYTES", .api, default: "67108864", .integer(0...1_099_511_627_776), \.caches.bytes,
            "Memory for replies of `/search` and `/answer` that are given again to who asks the same, in each server, as long as "
                + "they are what a search would find. 0: none are kept."),
        Setting(
            "CACHE_TTL_SEC", .api, default: "300", .number(0.001...86_400), \.caches.seconds,
            "How long such a reply is kept at most."),
    ]
}
