import CStemmer

/// The languages that words can be reduced to stems in.
package enum StemLanguages {
    /// What texts of no known language are stemmed as: the wikis of all languages, whose language is `und`, are written
    /// mostly in English.
    package static let undetermined = "en"
    /// More languages than this of one list are not looked at.
    package static let countMax = 8

    /// The languages whose stems a document's words are found by.
    ///
    /// - Parameter language: ISO 639 code of the document's language; empty or `und` where it is not known.
    package static func ofDocument(_ language: String) -> [String] {
        let known = canonical(language)
        if known.isEmpty || known == "und" || known == "mul" { return [undetermined] }
        return algorithms[known] == nil ? [] : [known]
    }

    /// The languages whose stems a query's words are looked up by.
    ///
    /// - Parameters:
    ///   - filter: the languages that a filter demands; `und` stands for texts of no known one.
    ///   - usual: the ones of queries without such a filter.
    package static func ofQuery(filter: [String], usual: [String]) -> [String] {
        var result: [String] = []
        for language in (filter.isEmpty ? usual : filter).flatMap(ofDocument) where !result.contains(language) {
            result.append(language)
        }
        return Array(result.prefix(countMax))
    }

    /// Codes of the languages that have stems, sorted.
    package static var all: [String] { algorithms.keys.sorted() }

    /// Without region or script, in lower case: `pt-BR` is `pt`.
    static func canonical(_ language: String) -> String {
        language.split(whereSeparator: { $0 == "-" || $0 == "_" }).first.map { $0.lowercased() } ?? ""
    }

    /// libstemmer's names by ISO 639-1 codes, and the codes of languages that are written so much alike that one algorithm
    /// serves them.
    static let algorithms: [String: String] = [
        "ar": "arabic", "ca": "catalan", "da": "danish", "de": "german", "el": "greek", "en": "english",
        "es": "spanish", "eu": "basque", "fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi",
        "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian",
        "nb": "norwegian", "ne": "nepali", "nl": "dutch", "nn": "norwegian", "no": "norwegian", "pt": "portuguese",
        "ro": "romanian", "ru": "russian", "sr": "serbian", "sv": "swedish", "ta": "tamil", "tr": "turkish",
        "yi": "yiddish",
    ]
}

/// One of libstemmer's algorithms. It keeps the last result, so it is not copyable.
private struct Stemmer: ~Copyable {
    private let stemmer: OpaquePointer

    init?(algorithm: String) {
        guard let stemmer = sb_stemmer_new(algorithm, nil) else { return nil }
        self.stemmer = stemmer
    }

    deinit { sb_stemmer_delete(stemmer) }

    /// Lends the stem of a case-folded word in UTF-8; an empty one where memory is out.
    func withStem<R>(of word: [UInt8], _ body: (UnsafeBufferPointer<UInt8>) -> R) -> R {
        let stem = sb_stemmer_stem(stemmer, word, Int32(word.count))
        return body(UnsafeBufferPointer(start: stem, count: stem == nil ? 0 : Int(sb_stemmer_length(stemmer))))
    }
}

/// The stemmers of one analyzer, each made when its language is first asked for.
struct Stemmers {
    private final class Slot {
        let stemmer: Stemmer

        init?(_ algorithm: String) {
            guard let stemmer = Stemmer(algorithm: algorithm) else { return nil }
            self.stemmer = stemmer
        }
    }

    private var slots: [String: Slot] = [:]
    private var chosen: [Slot] = []
    private var languages: [String] = []

    /// Takes the stemmers of `languages` for the words that follow; unknown languages have none.
    mutating func choose(_ languages: [String]) {
        guard languages != self.languages else { return }
        self.languages = languages
        chosen = []
        for language in languages.prefix(StemLanguages.countMax) {
            guard let algorithm = StemLanguages.algorithms[StemLanguages.canonical(language)] else { continue }
            guard let slot = slots[algorithm] ?? Slot(algorithm) else { continue }
            slots[algorithm] = slot
            if !chosen.contains(where: { $0 === slot }) { chosen.append(slot) }
        }
    }

    /// How many languages were chosen.
    var count: Int { chosen.count }

    /// Lends the stem in one of the chosen languages.
    func withStem<R>(_ index: Int, of word: [UInt8], _ body: (UnsafeBufferPointer<UInt8>) -> R) -> R {
        chosen[index].stemmer.withStem(of: word, body)
    }
}
