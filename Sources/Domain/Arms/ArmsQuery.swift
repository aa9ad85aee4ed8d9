package import Retrieval

/// What is asked of the arms in memory: a query whose words were taken apart.
package struct ArmsQuery: Sendable {
    /// A word by its forms, of which the best counts.
    package typealias Word = [(form: String, weight: Double)]

    /// What passages must have one of, or must not have.
    package struct Demand: Sendable {
        package var forms: [String]
        package var isExcluded: Bool
        package var isInTitle: Bool

        package init(forms: [String], isExcluded: Bool, isInTitle: Bool) {
            self.forms = forms
            self.isExcluded = isExcluded
            self.isInTitle = isInTitle
        }
    }

    /// Whose documents are searched, and which of them.
    package var filter: Filter
    /// Nil leaves the vector arm out.
    package var vector: [Float]?
    /// Candidates of an arm at most.
    package var vectorLimit = 0
    package var lexicalLimit = 0
    package var words: [Word] = []
    package var demands: [Demand] = []
    /// A document that is left out.
    package var excludedDocument: Int64?
    /// Whether all vectors are compared.
    package var isExact = false
    /// Whether documents are ranked, each by its best passages, and not passages.
    package var isOfDocuments = true
    package var fusion = FusionWeights()
    /// BM25's parameters.
    package var k1 = 1.2
    package var b = 0.75
    /// Whether it is said by what words were weighed.
    package var wantsStatistics = false
    /// Of so many places at most it is said what hits show.
    package var rowsMax = 0
    /// Bytes that are unpacked for that; beyond, it is not said.
    package var rowBytesMax = Int.max

    package init(filter: Filter) { self.filter = filter }
}

/// What the arms in memory found.
package struct ArmsFound: Sendable {
    /// Best first; each document once where documents are ranked.
    package var places: [RankedPassage]
    /// Of each place, other passages that are the same to the model and pass.
    package var copies: [Int?]
    /// What hits show of the first places, without what the arms say; nil where it is not there of all of them.
    package var rows: [Candidate]?
    /// The version that was read.
    package var version: Int64
    /// How far its changes were.
    package var place: ChangePlace
    /// How many passages the vector arm found.
    package var vectorCount: Int
    /// Whether all vectors that the filter leaves were compared.
    package var isVectorExact: Bool
    /// Whether a bound kept the word arm from looking at all.
    package var isLexicalBounded: Bool
    /// By what words were weighed, where that was asked.
    package var statistics: WordStatistics?
}
