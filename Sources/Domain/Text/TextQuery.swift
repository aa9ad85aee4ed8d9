/// A word of a query: the terms that it is looked up by.
package struct QueryWord: Sendable, Hashable {
    /// A term, and what finding it is worth beside finding the exact form, which is worth 1.
    package struct Alternative: Sendable, Hashable {
        package var term: String
        package var weight: Double

        package init(_ term: String, _ weight: Double) {
            self.term = term
            self.weight = weight
        }
    }

    /// Its exact form; of a compound's whole, that form without its mark.
    package var text: String
    /// UTF-8 offsets in the query; of a compound's whole, those of its first part.
    package var range: Range<Int>
    /// Place among the query's words, as in ``TextWord``.
    package var position: Int
    /// Each term once, the most valuable first. A text has the word if it has any of these; the best of them counts.
    package var alternatives: [Alternative]
    /// A text that has all of these has the word, too, inside of another one: the bigrams of a word of more than two
    /// characters in a script without spaces, worth ``QueryWeight/bigram``. Else empty.
    package var bigrams: [String]
    /// A compound's whole beside its parts, the parts of camel case beside their word, words that stand together without
    /// spaces. It adds to the rank; a text that lacks it may still have the query's words.
    package var isExtra: Bool
    /// The field that has to have it; nil for anywhere.
    package var field: String?
    /// How often the query has it, also behind the words that are looked up.
    package var frequency = 1
}

/// What the kinds of terms are worth.
package enum QueryWeight {
    package static let exact = 1.0
    package static let whole = 0.9
    package static let folded = 0.8
    package static let stem = 0.7
    package static let bigram = 0.6
    /// One ideograph inside of a longer word.
    package static let ideograph = 0.4
    /// Parts of camel case that the query wrote as one word.
    package static let part = 0.5
    /// How soon a word that the query repeats counts no more: k3 of BM25, as Okapi had it at TREC-3 (Robertson and others,
    /// 1994).
    private static let k3 = 8.0

    /// What a word counts that a query has so often: what it is about is what a long one repeats.
    package static func repeated(_ frequency: Int) -> Double {
        (k3 + 1) * Double(frequency) / (k3 + Double(frequency))
    }
}

/// Words that have to follow one another.
package struct QueryPhrase: Sendable, Hashable {
    /// In order, without extra ones. Their positions say how far apart they are.
    package var words: [QueryWord]
    package var field: String?
    /// What ``TextAnalyzer/holds(_:in:)`` looks for.
    var key: [UInt8]
    var isOpenBefore: Bool
    var isOpenBehind: Bool
}

/// The beginning of words.
package struct QueryPrefix: Sendable, Hashable {
    /// What exact forms have to begin with.
    package var prefix: String
    package var field: String?
}

/// A query as the word index is asked it.
package struct TextQuery: Sendable, Hashable {
    /// Words of one query that are looked up; the rest is ignored, see ``isCut``.
    package static let wordsMax = 32
    /// Bigrams of one word.
    package static let bigramsMax = 12

    /// Words that texts are ranked by.
    package var words: [QueryWord] = []
    /// Each has to be in the text.
    package var phrases: [QueryPhrase] = []
    package var prefixes: [QueryPrefix] = []
    /// None of these may be in the text, not even with other accents.
    package var excludedWords: [QueryWord] = []
    package var excludedPhrases: [QueryPhrase] = []
    package var excludedPrefixes: [QueryPrefix] = []
    /// Whether the query had more words than are looked up.
    package var isCut = false

    /// Whether nothing is left that a text could be found by.
    package var isEmpty: Bool { words.isEmpty && phrases.isEmpty && prefixes.isEmpty }
}

