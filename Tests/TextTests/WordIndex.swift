import Glibc
import Text

/// A word index in memory, as simple as it can be: postings, Okapi BM25, a title's best text.
struct WordIndex {
    private var postings: [String: [Posting]] = [:]
    private var lengths: [Int] = []
    private var titles: [String] = []

    private struct Posting {
        var document: Int
        var count: Int
    }

    mutating func add(_ words: [TextWord], title: String) {
        var counts: [String: Int] = [:]
        for word in words {
            counts[word.exact, default: 0] += 1
            for form in word.forms { counts[form, default: 0] += 1 }
        }
        for (term, count) in counts {
            postings[term, default: []].append(Posting(document: titles.count, count: count))
        }
        lengths.append(words.count)
        titles.append(title)
    }

    /// How well each text fits.
    private func scores(of query: TextQuery) -> [Int: Double] {
        let mean = Double(lengths.reduce(0, +)) / Double(max(lengths.count, 1))
        var scores: [Int: Double] = [:]
        for word in query.words + query.phrases.flatMap(\.words) {
            for (document, score) in values(of: word, mean: mean) { scores[document, default: 0] += score }
        }
        for word in query.excludedWords {
            for alternative in word.alternatives {
                for posting in postings[alternative.term] ?? [] { scores[posting.document] = nil }
            }
        }
        return scores
    }

    /// The titles of the best texts. Words in a title count once more: a page is meant rather than those that link to it.
    ///
    /// - Parameter titleIndex: the titles alone, in the same order.
    func search(_ query: TextQuery, titleIndex: WordIndex, limit: Int) -> [String] {
        let titleScores = titleIndex.scores(of: query)
        var best: [String: Double] = [:]
        for (document, score) in scores(of: query) {
            let score = score + (titleScores[document] ?? 0)
            best[titles[document]] = max(best[titles[document]] ?? 0, score)
        }
        return best.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(limit).map(\.key)
    }

    /// The best of a word's alternatives counts; its bigrams count where all are there.
    private func values(of word: QueryWord, mean: Double) -> [Int: Double] {
        var scores: [Int: Double] = [:]
        for alternative in word.alternatives {
            for (document, score) in self.scores(of: alternative.term, mean: mean) {
                scores[document] = max(scores[document] ?? 0, alternative.weight * score)
            }
        }
        guard let first = word.bigrams.first else { return scores }
        var together = self.scores(of: first, mean: mean)
        for bigram in word.bigrams.dropFirst() {
            let more = self.scores(of: bigram, mean: mean)
            together = together.reduce(into: [:]) { result, entry in
                if let score = more[entry.key] { result[entry.key] = entry.value + score }
            }
        }
        for (document, score) in together {
            let mean = score / Double(word.bigrams.count)
            scores[document] = max(scores[document] ?? 0, QueryWeight.bigram * mean)
        }
        return scores
    }

    private func scores(of term: String, mean: Double) -> [Int: Double] {
        guard let list = postings[term] else { return [:] }
        let rarity = log(1 + (Double(titles.count - list.count) + 0.5) / (Double(list.count) + 0.5))
        var scores: [Int: Double] = [:]
        for posting in list {
            let count = Double(posting.count)
            let length = Double(lengths[posting.document]) / mean
            scores[posting.document] = rarity * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * length))
        }
        return scores
    }
}
