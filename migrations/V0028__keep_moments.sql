-- What reading the index as of a moment needs: which generation was active then, and by what an answer was found.

-- From which index version on a generation was the active one. Promotions are rare, so all are kept.
CREATE TABLE promotions (
    from_version bigint PRIMARY KEY,
    generation   bigint NOT NULL,
    promoted_at  timestamptz NOT NULL
);
-- Of the time before, the last one alone is known, and only as far as the history reaches.
INSERT INTO promotions (from_version, generation, promoted_at)
    SELECT coalesce((SELECT max(version) FROM index_versions WHERE origin = 'promotion'), 0), generation, promoted_at
    FROM active_generation;

CREATE FUNCTION medallion_note_promotion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO promotions AS p (from_version, generation, promoted_at)
    SELECT coalesce(max(v.version), 0), NEW.generation, NEW.promoted_at FROM index_versions v
    ON CONFLICT (from_version) DO UPDATE SET generation = excluded.generation, promoted_at = excluded.promoted_at;
    RETURN NULL;
END $$;
CREATE TRIGGER note_promotion AFTER INSERT OR UPDATE OF generation ON active_generation
    FOR EACH ROW EXECUTE FUNCTION medallion_note_promotion();

-- Numbers and times alone, for whichever role reads, also one that is made later.
GRANT SELECT ON promotions TO PUBLIC;

-- The moment from which an answer's times were reckoned and by what its words were weighed; null for answers from before.
ALTER TABLE answers ADD COLUMN basis json;

-- What the last audit of each generation came to, so that a server can show what a command found.
CREATE TABLE audits (
    generation  bigint PRIMARY KEY,
    finished_at timestamptz NOT NULL,
    documents   bigint NOT NULL,
    drift       bigint NOT NULL,
    report      json NOT NULL
);

-- Hides documents that a generation shows, within an index transaction. Damaged contents keep their rows for what is read as of before,
-- under a hash that no writer asks for; vectors that are wrong go, so that none is shared any more.
CREATE FUNCTION medallion_hide_audited(
    of_generation bigint, of_documents bigint[], of_damaged bigint[], of_model integer, of_vectors bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE visibility g SET to_version = currval('index_version_sequence')
    WHERE g.generation = of_generation AND g.document_id = ANY (of_documents) AND g.to_version IS NULL;
    UPDATE documents d SET content_hash = d.content_hash || ' damaged ' || d.id
    WHERE d.id = ANY (of_damaged) AND d.content_hash NOT LIKE '% damaged %';
    IF of_model > 0 AND cardinality(of_vectors) > 0 THEN
        EXECUTE format('DELETE FROM %I v WHERE v.id = ANY ($1)', 'vectors_' || of_model) USING of_vectors;
    END IF;
END $$;

-- Removes what nothing refers to, within an index transaction.
CREATE FUNCTION medallion_remove_orphans() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    part record;
BEGIN
    PERFORM medallion_remove_unseen(ARRAY(
        SELECT d.id FROM documents d WHERE NOT EXISTS (SELECT FROM visibility g WHERE g.document_id = d.id)));
    DELETE FROM passages p WHERE NOT EXISTS (SELECT FROM documents d WHERE d.id = p.document_id);
    FOR part IN
        SELECT x.tenant_id, array_agg(x.passage_id) AS passages FROM passage_terms x
        WHERE NOT EXISTS (SELECT FROM passages p WHERE p.id = x.passage_id) GROUP BY x.tenant_id
    LOOP
        PERFORM medallion_remove_words(part.tenant_id, part.passages);
    END LOOP;
    -- Of postings whose passages had no words of their own any more: rows that are left with none go, others are written again.
    DELETE FROM postings o WHERE NOT EXISTS (
        SELECT FROM unnest(o.passages) AS n(id) JOIN passages p ON p.id = n.id);
    UPDATE postings o SET passages = k.passages, documents = k.documents, weights = k.weights, last_passage = k.passages[1]
    FROM (
        SELECT h.tenant_id, h.word_id, h.last_passage, array_agg(n.passage ORDER BY n.at) AS passages,
            array_agg(n.document ORDER BY n.at) AS documents, array_agg(n.weight ORDER BY n.at) AS weights
        FROM postings h CROSS JOIN LATERAL unnest(h.passages, h.documents, h.weights) WITH ORDINALITY
            AS n(passage, document, weight, at)
        WHERE EXISTS (SELECT FROM passages p WHERE p.id = n.passage)
        GROUP BY h.tenant_id, h.word_id, h.last_passage
    ) k
    WHERE o.tenant_id = k.tenant_id AND o.word_id = k.word_id AND o.last_passage = k.last_passage
        AND cardinality(o.passages) > cardinality(k.passages);
    FOR part IN SELECT m.id FROM models m LOOP
        EXECUTE format('DELETE FROM %I v WHERE NOT EXISTS (SELECT FROM passages p WHERE p.vector_id = v.id)', 'vectors_' || part.id);
    END LOOP;
END $$;
