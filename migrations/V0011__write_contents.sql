-- The steps that write documents. Each takes some hundreds of documents as arrays, within an index transaction: its lock lets
-- one run at a time. A call has no document twice, whatever the generation; what comes twice comes in two calls.

-- Shows documents to generations and hides what they replace. Returns how many passages became visible.
--
-- The contents' rows are shared by generations and made once. An older version than the visible one changes nothing, nor does
-- one that is not newer than the document's deletion. Fails (SQLSTATE MD004) where a passage of a new content has no vector.
CREATE FUNCTION medallion_put_documents(
    of_model integer, of_generations bigint[], of_tenants text[], of_collections text[], of_doc_ids text[],
    of_versions bigint[], of_content_hashes text[], of_text_hashes text[], of_titles text[], of_urls text[], of_langs text[],
    of_event_times timestamptz[], of_attributes text[], of_quality_flags text[], of_lineages text[], of_topics text[],
    of_partitions integer[], of_offsets bigint[],
    -- Of passages: the place of their document among the above, from 1, and the SHA-256 of what the model sees, in hex.
    of_places integer[], of_numbers integer[], of_passage_hashes text[], of_texts text[], of_input_hashes text[]
) RETURNS bigint LANGUAGE plpgsql
-- Plans are kept over calls, and must not be those of an empty table: by the indexes, whatever the statistics say.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    this_version bigint := currval('index_version_sequence');
    other record;
    document_ids bigint[];
    key_ids bigint[];
    collection_ids integer[];
    are_new boolean[];
    vector_ids bigint[];
    added bigint;
