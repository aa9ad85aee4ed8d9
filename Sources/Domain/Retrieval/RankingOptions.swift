package import Records

/// What a request asks of its ranking besides relevance. Without any of it the arms alone decide.
package struct RankingOptions: Sendable, Hashable {
    /// What comes first.
    package enum Order: String, Sendable, CaseIterable {
        /// The best score.
        case relevance
        /// The newest event, among what the arms found.
        case time
    }

    /// What newer documents get on top; nil: nothing.
    package var recency: RecencyPrior?
    /// What the scores of a collection's documents are multiplied by; 1 for collections that are not named.
    package var sourceWeights: [String: Double] = [:]
    /// Hits with a lower score are left out; nil: none.
    package var scoreMin: Double?
    package var order = Order.relevance
    /// Of what only the first hit is shown; nil: every document is.
    package var grouping: Grouping?

    package init() {}

    /// Whether the arms alone decide.
    package var isPlain: Bool { self == RankingOptions() }
}

/// What a document gets on top of its score for being new: as much as the first place of an arm with this weight where its event
/// is of the moment, half as much after the half-life, and so on.
package struct RecencyPrior: Sendable, Hashable {
    /// Above 0.
    package var weight: Double
    /// Above 0.
    package var halfLifeMilliseconds: Int64

    package init(weight: Double, halfLifeMilliseconds: Int64) {
        self.weight = weight
        self.halfLifeMilliseconds = halfLifeMilliseconds
    }
}

/// What makes documents one group.
package enum Grouping: Sendable, Hashable {
    /// Equal titles.
    case title
    /// Equal values of an attribute.
    case attribute(AttributeName)

    /// `title`, or the attribute's name.
    package var text: String {
        switch self {
        case .title: "title"
        case .attribute(let name): name.text
        }
    }

    /// What a document has of it; nil where it has nothing, and is a group of its own.
    package func value(of candidate: Candidate) -> AttributeValue? {
        switch self {
        case .title: candidate.title.isEmpty ? nil : .string(candidate.title)
        case .attribute(let name): candidate.value(of: name)
        }
    }
}
