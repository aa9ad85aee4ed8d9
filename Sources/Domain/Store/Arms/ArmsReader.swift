import Arms
package import Retrieval
import Text

/// Searches in memory on the thread that asks, where all of a search is there (both arms, and what hits show) and it takes some
/// milliseconds at most. It waits neither for a database nor for a change of the arms, so nobody needs a lane for it. All else
/// is an ``ArmedStore``'s.
package final class ArmsReader: Sendable {
    let shared: SharedArms
    private let model: String
    /// How the word arm weighs.
    package let ranking: WordRanking
    let languages: [String]
    let analyzers = TextAnalyzers()

    /// Beyond so many vectors or passages a search takes longer than a task may hold a thread that others share.
    private static let countMax = 200_000
    /// Bytes of documents that are unpacked for one page.
    private static let rowBytesMax = 4 << 20
    /// One document in so many may lack what hits show; where more do, most pages would meet one.
    private static let rowlessShare = 16

    /// - Parameters:
    ///   - shared: the arms, which others keep up to date.
    ///   - model: name of the model of vectors of which queries do not say it; empty where none embeds them.
    ///   - ranking: how the word arm weighs.
    ///   - languages: ISO codes of the languages that queries are taken to be in where filters name none.
    package init(
        shared: SharedArms, model: String = "", ranking: WordRanking = WordRanking(),
        languages: [String] = [StemLanguages.undetermined]
    ) {
        self.shared = shared
        self.model = model
        self.ranking = ranking
        self.languages = languages
    }

    /// Whether ``candidates(for:)`` may find what a query asks for, as far as is known without looking. Takes and waits for
    /// next to nothing.
    package func mayAnswer(_ query: CandidateQuery) -> Bool { answering(query) != nil }

    /// See ``ArmedStore/candidates(for:timeoutMilliseconds:)``; nil where it takes more than what is in memory, or longer than is
    /// bounded, or would have to wait for a change, or cannot be done at all, which the store says.
    package func candidates(for query: CandidateQuery) -> CandidateSet? {
        guard let held = answering(query) else { return nil }
        let looked = try? analyzers.withAnalyzer { analyzer in
            try? WordLookup(of: query, by: analyzer, usual: languages, ranking: ranking) {
                guard let words = held.wordsAtOnce(beginningWith: $0) else { throw Changing() }
                return words
            }
        }
        // Demanded words are looked up in as many passages as have them, whatever else is asked.
        guard let words = looked, words.phrases.isEmpty, words.demanded.count == 0 else { return nil }
        var asked = ArmsQuery(query, words)
        asked.rowBytesMax = Self.rowBytesMax
        guard let found = held.index.searchAtOnce(asked), let rows = found.rows else { return nil }
        shared.note(.memory)
        return held.set(of: found, rows: rows, for: query, words, isStale: false)
    }

    private struct Changing: Error {}

    private func answering(_ query: CandidateQuery) -> SharedArms.Held? {
        let (held, outcome) = shared.current(of: query.filter.scope.tenant)
        // Of a page of some documents it is known how many rows are read; what else decides a ranking is asked of all.
        guard let held, outcome == .memory, query.vectorScan != .exact, query.documentLimit != nil,
            query.options.isPlain, held.canAnswer(query, model: query.vectorModel ?? model),
            Self.isQuick(held.index.extent)
        else { return nil }
        return held
    }

    /// Whether searches in arms are quick enough for a thread that others share, and find what hits show.
    static func isQuick(_ extent: ArmsExtent) -> Bool {
        guard let rows = extent.rows, max(extent.vectors, extent.passages) <= countMax else { return false }
        return (extent.documents - rows) * rowlessShare <= extent.documents
    }
}
