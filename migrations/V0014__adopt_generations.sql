-- Makes an index that holds nothing yet the index of a lake: its generations become the lake's. Refuses (SQLSTATE MD002) where it
-- holds anything.
CREATE FUNCTION medallion_adopt_generations(
    of_generations bigint[], of_parents bigint[], of_states text[], of_logic_versions text[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7882826980159875177);
    IF EXISTS (SELECT FROM index_checkpoints) OR EXISTS (SELECT FROM visibility) THEN
        RAISE EXCEPTION 'the index holds documents of its own generations' USING ERRCODE = 'MD002';
    END IF;
    -- Not twice active, at any moment.
    UPDATE generations SET state = 'pruned';
    INSERT INTO generations AS g (generation, parent, state, logic_version, note, created_at)
    SELECT i.generation, nullif(i.parent, 0), i.state, i.logic_version, 'made from the lake', clock_timestamp()
    FROM unnest(of_generations, of_parents, of_states, of_logic_versions) AS i(generation, parent, state, logic_version)
    ON CONFLICT (generation) DO UPDATE
    SET parent = excluded.parent, state = excluded.state, logic_version = excluded.logic_version, note = excluded.note;
    UPDATE active_generation a SET generation = g.generation, promoted_at = clock_timestamp()
    FROM generations g WHERE g.state = 'active';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'none of the generations is active' USING ERRCODE = 'MD002';
    END IF;
END $$;
