/// How a search finds its candidates.
package enum SearchMode: String, Sendable, CaseIterable {
    /// Both arms, fused by reciprocal rank.
    case hybrid
    /// Nearest vectors only.
    case vector
    /// Full text only.
    case lexical
}

/// Which documents a search may return. Every list is a set of alternatives; an empty list does not filter.
/// Both arms apply all of it, so that a filter never thins out the candidates after the fact.
package struct SearchFilters: Sendable, Hashable {
    /// Database names such as `enwiki`.
    package var wikis: [String] = []
    /// Language codes such as `en`, `und` where the wiki has none.
    package var languages: [String] = []
    /// Event types such as `edit`, `new`.
    package var types: [String] = []
    /// Only bots, only people, or both.
    package var isBot: Bool?
    /// Event time at or after, milliseconds since 1970.
    package var fromMilliseconds: Int64?
    /// Event time before, milliseconds since 1970.
    package var toMilliseconds: Int64?
    /// One collection such as `wikimedia.recentchange`, or all.
    package var collection: String?

    package init() {}
}

/// One search as asked, after its form was checked.
package struct SearchRequest: Sendable, Hashable {
    package var query: String
    /// Hits per page.
    package var topK: Int
    package var mode: SearchMode
    package var filters: SearchFilters
    /// Where to go on, from an earlier reply.
    package var cursor: SearchCursor?

    package init(
        query: String, topK: Int = SearchLimits.topKDefault, mode: SearchMode = .hybrid,
        filters: SearchFilters = SearchFilters(), cursor: SearchCursor? = nil
    ) {
        self.query = query
        self.topK = topK
        self.mode = mode
        self.filters = filters
        self.cursor = cursor
    }
}

/// Bounds of what one request may ask for.
package enum SearchLimits {
    package static let topKDefault = 10
    package static let topKMax = 100
    /// Characters (Unicode scalars) of a query; a longer one is a document, not a question.
    package static let queryCharactersMax = 2_000
    /// Alternatives in one filter.
    package static let filterValuesMax = 100
    /// Characters of one filter value.
    package static let filterCharactersMax = 255
    /// Candidates that each arm gives. The same for every request and page: a pool that grew with the page would
    /// change ranks, and with them the order, from one page to the next.
    package static let candidatesPerArm = 100
    package static let answerTokensDefault = 200
    package static let answerTokensMax = 2_000
}