BEGIN
    UPDATE generations g SET model_id = of_model
    WHERE of_model > 0 AND g.model_id IS NULL AND g.generation = ANY (of_generations);
    SELECT g.generation, m.name AS theirs, n.name AS ours INTO other
    FROM generations g JOIN models m ON m.id = g.model_id JOIN models n ON n.id = of_model
    WHERE g.generation = ANY (of_generations) AND g.model_id <> of_model LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the vectors of generation % are of model %, not %', other.generation, other.theirs, other.ours
            USING ERRCODE = 'MD005';
    END IF;

    IF EXISTS (
        SELECT FROM unnest(of_tenants, of_collections) AS i(tenant, name)
        WHERE NOT EXISTS (SELECT FROM collections c WHERE c.tenant = i.tenant AND c.name = i.name)
    ) THEN
        INSERT INTO collections (tenant, name)
        SELECT DISTINCT i.tenant, i.name FROM unnest(of_tenants, of_collections) AS i(tenant, name)
        ON CONFLICT DO NOTHING;
    END IF;

    -- By place: where the contents are or will be, null for documents that change nothing.
    SELECT array_agg(a.document_id ORDER BY a.place), array_agg(coalesce(a.key_id, a.document_id) ORDER BY a.place),
        array_agg(a.collection_id ORDER BY a.place), array_agg(a.is_new ORDER BY a.place)
    INTO document_ids, key_ids, collection_ids, are_new
    FROM (
        SELECT i.place, CASE WHEN i.is_taken THEN coalesce(i.document_id, nextval('documents_id_sequence')) END
                AS document_id, i.key_id, i.collection_id, i.is_taken AND i.document_id IS NULL AS is_new
        FROM (
            SELECT i.place, d.id AS document_id, k.key_id, c.id AS collection_id,
                -- Of equal versions the later record counts, also where a replay brings the earlier one again. What is
                -- shown already stays as it is.
                (g.version IS NULL OR g.version < i.version OR g.version = i.version AND g.document_id IS DISTINCT FROM d.id
                    AND NOT (g.source_topic = i.topic AND g.source_partition = i.partition
                        AND g.source_offset > i.source_offset))
                AND NOT EXISTS (
                    SELECT FROM deleted_documents m
                    WHERE m.generation = i.generation AND m.doc_id = i.doc_id AND m.collection_id = c.id
                        AND m.version >= i.version)
                AND NOT EXISTS (
                    SELECT FROM version_floors f
                    WHERE f.generation = i.generation AND f.source_topic = i.topic AND f.version > i.version) AS is_taken
            FROM unnest(of_generations, of_tenants, of_collections, of_doc_ids, of_versions, of_content_hashes, of_topics,
                    of_partitions, of_offsets) WITH ORDINALITY
                AS i(generation, tenant, collection, doc_id, version, content_hash, topic, partition, source_offset, place)
            JOIN collections c ON c.tenant = i.tenant AND c.name = i.collection
            LEFT JOIN LATERAL (
                SELECT o.id, o.key_id FROM documents o
                WHERE o.doc_id = i.doc_id AND o.collection_id = c.id AND o.content_hash = i.content_hash
                    AND o.model_id = of_model LIMIT 1) d ON true
            -- Another content of the document is looked for only where this one is not there.
            CROSS JOIN LATERAL (
                SELECT coalesce(d.key_id, (
                    SELECT o.key_id FROM documents o WHERE o.doc_id = i.doc_id AND o.collection_id = c.id LIMIT 1)) AS key_id
                OFFSET 0) k
            LEFT JOIN LATERAL (
                SELECT * FROM visibility o
                WHERE o.generation = i.generation AND o.key_id = k.key_id AND o.to_version IS NULL LIMIT 1) g ON true
            -- Asks for markers once, though the answer is used twice.
            OFFSET 0
        ) i
    ) a;

    IF of_model > 0 AND true = ANY (are_new) THEN
        EXECUTE format(
            'SELECT array_agg((SELECT o.id FROM %I o WHERE o.tenant = i.tenant'
            ' AND o.input_hash = decode(i.input_hash, ''hex'')) ORDER BY i.place)'
            ' FROM unnest($1, $2) WITH ORDINALITY AS i(input_hash, tenant, place)', 'vectors_' || of_model)
        INTO vector_ids
        USING of_input_hashes, ARRAY(SELECT of_tenants[p.place] FROM unnest(of_places) WITH ORDINALITY AS p(place, at) ORDER BY p.at);
    END IF;
    -- What has no passages here was there when it was looked for, and has gone since.
    SELECT of_doc_ids[m.place] AS doc_id INTO other FROM (
        SELECT n.place FROM unnest(are_new) WITH ORDINALITY AS n(is_new, place)
        WHERE n.is_new AND n.place <> ALL (of_places)
        UNION ALL
        SELECT p.place FROM unnest(of_places, vector_ids) AS p(place, vector_id)
        WHERE of_model > 0 AND are_new[p.place] AND p.vector_id IS NULL
    ) m LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'document % has no content in the index, or a passage of it no vector', other.doc_id
            USING ERRCODE = 'MD004';
    END IF;

    INSERT INTO documents (id, key_id, tenant, collection_id, doc_id, content_hash, model_id, text_hash, title, url, lang,
        event_time, wiki, type, user_name, namespace, is_bot, attributes, quality_flags)
    SELECT n.id, key_ids[n.place], of_tenants[n.place], collection_ids[n.place], of_doc_ids[n.place],
        of_content_hashes[n.place], of_model, of_text_hashes[n.place], of_titles[n.place], of_urls[n.place],
        of_langs[n.place], of_event_times[n.place], a.wiki, a.type, a.user_name, a.namespace, a.is_bot, a.others,
        of_quality_flags[n.place]::jsonb
    FROM unnest(document_ids) WITH ORDINALITY AS n(id, place)
    CROSS JOIN LATERAL medallion_split_attributes(of_attributes[n.place]::jsonb) a
    WHERE are_new[n.place];

    WITH given AS MATERIALIZED (
        SELECT nextval('passages_id_sequence') AS id, p.place, p.at
        FROM unnest(of_places) WITH ORDINALITY AS p(place, at) WHERE are_new[p.place]
    ), made AS (
        INSERT INTO passages (id, document_id, tenant, number, passage_hash, vector_id, text)
        SELECT g.id, document_ids[g.place], of_tenants[g.place], of_numbers[g.at], of_passage_hashes[g.at],
            vector_ids[g.at], of_texts[g.at]
        FROM given g
    )
    INSERT INTO passage_words (tenant, passage_id, document_id, words)
    SELECT of_tenants[g.place], g.id, document_ids[g.place], setweight(to_tsvector('medallion', of_titles[g.place]), 'B')
        || setweight(to_tsvector('medallion', of_texts[g.at]), 'C')
    FROM given g;
    IF true = ANY (are_new) THEN
        PERFORM gin_clean_pending_list(format('passage_words_t%s_words', t.id)::regclass)
        FROM tenants t WHERE t.name = ANY (of_tenants);
    END IF;

    UPDATE visibility g SET to_version = this_version
    FROM unnest(document_ids) WITH ORDINALITY AS n(id, place)
    WHERE n.id IS NOT NULL AND g.generation = of_generations[n.place] AND g.key_id = key_ids[n.place]
        AND g.to_version IS NULL;

    INSERT INTO visibility (document_id, generation, from_version, key_id, tenant, version, source_topic, source_partition,
        source_offset, shown_at, lineage)
    SELECT n.id, of_generations[n.place], this_version, key_ids[n.place], of_tenants[n.place], of_versions[n.place],
        of_topics[n.place], of_partitions[n.place], of_offsets[n.place], clock_timestamp(), of_lineages[n.place]::jsonb
    FROM unnest(document_ids) WITH ORDINALITY AS n(id, place)
    WHERE n.id IS NOT NULL
    -- The same content in the same transaction once more.
    ON CONFLICT (document_id, generation, from_version) DO UPDATE
    SET to_version = NULL, version = excluded.version, source_topic = excluded.source_topic,
        source_partition = excluded.source_partition, source_offset = excluded.source_offset, lineage = excluded.lineage;

    SELECT count(*) INTO added
    FROM unnest(document_ids) AS n(id) JOIN passages p ON p.document_id = n.id;

    -- What was refused before is there now, such as by a repeat after room was made for it.
    DELETE FROM refused_documents r
    USING unnest(of_generations, of_topics, of_partitions, of_offsets) AS i(generation, topic, partition, source_offset)
    WHERE r.generation = i.generation AND r.source_topic = i.topic AND r.source_partition = i.partition
        AND r.source_offset = i.source_offset;
    RETURN added;
