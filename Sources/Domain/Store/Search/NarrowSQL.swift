import Records
import Retrieval

/// What a search does where its filter leaves few passages: these are read, and ranked exactly by both arms.
///
/// Which of a filter's parts leaves the fewest is known from the counts of words (attributes are among them, see
/// ``AttributeTerm``) and, for times, from a bounded look into their index. The passages of that part alone are read. The other
/// parts are looked up among the passages' terms, as far as they have any, and asked of the documents, nearest first, until enough
/// are found. So a search reads a bounded number of rows whatever its filter, and needs no plan for its values.
enum NarrowSQL {
    /// Where some part leaves so few passages, times are not looked at.
    private static let fewPassages = 500
    /// Alternatives of another test at most for its terms to be looked up for each passage, which is cheaper than reading it.
    private static let probesMax = 4

    /// Whether all passages have the terms of their attributes; the first ones had from the beginning.
    private static let areTermsComplete =
        "(SELECT is_complete AND analyzer IN (0, \(PassageWords.version)) FROM word_arm)"

    /// - Parameters:
    ///   - parameter: the first of two: terms, and the places of the tests that they are alternatives of.
    ///   - bounds: ``SearchBounds/narrow``, ``SearchBounds/narrowWords`` and ``SearchBounds/wordRowsAgain`` count.
    static func passages(_ parameter: Int, _ bounds: SearchBounds) -> String {
        let passagesMax = bounds.narrow
        return """
            , narrow_terms AS MATERIALIZED (
                SELECT q.place, w.id AS word_id, (
                        SELECT coalesce(sum(c.passages), 0) FROM word_counts c
                        WHERE c.generation = (SELECT generation FROM snapshot) AND c.word_id = w.id) AS passages
                FROM unnest($\(parameter)::text[], $\(parameter + 1)::int[]) AS q(term, place)
                LEFT JOIN words w ON w.tenant = $13 AND w.text = q.term
            ), narrow_test AS MATERIALIZED (
                SELECT t.place, sum(t.passages) AS passages FROM narrow_terms t GROUP BY t.place ORDER BY 2, 1 LIMIT 1
            ), narrow_ends AS MATERIALIZED (
                SELECT coalesce($7::timestamptz, '-infinity') AS first, coalesce($8::timestamptz, 'infinity') AS last
            ), narrow_times AS MATERIALIZED (
                SELECT d.id FROM documents d
                WHERE ($7::timestamptz IS NOT NULL OR $8::timestamptz IS NOT NULL)
                    AND coalesce((SELECT passages > \(fewPassages) FROM narrow_test), true) AND d.tenant = $13
                    AND d.event_time >= (SELECT first FROM narrow_ends) AND d.event_time < (SELECT last FROM narrow_ends)
                LIMIT \(passagesMax + 1)
            ), narrow_way AS MATERIALIZED (
                SELECT t.documents <= least(\(passagesMax), coalesce(n.passages - 1, \(passagesMax)))
                        AND ($7::timestamptz IS NOT NULL OR $8::timestamptz IS NOT NULL)
                        AND coalesce(n.passages > \(fewPassages), true) AS is_by_time,
                    coalesce(n.passages <= \(passagesMax), false) AS is_by_test, n.place
                FROM (SELECT count(*) AS documents FROM narrow_times) t LEFT JOIN narrow_test n ON true
            ), narrow_read AS MATERIALIZED (
                (SELECT o.passage_id AS id, o.document_id
                FROM narrow_way n JOIN narrow_terms t ON t.place = n.place
                CROSS JOIN LATERAL (
                    \(WordArmSQL.newest([.passage, .document], of: "t.word_id", limit: "\(passagesMax + 1)"))
                ) o
                WHERE n.is_by_test AND NOT n.is_by_time LIMIT \(passagesMax + 1))
                UNION ALL
                (SELECT p.id, p.document_id
                FROM narrow_way n CROSS JOIN narrow_times d
                CROSS JOIN LATERAL (
                    SELECT p.id, p.document_id FROM passages p
                    WHERE p.document_id = d.id AND p.tenant = $13 ORDER BY p.number LIMIT \(passagesMax + 1)
                ) p
                WHERE n.is_by_time LIMIT \(passagesMax + 1))
            ), narrow_others AS MATERIALIZED (
                SELECT t.place, coalesce(array_agg(t.word_id) FILTER (WHERE t.word_id IS NOT NULL), '{}') AS word_ids
                FROM narrow_terms t WHERE t.place IS DISTINCT FROM (SELECT place FROM narrow_way WHERE NOT is_by_time)
                GROUP BY t.place HAVING count(*) <= \(probesMax)
            ), narrow_passages AS MATERIALIZED (
                SELECT n.id, n.document_id FROM narrow_read n
                WHERE NOT EXISTS (SELECT FROM narrow_others) OR (
                    SELECT NOT EXISTS (SELECT FROM narrow_others q WHERE NOT x.words && q.word_ids OFFSET 0)
                    FROM passage_terms x WHERE x.tenant_id = \(WordArmSQL.tenantNumber) AND x.passage_id = n.id)
            ), narrow AS MATERIALIZED (
                SELECT w.is_few, w.is_few AND n.passages <= \(bounds.narrowWords) AS is_few_for_words,
                    w.is_few AND n.passages <= \(bounds.wordRowsAgain) AS is_few_for_words_again
                FROM (SELECT count(*) AS passages FROM narrow_passages) n CROSS JOIN (
                    SELECT (n.is_by_time OR n.is_by_test) AND \(areTermsComplete)
                        AND (SELECT count(*) FROM narrow_read) <= \(passagesMax) AS is_few
                    FROM narrow_way n
                ) w
            )
            """
    }

