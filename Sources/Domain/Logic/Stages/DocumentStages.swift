import Bytes

/// What a document passes between its mapping and the index, as its source declares. Unless something is declared, all pass.
package struct DocumentStages: Sendable, Equatable {
    /// Documents whose text has fewer Unicode scalars are left out; 0 keeps all.
    package var textCharactersMin: Int
    /// Documents whose text is that of another one, or nearly so, are left out; nil keeps all.
    package var nearDuplicates: NearDuplicateWindow.Limits?
    /// Whether the language is found where the source tells none.
    package var detectsLanguage: Bool
    /// What the scores of the source's documents are multiplied by, unless a search says otherwise.
    package var reputation: Double

    /// What ``textCharactersMin`` may be.
    package static let textCharactersBounds: ClosedRange<Int64> = 0...10_000
    /// What ``reputation`` may be.
    package static let reputationBounds: ClosedRange<Double> = 0.1...10

    package init(
        textCharactersMin: Int = 0, nearDuplicates: NearDuplicateWindow.Limits? = nil, detectsLanguage: Bool = false,
        reputation: Double = 1
    ) {
        self.textCharactersMin = textCharactersMin
        self.nearDuplicates = nearDuplicates
        self.detectsLanguage = detectsLanguage
        self.reputation = reputation
    }

    /// Writes what is declared: logic without stages keeps the fingerprint that it had before there were any.
    func write(to json: inout JSONWriter) {
        if detectsLanguage { json.bool("detects_language", true) }
        if let nearDuplicates {
            json.integer("near_duplicates_distance", nearDuplicates.distance)
            json.integer("near_duplicates_milliseconds", nearDuplicates.milliseconds)
            json.integer("near_duplicates_offsets", nearDuplicates.offsets)
        }
        if reputation != 1 { json.double("reputation", reputation) }
        if textCharactersMin > 0 { json.integer("text_characters_min", textCharactersMin) }
    }
}

/// Lets a logic find languages without knowing the library. A pure function: the same text has the same language in every replay.
package protocol LanguageFinder: Sendable {
    /// The ISO 639 code of the language of a text in UTF-8; nil where it is not sure.
    func language(of text: [UInt8]) -> String?
}
