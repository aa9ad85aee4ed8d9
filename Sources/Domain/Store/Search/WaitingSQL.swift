/// What the vector arm does about vectors that are not in the graph yet (see ``GraphLinker``): all of them are compared with the query,
/// in the same statement and snapshot, so that a document is found from its commit on.
enum WaitingSQL {
    /// Where the graph has no more vectors, a search of it meets all.
    private static let fewLinked = 200

    /// The nearest of those that wait, each once, with its newest passage that is seen and passes.
    ///
    /// - Parameters:
    ///   - newest: the passage `id` with its `document_id` of the vector of the number given, one row at most.
    ///   - isNarrow: whether ``NarrowSQL`` may compare all vectors that count.
    static func nearest(
        newest: (String) -> String, isNarrow: Bool, model: Int32, _ bounds: SearchBounds
    ) -> String {
        """
        , waiting AS MATERIALIZED (
            SELECT v.id, v.embedding <=> $19::halfvec AS distance FROM vectors_\(model) v
            WHERE v.tenant = $13 AND NOT v.is_linked AND (SELECT model_id FROM snapshot) = \(model)
                \(isNarrow ? "AND NOT coalesce(\(NarrowSQL.isFew), false)" : "")
            ORDER BY v.id DESC LIMIT \(bounds.waiting + 1)
        ), waiting_nearest AS MATERIALIZED (
            SELECT h.id, h.document_id, e.distance
            FROM (SELECT w.id, w.distance FROM waiting w ORDER BY w.distance) e
            CROSS JOIN LATERAL (\(newest("e.id"))) h
            ORDER BY e.distance LIMIT \(SearchSQL.armLimit)
        )
        """
    }

    /// Those rows, to be put to those of the graph.
    static let rows = "SELECT id, document_id, distance FROM waiting_nearest"

    /// How many the vector arm found, by which it is known whether the graph led to too few: where vectors wait, those of the graph alone,
    /// which is asked for as many as without them.
    static func count(model: Int32) -> String {
        """
        (SELECT CASE WHEN n.waiting = 0 OR n.linked >= $10 OR (
                SELECT count(*) FROM (
                    SELECT FROM vectors_\(model) v WHERE v.tenant = $13 AND v.is_linked
                    ORDER BY v.id LIMIT \(fewLinked + 1)) l
            ) <= \(fewLinked) THEN (SELECT count(*) FROM vector_arm) ELSE n.linked END
        FROM (
            SELECT w.waiting, a.nearest - w.waiting AS linked
            FROM (SELECT count(*) AS waiting FROM waiting_nearest) w, (SELECT count(*) AS nearest FROM vector_nearest) a
        ) n)
        """
    }

    /// Whether more wait than are compared.
    static func isCut(_ bounds: SearchBounds) -> String { "(SELECT count(*) > \(bounds.waiting) FROM waiting)" }
}
