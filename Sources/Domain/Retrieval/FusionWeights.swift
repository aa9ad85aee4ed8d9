/// What a place in each arm's ranking counts in the fused one: weight / (rankConstant + rank).
package struct FusionWeights: Sendable, Hashable {
    /// 0 or more; 0 leaves the arm's ranking out.
    package var vector: Double
    /// 0 or more; 0 leaves the arm's ranking out.
    package var lexical: Double
    /// How little the first places count more than the next; above 0.
    package var rankConstant: Double

    /// Both arms alike, with the constant of the paper.
    package init(vector: Double = 1, lexical: Double = 1, rankConstant: Double = 60) {
        self.vector = vector
        self.lexical = lexical
        self.rankConstant = rankConstant
    }

    /// The same with the weights that a request gives.
    package func changed(by asked: ArmWeights?) -> FusionWeights {
        FusionWeights(
            vector: asked?.vector ?? vector, lexical: asked?.lexical ?? lexical, rankConstant: rankConstant)
    }

    /// What a place in the vector arm's ranking counts; 0 for none.
    package func vectorShare(of place: ArmPlace?) -> Double { share(vector, place) }

    /// What a place in the word arm's ranking counts; 0 for none.
    package func lexicalShare(of place: ArmPlace?) -> Double { share(lexical, place) }

    // The statement of a search computes the same, in the same order, so that both agree to the last bit.
    private func share(_ weight: Double, _ place: ArmPlace?) -> Double {
        place.map { weight / (rankConstant + Double(max($0.rank, 1))) } ?? 0
    }
}

/// What of the weights a request gives itself.
package struct ArmWeights: Sendable, Hashable {
    /// Nil: as it is set for all.
    package var vector: Double?
    /// Nil: as it is set for all.
    package var lexical: Double?

    package init(vector: Double? = nil, lexical: Double? = nil) {
        self.vector = vector
        self.lexical = lexical
    }
}
