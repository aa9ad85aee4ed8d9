import Records
import Retrieval

/// How many documents pass the filter and hold a word of the query, and what values their attributes have.
enum FacetSQL {
    /// The documents, and whether there may be more.
    ///
    /// - Parameters:
    ///   - isNarrow: whether the statement knows narrow filters.
    ///   - demand: a condition on the passage `r.passage_id`; nil where nothing is demanded.
    ///   - conditions: on `d`.
    static func documents(isNarrow: Bool, demand: String?, conditions: String?, _ bounds: SearchBounds) -> String {
        let (rowsMax, lookedAtMax) = (bounds.countedRows, bounds.lookedAt)
        // Beyond so few, looking each word up in each passage would be more work than reading the words.
        let isFew = isNarrow ? NarrowSQL.isFewForWords : "false"
        return """
            , counted_rows AS MATERIALIZED (
                (SELECT p.document_id, p.passage_id
                FROM words_asked q CROSS JOIN LATERAL (
                    SELECT o.document_id, o.passage_id FROM postings o
                    WHERE o.tenant_id = \(WordArmSQL.tenantNumber) AND o.word_id = q.word_id
                    ORDER BY o.passage_id DESC LIMIT \(rowsMax + 1)
                ) p
                WHERE NOT \(isFew) LIMIT \(rowsMax + 1))\(isNarrow ? few : "")
            ), counted AS MATERIALIZED (
                SELECT d.*, (SELECT c.name FROM collections c WHERE c.id = d.collection_id) AS collection
                FROM (
                    SELECT DISTINCT r.document_id FROM counted_rows r\(demand.map { " WHERE \($0)" } ?? "")
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
                        OR (SELECT count(*) FROM counted_rows) > \(rowsMax)
                        OR (SELECT count(DISTINCT document_id) FROM counted_rows) > \(lookedAtMax) AS is_cut
            )
            """
    }

    /// Those of few passages that have a word.
    private static let few = """

            UNION ALL
            (SELECT n.document_id, n.id FROM narrow_passages n
            WHERE \(NarrowSQL.isFewForWords) AND EXISTS (
                SELECT FROM words_asked q JOIN postings o ON o.tenant_id = \(WordArmSQL.tenantNumber)
                    AND o.word_id = q.word_id AND o.passage_id = n.id OFFSET 0))
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
