import Postgres
import Retrieval
import Text

/// How BM25 weighs: see `WordArmSQL`.
package struct WordRanking: Sendable, Equatable {
    /// How soon more of a word adds little; 0 counts each word once.
    package var k1: Double
    /// How much a long passage's words count less: 0 not at all, 1 in proportion.
    package var b: Double

    package init(k1: Double = 1.2, b: Double = 0.75) {
        self.k1 = k1
        self.b = b
    }
}

/// The words of a query as the word arm looks them up: each by several forms, of which the best counts.
struct WordLookup: Sendable {
    /// Forms of one kind for one word.
    struct Forms: Sendable {
        private(set) var forms: [String] = []
        /// The word that each form stands for, from 0.
        private(set) var places: [Int32] = []
        /// What each form counts in thousandths, or the word's ``Demand``.
        private(set) var numbers: [Int32] = []
        private(set) var count: Int32 = 0

        mutating func append(_ word: [(form: String, number: Int32)]) {
            guard !word.isEmpty else { return }
            for (form, number) in word {
                forms.append(IndexText.clean(form))
                places.append(count)
                numbers.append(number)
            }
            count += 1
        }

        /// Word by word.
        var grouped: [[(form: String, number: Int32)]] {
            var words = [[(form: String, number: Int32)]](repeating: [], count: Int(count))
            for index in forms.indices { words[Int(places[index])].append((forms[index], numbers[index])) }
            return words
        }
    }

    /// Whether the number of a demanded form says that passages must not have it.
    static func isExcluding(_ number: Int32) -> Bool { number & Demand.isNotThere > 0 }
    /// Whether it says that only titles count.
    static func isOfTitle(_ number: Int32) -> Bool { number & Demand.isInTitle > 0 }

    /// What is demanded of a passage, as bits.
    private enum Demand {
        static let isThere: Int32 = 0
        static let isNotThere: Int32 = 1
        static let isInTitle: Int32 = 2
    }

    /// The name of the one field that words can be looked for in.
    static let titleField = "title"
    /// Forms that a prefix stands for at most.
    static let expansionsMax = 32
    /// Prefixes of one query that are looked up.
    static let prefixesMax = 4

    /// What a question's "who" and "what" count beside its other words: in a collection of many languages, or of short texts, they
    /// are rare, and would outweigh the name that is asked about.
    private static let functionWordShare = 0.3

    /// By what passages are ranked.
    private(set) var ranked = Forms()
    /// What they must have, or not have, to be found at all, by either arm.
    private(set) var demanded = Forms()
    /// What else is to be looked at in their texts.
    private(set) var phrases: [(phrase: QueryPhrase, isExcluded: Bool)] = []
    let ranking: WordRanking
    /// Whether there were more words than are looked up.
    private(set) var isCut = false

    init(ranking: WordRanking = WordRanking()) { self.ranking = ranking }

    /// - Parameter expansions: of the query's prefixes, in their order, wanted ones before excluded ones.
    init(_ query: TextQuery, expansions: [[String]], ranking: WordRanking) {
        self.ranking = ranking
        isCut = query.isCut
        var seen: Set<String> = []
        let words = query.words + query.phrases.flatMap(\.words)
        let hasContent = words.contains { !Words.functionWords.contains($0.text) }
        for word in words {
            guard let first = word.alternatives.first, seen.insert(first.term).inserted else { continue }
            let isLittle = hasContent && Words.functionWords.contains(word.text)
            rank(word, share: isLittle ? Self.functionWordShare : 1)
        }
        for word in query.words where word.field == Self.titleField && !word.isExtra {
            demand(word, Demand.isInTitle)
        }
        for phrase in query.phrases {
            let demanded = phrase.field == Self.titleField ? Demand.isInTitle : Demand.isThere
            for word in phrase.words { demand(word, demanded) }
            phrases.append((phrase, false))
        }
        for word in query.excludedWords { exclude(word.alternatives.map(\.term), field: word.field) }
        phrases += query.excludedPhrases.map { ($0, true) }
        let prefixes = query.prefixes.map { ($0, false) } + query.excludedPrefixes.map { ($0, true) }
        if prefixes.count > expansions.count { isCut = true }
        for ((prefix, isExcluded), found) in zip(prefixes, expansions) {
            if found.count > Self.expansionsMax { isCut = true }
            let forms = Array(found.prefix(Self.expansionsMax))
            if isExcluded {
                exclude(forms, field: prefix.field)
                continue
            }
            ranked.append(forms.map { ($0, 1_000) })
            if prefix.field == Self.titleField { demanded.append(forms.map { ($0, Demand.isInTitle) }) }
        }
    }

