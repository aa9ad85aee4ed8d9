import Records

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
    /// A generation to look in that need not be promoted, for comparisons; nil for the active one.
    package var generation: Int64?
    /// What the arms' rankings count; nil: as it is set for all.
    package var weights: ArmWeights?
    /// What else decides the ranking.
    package var options = RankingOptions()
    /// What the hits are to be like; ``query`` is empty then.
    package var like: LikeTarget?
    /// Whether hits say what their scores are made of.
    package var isExplained = false
    /// How long the search may take, where that is less than the server's own limit.
    package var timeoutMilliseconds: Int?
    /// The index version that must be visible.
    package var indexVersionMin: Int64?
    /// Whether all passages that pass the filter are compared with the query's vector, instead of those that the graph leads to.
    package var isExact = false
    /// Candidates that a search in the graph keeps, 1 to ``SearchLimits/efMax``; nil for as many as are configured.
    package var ef: Int?
    /// What is counted beside; nil for nothing.
    package var counted: CountedAttributes?
    /// Whether the number of documents is to be told, beside those of values.
    package var wantsTotal = false
    /// What of the question as asked became a part of ``filter``; nil where nothing did, and ``query`` is as asked.
    package var interpretation: Interpretation?
    /// The query as it was typed, where tests that it named are a part of ``filter`` now.
    package var typed: String?
    /// The moment from which relative times of the question and ages of events are reckoned; nil where there are none.
    package var referenceMilliseconds: Int64?
    /// The moment as of which it is searched; nil for now.
    package var past: PastMoment?

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

    /// The question as it was asked.
    package var asked: String { typed ?? interpretation?.asked ?? query }
}

extension SearchRequest {
    /// The request with what its question names made a part of its filter, as far as the request's own filters leave that
    /// open and the collections that are asked declare it.
    ///
    /// A further page is read as the first one was: its cursor says from which moment "the last hour" is reckoned.
    package func interpreted(_ declared: DeclaredAttributes, nowMilliseconds: Int64) -> SearchRequest {
        let tested = Set((filter.must + filter.mustNot).map(\.attribute))
        let hasTime = filter.time.from != nil || filter.time.to != nil
        let collections = filter.scope.collections
        let interpreter = QuestionInterpreter(
            nowMilliseconds: cursor?.referenceMilliseconds ?? nowMilliseconds,
            isOpen: { attribute in
                if tested.contains(attribute) || (attribute == .eventTime && hasTime) { return false }
                // A wiki has one domain, so that a test of that says which wiki.
                if attribute == .wiki && tested.contains(.domain) { return false }
                let wanted: AttributeType = attribute == .eventTime ? .time : .string
                return declared.declarations(of: attribute, in: collections).contains {
                    $0.isFilterable && $0.type == wanted
                }
            })
        let read = interpreter.interpret(query)
        guard !read.parts.isEmpty else { return self }
        var request = self
        request.query = read.query
        request.filter = read.narrow(filter)
        request.interpretation = read
        if read.isRelative { request.referenceMilliseconds = interpreter.referenceMilliseconds }
        return request
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
    /// Documents of one ranking: what both arms give.
    package static let rankedMax = 2 * candidatesPerArm
    /// Candidates that a search in the graph keeps at most.
    package static let efMax = 1_000
    /// Documents that are counted exactly; beyond, it is said that there are more.
    package static let countedMax = 10_000
    /// Attributes whose values are counted in one search.
    package static let facetsMax = 8
    /// Values of one of them that are given.
    package static let facetValuesMax = 20
    package static let answerTokensDefault = 200
    package static let answerTokensMax = 2_000
}
