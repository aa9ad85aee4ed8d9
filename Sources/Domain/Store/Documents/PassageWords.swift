import Postgres
import Records
import Text

/// The words of a passage as they are written: each form once, with its weight. They can be made beside a write, which then need not
/// wait for them.
package struct PassageTerms: Sendable, Equatable {
    /// Words of title and text.
    private(set) var length: Int32
    private(set) var forms: [String] = []
    /// For each form, see `passage_terms.weights` of the migrations.
    private(set) var weights: [Int32] = []

    /// Frequencies that a weight can say.
    private static let frequencyMax: Int32 = 255
    private static let lengthMax: Int32 = 32_767
    /// Words of a title and of a text that are indexed: titles and passages are far shorter, whatever a source says.
    private static let wordsMax = 2_000

    /// - Parameters:
    ///   - title: of its document; its words are each passage's, too.
    ///   - text: the passage's own.
    ///   - attributes: terms of its document's attributes; they have no frequency, so that no word's weight changes.
    init(title: [TextWord], text: [TextWord], attributes: [String] = []) {
        let (title, text) = (title.prefix(Self.wordsMax), text.prefix(Self.wordsMax))
        // Parts of a compound stand where it stands.
        length = min(Int32(clamping: Self.length(title) + Self.length(text)), Self.lengthMax)
        var places: [String: Int] = [:]
        var frequencies: [(text: Int32, title: Int32)] = []
        func place(_ form: String) -> Int {
            let form = IndexText.clean(form)
            if let known = places[form] { return known }
            places[form] = forms.count
            forms.append(form)
            frequencies.append((0, 0))
            return forms.count - 1
        }
        for word in title { word.forEachForm { frequencies[place($0)].title += 1 } }
        for word in text { word.forEachForm { frequencies[place($0)].text += 1 } }
        for term in attributes { _ = place(term) }
        let length = length
        weights = frequencies.map {
            min($0.text, Self.frequencyMax) | min($0.title, Self.frequencyMax) << 8 | length << 16
        }
    }

    private static func length(_ words: ArraySlice<TextWord>) -> Int {
        var count = 0
        var last = -1
        for word in words where word.position != last {
            count += 1
            last = word.position
        }
        return count
    }
}

extension TextWord {
    /// All forms of the word, each once.
    fileprivate func forEachForm(_ body: (String) -> Void) {
        if !exact.isEmpty { body(exact) }
        guard forms.count > 1 else {
            if let form = forms.first, form != exact { body(form) }
            return
        }
        var seen: Set = [exact]
        for form in forms where seen.insert(form).inserted { body(form) }
    }
}

/// The words of some passages of a tenant as arrays that the database takes: see `medallion_put_words` of the migrations.
struct PassageWords: Sendable {
    /// Words of each passage, title and text.
    private(set) var lengths: [Int32] = []
    /// Each form once.
    private(set) var words: [String] = []
    /// The number of each that is known, 0 for others, from when ``removals`` had been counted.
    private(set) var knownNumbers: [Int32] = []
    let removals: Int64
    /// Rows of postings in the order of the known numbers: each word's place among ``words``, from 1, and how many postings there are
    /// up to the end of each row.
    private(set) var rowWords: [Int32] = []
    private(set) var rowEnds: [Int32] = []
    /// The rows' postings, the last passage of each row first: the passage's place among ``lengths``, from 1, and the word's weight.
    private(set) var postingPlaces: [Int32] = []
    private(set) var postingWeights: [Int32] = []
    /// Places of the first passage's words, the second's and so on, their weights, and where those of each passage end.
    private(set) var terms: [Int32] = []
    private(set) var termWeights: [Int32] = []
    private(set) var termEnds: [Int32] = []

    /// Postings of one row: more would be moved out of the row in Postgres' table.
    static let rowMax = 64

    /// Number of this way of making postings: that of cutting, and one for the terms of attributes.
    static let version = Int32(TextAnalyzer.version) << 8 | 1

