-- Shows a child documents as its parent shows them, where a replay made the same contents of the same records: what
-- medallion_put_documents would come to, without their texts, words and vectors on the way.

-- Within an index transaction. `of_offsets` are those of one topic partition's records, with the hash of the content that the child's
-- logic makes of each, and that line's lineage. Returns the offsets that are dealt with; of the others the parent shows something
-- else, or nothing, and they are to be put.
CREATE FUNCTION medallion_share_documents(
    of_child bigint, of_parent bigint, of_model integer, of_topic text, of_partition integer, of_offsets bigint[],
    of_content_hashes text[], of_lineages text[]
) RETURNS bigint[] LANGUAGE plpgsql
-- As medallion_put_documents: plans are kept over calls, and go by the indexes.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    this_version bigint := currval('index_version_sequence');
    found_places integer[];
    are_taken boolean[];
    document_ids bigint[];
    key_ids bigint[];
    tenants text[];
    versions bigint[];
    replaces boolean;
BEGIN
    UPDATE generations g SET model_id = of_model WHERE of_model > 0 AND g.model_id IS NULL AND g.generation = of_child;
    -- Putting them says what is wrong with the model. Rows of a pruned parent are being removed.
    IF EXISTS (SELECT FROM generations g WHERE g.generation = of_child AND g.model_id <> of_model)
        OR NOT EXISTS (SELECT FROM generations g WHERE g.generation = of_parent AND g.state <> 'pruned')
    THEN
        RETURN '{}';
    END IF;

    SELECT array_agg(a.place), array_agg(a.is_taken), array_agg(a.document_id), array_agg(a.key_id), array_agg(a.tenant),
        array_agg(a.version), bool_or(a.is_taken AND a.is_shown)
    INTO found_places, are_taken, document_ids, key_ids, tenants, versions, replaces
    FROM (
        SELECT i.place, g.document_id, g.key_id, g.tenant, g.version, c.document_id IS NOT NULL AS is_shown,
            -- The rule of medallion_put_documents.
            (c.version IS NULL OR c.version < g.version OR c.version = g.version AND c.document_id <> g.document_id
                AND NOT (c.source_topic = of_topic AND c.source_partition = of_partition
                    AND c.source_offset > g.source_offset))
            AND NOT EXISTS (
                SELECT FROM deleted_documents m
                WHERE m.generation = of_child AND m.doc_id = d.doc_id AND m.collection_id = d.collection_id
                    AND m.version >= g.version)
            AND NOT EXISTS (
                SELECT FROM version_floors f
                WHERE f.generation = of_child AND f.source_topic = of_topic AND f.version > g.version) AS is_taken
        FROM unnest(of_offsets, of_content_hashes) WITH ORDINALITY AS i(source_offset, content_hash, place)
        JOIN visibility g ON g.generation = of_parent AND g.source_topic = of_topic AND g.source_partition = of_partition
            AND g.source_offset = i.source_offset AND g.to_version IS NULL
        JOIN documents d ON d.id = g.document_id AND d.content_hash = i.content_hash AND d.model_id = of_model
        LEFT JOIN LATERAL (
            SELECT o.document_id, o.version, o.source_topic, o.source_partition, o.source_offset FROM visibility o
            WHERE o.generation = of_child AND o.key_id = g.key_id AND o.to_version IS NULL LIMIT 1) c ON true
        -- Asks for markers once, though the answer is used twice.
        OFFSET 0
    ) a;

    IF replaces THEN
        UPDATE visibility c SET to_version = this_version
        FROM unnest(key_ids, are_taken) AS n(key_id, is_taken)
        WHERE n.is_taken AND c.generation = of_child AND c.key_id = n.key_id AND c.to_version IS NULL;
    END IF;
    INSERT INTO visibility (document_id, generation, from_version, key_id, tenant, version, source_topic, source_partition,
        source_offset, shown_at, lineage)
    SELECT n.document_id, of_child, this_version, n.key_id, n.tenant, n.version, of_topic, of_partition,
        of_offsets[n.place], clock_timestamp(), of_lineages[n.place]::jsonb
    FROM unnest(found_places, are_taken, document_ids, key_ids, tenants, versions)
        AS n(place, is_taken, document_id, key_id, tenant, version)
    WHERE n.is_taken;
    -- As medallion_put_documents: a document that could not be taken may be shown by now.
    DELETE FROM refused_documents r USING unnest(found_places) AS p(place)
    WHERE r.generation = of_child AND r.source_topic = of_topic AND r.source_partition = of_partition
        AND r.source_offset = of_offsets[p.place];
    RETURN coalesce(ARRAY(SELECT of_offsets[p.place] FROM unnest(found_places) AS p(place)), '{}');
END $$;
