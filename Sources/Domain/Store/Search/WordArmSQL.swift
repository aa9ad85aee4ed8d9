/// The word arm: BM25 over the postings of the query's words.
///
/// Score of a passage: the sum over the query's words of `idf · f · (k1 + 1) / (f + k1 · (1 - b + b · length / average))` with
/// `idf = ln(1 + (N - n + 0.5) / (n + 0.5))` (Robertson and Zaragoza: "The Probabilistic Relevance Framework: BM25 and Beyond",
/// 2009, in the form of Lucene, which is never negative). `f` is the word's frequency in text and title, `n` the number of
/// passages that have it, `N` of all, both of the generation and the collections searched. A word that is looked up by several
/// forms counts by its best one.
///
/// The rarest words give the candidates, the newest passages of each up to a bound; more common ones only add to the score of what
/// others found. So the work does not grow with the index, whatever is asked.
enum WordArmSQL {
    /// Rows of postings that give candidates at most, of one form and of all.
    static let rowsMax = 3_000
    /// Candidates that are looked at, best first, until enough are seen and pass; the others belong to other generations or versions,
    /// or filters leave them out.
    static let rankedMax = 20_000
    /// Common words that are looked up for every one of few passages; the most that a filter leaves, in place of one passage.
    static let lookedUpWords = 2
    /// Candidates that more common words are looked up for.
    static let completedMax = 200

    /// The words asked for, with the number of passages that have them, and their groups: one for each word of the query.
    ///
    /// `$12` the forms, `$15` the group of each, `$16` its weight, `$17` and `$18` BM25's k1 and b.
    ///
    /// - Parameter narrow: ``SearchBounds/narrowWords`` where the statement knows narrow filters. Where such a one leaves few passages,
    ///   common words are looked up for each of them, so that none is missed.
    static func words(narrow: Int?) -> String {
        let isNarrow = narrow != nil
        let lookedUpMax = lookedUpWords * (narrow ?? 0)
        let isFew = isNarrow ? NarrowSQL.isFewForWords : "false"
        func rows(_ ofFew: String) -> String {
            isNarrow ? "CASE WHEN \(isFew) THEN \(ofFew) ELSE \(rowsMax) END" : "\(rowsMax)"
        }
        return """
            , word_totals AS MATERIALIZED (
                SELECT greatest(coalesce(sum(t.passages), 0), 1)::double precision AS passages,
                    greatest(coalesce(sum(t.words), 0)::double precision / greatest(sum(t.passages), 1), 1) AS length
                FROM collections c JOIN collection_counts t
                    ON t.generation = (SELECT generation FROM snapshot) AND t.collection_id = c.id
                WHERE c.tenant = $13 AND ($9::text IS NULL OR c.name = $9)
            ), words_asked AS MATERIALIZED (
                SELECT q.place, q.weight / 1000.0::double precision AS weight, w.id AS word_id, (
                        SELECT coalesce(sum(t.passages), 0)::double precision FROM word_counts t
                        WHERE t.generation = (SELECT generation FROM snapshot) AND t.word_id = w.id AND ($9::text IS NULL
                            OR t.collection_id = (SELECT c.id FROM collections c WHERE c.tenant = $13 AND c.name = $9))
                    ) AS passages
                FROM unnest($12::text[], $15::int[], $16::int[]) AS q(term, place, weight)
                JOIN words w ON w.tenant = $13 AND w.text = q.term
            ), word_groups AS MATERIALIZED (
                SELECT g.place, ln(1 + greatest(t.passages - g.passages + 0.5, 0.5) / (g.passages + 0.5)) AS idf,
                    row_number() OVER (ORDER BY g.passages, g.place) = 1
                        OR sum(g.rows) OVER (ORDER BY g.passages, g.place) <= \(rows("\(lookedUpMax)")) AS is_read,
                    g.rows_all > g.rows AND NOT \(isFew) AS is_cut
                FROM (
                    SELECT place, greatest(max(passages), 0) AS passages, sum(least(passages, \(
                        rows("(SELECT count(*) FROM narrow_passages)")))) AS rows,
                        sum(passages) AS rows_all
                    FROM words_asked GROUP BY place
                ) g CROSS JOIN word_totals t
            )
            """
    }

    /// Whether a bound kept the arm from looking at everything.
    static let isBounded = "(SELECT coalesce(bool_or(is_cut OR NOT is_read), false) FROM word_groups)"

    /// Whether all passages have their words.
    static let isComplete = "(SELECT coalesce(bool_and(is_complete), false) FROM word_arm)"

