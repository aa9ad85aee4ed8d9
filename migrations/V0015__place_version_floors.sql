-- A floor of versions knows the record that it came from, so that a replay with logic that makes no floor of that record can take it
-- back. All floors of a topic are kept, as all deletions of a document are: a replay may make one of them anew, and the others hold.
-- There is one for each time that a source began anew, so they stay few.

-- Of floors from before, nobody knows the place: -1, which lies in no range, so that every child takes them over.
ALTER TABLE version_floors ADD COLUMN source_partition integer NOT NULL DEFAULT -1;
ALTER TABLE version_floors ADD COLUMN source_offset bigint NOT NULL DEFAULT -1;
ALTER TABLE version_floors ALTER COLUMN source_partition DROP DEFAULT, ALTER COLUMN source_offset DROP DEFAULT;
ALTER TABLE version_floors DROP CONSTRAINT version_floors_pkey;
-- A record may come again at a later offset, with the same version.
ALTER TABLE version_floors ADD PRIMARY KEY (generation, source_topic, version, source_partition, source_offset);

-- Deletes what a generation shows of a topic below a version, and what may still come.
--
-- In one statement, however many documents that are: a search sees one index version, and must see either all documents of before or
-- none of them. Steps would show a part of a snapshot that is gone.
DROP FUNCTION medallion_delete_below(bigint, text, bigint);
CREATE FUNCTION medallion_delete_below(
    of_generation bigint, of_topic text, of_partition integer, of_offset bigint, of_version bigint
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    hidden bigint;
BEGIN
    INSERT INTO version_floors (generation, source_topic, version, source_partition, source_offset, changed_at)
    VALUES (of_generation, of_topic, of_version, of_partition, of_offset, clock_timestamp())
    ON CONFLICT DO NOTHING;
    UPDATE visibility g SET to_version = currval('index_version_sequence')
    WHERE g.generation = of_generation AND g.source_topic = of_topic AND g.to_version IS NULL AND g.version < of_version;
    GET DIAGNOSTICS hidden = ROW_COUNT;
    RETURN hidden;
END $$;

-- Shows a child some documents as its parent shows or showed them, where it has nothing newer and was not told to delete them.
-- Within an index transaction. Returns how many.
--
-- Fails (SQLSTATE MD002) where the parent is pruned: its rows are being removed, under the same lock, and the child would lack them
-- without a word. Asked for no documents it looks, too, so that the last step of a copy is a check of all of them.
CREATE OR REPLACE FUNCTION medallion_inherit(
    of_child bigint, of_parent bigint, of_documents bigint[], of_from_versions bigint[]
) RETURNS bigint LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    documents_left bigint[];
    versions_left bigint[];
    shown bigint;
BEGIN
    IF EXISTS (SELECT FROM generations n WHERE n.generation = of_parent AND n.state = 'pruned') THEN
        RAISE EXCEPTION 'generation % is pruned in the index, so generation % cannot take over its documents', of_parent, of_child
            USING ERRCODE = 'MD002';
    END IF;

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
