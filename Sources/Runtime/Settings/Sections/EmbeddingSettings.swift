extension Settings {
    /// The embedding of documents and queries.
    package struct Embedding: Sendable {
        /// Whether documents are embedded; without, search is lexical only.
        package internal(set) var isEnabled = false
        /// Dimensions of the embedding.
        package internal(set) var dimensions = 0
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
            "MODEL_DIR", .models, default: "", .text("folder"), \.embedding.modelDirectory,
            "The folder with the model's IR and vocabulary. Empty: looked for in `.deps/model`."),
    ]
}