extension TextAnalyzer {
    /// What a query is looked up by.
    ///
    /// - Parameter languages: those whose stems are tried, see ``StemLanguages/ofQuery(filter:usual:)``.
    package func query(_ syntax: QuerySyntax, languages: [String]) -> TextQuery {
        var query = TextQuery()
        var left = TextQuery.wordsMax
        for clause in syntax.clauses {
            var words = queryWords(of: clause.text, languages: languages)
            for index in words.indices {
                words[index].range = words[index].range.moved(by: clause.start)
                words[index].field = clause.field
            }
            if words.count > left {
                query.isCut = true
                words.removeLast(words.count - left)
            }
            left -= words.count
            add(words, of: clause, to: &query)
        }
        return query
    }

    /// The words of a query that has no syntax.
    package func queryWords(of text: String, languages: [String]) -> [QueryWord] {
        var result: [QueryWord] = []
        var seen: Set<String> = []
        func take(_ word: QueryWord) {
            let key = (word.isExtra ? "+" : "") + word.alternatives[0].term
            if seen.insert(key).inserted { result.append(word) }
        }
        let words = self.words(of: text, languages: languages)
        var counts: [String: Int] = [:]
        for word in words { counts[word.exact, default: 0] += 1 }
        var runEnd = 0
        for (index, word) in words.enumerated() {
            if index >= runEnd {
                runEnd = unspacedRun(words, from: index)
                if runEnd - index > 1 { take(wholeRun(words[index..<runEnd])) }
            }
            let isPart = index > 0 && words[index - 1].position == word.position
            let isInRun = runEnd > index + 1 || index > 0 && isNeighbour(words[index - 1], word)
            var found = alternatives(of: word, isPart: isPart, isInRun: isInRun)
            found[0].frequency = counts[word.exact] ?? 1
            for word in found { take(word) }
            // One more than are looked up shows that the query is cut.
            if result.count > TextQuery.wordsMax { break }
        }
        return result
    }

    /// Where the words end that stand at `start` without a space between them, in a script that has none.
    private func unspacedRun(_ words: [TextWord], from start: Int) -> Int {
        var end = start + 1
        while end < words.count, isNeighbour(words[end - 1], words[end]) { end += 1 }
        return end
    }

    private func isNeighbour(_ word: TextWord, _ next: TextWord) -> Bool {
        word.range.upperBound == next.range.lowerBound && isUnspaced(word.exact) && isUnspaced(next.exact)
    }

    private func isIdeograph(_ exact: String) -> Bool {
        exact.unicodeScalars.first.map { table.kind($0.value) } == .ideograph
    }

    private func isUnspaced(_ exact: String) -> Bool {
        let kind = exact.unicodeScalars.first.map { table.kind($0.value) }
        return kind == .ideograph || kind == .unspaced
    }

    /// Dictionaries cut what they do not know into pieces that mean nothing alone, and each text in its own way: the words
    /// count more where they stand together.
    private func wholeRun(_ words: ArraySlice<TextWord>) -> QueryWord {
        var exact = ""
        for word in words where exact.utf8.count <= TextTerm.bytesMax { exact += word.exact }
        let clusters = unspacedClusters(of: exact)
        var alternatives = [QueryWord.Alternative(exact, QueryWeight.exact)]
        if clusters.count == 2 { alternatives.append(.init(TextTerm.marked(.bigram, exact), QueryWeight.bigram)) }
        return QueryWord(
            text: exact, range: words[words.startIndex].range.lowerBound..<words[words.endIndex - 1].range.upperBound,
            position: words[words.startIndex].position, alternatives: alternatives, bigrams: bigrams(of: clusters),
            isExtra: true, field: nil)
    }

    private func bigrams(of clusters: [String]) -> [String] {
        guard clusters.count > 2 else { return [] }
        return zip(clusters, clusters.dropFirst()).map { TextTerm.marked(.bigram, $0 + $1) }
            .uniqued(upTo: TextQuery.bigramsMax)
    }

