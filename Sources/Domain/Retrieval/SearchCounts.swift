package import Records

/// What a search is to count, beside its hits: documents that pass the filter and hold a word of the query.
package struct CountedAttributes: Sendable, Hashable {
    /// Attributes whose values are counted, ``SearchLimits/facetsMax`` at most.
    package var attributes: [AttributeName]

    package init(attributes: [AttributeName] = []) { self.attributes = attributes }
}

/// How many documents pass the filter and hold a word of the query, and which values their attributes have.
package struct SearchCounts: Sendable, Equatable {
    /// The values of one attribute.
    package struct Facet: Sendable, Equatable {
        /// One of them, and how many have it.
        package struct Value: Sendable, Equatable {
            /// As documents have it.
            package var value: AttributeValue
            /// Documents that have it.
            package var count: Int

            package init(_ value: AttributeValue, _ count: Int) {
                self.value = value
                self.count = count
            }
        }

        /// Whose values they are.
        package var attribute: AttributeName
        /// The most frequent ones first, ``SearchLimits/facetValuesMax`` at most.
        package var values: [Value]
        /// Whether there are others.
        package var hasMore: Bool

        package init(attribute: AttributeName, values: [Value], hasMore: Bool) {
            self.attribute = attribute
            self.values = values
            self.hasMore = hasMore
        }
    }

    /// Documents, ``SearchLimits/countedMax`` at most.
    package var documents: Int
    /// Whether a bound was met: there are so many documents or more, and so many or more with each value.
    package var isCut: Bool
    /// In the order asked for.
    package var facets: [Facet]

    package init(documents: Int, isCut: Bool, facets: [Facet] = []) {
        self.documents = documents
        self.isCut = isCut
        self.facets = facets
    }
}
