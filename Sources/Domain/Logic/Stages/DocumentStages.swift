import Bytes
import Records

/// What a document passes between its mapping and the index, as its source declares. Unless something is declared, all pass.
package struct DocumentStages: Sendable, Equatable {
    /// Records that are about nothing, by what one of their fields says, such as the canaries of a stream; sorted by place.
    package private(set) var passesOver: [PassedOver]
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

    /// Fields that ``passesOver`` may name.
    package static let passedOverMax = 8

    package init(
        passesOver: [PassedOver] = [], textCharactersMin: Int = 0, nearDuplicates: NearDuplicateWindow.Limits? = nil,
        detectsLanguage: Bool = false,
        reputation: Double = 1
    ) {
        self.passesOver = passesOver.sorted { $0.path < $1.path }
        self.textCharactersMin = textCharactersMin
        self.nearDuplicates = nearDuplicates
        self.detectsLanguage = detectsLanguage
        self.reputation = reputation
    }

    /// Whether a text in UTF-8 has too few Unicode scalars.
    func isTooShort(_ text: [UInt8]) -> Bool {
        // A scalar has four bytes at most.
        guard textCharactersMin > 0, text.count < 4 * textCharactersMin else { return false }
        return text.count { $0 & 0xC0 != 0x80 } < textCharactersMin
    }

    /// Writes what is declared: logic without stages keeps the fingerprint that it had before there were any.
    func write(to json: inout JSONWriter) {
        if detectsLanguage { json.bool("detects_language", true) }
        if let nearDuplicates {
            json.integer("near_duplicates_distance", nearDuplicates.distance)
            json.integer("near_duplicates_milliseconds", nearDuplicates.milliseconds)
            json.integer("near_duplicates_offsets", nearDuplicates.offsets)
        }
        if !passesOver.isEmpty {
            json.key("passes_over")
            json.beginObject()
            for field in passesOver {
                json.key(dynamic: field.path.text)
                switch field.value {
                case .text(let text): json.string(text)
                case .integer(let number): json.integer(number)
                case .bool(let flag): json.bool(flag)
                }
            }
            json.endObject()
        }
        if reputation != 1 { json.double("reputation", reputation) }
        if textCharactersMin > 0 { json.integer("text_characters_min", textCharactersMin) }
    }
}

/// A place in a record, and the value there that says that the record is about nothing.
package struct PassedOver: Sendable, Equatable {
    /// What a field says.
    package enum Value: Sendable, Equatable {
        case text(String)
        case integer(Int64)
        case bool(Bool)

        /// For people.
        var words: String {
            switch self {
            case .text(let text): "“\(text)”"
            case .integer(let number): "\(number)"
            case .bool(let flag): flag ? "true" : "false"
            }
        }
    }

    /// Where it stands.
    package let path: FieldPath
    /// What stands there.
    package let value: Value

    package init(_ path: FieldPath, _ value: Value) {
        self.path = path
        self.value = value
    }

    func matches(_ field: FieldValue) -> Bool {
        switch (value, field.kind) {
        case (.text(let text), .string): field.text.elementsEqual(text.utf8)
        case (.integer(let number), .integer): field.integer == number
        case (.bool(let flag), .bool): (field.integer != 0) == flag
        default: false
        }
    }
}

/// Lets a logic find languages without knowing the library. A pure function: the same text has the same language in every replay.
package protocol LanguageFinder: Sendable {
    /// The ISO 639 code of the language of a text in UTF-8; nil where it is not sure.
    func language(of text: [UInt8]) -> String?
}