    /// - Parameters:
    ///   - passages: in the order of their numbers in the index.
    ///   - known: of the passages' tenant.
    init(_ passages: some Sequence<PassageTerms>, known: KnownWords.OfTenant = KnownWords.OfTenant()) {
        removals = known.removals
        var places: [String: Int32] = [:]
        for passage in passages {
            lengths.append(passage.length)
            for form in passage.forms {
                if let place = places[form] {
                    terms.append(place)
                    continue
                }
                words.append(form)
                knownNumbers.append(known[form])
                let place = Int32(clamping: words.count)
                places[form] = place
                terms.append(place)
            }
            termWeights += passage.weights
            termEnds.append(Int32(clamping: terms.count))
        }
        order()
    }

    /// Sets the postings: terms are counted for each word, and put before those of the words behind, the last one first.
    private mutating func order() {
        var counts = [Int](repeating: 0, count: words.count)
        for term in terms { counts[Int(term) - 1] += 1 }
        var ends = counts
        var next = 0
        for word in words.indices.sorted(by: { knownNumbers[$0] < knownNumbers[$1] }) {
            for start in stride(from: 0, to: counts[word], by: Self.rowMax) {
                rowWords.append(Int32(clamping: word + 1))
                rowEnds.append(Int32(clamping: next + min(start + Self.rowMax, counts[word])))
            }
            next += counts[word]
            ends[word] = next
        }
        postingPlaces = [Int32](repeating: 0, count: terms.count)
        postingWeights = postingPlaces
        var passage = 0
        for (index, term) in terms.enumerated() {
            while index >= termEnds[passage] { passage += 1 }
            ends[Int(term) - 1] -= 1
            let place = ends[Int(term) - 1]
            postingPlaces[place] = Int32(clamping: passage + 1)
            postingWeights[place] = termWeights[index]
        }
    }
}

extension PassageWords {
    /// The number of the way of cutting, lengths, words and what is known of them, rows of postings, terms.
    static let types: [PostgresType] =
        [.int4, .int4Array, .textArray, .int4Array, .int8] + Array(repeating: .int4Array, count: 7)

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(Self.version)
        bindArrays(into: &parameters)
    }

    func bindArrays(into parameters: inout PostgresParameters) {
        parameters.append(lengths)
        parameters.append(words)
        parameters.append(knownNumbers)
        parameters.append(removals)
        parameters.append(rowWords)
        parameters.append(rowEnds)
        parameters.append(postingPlaces)
        parameters.append(postingWeights)
        parameters.append(terms)
        parameters.append(termWeights)
        parameters.append(termEnds)
    }
}

/// Cuts texts into words for one thread; ICU's tables are opened when they are first needed.
struct WordCutter {
    private var analyzer: TextAnalyzer?

    mutating func get() throws(IndexError) -> TextAnalyzer {
        if let analyzer { return analyzer }
        do throws(TextError) {
            let made = try TextAnalyzer()
            analyzer = made
            return made
        } catch {
            throw IndexError(
                .words, "texts cannot be cut into words: \(error)",
                hint: "look at the installation of ICU (`make setup`)")
        }
    }
}

extension TextAnalyzer {
    /// The words of a document's passages, in their order.
    func terms(of document: IndexedDocument) -> [PassageTerms] {
        guard !document.passages.isEmpty else { return [] }
        let gold = document.document
        let languages = StemLanguages.ofDocument(gold.lang)
        let title = words(of: gold.title, languages: languages)
        let attributes = AttributeTerm.all(
            collection: gold.collection.text, language: gold.lang, gold.attributes)
        return document.passages.map {
            PassageTerms(title: title, text: words(of: $0.text, languages: languages), attributes: attributes)
        }
    }

    /// The words of a passage that is in the index.
    func terms(of passage: ListUncutPassages.Row) -> PassageTerms {
        let languages = StemLanguages.ofDocument(passage.language)
        return PassageTerms(
            title: words(of: passage.title, languages: languages), text: words(of: passage.text, languages: languages),
            attributes: AttributeTerm.all(
                collection: passage.collection, language: passage.language, passage.attributes))
    }
}
