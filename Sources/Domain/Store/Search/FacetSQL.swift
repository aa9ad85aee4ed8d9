import Records
import Retrieval

/// How many documents pass the filter and hold a word of the query, and what values their attributes have.
enum FacetSQL {
    /// The documents, and whether there may be more.
    ///
    /// - Parameters:
    ///   - isNarrow: whether the statement knows narrow filters.
    ///   - demand: a condition on the passage `r.passage_id`.
    ///   - conditions: on `d`.
    static func documents(isNarrow: Bool, demand: String, conditions: String?, _ bounds: SearchBounds) -> String {
        let (rowsMax, lookedAtMax) = (bounds.countedRows, bounds.lookedAt)
        // Reading many words to their ends would be more work than looking at few passages, and the other way round.
        let isLookedUp = """
            (SELECT coalesce(n.is_few_for_words OR n.is_few AND (
                SELECT coalesce(sum(q.passages), 0) FROM words_asked q) > \(rowsMax), false) FROM narrow n)
            """
        let isRead = isNarrow ? "NOT (SELECT is_looked_up FROM counted_way)" : "true"
        return """
            \(isNarrow ? ", counted_way AS MATERIALIZED (SELECT \(isLookedUp) AS is_looked_up)" : "")
            , counted_read AS MATERIALIZED (
                SELECT p.document_id, p.passage_id
                FROM words_asked q CROSS JOIN LATERAL (
                    \(WordArmSQL.newest([.document, .passage], of: "q.word_id", limit: "\(rowsMax + 1)"))
                ) p
                WHERE \(isRead) LIMIT \(rowsMax + 1)
            ), counted_rows AS MATERIALIZED (
                \(isNarrow ? amongFew : "SELECT r.document_id, r.passage_id FROM counted_read r")
            ), counted AS MATERIALIZED (
                SELECT d.*, (SELECT c.name FROM collections c WHERE c.id = d.collection_id) AS collection
                FROM (
                    SELECT DISTINCT r.document_id FROM counted_rows r WHERE \(demand)
                    LIMIT \(lookedAtMax + 1)
                ) r
                CROSS JOIN LATERAL (SELECT FROM (SELECT) o \(SearchSQL.visible("r.document_id")) LIMIT 1) g
                CROSS JOIN LATERAL (
                    SELECT d.collection_id, d.lang, d.event_time, d.wiki, d.type, d.user_name, d.namespace, d.is_bot,
                        d.attributes
                    FROM documents d
                    WHERE d.id = r.document_id AND d.tenant = $13\(conditions.map { " AND \($0)" } ?? "") LIMIT 1
                ) d
                LIMIT \(bounds.counted + 1)
            ), counted_state AS MATERIALIZED (
                SELECT (SELECT count(*) FROM counted) AS documents,
                    (SELECT count(*) FROM counted) > \(bounds.counted)
                        OR (SELECT count(*) FROM counted_read) > \(rowsMax)
                        OR (SELECT count(DISTINCT document_id) FROM counted_rows) > \(lookedAtMax) AS is_cut
            )
            """
    }

    /// Where a filter leaves few passages, those of them that have a word: found by reading the words, or among the passages' own.
    private static let amongFew = """
        SELECT r.document_id, r.passage_id FROM counted_read r
                WHERE NOT coalesce(\(NarrowSQL.isFew), false) OR r.passage_id IN (SELECT n.id FROM narrow_passages n)
                UNION ALL
                (SELECT n.document_id, n.id FROM narrow_passages n
                CROSS JOIN LATERAL (
                    SELECT x.words FROM passage_terms x
                    WHERE x.tenant_id = \(WordArmSQL.tenantNumber) AND x.passage_id = n.id LIMIT 1
                ) x
                WHERE (SELECT is_looked_up FROM counted_way)
                    AND x.words && (SELECT coalesce(array_agg(q.word_id), '{}') FROM words_asked q))
        """

    /// One JSON object of it all.
    ///
    /// - Parameter parameter: the names of the attributes.
    static func counts(_ parameter: Int) -> String {
        let cases =
            AttributeColumns.own.map { "WHEN '\($0.name)' THEN coalesce(\($0.json), d.attributes -> '\($0.name)')" }
            .joined(separator: " ")
        return """
            (SELECT jsonb_build_object('documents', s.documents, 'is_cut', s.is_cut, 'facets', (
                SELECT coalesce(jsonb_agg(jsonb_build_object('name', f.name, 'values', (
                    SELECT coalesce(jsonb_agg(jsonb_build_array(v.value, v.documents) ORDER BY v.documents DESC, v.value), '[]')
                    FROM (
                        SELECT v.value, count(*) AS documents
                        FROM counted d CROSS JOIN LATERAL (
                            SELECT CASE WHEN jsonb_typeof(a.value) IN ('string', 'number', 'boolean') THEN a.value END AS value
                            FROM (SELECT CASE f.name WHEN 'collection' THEN to_jsonb(d.collection)
                                WHEN 'lang' THEN to_jsonb(d.lang) \(cases) ELSE d.attributes -> f.name END AS value) a
                        ) v
                        WHERE v.value IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT \(SearchLimits.facetValuesMax + 1)
                    ) v)) ORDER BY f.place), '[]')
                FROM unnest($\(parameter)::text[]) WITH ORDINALITY AS f(name, place)))
            FROM counted_state s)
            """
    }
}
