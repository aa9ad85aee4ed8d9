-- A generation's state in the words of the lake's list, changed by compare-and-set alone.

ALTER TABLE generations DROP CONSTRAINT generations_state_check;
UPDATE generations g SET state = CASE
        WHEN g.generation = a.generation THEN 'active'
        WHEN g.state = 'building' THEN 'created'
        WHEN g.state = 'retired' THEN 'pruned'
        -- Which of them was active before only the lake's list knows; both may be promoted.
        WHEN g.generation < a.generation THEN 'previous'
        ELSE 'candidate'
    END
FROM active_generation a;
-- created: a replay makes it; candidate: complete, and kept so; active: served; previous: was active; pruned: given up.
ALTER TABLE generations ADD CONSTRAINT generations_state_check
    CHECK (state IN ('created', 'candidate', 'active', 'previous', 'pruned'));
CREATE UNIQUE INDEX generations_active ON generations (state) WHERE state = 'active';

-- Changes a generation's state if it is in one of those expected. The active one changes by promotion alone.
CREATE FUNCTION medallion_set_generation_state(
    of_generation bigint, expected text[], next text
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    found_state text;
BEGIN
    UPDATE generations SET state = next
    WHERE generation = of_generation AND state = ANY (expected) AND 'active' NOT IN (state, next);
    IF NOT FOUND THEN
        SELECT state INTO found_state FROM generations WHERE generation = of_generation;
        IF found_state IS NULL THEN
            RAISE EXCEPTION 'there is no generation %', of_generation USING ERRCODE = 'MD002';
        END IF;
        RAISE EXCEPTION 'generation % is % in the index, not %', of_generation, found_state,
            array_to_string(expected, ' or ') USING ERRCODE = 'MD002';
    END IF;
END $$;

-- Moves the pointer to the active generation, forwards or backwards, if the new one is complete and as far.
CREATE OR REPLACE FUNCTION medallion_promote(to_generation bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    number bigint;
    current_generation bigint;
    found_state text;
    behind record;
BEGIN
    number := medallion_begin_index_transaction();
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
    UPDATE generations SET state = 'previous' WHERE state = 'active';
    UPDATE generations SET state = 'active' WHERE generation = to_generation;
    UPDATE active_generation SET generation = to_generation, promoted_at = clock_timestamp();
    PERFORM pg_notify('medallion_generation', to_generation::text);
    RETURN number;
END $$;
