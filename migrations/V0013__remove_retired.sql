-- What nobody can ask for any more goes, in steps that hold the lock of index transactions for a moment each.

CREATE INDEX index_versions_created_at ON index_versions (created_at);
CREATE INDEX documents_collection ON documents (collection_id, event_time);

-- One step of at most so many rows of a sort: of pruned generations, what ended before the history began, numbers of index
-- transactions from before it. Returns how many rows of visibility and how many numbers went; 0 when nothing is left to do.
CREATE FUNCTION medallion_remove_retired(of_history interval, of_rows integer) RETURNS bigint LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    oldest bigint;
    contents bigint[];
    removed bigint;
    numbers bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(7882826980159875177);
    UPDATE index_history h SET oldest_version = v.version FROM (
        SELECT version FROM index_versions WHERE created_at < clock_timestamp() - of_history
        ORDER BY created_at DESC LIMIT 1) v
    WHERE h.oldest_version < v.version;
    SELECT oldest_version INTO oldest FROM index_history;

    WITH retired AS (
        SELECT p.ctid AS place FROM generations n
        CROSS JOIN LATERAL (SELECT g.ctid FROM visibility g WHERE g.generation = n.generation LIMIT of_rows) p
        WHERE n.state = 'pruned' LIMIT of_rows
    ), ended AS (
        SELECT g.ctid AS place FROM visibility g WHERE g.to_version <= oldest LIMIT of_rows
    ), gone AS (
        DELETE FROM visibility g WHERE g.ctid = ANY (ARRAY(
            SELECT place FROM (SELECT place FROM retired UNION ALL SELECT place FROM ended) a LIMIT of_rows))
        RETURNING g.document_id
    )
    SELECT array_agg(DISTINCT document_id), count(*) INTO contents, removed FROM gone;
    PERFORM medallion_remove_unseen(contents);

    DELETE FROM index_versions v WHERE v.version IN (
        SELECT o.version FROM index_versions o WHERE o.version < oldest ORDER BY o.version LIMIT of_rows);
    GET DIAGNOSTICS numbers = ROW_COUNT;
    IF removed = 0 THEN
        DELETE FROM deleted_documents d USING generations n WHERE n.generation = d.generation AND n.state = 'pruned';
        DELETE FROM refused_documents d USING generations n WHERE n.generation = d.generation AND n.state = 'pruned';
        DELETE FROM version_floors f USING generations n WHERE n.generation = f.generation AND n.state = 'pruned';
        DELETE FROM index_checkpoints c USING generations n WHERE n.generation = c.generation AND n.state = 'pruned';
    END IF;
    RETURN removed + numbers;
END $$;

-- One step of removing documents of a collection whose event is older than a moment, from all generations and from their
-- history. Returns how many contents went.
CREATE FUNCTION medallion_remove_expired(of_tenant text, of_collection text, of_before timestamptz, of_rows integer)
RETURNS bigint LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    contents bigint[];
BEGIN
    PERFORM pg_advisory_xact_lock(7882826980159875177);
    SELECT array_agg(o.id) INTO contents FROM (
        SELECT d.id FROM documents d
        WHERE d.collection_id = (SELECT c.id FROM collections c WHERE c.tenant = of_tenant AND c.name = of_collection)
            AND d.event_time < of_before
        ORDER BY d.event_time LIMIT of_rows) o;
    IF contents IS NULL THEN
        RETURN 0;
    END IF;
    DELETE FROM visibility g WHERE g.document_id = ANY (contents);
    PERFORM medallion_remove_unseen(contents);
    RETURN cardinality(contents);
END $$;