    private mutating func rank(_ word: QueryWord, share: Double) {
        let worth = share * QueryWeight.repeated(word.frequency)
        ranked.append(word.alternatives.map { ($0.term, Self.thousandths(worth * $0.weight)) })
        // Inside of another word: each of its bigrams adds its share.
        let part = worth * QueryWeight.bigram / Double(max(1, word.bigrams.count))
        for bigram in word.bigrams { ranked.append([(bigram, Self.thousandths(part))]) }
    }

    private static func thousandths(_ weight: Double) -> Int32 { Int32((weight * 1_000).rounded()) }

    private mutating func demand(_ word: QueryWord, _ demand: Int32) {
        // Bigrams are there wherever the word is.
        guard word.bigrams.isEmpty else {
            for bigram in word.bigrams { demanded.append([(bigram, demand)]) }
            return
        }
        demanded.append(word.alternatives.map { ($0.term, demand) })
    }

    private mutating func exclude(_ forms: [String], field: String?) {
        let demand = Demand.isNotThere | (field == Self.titleField ? Demand.isInTitle : 0)
        demanded.append(forms.map { ($0, demand) })
    }

    /// The forms of each demand of which a passage must have one.
    var wanted: [[String]] {
        var forms = [[String]](repeating: [], count: Int(demanded.count))
        for index in demanded.forms.indices where demanded.numbers[index] & Demand.isNotThere == 0 {
            forms[Int(demanded.places[index])].append(demanded.forms[index])
        }
        return forms.filter { !$0.isEmpty }
    }

    /// Whether a passage holds what is wanted of phrases, and nothing of those that are excluded.
    func allows(title: String, text: String, _ analyzer: TextAnalyzer) -> Bool {
        guard !phrases.isEmpty else { return true }
        let title = analyzer.words(of: title, languages: [])
        let text = analyzer.words(of: text, languages: [])
        return phrases.allSatisfy { phrase, isExcluded in
            let isThere =
                analyzer.holds(phrase, in: title) || phrase.field == nil && analyzer.holds(phrase, in: text)
            return isThere != isExcluded
        }
    }
}

/// Words that begin in some way, those of most passages first, and one more than are looked up.
struct ExpandPrefix: PostgresStatement {
    /// Words that are looked at, in the order of their characters.
    static let wordsMax = 500
    static let name = "expand_prefix"
    static let sql = """
        SELECT w.text FROM (
            SELECT w.id, w.text FROM words w WHERE w.tenant = $1 AND w.text >= $2 AND w.text < $3 ORDER BY w.text
            LIMIT \(wordsMax)
        ) w
        ORDER BY (
            SELECT coalesce(sum(c.passages), 0) FROM word_counts c
            WHERE c.generation = (SELECT generation FROM active_generation) AND c.word_id = w.id) DESC, w.text
        LIMIT \(WordLookup.expansionsMax + 1)
        """
    static let parameterTypes: [PostgresType] = [.text, .text, .text]
    let tenant: String
    let prefix: String
    func bind(into parameters: inout PostgresParameters) {
        let prefix = IndexText.clean(prefix)
        parameters.append(tenant)
        parameters.append(prefix)
        parameters.append(prefix + "\u{10FFFF}")
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> String { try row.text(0) }
}

extension WordLookup {
    /// The words of a query.
    ///
    /// - Parameters:
    ///   - analyzer: cuts the query's text.
    ///   - languages: those that it is taken to be in where the filter names none.
    ///   - expand: the words that begin in some way, as ``ExpandPrefix`` finds them.
    init<Failure>(
        of query: CandidateQuery, by analyzer: TextAnalyzer, usual languages: [String], ranking: WordRanking,
        expand: (String) throws(Failure) -> [String]
    ) throws(Failure) {
        let syntax = QuerySyntax(query.text, fields: CandidateQuery.fields)
        let asked = analyzer.query(
            syntax,
            languages: query.languages ?? StemLanguages.ofQuery(filter: query.filter.languages, usual: languages)
        )
        var expansions: [[String]] = []
        for prefix in (asked.prefixes + asked.excludedPrefixes).prefix(Self.prefixesMax) {
            expansions.append(try expand(prefix.prefix))
        }
        self.init(asked, expansions: expansions, ranking: ranking)
    }
}
