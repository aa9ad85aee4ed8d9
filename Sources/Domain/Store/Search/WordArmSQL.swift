/// The word arm: BM25 over the postings of the query's words.
///
/// Score of a passage: the sum over the query's words of `idf · f · (k1 + 1) / (f + k1 · (1 - b + b · length / average))` with
/// `idf = ln(1 + (N - n + 0.5) / (n + 0.5))` (Robertson and Zaragoza: "The Probabilistic Relevance Framework: BM25 and Beyond",
/// 2009, in the form of Lucene, which is never negative). `f` is the word's frequency in text and title, `n` the number of
/// passages that have it, `N` of all, both of the generation and the collections searched. A word that is looked up by several
/// forms counts by its best one.
///
/// The rarest words give the candidates, the newest passages of each up to a bound; more common ones only add to the score of what
/// others found. So the work does not grow with the index, whatever is asked. See ``WordLook`` for how many are read.
enum WordArmSQL {
    /// Candidates that are looked at, best first, until enough are seen and pass; the others belong to other generations or versions,
    /// or filters leave them out.
    static let rankedMax = 20_000
    /// Common words that are looked up for every one of few passages; the most that a filter leaves, in place of one passage.
    static let lookedUpWords = 2
    /// Candidates that more common words are looked up for.
    static let completedMax = 200
    /// Documents that are enough where it is not said how many are wanted.
    private static let foundMin = 20

    /// The words asked for, with the number of passages that have them, and their groups: one for each word of the query.
    ///
    /// `$12` the forms, `$15` the group of each, `$16` its weight, `$17` and `$18` BM25's k1 and b.
    ///
    /// - Parameter isNarrow: whether the statement knows narrow filters. Where such a one leaves few passages, common words are
    ///   looked up for each of them, so that none is missed.
    static func words(isNarrow: Bool, _ bounds: SearchBounds) -> String {
        let isFew = isNarrow ? NarrowSQL.isFewForWords : "false"
        func rows(_ ofFew: String) -> String {
            isNarrow ? "CASE WHEN \(isFew) THEN \(ofFew) ELSE \(bounds.wordRows) END" : "\(bounds.wordRows)"
        }
        return """
            , word_totals AS MATERIALIZED (
                SELECT greatest(coalesce(sum(t.passages), 0), 1)::double precision AS passages,
                    greatest(coalesce(sum(t.words), 0)::double precision / greatest(sum(t.passages), 1), 1) AS length
                FROM collections c JOIN collection_counts t
                    ON t.generation = (SELECT generation FROM snapshot) AND t.collection_id = c.id
                WHERE c.tenant = $13 AND ($9::text IS NULL OR c.name = $9)
            ), words_asked AS MATERIALIZED (
                SELECT q.place, q.weight / 1000.0::double precision AS weight, w.id AS word_id, q.term, (
                        SELECT coalesce(sum(t.passages), 0)::double precision FROM word_counts t
                        WHERE t.generation = (SELECT generation FROM snapshot) AND t.word_id = w.id AND ($9::text IS NULL
                            OR t.collection_id = (SELECT c.id FROM collections c WHERE c.tenant = $13 AND c.name = $9))
                    ) AS passages
                FROM unnest($12::text[], $15::int[], $16::int[]) AS q(term, place, weight)
                JOIN words w ON w.tenant = $13 AND w.text = q.term
            ), word_groups AS MATERIALIZED (
                SELECT g.place, ln(1 + greatest(t.passages - g.passages + 0.5, 0.5) / (g.passages + 0.5)) AS idf,
                    row_number() OVER (ORDER BY g.passages, g.place) = 1
                        OR sum(g.rows) OVER (ORDER BY g.passages, g.place) <= \(
                            rows("\(lookedUpWords * bounds.narrowWords)")) AS is_read,
                    coalesce(sum(g.rows_again) OVER (ORDER BY g.passages, g.place
                        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) <= \(bounds.wordRowsAgain) AS is_read_again
                FROM (
                    SELECT place, greatest(max(passages), 0) AS passages, sum(least(passages, \(
                        rows("(SELECT count(*) FROM narrow_passages)")))) AS rows,
                        sum(least(passages, \(bounds.wordRowsAgain))) AS rows_again
                    FROM words_asked GROUP BY place
                ) g CROSS JOIN word_totals t
            )
            """
    }

    /// Whether a bound kept the arm from looking at everything.
    static func isBounded(armLimit: Int, isNarrow: Bool, isFiltered: Bool, _ bounds: SearchBounds) -> String {
        let first = WordLook(.first, armLimit: armLimit, isNarrow: isNarrow, isFiltered: isFiltered, bounds)
        let second = WordLook(.second, armLimit: armLimit, isNarrow: isNarrow, isFiltered: isFiltered, bounds)
        return """
            (SELECT CASE WHEN a.rows = 0 THEN \(first.isUnread) OR \(first.isCut)
                ELSE \(second.isUnread) OR \(second.isCut) END FROM word_again a)
            """
    }

