/// One result of a search.
package struct Hit: Sendable, Equatable {
    package var candidate: Candidate
    /// What the score is made of.
    package var parts: ScoreParts
    /// Other documents of its group among what was found; nil where there are no groups.
    package var others: Int?
    /// Reciprocal rank score over the arms that found it, and what the request adds to it.
    package var fusedScore: Double { parts.sum }

    package init(candidate: Candidate, parts: ScoreParts, others: Int? = nil) {
        self.candidate = candidate
        self.parts = parts
        self.others = others
    }
}

/// Reciprocal rank fusion (Cormack, Clarke, Büttcher: "Reciprocal rank fusion outperforms Condorcet and individual
/// rank learning methods", SIGIR 2009): the score is the sum over arms of weight / (k + rank).
///
/// Ranks and not scores are fused, because cosine and text rank have no common scale.
package enum ReciprocalRankFusion {
    /// All candidates, best first; candidates that no arm placed are dropped. See ``Ranking/hits(_:)``.
    package static func fuse(_ candidates: [Candidate], weights: FusionWeights = FusionWeights()) -> [Hit] {
        Ranking(weights: weights).hits(candidates)
    }

    /// One hit for each document, its best passage, in the order of `hits`.
    package static func bestPassagePerDocument(_ hits: [Hit]) -> [Hit] {
        // Two collections may have documents of one id.
        var seen: Set<[String]> = []
        return hits.filter { seen.insert([$0.candidate.docID, $0.candidate.collection]).inserted }
    }
}
