import Glibc
import Records

/// What a score is made of. The parts add up to it, exactly, in their order.
package struct ScoreParts: Sendable, Equatable {
    /// Of the place in the vector arm's ranking.
    package var vector: Double
    /// Of the place in the word arm's ranking.
    package var lexical: Double
    /// Of the event's age.
    package var recency: Double
    /// What the weight of the document's collection adds to the others, or takes from them.
    package var source: Double

    package init(vector: Double, lexical: Double, recency: Double = 0, source: Double = 0) {
        self.vector = vector
        self.lexical = lexical
        self.recency = recency
        self.source = source
    }

    /// The score.
    package var sum: Double { vector + lexical + recency + source }
}

/// How candidates become a ranking. The statement of a search computes the same, in the same order of operations: what it fetches
/// is what comes first here.
package struct Ranking: Sendable, Hashable {
    package var weights: FusionWeights
    package var options: RankingOptions
    /// From when ages are reckoned, milliseconds since 1970.
    package var referenceMilliseconds: Int64

    /// Half-lives beyond which nothing becomes less: 2^-1000 is a number yet, and Postgres refuses those that are too small.
    package static let halfLivesMax = 1_000.0

    package init(
        weights: FusionWeights = FusionWeights(), options: RankingOptions = RankingOptions(),
        referenceMilliseconds: Int64 = 0
    ) {
        self.weights = weights
        self.options = options
        self.referenceMilliseconds = referenceMilliseconds
    }

    /// A candidate with its score.
    package func hit(_ candidate: Candidate) -> Hit {
        var parts = ScoreParts(
            vector: weights.vectorShare(of: candidate.vector), lexical: weights.lexicalShare(of: candidate.lexical),
            recency: recencyShare(of: candidate))
        parts.source = (sourceWeight(of: candidate) - 1) * (parts.vector + parts.lexical + parts.recency)
        return Hit(candidate: candidate, parts: parts, others: candidate.others)
    }

    /// What the scores of a candidate's collection are multiplied by.
    package func sourceWeight(of candidate: Candidate) -> Double {
        options.sourceWeights.isEmpty ? 1 : options.sourceWeights[candidate.collection] ?? 1
    }

    /// How old a candidate's event is; 0 where it lies ahead.
    package func ageMilliseconds(of candidate: Candidate) -> Double {
        max(Double(referenceMilliseconds) - Double(candidate.eventTimeMilliseconds), 0)
    }

    private func recencyShare(of candidate: Candidate) -> Double {
        guard let recency = options.recency else { return 0 }
        let halfLives = ageMilliseconds(of: candidate) / Double(recency.halfLifeMilliseconds)
        return recency.weight / (weights.rankConstant + 1) * pow(0.5, min(halfLives, Self.halfLivesMax))
    }

    /// The candidates that an arm placed and whose score is enough, first ones first.
    ///
    /// Equal ones are ordered by vector rank, then lexical rank, then doc_id, passage and collection, so that the order is a
    /// function of the input alone.
    package func hits(_ candidates: [Candidate]) -> [Hit] {
        var hits: [Hit] = []
        hits.reserveCapacity(candidates.count)
        for candidate in candidates where candidate.vector != nil || candidate.lexical != nil {
            let hit = hit(candidate)
            if hit.fusedScore >= options.scoreMin ?? -.infinity { hits.append(hit) }
        }
        hits.sort(by: isBefore)
        return hits
    }

    private func isBefore(_ left: Hit, _ right: Hit) -> Bool {
        let (a, b) = (left.candidate, right.candidate)
        if options.order == .time, a.eventTimeMilliseconds != b.eventTimeMilliseconds {
            return a.eventTimeMilliseconds > b.eventTimeMilliseconds
        }
        let (aScore, bScore) = (left.fusedScore, right.fusedScore)
        if aScore != bScore { return aScore > bScore }
        let (aVector, bVector) = (a.vector?.rank ?? .max, b.vector?.rank ?? .max)
        if aVector != bVector { return aVector < bVector }
        let (aLexical, bLexical) = (a.lexical?.rank ?? .max, b.lexical?.rank ?? .max)
        if aLexical != bLexical { return aLexical < bLexical }
        return (a.docID, a.passage, a.collection) < (b.docID, b.passage, b.collection)
    }

    /// One hit for each document, its first passage, and of each group the first document, with how many others it has. Called once:
    /// what a store has counted already is kept.
    package func documents(_ hits: [Hit]) -> [Hit] {
        let documents = ReciprocalRankFusion.bestPassagePerDocument(hits)
        guard let grouping = options.grouping else { return documents }
        var places: [GroupKey: Int] = [:]
        var found: [Hit] = []
        for var hit in documents {
            let key = GroupKey(grouping, hit.candidate)
            if let key, let place = places[key] {
                found[place].others = (found[place].others ?? 0) + 1
                continue
            }
            if let key { places[key] = found.count }
            hit.others = hit.candidate.others ?? 0
            found.append(hit)
        }
        return found
    }
}

/// What two documents of one group have in common, compared as Postgres compares it: texts byte by byte, numbers by value.
private enum GroupKey: Hashable {
    case text([UInt8])
    case number(Double)
    case bool(Bool)

    /// Nil where the document is a group of its own.
    init?(_ grouping: Grouping, _ candidate: Candidate) {
        switch grouping.value(of: candidate) {
        case nil: return nil
        case .string(let text): self = .text(Array(text.utf8))
        case .integer(let number): self = .number(Double(number))
        case .number(let number): self = .number(number)
        case .time(let milliseconds): self = .number(Double(milliseconds))
        case .bool(let flag): self = .bool(flag)
        }
    }
}
