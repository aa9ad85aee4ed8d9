-- Another embedding model, precision or dimension as a generation. What a generation says stays; its contents get twins of the new model,
-- which share all but the vectors, so that texts and words never leave the database.

-- The model whose vectors a replay is to make; empty: its parent's.
ALTER TABLE replays ADD COLUMN model text NOT NULL DEFAULT '';

-- Gives some contents that a generation shows their twins of its model, and shows these in their place, from the same versions on. Within
-- an index transaction, while the generation is being made. Contents that are hidden meanwhile are left out. Returns how many were
-- replaced; -1 while passages are being cut into words anew, which would pass over new ones.
CREATE FUNCTION medallion_reembed(
    of_generation bigint, of_model integer,
    -- Of one tenant.
    of_tenant text, of_documents bigint[],
    -- Those that the embedder refuses: they are found by their words alone.
    of_refused bigint[],
    -- The passages of the others, with the SHA-256 of what the model sees, in hex.
    of_passages bigint[], of_input_hashes text[]
) RETURNS bigint LANGUAGE plpgsql
SET enable_seqscan = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    tenant_number integer := medallion_prepare_tenant(of_tenant);
    contents bigint[];
    twins bigint[];
    are_new boolean[];
    vector_ids bigint[];
    former_passages bigint[];
    new_passages bigint[];
    new_documents bigint[];
    missing bigint;
    replaced bigint;
BEGIN
    IF NOT (SELECT w.is_complete FROM word_arm w) THEN
        RETURN -1;
    END IF;
    PERFORM FROM generations g WHERE g.generation = of_generation AND g.state = 'created' AND g.model_id = of_model FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'generation % is not being made any more, or not of this model', of_generation USING ERRCODE = 'MD002';
    END IF;

    SELECT array_agg(c.id ORDER BY c.id), array_agg(c.twin ORDER BY c.id), array_agg(c.is_new ORDER BY c.id)
    INTO contents, twins, are_new
    FROM (
        SELECT d.id, coalesce(t.id, nextval('documents_id_sequence')) AS twin, t.id IS NULL AS is_new
        FROM unnest(of_documents) AS n(id) JOIN documents d ON d.id = n.id AND d.tenant = of_tenant
        CROSS JOIN LATERAL (SELECT CASE WHEN d.id = ANY (of_refused) THEN 0 ELSE of_model END AS model_id OFFSET 0) w
        LEFT JOIN documents t ON t.doc_id = d.doc_id AND t.collection_id = d.collection_id
            AND t.content_hash = d.content_hash AND t.model_id = w.model_id
        WHERE d.model_id <> w.model_id AND EXISTS (
            SELECT FROM visibility g WHERE g.document_id = d.id AND g.generation = of_generation AND g.to_version IS NULL)
    ) c;
    IF contents IS NULL THEN
        RETURN 0;
    END IF;

    EXECUTE format(
        'SELECT array_agg((SELECT v.id FROM %I v WHERE v.tenant = $2 AND v.input_hash = decode(i.input_hash, ''hex''))'
        ' ORDER BY i.place) FROM unnest($1) WITH ORDINALITY AS i(input_hash, place)', 'vectors_' || of_model)
    INTO vector_ids USING of_input_hashes, of_tenant;

    -- Of the twins that are made now. Numbers rise with the age of what they are of, which searches for common words go by.
    SELECT array_agg(o.id ORDER BY o.fresh), array_agg(o.fresh ORDER BY o.fresh), array_agg(o.twin ORDER BY o.fresh),
        array_agg(o.vector_id ORDER BY o.fresh), min(o.document_id) FILTER (WHERE o.vector_id IS NULL AND o.is_embedded)
    INTO former_passages, new_passages, new_documents, vector_ids, missing
    FROM (
        SELECT s.*, nextval('passages_id_sequence') AS fresh FROM (
            SELECT p.id, p.document_id, c.twin, v.vector_id, c.id <> ALL (of_refused) AS is_embedded
            FROM unnest(contents, twins, are_new) AS c(id, twin, is_new) JOIN passages p ON p.document_id = c.id
            LEFT JOIN unnest(of_passages, vector_ids) AS v(id, vector_id) ON v.id = p.id AND c.id <> ALL (of_refused)
            WHERE c.is_new ORDER BY p.document_id, p.number OFFSET 0
        ) s
    ) o;
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'a passage of content % has no vector', missing USING ERRCODE = 'MD004';
    END IF;

    INSERT INTO documents (id, key_id, tenant, collection_id, doc_id, content_hash, model_id, text_hash, title, url, lang,
        event_time, wiki, type, user_name, namespace, is_bot, attributes, quality_flags)
    SELECT c.twin, d.key_id, d.tenant, d.collection_id, d.doc_id, d.content_hash,
        CASE WHEN d.id = ANY (of_refused) THEN 0 ELSE of_model END, d.text_hash, d.title, d.url, d.lang, d.event_time, d.wiki,
        d.type, d.user_name, d.namespace, d.is_bot, d.attributes, d.quality_flags
    FROM unnest(contents, twins, are_new) AS c(id, twin, is_new) JOIN documents d ON d.id = c.id WHERE c.is_new;

    INSERT INTO passages (id, document_id, tenant, number, passage_hash, vector_id, text)
    SELECT n.fresh, n.document_id, p.tenant, p.number, p.passage_hash, n.vector_id, p.text
    FROM unnest(former_passages, new_passages, new_documents, vector_ids) AS n(id, fresh, document_id, vector_id)
    JOIN passages p ON p.id = n.id;

    INSERT INTO passage_terms (tenant_id, passage_id, document_id, analyzer, length, words, weights)
    SELECT tenant_number, n.fresh, n.document_id, x.analyzer, x.length, x.words, x.weights
    FROM unnest(former_passages, new_passages, new_documents) AS n(id, fresh, document_id)
    JOIN passage_terms x ON x.tenant_id = tenant_number AND x.passage_id = n.id;

    INSERT INTO postings (tenant_id, word_id, last_passage, passages, documents, weights)
    SELECT tenant_number, o.word_id, max(o.passage_id), array_agg(o.passage_id ORDER BY o.passage_id DESC),
        array_agg(o.document_id ORDER BY o.passage_id DESC), array_agg(o.weight ORDER BY o.passage_id DESC)
    FROM (
        SELECT u.word_id, u.weight, n.fresh AS passage_id, n.document_id,
            (row_number() OVER (PARTITION BY u.word_id ORDER BY n.fresh) - 1) / 64 AS part
        FROM unnest(former_passages, new_passages, new_documents) AS n(id, fresh, document_id)
        JOIN passage_terms x ON x.tenant_id = tenant_number AND x.passage_id = n.id
        CROSS JOIN LATERAL unnest(x.words, x.weights) AS u(word_id, weight)
    ) o
    GROUP BY o.word_id, o.part ORDER BY 2, 3;

    -- As new rows: whatever counts what is shown, or keeps it from being shown, looks at them.
    WITH gone AS (
        DELETE FROM visibility g USING unnest(contents, twins) AS c(id, twin)
        WHERE g.document_id = c.id AND g.generation = of_generation AND g.to_version IS NULL
        RETURNING c.twin, g.from_version, g.key_id, g.tenant, g.version, g.source_topic, g.source_partition, g.source_offset,
            g.shown_at, g.lineage, g.suppression
    )
    INSERT INTO visibility (document_id, generation, from_version, key_id, tenant, version, source_topic, source_partition,
        source_offset, shown_at, lineage, suppression)
    SELECT o.twin, of_generation, o.from_version, o.key_id, o.tenant, o.version, o.source_topic, o.source_partition,
        o.source_offset, o.shown_at, o.lineage, o.suppression
    FROM gone o
    -- The generation's own row of the same transaction, which ended since.
    ON CONFLICT (document_id, generation, from_version) DO UPDATE
    SET to_version = NULL, version = excluded.version, source_topic = excluded.source_topic,
        source_partition = excluded.source_partition, source_offset = excluded.source_offset, lineage = excluded.lineage,
        suppression = excluded.suppression;
    GET DIAGNOSTICS replaced = ROW_COUNT;
    -- Those of a parent that was pruned meanwhile.
    PERFORM medallion_remove_unseen(contents);
    RETURN replaced;
