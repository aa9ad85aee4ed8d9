import Arms
import Records
import Retrieval

/// Searching in memory, shared by ``ArmedStore`` on a lane and ``ArmsReader`` in place.
extension SharedArms.Held {
    /// Whether a search asks for nothing that memory does not do, phrases apart, which its words tell.
    ///
    /// - Parameter model: of the query's vector.
    func canAnswer(_ query: CandidateQuery, model: String) -> Bool {
        // Whether a generation that is not served may be read is told by the database alone: memory may be a moment behind.
        !query.readsCandidate && query.page == nil && query.indexVersion == nil && query.ef == nil
            && query.counted == nil
            && query.generation ?? generation == generation
            && query.indexVersionMin ?? 0 <= index.version
            && !query.filter.encoding.contains(Self.nullEscape)
            && (query.vector == nil || query.vectorLimit == 0 || isComparable(query, model))
    }

    /// Postgres' texts cannot hold U+0000, and what it compares in its place is its own matter.
    private static let nullEscape = Array("\\u0000".utf8)

    /// Comparing all of very many vectors would hold up those who search and those who follow.
    static let comparedMax = 200_000

    private func isComparable(_ query: CandidateQuery, _ model: String) -> Bool {
        let extent = index.extent
        return modelName == model && query.vector?.count == extent.dimensions
            && (query.vectorScan != .exact || extent.vectors <= Self.comparedMax)
    }

    /// The words that a prefix stands for.
    func words(beginningWith prefix: String) -> [String] {
        index.words(
            beginningWith: IndexText.clean(prefix), among: ExpandPrefix.wordsMax, limit: WordLookup.expansionsMax + 1)
    }

    /// As ``words(beginningWith:)``; nil where it would have to wait for a change.
    func wordsAtOnce(beginningWith prefix: String) -> [String]? {
        index.wordsAtOnce(
            beginningWith: IndexText.clean(prefix), among: ExpandPrefix.wordsMax, limit: WordLookup.expansionsMax + 1)
    }

    /// What was found, with what hits show of it.
    ///
    /// - Parameters:
    ///   - rows: of the first places.
    ///   - isStale: whether Postgres cannot be reached.
    func set(
        of found: ArmsFound, rows: [Candidate], for query: CandidateQuery, _ words: WordLookup, isStale: Bool
    ) -> CandidateSet {
        var rows = rows
        for index in rows.indices {
            (rows[index].vector, rows[index].lexical) = (found.places[index].vector, found.places[index].lexical)
            if query.documentLimit != nil { rows[index].copies = found.copies[index] }
        }
        var set = CandidateSet(
            candidates: rows, generation: generation, indexVersion: found.version, vectorCount: found.vectorCount,
            isLexicalBounded: found.isLexicalBounded || words.isCut)
        set.isVectorExact = found.isVectorExact
        set.statistics = found.statistics
        set.place = found.place
        set.rest = Array(found.places.dropFirst(rows.count))
        if isStale { set.ageMilliseconds = ageNanoseconds / 1_000_000 }
        return set
    }
}

extension ArmsQuery {
    init(_ query: CandidateQuery, _ words: WordLookup) {
        self.init(filter: query.filter)
        vector = query.vector
        vectorLimit = max(0, min(query.vectorLimit, SearchSQL.armLimit))
        lexicalLimit = max(0, min(query.lexicalLimit, SearchSQL.armLimit))
        excludedDocument = query.excludedDocument
        isExact = query.vectorScan == .exact
        wantsStatistics = query.wantsStatistics
        fusion = query.fusion
        (k1, b) = (words.ranking.k1, words.ranking.b)
        self.words = words.ranked.grouped.map { forms in forms.map { ($0.form, Double($0.number) / 1_000) } }
        demands = words.demanded.grouped.map { forms in
            Demand(
                forms: forms.map(\.form), isExcluded: forms.contains { WordLookup.isExcluding($0.number) },
                isInTitle: forms.contains { WordLookup.isOfTitle($0.number) })
        }
        isOfDocuments = query.documentLimit != nil
        // What else decides the ranking is asked of the documents themselves.
        rowsMax = query.options.isPlain ? max(0, query.documentLimit ?? .max) : .max
    }
}