END $$;

-- Removes those vectors of some inputs that nothing refers to: they came with documents that changed nothing. Behind all documents
-- of a transaction, since a later one may share what an earlier one did not need.
CREATE FUNCTION medallion_remove_unused_vectors(of_model integer, of_tenants text[], of_input_hashes text[])
RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
BEGIN
    EXECUTE format(
        'DELETE FROM %I v USING unnest($1, $2) AS i(tenant, input_hash)'
        ' WHERE v.tenant = i.tenant AND v.input_hash = decode(i.input_hash, ''hex'')'
        ' AND NOT EXISTS (SELECT FROM passages p WHERE p.vector_id = v.id)', 'vectors_' || of_model)
    USING of_tenants, of_input_hashes;
END $$;

-- Hides documents from generations, and keeps markers, so that older versions bring nothing back. Newer versions that are
-- visible stay.
CREATE FUNCTION medallion_delete_documents(
    of_generations bigint[], of_tenants text[], of_collections text[], of_doc_ids text[], of_versions bigint[],
    of_topics text[], of_partitions integer[], of_offsets bigint[]
) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    this_version bigint := currval('index_version_sequence');
BEGIN
    INSERT INTO collections (tenant, name)
    SELECT DISTINCT i.tenant, i.name FROM unnest(of_tenants, of_collections) AS i(tenant, name)
    WHERE NOT EXISTS (SELECT FROM collections c WHERE c.tenant = i.tenant AND c.name = i.name)
    ON CONFLICT DO NOTHING;

    UPDATE visibility g SET to_version = this_version
    FROM unnest(of_generations, of_tenants, of_collections, of_doc_ids, of_versions)
        AS i(generation, tenant, collection, doc_id, version)
    JOIN collections c ON c.tenant = i.tenant AND c.name = i.collection
    CROSS JOIN LATERAL (
        SELECT o.key_id FROM documents o WHERE o.doc_id = i.doc_id AND o.collection_id = c.id LIMIT 1) k
    WHERE g.generation = i.generation AND g.key_id = k.key_id AND g.to_version IS NULL AND g.version <= i.version;

    INSERT INTO deleted_documents (generation, collection_id, doc_id, tenant, version, source_topic, source_partition,
        source_offset, deleted_at)
    SELECT i.generation, c.id, i.doc_id, i.tenant, i.version, i.topic, i.partition, i.source_offset, clock_timestamp()
    FROM unnest(of_generations, of_tenants, of_collections, of_doc_ids, of_versions, of_topics, of_partitions, of_offsets)
        AS i(generation, tenant, collection, doc_id, version, topic, partition, source_offset)
    JOIN collections c ON c.tenant = i.tenant AND c.name = i.collection
    ON CONFLICT DO NOTHING;
END $$;

-- Deletes what a generation shows of a topic below a version, and what may still come.
CREATE FUNCTION medallion_delete_below(of_generation bigint, of_topic text, of_version bigint)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    hidden bigint;
BEGIN
    INSERT INTO version_floors AS f (generation, source_topic, version, changed_at)
    VALUES (of_generation, of_topic, of_version, clock_timestamp())
    ON CONFLICT (generation, source_topic) DO UPDATE SET version = excluded.version, changed_at = excluded.changed_at
    WHERE f.version < excluded.version;
    UPDATE visibility g SET to_version = currval('index_version_sequence')
    WHERE g.generation = of_generation AND g.source_topic = of_topic AND g.to_version IS NULL AND g.version < of_version;
    GET DIAGNOSTICS hidden = ROW_COUNT;
    RETURN hidden;
END $$;

-- All that a generation shows and showed of a document.
CREATE FUNCTION medallion_visibility_of(of_doc_id text, of_collection integer, of_generation bigint)
RETURNS SETOF visibility LANGUAGE sql STABLE AS $$
    SELECT g.* FROM documents d JOIN visibility g ON g.document_id = d.id AND g.generation = of_generation
    WHERE d.doc_id = of_doc_id AND d.collection_id = of_collection
