-- From an event to the answers that it went into, and from an answer to its events, also once the index shows and holds the
-- documents no more: an answer keeps what it saw of each document.

-- Null in rows from before.
ALTER TABLE answer_documents
    ADD COLUMN version          bigint,
    ADD COLUMN content_hash     text,
    -- The Bronze record that the document was made from.
    ADD COLUMN source_topic     text,
    ADD COLUMN source_partition integer,
    ADD COLUMN source_offset    bigint,
    ADD COLUMN event_id         text,
    -- The index version that showed it to the answer's generation, and the times of that transaction.
    ADD COLUMN from_version     bigint,
    ADD COLUMN embedded_at      timestamptz,
    ADD COLUMN indexed_at       timestamptz,
    ADD COLUMN searchable_at    timestamptz;
-- Without the rows from before, so that it is made in a moment.
CREATE INDEX answer_documents_source ON answer_documents (source_topic, source_partition, source_offset, created_at DESC, answer_id)
    WHERE source_topic IS NOT NULL;
CREATE INDEX answer_documents_event ON answer_documents (event_id, created_at DESC, answer_id)
    WHERE event_id IS NOT NULL AND octet_length(event_id) <= 1024;

ALTER TABLE index_versions
    -- When the vectors of the transaction's documents were there; null where nothing was embedded for it.
    ADD COLUMN embedded_at   timestamptz,
    -- When its commit had returned: from then on a search finds what it brought.
    ADD COLUMN searchable_at timestamptz;

-- Where the records of an event lie that the tenant of the session is shown something of, by the index on what lineages say: no
-- policy would let a query use it, since what reads JSON is not leakproof. It tells where such records lie, suppressed ones, too;
-- what a reply shows of them is read under the policy.
CREATE FUNCTION medallion_places_of_event(of_event text, of_rows integer)
RETURNS TABLE (source_topic text, source_partition integer, source_offset bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off AS $$
    SELECT g.source_topic, g.source_partition, g.source_offset FROM visibility g
    WHERE g.lineage #>> '{parents,0,event_id}' = of_event AND octet_length(of_event) <= 1024
        AND octet_length(g.lineage #>> '{parents,0,event_id}') <= 1024
        AND g.tenant = (SELECT medallion_tenant())
    LIMIT of_rows
$$;
