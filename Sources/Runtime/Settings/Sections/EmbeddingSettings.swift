extension Settings {
    /// The embedding of documents and queries.
    package struct Embedding: Sendable {
        /// Whether documents are embedded; without, search is lexical only.
        package internal(set) var isEnabled = false
        /// Dimensions of the embedding.
        package internal(set) var dimensions = 0
        /// What a new index is embedded in; see `docs/operations.md`.
        package internal(set) var precision = VectorPrecision.automatic
        /// Bytes of the vectors of queries that a server keeps.
        package internal(set) var cacheBytes = 0
        /// The folder with the model's IR and vocabulary; empty = looked for in `.deps/model`.
        package internal(set) var modelDirectory = ""
    }
}

extension Settings.Embedding: SettingsSection {
    package static let table: [Setting] = [
        Setting(
            "EMBED_ENABLED", .models, default: "true", .bool, \.embedding.isEnabled,
            "Whether documents are embedded. Without, search is lexical only."),
        Setting(
            // pgvector has no index over vectors of more.
            "EMBED_DIMS", .models, default: "384", .integer(1...4_000), \.embedding.dimensions,
            "Dimensions of the embedding: those of the model. Another number ends the start of whatever embeds or searches."
        ),
        Setting(
            "EMBED_PRECISION", .models, default: "auto", .choice, \.embedding.precision,
            "What the model computes in: float (bfloat16 where the processor is fast at it), int8, or auto, which is that of the "
                + "index, and float for a new one. Another than the index's ends the start."
        ),
        Setting(
            "EMBED_CACHE_BYTES", .models, default: "16777216", .integer(0...1_099_511_627_776), \.embedding.cacheBytes,
            "Memory for the vectors of queries that were asked before, in each server. 0: none are kept."),
        Setting(
            "MODEL_DIR", .models, default: "", .text("folder"), \.embedding.modelDirectory,
            "The folder with the model's IR and vocabulary. Empty: looked for in `.deps/model`."),
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
