/// One result of a search.
package struct Hit: Sendable, Equatable {
    package var candidate: Candidate
    /// Reciprocal rank score over the arms that found it.
    package var fusedScore: Double

    package init(candidate: Candidate, fusedScore: Double) {
        self.candidate = candidate
        self.fusedScore = fusedScore
    }
}

/// Reciprocal rank fusion (Cormack, Clarke, Büttcher: "Reciprocal rank fusion outperforms Condorcet and individual
/// rank learning methods", SIGIR 2009): the score is the sum over arms of weight / (k + rank).
///
/// Ranks and not scores are fused, because cosine and text rank have no common scale.
package enum ReciprocalRankFusion {
    /// All candidates, best first; candidates that no arm placed are dropped.
    ///
    /// Equal scores are ordered by vector rank, then lexical rank, then doc_id, passage and collection, so that the order is a
    /// function of the input alone.
    package static func fuse(_ candidates: [Candidate], weights: FusionWeights = FusionWeights()) -> [Hit] {
        var hits: [Hit] = []
        hits.reserveCapacity(candidates.count)
        for candidate in candidates where candidate.vector != nil || candidate.lexical != nil {
            hits.append(hit(candidate, weights: weights))
        }
        hits.sort(by: isBefore)
        return hits
    }

    /// A candidate with its score.
    package static func hit(_ candidate: Candidate, weights: FusionWeights) -> Hit {
        Hit(
            candidate: candidate,
            fusedScore: weights.vectorShare(of: candidate.vector) + weights.lexicalShare(of: candidate.lexical))
    }

    private static func isBefore(_ left: Hit, _ right: Hit) -> Bool {
        if left.fusedScore != right.fusedScore { return left.fusedScore > right.fusedScore }
        let (a, b) = (left.candidate, right.candidate)
        let (aVector, bVector) = (a.vector?.rank ?? .max, b.vector?.rank ?? .max)
        if aVector != bVector { return aVector < bVector }
        let (aLexical, bLexical) = (a.lexical?.rank ?? .max, b.lexical?.rank ?? .max)
        if aLexical != bLexical { return aLexical < bLexical }
        return (a.docID, a.passage, a.collection) < (b.docID, b.passage, b.collection)
    }
}

extension ReciprocalRankFusion {
    /// One hit for each document, its best passage, in the order of `hits`.
    package static func bestPassagePerDocument(_ hits: [Hit]) -> [Hit] {
        // Two collections may have documents of one id.
        var seen: Set<[String]> = []
        return hits.filter { seen.insert([$0.candidate.docID, $0.candidate.collection]).inserted }
    }
}
