#if canImport(Glibc)
    import Glibc
#endif

/// Which figures are made of a ranking.
package enum Measure: String, Sendable, CaseIterable {
    /// How much of the best possible first ten a ranking has, by grades and places.
    case ndcg10 = "ndcg@10"
    /// The share of the relevant documents that the ranking holds, however deep it is.
    case recall = "recall"
    /// One through the place of the first relevant document.
    case reciprocalRank = "mrr"
}

/// How good one ranking of documents is, by grades that people gave. The definitions are those of `trec_eval`: the gain is
/// the grade itself, its discount the binary logarithm of the place plus one, and a grade above 0 is relevant.
package enum RankingMeasures {
    /// Normalised discounted cumulative gain of the first `depth` places; 0 where nothing is relevant.
    ///
    /// - Parameters:
    ///   - ranking: ids of documents, best first, each once.
    ///   - grades: of the judged documents; those that are not named are not relevant.
    package static func ndcg(_ ranking: [String], grades: [String: Int], depth: Int = 10) -> Double {
        let ideal = dcg(grades.values.sorted(by: >), depth: depth)
        guard ideal > 0 else { return 0 }
        return dcg(ranking.map { grades[$0] ?? 0 }, depth: depth) / ideal
    }

    private static func dcg(_ grades: [Int], depth: Int) -> Double {
        var sum = 0.0
        for (index, grade) in grades.prefix(depth).enumerated() where grade > 0 {
            sum += Double(grade) / log2(Double(index + 2))
        }
        return sum
    }

    /// The share of the relevant documents that the ranking holds; 0 where nothing is relevant.
    package static func recall(_ ranking: [String], grades: [String: Int]) -> Double {
        let relevant = grades.values.count { $0 > 0 }
        guard relevant > 0 else { return 0 }
        return Double(ranking.count { (grades[$0] ?? 0) > 0 }) / Double(relevant)
    }

    /// One through the place of the first relevant document; 0 where there is none.
    package static func reciprocalRank(_ ranking: [String], grades: [String: Int]) -> Double {
        guard let index = ranking.firstIndex(where: { (grades[$0] ?? 0) > 0 }) else { return 0 }
        return 1 / Double(index + 1)
    }

    /// All measures of one ranking.
    package static func all(_ ranking: [String], grades: [String: Int]) -> [Measure: Double] {
        [
            .ndcg10: ndcg(ranking, grades: grades), .recall: recall(ranking, grades: grades),
            .reciprocalRank: reciprocalRank(ranking, grades: grades),
        ]
    }
}
