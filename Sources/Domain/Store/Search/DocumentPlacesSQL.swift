/// What is fused. Where documents are asked for (`$14` bounds them), each arm ranks documents, by their best passages; else it
/// ranks passages. The two arms often find different passages of one document, which are then one place in each ranking, not
/// halves of two. The same as ``ReciprocalRankFusion/documents(of:weights:)``.
enum DocumentPlacesSQL {
    /// The arms with one row for each document, or for each passage.
    static let ofArms = ofArm("vector") + ", " + ofArm("lexical")

    private static func ofArm(_ arm: String) -> String {
        """
        \(arm)_places AS MATERIALIZED (
            SELECT p.* FROM (
                SELECT a.*, row_number() OVER (PARTITION BY a.unit ORDER BY a.place) AS turn
                FROM (
                    SELECT *, CASE WHEN $14::bigint IS NULL THEN id ELSE document_id END AS unit FROM \(arm)_arm
                ) a
            ) p WHERE p.turn = 1
        )
        """
    }

    /// The passage that is shown: of the arms' best ones, `v` and `l`, the one that counts more.
    ///
    /// - Parameter parameter: the first of the three of ``FusionWeights``.
    static func shown(_ parameter: Int) -> String {
        """
        CASE WHEN v.id IS NULL OR \(RankingSQL.lexicalShare(parameter)) > \(RankingSQL.vectorShare(parameter))
        THEN l.id ELSE v.id END
        """
    }
}