    /// What is demanded of passages, by the place of each demand: the words of which they must have one, or none.
    ///
    /// - Parameter parameter: the first of three: forms, places, and bits that say 1 for none, 2 for the title alone.
    static func demands(_ parameter: Int) -> String {
        """
        , demands AS MATERIALIZED (
            SELECT q.place, bool_or(q.bits & 1 > 0) AS is_excluded, bool_or(q.bits & 2 > 0) AS is_in_title,
                coalesce(array_agg(w.id) FILTER (WHERE w.id IS NOT NULL), '{}') AS word_ids
            FROM unnest($\(parameter)::text[], $\(parameter + 1)::int[], $\(parameter + 2)::int[]) AS q(term, place, bits)
            LEFT JOIN words w ON w.tenant = $13 AND w.text = q.term
            GROUP BY q.place
        )
        """
    }

    /// Whether a passage has what is demanded.
    ///
    /// - Parameter passage: its number, by an alias that is neither `q` nor `held`.
    static func meetsDemands(_ passage: String) -> String {
        """
        NOT EXISTS (
            SELECT FROM demands q WHERE q.is_excluded = EXISTS (
                SELECT FROM postings held WHERE held.tenant_id = \(tenantNumber) AND held.word_id = ANY (q.word_ids)
                    AND held.passage_id = \(passage) AND (NOT q.is_in_title OR held.weight >> 8 & 255 > 0)) OFFSET 0)
        """
    }

    /// The tenant's number.
    static let tenantNumber = "(SELECT t.id FROM tenants t WHERE t.name = $13)"

    /// A form's share of the score, of postings `p` and forms `q`.
    private static let share = """
        q.weight * f * ($17::double precision + 1) / (f + $17::double precision * (1 - $18::double precision
            + $18::double precision * (p.weight >> 16) / (SELECT length FROM word_totals)))
        """

    private static let frequency =
        "CROSS JOIN LATERAL (SELECT ((p.weight & 255) + (p.weight >> 8 & 255))::double precision AS f) f"

    /// - Parameters:
    ///   - passing: joins what must pass to the document of `r`.
    ///   - demand: a condition on the passage `r.id`.
    ///   - visible: joins what is seen of the document of `r`.
    ///   - armLimit: rows at most.
    ///   - isNarrow: whether the statement knows narrow filters.
    static func arm(passing: String, demand: String, visible: String, armLimit: Int, isNarrow: Bool) -> String {
        """

        SELECT s.id, s.document_id, s.score + CASE WHEN (SELECT bool_and(is_read) FROM word_groups) THEN 0 ELSE coalesce((
                SELECT sum(o.score) FROM (
                    SELECT max(\(share)) * g.idf AS score
                    FROM word_groups g JOIN words_asked q ON q.place = g.place
                    JOIN postings p ON p.tenant_id = \(tenantNumber) AND p.word_id = q.word_id AND p.passage_id = s.id
                    \(frequency)
                    WHERE NOT g.is_read GROUP BY g.place, g.idf
                ) o), 0) END AS distance
        FROM (
            SELECT r.id, r.document_id, r.score
            FROM (
                SELECT m.id, m.document_id, sum(m.score) AS score
                FROM (
                    SELECT p.passage_id AS id, p.document_id, max(\(share)) * g.idf AS score
                    FROM word_groups g JOIN words_asked q ON q.place = g.place
                    CROSS JOIN LATERAL (
                        (SELECT o.passage_id, o.document_id, o.weight FROM postings o
                        WHERE o.tenant_id = \(tenantNumber) AND o.word_id = q.word_id\(isNarrow ? isReadAlone : "")
                        ORDER BY o.passage_id DESC LIMIT \(rowsMax))\(isNarrow ? ofFew : "")
                    ) p
                    \(frequency)
                    WHERE g.is_read GROUP BY g.place, g.idf, p.passage_id, p.document_id
                ) m
                \(isNarrow ? isAmongFew : "")
                GROUP BY m.id, m.document_id ORDER BY 3 DESC, 1 DESC LIMIT \(rankedMax)
            ) r \(visible)
            \(passing)
            WHERE \(demand)
            ORDER BY r.score DESC, r.id DESC
            LIMIT CASE WHEN (SELECT bool_and(is_read) FROM word_groups) THEN \(armLimit) ELSE \(completedMax) END
        ) s
        ORDER BY 3 DESC, 1 DESC LIMIT \(armLimit)
        """
    }

    private static let isAmongFew =
        "WHERE NOT coalesce(\(NarrowSQL.isFew), false) OR m.id IN (SELECT n.id FROM narrow_passages n)"

    /// Whether a word's own postings are read.
    private static let isReadAlone = " AND NOT (\(NarrowSQL.isFewForWords) AND q.passages > \(rowsMax))"

    /// Those of few passages that have a common word.
    private static let ofFew = """

                        UNION ALL
                        (SELECT n.id, n.document_id, o.weight
                        FROM (SELECT DISTINCT n.id, n.document_id FROM narrow_passages n) n
                        CROSS JOIN LATERAL (
                            SELECT o.weight FROM postings o
                            WHERE o.tenant_id = \(tenantNumber) AND o.word_id = q.word_id AND o.passage_id = n.id LIMIT 1
                        ) o
                        WHERE \(NarrowSQL.isFewForWords) AND q.passages > \(rowsMax))
        """
}
