package import Bytes

extension Settings {
    /// The embedding of documents and queries.
    package struct Embedding: Sendable {
        /// Whether documents are embedded; without, search is lexical only.
        package internal(set) var isEnabled = false
        /// Numbers of a vector in a new index.
        package internal(set) var dimensions = 0
        /// What a new index is embedded in; see `docs/operations.md`.
        package internal(set) var precision = VectorPrecision.automatic
        /// Bytes of the vectors of queries that a server keeps.
        package internal(set) var cacheBytes = 0
        /// The folder with the model's IR and vocabulary; empty = looked for in `.deps/model`.
        package internal(set) var modelDirectory = ""
        /// A server that embeds in place of the folder's model; empty = none. May hold a secret.
        package internal(set) var url = SecretURL("")
        /// What that server calls its model.
        package internal(set) var name = ""
        /// A secret: never print it.
        package internal(set) var key = ""
        /// A file with that secret; empty = none.
        package internal(set) var keyFile = ""
        /// Texts and tokens (estimated) of one request to it.
        package internal(set) var batchTexts = 0
        package internal(set) var batchTokens = 0
        /// Requests to it at most; 0 = what it says itself.
        package internal(set) var requestsPerMinute = 0
        /// How long it has for a request.
        package internal(set) var timeoutMilliseconds = 0
    }
}

extension Settings.Embedding: SettingsSection {
    package static let table: [Setting] = model + server

    private static let model: [Setting] = [
        Setting(
            "EMBED_ENABLED", .models, default: "true", .bool, \.embedding.isEnabled,
            "Whether documents are embedded. Without, search is lexical only."),
        Setting(
            // pgvector has no index over vectors of more.
            "EMBED_DIMS", .models, default: "384", .integer(1...4_000), \.embedding.dimensions,
            "Numbers of a vector in a new index: those that the model gives, or its first ones; more end the start of whatever embeds or "
                + "searches. An index that has vectors is followed; `medallion replay --dimensions` makes others."
        ),
        Setting(
            "EMBED_PRECISION", .models, default: "auto", .choice, \.embedding.precision,
            "What the model computes in for a new index: float (bfloat16 where the processor is fast at it), int8, or auto, which is "
                + "float. An index that has vectors is followed; `medallion replay --model` makes others."
        ),
        Setting(
            "EMBED_CACHE_BYTES", .models, default: "16777216", .integer(0...1_099_511_627_776), \.embedding.cacheBytes,
            "Memory for the vectors of queries that were asked before, in each server. 0: none are kept."),
        Setting(
            "MODEL_DIR", .models, default: "", .text("folder"), \.embedding.modelDirectory,
            "The folder with the model's IR and vocabulary. Empty: looked for in `.deps/model`."),
    ]

    private static let server: [Setting] = [
        Setting(
            "EMBED_URL", .models, default: "", .optionalSecretURL, \.embedding.url,
            "A server that speaks OpenAI's `/embeddings` (OpenAI, vLLM, Ollama, llama.cpp), up to `/v1`; it embeds documents "
                + "and queries, which leave the machine then, unless it is this one. `EMBED_MODEL` and `EMBED_DIMS` go with "
                + "it. Empty: the model of `MODEL_DIR` embeds.",
            shown: Redaction.url),
        Setting(
            "EMBED_MODEL", .models, default: "", .text("name"), \.embedding.name,
            "What that server calls the model. It is a part of the vectors' name: another one makes another index."),
        Setting(
            "EMBED_API_KEY", .models, default: "", .headerValue, \.embedding.key,
            "The key that is sent to it. Never printed.", shown: Redaction.secret),
        Setting(
            "EMBED_API_KEY_FILE", .models, default: "", .text("file"), \.embedding.keyFile,
            "A file with that key, read at the start, in place of `EMBED_API_KEY`."),
        Setting(
            "EMBED_BATCH_TEXTS", .models, default: "256", .integer(1...2_048), \.embedding.batchTexts,
            "Texts of one request to it at most. OpenAI takes 2,048."),
        Setting(
            "EMBED_BATCH_TOKENS", .models, default: "100000", .integer(256...10_000_000), \.embedding.batchTokens,
            "Tokens of one request to it at most, by an estimate of three bytes a token; a longer text goes alone."),
        Setting(
            "EMBED_REQUESTS_PER_MINUTE", .models, default: "0", .integer(0...1_000_000), \.embedding.requestsPerMinute,
            "Requests to it in a minute at most. 0: as many as its replies allow (`Retry-After`, `x-ratelimit-…`)."),
        Setting(
            "EMBED_TIMEOUT_MS", .models, default: "60000", .integer(100...600_000), \.embedding.timeoutMilliseconds,
            "How long it has for a request; a search waits 5 s at most for its query's vector."),
    ]
}

/// What the model of a new index computes in.
package enum VectorPrecision: String, Sendable, CaseIterable {
    /// As the index is; float for a new one.
    case automatic = "auto"
    case float
    /// 8-bit matrices.
    case int8
}
