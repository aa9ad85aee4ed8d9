import Retrieval

/// How many rows one search reads at most, whatever its filter and however large the index is.
package struct SearchBounds: Sendable, Hashable {
    /// Passages that are all compared where a filter leaves no more, at about 4 µs each; beyond, the graph is asked first.
    package var narrow = 50_000
    /// Passages that are all compared where the graph led to too few, or an exact answer is wanted.
    package var wide = 100_000
    /// Passages for each of which common words are looked up where a filter leaves no more.
    package var narrowWords = 9_000
    /// Postings of one form of a word that give candidates, the newest ones, and about as many of all words together.
    package var wordRows = 3_000
    /// The same where these led to too few that are seen and pass the filter.
    package var wordRowsAgain = 20_000
    /// Vectors that wait for the graph and are all compared, the newest ones, at about 2 µs each; who writes lets fewer wait.
    package var waiting = 60_000
    /// Documents that are counted.
    package var counted = SearchLimits.countedMax
    /// Postings that are read to count documents, the newest ones.
    package var countedRows = 100_000
    /// Documents that are looked at whether they are seen and pass, to be counted.
    package var lookedAt = 50_000

    package init() {}

    /// For a second look, where the first one found too few.
    var widened: SearchBounds {
        var bounds = self
        bounds.narrow = wide
        return bounds
    }

    /// Part of the names of statements, of which the server tells 63 bytes apart; nil for the usual bounds.
    var name: String? {
        guard self != SearchBounds() else { return nil }
        let numbers = [narrow, wide, narrowWords, wordRows, wordRowsAgain, waiting, counted, countedRows, lookedAt]
        return String(StableHash.of(Array("\(numbers)".utf8)) & 0xFFFF, radix: 16)
    }
}
