import Records
package import Retrieval

extension CandidateQuery {
    /// What is to be counted among rows that are seen and pass the filter.
    package func counts(_ rows: [Candidate]) -> SearchCounts? {
        guard let counted else { return nil }
        let wanted = Words.content(text)
        let holding = rows.filter { !wanted.isDisjoint(with: Words.content($0.text)) }
        let facets = counted.attributes.map { attribute in
            let values = Dictionary(grouping: holding.compactMap { $0.value(of: attribute) }) { $0 }
                .map { SearchCounts.Facet.Value($0, $1.count) }
                .sorted { ($1.count, "\($0.value)") < ($0.count, "\($1.value)") }
            return SearchCounts.Facet(
                attribute: attribute, values: Array(values.prefix(SearchLimits.facetValuesMax)),
                hasMore: values.count > SearchLimits.facetValuesMax)
        }
        return SearchCounts(documents: holding.count, isCut: false, facets: facets)
    }
}
