-- What each kept answer takes, and whether it was given without a key, so that all of them together stay within bounds.
-- Answers from before count as 20 kB and as given with a key: reading them all would take long under a lock.
ALTER TABLE answers
    ADD COLUMN bytes integer NOT NULL DEFAULT 20000,
    ADD COLUMN is_anonymous boolean NOT NULL DEFAULT false;

-- Rows come and go at one end: their room is given back often, in small pieces.
ALTER TABLE answers SET (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500,
    toast.autovacuum_vacuum_scale_factor = 0.02, toast.autovacuum_vacuum_threshold = 500);
