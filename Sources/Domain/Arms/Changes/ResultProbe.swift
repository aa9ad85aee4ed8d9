import Bytes
import CVectorScan
import Glibc
package import Retrieval

/// What of a result tells whether it still holds once documents were shown and hidden: whether a new one would be among what the
/// result shows, by what both arms would make of it.
///
/// It lets no new document pass that a search would show; it may give up a result that a search would find again. Each arm's
/// place of a new document is at best what the arm's known scores leave, and what is shown counts less with each that passed.
package struct ResultProbe: Sendable {
    /// A word of the query, as ``WordCounts`` counted it.
    package struct Word: Sendable {
        fileprivate var forms: [(hash: UInt64, weight: Double)]
        /// Passages that have its most common form: when it was searched, and at most by now.
        fileprivate var before: Double
        fileprivate var now: Double
    }

    /// What is shown, and how it was searched.
    package struct Shown: Sendable, Equatable {
        /// The numbers of its passages.
        package var passages: Set<Int64>
        /// Places of what is shown.
        package var places: [RankedPassage]
        /// Whether more could be shown than was found, so that whatever an arm finds is shown, too.
        package var isShort: Bool
        /// The first so many of an arm are shown wherever the fused ranking has them.
        package var depth = 0

        package init(passages: Set<Int64>, places: [RankedPassage], isShort: Bool) {
            self.passages = passages
            self.places = places
            self.isShort = isShort
        }
    }

    private let filter: Filter
    /// What of it is shown.
    package let shown: Shown
    private let fusion: FusionWeights
    private let isPlain: Bool
    private let vector: (numbers: [Float], scale: Float)?
    /// The arm's scores, best first.
    private let vectorScores: [Float]
    private let vectorLimit: Int
    private let lexicalScores: [Double]
    private let lexicalLimit: Int
    private let math: (k1: Double, b: Double)
    private var words: [Word]
    /// Passages when it was searched, and their words on average; nil where the scores are not those of these counts, so that
    /// one word in common is enough.
    private let totals: (passages: Double, length: Double)?
    /// Whether not all words are known that the query stands for.
    private let isOpen: Bool
    /// New passages that an arm finds, and that are not shown.
    private var passed = 0
    /// All that the arms found.
    private let found: Set<Int64>

    private static let passedMax = 64

    /// - Parameters:
    ///   - query: as it was searched.
    ///   - places: all that the arms found.
    ///   - counts: of the query's words, when it was searched; nil where that is not known.
    ///   - isPlain: whether the arms alone decide the ranking.
    ///   - isOpen: whether not all words are known that the query stands for.
    package init(
        _ query: ArmsQuery, found places: [RankedPassage], shown: Shown, counts: WordCounts?, isPlain: Bool,
        isOpen: Bool
    ) {
        filter = query.filter
        self.shown = shown
        fusion = query.fusion
        self.isPlain = isPlain
        self.isOpen = isOpen
        vector = query.vectorLimit > 0 ? query.vector.map(Self.rounded) : nil
        found = Set(places.map(\.passageID))
        vectorLimit = query.vectorLimit
        lexicalLimit = query.lexicalLimit
        vectorScores = places.compactMap { $0.vector.map { Float($0.score) } }.sorted(by: >)
        lexicalScores = places.compactMap { $0.lexical?.score }.sorted(by: >)
        math = (query.k1, query.b)
        totals = counts.map { ($0.passages, $0.length) }
        words = query.words.enumerated().map { place, forms in
            let count = counts?.words[place] ?? 0
            return Word(
                forms: forms.map { (LoggedWord.hash($0.form.utf8), $0.weight) }, before: count, now: count)
        }
    }

    /// Memory that it takes, roughly.
    package var bytes: Int {
        512 + filter.encoding.count + 4 * ((vector?.numbers.count ?? 0) + vectorScores.count) + 8 * lexicalScores.count
            + 48 * shown.places.count + 16 * (shown.passages.count + found.count)
            + words.reduce(0) { $0 + 48 + 16 * $1.forms.count }
    }

    /// As ``VectorArm`` compares it.
    private static func rounded(_ vector: [Float]) -> (numbers: [Float], scale: Float) {
        let numbers = vector.map { HalfFloat.value(HalfFloat.bits($0)) }
        let squares = numbers.reduce(Float(0)) { $0 + $1 * $1 }
        return (numbers, squares > 0 ? 1 / squares.squareRoot() : 0)
    }

    /// Whether the result holds after a change; changes are to be given in their order.
    package mutating func holds(after change: LoggedChange) -> Bool {
        switch change {
        case .hidden(let passages):
            // What stood behind one that is gone moves up in that arm, and may come onto the page.
            return !passages.contains { found.contains($0) || shown.passages.contains($0) }
        case .shown(let document):
            note(document)
            guard filter.matches(document) else { return true }
            return !isOpen && holds(beside: document)
        }
    }

    /// Every document counts for how rare words are, whether it passes the filter or not.
    private mutating func note(_ document: LoggedDocument) {
        for place in words.indices {
            let number = document.passages.count { passage in
                words[place].forms.contains { passage.word($0.hash) != nil }
            }
            words[place].now += Double(number)
        }
    }

    private mutating func holds(beside document: LoggedDocument) -> Bool {
        let sunk = sunk(by: document)
        let near = document.passages.map { vectorRank(of: $0) }
        let worded = document.passages.map { lexicalRank(of: $0, document, sunk) }
        let number = zip(near, worded).count { $0 != nil || $1 != nil }
        guard number > 0 else { return true }
        passed += number
        guard isPlain, !shown.isShort, passed <= Self.passedMax else { return false }
        let (vector, lexical) = (near.compactMap(\.self).min(), worded.compactMap(\.self).min())
        if vector ?? .max <= shown.depth || lexical ?? .max <= shown.depth { return false }
        let best =
            fusion.vectorShare(of: vector.map { ArmPlace(rank: $0, score: 0) })
            + fusion.lexicalShare(of: lexical.map { ArmPlace(rank: $0, score: 0) })
        return shown.places.allSatisfy { leastShare(of: $0, sunk) > best }
    }

    /// What a place that is shown counts at least by now: below all that passed, and below those whose words count about as much
    /// and may have come before it as rarities shifted.
    private func leastShare(of place: RankedPassage, _ sunk: Double) -> Double {
        let vector = place.vector.map { ArmPlace(rank: $0.rank + passed, score: $0.score) }
        let lexical = place.lexical.map { lexical in
            let near =
                Self.count(in: lexicalScores) { $0 > lexical.score * sunk * sunk }
                - Self.count(in: lexicalScores) { $0 > lexical.score }
            return ArmPlace(rank: lexical.rank + passed + near, score: lexical.score)
        }
        // What sinks below an arm's candidates is no longer found by it.
        return fusion.vectorShare(of: vector.flatMap { $0.rank <= vectorLimit ? $0 : nil })
            + fusion.lexicalShare(of: lexical.flatMap { $0.rank <= lexicalLimit ? $0 : nil })
    }

    // MARK: Arms

    /// The place that the vector arm gives a passage at best; nil for none.
    private func vectorRank(of passage: LoggedPassage) -> Int? {
        guard let vector, passage.halves.count == vector.numbers.count else { return nil }
        let score = cvs_dot(passage.halves, vector.numbers, vector.numbers.count) * passage.scale * vector.scale
        return rank(Self.count(in: vectorScores) { $0 > score }, limit: vectorLimit)
    }

    /// The place that the word arm gives a passage at best; nil for none.
    private func lexicalRank(of passage: LoggedPassage, _ document: LoggedDocument, _ sunk: Double) -> Int? {
        guard lexicalLimit > 0 else { return nil }
        let all = WordArm.Totals(passages: document.passageCount, length: document.lengthMean, k1: math.k1, b: math.b)
        var score = 0.0
        for word in words {
            let found = word.forms.compactMap { form in passage.word(form.hash).map { ($0, form.weight) } }
            // Of the forms that it has: with more passages the word would count less.
            guard let count = found.map({ Double($0.0.passages) }).max() else { continue }
            guard totals != nil else { return 1 }
            let idf = Self.rarity(of: count, among: document.passageCount)
            score += found.reduce(0) { best, one in
                max(best, WordMath(all, weight: one.1, idf: idf).share(UInt64(one.0.weight)))
            }
        }
        guard score > 0 else { return nil }
        return rank(Self.count(in: lexicalScores) { $0 * sunk > score }, limit: lexicalLimit)
    }

    /// Behind so many of those that are known.
    private func rank(_ before: Int, limit: Int) -> Int? { before < limit ? before + 1 : nil }

    /// What is left at least of a known score of the word arm: its words may be less rare by now, and passages shorter on average.
    private func sunk(by document: LoggedDocument) -> Double {
        guard let totals else { return 1 }
        let rarity = words.reduce(1.0) { least, word in
            min(
                least,
                Self.rarity(of: word.now, among: document.passageCount)
                    / Self.rarity(of: word.before, among: totals.passages))
        }
        return rarity * min(1, document.lengthMean / totals.length)
    }

    /// As ``WordArm`` reckons it.
    private static func rarity(of count: Double, among passages: Double) -> Double {
        log(1 + max(passages - count + 0.5, 0.5) / (count + 0.5))
    }

    /// How many of the first ones are above something, in a list that falls.
    private static func count<Number>(in falling: [Number], _ isAbove: (Number) -> Bool) -> Int {
        var (low, high) = (0, falling.count)
        while low < high {
            let middle = (low + high) / 2
            if isAbove(falling[middle]) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

/// How many passages have each word of a query, and what all passages are like, at one moment.
package struct WordCounts: Sendable {
    /// Of each word's most common form.
    var words: [Double]
    var passages: Double
    var length: Double
    /// How far the changes were.
    package var place: ChangePlace
}

extension ArmsIndex {
    /// Counts a query's words; nil where that would have to wait for a change, or words are counted among some passages only.
    package func countsAtOnce(of query: ArmsQuery) -> WordCounts? {
        lock.tryReading { () -> WordCounts? in
            guard query.filter.scope.collections?.count != 1 || state.collectionCount <= 1 else { return nil }
            let totals = state.totals(of: nil)
            let passages = Double(max(totals.passages, 1))
            return WordCounts(
                words: query.words.map { forms in
                    Double(forms.compactMap { state.words.number(of: $0.form) }.map(state.words.count).max() ?? 0)
                },
                passages: passages, length: max(Double(totals.words) / passages, 1), place: state.place)
        } ?? nil
    }
}
