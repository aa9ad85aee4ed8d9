/// One of the word arm's two looks at the postings.
///
/// The first reads the newest few thousand postings of each of the rarest words. They are of all generations, collections and former
/// versions of documents, so that none of them may be seen or pass the filter. How many a word has is no number that anybody keeps:
/// the counts are of what generations show. So each word that is read is looked at beyond the bound, and where there is more, and too
/// little was found, the second look reads several times as many, of more words. What even that leaves out is said.
struct WordLook {
    enum Turn { case first, second }

    /// What must be true of the candidates.
    struct Joins {
        /// Joins what must pass to the document of `r`.
        let passing: String
        /// A condition on the passage `r.id`.
        let demand: String
        /// Joins what is seen of the document of `r`.
        let visible: String
    }

    private let suffix: String
    /// Which groups of words are read.
    private let isRead: String
    /// Postings of one form that are read at most; 0 for no look at all.
    private let rows: String
    /// Whether the filter leaves so few passages that the words with more postings are looked up for each of them; nil where the
    /// statement knows no narrow filters.
    private let isFew: String?
    /// How many of the best passages of a single word are enough for what is wanted; nil where filters may leave most of them out.
    private let bestMax: Int?

    /// - Parameters:
    ///   - armLimit: passages that the arm gives at most.
    ///   - isFiltered: whether filters or demands leave some of what is seen out.
    init(_ turn: Turn, armLimit: Int, isNarrow: Bool, isFiltered: Bool, _ bounds: SearchBounds) {
        bestMax = turn == .first && !isNarrow && !isFiltered ? 2 * max(WordArmSQL.completedMax, armLimit) : nil
        switch turn {
        case .first:
            (suffix, isRead, rows) = ("", "is_read", "\(bounds.wordRows)")
            isFew = isNarrow ? NarrowSQL.isFewForWords : nil
        case .second:
            // Of many forms, such as those of a prefix, fewer are read of each.
            let each = """
                greatest(least((SELECT rows FROM word_again), \(bounds.wordRows)),
                    (SELECT rows FROM word_again) / count(*) OVER (PARTITION BY g.place))
                """
            (suffix, isRead, rows) = ("_again", "is_read_again", each)
            isFew = isNarrow ? NarrowSQL.isFewForWordsAgain : nil
        }
    }

    /// Whether there were words whose passages were not read.
    var isUnread: String { "(SELECT coalesce(bool_or(NOT \(isRead)), false) FROM word_groups)" }

    /// Whether there were passages of its words that were not looked at.
    var isCut: String {
        let isLong = "(SELECT coalesce(bool_or(is_long), false) FROM word_forms\(suffix))"
        let isRankedCut = "(SELECT count(*) FROM word_found\(suffix)) > \(WordArmSQL.rankedMax)\(isBestCut)"
        return "(\(isFew.map { "NOT coalesce(\($0), false) AND " } ?? "")\(isLong) OR \(isRankedCut))"
    }

    /// Whether too few of the best are seen, and there were others.
    private var isBestCut: String {
        guard let bestMax else { return "" }
        return """
             OR (SELECT count(*) > 0 AND count(*) >= \(bestMax) * (SELECT count(*) FROM word_forms) FROM word_best)
                AND (SELECT count(*) FROM lexical_first) < $11
            """
    }

    /// A form's share of the score, of postings `p` with the form's weight beside their own.
    static let share = """
        p.form_weight * f * ($17::double precision + 1) / (f + $17::double precision * (1 - $18::double precision
            + $18::double precision * (p.weight >> 16) / (SELECT length FROM word_totals)))
        """

    static let frequency =
        "CROSS JOIN LATERAL (SELECT ((p.weight & 255) + (p.weight >> 8 & 255))::double precision AS f) f"

    /// The forms that are read, whether each has more postings than that, and the passages that have them with their scores.
    var candidates: String {
        """
        , word_rest\(suffix) AS MATERIALIZED (
            SELECT g.place, g.idf, q.word_id, q.weight
            FROM word_groups g JOIN words_asked q ON q.place = g.place WHERE NOT g.\(isRead)
        ), word_forms\(suffix) AS MATERIALIZED (
            SELECT g.*, g.passages > g.rows OR EXISTS (
                SELECT FROM (
                    SELECT sum(cardinality(o.passages)) OVER (ORDER BY o.last_passage DESC ROWS UNBOUNDED PRECEDING) AS postings
                    FROM postings o WHERE o.tenant_id = \(WordArmSQL.tenantNumber) AND o.word_id = g.word_id
                ) o WHERE o.postings > g.rows) AS is_long
            FROM (
                SELECT g.place, g.idf, q.word_id, q.weight, q.passages, \(rows) AS rows
                FROM word_groups g JOIN words_asked q ON q.place = g.place
                WHERE g.\(isRead)\(suffix.isEmpty ? "" : " AND (SELECT rows FROM word_again) > 0")
            ) g
        )\(bestMax.map { found(ofOneWord: $0) } ?? ", word_found\(suffix) AS MATERIALIZED (\(found())\n)")
        """
    }

