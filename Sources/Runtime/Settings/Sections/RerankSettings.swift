package import Bytes

extension Settings {
    /// A service that orders hits anew.
    package struct Rerank: Sendable {
        /// Where it is asked; empty = nowhere. May hold a secret.
        package internal(set) var url = SecretURL("")
        /// What it calls its model; empty = its own choice.
        package internal(set) var model = ""
        /// A secret: never print it.
        package internal(set) var key = ""
        /// How long a search waits for it.
        package internal(set) var timeoutMilliseconds = 0
        /// Hits that are given to it.
        package internal(set) var hitsMax = 0
    }
}

extension Settings.Rerank: SettingsSection {
    package static let table: [Setting] = [
        Setting(
            "RERANK_URL", .models, default: "", .optionalSecretURL, \.rerank.url,
            "A service that puts the first hits of hybrid searches and answers into its own order: `POST` of "
                + "`{model, query, documents, top_n}`, as Cohere's `/rerank`. Passages leave the machine then. Empty: none.",
            shown: Redaction.url),
        Setting(
            "RERANK_MODEL", .models, default: "", .text("name"), \.rerank.model,
            "What that service calls the model. Empty: its own choice."),
        Setting(
            "RERANK_API_KEY", .models, default: "", .headerValue, \.rerank.key,
            "The key that is sent to it. Never printed.", shown: Redaction.secret),
        Setting(
            "RERANK_TIMEOUT_MS", .models, default: "1000", .integer(10...30_000), \.rerank.timeoutMilliseconds,
            "How long a search waits for it; then the hits stay in the fused order, and the reply says so."),
        Setting(
            "RERANK_HITS", .models, default: "50", .integer(2...100), \.rerank.hitsMax,
            "Hits that are given to it."),
    ]
}
