-- Takes what was made of a page's or a user's records out of the index for good, and keeps it out, whatever brings it again: the Gold
-- topic, a replay that was under way, a lake that was put back. It knows whom it is about by a hash alone.

-- Writers and those who make tables wait, and this for them, before it takes any table.
SELECT pg_advisory_xact_lock(7882826980159875177);
SELECT pg_advisory_xact_lock(7882826980159875179);

-- What was asked for, as the lake's log of erasures has it. Like suppressions no business of the role of searches.
CREATE TABLE erasures (
    id            text PRIMARY KEY,
    tenant        text NOT NULL,
    -- page: documents with a title; user: whose attribute `user` is that.
    kind          text NOT NULL CHECK (kind IN ('page', 'user')),
    name_sha256   bytea NOT NULL,
    collection    text NOT NULL,
    -- Of a page: only that wiki's; null for any.
    wiki          text,
    reason        text NOT NULL,
    erased_by     text NOT NULL,
    erased_at     timestamptz NOT NULL,
    -- By the clock of the database: since when what comes in of it is kept out.
    applied_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Contents up to this one were looked through; null once all were.
    done_document bigint
);

-- The Bronze records that are erased; those of several erasures may overlap.
CREATE TABLE erased_records (
    source_topic     text NOT NULL,
    source_partition integer NOT NULL,
    start_offset     bigint NOT NULL,
    next_offset      bigint NOT NULL,
    erasure          text NOT NULL,
    PRIMARY KEY (source_topic, source_partition, start_offset, erasure)
);
CREATE INDEX erased_records_erasure ON erased_records (erasure);

-- The same of all erasures together, apart from one another: one look-up says whether a record is among them.
CREATE TABLE erased_ranges (
    source_topic     text NOT NULL,
    source_partition integer NOT NULL,
    start_offset     bigint NOT NULL,
    next_offset      bigint NOT NULL,
    PRIMARY KEY (source_topic, source_partition, start_offset)
);

-- Below this offset an erasure looked through a topic partition; what comes later is not erased, whatever its name.
CREATE TABLE erasure_parts (
    erasure          text NOT NULL,
    source_topic     text NOT NULL,
    source_partition integer NOT NULL,
    next_offset      bigint NOT NULL,
    PRIMARY KEY (erasure, source_topic, source_partition)
);

-- Answers that went with what they were made of.
CREATE TABLE erased_answers (
    answer_id text PRIMARY KEY,
    tenant    text NOT NULL,
    erasure   text NOT NULL,
    erased_at timestamptz NOT NULL
);
ALTER TABLE erased_answers ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON erased_answers USING (tenant = (SELECT medallion_tenant()));

-- Index versions with which an erasure was done: caches and arms built before one of them are built again. Numbers alone, so for everybody.
CREATE TABLE erasure_versions (
    index_version bigint PRIMARY KEY
);
GRANT SELECT ON erasure_versions TO PUBLIC;

CREATE FUNCTION medallion_is_erased(of_topic text, of_partition integer, of_offset bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce((
        SELECT r.next_offset > of_offset FROM erased_ranges r
        WHERE r.source_topic = of_topic AND r.source_partition = of_partition AND r.start_offset <= of_offset
        ORDER BY r.start_offset DESC LIMIT 1), false)
$$;

-- Whether a row of this record goes with an erasure; is_named: whether its content has the erasure's name.
CREATE FUNCTION medallion_goes_with(
    of_erasure text, is_named boolean, of_topic text, of_partition integer, of_offset bigint
) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT medallion_is_erased(of_topic, of_partition, of_offset) OR is_named AND EXISTS (
        SELECT FROM erasure_parts p WHERE p.erasure = of_erasure AND p.source_topic = of_topic
            AND p.source_partition = of_partition AND p.next_offset > of_offset)
$$;

-- What comes in of an erased record is hidden at once, as what is suppressed is, by a number that no suppression has;
-- medallion_remove_erased takes it out. The contents are still being written here.
CREATE FUNCTION medallion_erase_new() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM erased_ranges) THEN
        RETURN NULL;
    END IF;
    WITH met AS MATERIALIZED (
        SELECT n.document_id, n.generation, n.from_version FROM new_rows n
        WHERE medallion_is_erased(n.source_topic, n.source_partition, n.source_offset)
    )
    UPDATE visibility g SET suppression = 0 FROM met m
    WHERE g.document_id = m.document_id AND g.generation = m.generation AND g.from_version = m.from_version;
    RETURN NULL;
