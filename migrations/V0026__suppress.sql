-- Takes what came of an event, a page or a user out of replies, and brings it back: rows stay and are not shown. A suppression applies as
-- of now, also to what an earlier index version showed and to what comes later.

-- Writers and those who make tables wait, and this for them, before it takes any table.
SELECT pg_advisory_xact_lock(7882826980159875177);
SELECT pg_advisory_xact_lock(7882826980159875179);

-- Who suppressed what, when and why; as of keys, the role of searches reads nothing of it. Entries come by a topic, and by the lake's log, any number of times: `id` tells them apart.
CREATE TABLE suppressions (
    number           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id               text NOT NULL UNIQUE,
    tenant           text NOT NULL,
    -- event: a source's record; event_id: whatever came of events with this id; page: documents with a title; document: with an id;
    -- user: whose attribute `user` is that.
    kind             text NOT NULL CHECK (kind IN ('event', 'event_id', 'page', 'document', 'user')),
    -- The topic, id, title or user.
    name             text NOT NULL,
    -- Empty for events.
    collection       text NOT NULL,
    -- Of a page: only that wiki's; null for any.
    wiki             text,
    source_partition integer,
    source_offset    bigint,
    reason           text NOT NULL,
    suppressed_by    text NOT NULL,
    suppressed_at    timestamptz NOT NULL,
    -- The index version from which on it applies.
    from_version     bigint NOT NULL,
    lifted_at        timestamptz,
    lifted_by        text,
    lift_reason      text,
    lift_version     bigint,
    -- Rows of documents up to this one have been gone through, for it or for its lift; null once all have.
    done_document    bigint
);
CREATE INDEX suppressions_in_force ON suppressions (number) WHERE lifted_at IS NULL;
CREATE INDEX suppressions_named ON suppressions (tenant, name) WHERE lifted_at IS NULL AND kind <> 'event';
-- Of one topic there may be many.
CREATE INDEX suppressions_events ON suppressions (tenant, name, source_partition, source_offset, number)
    WHERE lifted_at IS NULL AND kind = 'event';
CREATE INDEX suppressions_unfinished ON suppressions (number) WHERE done_document IS NOT NULL;
-- Asked many times a second: whether something has changed.
CREATE INDEX suppressions_version ON suppressions (from_version);
CREATE INDEX suppressions_lift_version ON suppressions (lift_version);
CREATE INDEX suppressions_of_tenant ON suppressions (tenant, number DESC);

-- Lifts that came before what they lift, as where the log was cut.
CREATE TABLE early_lifts (
    id        text NOT NULL,
    tenant    text NOT NULL,
    reason    text NOT NULL,
    lifted_by text NOT NULL,
    lifted_at timestamptz NOT NULL,
    PRIMARY KEY (id, tenant)
);

-- Where the reading of the suppressions' topic is.
CREATE TABLE suppression_positions (
    topic       text PRIMARY KEY,
    next_offset bigint NOT NULL
);

-- Documents that a suppression in force has met, by their keys: stored answers are older than the rows that are kept.
CREATE TABLE suppressed_documents (
    doc_id     text NOT NULL,
    collection text NOT NULL,
    tenant     text NOT NULL,
    number     bigint NOT NULL,
    PRIMARY KEY (doc_id, collection, tenant, number)
);
CREATE INDEX suppressed_documents_number ON suppressed_documents (number);

-- Documents that an index version took out of replies or brought back; who follows versions looks at them anew.
CREATE TABLE suppression_changes (
    index_version bigint NOT NULL,
    generation    bigint NOT NULL,
    document_id   bigint NOT NULL,
    tenant        text NOT NULL,
    PRIMARY KEY (index_version, generation, document_id)
);

-- The suppression that keeps a row from being shown; where several do, the oldest.
ALTER TABLE visibility ADD COLUMN suppression bigint;
-- As before, so that searches go on to read the index alone.
ALTER TABLE visibility DROP CONSTRAINT visibility_pkey;
ALTER TABLE visibility ADD PRIMARY KEY (document_id, generation, from_version) INCLUDE (to_version, tenant, suppression);
CREATE INDEX visibility_suppression ON visibility (suppression, document_id) WHERE suppression IS NOT NULL;

ALTER TABLE index_versions DROP CONSTRAINT index_versions_origin;
ALTER TABLE index_versions ADD CONSTRAINT index_versions_origin
    CHECK (origin IN ('live', 'replay', 'promotion', 'suppression', 'unknown')) NOT VALID;

