import Bytes
import Records
import Retrieval

/// The index knows which passages have all words of a phrase, and their texts say whether they follow one another. So more passages are
/// looked at than are wanted: as many as an arm gives, and ten times as many where that left too few.
extension SearchStore {
    /// Passages of the word arm that are looked at where a phrase leaves too few of them, or is counted.
    private static let phrasePassagesMax = 1_000

    /// The search again, over more passages, where the phrase left too few of the first ones; those where the time is not enough.
    ///
    /// - Parameter wanted: documents.
    func lookingFurther(
        _ search: IndexSearch, _ scan: CandidateQuery.VectorScan?, _ found: CandidateSet, wanted: Int, deadline: Int64
    ) throws -> CandidateSet {
        guard found.isPhraseCut, Set(found.candidates.map(DocumentKey.init)).count < wanted else { return found }
        var known = found
        known.isLexicalBounded = true
        let left = Int((deadline - SystemClock.monotonicNanoseconds()) / 1_000_000)
        guard left > 0 else { return known }
        var query = search.values.query
        query.lexicalLimit = Self.phrasePassagesMax
        let further = IndexSearch(
            store: self, values: SearchValues(query: query, words: search.values.words), model: search.model,
            modelName: search.modelName, wantsVector: search.wantsVector, wantsLexical: true,
            lexicalMax: Self.phrasePassagesMax)
        do {
            var more = try further.candidates(scan, left)
            if more.isPhraseCut { more.isLexicalBounded = true }
            let armLimit = search.values.query.lexicalLimit
            more.candidates.removeAll { $0.vector == nil && ($0.lexical?.rank ?? 0) > armLimit }
            return more
        } catch is SearchBoundReached {
            return known
        }
    }

    /// How many documents hold the query's phrases, and which values their attributes have; as of the set that was found.
    func phraseCounts(
        _ query: CandidateQuery, _ words: WordLookup, as found: CandidateSet, deadline: Int64
    ) throws -> SearchCounts? {
        guard let counted = query.counted, found.isGenerationServed else { return nil }
        var query = query
        (query.vector, query.vectorLimit, query.lexicalLimit) = (nil, 0, Self.phrasePassagesMax)
        (query.counted, query.page, query.documentLimit) = (nil, nil, nil)
        query.options = RankingOptions()
        (query.generation, query.indexVersion) = (found.generation, found.indexVersion)
        let search = IndexSearch(
            store: self, values: SearchValues(query: query, words: words), model: 0, modelName: "",
            wantsVector: false, wantsLexical: true, lexicalMax: Self.phrasePassagesMax)
        let left = Int((deadline - SystemClock.monotonicNanoseconds()) / 1_000_000)
        var set = found
        var isCut = true
        do {
            set = try search.withinLimit(nil, max(1, left))
            isCut = set.isPhraseCut || set.isLexicalBounded
        } catch is SearchBoundReached {}
        var documents: [DocumentKey: Candidate] = [:]
        for candidate in set.candidates where candidate.lexical != nil { documents[DocumentKey(candidate)] = candidate }
        return SearchCounts(of: Array(documents.values), counted, isCut: isCut)
    }

    /// A document among candidates.
    private struct DocumentKey: Hashable {
        let collection: String
        let docID: String

        init(_ candidate: Candidate) { (collection, docID) = (candidate.collection, candidate.docID) }
    }

    /// Those with the query's phrases; what an arm leaves takes the places of what goes.
    func meant(_ candidates: [Candidate], _ words: WordLookup) throws(IndexError) -> [Candidate] {
        guard !words.phrases.isEmpty else { return candidates }
        let analyzer = try cutter.get()
        var left = candidates.filter { words.allows(title: $0.title, text: $0.text, analyzer) }
        for arm in [\Candidate.vector, \Candidate.lexical] {
            let found = left.indices.filter { left[$0][keyPath: arm] != nil }
                .sorted { (left[$0][keyPath: arm]?.rank ?? 0) < (left[$1][keyPath: arm]?.rank ?? 0) }
            for (place, index) in found.enumerated() { left[index][keyPath: arm]?.rank = place + 1 }
        }
        return left
    }
}

extension SearchCounts {
    /// Counts documents that are all there, as the index counts.
    init(of documents: [Candidate], _ counted: CountedAttributes, isCut: Bool) {
        let facets = counted.attributes.map { attribute in
            let values = Dictionary(grouping: documents.compactMap { $0.value(of: attribute) }) { $0 }
                .map { (text: "\($0.key)", value: Facet.Value($0.key, $0.value.count)) }
                .sorted { ($1.value.count, $0.text) < ($0.value.count, $1.text) }
            return Facet(
                attribute: attribute, values: values.prefix(SearchLimits.facetValuesMax).map(\.value),
                hasMore: values.count > SearchLimits.facetValuesMax)
        }
        self.init(documents: documents.count, isCut: isCut, facets: facets)
    }
}