END $$;
-- Behind `suppress_inserted`, which would take its number for none.
CREATE TRIGGER suppress_inserted_of_erased AFTER INSERT ON visibility REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION medallion_erase_new();

-- As before, but that what is erased stays so: no suppression and no lift makes it one of its own.
CREATE OR REPLACE FUNCTION medallion_suppress_documents(of_documents bigint[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    changed bigint;
BEGIN
    WITH wanted AS MATERIALIZED (
        SELECT g.document_id, g.generation, g.from_version, g.suppression AS former,
            medallion_suppression_of(
                g.document_id, g.tenant, g.source_topic, g.source_partition, g.source_offset, g.lineage) AS number
        FROM visibility g WHERE g.document_id = ANY (of_documents) AND g.suppression IS DISTINCT FROM 0
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

-- Removes some answers of a tenant, and keeps that they were erased. Returns how many.
CREATE FUNCTION medallion_erase_answers(of_erasure text, of_answers text[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    removed bigint;
BEGIN
    WITH gone AS (
        DELETE FROM answers a USING erasures e
        WHERE e.id = of_erasure AND a.answer_id = ANY (of_answers) AND a.tenant = e.tenant RETURNING a.answer_id, a.tenant
    ), noted AS (
        INSERT INTO erased_answers (answer_id, tenant, erasure, erased_at)
        SELECT g.answer_id, g.tenant, of_erasure, clock_timestamp() FROM gone g ON CONFLICT DO NOTHING
    )
    SELECT count(*) INTO removed FROM gone;
    RETURN removed;
END $$;

-- Puts an erasure in force: records that arrive from now on are kept out, and medallion_continue_erasure removes those already indexed.
-- Returns false where it is known already.
CREATE FUNCTION medallion_erase(
    of_id text, of_tenant text, of_kind text, of_name_sha256 bytea, of_collection text, of_wiki text, of_reason text, of_by text,
    of_at timestamptz, of_topics text[], of_partitions integer[], of_starts bigint[], of_nexts bigint[],
    part_topics text[], part_partitions integer[], part_nexts bigint[]
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7882826980159875177);
    INSERT INTO erasures (id, tenant, kind, name_sha256, collection, wiki, reason, erased_by, erased_at, done_document)
    VALUES (of_id, of_tenant, of_kind, of_name_sha256, of_collection, of_wiki, of_reason, of_by, of_at, 0)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO erased_records (source_topic, source_partition, start_offset, next_offset, erasure)
    SELECT n.topic, n.part, n.start, n.next, of_id FROM unnest(of_topics, of_partitions, of_starts, of_nexts) AS n(topic, part, start, next)
    ON CONFLICT (source_topic, source_partition, start_offset, erasure) DO UPDATE
        SET next_offset = greatest(erased_records.next_offset, excluded.next_offset);
    INSERT INTO erasure_parts (erasure, source_topic, source_partition, next_offset)
    SELECT of_id, n.topic, n.part, n.next FROM unnest(part_topics, part_partitions, part_nexts) AS n(topic, part, next)
    ON CONFLICT DO NOTHING;
    DELETE FROM erased_ranges m USING (SELECT DISTINCT t.topic, t.part FROM unnest(of_topics, of_partitions) AS t(topic, part)) n
    WHERE m.source_topic = n.topic AND m.source_partition = n.part;
    INSERT INTO erased_ranges (source_topic, source_partition, start_offset, next_offset)
    SELECT j.source_topic, j.source_partition, lower(j.range), upper(j.range) FROM (
        SELECT r.source_topic, r.source_partition, unnest(range_agg(int8range(r.start_offset, r.next_offset))) AS range
        FROM erased_records r
        WHERE (r.source_topic, r.source_partition) IN (SELECT t.topic, t.part FROM unnest(of_topics, of_partitions) AS t(topic, part))
        GROUP BY r.source_topic, r.source_partition) j;
    RETURN true;
END $$;

-- Takes out some contents, within an index transaction: what shows them because of an erased record, and of those of `of_named` all of
-- records that the erasure looked through. Returns how many documents were taken out.
CREATE FUNCTION medallion_erase_documents(of_erasure text, of_contents bigint[], of_named bigint[], of_version bigint)
RETURNS bigint LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    removed bigint;
BEGIN
    PERFORM medallion_erase_answers(of_erasure, ARRAY(
        SELECT DISTINCT a.answer_id FROM documents d JOIN collections c ON c.id = d.collection_id
        JOIN answer_documents a ON a.doc_id = d.doc_id AND a.collection = c.name AND a.tenant = d.tenant
        WHERE d.id = ANY (of_contents) AND (
            a.source_topic IS NULL OR medallion_goes_with(
                of_erasure, a.content_hash = d.content_hash AND d.id = ANY (of_named), a.source_topic, a.source_partition,
                a.source_offset))));
    WITH gone AS (
        DELETE FROM visibility g WHERE g.document_id = ANY (of_contents)
            AND medallion_goes_with(
                of_erasure, g.document_id = ANY (of_named), g.source_topic, g.source_partition, g.source_offset)
        RETURNING g.document_id, g.generation, g.tenant
    ), noted AS (
        INSERT INTO suppression_changes (index_version, generation, document_id, tenant)
        SELECT DISTINCT of_version, g.generation, g.document_id, g.tenant FROM gone g ON CONFLICT DO NOTHING
    )
    SELECT count(DISTINCT g.document_id) INTO removed FROM gone g;
    DELETE FROM suppressed_documents m USING documents d, collections c
    WHERE d.id = ANY (of_named) AND c.id = d.collection_id AND m.doc_id = d.doc_id AND m.collection = c.name AND m.tenant = d.tenant
        AND NOT EXISTS (SELECT FROM visibility g WHERE g.document_id = d.id);
    PERFORM medallion_remove_unseen(of_contents);
    RETURN removed;
END $$;

-- Goes through the next contents of an erasure, in an index transaction of its own, so that writers wait for some of them at a time,
-- and a caller that was stopped resumes there. Returns how many documents it took out; null where none is left.
CREATE FUNCTION medallion_continue_erasure(of_id text, at_most integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    e erasures;
    last bigint;
    looked bigint;
    named bigint[];
    contents bigint[];
    of_version bigint;
    changed bigint := 0;
BEGIN
    SELECT * INTO e FROM erasures x WHERE x.id = of_id AND x.done_document IS NOT NULL;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    -- Before the writers' lock: what comes meanwhile has met the trigger. All are looked through, since the hash finds no index.
    WITH chunk AS MATERIALIZED (
        SELECT d.id, d.tenant = e.tenant AND c.name = e.collection AND (e.wiki IS NULL OR e.wiki = d.wiki)
            AND sha256(convert_to(CASE e.kind WHEN 'page' THEN d.title ELSE d.user_name END, 'UTF8')) = e.name_sha256 AS is_named
        FROM documents d JOIN collections c ON c.id = d.collection_id
        WHERE d.id > e.done_document ORDER BY d.id LIMIT at_most
    ), met AS (
        SELECT k.id, coalesce(k.is_named, false) AS is_named FROM chunk k
        WHERE EXISTS (
            SELECT FROM visibility g WHERE g.document_id = k.id
                AND medallion_goes_with(of_id, k.is_named, g.source_topic, g.source_partition, g.source_offset))
    )
    SELECT (SELECT max(id) FROM chunk), (SELECT count(*) FROM chunk),
        ARRAY(SELECT id FROM met WHERE is_named), ARRAY(SELECT id FROM met)
    INTO last, looked, named, contents;
    of_version := medallion_begin_index_transaction('suppression', '{}');
    PERFORM FROM erasures x WHERE x.id = of_id AND x.done_document = e.done_document FOR UPDATE;
    -- Another process may have been here.
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    IF cardinality(contents) > 0 THEN
        changed := medallion_erase_documents(of_id, contents, named, of_version);
    END IF;
    -- A change of vectors may have shown a content of the last ones by another since they were read.
    IF looked < at_most AND NOT EXISTS (
        SELECT FROM documents d JOIN collections c ON c.id = d.collection_id
        WHERE d.id > coalesce(last, e.done_document) AND d.tenant = e.tenant AND c.name = e.collection
            AND (e.wiki IS NULL OR e.wiki = d.wiki)
            AND sha256(convert_to(CASE e.kind WHEN 'page' THEN d.title ELSE d.user_name END, 'UTF8')) = e.name_sha256
            AND EXISTS (
                SELECT FROM visibility g WHERE g.document_id = d.id
                    AND medallion_goes_with(of_id, true, g.source_topic, g.source_partition, g.source_offset)))
    THEN
        -- Answers outlive the documents that they were made of.
        PERFORM medallion_erase_answers(of_id, ARRAY(
            SELECT DISTINCT a.answer_id FROM erased_records r JOIN answer_documents a
                ON a.source_topic = r.source_topic AND a.source_partition = r.source_partition
                AND a.source_offset >= r.start_offset AND a.source_offset < r.next_offset
            WHERE r.erasure = of_id));
        -- Those in flight meanwhile, whose documents were gone when they were kept.
        PERFORM medallion_erase_answers(of_id, ARRAY(
            SELECT a.answer_id FROM answers a
            WHERE a.tenant = e.tenant AND a.created_at >= e.applied_at - interval '10 minutes' AND a.index_version < of_version
                AND EXISTS (SELECT FROM answer_documents d WHERE d.answer_id = a.answer_id AND d.source_topic IS NULL)));
        DELETE FROM refused_documents f USING erased_records r
        WHERE r.erasure = of_id AND f.source_topic = r.source_topic AND f.source_partition = r.source_partition
            AND f.source_offset >= r.start_offset AND f.source_offset < r.next_offset;
        INSERT INTO erasure_versions (index_version) VALUES (of_version);
        DELETE FROM erasure_versions v USING index_history i WHERE v.index_version < i.oldest_version;
        UPDATE erasures x SET done_document = NULL WHERE x.id = of_id;
    ELSE
        UPDATE erasures x SET done_document = coalesce(last, e.done_document) WHERE x.id = of_id;
    END IF;
    RETURN changed;
END $$;

-- Removes what came in of erased records since. Returns how many rows; 0 when nothing is left.
CREATE FUNCTION medallion_remove_erased(at_most integer) RETURNS bigint LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    contents bigint[];
    removed bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM visibility g WHERE g.suppression = 0) THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock(7882826980159875177);
    WITH gone AS (
        DELETE FROM visibility g WHERE g.ctid = ANY (ARRAY(
            SELECT h.ctid FROM visibility h WHERE h.suppression = 0 LIMIT at_most))
        RETURNING g.document_id
    )
    SELECT array_agg(DISTINCT document_id), count(*) INTO contents, removed FROM gone;
    PERFORM medallion_remove_unseen(contents);
    RETURN removed;
END $$;

-- Whether a pattern is found in a string of a JSON document; names of members and numbers are no strings. jsonb knows no NUL.
CREATE FUNCTION medallion_mentions(of_document json, of_pattern text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT EXISTS (
        SELECT FROM jsonb_path_query(replace(of_document::text, '\u0000', '\ufffd')::jsonb, 'strict $.**') AS v(value)
        WHERE jsonb_typeof(v.value) = 'string' AND v.value #>> '{}' ~ of_pattern)
$$;

-- A tenant's answers that mention what a pattern finds.
CREATE FUNCTION medallion_answers_that_mention(of_tenant text, of_pattern text) RETURNS SETOF text LANGUAGE sql STABLE AS $$
    SELECT a.answer_id FROM answers a
    WHERE a.tenant = of_tenant AND (
        a.question ~ of_pattern OR medallion_mentions(a.request, of_pattern) OR medallion_mentions(a.reply, of_pattern)
        OR medallion_mentions(a.retrieved, of_pattern) OR medallion_mentions(a.basis, of_pattern))
$$;

-- Removes a tenant's answers, and what was said of answers, that mention what a pattern finds. Returns how many answers.
CREATE FUNCTION medallion_erase_mentions(of_erasure text, of_pattern text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    of_tenant text := (SELECT e.tenant FROM erasures e WHERE e.id = of_erasure);
BEGIN
    DELETE FROM answer_feedback f WHERE f.tenant = of_tenant AND f.note ~ of_pattern;
    RETURN medallion_erase_answers(of_erasure, ARRAY(SELECT medallion_answers_that_mention(of_tenant, of_pattern)));
END $$;

-- What it gave until now, and what replies are made of since.
ALTER FUNCTION medallion_grant_reader() RENAME TO medallion_grant_reader_before_erasures;
CREATE FUNCTION medallion_grant_reader() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM medallion_grant_reader_before_erasures();
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'medallion_reader')
        AND NOT has_table_privilege('medallion_reader', 'erased_answers', 'SELECT')
    THEN
        GRANT SELECT ON erased_answers TO medallion_reader;
    END IF;
END $$;
SELECT medallion_grant_reader();