$$;

-- Shows a child some documents as its parent shows or showed them, where it has nothing newer and was not told to delete them.
-- Within an index transaction. Returns how many.
CREATE FUNCTION medallion_inherit(of_child bigint, of_parent bigint, of_documents bigint[], of_from_versions bigint[])
RETURNS bigint LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    documents_left bigint[];
    versions_left bigint[];
    shown bigint;
BEGIN
    SELECT array_agg(g.document_id), array_agg(g.from_version) INTO documents_left, versions_left
    FROM unnest(of_documents, of_from_versions) AS n(document_id, from_version)
    JOIN visibility g ON g.document_id = n.document_id AND g.generation = of_parent AND g.from_version = n.from_version
    JOIN documents d ON d.id = g.document_id
    WHERE NOT EXISTS (
            SELECT FROM deleted_documents m
            WHERE m.generation = of_child AND m.doc_id = d.doc_id AND m.collection_id = d.collection_id
                AND m.version >= g.version)
        AND NOT EXISTS (
            SELECT FROM version_floors f
            WHERE f.generation = of_child AND f.source_topic = g.source_topic AND f.version > g.version);

    UPDATE visibility c SET to_version = currval('index_version_sequence')
    FROM unnest(documents_left, versions_left) AS n(document_id, from_version)
    JOIN visibility g ON g.document_id = n.document_id AND g.generation = of_parent AND g.from_version = n.from_version
    WHERE c.generation = of_child AND c.key_id = g.key_id AND c.to_version IS NULL
        AND (c.version < g.version OR c.version = g.version AND c.source_topic = g.source_topic
            AND c.source_partition = g.source_partition AND c.source_offset < g.source_offset);

    INSERT INTO visibility (document_id, generation, from_version, key_id, tenant, version, source_topic, source_partition,
        source_offset, shown_at, lineage)
    SELECT g.document_id, of_child, g.from_version, g.key_id, g.tenant, g.version, g.source_topic, g.source_partition,
        g.source_offset, g.shown_at, g.lineage
    FROM unnest(documents_left, versions_left) AS n(document_id, from_version)
    JOIN visibility g ON g.document_id = n.document_id AND g.generation = of_parent AND g.from_version = n.from_version
    WHERE NOT EXISTS (
        SELECT FROM visibility c WHERE c.generation = of_child AND c.key_id = g.key_id AND c.to_version IS NULL)
    -- The child was shown the same content in the transaction in which the parent was, and by an older version.
    ON CONFLICT (document_id, generation, from_version) DO UPDATE
    SET to_version = NULL, version = excluded.version, source_topic = excluded.source_topic,
        source_partition = excluded.source_partition, source_offset = excluded.source_offset, lineage = excluded.lineage;
    GET DIAGNOSTICS shown = ROW_COUNT;
    RETURN shown;
END $$;

-- Removes those of some contents that nobody sees any more, with their passages and the vectors that were theirs alone. Within an
-- index transaction. Returns how many contents went.
CREATE FUNCTION medallion_remove_unseen(of_documents bigint[]) RETURNS bigint LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    gone bigint[];
    vector_ids bigint[];
    removed bigint;
    model record;
BEGIN
    SELECT array_agg(d.id) INTO gone FROM documents d
    WHERE d.id = ANY (of_documents) AND NOT EXISTS (SELECT FROM visibility g WHERE g.document_id = d.id);
    IF gone IS NULL THEN
        RETURN 0;
    END IF;
    WITH removed_passages AS (
        DELETE FROM passages p WHERE p.document_id = ANY (gone) RETURNING p.id, p.tenant, p.vector_id
    ), removed_words AS (
        DELETE FROM passage_words w USING removed_passages p WHERE w.tenant = p.tenant AND w.passage_id = p.id
    )
    SELECT array_agg(DISTINCT p.vector_id) FILTER (WHERE p.vector_id IS NOT NULL) INTO vector_ids FROM removed_passages p;
    IF vector_ids IS NOT NULL THEN
        FOR model IN SELECT DISTINCT d.model_id AS id, d.tenant FROM documents d WHERE d.id = ANY (gone) AND d.model_id > 0 LOOP
            EXECUTE format(
                'DELETE FROM %I v WHERE v.tenant = $2 AND v.id = ANY ($1)'
                ' AND NOT EXISTS (SELECT FROM passages p WHERE p.vector_id = v.id)', 'vectors_' || model.id)
            USING vector_ids, model.tenant;
        END LOOP;
    END IF;
    DELETE FROM documents d WHERE d.id = ANY (gone);
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END $$;