    /// Whether the passages are all that may pass.
    static let isFew = "(SELECT is_few FROM narrow)"
    /// Whether they are so few that words are looked up for each.
    static let isFewForWords = "(SELECT is_few_for_words FROM narrow)"
    /// Whether they are so few that a second look for words looks them up for each.
    static let isFewForWordsAgain = "(SELECT is_few_for_words_again FROM narrow)"

    /// The nearest of the passages, each vector once, with its newest passage that is seen and passes.
    ///
    /// - Parameters:
    ///   - visible: joins what is seen of the document of `n`.
    ///   - passing: joins what must pass to the document of `n`.
    ///   - demand: a condition on the passage `n.id`.
    static func vectorArm(visible: String, passing: String, demand: String, armLimit: Int, model: Int32) -> String {
        """

        SELECT h.id, h.document_id, e.distance
        FROM (
            SELECT g.ids, g.document_ids, v.embedding <=> $19::halfvec AS distance
            FROM (
                SELECT p.vector_id, array_agg(p.id ORDER BY p.id DESC) AS ids,
                    array_agg(p.document_id ORDER BY p.id DESC) AS document_ids
                FROM narrow_passages n
                CROSS JOIN LATERAL (
                    SELECT p.id, p.document_id, p.vector_id FROM passages p WHERE p.id = n.id AND p.tenant = $13 LIMIT 1
                ) p
                WHERE \(isFew) AND (SELECT model_id FROM snapshot) = \(model) AND p.vector_id IS NOT NULL
                GROUP BY p.vector_id
            ) g
            CROSS JOIN LATERAL (
                SELECT v.embedding FROM vectors_\(model) v WHERE v.tenant = $13 AND v.id = g.vector_id LIMIT 1
            ) v
            ORDER BY 3
        ) e
        CROSS JOIN LATERAL (
            SELECT n.id, n.document_id FROM unnest(e.ids, e.document_ids) AS n(id, document_id)
            \(visible)
            \(passing)
            WHERE \(demand)
            LIMIT 1
        ) h
        ORDER BY e.distance LIMIT \(armLimit)
        """
    }
}

extension WordLookup.Forms {
    /// What a passage must have one of each to pass a filter, and to meet what is demanded of its words.
    static func narrowing(_ filter: Filter, _ words: WordLookup) -> WordLookup.Forms {
        var forms = WordLookup.Forms()
        for alternatives in AttributeTerm.alternatives(filter) { forms.append(alternatives.map { ($0, 0) }) }
        for alternatives in words.wanted { forms.append(alternatives.map { ($0, 0) }) }
        return forms
    }
}
