-- As before, but for how words that no passage has are told.
-- Removes the words of some passages, and those words that no passage has any more.
CREATE OR REPLACE FUNCTION medallion_remove_words(of_tenant_id integer, of_passages bigint[]) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    word_ids integer[];
BEGIN
    WITH gone AS (
        DELETE FROM passage_terms x WHERE x.tenant_id = of_tenant_id AND x.passage_id = ANY (of_passages)
        RETURNING x.passage_id, x.words
    ), removed AS (
        DELETE FROM postings p USING gone g CROSS JOIN unnest(g.words) AS w(id)
        WHERE p.tenant_id = of_tenant_id AND p.word_id = w.id AND p.passage_id = g.passage_id
        RETURNING p.word_id
    )
    SELECT array_agg(DISTINCT r.word_id) INTO word_ids FROM removed r;
    -- The offset keeps this from becoming a join, which compared every word with every posting where the planner knew little.
    WITH unused AS (
        DELETE FROM words w WHERE w.id = ANY (word_ids)
            AND NOT EXISTS (SELECT FROM postings p WHERE p.tenant_id = of_tenant_id AND p.word_id = w.id OFFSET 0)
        RETURNING w.id
    )
    DELETE FROM word_counts c USING generations g, unused u WHERE c.generation = g.generation AND c.word_id = u.id;
END $$;
