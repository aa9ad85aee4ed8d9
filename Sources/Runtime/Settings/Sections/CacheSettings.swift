package import Bytes

extension Settings {
    /// Replies that a server keeps.
    package struct Caches: Sendable {
        /// Bytes of the replies that a server keeps; 0 = none.
        package internal(set) var bytes = 0
        /// How long each is kept at most, in seconds.
        package internal(set) var seconds = 0.0
        /// Whether a kept answer is given to questions that ask the same in other words.
        package internal(set) var reusesSimilarAnswers = false
        /// The Redis server in which several servers share them; empty = none. May hold a secret.
        package internal(set) var redisURL = SecretURL("")
        /// A file with its password; empty = none.
        package internal(set) var redisPasswordFile = ""
        /// How long a request waits for it.
        package internal(set) var redisTimeoutMilliseconds = 0
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
        Setting(
            "CACHE_SIMILAR_QUESTIONS", .api, default: "true", .bool, \.caches.reusesSimilarAnswers,
            "Whether a kept answer is given to a question in English that asks the same in other words; the reply names the one "
                + "that it was given to."),
        Setting(
            "REDIS_URL", .api, default: "", .optionalRedisURL, \.caches.redisURL,
            "A Redis server in which servers of one index share these replies. Needs the index in memory and its files "
                + "(`ARMS_MEMORY_BYTES`, `ARMS_FILES_ENABLED`). Without it, or while it is away, each server has its own alone.",
            shown: Redaction.url),
        Setting(
            "REDIS_PASSWORD_FILE", .api, default: "", .text("file"), \.caches.redisPasswordFile,
            "A file with its password, read at the start, in place of one in `REDIS_URL`."),
        Setting(
            "REDIS_TIMEOUT_MS", .api, default: "20", .integer(1...1_000), \.caches.redisTimeoutMilliseconds,
            "How long a request waits for it; then it is searched as if there were none."),
    ]
}

extension SettingParser where Value == SecretURL {
    /// Of a Redis server; may be empty.
    static var optionalRedisURL: Self {
        Self(grammar: "`redis://[user:password@]host[:port][/database]`, `unix:///path`") { text in
            if text.isEmpty || text.hasPrefix("redis://") || text.hasPrefix("unix:///") {
                return .success(SecretURL(text))
            }
            if text.hasPrefix("rediss://") { return .failure("asks for TLS, which is not spoken here") }
            return .failure("begins with neither redis:// nor unix:///")
        }
    }
}
