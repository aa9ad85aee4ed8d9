import Postgres
import Text

/// The words of some passages as arrays that the database takes: see `medallion_put_words` of the migrations.
struct PassageWords: Sendable {
    /// Words of each passage, title and text.
    private(set) var lengths: [Int32] = []
    /// Each form once.
    private(set) var words: [String] = []
    /// Postings: the passage's place among ``lengths`` and the word's among ``words``, both from 1, and the frequencies.
    private(set) var postingPlaces: [Int32] = []
    private(set) var postingWords: [Int32] = []
    private(set) var weights: [Int32] = []

    private var numbers: [String: Int32] = [:]

    /// Number of this way of making postings: that of cutting, and one for the terms of attributes.
    static let version = Int32(TextAnalyzer.version) << 8 | 1

    /// Frequencies that a weight can say.
    private static let frequencyMax: Int32 = 255
    private static let lengthMax: Int32 = 32_767
    /// Words of a title and of a text that are indexed: titles and passages are far shorter, whatever a source says.
    private static let wordsMax = 2_000

    /// Adds the next passage.
    ///
    /// - Parameters:
    ///   - title: of its document; its words are each passage's, too.
    ///   - text: the passage's own.
    ///   - attributes: terms of its document's attributes; they have no frequency, so that no word's weight changes.
    mutating func add(title: [TextWord], text: [TextWord], attributes: [String] = []) {
        let (title, text) = (title.prefix(Self.wordsMax), text.prefix(Self.wordsMax))
        let place = Int32(clamping: lengths.count + 1)
        // Parts of a compound stand where it stands.
        let length = min(Int32(clamping: Self.length(title) + Self.length(text)), Self.lengthMax)
        lengths.append(length)
        var frequencies: [Int32: (text: Int32, title: Int32)] = [:]
        for word in title {
            for number in numbers(of: word) { frequencies[number, default: (0, 0)].title += 1 }
        }
        for word in text {
            for number in numbers(of: word) { frequencies[number, default: (0, 0)].text += 1 }
        }
        for term in attributes { frequencies[number(of: term), default: (0, 0)].text += 0 }
        for (number, frequency) in frequencies {
            postingPlaces.append(place)
            postingWords.append(number)
            weights.append(
                min(frequency.text, Self.frequencyMax) | min(frequency.title, Self.frequencyMax) << 8 | length << 16)
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

    /// Of all forms of a word, each once.
    private mutating func numbers(of word: TextWord) -> Set<Int32> {
        var found: Set<Int32> = []
        if !word.exact.isEmpty { found.insert(number(of: word.exact)) }
        for form in word.forms { found.insert(number(of: form)) }
        return found
    }

    private mutating func number(of form: String) -> Int32 {
        if let known = numbers[form] { return known }
        let number = Int32(clamping: words.count + 1)
        numbers[form] = number
        words.append(IndexText.clean(form))
        return number
    }
}

extension PassageWords {
    /// The number of the way of cutting, lengths, words, postings.
    static let types: [PostgresType] = [.int4, .int4Array, .textArray, .int4Array, .int4Array, .int4Array]

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(Self.version)
        bindArrays(into: &parameters)
    }

    func bindArrays(into parameters: inout PostgresParameters) {
        parameters.append(lengths)
        parameters.append(words)
        parameters.append(postingPlaces)
        parameters.append(postingWords)
        parameters.append(weights)
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

extension PassageWords {
    /// The words of documents' passages, in their order.
    init(_ documents: some Sequence<IndexedDocument>, cutBy analyzer: TextAnalyzer) {
        self.init()
        for document in documents where !document.passages.isEmpty {
            let languages = StemLanguages.ofDocument(document.document.lang)
            let gold = document.document
            let title = analyzer.words(of: gold.title, languages: languages)
            let attributes = AttributeTerm.all(
                collection: gold.collection.text, language: gold.lang, gold.attributes)
            for passage in document.passages {
                add(
                    title: title, text: analyzer.words(of: passage.text, languages: languages), attributes: attributes)
            }
        }
    }

    /// The words of passages that are in the index.
    init(_ passages: some Sequence<ListUncutPassages.Row>, cutBy analyzer: TextAnalyzer) {
        self.init()
        for passage in passages {
            let languages = StemLanguages.ofDocument(passage.language)
            add(
                title: analyzer.words(of: passage.title, languages: languages),
                text: analyzer.words(of: passage.text, languages: languages),
                attributes: AttributeTerm.all(
                    collection: passage.collection, language: passage.language, passage.attributes))
        }
    }
}
