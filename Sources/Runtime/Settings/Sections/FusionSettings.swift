extension Settings {
    /// How the rankings of a search's arms become one.
    package struct Fusion: Sendable {
        /// What a place in the vector arm's ranking counts.
        package internal(set) var vectorWeight = 0.0
        /// What a place in the word arm's ranking counts.
        package internal(set) var lexicalWeight = 0.0
        /// How little the first places count more than the next.
        package internal(set) var rankConstant = 0.0
    }
}

extension Settings.Fusion: SettingsSection {
    package static let table: [Setting] = [
        Setting(
            "FUSION_VECTOR_WEIGHT", .database, default: "1.25", .number(0.001...100), \.fusion.vectorWeight,
            "What a place in the vector arm's ranking counts when both are fused. A request may say otherwise (`weights`)."
        ),
        Setting(
            "FUSION_LEXICAL_WEIGHT", .database, default: "1", .number(0.001...100), \.fusion.lexicalWeight,
            "The same for the word arm."),
        Setting(
            "FUSION_RANK_CONSTANT", .database, default: "20", .number(1...1_000), \.fusion.rankConstant,
            "The constant k of reciprocal rank fusion: place r counts 1 / (k + r). The larger it is, the less the first places "
                + "count more than the next."),
    ]
}
