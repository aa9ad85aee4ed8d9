-- Steps of an index transaction that must fail the whole transaction on the server, so that it stays one round trip.

-- Begins an index transaction: the only one until it ends. Returns its index version.
CREATE FUNCTION medallion_begin_index_transaction() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    number bigint;
BEGIN
    -- "medallion" in ASCII, cut to 8 bytes.
    PERFORM pg_advisory_xact_lock(7882826980159875177);
    number := nextval('index_version_sequence');
    INSERT INTO index_versions (version, created_at) VALUES (number, clock_timestamp());
    PERFORM pg_notify('medallion_index', number::text);
    RETURN number;
END $$;

-- The vector that another row has for the same text and model; without one the transaction fails, and the writer
-- embeds the text.
CREATE FUNCTION medallion_shared_vector(of_text_hash text, of_model text, of_passage integer) RETURNS halfvec
LANGUAGE plpgsql STABLE AS $$
DECLARE
    shared halfvec;
BEGIN
    SELECT p.embedding INTO shared FROM passages p
    WHERE p.text_hash = of_text_hash AND p.model = of_model AND p.passage = of_passage AND p.embedding IS NOT NULL
    LIMIT 1;
    IF shared IS NULL THEN
        RAISE EXCEPTION 'no row has a vector of model % for text %, passage %', of_model, of_text_hash, of_passage
            USING ERRCODE = 'MD004';
    END IF;
    RETURN shared;
END $$;

-- Compares and sets a checkpoint; a null expectation means that there must be none yet.
CREATE FUNCTION medallion_move_checkpoint(
    of_generation bigint, of_topic text, of_partition integer, expected bigint, next bigint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    found_offset bigint;
BEGIN
    IF expected IS NULL THEN
        INSERT INTO index_checkpoints (generation, topic, partition, next_offset, updated_at)
        VALUES (of_generation, of_topic, of_partition, next, clock_timestamp())
        ON CONFLICT DO NOTHING;
    ELSE
        UPDATE index_checkpoints AS c SET next_offset = next, updated_at = clock_timestamp()
        WHERE c.generation = of_generation AND c.topic = of_topic AND c.partition = of_partition
            AND c.next_offset = expected;
    END IF;
    IF NOT FOUND THEN
        SELECT c.next_offset INTO found_offset FROM index_checkpoints AS c
        WHERE c.generation = of_generation AND c.topic = of_topic AND c.partition = of_partition;
        RAISE EXCEPTION 'the checkpoint of generation %, %[%] is %, not %',
            of_generation, of_topic, of_partition, coalesce(found_offset::text, 'absent'),
            coalesce(expected::text, 'absent')
            USING ERRCODE = 'MD001';
    END IF;
END $$;

-- Moves the pointer to the active generation, forwards or backwards, if the new one is complete and as far.
CREATE FUNCTION medallion_promote(to_generation bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    number bigint;
    current_generation bigint;
    found_state text;
    behind record;
BEGIN
    number := medallion_begin_index_transaction();
    SELECT generation INTO current_generation FROM active_generation FOR UPDATE;
    SELECT state INTO found_state FROM generations WHERE generation = to_generation;
    IF found_state IS NULL THEN
        RAISE EXCEPTION 'there is no generation %', to_generation USING ERRCODE = 'MD002';
    END IF;
    IF found_state <> 'fed' THEN
        RAISE EXCEPTION 'generation % is %, not fed', to_generation, found_state USING ERRCODE = 'MD002';
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
    UPDATE active_generation SET generation = to_generation, promoted_at = clock_timestamp();
    PERFORM pg_notify('medallion_generation', to_generation::text);
    RETURN number;
END $$;
