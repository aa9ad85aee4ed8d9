/// From when on a passage counts as saying what a sentence says.
///
/// Chosen on sentences made from generated passages (`SupportTests`): quotes, paraphrases that keep the facts, and lies that
/// change one of them. The hard rules (numbers, units, dates, names, negation, direction) have no threshold.
package struct SupportThresholds: Sendable, Equatable {
    /// Share of the sentence's content words that the passage has.
    package var coverageMin = 0.55
    /// The same in scripts without capitals, where names cannot be told from other words: all of them.
    package var coverageCaselessMin = 1.0
    /// Below this cosine of sentence and passage nothing is supported, where there are vectors.
    package var cosineMin = 0.35
    /// From this cosine on ``coverageBesideMin`` is enough.
    package var cosineStrong = 0.70
    package var coverageBesideMin = 0.34

    package init() {}

    /// - Parameter cosineShift: by how much cosines are larger than of the vectors that the others were chosen with.
    private init(cosineShift: Double) {
        cosineMin += cosineShift
        cosineStrong += cosineShift
    }

    /// Thresholds that were measured for a model of embeddings and a collection; the first one that fits counts. Vectors of
    /// models that nobody measured are not believed: words decide alone.
    ///
    /// Of MiniLM's first 256 numbers cosines are 0.017 larger than of all 384 (the sentences of `SupportTests` in 479 pairs, deviation 0.03), so 2
    /// in a hundred fall on the other side of ``cosineMin``; in int8 none does. Of fewer numbers they say too little.
    private static let measured: [(model: String, collection: String?, thresholds: SupportThresholds)] = [
        ("all-MiniLM-L6-v2/384/", nil, SupportThresholds()),
        ("all-MiniLM-L6-v2/256/", nil, SupportThresholds(cosineShift: 0.017)),
    ]

    /// - Returns: also whether cosines of that model count.
    package static func of(model: String?, collection: String) -> (thresholds: SupportThresholds, hasCosine: Bool) {
        let found = measured.first { entry in
            (model?.contains(entry.model) ?? false) && (entry.collection ?? collection) == collection
        }
        return (found?.thresholds ?? SupportThresholds(), found != nil)
    }
}