-- Whatever a reply shows is fetched under this policy.
ALTER POLICY one_tenant ON visibility USING (tenant = (SELECT medallion_tenant()) AND suppression IS NULL);
ALTER TABLE suppressed_documents ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON suppressed_documents USING (tenant = (SELECT medallion_tenant()));
ALTER TABLE suppression_changes ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON suppression_changes USING (tenant = (SELECT medallion_tenant()));

-- The oldest suppression in force that a document with a source's record behind it falls under; null where none does.
CREATE FUNCTION medallion_suppression_of(
    of_document bigint, of_tenant text, of_topic text, of_partition integer, of_offset bigint, of_lineage jsonb
) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT least(
        (SELECT min(s.number) FROM suppressions s
            WHERE s.kind = 'event' AND s.lifted_at IS NULL AND s.tenant = of_tenant AND s.name = of_topic
                AND s.source_partition = of_partition AND s.source_offset = of_offset),
        (SELECT min(s.number) FROM documents d JOIN collections c ON c.id = d.collection_id
            JOIN suppressions s ON s.kind <> 'event' AND s.lifted_at IS NULL AND s.tenant = of_tenant
                AND s.name = ANY (ARRAY[of_lineage #>> '{parents,0,event_id}', d.title, d.doc_id, d.user_name])
                AND CASE s.kind
                    WHEN 'event_id' THEN s.name = of_lineage #>> '{parents,0,event_id}'
                    WHEN 'page' THEN s.name = d.title AND s.collection = c.name AND (s.wiki IS NULL OR s.wiki = d.wiki)
                    WHEN 'document' THEN s.name = d.doc_id AND s.collection = c.name
                    ELSE s.name = d.user_name AND s.collection = c.name END
            WHERE d.id = of_document))
$$;

-- Documents are counted while they are shown.
CREATE OR REPLACE FUNCTION medallion_note_shown() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO uncounted_documents (generation, document_id, change)
        SELECT o.generation, o.document_id, -1 FROM old_rows o WHERE o.to_version IS NULL AND o.suppression IS NULL;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO uncounted_documents (generation, document_id, change)
        SELECT n.generation, n.document_id, 1 FROM new_rows n WHERE n.to_version IS NULL AND n.suppression IS NULL;
    END IF;
    RETURN NULL;
END $$;

-- As before; what is suppressed does not count.
CREATE OR REPLACE FUNCTION medallion_replace_words(
    of_tenant text, of_analyzer integer, of_passages bigint[], of_lengths integer[], of_words text[],
    of_word_ids integer[], of_removals bigint, of_row_words integer[], of_row_ends integer[], of_posting_places integer[],
    of_posting_weights integer[], of_terms integer[], of_term_weights integer[], of_term_ends integer[]
) RETURNS bigint LANGUAGE plpgsql
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    tenant_number integer := medallion_prepare_tenant(of_tenant);
    here bigint[];
    documents bigint[];
    contents bigint[];
    generations bigint[];
    shown bigint[];
BEGIN
    SELECT array_agg(p.id ORDER BY n.place), array_agg(p.document_id ORDER BY n.place) INTO here, documents
    FROM unnest(of_passages) WITH ORDINALITY AS n(id, place) LEFT JOIN passages p ON p.id = n.id AND p.tenant = of_tenant;
    contents := ARRAY(SELECT DISTINCT d FROM unnest(documents) AS d WHERE d IS NOT NULL);
    -- What these documents count for is taken away with the former words and added with the new ones.
    PERFORM medallion_count_documents(contents);
    SELECT array_agg(g.generation), array_agg(g.document_id) INTO generations, shown
    FROM visibility g WHERE g.document_id = ANY (contents) AND g.to_version IS NULL AND g.suppression IS NULL;
    IF shown IS NOT NULL THEN
        PERFORM medallion_add_counts(generations, shown, array_fill(-1::bigint, ARRAY[cardinality(shown)]));
    END IF;
    PERFORM medallion_remove_words(tenant_number, here);
    PERFORM medallion_put_words(of_tenant, of_analyzer, here, documents, of_lengths, of_words, of_word_ids,
        of_removals, of_row_words, of_row_ends, of_posting_places, of_posting_weights, of_terms, of_term_weights, of_term_ends);
    IF shown IS NOT NULL THEN
        PERFORM medallion_add_counts(generations, shown, array_fill(1::bigint, ARRAY[cardinality(shown)]));
    END IF;
    RETURN cardinality(array_remove(here, NULL));
END $$;

-- What comes in while a suppression is in force, whichever statement brings it: a new edit of a page, a replay's or a child's row.
CREATE FUNCTION medallion_suppress_new() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM suppressions s WHERE s.lifted_at IS NULL) THEN
        RETURN NULL;
    END IF;
    WITH met AS MATERIALIZED (
        SELECT n.document_id, n.generation, n.from_version, s.number FROM new_rows n
        CROSS JOIN LATERAL (
            SELECT medallion_suppression_of(n.document_id, n.tenant, n.source_topic, n.source_partition, n.source_offset, n.lineage)
                AS number OFFSET 0) s
        WHERE s.number IS NOT NULL
    ), hidden AS (
        UPDATE visibility g SET suppression = m.number FROM met m
        WHERE g.document_id = m.document_id AND g.generation = m.generation AND g.from_version = m.from_version
    )
    INSERT INTO suppressed_documents (doc_id, collection, tenant, number)
    SELECT DISTINCT d.doc_id, c.name, d.tenant, m.number FROM met m
    JOIN documents d ON d.id = m.document_id JOIN collections c ON c.id = d.collection_id
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER suppress_inserted AFTER INSERT ON visibility REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION medallion_suppress_new();

-- The next contents that a suppression, or its lift, may mean, in the order of their ids; by the indexes that deferred migrations build,
-- and where these are not there yet by reading all.
CREATE FUNCTION medallion_suppression_candidates(s suppressions, at_most integer) RETURNS bigint[] LANGUAGE plpgsql STABLE
SET enable_seqscan = off
AS $$
DECLARE
    of_collection integer := (SELECT c.id FROM collections c WHERE c.tenant = s.tenant AND c.name = s.collection);
BEGIN
    IF s.lifted_at IS NOT NULL THEN
        RETURN ARRAY(
            SELECT DISTINCT g.document_id FROM visibility g
            WHERE g.suppression = s.number AND g.document_id > s.done_document ORDER BY 1 LIMIT at_most);
    END IF;
    RETURN CASE s.kind
        WHEN 'event' THEN ARRAY(
            WITH found AS MATERIALIZED (
                SELECT g.document_id FROM generations n JOIN visibility g ON g.generation = n.generation
                    AND g.source_topic = s.name AND g.source_partition = s.source_partition AND g.source_offset = s.source_offset
                WHERE g.tenant = s.tenant)
            SELECT DISTINCT document_id FROM found WHERE document_id > s.done_document ORDER BY 1 LIMIT at_most)
        WHEN 'event_id' THEN ARRAY(
            WITH found AS MATERIALIZED (
                SELECT g.document_id FROM visibility g
                WHERE g.lineage #>> '{parents,0,event_id}' = s.name
                    AND octet_length(g.lineage #>> '{parents,0,event_id}') <= 1024 AND g.tenant = s.tenant)
            SELECT DISTINCT document_id FROM found WHERE document_id > s.done_document ORDER BY 1 LIMIT at_most)
        WHEN 'document' THEN ARRAY(
            SELECT d.id FROM documents d
            WHERE d.doc_id = s.name AND d.collection_id = of_collection AND d.id > s.done_document ORDER BY d.id LIMIT at_most)
        WHEN 'page' THEN ARRAY(
            SELECT d.id FROM documents d
            WHERE d.title = s.name AND octet_length(d.title) <= 1024 AND d.collection_id = of_collection
                AND (s.wiki IS NULL OR s.wiki = d.wiki) AND d.id > s.done_document ORDER BY d.id LIMIT at_most)
        ELSE ARRAY(
            SELECT d.id FROM documents d
            WHERE d.user_name = s.name AND octet_length(d.user_name) <= 1024 AND d.collection_id = of_collection
                AND d.id > s.done_document ORDER BY d.id LIMIT at_most)
    END;
END $$;

-- Sets anew which suppression keeps the rows of some documents from being shown, and notes what that changed. Within an index
-- transaction. Returns how many documents were taken out or brought back.
CREATE FUNCTION medallion_suppress_documents(of_documents bigint[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    changed bigint;
BEGIN
    WITH wanted AS MATERIALIZED (
        SELECT g.document_id, g.generation, g.from_version, g.suppression AS former,
            medallion_suppression_of(
                g.document_id, g.tenant, g.source_topic, g.source_partition, g.source_offset, g.lineage) AS number
        FROM visibility g WHERE g.document_id = ANY (of_documents)
    ), changed_rows AS (
        UPDATE visibility g SET suppression = w.number FROM wanted w
        WHERE g.document_id = w.document_id AND g.generation = w.generation AND g.from_version = w.from_version
            AND w.number IS DISTINCT FROM w.former
        RETURNING g.document_id, g.generation, g.tenant, w.number, (w.number IS NULL) <> (w.former IS NULL) AS is_told
    ), met AS (
        INSERT INTO suppressed_documents (doc_id, collection, tenant, number)
        SELECT DISTINCT d.doc_id, c.name, r.tenant, r.number FROM changed_rows r
        JOIN documents d ON d.id = r.document_id JOIN collections c ON c.id = d.collection_id
        WHERE r.number IS NOT NULL
        ON CONFLICT DO NOTHING
    ), noted AS (
        INSERT INTO suppression_changes (index_version, generation, document_id, tenant)
        SELECT DISTINCT currval('index_version_sequence'), r.generation, r.document_id, r.tenant FROM changed_rows r
        WHERE r.is_told
        ON CONFLICT DO NOTHING
        RETURNING document_id
    )
    SELECT count(DISTINCT document_id) INTO changed FROM noted;
    RETURN changed;
END $$;

-- Goes through the next documents of a suppression or a lift, in an index transaction of its own, so that writers wait for some of them
-- at a time, and whoever is stopped goes on from there. Returns how many documents it took out or brought back; null where none is left.
CREATE FUNCTION medallion_continue_suppression(of_number bigint, at_most integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    s suppressions;
    contents bigint[];
    of_version bigint;
    changed bigint;
    forgotten bigint := 0;
BEGIN
    SELECT * INTO s FROM suppressions x WHERE x.number = of_number AND x.done_document IS NOT NULL;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    -- Before the writers' lock: what comes meanwhile has met the trigger.
    contents := medallion_suppression_candidates(s, at_most);
    of_version := medallion_begin_index_transaction('suppression', '{}');
    -- Another process may have been here, or have lifted it.
    PERFORM FROM suppressions x WHERE x.number = of_number AND x.done_document = s.done_document
        AND x.lifted_at IS NOT DISTINCT FROM s.lifted_at FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    changed := medallion_suppress_documents(contents);
    IF s.lifted_at IS NULL THEN
        -- Those, too, that an older one keeps from being shown.
        INSERT INTO suppressed_documents (doc_id, collection, tenant, number)
        SELECT DISTINCT d.doc_id, c.name, d.tenant, of_number
        FROM documents d JOIN collections c ON c.id = d.collection_id
        WHERE d.id = ANY (contents)
        ON CONFLICT DO NOTHING;
    ELSE
        DELETE FROM suppressed_documents d WHERE d.ctid = ANY (ARRAY(
            SELECT m.ctid FROM suppressed_documents m WHERE m.number = of_number LIMIT at_most));
        GET DIAGNOSTICS forgotten = ROW_COUNT;
    END IF;
    UPDATE suppressions x SET
        done_document = CASE WHEN cardinality(contents) < at_most AND forgotten < at_most THEN NULL
            ELSE coalesce(contents[cardinality(contents)], s.done_document) END,
        from_version = CASE WHEN s.lifted_at IS NULL THEN of_version ELSE x.from_version END,
        lift_version = CASE WHEN s.lifted_at IS NULL THEN NULL ELSE of_version END
    WHERE x.number = of_number;
    RETURN changed;
END $$;

-- Puts a suppression in force: what comes in from now on falls under it; medallion_continue_suppression takes out what is there. Returns
-- its number; null where it is known already.
CREATE FUNCTION medallion_suppress(
    of_id text, of_tenant text, of_kind text, of_name text, of_collection text, of_wiki text, of_partition integer, of_offset bigint,
    of_reason text, of_by text, of_at timestamptz
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    new_number bigint;
    early early_lifts;
BEGIN
    PERFORM pg_advisory_xact_lock(7882826980159875177);
    IF EXISTS (SELECT FROM suppressions s WHERE s.id = of_id) THEN
        RETURN NULL;
    END IF;
    INSERT INTO suppressions (id, tenant, kind, name, collection, wiki, source_partition, source_offset, reason, suppressed_by,
        suppressed_at, from_version, done_document)
    VALUES (of_id, of_tenant, of_kind, of_name, of_collection, of_wiki, of_partition, of_offset, of_reason, of_by, of_at,
        medallion_begin_index_transaction('suppression', '{}'), 0)
    RETURNING number INTO new_number;
    DELETE FROM early_lifts e WHERE e.id = of_id AND e.tenant = of_tenant RETURNING * INTO early;
    IF early.id IS NOT NULL THEN
        UPDATE suppressions s SET lifted_at = early.lifted_at, lifted_by = early.lifted_by, lift_reason = early.reason,
            lift_version = s.from_version, done_document = NULL
        WHERE s.number = new_number;
    END IF;
    -- What nobody can follow from any more.
    DELETE FROM suppression_changes h USING index_history i WHERE h.index_version < i.oldest_version;
    RETURN new_number;
END $$;

-- Lifts a suppression of a tenant; medallion_continue_suppression brings back what it took out. Returns its number, 0 where it is to come
-- yet; null where it is lifted already.
CREATE FUNCTION medallion_lift_suppression(of_id text, of_tenant text, of_reason text, of_by text, of_at timestamptz)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    known suppressions;
BEGIN
    PERFORM pg_advisory_xact_lock(7882826980159875177);
    SELECT * INTO known FROM suppressions s WHERE s.id = of_id;
    IF known.id IS NULL THEN
        INSERT INTO early_lifts (id, tenant, reason, lifted_by, lifted_at)
        VALUES (of_id, of_tenant, of_reason, of_by, of_at) ON CONFLICT DO NOTHING;
        RETURN 0;
    END IF;
    IF known.tenant <> of_tenant OR known.lifted_at IS NOT NULL THEN
        RETURN NULL;
    END IF;
    UPDATE suppressions s SET lifted_at = of_at, lifted_by = of_by, lift_reason = of_reason, done_document = 0,
        lift_version = medallion_begin_index_transaction('suppression', '{}')
    WHERE s.number = known.number;
    RETURN known.number;
END $$;

-- The documents of an answer of the session's tenant that are suppressed. What was told of an answer's events is asked for the event
-- itself: another edit of the same document is no reason. The role of searches reads no suppression, and so not by itself.
CREATE FUNCTION medallion_suppressed_of_answer(of_answer text) RETURNS TABLE (collection text, doc_id text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT DISTINCT a.collection, a.doc_id FROM answer_documents a
    WHERE a.answer_id = of_answer AND a.tenant = (SELECT medallion_tenant()) AND (
        EXISTS (
            SELECT FROM suppressed_documents m JOIN suppressions s ON s.number = m.number AND s.lifted_at IS NULL
            WHERE m.doc_id = a.doc_id AND m.collection = a.collection AND m.tenant = a.tenant
                AND (s.kind NOT IN ('event', 'event_id') OR a.source_topic IS NULL))
        OR EXISTS (
            SELECT FROM suppressions s WHERE s.kind = 'event' AND s.lifted_at IS NULL AND s.tenant = a.tenant
                AND s.name = a.source_topic AND s.source_partition = a.source_partition AND s.source_offset = a.source_offset)
        OR EXISTS (
            SELECT FROM suppressions s WHERE s.kind <> 'event' AND s.lifted_at IS NULL AND s.tenant = a.tenant
                AND s.name = ANY (ARRAY[a.event_id, a.doc_id])
                AND CASE s.kind WHEN 'event_id' THEN s.name = a.event_id
                    WHEN 'document' THEN s.name = a.doc_id AND s.collection = a.collection ELSE false END))
$$;

-- What it gave until now, and what replies are made of since.
ALTER FUNCTION medallion_grant_reader() RENAME TO medallion_grant_reader_before_suppressions;
CREATE FUNCTION medallion_grant_reader() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM medallion_grant_reader_before_suppressions();
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'medallion_reader')
        AND NOT has_table_privilege('medallion_reader', 'suppression_changes', 'SELECT')
    THEN
        GRANT SELECT ON suppressed_documents, suppression_changes TO medallion_reader;
    END IF;
END $$;
SELECT medallion_grant_reader();
