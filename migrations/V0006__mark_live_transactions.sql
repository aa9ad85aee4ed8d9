-- How new the index is: only what the indexer takes from the Gold topic counts, and only for the generations it is for.
-- A replay beside an indexer that stands still must not make the index look fresh.

-- live: the indexer's; replay: a replay's; promotion: of a generation; unknown: from before this migration.
ALTER TABLE index_versions ADD COLUMN origin text NOT NULL DEFAULT 'unknown';
-- Rows that are there have the default, so nothing needs to be read.
ALTER TABLE index_versions ADD CONSTRAINT index_versions_origin
    CHECK (origin IN ('live', 'replay', 'promotion', 'unknown')) NOT VALID;

-- The last live transaction per generation. One that moved nothing but checkpoints counts, too.
CREATE TABLE live_progress (
    generation bigint PRIMARY KEY,
    version    bigint NOT NULL,
    indexed_at timestamptz NOT NULL
);
-- Of the time before, checkpoints tell: nobody but the indexer moved them.
INSERT INTO live_progress (generation, version, indexed_at)
    SELECT generation, 0, max(updated_at) FROM index_checkpoints GROUP BY generation;

-- Begins an index transaction: the only one until it ends. Returns its index version.
CREATE FUNCTION medallion_begin_index_transaction(
    of_origin text, of_generations bigint[]
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    number bigint;
    moment timestamptz;
BEGIN
    -- "medallion" in ASCII, cut to 8 bytes.
    PERFORM pg_advisory_xact_lock(7882826980159875177);
    number := nextval('index_version_sequence');
    moment := clock_timestamp();
    INSERT INTO index_versions (version, created_at, origin) VALUES (number, moment, of_origin);
    IF of_origin = 'live' THEN
        INSERT INTO live_progress AS p (generation, version, indexed_at)
            SELECT DISTINCT g.generation, number, moment FROM unnest(of_generations) AS g(generation)
        ON CONFLICT (generation) DO UPDATE SET version = excluded.version, indexed_at = excluded.indexed_at;
    END IF;
    PERFORM pg_notify('medallion_index', number::text);
    RETURN number;
END $$;

-- Moves the pointer to the active generation, forwards or backwards, if the new one is complete and as far.
CREATE OR REPLACE FUNCTION medallion_promote(to_generation bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    number bigint;
    current_generation bigint;
    found_state text;
    behind record;
BEGIN
    number := medallion_begin_index_transaction('promotion', '{}');
    SELECT generation INTO current_generation FROM active_generation FOR UPDATE;
    SELECT state INTO found_state FROM generations WHERE generation = to_generation FOR UPDATE;
    IF found_state IS NULL THEN
        RAISE EXCEPTION 'there is no generation %', to_generation USING ERRCODE = 'MD002';
    END IF;
    IF found_state = 'active' THEN
        RETURN number;
    END IF;
    IF found_state NOT IN ('candidate', 'previous') THEN
        RAISE EXCEPTION 'generation % is % in the index: only a complete one can be active', to_generation, found_state
            USING ERRCODE = 'MD002';
    END IF;
    SELECT a.topic, a.partition, a.next_offset AS wanted, c.next_offset AS reached INTO behind
    FROM index_checkpoints a
    LEFT JOIN index_checkpoints c
        ON c.generation = to_generation AND c.topic = a.topic AND c.partition = a.partition
    WHERE a.generation = current_generation AND coalesce(c.next_offset, -1) < a.next_offset
    ORDER BY a.topic, a.partition LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'generation % has reached % of %[%], the active generation % is at %', to_generation,
            coalesce(behind.reached::text, 'nothing'), behind.topic, behind.partition, current_generation,
            behind.wanted
            USING ERRCODE = 'MD003';
    END IF;
    -- It has reached all that the former one has, so it is at least as new.
    INSERT INTO live_progress AS p (generation, version, indexed_at)
        SELECT to_generation, version, indexed_at FROM live_progress WHERE generation = current_generation
    ON CONFLICT (generation) DO UPDATE
        SET version = excluded.version, indexed_at = excluded.indexed_at WHERE p.indexed_at < excluded.indexed_at;
    UPDATE generations SET state = 'previous' WHERE state = 'active';
    UPDATE generations SET state = 'active' WHERE generation = to_generation;
    UPDATE active_generation SET generation = to_generation, promoted_at = clock_timestamp();
    PERFORM pg_notify('medallion_generation', to_generation::text);
    RETURN number;
END $$;