    /// By what words are weighed, as ``WordStatistics`` reads it.
    static let statistics = """
        (SELECT jsonb_build_object('passages', t.passages, 'length', t.length, 'forms', (
            SELECT coalesce(jsonb_object_agg(q.term, q.passages::bigint), '{}') FROM words_asked q)) FROM word_totals t)
        """

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

    /// Whether a passage has what is demanded. What has no words of its own meets only what excludes some.
    ///
    /// - Parameter passage: its number, by an alias that is neither `q`, `held` nor `one`.
    static func meetsDemands(_ passage: String) -> String {
        """
        (SELECT NOT EXISTS (
                SELECT FROM demands q WHERE q.is_excluded = CASE WHEN q.is_in_title THEN EXISTS (
                        SELECT FROM unnest(held.words, held.weights) AS w(id, weight)
                        WHERE w.id = ANY (q.word_ids) AND w.weight >> 8 & 255 > 0)
                    ELSE coalesce(held.words && q.word_ids, false) END OFFSET 0)
            FROM (SELECT) one LEFT JOIN passage_terms held
                ON held.tenant_id = \(tenantNumber) AND held.passage_id = \(passage))
        """
    }

    /// The newest postings of a word up to about a number: rows are in the order of their newest passages.
    ///
    /// Rows are taken apart one by one, so that no more are read than are wanted.
    ///
    /// - Parameters:
    ///   - columns: of a posting: `passage_id`, `document_id` or `weight`.
    ///   - word: the word's number.
    ///   - limit: how many, an expression.
    static func newest(_ columns: [PostingColumn], of word: String, limit: String) -> String {
        let parts = columns.map { "unnest(o.\($0.array)) AS \($0.rawValue)" }.joined(separator: ", ")
        return """
            SELECT \(parts) FROM postings o
            WHERE o.tenant_id = \(tenantNumber) AND o.word_id = \(word) ORDER BY o.last_passage DESC LIMIT \(limit)
            """
    }

    /// What a posting says.
    enum PostingColumn: String {
        case passage = "passage_id"
        case document = "document_id"
        case weight

        fileprivate var array: String {
            switch self {
            case .passage: "passages"
            case .document: "documents"
            case .weight: "weights"
            }
        }
    }

    /// The tenant's number.
    static let tenantNumber = "(SELECT t.id FROM tenants t WHERE t.name = $13)"

    /// Both looks: `lexical_best` is what the first one found, or where that was too little and there was more to be read, what the
    /// second one did.
    ///
    /// - Parameters:
    ///   - joins: what must be true of the candidates.
    ///   - isFiltered: whether filters or demands leave some of what is seen out.
    static func best(_ joins: WordLook.Joins, armLimit: Int, isNarrow: Bool, isFiltered: Bool, _ bounds: SearchBounds)
        -> String
    {
        let first = WordLook(.first, armLimit: armLimit, isNarrow: isNarrow, isFiltered: isFiltered, bounds)
        let second = WordLook(.second, armLimit: armLimit, isNarrow: isNarrow, isFiltered: isFiltered, bounds)
        let rowsOfOthers = isFiltered ? bounds.wordRowsAgain : bounds.wordRows
        return """
            \(first.candidates), lexical_first AS MATERIALIZED (\(first.ranked(joins, armLimit: armLimit))
            ), word_again AS MATERIALIZED (
                SELECT CASE WHEN f.found >= w.wanted THEN 0
                    WHEN \(first.isCut) THEN \(bounds.wordRowsAgain)
                    WHEN \(first.isUnread) AND (SELECT count(*) FROM vector_arm) < w.wanted THEN \(rowsOfOthers)
                    ELSE 0 END AS rows
                FROM (SELECT count(DISTINCT document_id) AS found FROM lexical_first) f
                CROSS JOIN (SELECT least($11, coalesce($14, \(foundMin))) AS wanted) w
            )\(second.candidates), lexical_best AS MATERIALIZED (
                (SELECT * FROM lexical_first WHERE (SELECT rows FROM word_again) = 0)
                UNION ALL (\(second.ranked(joins, armLimit: armLimit)))
            )
            """
    }

    /// None, where the word arm is not asked.
    static let none = """
        , lexical_best AS MATERIALIZED (
            SELECT NULL::bigint AS id, NULL::bigint AS document_id, NULL::double precision AS distance WHERE false
        )
        """
}