    private func add(_ words: [QueryWord], of clause: QuerySyntax.Clause, to query: inout TextQuery) {
        guard !words.isEmpty else { return }
        switch (clause.kind, clause.isExcluded) {
        case (.words, false): query.words.append(contentsOf: words)
        case (.words, true): query.excludedWords.append(contentsOf: words.compactMap(\.withoutStems))
        case (.phrase, _):
            let phrase = phrase(of: clause, words: words)
            if clause.isExcluded { query.excludedPhrases.append(phrase) } else { query.phrases.append(phrase) }
        case (.prefix, _):
            let whole = words.filter { !$0.isExtra }
            guard let last = whole.last else { return }
            let prefix = QueryPrefix(prefix: last.text, field: clause.field)
            if clause.isExcluded {
                query.excludedPrefixes.append(prefix)
            } else {
                query.prefixes.append(prefix)
                query.words.append(contentsOf: whole.dropLast())
            }
        }
    }

    /// The word itself, then what is extra.
    ///
    /// - Parameter isInRun: whether it is a part of a longer run in a script without spaces.
    private func alternatives(of word: TextWord, isPart: Bool, isInRun: Bool) -> [QueryWord] {
        var alternatives = [QueryWord.Alternative(word.exact, QueryWeight.exact)]
        func add(_ term: String, _ weight: Double) {
            if !alternatives.contains(where: { $0.term == term }) { alternatives.append(.init(term, weight)) }
        }
        add(TextTerm.marked(.whole, word.exact), QueryWeight.whole)
        add(TextTerm.marked(.folded, word.exact), QueryWeight.folded)
        if stemmers.count > 0 { add(TextTerm.marked(.stem, word.exact), QueryWeight.stem) }
        var wholes: [Substring] = []
        for form in word.forms {
            let bare = form.dropFirst(2)
            switch TextTerm.mark(of: form) {
            case .folded:
                add(form, QueryWeight.folded)
                add(String(bare), QueryWeight.folded)
            case .stem:
                add(form, QueryWeight.stem)
                add(String(bare), QueryWeight.stem)
            case .whole: wholes.append(bare)
            case .bigram, nil: break
            }
        }
        let clusters = unspacedClusters(of: word.exact)
        if !clusters.isEmpty {
            // Neither accents nor stems, and no whole: a bigram is all that an index has beside the exact form.
            alternatives.removeLast(alternatives.count - 1)
            if clusters.count == 2 { add(TextTerm.marked(.bigram, word.exact), QueryWeight.bigram) }
            if clusters.count == 1 { add(TextTerm.marked(.bigram, word.exact), QueryWeight.ideograph) }
        }
        // A single sign that is no ideograph is found as a word alone, and texts may have it inside of others.
        let isFragment = isInRun && clusters.count == 1 && !isIdeograph(word.exact)
        if isPart { for index in alternatives.indices { alternatives[index].weight *= QueryWeight.part } }
        alternatives.sort { $0.weight > $1.weight }
        let main = QueryWord(
            text: word.exact, range: word.range, position: word.position, alternatives: alternatives,
            bigrams: bigrams(of: clusters), isExtra: isPart || isFragment, field: nil)
        return [main] + extras(wholes, of: word)
    }

    /// A compound's wholes: one of what is held together tightly, one of a path or an address.
    private func extras(_ wholes: [Substring], of word: TextWord) -> [QueryWord] {
        let isPath: (Substring) -> Bool = { $0.utf8.contains { "/:@?=\\%".utf8.contains($0) } }
        return [wholes.filter { !isPath($0) }, wholes.filter(isPath)].compactMap { forms in
            guard let first = forms.first else { return nil }
            var alternatives = [QueryWord.Alternative(TextTerm.marked(.whole, first), QueryWeight.exact)]
            for form in forms.dropFirst() {
                alternatives.append(.init(TextTerm.marked(.whole, form), QueryWeight.whole))
            }
            // Written as one word it may stand in a text as such.
            for form in forms where !form.unicodeScalars.contains(where: { isJoiner($0) }) {
                alternatives.append(.init(String(form), QueryWeight.whole))
            }
            return QueryWord(
                text: String(first), range: word.range, position: word.position, alternatives: alternatives,
                bigrams: [], isExtra: true, field: nil)
        }
    }

