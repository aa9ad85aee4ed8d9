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

-- Hides documents that a generation shows, within an index transaction that may write them anew. Damaged contents keep their rows for
-- what is read as of before, under a hash that no writer asks for. So do vectors that are wrong: other contents that share one go on
-- to be found by it, and an audit sees by the hash that it is not theirs.
CREATE FUNCTION medallion_hide_audited(
    of_generation bigint, of_documents bigint[], of_damaged bigint[], of_model integer, of_vectors bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE visibility g SET to_version = currval('index_version_sequence')
    WHERE g.generation = of_generation AND g.document_id = ANY (of_documents) AND g.to_version IS NULL;
    UPDATE documents d SET content_hash = d.content_hash || ' damaged ' || d.id
    WHERE d.id = ANY (of_damaged) AND d.content_hash NOT LIKE '% damaged %';
    IF of_model > 0 AND cardinality(of_vectors) > 0 THEN
        EXECUTE format('UPDATE %I v SET input_hash = sha256(v.input_hash || int8send(v.id)) WHERE v.id = ANY ($1)',
            'vectors_' || of_model) USING of_vectors;
    END IF;
END $$;

-- Removes some rows of a kind, within an index transaction, as far as still nothing refers to them. Owners are tenants' numbers.
-- Returns how many it removed or, of postings, wrote again.
CREATE FUNCTION medallion_remove_orphans(
    of_kind text, of_model integer, of_owners integer[], of_ids bigint[], of_words integer[]
) RETURNS bigint LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    part record;
    removed bigint := 0;
BEGIN
    CASE of_kind
    WHEN 'documents' THEN
        RETURN medallion_remove_unseen(of_ids);
    WHEN 'passages' THEN
        DELETE FROM passages p WHERE p.id = ANY (of_ids) AND NOT EXISTS (SELECT FROM documents d WHERE d.id = p.document_id);
        GET DIAGNOSTICS removed = ROW_COUNT;
    WHEN 'words' THEN
        FOR part IN
            SELECT x.owner, array_agg(x.id) AS ids FROM unnest(of_owners, of_ids) AS x(owner, id)
            WHERE NOT EXISTS (SELECT FROM passages p WHERE p.id = x.id) GROUP BY x.owner
        LOOP
            PERFORM medallion_remove_words(part.owner, part.ids);
            removed := removed + cardinality(part.ids);
        END LOOP;
    WHEN 'postings' THEN
        -- Of passages whose words are not known any more: rows that are left with none go, others are written again.
        WITH kept AS MATERIALIZED (
            SELECT h.tenant_id, h.word_id, h.last_passage,
                array_agg(n.passage ORDER BY n.at) FILTER (WHERE p.id IS NOT NULL) AS passages,
                array_agg(n.document ORDER BY n.at) FILTER (WHERE p.id IS NOT NULL) AS documents,
                array_agg(n.weight ORDER BY n.at) FILTER (WHERE p.id IS NOT NULL) AS weights
            FROM unnest(of_owners, of_words, of_ids) AS k(owner, word, last)
            JOIN postings h ON h.tenant_id = k.owner AND h.word_id = k.word AND h.last_passage = k.last
            CROSS JOIN LATERAL unnest(h.passages, h.documents, h.weights) WITH ORDINALITY AS n(passage, document, weight, at)
            LEFT JOIN passages p ON p.id = n.passage
            GROUP BY h.tenant_id, h.word_id, h.last_passage HAVING bool_or(p.id IS NULL)
        ), emptied AS (
            DELETE FROM postings o USING kept k
            WHERE o.tenant_id = k.tenant_id AND o.word_id = k.word_id AND o.last_passage = k.last_passage AND k.passages IS NULL
        ), written AS (
            UPDATE postings o
            SET passages = k.passages, documents = k.documents, weights = k.weights, last_passage = k.passages[1]
            FROM kept k
            WHERE o.tenant_id = k.tenant_id AND o.word_id = k.word_id AND o.last_passage = k.last_passage
                AND k.passages IS NOT NULL
        )
        SELECT count(*) INTO removed FROM kept;
    WHEN 'vectors' THEN
        FOR part IN
            SELECT t.name, array_agg(x.id) AS ids FROM unnest(of_owners, of_ids) AS x(owner, id)
            JOIN tenants t ON t.id = x.owner GROUP BY t.name
        LOOP
            PERFORM medallion_remove_vectors(of_model, part.name, part.ids);
            removed := removed + cardinality(part.ids);
        END LOOP;
    END CASE;
    RETURN removed;
END $$;