END $$;

-- Gives the room of a model's vectors back at once, with their graphs, where every generation of it was pruned and no content of it is left.
-- One model a step. Returns its name; null where there is none, or somebody reads one of them at the moment.
CREATE FUNCTION medallion_empty_vectors() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    model record;
BEGIN
    FOR model IN
        SELECT m.id, m.name FROM models m
        WHERE NOT EXISTS (SELECT FROM generations g WHERE g.model_id = m.id AND g.state <> 'pruned')
            AND EXISTS (SELECT FROM generations g WHERE g.model_id = m.id)
        ORDER BY m.id
    LOOP
        -- Those that were emptied before have no page.
        CONTINUE WHEN NOT EXISTS (
            SELECT FROM tenants t
            WHERE pg_relation_size(to_regclass(format('vectors_%s_t%s', model.id, t.id))) > 0
                OR pg_relation_size(to_regclass(format('vectors_%s_t%s_new', model.id, t.id))) > 0);
        -- No generation of it begins meanwhile, and nobody writes.
        PERFORM pg_advisory_xact_lock(7882826980159875177);
        CONTINUE WHEN EXISTS (SELECT FROM generations g WHERE g.model_id = model.id AND g.state <> 'pruned')
            OR EXISTS (SELECT FROM documents d WHERE d.model_id = model.id);
        BEGIN
            PERFORM set_config('lock_timeout', '200ms', true);
            EXECUTE format('TRUNCATE %I', 'vectors_' || model.id);
        EXCEPTION WHEN lock_not_available THEN
            CONTINUE;
        END;
        RETURN model.name;
    END LOOP;
    RETURN NULL;
END $$;