    /// Postings of the forms that are read.
    private var postings: String {
        """
        SELECT q.place, q.idf, q.weight AS form_weight, o.passage_id, o.document_id, o.weight
        FROM word_forms\(suffix) q CROSS JOIN LATERAL (
            \(WordArmSQL.newest([.passage, .document, .weight], of: "q.word_id", limit: "q.rows"))
        ) o
        """
    }

    /// The passages of the forms that are read, each once.
    ///
    /// - Parameter condition: under which they are looked at.
    private func found(where condition: String = "") -> String {
        """

            SELECT m.id, m.document_id, sum(m.score) AS score
            FROM (
                SELECT p.passage_id AS id, p.document_id, max(\(Self.share)) * p.idf AS score
                FROM (
                    \(postings)\(isFew.map { " WHERE NOT (q.is_long AND coalesce(\($0), false))" } ?? "")\(condition)\(ofFew)
                ) p
                \(Self.frequency)
                GROUP BY p.place, p.idf, p.passage_id, p.document_id
            ) m
            \(isFew == nil ? "" : Self.isAmongFew)
            GROUP BY m.id, m.document_id
        """
    }

    /// The same, but of the forms of a single word the best passages alone: putting thousands together by number, to take two hundred of
    /// them, was a third of the arm's work. Each passage that is left out is behind as many others as there are in `bestMax`.
    private func found(ofOneWord bestMax: Int) -> String {
        let words = "(SELECT count(DISTINCT place) FROM word_forms)"
        return """
            , word_best AS MATERIALIZED (
                SELECT p.passage_id AS id, p.document_id, \(Self.share) * p.idf AS score
                FROM (\(postings) WHERE \(words) = 1) p
                \(Self.frequency)
                ORDER BY 3 DESC, 1 DESC LIMIT \(bestMax) * (SELECT count(*) FROM word_forms)
            ), word_found AS MATERIALIZED (
                (SELECT b.id, b.document_id, max(b.score) AS score FROM word_best b GROUP BY b.id, b.document_id)
                UNION ALL (\(found(where: " WHERE \(words) > 1")))
            )
            """
    }

    /// The best of them that are seen and pass.
    func ranked(_ joins: Joins, armLimit: Int) -> String {
        let areAllRead = "(SELECT bool_and(\(isRead)) FROM word_groups)"
        return """

            SELECT s.id, s.document_id, s.score + CASE WHEN \(areAllRead) THEN 0 ELSE coalesce((
                    SELECT (
                        SELECT sum(o.score) FROM (
                            SELECT max(\(Self.share)) * p.idf AS score
                            FROM (
                                SELECT q.place, q.idf, q.weight AS form_weight, \(Self.weight) FROM word_rest\(suffix) q OFFSET 0
                            ) p
                            \(Self.frequency)
                            WHERE p.weight IS NOT NULL GROUP BY p.place, p.idf
                        ) o)
                    FROM passage_terms x WHERE x.tenant_id = \(WordArmSQL.tenantNumber) AND x.passage_id = s.id), 0) END AS distance
            FROM (
                SELECT r.id, r.document_id, r.score
                FROM (
                    SELECT m.id, m.document_id, m.score FROM word_found\(suffix) m
                    ORDER BY 3 DESC, 1 DESC LIMIT \(WordArmSQL.rankedMax)
                ) r \(joins.visible)
                \(joins.passing)
                WHERE \(joins.demand)
                ORDER BY r.score DESC, r.id DESC
                LIMIT CASE WHEN \(areAllRead) THEN \(armLimit) ELSE \(max(WordArmSQL.completedMax, armLimit)) END
            ) s
            ORDER BY 3 DESC, 1 DESC LIMIT \(armLimit)
            """
    }

    private static let isAmongFew =
        "WHERE NOT coalesce(\(NarrowSQL.isFew), false) OR m.id IN (SELECT n.id FROM narrow_passages n)"

    /// What a passage's own words `x` say of a form `q`: null where the passage does not have it.
    private static let weight = "x.weights[array_position(x.words, q.word_id)] AS weight"

    /// Those of few passages that have a common word: each passage's words are looked up once, for all forms.
    private var ofFew: String {
        guard let isFew else { return "" }
        return """

                    UNION ALL
                    (SELECT w.place, w.idf, w.form_weight, n.id, n.document_id, w.weight
                    FROM (
                        SELECT DISTINCT n.id, n.document_id FROM narrow_passages n
                        WHERE \(isFew) AND EXISTS (SELECT FROM word_forms\(suffix) WHERE is_long)
                    ) n
                    CROSS JOIN LATERAL (
                        SELECT x.words, x.weights FROM passage_terms x
                        WHERE x.tenant_id = \(WordArmSQL.tenantNumber) AND x.passage_id = n.id LIMIT 1
                    ) x
                    CROSS JOIN LATERAL (
                        SELECT q.place, q.idf, q.weight AS form_weight, \(Self.weight)
                        FROM word_forms\(suffix) q WHERE q.is_long OFFSET 0
                    ) w
                    WHERE w.weight IS NOT NULL)
            """
    }
}