    private func isJoiner(_ scalar: Unicode.Scalar) -> Bool { table.kind(scalar.value).isOutside }

    /// The characters of a word in a script without spaces or in Hangul, marks with their letters; else none.
    func unspacedClusters(of exact: String) -> [String] {
        guard let first = exact.unicodeScalars.first else { return [] }
        switch table.kind(first.value) {
        case .hangul, .ideograph, .unspaced: break
        default: return []
        }
        var clusters: [String] = []
        for scalar in exact.unicodeScalars {
            if clusters.isEmpty || table.kind(scalar.value) != .mark {
                clusters.append(String(scalar))
            } else {
                clusters[clusters.count - 1].unicodeScalars.append(scalar)
            }
        }
        return clusters
    }
}

// MARK: Phrases

extension TextAnalyzer {
    /// Whether a text has the words of a phrase one after the other. Case, accents and the punctuation between them do not
    /// matter; in a script without spaces it may begin and end anywhere.
    ///
    /// - Parameter words: the text's, or a field's.
    package func holds(_ phrase: QueryPhrase, in words: [TextWord]) -> Bool {
        guard !phrase.key.isEmpty else { return false }
        let text = key(of: words).bytes
        let (key, separator) = (phrase.key, Self.separator)
        guard text.count >= key.count else { return false }
        for start in 0...(text.count - key.count) where text[start] == key[0] {
            let end = start + key.count
            guard text[start..<end].elementsEqual(key) else { continue }
            let begins = phrase.isOpenBefore || start == 0 || text[start - 1] == separator
            let isEnd = phrase.isOpenBehind || end == text.count || text[end] == separator
            if begins && isEnd { return true }
        }
        return false
    }

    private static let separator: UInt8 = 0x1F

    private func phrase(of clause: QuerySyntax.Clause, words: [QueryWord]) -> QueryPhrase {
        let key = key(of: self.words(of: clause.text, languages: []))
        return QueryPhrase(
            words: words.filter { !$0.isExtra }, field: clause.field, key: key.bytes, isOpenBefore: key.beginsUnspaced,
            isOpenBehind: key.endsUnspaced)
    }

    /// The words without accents, parted unless they are neighbours in a script without spaces.
    private func key(of words: [TextWord]) -> (bytes: [UInt8], beginsUnspaced: Bool, endsUnspaced: Bool) {
        var bytes: [UInt8] = []
        var beginsUnspaced = false
        var last: (position: Int, end: Int, isUnspaced: Bool)?
        for word in words where word.position != last?.position {
            let isUnspaced = isUnspaced(word.exact)
            if let last, !(last.isUnspaced && isUnspaced && last.end == word.range.lowerBound) {
                bytes.append(Self.separator)
            }
            if last == nil { beginsUnspaced = isUnspaced }
            let folded = word.forms.first { $0.hasPrefix(TextTerm.Mark.folded.rawValue) }
            bytes.append(contentsOf: folded.map { Array($0.utf8.dropFirst(2)) } ?? Array(word.exact.utf8))
            last = (word.position, word.range.upperBound, isUnspaced)
        }
        return (bytes, beginsUnspaced, last?.isUnspaced ?? false)
    }
}

extension QueryWord {
    /// For exclusion: who excludes `running` does not mean `run`. Nil for what is extra.
    fileprivate var withoutStems: QueryWord? {
        guard !isExtra else { return nil }
        var word = self
        word.alternatives.removeAll { alternative in
            alternative.weight <= QueryWeight.stem && TextTerm.mark(of: alternative.term) != .bigram
        }
        return word
    }
}

extension Range<Int> {
    fileprivate func moved(by distance: Int) -> Range<Int> { lowerBound + distance..<upperBound + distance }
}

extension [String] {
    fileprivate func uniqued(upTo limit: Int) -> [String] {
        var result: [String] = []
        for element in self where !result.contains(element) {
            if result.count == limit { break }
            result.append(element)
        }
        return result
    }
}
