-- What reading the index as of a moment needs: which generation was active then, and by what an answer was found.

-- From which index version on a generation was the active one. Promotions are rare, so all are kept.
CREATE TABLE promotions (
    from_version bigint PRIMARY KEY,
    generation   bigint NOT NULL,
    promoted_at  timestamptz NOT NULL
);
-- Of the time before, the last one alone is known, and only as far as the history reaches.
INSERT INTO promotions (from_version, generation, promoted_at)
    SELECT coalesce((SELECT max(version) FROM index_versions WHERE origin = 'promotion'), 0), generation, promoted_at
    FROM active_generation;

CREATE FUNCTION medallion_note_promotion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO promotions AS p (from_version, generation, promoted_at)
    SELECT coalesce(max(v.version), 0), NEW.generation, NEW.promoted_at FROM index_versions v
    ON CONFLICT (from_version) DO UPDATE SET generation = excluded.generation, promoted_at = excluded.promoted_at;
    RETURN NULL;
END $$;
CREATE TRIGGER note_promotion AFTER INSERT OR UPDATE OF generation ON active_generation
    FOR EACH ROW EXECUTE FUNCTION medallion_note_promotion();

-- Numbers and times alone, for whichever role reads, also one that is made later.
GRANT SELECT ON promotions TO PUBLIC;

-- The moment from which an answer's times were reckoned and by what its words were weighed; null for answers from before.
ALTER TABLE answers ADD COLUMN basis json;
