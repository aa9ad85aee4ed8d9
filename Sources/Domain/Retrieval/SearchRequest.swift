/// How a search finds its candidates.
package enum SearchMode: String, Sendable, CaseIterable {
    /// Both arms, fused by reciprocal rank.
    case hybrid
    /// Nearest vectors only.
    case vector
    /// Full text only.
    case lexical
}

/// One search as asked, after its form was checked.
package struct SearchRequest: Sendable, Hashable {
    package var query: String
    /// Hits per page.
    package var topK: Int
    package var mode: SearchMode
    package var filter: Filter
    /// Where to go on, from an earlier reply.
    package var cursor: SearchCursor?

    package init(
        query: String, topK: Int = SearchLimits.topKDefault, mode: SearchMode = .hybrid,
        filter: Filter = .all, cursor: SearchCursor? = nil
    ) {
        self.query = query
        self.topK = topK
        self.mode = mode
        self.filter = filter
        self.cursor = cursor
    }
}

/// Bounds of what one request may ask for.
package enum SearchLimits {
    package static let topKDefault = 10
    package static let topKMax = 100
    /// Characters (Unicode scalars) of a query; a longer one is a document, not a question.
    package static let queryCharactersMax = 2_000
    /// Candidates that each arm gives. The same for every request and page: a pool that grew with the page would
    /// change ranks, and with them the order, from one page to the next.
    package static let candidatesPerArm = 100
    package static let answerTokensDefault = 200
    package static let answerTokensMax = 2_000
}
