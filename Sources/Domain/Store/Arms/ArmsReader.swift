import Arms
package import Retrieval
import Text

/// Searches in memory on the thread that asks, where all of a search is there: both arms, and what hits show. It takes some
/// milliseconds at most and waits for no database, so nobody needs a lane for it. All else is an ``ArmedStore``'s.
package final class ArmsReader: Sendable {
    private let shared: SharedArms
    private let model: String
    private let ranking: WordRanking
    private let languages: [String]
    private let analyzers = TextAnalyzers()

    /// Beyond so many vectors a search takes longer than a task may hold a thread that others share.
    private static let vectorsMax = 200_000

    /// - Parameters:
    ///   - shared: the arms, which others keep up to date.
    ///   - model: name of the model that embeds the queries; empty where none does.
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

    /// See ``ArmedStore/candidates(for:timeoutMilliseconds:)``; nil where it takes more than what is in memory, or cannot be done
    /// at all, which the store says.
    package func candidates(for query: CandidateQuery) -> CandidateSet? {
        let (held, outcome) = shared.current(of: query.filter.scope.tenant)
        guard let held, outcome == .memory, query.vectorScan != .exact, held.canAnswer(query, model: model),
            held.index.keepsRows, held.index.vectors.count <= Self.vectorsMax
        else { return nil }
        let looked = try? analyzers.withAnalyzer { analyzer in
            WordLookup(of: query, by: analyzer, usual: languages, ranking: ranking) {
                held.words(beginningWith: $0)
            }
        }
        guard let words = looked, words.phrases.isEmpty else { return nil }
        let found = held.index.search(ArmsQuery(query, words))
        guard let rows = found.rows else { return nil }
        shared.note(.memory)
        return held.set(of: found, rows: rows, for: query, words, isStale: false)
    }
}
