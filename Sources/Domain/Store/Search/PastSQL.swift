import Postgres
import Retrieval

/// The word arm over an index version of the past: all postings that were visible then are read, however many, so that nothing is
/// missed and the same question finds the same passages each time.
///
/// The counts of words that the index keeps are of now. Where a search's own were not kept with it, they are counted over what was
/// visible then.
enum PastSQL {
    /// ``WordStatistics``: passages, words of a passage, forms, and how many passages have each.
    static let types: [PostgresType] = [.float8, .float8, .textArray, .int8Array]

    static func bind(_ statistics: WordStatistics?, into parameters: inout PostgresParameters) {
        if let statistics {
            parameters.append(statistics.passages)
            parameters.append(statistics.length)
        } else {
            parameters.appendNull()
            parameters.appendNull()
        }
        let forms = (statistics?.forms ?? [:]).sorted { $0.key < $1.key }
        parameters.append(forms.map { IndexText.clean($0.key) })
        parameters.append(forms.map(\.value))
    }

    /// In place of ``WordArmSQL/words(isNarrow:_:)``: the same, of the postings that were visible.
    ///
    /// - Parameter parameter: the first of ``types``.
    static func words(_ parameter: Int) -> String {
        """
        , past_words AS MATERIALIZED (
            SELECT q.place, q.weight / 1000.0::double precision AS weight, w.id AS word_id, q.term
            FROM unnest($12::text[], $15::int[], $16::int[]) AS q(term, place, weight)
            JOIN words w ON w.tenant = $13 AND w.text = q.term
        ), past_postings AS MATERIALIZED (
            SELECT o.word_id, o.passage_id, o.document_id, o.weight
            FROM (
                SELECT q.word_id, unnest(o.passages) AS passage_id, unnest(o.documents) AS document_id,
                    unnest(o.weights) AS weight
                FROM (SELECT DISTINCT word_id FROM past_words) q
                JOIN postings o ON o.tenant_id = \(WordArmSQL.tenantNumber) AND o.word_id = q.word_id
            ) o
            \(SearchSQL.visible("o.document_id"))
            \(inCollection("o.document_id"))
        ), word_totals AS MATERIALIZED (
            SELECT coalesce($\(parameter)::double precision, greatest(t.passages, 1)::double precision) AS passages,
                coalesce($\(parameter + 1)::double precision,
                    greatest(t.words::double precision / greatest(t.passages, 1), 1)) AS length
            FROM (
                SELECT count(*) AS passages, coalesce(sum(x.length), 0) AS words
                FROM passage_terms x
                \(SearchSQL.visible("x.document_id"))
                \(inCollection("x.document_id"))
                WHERE $\(parameter)::double precision IS NULL AND x.tenant_id = \(WordArmSQL.tenantNumber)
            ) t
        ), words_asked AS MATERIALIZED (
            SELECT w.place, w.weight, w.word_id, w.term,
                coalesce(k.passages, n.passages, 0)::double precision AS passages
            FROM past_words w
            LEFT JOIN unnest($\(parameter + 2)::text[], $\(parameter + 3)::bigint[]) AS k(term, passages) ON k.term = w.term
            LEFT JOIN (SELECT word_id, count(*) AS passages FROM past_postings GROUP BY word_id) n ON n.word_id = w.word_id
        ), word_groups AS MATERIALIZED (
            SELECT g.place, ln(1 + greatest(t.passages - g.passages + 0.5, 0.5) / (g.passages + 0.5)) AS idf
            FROM (SELECT place, greatest(max(passages), 0) AS passages FROM words_asked GROUP BY place) g
            CROSS JOIN word_totals t
        )
        """
    }

    private static func inCollection(_ document: String) -> String {
        """
        JOIN documents b ON b.id = \(document) AND ($9::text IS NULL
            OR b.collection_id = (SELECT c.id FROM collections c WHERE c.tenant = $13 AND c.name = $9))
        """
    }

    /// In place of ``WordArmSQL/best(_:armLimit:isNarrow:isFiltered:_:)``: the best of all of them.
    static func best(_ joins: WordLook.Joins, armLimit: Int) -> String {
        """
        , lexical_best AS MATERIALIZED (
            SELECT r.id, r.document_id, r.score AS distance
            FROM (
                SELECT m.id, m.document_id, sum(m.score) AS score
                FROM (
                    SELECT p.passage_id AS id, p.document_id, max(\(WordLook.share)) * p.idf AS score
                    FROM (
                        SELECT g.place, g.idf, q.weight AS form_weight, o.passage_id, o.document_id, o.weight
                        FROM word_groups g JOIN words_asked q ON q.place = g.place
                        JOIN past_postings o ON o.word_id = q.word_id
                    ) p
                    \(WordLook.frequency)
                    GROUP BY p.place, p.idf, p.passage_id, p.document_id
                ) m
                GROUP BY m.id, m.document_id
            ) r
            \(joins.passing)
            WHERE \(joins.demand)
            ORDER BY r.score DESC, r.id DESC LIMIT \(armLimit)
        )
        """
    }
}
